//! Hybrids of backgrounds that are made here, where all is known.

use super::*;
use crate::block::{Block, StreamInfo, StreamKind};
use crate::recording::{About, Truth};
use crate::sources::{ReadOutcome, SampleSource};

const RATE_HZ: f64 = 20_000.0;
const N_FRAMES: usize = 100_000;

/// Channels: 0 and 1 with noise, 2 flat, 3 at a rail, 4 with large spikes of its own.
struct Made {
    info: StreamInfo,
    samples: Vec<i16>,
    next: usize,
}

impl SampleSource for Made {
    fn info(&self) -> &StreamInfo {
        &self.info
    }

    fn n_frames(&self) -> Option<u64> {
        Some(N_FRAMES as u64)
    }

    fn read(&mut self, block: &mut Block) -> Result<ReadOutcome, Error> {
        let crate::block::Payload::Int16(into) = &mut block.payload else { panic!("16-bit blocks") };
        let n = (N_FRAMES - self.next).min(crate::block::BLOCK_FRAMES_MAX);
        if n == 0 {
            return Ok(ReadOutcome::End);
        }
        let values = &self.samples[self.next * 5..(self.next + n) * 5];
        into[..values.len()].copy_from_slice(values);
        block.header.first_sample = SampleIndex(self.next as u64);
        block.header.n_frames = n as u32;
        self.next += n;
        Ok(ReadOutcome::Block)
    }
}

/// What a spike of channel 4 adds, from its time on.
const OWN_SHAPE: [i16; 8] = [-60, -120, -70, -20, 20, 30, 15, 5];
const OWN_EVERY: usize = 1_500;

fn recording() -> Recording {
    let mut rng = Xoshiro256PlusPlus::seed_from_u64(9);
    let mut noise = || (0..12).map(|_| rng.random_range(-1.0..1.0_f64)).sum::<f64>() * 4.0;
    let mut samples: Vec<i16> = (0..N_FRAMES)
        .flat_map(|_| [noise() as i16, noise() as i16 + 40, 7, noise() as i16, noise() as i16])
        .collect();
    samples[5 * 777 + 3] = -512;
    for start in (2_000..N_FRAMES - 2_000).step_by(OWN_EVERY) {
        for (k, value) in OWN_SHAPE.iter().enumerate() {
            samples[5 * (start + k) + 4] += value;
        }
    }
    let info = StreamInfo {
        kind: StreamKind::Broadband,
        sample_rate: SampleRate::new(RATE_HZ, "test").expect("legal"),
        uv_per_count: None,
        channels: (0..5).map(|channel| format!("e{channel}")).collect(),
        synthetic: true,
    };
    let about = About::new("made", "test", &info, N_FRAMES as u64);
    Recording { about, truth: Truth::None, source: Box::new(Made { info, samples, next: 0 }) }
}

fn settings() -> Settings {
    Settings {
        snr: vec![6.0, 20.0],
        rate_hz: 20.0,
        seed: 3,
        channels: 0..5,
        own_max_hz: 2.0,
        rails: -512..=511,
    }
}

#[test]
fn what_will_not_do_is_left_out_and_the_shape_is_the_recordings_own() {
    let made = make(recording(), &settings(), "test").expect("a hybrid");
    assert_eq!(made.electrodes, ["e0", "e1"]);
    let reasons: Vec<(&str, &str)> =
        made.left_out.iter().map(|(name, why)| (name.as_str(), why.as_str())).collect();
    assert_eq!(reasons[..2], [("e2", "it is flat"), ("e3", "it touches a rail")]);
    assert!(reasons[2].0 == "e4" && reasons[2].1.starts_with("it crosses 12.9"), "{reasons:?}");
    assert_eq!(made.templates.len(), 1);
    let template = &made.templates[0];
    let n_own = (2_000..N_FRAMES - 2_000).step_by(OWN_EVERY).count();
    assert_eq!((template.electrode.as_str(), template.n_spikes), ("e4", n_own));
    assert!((template.trough_codes - 120.0).abs() < 6.0, "{}", template.trough_codes);
    for (k, own) in OWN_SHAPE.iter().enumerate() {
        let value = template.shape[template.trough_at + k - 1];
        assert!((value - f64::from(*own) / 120.0).abs() < 0.05, "{k}: {value}");
    }
}

#[test]
fn what_was_added_is_what_the_truth_says() {
    let made = make(recording(), &settings(), "test").expect("a hybrid");
    let (n, n_electrodes) = (made.units.len(), made.electrodes.len());
    assert_eq!((n, n_electrodes, made.n_clipped), (4, 2, 0));
    assert!(made.spikes.is_sorted_by_key(|spike| (spike.sample, spike.unit)));
    for (channel, unit) in made.units.iter().enumerate() {
        let electrode = channel % n_electrodes;
        assert_eq!((unit.peak_channel, &unit.electrode), (channel, &made.electrodes[electrode]));
        assert_eq!(unit.snr, [6.0, 20.0][channel / n_electrodes]);
        // Noise of σ = 8: √(12 · 1/3) · 4, of which the spike band holds about half.
        assert!((4.0..8.0).contains(&unit.noise_codes), "{}", unit.noise_codes);
        let times: Vec<usize> =
            made.spikes.iter().filter(|s| s.unit == channel as u32).map(|s| s.sample.0 as usize).collect();
        assert!(times.len() == unit.spikes && (60..130).contains(&times.len()), "{}", times.len());
        let mut added = vec![0.0; N_FRAMES];
        times.iter().for_each(|&time| made.templates[0].add(&mut added, time, unit.trough_codes));
        for (frame, value) in added.iter().enumerate() {
            let was = f64::from(made.background[frame * n_electrodes + electrode]);
            let is = f64::from(made.samples[frame * n + channel]);
            assert_eq!(is, (was + value).round(), "frame {frame} of channel {channel}");
        }
        assert!(
            times.iter().all(|&time| added[time] <= -0.9 * unit.trough_codes),
            "troughs where they are said"
        );
    }
}

#[test]
fn the_seed_decides_all() {
    let bytes = |seed| {
        let made = make(recording(), &Settings { seed, ..settings() }, "test").expect("a hybrid");
        (made.samples, made.spikes)
    };
    assert_eq!(bytes(3), bytes(3));
    assert_ne!(bytes(3).1, bytes(4).1);
}

#[test]
fn rails_hold_what_is_added_and_what_is_wrong_is_named() {
    let loud = Settings { snr: vec![500.0], ..settings() };
    let made = make(recording(), &loud, "test").expect("a hybrid");
    assert!(made.n_clipped > 0 && made.samples.iter().all(|code| (-512..=511).contains(code)));
    let message = |settings: Settings| make(recording(), &settings, "test").expect_err("wrong").to_string();
    assert!(message(Settings { snr: vec![], ..settings() }).contains("--snr"));
    assert!(message(Settings { rate_hz: 1e3, ..settings() }).contains("--rate-hz"));
    assert!(message(Settings { channels: 2..4, ..settings() }).contains("--channels"));
    assert!(message(Settings { channels: 0..6, ..settings() }).contains("within 0..5"));
}
