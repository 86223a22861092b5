//! Linear regression reference: each channel less what the others of its group say of it.
//!
//! In and out: a [`Tile`] (frames × lanes, any unit), changed in place: `y = x − W·x`, W with a zero diagonal and no
//! weight from one group to another. Groups divide a tile. Guarantees: no memory from one frame to the next; products
//! are summed in the order of the channels, none fused, so the same bits come out however the stream is cut and on
//! every CPU; lanes that are left out come out as zeros.
//!
//! Source: Young et al. 2018, J Neural Eng 15:026014, where it takes away artefacts that electrodes share unequally,
//! which a common average leaves behind. `train::calibrate` fits the weights.
//!
//! It runs on samples, before the band-pass. The weights are fitted in the spike band, so that slow potentials don't
//! decide them; a filter that treats all channels alike commutes with sums over channels, so what they take away in
//! the spike band is the same on either side of it, up to rounding. Before it, the filter finds crossings and powers
//! of what it writes on its way, as with a common average; after it, that would be another pass over the tile.

use crate::block::{BLOCK_FRAMES_MAX, TILE_CHANNELS, Tile, n_tiles};
use crate::simd::{Level, dispatch};
use std::ops::Range;

/// What each channel hears from the others of its group.
///
/// ```
/// use efference::filter::RegressionWeights;
/// // Channel 0 is predicted as half of channel 1, which is predicted as 0.
/// let weights = RegressionWeights::from_parts(2, 2, vec![0.0, 0.5, 0.0, 0.0]).unwrap();
/// assert_eq!(weights.of(0), [0.0, 0.5]);
/// assert!(RegressionWeights::from_parts(2, 2, vec![1.0; 4]).is_none(), "no channel predicts itself");
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct RegressionWeights {
    group: usize,
    /// `n_channels` rows of `group` weights.
    values: Vec<f32>,
}

impl RegressionWeights {
    /// `values` has a row of `group` weights for each of `n_channels` channels: what it takes of each member of its
    /// group, 0 of itself and of members past the last channel. `None` where that doesn't hold, a weight is not
    /// finite, or a group doesn't fit ([`is_group`]).
    pub fn from_parts(n_channels: usize, group: usize, values: Vec<f32>) -> Option<Self> {
        let fits = is_group(group) && values.len() == n_channels * group;
        let legal = |(at, &weight): (usize, &f32)| {
            let (channel, member) = (at / group, at % group);
            let other = channel / group * group + member;
            weight.is_finite() && (weight == 0.0 || (other != channel && other < n_channels))
        };
        (fits && values.iter().enumerate().all(legal)).then_some(RegressionWeights { group, values })
    }

    /// Channels of a group.
    pub fn group(&self) -> usize {
        self.group
    }

    /// Channels in all.
    pub fn n_channels(&self) -> usize {
        self.values.len() / self.group
    }

    /// All rows, as [`RegressionWeights::from_parts`] takes them.
    pub fn values(&self) -> &[f32] {
        &self.values
    }

    /// The weights by which `channel` is predicted, one for each member of its group.
    ///
    /// # Panics
    /// If there is no such channel.
    pub fn of(&self, channel: usize) -> &[f32] {
        &self.values[channel * self.group..][..self.group]
    }
}

/// Whether groups of so many channels can be regressed: 2 to [`TILE_CHANNELS`], of which a tile holds a whole number.
pub fn is_group(group: usize) -> bool {
    group >= 2 && TILE_CHANNELS.is_multiple_of(group)
}

/// Subtracts the prediction, tile by tile.
#[derive(Clone, Debug)]
pub struct RegressionReference {
    level: Level,
    /// Channels of a block: those that a lane's weights reach. A group, or several small ones.
    block: usize,
    /// `block` rows of each tile: row k has, for every lane, its weight for the k-th lane of its block.
    rows: Vec<[f32; TILE_CHANNELS]>,
}

impl RegressionReference {
    /// For `tiles` of the stream that `weights` were fitted on; they are counted from 0 here.
    ///
    /// ```
    /// use efference::block::Tile;
    /// use efference::filter::{RegressionReference, RegressionWeights};
    /// let weights = RegressionWeights::from_parts(2, 2, vec![0.0, 0.5, 0.0, 0.0]).unwrap();
    /// let reference = RegressionReference::new(&weights, 0..1);
    /// let mut tile = Tile { n_frames: 1, ..Tile::new() };
    /// tile.uv[0][..2].copy_from_slice(&[10.0, 8.0]);
    /// reference.process(u64::MAX, u64::MAX, &mut tile);
    /// assert_eq!(tile.uv[0][..2], [6.0, 8.0]);
    /// ```
    ///
    /// # Panics
    /// If the stream has no such tiles.
    pub fn new(weights: &RegressionWeights, tiles: Range<usize>) -> Self {
        let n_channels = weights.n_channels();
        assert!(tiles.end <= n_tiles(n_channels), "tiles {tiles:?} of {n_channels} channels");
        let (group, block) = (weights.group, weights.group.max(LANES));
        let mut rows = vec![[0.0; TILE_CHANNELS]; tiles.len() * block];
        let channels = tiles.start * TILE_CHANNELS..n_channels.min(tiles.end * TILE_CHANNELS);
        for channel in channels.clone() {
            let own = channel - channels.start;
            let (tile, lane) = (own / TILE_CHANNELS, own % TILE_CHANNELS);
            let first_member = lane % block / group * group;
            for (member, &weight) in weights.of(channel).iter().enumerate() {
                rows[tile * block + first_member + member][lane] = weight;
            }
        }
        RegressionReference { level: Level::widest(), block, rows }
    }

    /// The same on another level of vector instructions: the same bits at another speed.
    pub fn at_level(mut self, level: Level) -> Self {
        self.level = level;
        self
    }

    /// Takes from every lane of a tile what the others of its group say of it. Lanes without their bit in `heard` (those
    /// that failed) say nothing; lanes without their bit in `kept` become zeros.
    ///
    /// # Panics
    /// If `tile.index` is not below the number of tiles that it was built for.
    pub fn process(&self, heard: u64, kept: u64, tile: &mut Tile) {
        self.process_frames(heard, kept, tile.index, tile.frames_mut());
    }

    /// As [`RegressionReference::process`], of frames of tile `index`.
    pub(crate) fn process_frames(
        &self,
        heard: u64,
        kept: u64,
        index: usize,
        frames: &mut [[f32; TILE_CHANNELS]],
    ) {
        let rows = &self.rows[index * self.block..][..self.block];
        let of_lanes = |bits: u64| std::array::from_fn(|lane| 0u32.wrapping_sub((bits >> lane) as u32 & 1));
        let masks = Masks { heard: of_lanes(heard), kept: of_lanes(kept) };
        match self.level.name() {
            // Where a block is a tile, AVX-512 has registers for all of its lanes in four frames.
            "avx512" if self.block == TILE_CHANNELS => {
                referenced::<TILE_CHANNELS, 4>(self.level, frames, rows, &masks);
            }
            _ => referenced::<LANES, 2>(self.level, frames, rows, &masks),
        }
    }
}

/// All ones or zeros for each lane.
struct Masks {
    heard: [u32; TILE_CHANNELS],
    kept: [u32; TILE_CHANNELS],
}

dispatch! {
    fn referenced<const L: usize, const F: usize>(
        frames: &mut [[f32; TILE_CHANNELS]], rows: &[[f32; TILE_CHANNELS]], masks: &Masks,
    ) = reference_frames::<L, F>;
}

/// `F` frames at once, so that a weight is read once for all of them. Plain loops: a closure inside would be compiled
/// for the baseline.
#[inline(always)]
fn reference_frames<const L: usize, const F: usize>(
    frames: &mut [[f32; TILE_CHANNELS]],
    rows: &[[f32; TILE_CHANNELS]],
    masks: &Masks,
) {
    let (groups, rest) = frames.as_chunks_mut::<F>();
    for frames in groups {
        reference_some::<L, F>(frames, rows, masks);
    }
    for frame in rest {
        reference_some::<L, 1>(std::array::from_mut(frame), rows, masks);
    }
}

/// `x − Σ w·x` of `L` lanes by `F` frames at a time; `L` divides the number of rows.
#[inline(always)]
fn reference_some<const L: usize, const F: usize>(
    frames: &mut [[f32; TILE_CHANNELS]; F],
    rows: &[[f32; TILE_CHANNELS]],
    masks: &Masks,
) {
    let x = *frames;
    let mut heard = x;
    for frame in &mut heard {
        for (x, heard) in frame.iter_mut().zip(&masks.heard) {
            *x = f32::from_bits(x.to_bits() & heard);
        }
    }
    for first in (0..TILE_CHANNELS).step_by(L) {
        let block = first / rows.len() * rows.len();
        let mut sums = [[0.0f32; L]; F];
        for (k, row) in rows.iter().enumerate() {
            let weights: &[f32; L] = row[first..].first_chunk().expect("L divides a tile");
            for f in 0..F {
                // The rest of a division by a power of two costs nothing; a check of the index would.
                let x = heard[f][(block + k) % TILE_CHANNELS];
                for l in 0..L {
                    sums[f][l] += weights[l] * x;
                }
            }
        }
        for f in 0..F {
            for l in 0..L {
                let left = x[f][first + l] - sums[f][l];
                frames[f][first + l] = f32::from_bits(left.to_bits() & masks.kept[first + l]);
            }
        }
    }
}

/// Lanes that a kernel holds at once where it doesn't hold a whole tile; smaller groups share a block of as many.
const LANES: usize = 16;
const _: () = assert!(TILE_CHANNELS.is_multiple_of(LANES) && TILE_CHANNELS <= u64::BITS as usize);
const _: () = assert!(BLOCK_FRAMES_MAX.is_multiple_of(4));

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use proptest::test_runner::RngSeed;

    /// Numbers between −1 and 1.
    fn noise(seed: u32) -> impl FnMut() -> f32 {
        let mut state = seed;
        move || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 8) as f32 / (1 << 23) as f32 - 1.0
        }
    }

    fn weights(n_channels: usize, group: usize, random: &mut impl FnMut() -> f32) -> RegressionWeights {
        let weight = |at: usize| {
            let (channel, other) = (at / group, at / group / group * group + at % group);
            if other == channel || other >= n_channels { 0.0 } else { random() * 0.2 }
        };
        RegressionWeights::from_parts(n_channels, group, (0..n_channels * group).map(weight).collect())
            .expect("they fit")
    }

    /// The definition, in f64.
    fn obvious(x: &[f32], weights: &RegressionWeights) -> Vec<f64> {
        let of = |channel: usize| {
            let from = channel / weights.group() * weights.group();
            let said = weights.of(channel).iter().zip(&x[from..]);
            f64::from(x[channel]) - said.map(|(&w, &x)| f64::from(w) * f64::from(x)).sum::<f64>()
        };
        (0..x.len()).map(of).collect()
    }

    proptest! {
        #![proptest_config(ProptestConfig {
            cases: 64,
            rng_seed: RngSeed::Fixed(1),
            failure_persistence: None,
            ..ProptestConfig::default()
        })]
        #[test]
        fn any_cut_and_level_gives_the_same_bits_and_the_definition(
            seed in any::<u32>(),
            group in prop::sample::select(vec![2, 4, 8, 16, 32, 64]),
            n_channels in prop::sample::select(vec![2, 63, 64, 65, 150]),
            (n_frames, cut) in (1..=BLOCK_FRAMES_MAX).prop_flat_map(|n| (Just(n), 0..=n)),
            (heard, kept) in any::<(u64, u64)>(),
        ) {
            let mut random = noise(seed);
            let weights = weights(n_channels, group, &mut random);
            let n_tiles = n_tiles(n_channels);
            let reference = RegressionReference::new(&weights, 0..n_tiles);
            let of_last = RegressionReference::new(&weights, n_tiles - 1..n_tiles);
            for index in 0..n_tiles {
                let width = TILE_CHANNELS.min(n_channels - index * TILE_CHANNELS);
                let mut start = Tile { n_frames, index, ..Tile::new() };
                let fill = |frame: &mut [f32; TILE_CHANNELS]| frame[..width].fill_with(|| random() * 512.0);
                start.frames_mut().iter_mut().for_each(fill);
                let mut whole = start.clone();
                reference.process(u64::MAX, u64::MAX, &mut whole);
                for (frame, x) in whole.frames().iter().zip(start.frames()) {
                    let mut all = vec![0.0; n_channels];
                    all[index * TILE_CHANNELS..][..width].copy_from_slice(&x[..width]);
                    let expected = obvious(&all, &weights);
                    for (y, expected) in frame.iter().zip(&expected[index * TILE_CHANNELS..]) {
                        prop_assert!((f64::from(*y) - expected).abs() < 2e-3, "{y} {expected}");
                    }
                    prop_assert!(frame[width..].iter().all(|y| y.to_bits() == 0));
                }
                for level in Level::all() {
                    let mut parts = Vec::new();
                    for frames in [0..cut, cut..n_frames] {
                        let mut part = Tile { n_frames: frames.len(), index, ..Tile::new() };
                        part.frames_mut().copy_from_slice(&start.frames()[frames]);
                        reference.clone().at_level(level).process(u64::MAX, u64::MAX, &mut part);
                        parts.extend_from_slice(part.frames());
                    }
                    prop_assert!(same(&parts, whole.frames()), "{}", level.name());
                }
                let mut masked = start.clone();
                reference.process(heard, kept, &mut masked);
                let mut silenced = start.clone();
                silenced.frames_mut().iter_mut().for_each(|frame| leave_out(frame, heard));
                let spoken = silenced.clone();
                reference.process(u64::MAX, u64::MAX, &mut silenced);
                for t in 0..n_frames {
                    for lane in 0..TILE_CHANNELS {
                        let (x, spoken) = (start.uv[t][lane], spoken.uv[t][lane]);
                        // What the others say is what is taken from silence, or from the sample.
                        let said = spoken - silenced.uv[t][lane];
                        let expected = if kept >> lane & 1 == 1 { x - said } else { 0.0 };
                        prop_assert!((masked.uv[t][lane] - expected).abs() < 1e-3);
                        prop_assert!(kept >> lane & 1 == 1 || masked.uv[t][lane].to_bits() == 0);
                    }
                }
                if index + 1 == n_tiles {
                    let mut own = Tile { index: 0, ..start };
                    of_last.process(u64::MAX, u64::MAX, &mut own);
                    prop_assert!(same(own.frames(), whole.frames()), "a shard of the last tile");
                }
            }
        }
    }

    fn leave_out(frame: &mut [f32; TILE_CHANNELS], heard: u64) {
        let silent = frame.iter_mut().enumerate().filter(|(lane, _)| heard >> lane & 1 == 0);
        silent.for_each(|(_, x)| *x = 0.0);
    }

    fn same(a: &[[f32; TILE_CHANNELS]], b: &[[f32; TILE_CHANNELS]]) -> bool {
        let bits = |rows: &[[f32; TILE_CHANNELS]]| -> Vec<u32> {
            rows.as_flattened().iter().map(|x| x.to_bits()).collect()
        };
        bits(a) == bits(b)
    }

    #[test]
    fn only_weights_of_others_in_whole_groups_are_weights() {
        let of = |n_channels, group, at: usize, weight| {
            let mut values = vec![0.0; n_channels * group];
            values[at] = weight;
            RegressionWeights::from_parts(n_channels, group, values).is_some()
        };
        assert!(of(3, 2, 1, 0.5), "channel 0 of channel 1");
        assert!(!of(3, 2, 0, 0.5), "a channel of itself");
        assert!(!of(3, 2, 5, 0.5), "channel 2 of one that isn't there");
        assert!(!of(4, 2, 1, f32::NAN) && !of(4, 3, 1, 0.5) && !of(4, 1, 1, 0.5) && !of(200, 128, 1, 0.5));
        assert!(RegressionWeights::from_parts(4, 2, vec![0.0; 7]).is_none());
        assert!(!is_group(0) && is_group(2) && is_group(64) && !is_group(48));
    }
}
