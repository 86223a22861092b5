//! Faults of electrodes and stimulation, found in recordings, in simulated streams and where they were put on purpose.
//!
//! The front end here is a slow one of this file's own, so that nothing but the stages under test decides.
//! Recordings are read from the folder that EFFERENCE_DATA names; where it is absent, their tests say so.

#[path = "support/recorded.rs"]
mod support;

use efference::block::{BLOCK_FRAMES_MAX, Payload, TILE_CHANNELS};
use efference::detect::health::{Change, HealthRule, Looks, TileHealth};
use efference::detect::{Fault, NoiseRule, RunningNoise};
use efference::filter::design::butterworth_band_pass;
use efference::filter::reference::sosfilt;
use efference::filter::{Blanker, LaneBlanker};
use efference::recording::open;
use efference::simd::Level;
use efference::sources::injected::{Injected, Pulses};
use efference::sources::{ReadOutcome, SampleSource};
use efference::{SampleIndex, SampleRate};

/// Second, channel, fault or none.
type Told = (f64, usize, Option<Fault>);

/// A whole stream: `samples[channel][frame]`, in counts.
struct Stream {
    rate: SampleRate,
    uv_per_count: f32,
    names: Vec<String>,
    samples: Vec<Vec<f32>>,
}

impl Stream {
    fn read(source: &mut dyn SampleSource) -> Self {
        let info = source.info().clone();
        let mut samples = vec![Vec::new(); info.n_channels()];
        let mut block = source.new_block();
        while source.read(&mut block).expect("a good stream") == ReadOutcome::Block {
            let Payload::Int16(payload) = &block.payload else { panic!("16-bit broadband") };
            let n_values = block.header.n_frames as usize * info.n_channels();
            for row in payload[..n_values].chunks(info.n_channels()) {
                samples.iter_mut().zip(row).for_each(|(channel, x)| channel.push(f32::from(*x)));
            }
        }
        let uv_per_count = info.uv_per_count.unwrap_or(1.0);
        Stream { rate: info.sample_rate, uv_per_count, names: info.channels, samples }
    }

    fn of(target: &str) -> Self {
        Stream::read(&mut *open(target, None).expect("a good recording").source)
    }

    fn is_flat(&self, channel: usize) -> bool {
        self.samples[channel].iter().all(|x| *x == self.samples[channel][0])
    }

    /// The mean over a tile's channels, frame by frame.
    fn means(&self, tile: usize) -> Vec<f32> {
        let channels: Vec<_> = self.samples.chunks(TILE_CHANNELS).nth(tile).expect("a tile").iter().collect();
        let mean = |t: usize| channels.iter().map(|x| x[t]).sum::<f32>() / channels.len() as f32;
        (0..channels[0].len()).map(mean).collect()
    }

    /// Everything that the health of its tiles tells, with or without a common average over each tile; frames that
    /// a blanker of `artefact_counts` blanks are not looked at.
    fn watch(&self, with_average: bool, artefact_counts: f32) -> Vec<Told> {
        let mut told = Vec::new();
        for (tile, channels) in self.samples.chunks(TILE_CHANNELS).enumerate() {
            let means = self.means(tile);
            let blanked = blanked(&means, artefact_counts, self.rate);
            let taken: Vec<f32> = match with_average {
                true => means,
                false => vec![0.0; means.len()],
            };
            let referenced: Vec<Vec<f32>> =
                channels.iter().map(|x| x.iter().zip(&taken).map(|(x, mean)| x - mean).collect()).collect();
            let filtered: Vec<Vec<f32>> = referenced.iter().map(|x| self.spike_band(x, &blanked)).collect();
            told.extend(self.watch_tile(tile, channels, &referenced, &filtered, &blanked));
        }
        told
    }

    /// In µV. What is blanked moves nothing: its differences are left out.
    fn spike_band(&self, counts: &[f32], blanked: &[bool]) -> Vec<f32> {
        let sections = butterworth_band_pass(2, 250.0, 5_000.0, self.rate.hz()).expect("a legal band");
        let mut level = 0.0;
        let steps = counts.windows(2).zip(&blanked[1..]).map(|(pair, blanked)| match blanked {
            true => 0.0,
            false => f64::from(pair[1] - pair[0]),
        });
        let smooth = std::iter::once(0.0).chain(steps).map(|step| {
            level += step;
            level
        });
        let filtered = sosfilt(&sections, &smooth.collect::<Vec<_>>());
        filtered.into_iter().map(|x| x as f32 * self.uv_per_count).collect()
    }

    fn watch_tile(
        &self,
        tile: usize,
        raw: &[Vec<f32>],
        referenced: &[Vec<f32>],
        filtered: &[Vec<f32>],
        blanked: &[bool],
    ) -> Vec<Told> {
        let lanes = |channels: &[Vec<f32>], t: usize| -> [f32; TILE_CHANNELS] {
            std::array::from_fn(|lane| channels.get(lane).map_or(0.0, |channel| channel[t]))
        };
        let rule = HealthRule::new(self.rate, self.uv_per_count);
        let in_use = u64::MAX >> (TILE_CHANNELS - raw.len());
        let (mut health, mut looks, mut told) = (TileHealth::new(tile, in_use), Looks::new(), Vec::new());
        let n_frames = raw[0].len();
        let bin = (self.rate.hz() / 50.0) as usize;
        let mut from = 0;
        while from < n_frames {
            let n = BLOCK_FRAMES_MAX.min(bin - from % bin).min(n_frames - from);
            looks.fill(&rule, SampleIndex(from as u64), n);
            let mask = (0..n).fold(0, |mask, t| mask | u64::from(blanked[from + t]) << t);
            for look in looks.of_tile(tile, mask) {
                let t = from + look.frame();
                health.observe_raw(Level::widest(), look, &lanes(raw, t), &lanes(referenced, t));
                health.observe_filtered(Level::widest(), &lanes(filtered, t));
            }
            from += n;
            if from.is_multiple_of(bin) {
                health.judge(&rule, SampleIndex(from as u64), |Change { lane, fault, .. }| {
                    let second = from as f64 / self.rate.hz();
                    told.push((second, tile * TILE_CHANNELS + lane, fault));
                });
            }
        }
        told
    }
}

/// Which frames a blanker blanks, 1.5 ms each.
fn blanked(means: &[f32], level: f32, rate: SampleRate) -> Vec<bool> {
    let mut blanker = Blanker::new(level, (rate.hz() * 1.5e-3).ceil() as u32);
    let mut block = [0.0; BLOCK_FRAMES_MAX];
    let mut blanked = Vec::new();
    for part in means.chunks(BLOCK_FRAMES_MAX) {
        block[..part.len()].copy_from_slice(part);
        let mask = blanker.blank(&block, part.len());
        blanked.extend((0..part.len()).map(|t| mask >> t & 1 == 1));
    }
    blanked
}

/// Of 200 electrodes of N1 recordings, 5 s each, some are out of order, by a slower look at the whole of them, and no
/// other one is called so. They stand side by side but were recorded apart, so that there is nothing to reference.
#[test]
fn recorded_electrodes_out_of_order_are_found_and_no_other() {
    let Some(folder) = support::recorded("neuralink-n1") else { return };
    let stream = Stream::of(&folder);
    let told = stream.watch(false, f32::INFINITY);
    for (second, channel, fault) in &told {
        println!("{second:.2} s: {} {fault:?}", stream.names[*channel]);
    }
    let n_frames = stream.samples[0].len();
    let at_rails = |x: &Vec<f32>| x.iter().filter(|x| [-512.0, 511.0].contains(*x)).count() * 20 > n_frames;
    let spike_band: Vec<f32> =
        stream.samples.iter().map(|x| rms(&stream.spike_band(x, &vec![false; n_frames]))).collect();
    let mut sorted = spike_band.clone();
    sorted.sort_by(f32::total_cmp);
    let expected = stream.samples.iter().zip(&spike_band).map(|(x, noise)| match () {
        _ if at_rails(x) => Some(Fault::Saturated),
        _ if *noise > 4.0 * sorted[100] => Some(Fault::Disconnected),
        _ => None,
    });
    let expected: Vec<_> = expected.enumerate().filter(|(_, fault)| fault.is_some()).collect();
    let mut found: Vec<_> = told.iter().map(|(_, channel, fault)| (*channel, *fault)).collect();
    found.sort_by_key(|(channel, _)| *channel);
    assert_eq!((found.len(), found), (4, expected));
}

#[test]
fn nothing_takes_memory() {
    let rate = SampleRate::new(20_000.0, "test").expect("a legal rate");
    let rule = HealthRule::new(rate, 1.0);
    let mut noise = RunningNoise::new(NoiseRule::Mad, &[8.0; TILE_CHANNELS], rate, 20.0);
    let (mut health, mut looks) = (TileHealth::new(0, u64::MAX), Looks::new());
    let (mut means, mut lanes) = (Blanker::new(100.0, 30), LaneBlanker::new(100.0, 30, u64::MAX));
    let frames = [[0.0; TILE_CHANNELS]; 20];
    let (mut changes, level) = (0, Level::widest());
    let memory = allocation_counter::measure(|| {
        for block in 0..5_000 {
            let first = SampleIndex(20 * block);
            let blanked = means.blank(&[0.0; BLOCK_FRAMES_MAX], 20) | lanes.blank(level, &frames);
            noise.observe(level, first, &frames, blanked);
            looks.fill(&rule, first, 20);
            for look in looks.of_tile(0, blanked) {
                health.observe_raw(level, look, &frames[0], &frames[0]);
                health.observe_filtered(level, &frames[0]);
            }
            health.judge(&rule, first, |_| changes += 1);
        }
    });
    assert_eq!((memory.count_total, changes), (0, TILE_CHANNELS));
}

fn rms(uv: &[f32]) -> f32 {
    (uv.iter().map(|x| f64::from(x * x)).sum::<f64>() / uv.len() as f64).sqrt() as f32
}

#[test]
fn synthetic_electrodes_that_work_are_left_alone() {
    for name in ["easy", "hard"] {
        let Some(file) = support::recorded(&format!("ground-truth/{name}.i16")) else { return };
        let stream = Stream::of(&file);
        for with_average in [false, true] {
            assert_eq!(stream.watch(with_average, f32::INFINITY), [], "{name}, {with_average}");
        }
    }
}

#[test]
fn simulated_electrodes_are_dead_where_they_are() {
    for address in [
        "sim:neuralink-n1,electrodes=192,seconds=6",
        "sim:paradromics-50k,electrodes=128,seconds=6,seed=2",
        "sim:blackrock-utah,seconds=6,seed=3",
    ] {
        let stream = Stream::of(address);
        let dead: Vec<usize> = (0..stream.samples.len()).filter(|c| stream.is_flat(*c)).collect();
        for with_average in [false, true] {
            let mut told = stream.watch(with_average, f32::INFINITY);
            told.sort_by_key(|(_, channel, _)| *channel);
            let found: Vec<usize> = told.iter().map(|(_, channel, _)| *channel).collect();
            assert_eq!(found, dead, "{address}, {with_average}: {told:?}");
            assert!(told.iter().all(|(second, _, fault)| *fault == Some(Fault::Dead) && *second < 3.1));
        }
        println!("{address}: {} of {} are dead (synthetic)", dead.len(), stream.samples.len());
    }
}

#[test]
fn faults_on_purpose_are_named_and_forgotten_also_under_stimulation() {
    let seed = 5;
    println!("seed {seed}");
    for (address, bits) in [
        ("sim:neuralink-n1,electrodes=128,seconds=16,dead=0", 10),
        ("sim:blackrock-utah,seconds=16,dead=0", 16),
    ] {
        let source = open(address, None).expect("a legal address").source;
        let hz = source.info().sample_rate.hz();
        let frames = |from: f64, to: f64| (from * hz) as u64..(to * hz) as u64;
        let pulses = Pulses {
            uv: 20_000.0,
            phase_frames: (0.2e-3 * hz) as u64,
            every_frames: (hz / 20.0) as u64,
            frames: frames(1.0, 15.0),
        };
        let mut injected = Injected::new(source, bits, seed).expect("16-bit broadband");
        injected = injected.with_scattered(2, frames(2.0, 9.0)).with_pulses(pulses);
        let stream = Stream::read(&mut injected);
        let artefact_counts = 200.0 / stream.uv_per_count;
        let told = stream.watch(true, artefact_counts);
        for planned in injected.faults() {
            let of_channel: Vec<_> = told.iter().filter(|(_, c, _)| *c == planned.channel).collect();
            let [(found, _, Some(fault)), (lost, _, None)] = of_channel[..] else {
                panic!("{address}, {planned:?}: {of_channel:?}");
            };
            assert_eq!(*fault, planned.fault, "{address}: {of_channel:?}");
            assert!((3.0..8.5).contains(found) && (11.0..13.6).contains(lost), "{address}: {of_channel:?}");
        }
        assert_eq!(told.len(), 2 * injected.faults().len(), "{address}: {told:?}");
    }
}

#[test]
fn pulses_are_blanked_and_nothing_else_is() {
    let source = open("sim:neuralink-n1,electrodes=64,seconds=4", None).expect("a legal address").source;
    let pulses = Pulses { uv: 20_000.0, phase_frames: 4, every_frames: 976, frames: 20_000..60_000 };
    let mut injected = Injected::new(source, 10, 1).expect("16-bit broadband").with_pulses(pulses);
    let stream = Stream::read(&mut injected);
    let blanked = blanked(&stream.means(0), 200.0, stream.rate);
    let hold = (stream.rate.hz() * 1.5e-3).ceil() as usize;
    for (t, blanked) in blanked.iter().enumerate() {
        let since = t.checked_sub(20_000).map(|t| (t % 976, t / 976 * 976));
        // A pulse is 8 frames long; the last one that jumps is the first after it.
        let wanted = since.is_some_and(|(since, start)| since <= 8 + hold && 20_000 + start < 60_000);
        assert_eq!(*blanked, wanted, "frame {t}");
    }
}
