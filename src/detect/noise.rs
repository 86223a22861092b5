//! The noise of each channel, from which thresholds are set.
//!
//! In: [`Tile`]s of what spikes are looked for in ([`super::operator`]), every tile of a stretch of the stream. Out:
//! one value a channel, in its unit (µV, or µV² of NEO). Memory is bounded; the same bits come out however the
//! stretch is cut into blocks.

use crate::block::{TILE_CHANNELS, Tile, n_tiles};

/// How noise is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize, clap::ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum NoiseRule {
    /// `√mean(x²)`, over every frame. Spikes raise it.
    Rms,
    /// `median(|x|) / 0.6745` (Quiroga et al. 2004, Neural Comput 16:1661), over evenly spaced frames. Spikes
    /// hardly raise it.
    Mad,
    /// `−mean(x)`, over every frame, of an operator that is below zero: mean |x| of the absolute detector, mean
    /// energy of NEO. Spikes raise it. The signal itself has no mean.
    Mean,
}

impl NoiseRule {
    /// The word that stands in settings and tables.
    pub fn name(self) -> &'static str {
        match self {
            NoiseRule::Rms => "rms",
            NoiseRule::Mad => "mad",
            NoiseRule::Mean => "mean",
        }
    }
}

/// Collects a stretch of the stream and ends in one noise value per channel.
#[derive(Clone, Debug)]
pub struct NoiseEstimator {
    n_channels: usize,
    rule: NoiseRule,
    /// Every `stride`-th frame enters a median.
    stride: u64,
    /// Frames that a median holds of each channel.
    capacity: usize,
    tiles: Vec<TileNoise>,
}

#[derive(Clone, Debug)]
struct TileNoise {
    n_frames: u64,
    /// Of squares, or of what the mean is taken of.
    sums: [f64; TILE_CHANNELS],
    magnitudes: Vec<[f32; TILE_CHANNELS]>,
}

impl NoiseEstimator {
    /// For `frames_total` frames of `n_channels`. Medians are taken over at most [`NOISE_SAMPLES_MAX`] samples a
    /// channel and [`NOISE_VALUES_MAX`] in all, evenly spaced over these frames.
    pub fn new(n_channels: usize, rule: NoiseRule, frames_total: u64) -> Self {
        let lanes = (n_tiles(n_channels) * TILE_CHANNELS).max(1);
        let samples_max = NOISE_SAMPLES_MAX.min(NOISE_VALUES_MAX / lanes) as u64;
        let stride = frames_total.div_ceil(samples_max).max(1);
        let capacity = match rule {
            NoiseRule::Rms | NoiseRule::Mean => 0,
            NoiseRule::Mad => frames_total.div_ceil(stride) as usize,
        };
        let tile = || TileNoise {
            n_frames: 0,
            sums: [0.0; TILE_CHANNELS],
            magnitudes: Vec::with_capacity(capacity),
        };
        let tiles = (0..n_tiles(n_channels)).map(|_| tile()).collect();
        NoiseEstimator { n_channels, rule, stride, capacity, tiles }
    }

    /// Takes in the next frames of one tile. Frames past `frames_total` enter no median.
    ///
    /// # Panics
    /// If the stream has no tile of that index.
    pub fn observe(&mut self, tile: &Tile) {
        let noise = &mut self.tiles[tile.index];
        if self.capacity == 0 {
            match self.rule {
                NoiseRule::Mean => add_negated(tile.frames(), &mut noise.sums),
                NoiseRule::Rms | NoiseRule::Mad => add_squares(tile.frames(), &mut noise.sums),
            }
            noise.n_frames += tile.n_frames as u64;
            return;
        }
        for frame in tile.frames() {
            if noise.n_frames.is_multiple_of(self.stride) && noise.magnitudes.len() < self.capacity {
                noise.magnitudes.push(frame.map(f32::abs));
            }
            noise.n_frames += 1;
        }
    }

    /// One value per channel: by RMS and MAD its standard deviation if its noise is Gaussian. 0 where the channel
    /// was silent (half of the time, for a median) or nothing was observed.
    pub fn finish(self) -> Vec<f32> {
        let mut column = Vec::with_capacity(self.capacity);
        let mut noise = Vec::with_capacity(self.tiles.len() * TILE_CHANNELS);
        for tile in self.tiles {
            for lane in 0..TILE_CHANNELS {
                let mean = tile.sums[lane] / (tile.n_frames as f64).max(1.0);
                noise.push(match self.rule {
                    NoiseRule::Rms => mean.sqrt() as f32,
                    // Of silence −0 otherwise.
                    NoiseRule::Mean => (mean + 0.0) as f32,
                    NoiseRule::Mad => {
                        column.clear();
                        column.extend(tile.magnitudes.iter().map(|frame| frame[lane]));
                        (median(&mut column) / MAD_OF_UNIT_GAUSSIAN) as f32
                    }
                });
            }
        }
        noise.truncate(self.n_channels);
        noise
    }
}

/// Adds squares in the order of the frames.
fn add_squares(frames: &[[f32; TILE_CHANNELS]], sums: &mut [f64; TILE_CHANNELS]) {
    for frame in frames {
        for (sum, &x) in sums.iter_mut().zip(frame) {
            *sum += f64::from(x) * f64::from(x);
        }
    }
}

/// Adds what is below zero, its sign turned, in the order of the frames.
fn add_negated(frames: &[[f32; TILE_CHANNELS]], sums: &mut [f64; TILE_CHANNELS]) {
    for frame in frames {
        for (sum, &x) in sums.iter_mut().zip(frame) {
            *sum -= f64::from(x);
        }
    }
}

/// The middle value, or the mean of the two middle ones; 0 of none.
fn median(values: &mut [f32]) -> f64 {
    if values.is_empty() {
        return 0.0;
    }
    let middle = values.len() / 2;
    let odd = values.len() % 2 == 1;
    let (below, &mut upper, _) = values.select_nth_unstable_by(middle, f32::total_cmp);
    let lower = if odd { upper } else { below.iter().copied().fold(0.0, f32::max) };
    (f64::from(lower) + f64::from(upper)) / 2.0
}

/// Samples of a channel that a median is taken over at most: noise to 1 %.
pub const NOISE_SAMPLES_MAX: usize = 16_384;
/// Samples of all channels at most: 256 MiB. At 50,000 channels it leaves 1,341 each: noise to 3 %.
pub const NOISE_VALUES_MAX: usize = 1 << 26;
/// The median of |x| where x is Gaussian with a standard deviation of 1.
const MAD_OF_UNIT_GAUSSIAN: f64 = 0.6745;
const _: () = assert!(NOISE_VALUES_MAX / crate::block::CHANNELS_MAX >= 1_000);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::block::BLOCK_FRAMES_MAX;
    use proptest::prelude::*;
    use proptest::test_runner::RngSeed;

    /// Both tiles of a 65-channel stream, whose channels 0 and 64 carry `uv`, in blocks of the given lengths.
    fn estimate(rule: NoiseRule, uv: &[f32], cuts: &[usize]) -> Vec<f32> {
        let mut estimator = NoiseEstimator::new(65, rule, uv.len() as u64);
        let (mut tile, mut from) = (Tile::new(), 0);
        for &n_frames in cuts {
            tile.n_frames = n_frames.min(uv.len() - from);
            for (frame, &x) in tile.frames_mut().iter_mut().zip(&uv[from..]) {
                frame[0] = x;
            }
            for index in 0..2 {
                tile.index = index;
                estimator.observe(&tile);
            }
            from += tile.n_frames;
        }
        assert_eq!(from, uv.len());
        estimator.finish()
    }

    proptest! {
        #![proptest_config(ProptestConfig {
            rng_seed: RngSeed::Fixed(1),
            failure_persistence: None,
            ..ProptestConfig::default()
        })]
        #[test]
        fn any_cut_gives_the_definition(
            uv in prop::collection::vec(-100.0_f32..100.0, 2..300),
            mut cuts in prop::collection::vec(0_usize..=BLOCK_FRAMES_MAX, 20),
        ) {
            cuts.extend([BLOCK_FRAMES_MAX; 5]);
            let rms = (uv.iter().map(|&x| f64::from(x).powi(2)).sum::<f64>() / uv.len() as f64).sqrt();
            let mut sorted: Vec<f64> = uv.iter().map(|&x| f64::from(x.abs())).collect();
            sorted.sort_by(f64::total_cmp);
            let mad = (sorted[(uv.len() - 1) / 2] + sorted[uv.len() / 2]) / 2.0 / 0.6745;
            let mean = uv.iter().map(|&x| -f64::from(x)).sum::<f64>() / uv.len() as f64;
            for (rule, expected) in [(NoiseRule::Rms, rms), (NoiseRule::Mad, mad), (NoiseRule::Mean, mean)] {
                let noise = estimate(rule, &uv, &cuts);
                prop_assert_eq!(noise.len(), 65);
                prop_assert_eq!((noise[0], noise[64], noise[1]), (expected as f32, expected as f32, 0.0));
            }
        }
    }

    #[test]
    fn long_stretches_are_thinned_evenly() {
        let n = 3 * NOISE_SAMPLES_MAX;
        // Only every third frame, the ones that stay, is not 0.
        let uv: Vec<f32> = (0..n).map(|t| if t % 3 == 0 { 6.745 } else { 0.0 }).collect();
        let cuts = vec![BLOCK_FRAMES_MAX; n.div_ceil(BLOCK_FRAMES_MAX)];
        assert_eq!(estimate(NoiseRule::Mad, &uv, &cuts)[64], 10.0);
    }

    #[test]
    fn nothing_observed_is_no_noise() {
        for rule in [NoiseRule::Rms, NoiseRule::Mad, NoiseRule::Mean] {
            assert_eq!(NoiseEstimator::new(3, rule, 0).finish(), [0.0; 3]);
        }
    }
}
