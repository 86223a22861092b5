//! Spikes told from what a group of channels shares, so that the weights of a reference are not fitted to them.
//!
//! In: frames of one tile in the spike band. Out: the same frames with what the others of the group say in place of
//! samples that are far from it. Each frame by itself: the same whatever comes before and after.

use super::Products;
use crate::block::{TILE_CHANNELS, Tile};
use crate::detect::{NoiseEstimator, NoiseRule};
use crate::filter::{RegressionReference, RegressionWeights};
use crate::simd::Level;

/// Tells spikes from what a group shares, by weights that are good enough for that.
pub(super) struct FirstFit {
    group: usize,
    /// How far a sample of each lane may be from 0, where nothing else is known of it.
    from_zero: Bounds,
    reference: RegressionReference,
    /// How far it may be from what the others say of it.
    from_said: Bounds,
}

type Bounds = [f32; TILE_CHANNELS];

impl FirstFit {
    /// Of some frames, for those that come after them.
    pub(super) fn new(level: Level, frames: &[[f32; TILE_CHANNELS]], group: usize, ridge: f64) -> Self {
        let nothing = RegressionWeights::from_parts(TILE_CHANNELS, group, vec![0.0; TILE_CHANNELS * group])
            .expect("zeros are weights");
        let from_zero = bounds_of(&nothing, frames);
        let mut products = Products::new(group);
        for frame in frames {
            let clean = without_spikes(frame, &[0.0; TILE_CHANNELS], &from_zero, group);
            products.add(level, &clean, group);
        }
        let weights = products.weights(&[true; TILE_CHANNELS], group, ridge);
        let from_said = bounds_of(&weights, frames);
        FirstFit { group, from_zero, reference: RegressionReference::new(&weights, 0..1), from_said }
    }

    /// The frame with what the others say in place of spikes. Round by round, what they say comes less from a spike
    /// that one of them has.
    pub(super) fn without_spikes(&self, frame: &[f32; TILE_CHANNELS]) -> [f32; TILE_CHANNELS] {
        let mut clean = without_spikes(frame, &[0.0; TILE_CHANNELS], &self.from_zero, self.group);
        for _ in 0..CLEAN_ROUNDS {
            let mut left = clean;
            self.reference.process_frames(u64::MAX, u64::MAX, 0, std::slice::from_mut(&mut left));
            let said = std::array::from_fn(|lane| clean[lane] - left[lane]);
            clean = without_spikes(frame, &said, &self.from_said, self.group);
        }
        clean
    }
}

/// [`SPIKE_BOUND`] deviations of what is left of these frames.
fn bounds_of(weights: &RegressionWeights, frames: &[[f32; TILE_CHANNELS]]) -> Bounds {
    let reference = RegressionReference::new(weights, 0..1);
    let mut noise = NoiseEstimator::new(TILE_CHANNELS, NoiseRule::Mad, frames.len() as u64);
    let mut tile = Tile::new();
    for frames in frames.chunks(tile.uv.len()) {
        tile.n_frames = frames.len();
        tile.frames_mut().copy_from_slice(frames);
        reference.process(u64::MAX, u64::MAX, &mut tile);
        noise.observe(&tile);
    }
    let noise = noise.finish();
    std::array::from_fn(|lane| noise[lane] * SPIKE_BOUND)
}

/// The frame with `said` in place of what is out of bounds, but in groups where most is.
fn without_spikes(
    frame: &[f32; TILE_CHANNELS],
    said: &[f32; TILE_CHANNELS],
    bounds: &Bounds,
    group: usize,
) -> [f32; TILE_CHANNELS] {
    let is_far = |lane: usize| (frame[lane] - said[lane]).abs() > bounds[lane];
    let mut clean = *frame;
    for first in (0..TILE_CHANNELS).step_by(group) {
        let lanes = first..first + group;
        let n_live = lanes.clone().filter(|&lane| bounds[lane] > 0.0).count();
        let n_far = lanes.clone().filter(|&lane| is_far(lane)).count();
        if 2 * n_far <= n_live {
            lanes.filter(|&lane| is_far(lane)).for_each(|lane| clean[lane] = said[lane]);
        }
    }
    clean
}

/// Beyond so many standard deviations a sample is no noise: 0.3 % of Gaussian noise is.
const SPIKE_BOUND: f32 = 3.0;
/// More rounds change the weights no more.
const CLEAN_ROUNDS: usize = 2;
