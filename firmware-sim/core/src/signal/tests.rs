//! The front end as a whole.

use super::testing::Gaussian;
use super::*;
use std::vec;
use std::vec::Vec;

/// Owns what [`Memory`] borrows.
struct Room {
    channels: Vec<ChannelState>,
    counts: Vec<u16>,
    powers: Vec<u64>,
    fields: Vec<FieldState>,
    histories: Vec<History>,
    crossings: Vec<Crossing>,
    snippets: Vec<Snippet>,
}

impl Room {
    fn new(n_channels: usize, n_listed: usize) -> Self {
        Room {
            channels: vec![ChannelState::NEW; n_channels],
            counts: vec![0; n_channels],
            powers: vec![0; n_channels],
            fields: vec![FieldState::NEW; n_channels],
            histories: vec![History::EMPTY; n_channels],
            crossings: vec![Crossing::default(); n_listed],
            snippets: vec![Snippet::EMPTY; n_listed],
        }
    }

    fn memory(&mut self) -> Memory<'_> {
        Memory {
            channels: &mut self.channels,
            counts: &mut self.counts,
            powers: &mut self.powers,
            fields: &mut self.fields,
            histories: &mut self.histories,
            crossings: &mut self.crossings,
            snippets: &mut self.snippets,
        }
    }
}

const RATE: u32 = 20_000_000;

fn settings() -> Settings {
    Settings::of_rate(RATE).expect("20 kHz is there")
}

/// Noise of 8 counts on every channel; on channel c a spike of 160 counts every 1,000 + 100 c frames from 1,000 on.
fn frames(n_channels: usize, n_frames: usize) -> Vec<Vec<i16>> {
    let mut gaussian = Gaussian::new(3);
    let spike = [-60.0, -160.0, -120.0, -40.0, 30.0, 60.0, 50.0, 30.0, 15.0, 5.0];
    let sample = |t: usize, c: usize, noise: f64| {
        let since = t % (1_000 + 100 * c);
        let spike = if t >= 1_000 { spike.get(since).copied().unwrap_or(0.0) } else { 0.0 };
        (8.0 * noise + spike) as i16
    };
    (0..n_frames).map(|t| (0..n_channels).map(|c| sample(t, c, gaussian.next())).collect()).collect()
}

#[test]
fn spikes_are_counted_and_listed_and_cut_out() {
    let mut room = Room::new(5, 4_000);
    let mut front_end = FrontEnd::new(settings(), room.memory()).expect("all for five channels");
    let frames = frames(5, 60_000);
    frames[..20_000].iter().for_each(|frame| front_end.process_frame(frame));
    assert!(front_end.set_mode(Mode::Snippets));
    frames[20_000..].iter().for_each(|frame| front_end.process_frame(frame));
    for channel in 0..5 {
        let every = 1_000 + 100 * channel;
        let expected: Vec<u64> = (20_000..60_000).filter(|t| t % every == 0).map(|t| t as u64).collect();
        let found: Vec<u64> = front_end
            .crossings()
            .iter()
            .filter(|crossing| crossing.channel as usize == channel)
            .map(|crossing| front_end.span() + u64::from(crossing.offset))
            .collect();
        assert_eq!(found.len(), usize::from(front_end.counts()[channel]), "channel {channel}");
        let hits = expected.iter().filter(|&&t| found.iter().any(|&f| f >= t && f < t + 4)).count();
        assert!(hits == expected.len(), "{hits} of {} on channel {channel}", expected.len());
        assert!(found.len() <= expected.len() + 2, "{} of {}", found.len(), expected.len());
        let noise = f64::from(front_end.noise(channel).expect("is there")) / 256.0;
        // The band takes half of white noise.
        assert!((5.0..6.5).contains(&noise), "{noise}");
        let threshold = f64::from(front_end.threshold(channel).expect("is there"));
        assert!((threshold + 4.5 * noise).abs() < 1.0, "{threshold} at {noise}");
    }
    // The last crossings may still wait for the ends of their snippets.
    let n_crossings = front_end.crossings().len();
    assert!(front_end.snippets().len() + 5 + front_end.n_missed() as usize >= n_crossings);
    let mut n_spikes = 0;
    for snippet in front_end.snippets() {
        let (at, &lowest) = snippet.samples.iter().enumerate().min_by_key(|&(_, &x)| x).expect("32 of them");
        // Other crossings are noise's.
        if lowest < -60 {
            n_spikes += 1;
            assert!((SNIPPET_BEFORE..SNIPPET_BEFORE + 4).contains(&at), "{snippet:?}");
        }
    }
    assert!(n_spikes > 150, "{n_spikes}");
}

#[test]
fn powers_are_those_of_the_bands() {
    let mut room = Room::new(3, 0);
    let mut front_end = FrontEnd::new(settings(), room.memory()).expect("all for three channels");
    // 1,000 counts at 1 kHz, at 100 Hz, and at 10 Hz.
    let samples = |t: usize| {
        [1_000.0, 100.0, 10.0]
            .map(|hz| ((t as f64 * hz / 20_000.0 * 2.0 * core::f64::consts::PI).sin() * 1e3) as i16)
    };
    let level = |power: f64| (8.0 * power.log2()).round() as i32;
    for (mode, at) in [(Mode::SpikeBandPower, 0), (Mode::BandPower, 1)] {
        assert!(front_end.set_mode(mode));
        for t in 0..40_000 {
            if t == 20_000 {
                front_end.next_bin();
            }
            front_end.process_frame(&samples(t));
        }
        let powers = [0, 1, 2].map(|channel| i32::from(front_end.power(channel)));
        assert!((powers[at] - level(500_000.0)).abs() <= 1, "{mode:?}: {powers:?}");
        for other in (0..3).filter(|&other| other != at) {
            assert!(powers[at] - powers[other] > 40, "{mode:?}: 15 dB at least: {powers:?}");
        }
        assert_eq!(front_end.power(3), 0, "no such channel");
    }
}

#[test]
fn a_simulation_counts_without_samples() {
    let mut room = Room::new(2, 3);
    let Room { counts, crossings, .. } = &mut room;
    let memory = Memory { counts, crossings, ..Memory::default() };
    let mut front_end = FrontEnd::new(settings(), memory).expect("nothing else");
    assert_eq!(front_end.modes(), 0b1_0011, "quiet, counts, crossings");
    assert!(!front_end.set_mode(Mode::Snippets) && front_end.set_mode(Mode::Crossings));
    front_end.advance(20);
    front_end.count(0, 2);
    front_end.advance(20);
    front_end.count(1, 2);
    front_end.count(2, 9);
    assert_eq!(front_end.counts(), [2, 2]);
    assert_eq!(front_end.crossings().last(), Some(&Crossing { channel: 1, offset: 40 }));
    assert_eq!((front_end.crossings().len(), front_end.n_missed(), front_end.frame()), (3, 1, 40));
    front_end.next_bin();
    front_end.count(0, u16::MAX);
    assert_eq!((front_end.counts(), front_end.span()), (&[COUNT_MAX, 0][..], 40));
}

#[test]
fn thresholds_are_taken_and_given_back() {
    let mut room = Room::new(2, 100);
    let mut front_end = FrontEnd::new(settings(), room.memory()).expect("two channels");
    assert!(front_end.set_mode(Mode::Counts));
    let frames = frames(2, 30_000);
    frames[..4_000].iter().for_each(|frame| front_end.process_frame(frame));
    assert_eq!(front_end.counts(), [0, 0], "no thresholds in the first fifth of a second");
    front_end.set_threshold(0, Some(-4));
    front_end.set_threshold(1, Some(-3_000));
    front_end.set_threshold(2, Some(-1));
    frames[4_000..20_000].iter().for_each(|frame| front_end.process_frame(frame));
    assert!(front_end.counts()[0] > 300 && front_end.counts()[1] == 0, "{:?}", front_end.counts());
    front_end.set_threshold(0, None);
    front_end.set_multiple(3 * 256);
    frames[20_000..].iter().for_each(|frame| front_end.process_frame(frame));
    let (threshold, noise) = (front_end.threshold(0).expect("there"), front_end.noise(0).expect("there"));
    assert!((f64::from(threshold) + 3.0 * f64::from(noise) / 256.0).abs() < 1.5, "{threshold} at {noise}");
    assert_eq!(front_end.threshold(1), Some(-3_000));
}

#[test]
fn any_samples_and_lengths_are_taken() {
    let mut room = Room::new(3, 2);
    let mut front_end = FrontEnd::new(settings(), room.memory()).expect("three channels");
    for mode in
        [Mode::Quiet, Mode::Counts, Mode::SpikeBandPower, Mode::BandPower, Mode::Crossings, Mode::Snippets]
    {
        assert!(front_end.set_mode(mode));
        for t in 0..9_000 {
            let x = if t % 23 < 9 { i16::MIN } else { i16::MAX };
            front_end.process_frame(&[x, x, x, x][..t % 5]);
        }
        assert!(front_end.crossings().len() <= 2);
    }
    assert!(front_end.n_missed() > 0);
}

#[test]
fn memory_of_unequal_parts_is_refused() {
    let mut room = Room::new(3, 2);
    room.powers.pop();
    assert_eq!(FrontEnd::new(settings(), room.memory()).err(), Some(NotBuilt { n_channels: 3, n_found: 2 }));
    assert_eq!(Settings::of_rate(44_100_000), None);
}
