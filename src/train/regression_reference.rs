//! Weights of a linear regression reference, and the noise that it leaves.
//!
//! In: tiles in the spike band, without any reference, over a stretch of the stream. Out: [`RegressionWeights`], and
//! one noise value per channel as behind them. The stretch is read once, so a live stream serves too: what the
//! weights leave of a frame follows from the frame.
//!
//! Every channel is predicted from all others of its group by ridge regression without an offset (Young et al. 2018,
//! J Neural Eng 15:026014; the ridge is ours). With P = (C + λ)⁻¹ over the group, C its mean products, the weights of
//! channel i are −P[i, j] / P[i, i]: one inversion serves all channels of a group. Spikes are part of C, as in the
//! source: a channel's own are in its prediction only as far as others hear them too.

use super::ridge::solve_positive;
use crate::block::{TILE_CHANNELS, Tile, n_tiles};
use crate::detect::noise::NOISE_VALUES_MAX;
use crate::detect::{NoiseEstimator, NoiseRule};
use crate::filter::{RegressionReference, RegressionWeights};
use crate::simd::{Level, dispatch};
use faer::Mat;

/// Collects a stretch of the spike band and ends in weights and noise.
pub(super) struct ReferenceFit {
    n_channels: usize,
    group: usize,
    ridge: f64,
    rule: NoiseRule,
    level: Level,
    /// Every so many frames one enters the products, or is kept for the noise.
    product_stride: u64,
    kept_stride: u64,
    tiles: Vec<TileSums>,
}

struct TileSums {
    n_frames: u64,
    n_products: u64,
    /// Row k has, for every lane, its product with the k-th lane of its group, summed.
    products: Vec<[f64; TILE_CHANNELS]>,
    kept: Vec<[f32; TILE_CHANNELS]>,
}

impl ReferenceFit {
    /// For `frames_total` frames of `n_channels` in groups of `group`, of which [`FIT_FRAMES_MAX`] at most enter the
    /// fit, evenly spaced, and at most as many the noise by `rule`. λ is `ridge` times the mean variance of a group's
    /// channels.
    pub(super) fn new(
        n_channels: usize,
        group: usize,
        ridge: f64,
        rule: NoiseRule,
        frames_total: u64,
    ) -> Self {
        let lanes = (n_tiles(n_channels) * TILE_CHANNELS).max(1);
        let stride = |frames_max: usize| frames_total.div_ceil(frames_max as u64).max(1);
        let tile = || TileSums {
            n_frames: 0,
            n_products: 0,
            products: vec![[0.0; TILE_CHANNELS]; group],
            kept: Vec::new(),
        };
        ReferenceFit {
            n_channels,
            group,
            ridge,
            rule,
            level: Level::widest(),
            product_stride: stride(FIT_FRAMES_MAX),
            kept_stride: stride(FIT_FRAMES_MAX.min(NOISE_VALUES_MAX / lanes)),
            tiles: (0..n_tiles(n_channels)).map(|_| tile()).collect(),
        }
    }

    /// Takes in the next frames of one tile.
    ///
    /// # Panics
    /// If the stream has no tile of that index.
    pub(super) fn observe(&mut self, tile: &Tile) {
        let sums = &mut self.tiles[tile.index];
        for frame in tile.frames() {
            if sums.n_frames.is_multiple_of(self.product_stride) {
                add_products(self.level, frame, self.group, &mut sums.products);
                sums.n_products += 1;
            }
            if sums.n_frames.is_multiple_of(self.kept_stride) {
                sums.kept.push(*frame);
            }
            sums.n_frames += 1;
        }
    }

    /// The weights, and the noise behind them, one value per channel in the tiles' unit. Channels that are not
    /// `alive`, or silent, predict nothing and are predicted as 0; so are all of a group whose fit is singular.
    ///
    /// # Panics
    /// If there is not one flag a channel.
    pub(super) fn finish(mut self, alive: &[bool]) -> (RegressionWeights, Vec<f32>) {
        assert_eq!(alive.len(), self.n_channels, "one flag a channel");
        let mut values = vec![0.0; self.n_channels * self.group];
        let groups = values.chunks_mut(self.group * self.group).zip(alive.chunks(self.group));
        for (index, (values, alive)) in groups.enumerate() {
            let first = index * self.group;
            let sums = &self.tiles[first / TILE_CHANNELS];
            let n = (sums.n_products as f64).max(1.0);
            let mean = |i: usize, j: usize| sums.products[j][first % TILE_CHANNELS + i] / n;
            let members: Vec<usize> = (0..alive.len()).filter(|&i| alive[i] && mean(i, i) > 0.0).collect();
            let products = Mat::from_fn(members.len(), members.len(), |i, j| mean(members[i], members[j]));
            let Some(weights) = group_weights(products, self.ridge) else { continue };
            for (i, &channel) in members.iter().enumerate() {
                for (j, &member) in members.iter().enumerate() {
                    values[channel * self.group + member] = weights[(i, j)] as f32;
                }
            }
        }
        let weights = RegressionWeights::from_parts(self.n_channels, self.group, values)
            .expect("what was fitted is finite, and nothing predicts itself");
        let reference = RegressionReference::new(&weights, 0..self.tiles.len());
        let kept = self.tiles.iter_mut().map(|sums| std::mem::take(&mut sums.kept)).enumerate();
        let mut noise: Vec<f32> =
            kept.flat_map(|(index, kept)| noise_of(&reference, index, self.rule, &kept)).collect();
        noise.truncate(self.n_channels);
        (weights, noise)
    }
}

/// Row i: by how much each channel enters the prediction of channel i. `None` where C + λ is not positive definite.
fn group_weights(mut products: Mat<f64>, ridge: f64) -> Option<Mat<f64>> {
    let n = products.nrows();
    let variance = (0..n).map(|i| products[(i, i)]).sum::<f64>() / n.max(1) as f64;
    (0..n).for_each(|i| products[(i, i)] += ridge * variance);
    let inverse = solve_positive(products.as_ref(), Mat::identity(n, n).as_ref())?;
    let weight = |i, j| if i == j { 0.0 } else { -inverse[(i, j)] / inverse[(i, i)] };
    let weights = Mat::from_fn(n, n, weight);
    weights.norm_max().is_finite().then_some(weights)
}

/// The noise of one tile's lanes behind the reference.
fn noise_of(
    reference: &RegressionReference,
    index: usize,
    rule: NoiseRule,
    kept: &[[f32; TILE_CHANNELS]],
) -> Vec<f32> {
    let mut noise = NoiseEstimator::new(TILE_CHANNELS, rule, kept.len() as u64);
    let mut tile = Tile::new();
    for frames in kept.chunks(tile.uv.len()) {
        (tile.n_frames, tile.index) = (frames.len(), index);
        tile.frames_mut().copy_from_slice(frames);
        reference.process(u64::MAX, &mut tile);
        tile.index = 0;
        noise.observe(&tile);
    }
    noise.finish()
}

dispatch! {
    fn add_products(frame: &[f32; TILE_CHANNELS], group: usize, sums: &mut [[f64; TILE_CHANNELS]]) = add_frame;
}

#[inline(always)]
fn add_frame(frame: &[f32; TILE_CHANNELS], group: usize, sums: &mut [[f64; TILE_CHANNELS]]) {
    let x = frame.map(f64::from);
    for (k, sums) in sums.iter_mut().enumerate() {
        // Each lane by the k-th of its own group.
        let mut other = [0.0; TILE_CHANNELS];
        for (run, x) in other.chunks_exact_mut(group).zip(x.chunks_exact(group)) {
            run.fill(x[k]);
        }
        for lane in 0..TILE_CHANNELS {
            sums[lane] += x[lane] * other[lane];
        }
    }
}

/// Frames that weights are fitted on at most: with 63 weights a channel, they then predict by chance 0.4 % of the
/// variance that they were fitted on.
const FIT_FRAMES_MAX: usize = 16_384;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::block::BLOCK_FRAMES_MAX;
    use crate::train::slow;

    /// `n_frames` of noise of each channel's own, and of noise that all share by gains of 0.5 to 1.5.
    fn shared(n_channels: usize, n_frames: usize, seed: u64) -> Vec<Vec<f32>> {
        let mut random = slow::noise(seed);
        let gains: Vec<f64> = (0..n_channels).map(|_| 1.0 + 0.5 * random()).collect();
        let mut frame = || {
            let common = 20.0 * random();
            gains.iter().map(|gain| (gain * common + 8.0 * random()) as f32).collect()
        };
        (0..n_frames).map(|_| frame()).collect()
    }

    /// Weights and noise of frames that come in blocks of `n_frames`.
    fn fit(
        frames: &[Vec<f32>],
        group: usize,
        rule: NoiseRule,
        alive: &[bool],
        n_frames: usize,
    ) -> (RegressionWeights, Vec<f32>) {
        let n_channels = alive.len();
        let mut fit = ReferenceFit::new(n_channels, group, RIDGE, rule, frames.len() as u64);
        let mut tile = Tile::new();
        for block in frames.chunks(n_frames) {
            tile.n_frames = block.len();
            for index in 0..n_tiles(n_channels) {
                tile.index = index;
                for (lanes, frame) in tile.uv.iter_mut().zip(block) {
                    let channel = |lane: usize| frame.get(index * TILE_CHANNELS + lane);
                    *lanes = std::array::from_fn(|lane| channel(lane).copied().unwrap_or(0.0));
                }
                fit.observe(&tile);
            }
        }
        fit.finish(alive)
    }

    const RIDGE: f64 = 0.01;

    #[test]
    fn weights_are_those_of_a_regression_of_each_channel_on_the_others() {
        let (n_channels, group) = (40, 16);
        let frames = shared(n_channels, 500, 1);
        let mut alive = vec![true; n_channels];
        (alive[3], alive[33]) = (false, false);
        let (weights, _) = fit(&frames, group, NoiseRule::Mad, &alive, BLOCK_FRAMES_MAX);
        for channel in 0..n_channels {
            let first = channel / group * group;
            let members: Vec<usize> = (first..n_channels.min(first + group)).filter(|&c| alive[c]).collect();
            let others: Vec<usize> = members.iter().copied().filter(|&c| c != channel).collect();
            let mean = |a: usize, b: usize| {
                frames.iter().map(|x| f64::from(x[a]) * f64::from(x[b])).sum::<f64>() / frames.len() as f64
            };
            let variance = members.iter().map(|&c| mean(c, c)).sum::<f64>() / members.len() as f64;
            let a = Mat::from_fn(others.len(), others.len(), |i, j| {
                mean(others[i], others[j]) + if i == j { RIDGE * variance } else { 0.0 }
            });
            let b = Mat::from_fn(others.len(), 1, |i, _| mean(others[i], channel));
            let expected = slow::solve(&a, &b);
            let mut row = vec![0.0; group];
            if alive[channel] {
                others.iter().enumerate().for_each(|(i, other)| row[other - first] = expected[(i, 0)]);
            }
            for (weight, expected) in weights.of(channel).iter().zip(&row) {
                assert!(
                    (f64::from(*weight) - expected).abs() < 1e-6,
                    "channel {channel}: {weight} {expected}"
                );
            }
        }
    }

    #[test]
    fn noise_is_that_of_what_is_left_however_the_stretch_is_cut() {
        let n_channels = 70;
        let frames = shared(n_channels, 999, 2);
        let alive = vec![true; n_channels];
        for rule in [NoiseRule::Rms, NoiseRule::Mad] {
            let (weights, noise) = fit(&frames, 32, rule, &alive, BLOCK_FRAMES_MAX);
            assert_eq!((weights.clone(), noise.clone()), fit(&frames, 32, rule, &alive, 7));
            let left = |channel: usize, frame: &Vec<f32>| {
                let heard = &frame[channel / 32 * 32..];
                let said = weights.of(channel).iter().zip(heard);
                f64::from(frame[channel]) - said.map(|(&w, &x)| f64::from(w) * f64::from(x)).sum::<f64>()
            };
            for (channel, &noise) in noise.iter().enumerate() {
                let mut left: Vec<f64> = frames.iter().map(|frame| left(channel, frame).abs()).collect();
                left.sort_by(f64::total_cmp);
                let expected = match rule {
                    NoiseRule::Rms => (left.iter().map(|x| x * x).sum::<f64>() / left.len() as f64).sqrt(),
                    NoiseRule::Mad => left[left.len() / 2] / 0.6745,
                };
                assert!((f64::from(noise) / expected - 1.0).abs() < 1e-4, "{noise} {expected}");
            }
        }
    }

    #[test]
    fn silence_and_numbers_beyond_all_bounds_give_no_weights() {
        let alive = vec![true; 4];
        let zeros = vec![0.0; 4 * 4];
        for value in [0.0, f32::MAX, f32::INFINITY, f32::NAN] {
            let frames = vec![vec![value; 4]; 20];
            let (weights, _) = fit(&frames, 4, NoiseRule::Rms, &alive, 5);
            assert!(weights.values() == zeros || value == f32::MAX, "{value}");
            assert!(weights.values().iter().all(|weight| weight.is_finite()));
        }
    }
}
