//! Welch's estimate of the power spectral density, for many channels at once.
//!
//! In: blocks of broadband. Out: one-sided densities, channels × bins, in counts²/Hz. Memory is taken when it
//! is built: a segment and a spectrum a channel, however long the stream. The mean of each segment is taken
//! off, the window is Hann's, segments overlap by half, and none reaches over lost frames or into another
//! trial. Source: Welch 1967, IEEE Trans Audio Electroacoust 15:70; scaled as SciPy's `welch` is.

use crate::block::{Block, Payload};
use realfft::num_complex::Complex;
use realfft::{RealFftPlanner, RealToComplex};
use std::f64::consts::TAU;
use std::sync::Arc;

/// Adds up the periodograms of the segments of some channels of a stream.
pub struct Welch {
    /// Which channels of the stream.
    channels: Vec<usize>,
    n_segments: u64,
    /// Frames of the segment that is being filled.
    n_filled: usize,
    /// Channels × segment: neighbours in time lie side by side, as the transform wants them.
    segments: Vec<f32>,
    /// Channels × bins.
    sums: Vec<f32>,
    transform: Transform,
}

/// Densities of the channels that were asked for.
#[derive(Clone, Debug, PartialEq)]
pub struct Densities {
    /// Frequency of bin k, over k, in Hz.
    pub resolution_hz: f64,
    /// Segments that were averaged.
    pub n_segments: u64,
    /// Bins of a channel: half a segment, and the one of 0 Hz.
    pub n_bins: usize,
    /// Channels × bins, in counts²/Hz.
    pub values: Vec<f32>,
}

impl Welch {
    /// For `channels` of a stream, in segments of `segment_frames`.
    ///
    /// # Panics
    /// If the segment is empty or of an odd number of frames: it couldn't be halved.
    pub fn new(channels: Vec<usize>, segment_frames: usize) -> Self {
        assert!(segment_frames >= 2 && segment_frames.is_multiple_of(2), "a segment has two halves");
        let n_channels = channels.len();
        Welch {
            channels,
            n_segments: 0,
            n_filled: 0,
            segments: vec![0.0; n_channels * segment_frames],
            sums: vec![0.0; n_channels * n_bins(segment_frames)],
            transform: Transform::new(segment_frames),
        }
    }

    /// Takes in the first `n_frames` frames of a block whose frames have `n_channels`.
    pub fn observe(&mut self, block: &Block, n_frames: usize, n_channels: usize) {
        if block.header.lost_frames > 0 || block.header.starts_segment {
            self.n_filled = 0;
        }
        let mut first = 0;
        while first < n_frames {
            let n = (n_frames - first).min(self.transform.n() - self.n_filled);
            match &block.payload {
                Payload::Int16(samples) => {
                    self.fill(&samples[first * n_channels..], n, n_channels, f32::from)
                }
                Payload::Float32(samples) => self.fill(&samples[first * n_channels..], n, n_channels, |x| x),
                Payload::Counts(samples) => {
                    self.fill(&samples[first * n_channels..], n, n_channels, f32::from)
                }
            }
            first += n;
            if self.n_filled == self.transform.n() {
                self.add_segment();
            }
        }
    }

    /// Segments so far.
    pub fn n_segments(&self) -> u64 {
        self.n_segments
    }

    /// The mean over the segments, of a stream of `rate_hz`; zero where there was none.
    pub fn finish(self, rate_hz: f64) -> Densities {
        let window_power: f64 = self.transform.window.iter().map(|w| w * w).sum();
        let scale = 1.0 / (rate_hz * window_power * self.n_segments.max(1) as f64);
        let n_bins = n_bins(self.transform.n());
        let mut values = self.sums;
        for spectrum in values.chunks_mut(n_bins) {
            for (bin, value) in spectrum.iter_mut().enumerate() {
                // What stands at negative frequencies is added, where there are any.
                let sides = if bin == 0 || bin == n_bins - 1 { 1.0 } else { 2.0 };
                *value = (f64::from(*value) * scale * sides) as f32;
            }
        }
        let resolution_hz = rate_hz / self.transform.n() as f64;
        Densities { resolution_hz, n_segments: self.n_segments, n_bins, values }
    }

    /// Appends `n` frames to every channel's segment.
    fn fill<T: Copy>(&mut self, samples: &[T], n: usize, n_channels: usize, value: impl Fn(T) -> f32) {
        let (length, at) = (self.transform.n(), self.n_filled);
        for (&channel, segment) in self.channels.iter().zip(self.segments.chunks_mut(length)) {
            let column = samples[channel..].iter().step_by(n_channels);
            for (slot, sample) in segment[at..at + n].iter_mut().zip(column) {
                *slot = value(*sample);
            }
        }
        self.n_filled += n;
    }

    /// The segment is full: adds it, and keeps its second half as the first of the next.
    fn add_segment(&mut self) {
        let length = self.transform.n();
        let spectra = self.sums.chunks_mut(n_bins(length));
        for (segment, sums) in self.segments.chunks_mut(length).zip(spectra) {
            self.transform.add_periodogram(segment, sums);
            segment.copy_within(length / 2.., 0);
        }
        self.n_filled = length / 2;
        self.n_segments += 1;
    }
}

/// The window and the Fourier transform of one segment, with their memory.
struct Transform {
    fft: Arc<dyn RealToComplex<f64>>,
    window: Vec<f64>,
    windowed: Vec<f64>,
    spectrum: Vec<Complex<f64>>,
    scratch: Vec<Complex<f64>>,
}

impl Transform {
    fn new(n: usize) -> Self {
        let fft = RealFftPlanner::<f64>::new().plan_fft_forward(n);
        // Periodic, not symmetric: halves that overlap then add up to one everywhere.
        let window = (0..n).map(|i| 0.5 - 0.5 * (TAU * i as f64 / n as f64).cos()).collect();
        let (windowed, spectrum) = (fft.make_input_vec(), fft.make_output_vec());
        let scratch = fft.make_scratch_vec();
        Transform { fft, window, windowed, spectrum, scratch }
    }

    fn n(&self) -> usize {
        self.window.len()
    }

    /// Adds |X(k)|² of a segment, less its mean.
    fn add_periodogram(&mut self, segment: &[f32], sums: &mut [f32]) {
        let mean = segment.iter().map(|&x| f64::from(x)).sum::<f64>() / segment.len() as f64;
        for ((windowed, &x), w) in self.windowed.iter_mut().zip(segment).zip(&self.window) {
            *windowed = (f64::from(x) - mean) * w;
        }
        let done = self.fft.process_with_scratch(&mut self.windowed, &mut self.spectrum, &mut self.scratch);
        done.expect("all lengths are the transform's own");
        for (sum, x) in sums.iter_mut().zip(&self.spectrum) {
            *sum += x.norm_sqr() as f32;
        }
    }
}

fn n_bins(segment_frames: usize) -> usize {
    segment_frames / 2 + 1
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::block::BLOCK_FRAMES_MAX;
    use proptest::prelude::*;
    use proptest::test_runner::RngSeed;
    use rand::RngExt;
    use rand::SeedableRng;
    use rand_distr::{Distribution, Normal};
    use rand_xoshiro::Xoshiro256PlusPlus;

    /// Blocks of floats of `n_channels`, cut as `lengths` says and then as long as a block may be.
    fn blocks(samples: &[f32], n_channels: usize, lengths: &[usize]) -> Vec<Block> {
        let (mut at, mut lengths) = (0, lengths.iter().copied());
        let n_frames = samples.len() / n_channels;
        let mut blocks = Vec::new();
        while at < n_frames {
            let n = lengths.next().unwrap_or(BLOCK_FRAMES_MAX).min(n_frames - at);
            let mut block = Block::float32(n_channels);
            let Payload::Float32(values) = &mut block.payload else { unreachable!("a block of floats") };
            values[..n * n_channels].copy_from_slice(&samples[at * n_channels..(at + n) * n_channels]);
            block.header.first_sample = crate::SampleIndex(at as u64);
            block.header.n_frames = n as u32;
            block.header.starts_segment = at == 0;
            blocks.push(block);
            at += n;
        }
        blocks
    }

    fn welch(blocks: &[Block], n_channels: usize, channels: &[usize], length: usize, rate: f64) -> Densities {
        let mut welch = Welch::new(channels.to_vec(), length);
        blocks.iter().for_each(|block| welch.observe(block, block.header.n_frames as usize, n_channels));
        welch.finish(rate)
    }

    /// Welch's sum as it stands in the paper, by the definition of the Fourier transform.
    fn slow(signal: &[f32], length: usize, rate: f64) -> Vec<f64> {
        let window = |i: usize| (std::f64::consts::PI * i as f64 / length as f64).sin().powi(2);
        let power: f64 = (0..length).map(|i| window(i).powi(2)).sum();
        let starts: Vec<usize> = (0..=signal.len() - length).step_by(length / 2).collect();
        let density = |bin: usize| {
            let of_segment = |&start: &usize| {
                let segment = &signal[start..start + length];
                let mean = segment.iter().map(|&x| f64::from(x)).sum::<f64>() / length as f64;
                let (mut re, mut im) = (0.0, 0.0);
                for (i, &x) in segment.iter().enumerate() {
                    let turn = TAU * (bin * i % length) as f64 / length as f64;
                    re += (f64::from(x) - mean) * window(i) * turn.cos();
                    im -= (f64::from(x) - mean) * window(i) * turn.sin();
                }
                re * re + im * im
            };
            let sides = if bin == 0 || bin == length / 2 { 1.0 } else { 2.0 };
            sides * starts.iter().map(of_segment).sum::<f64>() / (starts.len() as f64 * rate * power)
        };
        (0..=length / 2).map(density).collect()
    }

    fn noise(n: usize, deviation: f64, seed: u64) -> Vec<f32> {
        let mut rng = Xoshiro256PlusPlus::seed_from_u64(seed);
        let normal = Normal::new(0.0, deviation).expect("a deviation");
        (0..n).map(|_| normal.sample(&mut rng) as f32).collect()
    }

    proptest! {
        #![proptest_config(ProptestConfig { rng_seed: RngSeed::Fixed(1), cases: 24, ..Default::default() })]

        #[test]
        fn it_is_the_definition_however_blocks_are_cut(
            seed in 0u64..1000, half in 4usize..40, more in 0usize..90,
            lengths in prop::collection::vec(1usize..=BLOCK_FRAMES_MAX, 0..12),
        ) {
            let (length, rate, n_channels) = (2 * half, 250.0, 3);
            let samples = noise((length + more) * n_channels, 5.0, seed);
            let found = welch(&blocks(&samples, n_channels, &lengths), n_channels, &[2, 0], length, rate);
            prop_assert_eq!(&found, &welch(&blocks(&samples, n_channels, &[]), n_channels, &[2, 0], length, rate));
            for (densities, channel) in found.values.chunks(found.n_bins).zip([2, 0]) {
                let signal: Vec<f32> = samples[channel..].iter().step_by(n_channels).copied().collect();
                let expected = slow(&signal, length, rate);
                let most = expected.iter().copied().fold(0.0, f64::max);
                for (found, expected) in densities.iter().zip(&expected) {
                    prop_assert!((f64::from(*found) - expected).abs() <= 1e-6 * expected + 1e-12 * most);
                }
            }
        }
    }

    #[test]
    fn white_noise_has_the_density_of_its_variance() {
        let (deviation, rate, length) = (8.0, 20_000.0, 1000);
        let found = welch(&blocks(&noise(400_000, deviation, 3), 1, &[]), 1, &[0], length, rate);
        let inside = &found.values[2..found.n_bins - 2];
        let mean = inside.iter().map(|&x| f64::from(x)).sum::<f64>() / inside.len() as f64;
        let expected = 2.0 * deviation * deviation / rate;
        assert!((mean / expected - 1.0).abs() < 0.01, "{mean} for {expected}");
        assert_eq!(found.n_segments, 799);
    }

    /// Parseval: the sum over all bins is the variance.
    #[test]
    fn a_sine_has_half_its_amplitude_squared() {
        let (amplitude, rate, length) = (30.0, 1000.0, 500);
        for frequency in [50.0, 51.0, 312.7] {
            let at = |i: usize| (amplitude * (TAU * frequency * i as f64 / rate).sin() + 700.0) as f32;
            let signal: Vec<f32> = (0..20_000).map(at).collect();
            let found = welch(&blocks(&signal, 1, &[]), 1, &[0], length, rate);
            let power: f64 = found.values.iter().map(|&x| f64::from(x) * found.resolution_hz).sum();
            let expected = amplitude * amplitude / 2.0;
            assert!((power / expected - 1.0).abs() < 2e-3, "{frequency} Hz: {power} for {expected}");
            let peak = (0..found.n_bins).max_by(|&a, &b| found.values[a].total_cmp(&found.values[b]));
            assert!((peak.unwrap() as f64 * found.resolution_hz - frequency).abs() <= 1.0);
        }
    }

    #[test]
    fn no_segment_reaches_over_lost_frames() {
        let mut rng = Xoshiro256PlusPlus::seed_from_u64(9);
        let samples: Vec<f32> = (0..640).map(|_| rng.random_range(-9.0..9.0)).collect();
        let mut cut = blocks(&samples, 1, &[]);
        let whole = welch(&cut, 1, &[0], 64, 100.0);
        assert_eq!(whole.n_segments, 19);
        cut[5].header.lost_frames = 7;
        assert_eq!(welch(&cut, 1, &[0], 64, 100.0).n_segments, 9 + 9);
        for block in &mut cut {
            block.header.lost_frames = 1;
        }
        assert_eq!(welch(&cut, 1, &[0], 128, 100.0).n_segments, 0);
        assert!(welch(&cut, 1, &[0], 128, 100.0).values.iter().all(|&x| x == 0.0));
    }
}
