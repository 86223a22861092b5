//! Weights of a linear regression reference.
//!
//! In: tiles in the spike band, without any reference, over a stretch of the stream. Out: [`RegressionWeights`], the
//! same however the stretch is cut into blocks.
//!
//! Every channel is predicted from all others of its group by ridge regression without an offset (Young et al. 2018,
//! J Neural Eng 15:026014; the ridge is ours). With P = (C + λ)⁻¹ over the group, C its mean products, the weights of
//! channel i are −P[i, j] / P[i, i]: one inversion serves all channels of a group.
//!
//! Spikes would be fitted too, where others hear a neuron: its channel then lost a tenth of the troughs (simulated). So
//! a first fit, on the beginning of the stretch, tells what a group shares. From there on, a sample that is farther
//! from what the others say of it than three deviations is taken for what they say. What is far on most
//! channels of a group at once is an artefact rather than a spike, and stays as it is.

mod spikes;

use super::ridge::solve_positive;
use crate::block::{TILE_CHANNELS, Tile, n_tiles};
use crate::filter::RegressionWeights;
use crate::simd::{Level, dispatch};
use faer::Mat;
use spikes::FirstFit;

/// Collects a stretch of the spike band and ends in weights.
pub(super) struct ReferenceFit {
    n_channels: usize,
    group: usize,
    ridge: f64,
    level: Level,
    /// Frames that only the first fit sees.
    first_frames: u64,
    /// Of those and of the others, every so many are used.
    first_stride: u64,
    stride: u64,
    tiles: Vec<TileFit>,
}

struct TileFit {
    n_frames: u64,
    /// Frames of the first fit, until it is made.
    first: Vec<[f32; TILE_CHANNELS]>,
    first_fit: Option<FirstFit>,
    products: Products,
}

impl ReferenceFit {
    /// For `frames_total` frames of `n_channels` in groups of `group`. λ is `ridge` times the mean variance of a group's
    /// channels.
    pub(super) fn new(n_channels: usize, group: usize, ridge: f64, frames_total: u64) -> Self {
        let first_frames = frames_total.div_ceil(FIRST_FIT_PARTS);
        let tile =
            || TileFit { n_frames: 0, first: Vec::new(), first_fit: None, products: Products::new(group) };
        ReferenceFit {
            n_channels,
            group,
            ridge,
            level: Level::widest(),
            first_frames,
            first_stride: first_frames.div_ceil(FIRST_FRAMES_MAX).max(1),
            stride: (frames_total - first_frames).div_ceil(FIT_FRAMES_MAX).max(1),
            tiles: (0..n_tiles(n_channels)).map(|_| tile()).collect(),
        }
    }

    /// Takes in the next frames of one tile.
    ///
    /// # Panics
    /// If the stream has no tile of that index.
    pub(super) fn observe(&mut self, tile: &Tile) {
        let (level, group, ridge) = (self.level, self.group, self.ridge);
        let fit = &mut self.tiles[tile.index];
        for frame in tile.frames() {
            let at = fit.n_frames;
            fit.n_frames += 1;
            if at < self.first_frames {
                if at.is_multiple_of(self.first_stride) {
                    fit.first.push(*frame);
                }
            } else if (at - self.first_frames).is_multiple_of(self.stride) {
                let first = std::mem::take(&mut fit.first);
                let known = fit.first_fit.get_or_insert_with(|| FirstFit::new(level, &first, group, ridge));
                fit.products.add(level, &known.without_spikes(frame), group);
            }
        }
    }

    /// The weights. Channels that are not `alive`, or silent, predict nothing and are predicted as 0; so are all of a
    /// group whose fit is singular.
    ///
    /// # Panics
    /// If there is not one flag a channel.
    pub(super) fn finish(self, alive: &[bool]) -> RegressionWeights {
        assert_eq!(alive.len(), self.n_channels, "one flag a channel");
        let mut values = Vec::with_capacity(self.n_channels * self.group);
        for (fit, alive) in self.tiles.iter().zip(alive.chunks(TILE_CHANNELS)) {
            values.extend_from_slice(fit.products.weights(alive, self.group, self.ridge).values());
        }
        RegressionWeights::from_parts(self.n_channels, self.group, values)
            .expect("every tile has those of its own")
    }
}

/// Mean products of the channels of each group of a tile.
struct Products {
    n_frames: u64,
    /// Row k has, for every lane, its products with the k-th lane of its group.
    sums: Vec<[f64; TILE_CHANNELS]>,
}

impl Products {
    fn new(group: usize) -> Self {
        Products { n_frames: 0, sums: vec![[0.0; TILE_CHANNELS]; group] }
    }

    fn add(&mut self, level: Level, frame: &[f32; TILE_CHANNELS], group: usize) {
        add_products(level, frame, group, &mut self.sums);
        self.n_frames += 1;
    }

    /// Of the channels that the tile has, `alive.len()`.
    fn weights(&self, alive: &[bool], group: usize, ridge: f64) -> RegressionWeights {
        let mut values = vec![0.0; alive.len() * group];
        let groups = values.chunks_mut(group * group).zip(alive.chunks(group));
        for (index, (values, alive)) in groups.enumerate() {
            let n = (self.n_frames as f64).max(1.0);
            let mean = |i: usize, j: usize| self.sums[j][index * group + i] / n;
            let members: Vec<usize> = (0..alive.len()).filter(|&i| alive[i] && mean(i, i) > 0.0).collect();
            let products = Mat::from_fn(members.len(), members.len(), |i, j| mean(members[i], members[j]));
            let Some(weights) = group_weights(products, ridge) else { continue };
            for (i, &channel) in members.iter().enumerate() {
                for (j, &member) in members.iter().enumerate() {
                    values[channel * group + member] = weights[(i, j)] as f32;
                }
            }
        }
        RegressionWeights::from_parts(alive.len(), group, values)
            .expect("what was fitted is finite, and nothing predicts itself")
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

/// Frames that are fitted on at most: 63 weights a channel then predict by chance 0.4 % of the variance that they were
/// fitted on.
const FIT_FRAMES_MAX: u64 = 16_384;
/// One part in so many of the stretch serves the first fit.
const FIRST_FIT_PARTS: u64 = 4;
/// Frames of the first fit at most: 200 MB at 50,000 channels.
const FIRST_FRAMES_MAX: u64 = 1_024;

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
            gains.iter().map(|gain| (gain * common + 8.0 * random().signum()) as f32).collect()
        };
        (0..n_frames).map(|_| frame()).collect()
    }

    /// Of frames that come in blocks of `n_frames`.
    fn fit(frames: &[Vec<f32>], group: usize, alive: &[bool], n_frames: usize) -> RegressionWeights {
        let n_channels = alive.len();
        let mut fit = ReferenceFit::new(n_channels, group, RIDGE, frames.len() as u64);
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
        let weights = fit(&frames, group, &alive, BLOCK_FRAMES_MAX);
        assert_eq!(weights, fit(&frames, group, &alive, 7), "other blocks, other weights");
        // This noise has bounds of its own: nothing of it is taken for a spike after the first fit.
        let frames = &frames[frames.len() / FIRST_FIT_PARTS as usize..];
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
    fn spikes_change_the_weights_little_and_shared_artefacts_a_lot() {
        let n_channels = 16;
        let quiet = shared(n_channels, 8_000, 3);
        let of = |frames: &[Vec<f32>]| fit(frames, 16, &vec![true; n_channels], 20);
        let mut spiking = quiet.clone();
        for frame in spiking.iter_mut().step_by(50) {
            frame[4] -= 300.0;
            frame[5] -= 75.0;
        }
        let next = |weights: &RegressionWeights| (weights.of(4)[5] - of(&quiet).of(4)[5]).abs();
        assert!(next(&of(&spiking)) < 0.05, "{}", next(&of(&spiking)));
        let mut struck = quiet.clone();
        for frame in struck.iter_mut().step_by(50) {
            frame.iter_mut().zip(0..).for_each(|(x, channel)| *x += 1000.0 * [1.0, 0.2][channel % 2]);
        }
        let left = |channel: usize| {
            let gains: Vec<f32> = (0..n_channels).map(|c| [1.0, 0.2][c % 2]).collect();
            let said: f32 = of(&struck).of(channel).iter().zip(&gains).map(|(w, gain)| w * gain).sum();
            (gains[channel] - said).abs()
        };
        assert!((0..n_channels).all(|channel| left(channel) < 0.05), "{}", left(0));
    }

    #[test]
    fn silence_and_numbers_beyond_all_bounds_give_no_weights() {
        let alive = vec![true; 4];
        let zeros = vec![0.0; 4 * 4];
        for value in [0.0, f32::MAX, f32::INFINITY, f32::NAN] {
            let frames = vec![vec![value; 4]; 20];
            let weights = fit(&frames, 4, &alive, 5);
            assert!(weights.values() == zeros || value == f32::MAX, "{value}");
            assert!(weights.values().iter().all(|weight| weight.is_finite()));
        }
    }
}
