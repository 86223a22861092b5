//! Spectra of the simulator, whose noise and mains are known, and of streams made to be wrong.

use super::*;
use crate::block::{BLOCK_FRAMES_MAX, Payload, StreamKind};
use crate::time::{SampleIndex, SampleRate};
use rand::SeedableRng;
use rand_distr::{Distribution, Normal};
use rand_xoshiro::Xoshiro256PlusPlus;
use std::f64::consts::TAU;

const RATE_HZ: f64 = 10_000.0;

fn info(n_channels: usize, uv_per_count: Option<f32>) -> StreamInfo {
    StreamInfo {
        kind: StreamKind::Broadband,
        sample_rate: SampleRate::new(RATE_HZ, "test").expect("a legal rate"),
        uv_per_count,
        channels: (0..n_channels).map(|channel| format!("ch{channel}")).collect(),
        synthetic: true,
    }
}

/// The spectrum of `n_frames` of a stream whose sample at a frame and channel `value` gives, in counts.
fn spectrum_of(
    info: &StreamInfo,
    n_frames: u64,
    n_to_come: u64,
    mut value: impl FnMut(u64, usize) -> f64,
) -> Result<Spectrum, Error> {
    let n_channels = info.n_channels();
    let mut collector = Collector::new(info, Plan::new(info, 0..n_channels, n_frames, "test")?);
    let mut block = Block::int16(n_channels);
    let mut at = 0;
    while at < n_to_come && !collector.is_done() {
        let n = (n_to_come - at).min(BLOCK_FRAMES_MAX as u64);
        let Payload::Int16(samples) = &mut block.payload else { unreachable!("a block of integers") };
        for (i, sample) in samples[..n as usize * n_channels].iter_mut().enumerate() {
            *sample = value(at + (i / n_channels) as u64, i % n_channels).round() as i16;
        }
        block.header.first_sample = SampleIndex(at);
        block.header.n_frames = n as u32;
        collector.observe(&block);
        at += n;
    }
    collector.finish("test")
}

/// Channels of noise of 40 counts, but: 0 is flat, 1 is four times as loud, 2 has mains, 3 is cut off.
fn troubled(n_channels: usize, uv_per_count: Option<f32>) -> Spectrum {
    let mut rng = Xoshiro256PlusPlus::seed_from_u64(1);
    let normal = Normal::new(0.0, 40.0).expect("a deviation");
    let info = info(n_channels, uv_per_count);
    let value = |frame: u64, channel: usize| {
        let noise: f64 = normal.sample(&mut rng);
        let hum = |hz: f64| (TAU * hz * frame as f64 / RATE_HZ).sin();
        match channel {
            0 => 7.0,
            1 => 4.0 * noise,
            2 => noise + 30.0 * hum(60.02) + 10.0 * hum(180.06),
            3 => noise.clamp(-80.0, 80.0),
            _ => noise,
        }
    };
    spectrum_of(&info, 50_000, 50_000, value).expect("a spectrum")
}

#[test]
fn each_trouble_has_its_flag() {
    let spectrum = troubled(12, None);
    let flags: Vec<&[Flag]> = spectrum.channels.iter().map(|channel| channel.flags.as_slice()).collect();
    assert_eq!(flags[..4], [&[Flag::Flat][..], &[Flag::Noisy], &[Flag::Mains], &[Flag::Clipped]]);
    assert!(flags[4..].iter().all(|flags| flags.is_empty()), "{flags:?}");
    assert_eq!((spectrum.mains_hz(), spectrum.unit), (Some(60.0), "counts"));
    let worst = spectrum.worst();
    assert_eq!((worst.len(), &worst[..3]), (11, &[3, 1, 2][..]));
    let mains = spectrum.channels[2].mains.rms;
    let expected = (500.0_f64).sqrt();
    assert!((mains / expected - 1.0).abs() < 0.05, "{mains} for {expected}");
    let across = Across::of(&spectrum);
    let floor = 2.0 * 40.0 * 40.0 / RATE_HZ;
    assert!((f64::from(across.median[2000]) / floor - 1.0).abs() < 0.5, "{}", across.median[2000]);
}

#[test]
fn the_scale_multiplies_amplitudes() {
    let (counts, scaled) = (troubled(5, None), troubled(5, Some(0.25)));
    assert_eq!(scaled.unit, "µV");
    for (counts, scaled) in counts.channels.iter().zip(&scaled.channels) {
        let close = |a: f64, b: f64| (a - 0.25 * b).abs() <= 1e-5 * b;
        assert!(close(scaled.noise.rms, counts.noise.rms) && close(scaled.mains.rms, counts.mains.rms));
        assert_eq!(scaled.flags, counts.flags);
    }
    let white = scaled.channels[4].noise;
    let expected = (2.0 * 100.0 / RATE_HZ * (4500.0 - 300.0)).sqrt();
    assert!((white.rms / expected - 1.0).abs() < 0.02, "{white:?} for {expected}");
}

#[test]
fn a_stream_that_ends_early_gives_what_came_or_says_so() {
    let info = info(2, None);
    let ramp = |frame: u64, _| (frame % 100) as f64;
    let some = spectrum_of(&info, 50_000, 25_000, ramp).expect("two seconds came");
    assert_eq!((some.n_frames, some.densities.n_segments), (25_000, 4));
    let error = spectrum_of(&info, 50_000, 5000, ramp).expect_err("half a second").to_string();
    assert!(error.contains("10000 frames in a row"), "{error}");
}
