//! The firmware's integers against the float filter and detector of `efference`, on the same simulated (synthetic)
//! broadband: how many crossings both find, and how close their bins are.

use efference::block::{BLOCK_FRAMES_MAX, TILE_CHANNELS, Tile};
use efference::detect::{CrossingDetector, NoiseEstimator, NoiseRule};
use efference::filter::{FilterBank, design::butterworth_band_pass};
use efference_firmware::signal::{ChannelState, Crossing, FrontEnd, Memory, Settings};
use efference_wire::Mode;
use firmware_sim::tissue::{Heard, Tissue};

const N_CHANNELS: usize = 32;
const RATE_HZ: f64 = 19_531.0;
/// Noise is learnt before; crossings are compared from here on.
const FROM: usize = 5 * 19_531;
const SECONDS: f64 = 13.0;
/// Frames of a bin.
const BIN: usize = 391;

/// Frames, one channel behind the other.
fn broadband() -> Vec<i16> {
    let mut tissue = Tissue::open(&format!("neuralink-n1,electrodes={N_CHANNELS},seed=3"), false, SECONDS)
        .expect("a legal address");
    let mut samples = Vec::new();
    while let Some(Heard::Frames(frames)) = tissue.read().expect("a simulator gives no errors") {
        samples.extend_from_slice(frames);
    }
    samples
}

/// Crossings of each channel by the float kernels, thresholds from the noise before [`FROM`].
fn by_float(samples: &[i16]) -> Vec<Vec<usize>> {
    let sections = butterworth_band_pass(2, 250.0, 5_000.0, RATE_HZ).expect("legal");
    let mut bank = FilterBank::new(&sections, 1).settled();
    let mut noise = Some(NoiseEstimator::new(N_CHANNELS, NoiseRule::Mad, FROM as u64));
    let mut detector: Option<CrossingDetector> = None;
    let mut found = vec![Vec::new(); N_CHANNELS];
    // One frame at a time once crossings are wanted, so that their frames are known from the counts.
    let (mut tile, mut at) = (Tile::new(), 0);
    let n_frames = samples.len() / N_CHANNELS;
    while at < n_frames {
        tile.n_frames = if at < FROM { BLOCK_FRAMES_MAX.min(FROM - at) } else { 1 };
        for (t, row) in tile.frames_mut().iter_mut().enumerate() {
            let frame = &samples[(at + t) * N_CHANNELS..][..N_CHANNELS];
            row.iter_mut().zip(frame).for_each(|(uv, &sample)| *uv = f32::from(sample));
        }
        bank.process(&mut tile);
        if at < FROM {
            noise.as_mut().expect("until then").observe(&tile);
        } else {
            let detector = detector.get_or_insert_with(|| {
                let noise = noise.take().expect("once").finish();
                let thresholds: Vec<f32> =
                    noise.iter().map(|&n| if n > 0.0 { -4.5 * n } else { f32::NEG_INFINITY }).collect();
                CrossingDetector::new(N_CHANNELS, &thresholds, 10).with_ring_guard(0.3, 78)
            });
            let mut counts = [0.0; TILE_CHANNELS];
            detector.process(&tile, &mut counts, None);
            for (crossings, &count) in found.iter_mut().zip(&counts) {
                if count > 0.0 {
                    crossings.push(at);
                }
            }
        }
        at += tile.n_frames;
    }
    found
}

/// Crossings of each channel by the firmware, which follows the noise all the time.
fn by_firmware(samples: &[i16]) -> Vec<Vec<usize>> {
    let (mut channels, mut counts) = (vec![ChannelState::NEW; N_CHANNELS], vec![0; N_CHANNELS]);
    let mut crossings = vec![Crossing::default(); 100_000];
    let memory = Memory {
        channels: &mut channels,
        counts: &mut counts,
        crossings: &mut crossings,
        ..Memory::default()
    };
    let settings = Settings::of_rate(19_531_000).expect("the N1's rate is there");
    assert_eq!(
        (settings.refractory_frames, settings.guard_frames),
        (10, 78),
        "as the float detector has them"
    );
    let mut front_end = FrontEnd::new(settings, memory).expect("one number of channels");
    let mut found = vec![Vec::new(); N_CHANNELS];
    for (at, frame) in samples.chunks_exact(N_CHANNELS).enumerate() {
        if at == FROM {
            assert!(front_end.set_mode(Mode::Crossings));
        }
        front_end.process_frame(frame);
        // A span has at most 65,536 frames.
        if at % 10_000 == 0 || (at + 1) * N_CHANNELS == samples.len() {
            for crossing in front_end.crossings() {
                found[usize::from(crossing.channel)]
                    .push(front_end.span() as usize + usize::from(crossing.offset));
            }
            front_end.next_bin();
        }
    }
    assert_eq!(front_end.n_missed(), 0);
    found
}

/// Crossings of one list that have one of the other within two frames.
fn n_matched(one: &[usize], other: &[usize]) -> usize {
    one.iter().filter(|&&at| other.iter().any(|&o| o.abs_diff(at) <= 2)).count()
}

fn bins(crossings: &[usize], n_frames: usize) -> Vec<f64> {
    let mut counts = vec![0.0; (n_frames - FROM) / BIN + 1];
    crossings.iter().for_each(|&at| counts[(at - FROM) / BIN] += 1.0);
    counts
}

fn correlation(x: &[f64], y: &[f64]) -> f64 {
    let mean = |v: &[f64]| v.iter().sum::<f64>() / v.len() as f64;
    let (mx, my) = (mean(x), mean(y));
    let dot = |a: &[f64], ma: f64, b: &[f64], mb: f64| -> f64 {
        a.iter().zip(b).map(|(a, b)| (a - ma) * (b - mb)).sum()
    };
    dot(x, mx, y, my) / (dot(x, mx, x, mx) * dot(y, my, y, my)).sqrt()
}

#[test]
fn integers_find_what_floats_find() {
    let samples = broadband();
    let (float, firmware) = (by_float(&samples), by_firmware(&samples));
    let n_frames = samples.len() / N_CHANNELS;
    let total = |found: &[Vec<usize>]| found.iter().map(Vec::len).sum::<usize>();
    let (n_float, n_firmware) = (total(&float), total(&firmware));
    let matched = |one: &[Vec<usize>], other: &[Vec<usize>]| {
        one.iter().zip(other).map(|(one, other)| n_matched(one, other)).sum::<usize>()
    };
    let recall = matched(&float, &firmware) as f64 / n_float as f64;
    let precision = matched(&firmware, &float) as f64 / n_firmware as f64;
    let correlations: Vec<f64> = float
        .iter()
        .zip(&firmware)
        .filter(|(float, _)| float.len() > 20)
        .map(|(float, firmware)| correlation(&bins(float, n_frames), &bins(firmware, n_frames)))
        .collect();
    let mean = correlations.iter().sum::<f64>() / correlations.len() as f64;
    println!(
        "synthetic: {n_float} crossings by floats, {n_firmware} by integers; {recall:.4} and {precision:.4} of them found by \
         the other; bins of 20 ms correlate by {mean:.4} on {} channels",
        correlations.len()
    );
    assert!(n_float > 1_000 && correlations.len() > 10);
    assert!(recall >= 0.95 && precision >= 0.95, "{recall} and {precision}");
    assert!(mean >= 0.97, "{mean}");
}
