//! Common average reference: samples of a block become tiles with the mean of their group taken off.
//!
//! In: a [`Payload`] of broadband (counts, frame by frame). Out: [`Tile`]s, `sample − mean of its group`, in
//! counts: a whole number is exact in f32, and the filter makes microvolt of it. Groups are runs of neighbouring
//! channels of any size and may span tiles; channels that are not active count in no mean and come out as zeros.
//! Guarantees: integer samples are summed exactly, floats in one fixed order, so the same bits come out however
//! the stream is cut and on every CPU.
//!
//! The mean of a group takes away what all of its electrodes share (Ludwig et al. 2009, J Neurophysiol
//! 101:1679). A group with fewer than two active channels is left as it is: its mean is the signal itself.

use super::cascade::Int16;
use crate::block::{BLOCK_FRAMES_MAX, Payload, TILE_CHANNELS, Tile, n_tiles};
use crate::simd::{Level, dispatch, prefetch};
use std::ops::Range;

/// Means of channel groups, frame by frame.
#[derive(Clone, Debug)]
pub struct CommonAverage {
    level: Level,
    n_channels: usize,
    /// Channels of a group; 0 takes no mean.
    group: usize,
    /// One entry a channel: 1 where it counts in the mean.
    weights: Vec<i16>,
    /// Active channels of each group; 0 where no mean is taken.
    n_active: Vec<u32>,
    /// Of each tile, a bit for every active lane.
    keep: Vec<u64>,
    /// Of each group, one mean a frame; the last row is zeros.
    means: Vec<[f32; BLOCK_FRAMES_MAX]>,
}

impl CommonAverage {
    /// For a stream of `n_channels`, in groups of `group` channels (0: none), the last one perhaps shorter.
    ///
    /// # Panics
    /// If `active` has another length than `n_channels`.
    pub fn new(n_channels: usize, group: usize, active: &[bool]) -> Self {
        assert_eq!(active.len(), n_channels, "one flag a channel");
        let n_groups = if group == 0 { 0 } else { n_channels.div_ceil(group) };
        let mut average = CommonAverage {
            level: Level::widest(),
            n_channels,
            group,
            weights: vec![0; n_channels],
            n_active: vec![0; n_groups],
            keep: vec![0; n_tiles(n_channels)],
            means: vec![[0.0; BLOCK_FRAMES_MAX]; n_groups + 1],
        };
        (0..n_channels).for_each(|channel| average.set_active(channel, active[channel]));
        average
    }

    /// The same on another level of vector instructions: the same bits at another speed.
    pub fn at_level(mut self, level: Level) -> Self {
        self.level = level;
        self
    }

    /// Takes a channel in or leaves it out, from the next [`CommonAverage::measure`] on.
    ///
    /// # Panics
    /// If the stream has no such channel.
    pub fn set_active(&mut self, channel: usize, active: bool) {
        self.weights[channel] = i16::from(active);
        let (tile, lane) = (channel / TILE_CHANNELS, channel % TILE_CHANNELS);
        self.keep[tile] = self.keep[tile] & !(1 << lane) | u64::from(active) << lane;
        self.count(channel);
    }

    fn count(&mut self, channel: usize) {
        if let Some(group) = channel.checked_div(self.group) {
            let n = self.weights[self.members(group)].iter().map(|&weight| weight as u32).sum();
            self.n_active[group] = if n > 1 { n } else { 0 };
        }
    }

    /// Counts a channel in its group's mean or not, from the next [`CommonAverage::measure`] on; what it is itself
    /// still comes out. Channels that were never active stay so.
    ///
    /// # Panics
    /// If the stream has no such channel.
    pub fn set_counted(&mut self, channel: usize, counted: bool) {
        let (tile, lane) = (channel / TILE_CHANNELS, channel % TILE_CHANNELS);
        if self.keep[tile] >> lane & 1 == 1 {
            self.weights[channel] = i16::from(counted);
            self.count(channel);
        }
    }

    /// The tiles into which the group of a channel reaches: those whose samples step where it gains or loses a member.
    pub(crate) fn tiles_of_group(&self, channel: usize) -> Range<usize> {
        match channel.checked_div(self.group) {
            None => 0..0,
            Some(group) => {
                let members = self.members(group);
                members.start / TILE_CHANNELS..members.end.div_ceil(TILE_CHANNELS)
            }
        }
    }

    /// The lanes of a tile that count in means, a bit each.
    ///
    /// # Panics
    /// If the stream has no such tile.
    pub fn counted(&self, tile: usize) -> u64 {
        let lanes = self.weights[tile * TILE_CHANNELS..].iter().take(TILE_CHANNELS);
        lanes.enumerate().fold(0, |bits, (lane, &weight)| bits | (weight as u64) << lane)
    }

    /// Whether no group spans tiles, so that a tile can be measured by itself.
    pub fn is_by_tile(&self) -> bool {
        self.group > 0 && TILE_CHANNELS.is_multiple_of(self.group)
    }

    /// Takes the means of every group that reaches into `tiles`, in `frames` of a block, for the
    /// [`CommonAverage::load`]s of these tiles and frames that follow.
    ///
    /// # Panics
    /// If `frames` reach past the payload or are more than [`BLOCK_FRAMES_MAX`], or the payload holds
    /// [`Payload::Counts`] or [`Payload::Crossings`].
    pub fn measure(&mut self, payload: &Payload, frames: Range<usize>, tiles: Range<usize>) {
        if self.group == 0 || tiles.is_empty() || frames.is_empty() {
            return;
        }
        let last = (tiles.end * TILE_CHANNELS).min(self.n_channels) - 1;
        for group in tiles.start * TILE_CHANNELS / self.group..=last / self.group {
            let members = self.members(group);
            let n_active = self.n_active[group];
            let means = &mut self.means[group][..frames.len()];
            let weights = &self.weights[members.clone()];
            match payload {
                Payload::Int16(samples) => {
                    let samples = &samples[frames.start * self.n_channels + members.start..];
                    match weights.first_chunk() {
                        Some(weights) if members.len() == TILE_CHANNELS => {
                            means_of_64(self.level, samples, self.n_channels, weights, n_active, means);
                        }
                        _ => means_int16(self.level, samples, self.n_channels, weights, n_active, means),
                    }
                }
                Payload::Float32(samples) => {
                    for (mean, frame) in means.iter_mut().zip(frames.clone()) {
                        let row = &samples[frame * self.n_channels..][members.clone()];
                        *mean = mean_of(f64::from(sum_float32(row, weights)), n_active);
                    }
                }
                Payload::Counts(_) | Payload::Crossings(_) => panic!("{NOT_BROADBAND}"),
            }
        }
    }

    /// Fills the tile of `tile.index` with `frames` of the block that was measured last: active lanes with
    /// `sample − mean`, all others with zeros. Sets `tile.n_frames`. A float sample that is not within
    /// ±[`FLOAT_COUNTS_MAX`] (infinite, not a number) is read as 0.
    ///
    /// # Panics
    /// As [`CommonAverage::measure`], and if the stream has no tile of that index.
    pub fn load(&self, payload: &Payload, frames: Range<usize>, tile: &mut Tile) {
        self.load_less(self.group > 0, payload, frames, tile);
    }

    /// As [`CommonAverage::load`], with nothing taken off.
    ///
    /// # Panics
    /// As [`CommonAverage::load`].
    pub(crate) fn load_raw(&self, payload: &Payload, frames: Range<usize>, tile: &mut Tile) {
        self.load_less(false, payload, frames, tile);
    }

    /// One frame of a tile, the `t`-th of those measured last, as it is and with its means taken off.
    pub(crate) fn lanes(
        &self,
        payload: &Payload,
        frames: &Range<usize>,
        t: usize,
        tile: usize,
    ) -> ([f32; TILE_CHANNELS], [f32; TILE_CHANNELS]) {
        let first = tile * TILE_CHANNELS;
        let width = TILE_CHANNELS.min(self.n_channels - first);
        let start = (frames.start + t) * self.n_channels + first;
        let raw = match payload {
            Payload::Int16(samples) => widen(&samples[start..start + width]),
            Payload::Float32(samples) => widen(&samples[start..start + width]).map(finite),
            Payload::Counts(_) | Payload::Crossings(_) => panic!("{NOT_BROADBAND}"),
        };
        let mut means = [0.0; TILE_CHANNELS];
        if self.group > 0 {
            self.spread(t, first, &mut means[..width]);
        }
        let mut referenced = [0.0; TILE_CHANNELS];
        subtract(&raw, &means, &mut referenced);
        (raw, referenced)
    }

    /// The means of the group that covers a tile, one a frame of those measured last; `None` where there is no such
    /// group.
    pub(crate) fn means_of_tile(&self, tile: usize) -> Option<&[f32; BLOCK_FRAMES_MAX]> {
        match self.group {
            group if group > 0 && group.is_multiple_of(TILE_CHANNELS) => {
                self.means.get(tile * TILE_CHANNELS / group)
            }
            _ => None,
        }
    }

    fn load_less(&self, referenced: bool, payload: &Payload, frames: Range<usize>, tile: &mut Tile) {
        let first = tile.index * TILE_CHANNELS;
        let width = TILE_CHANNELS.min(self.n_channels - first);
        let keep = std::array::from_fn(|lane| 0u32.wrapping_sub((self.keep[tile.index] >> lane) as u32 & 1));
        tile.n_frames = frames.len();
        let mut means = [0.0; TILE_CHANNELS];
        for (t, (out, frame)) in tile.uv.iter_mut().zip(frames).enumerate() {
            if referenced {
                self.spread(t, first, &mut means[..width]);
            }
            let row = frame * self.n_channels + first..frame * self.n_channels + first + width;
            match payload {
                Payload::Int16(samples) => subtract(&widen(&samples[row]), &means, out),
                Payload::Float32(samples) => {
                    let clean = widen(&samples[row]).map(finite);
                    subtract(&clean, &means, out);
                }
                Payload::Counts(_) | Payload::Crossings(_) => panic!("{NOT_BROADBAND}"),
            }
            leave_out(out, &keep);
        }
    }

    /// What [`CommonAverage::load`] would fill a tile from, for a filter that converts it on the way; `None` where a
    /// tile is not whole, has several means, or samples that may not be finite.
    pub(crate) fn samples<'a>(
        &'a self,
        payload: &'a Payload,
        frames: &Range<usize>,
        tile: usize,
    ) -> Option<Int16<'a>> {
        let first = tile * TILE_CHANNELS;
        let means = if self.group == 0 { self.means.last() } else { self.means_of_tile(tile) };
        match payload {
            Payload::Int16(samples) if first + TILE_CHANNELS <= self.n_channels => Some(Int16 {
                samples: &samples[frames.start * self.n_channels + first..],
                stride: self.n_channels,
                means: &means?[..frames.len()],
                keep: self.keep[tile],
            }),
            _ => None,
        }
    }

    /// A bit for every active lane of a tile.
    pub(crate) fn kept(&self, tile: usize) -> u64 {
        self.keep[tile]
    }

    /// Asks for the samples of a tile that is processed soon, if the stream has it.
    pub(crate) fn prefetch(&self, payload: &Payload, frames: &Range<usize>, tile: usize) {
        let first = tile * TILE_CHANNELS;
        let Payload::Int16(samples) = payload else { return };
        for frame in frames.clone() {
            let row = frame * self.n_channels + first;
            if let Some(row) = samples.get(row..row + TILE_CHANNELS) {
                prefetch(row);
            }
        }
    }

    /// Channels of a group.
    fn members(&self, group: usize) -> Range<usize> {
        group * self.group..((group + 1) * self.group).min(self.n_channels)
    }

    /// Writes the mean of each lane's group, `first` being the channel of lane 0.
    fn spread(&self, t: usize, first: usize, lanes: &mut [f32]) {
        let mut group = first / self.group;
        let mut rest = lanes;
        let mut left = self.group - first % self.group;
        while !rest.is_empty() {
            let (run, after) = rest.split_at_mut(left.min(rest.len()));
            run.fill(self.means[group][t]);
            (rest, left, group) = (after, self.group, group + 1);
        }
    }
}

dispatch! {
    fn means_of_64(
        samples: &[i16], stride: usize, weights: &[i16; TILE_CHANNELS], n_active: u32, means: &mut [f32],
    ) = tile_means;
    fn means_int16(samples: &[i16], stride: usize, weights: &[i16], n_active: u32, means: &mut [f32]) = group_means;
}

/// The means of a group of as many channels as a tile has.
#[inline(always)]
fn tile_means(
    samples: &[i16],
    stride: usize,
    weights: &[i16; TILE_CHANNELS],
    n_active: u32,
    means: &mut [f32],
) {
    let mut sums = [0; BLOCK_FRAMES_MAX];
    for (t, sum) in sums[..means.len()].iter_mut().enumerate() {
        let row: &[i16; TILE_CHANNELS] = samples[t * stride..].first_chunk().expect("a whole frame");
        *sum = (0..TILE_CHANNELS).map(|l| i32::from(row[l]) * i32::from(weights[l])).sum();
    }
    for (mean, &sum) in means.iter_mut().zip(&sums) {
        *mean = mean_of(f64::from(sum), n_active);
    }
}

/// The means of a group of any size; exact, since [`crate::block::CHANNELS_MAX`] samples of 16 bits fit 32.
#[inline(always)]
fn group_means(samples: &[i16], stride: usize, weights: &[i16], n_active: u32, means: &mut [f32]) {
    for (t, mean) in means.iter_mut().enumerate() {
        let row = &samples[t * stride..][..weights.len()];
        let sum: i32 = row.iter().zip(weights).map(|(&x, &weight)| i32::from(x) * i32::from(weight)).sum();
        *mean = mean_of(f64::from(sum), n_active);
    }
}

/// The sum over the active channels of a group, in an order that depends on nothing but the group's length.
fn sum_float32(samples: &[f32], weights: &[i16]) -> f32 {
    let mut partial = [0.0; FLOAT_PARTIALS];
    for (samples, weights) in samples.chunks(FLOAT_PARTIALS).zip(weights.chunks(FLOAT_PARTIALS)) {
        for ((partial, &sample), &weight) in partial.iter_mut().zip(samples).zip(weights) {
            *partial += finite(sample) * f32::from(weight);
        }
    }
    partial.iter().sum()
}

#[inline(always)]
fn mean_of(sum: f64, n_active: u32) -> f32 {
    if n_active == 0 { 0.0 } else { (sum / f64::from(n_active)) as f32 }
}

fn finite(sample: f32) -> f32 {
    if sample.abs() <= FLOAT_COUNTS_MAX { sample } else { 0.0 }
}

/// A tile's samples as floats; lanes past the last channel are zero.
fn widen<S: Copy + Default>(samples: &[S]) -> [f32; TILE_CHANNELS]
where
    f32: From<S>,
{
    match samples.first_chunk::<TILE_CHANNELS>() {
        Some(whole) => whole.map(f32::from),
        None => std::array::from_fn(|lane| f32::from(samples.get(lane).copied().unwrap_or_default())),
    }
}

fn subtract(samples: &[f32; TILE_CHANNELS], means: &[f32; TILE_CHANNELS], out: &mut [f32; TILE_CHANNELS]) {
    for lane in 0..TILE_CHANNELS {
        out[lane] = samples[lane] - means[lane];
    }
}

/// Zeros where `keep` is 0.
fn leave_out(frame: &mut [f32; TILE_CHANNELS], keep: &[u32; TILE_CHANNELS]) {
    for lane in 0..TILE_CHANNELS {
        frame[lane] = f32::from_bits(frame[lane].to_bits() & keep[lane]);
    }
}

/// A float sample beyond this many counts is no sample: converters have 32 bits at most, and a filter never
/// recovers from an infinity.
pub const FLOAT_COUNTS_MAX: f32 = 4_294_967_296.0;
/// Partial sums of a group of floats: the widest vector's lanes.
const FLOAT_PARTIALS: usize = 16;
const NOT_BROADBAND: &str = "a stream of counts starts at binning, not at the filters";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::block::n_tiles;
    use proptest::prelude::*;
    use proptest::test_runner::RngSeed;

    /// The definition in f64: `sample − mean of the group's active channels`, zeros elsewhere.
    fn obvious(row: &[f64], group: usize, active: &[bool]) -> Vec<f64> {
        let mean = |channel: usize| {
            let from = channel / group.max(1) * group;
            let members = (from..(from + group).min(row.len())).filter(|&c| active[c]);
            let values: Vec<f64> = members.map(|c| row[c]).collect();
            if values.len() < 2 { 0.0 } else { values.iter().sum::<f64>() / values.len() as f64 }
        };
        (0..row.len()).map(|c| if active[c] { row[c] - mean(c) } else { 0.0 }).collect()
    }

    /// All tiles of `frames`, measured and loaded in the parts that `cuts` make of them: rows of lanes.
    fn referenced(payload: &Payload, average: &mut CommonAverage, cuts: &[usize]) -> Vec<Vec<f32>> {
        let n_tiles = n_tiles(average.n_channels);
        let mut rows = Vec::new();
        let mut tile = Tile::new();
        for frames in cuts.windows(2).map(|cut| cut[0]..cut[1]) {
            let mut part = vec![Vec::new(); frames.len()];
            average.measure(payload, frames.clone(), 0..n_tiles);
            for index in 0..n_tiles {
                tile.index = index;
                average.load(payload, frames.clone(), &mut tile);
                part.iter_mut().zip(tile.frames()).for_each(|(row, lanes)| row.extend(lanes));
            }
            rows.append(&mut part);
        }
        rows
    }

    proptest! {
        #![proptest_config(ProptestConfig {
            rng_seed: RngSeed::Fixed(1),
            failure_persistence: None,
            ..ProptestConfig::default()
        })]
        #[test]
        fn any_cut_gives_the_definition(
            n_channels in 1_usize..200,
            group in 0_usize..150,
            seed in 0_u32..1000,
            cut in 0_usize..=5,
        ) {
            let noise = |i: usize| (i as u32).wrapping_add(seed).wrapping_mul(2_654_435_761) >> 8;
            let samples: Vec<i16> = (0..5 * n_channels).map(|i| noise(i) as i16).collect();
            let active: Vec<bool> = (0..n_channels).map(|c| seed.is_multiple_of(2) || noise(c + 7) % 5 > 0).collect();
            let mut average = CommonAverage::new(n_channels, group, &active);
            let ints = Payload::Int16(samples.clone());
            let floats = Payload::Float32(samples.iter().map(|&s| f32::from(s)).collect());
            for payload in [&ints, &floats] {
                let whole = referenced(payload, &mut average, &[0, 5]);
                prop_assert_eq!(&whole, &referenced(payload, &mut average, &[0, cut, 5]));
                for (row, samples) in whole.iter().zip(samples.chunks(n_channels)) {
                    let samples: Vec<f64> = samples.iter().map(|&s| f64::from(s)).collect();
                    for (lane, expected) in row.iter().zip(obvious(&samples, group, &active)) {
                        prop_assert!((f64::from(*lane) - expected).abs() < 8e-3);
                    }
                    prop_assert!(row[n_channels..].iter().all(|x| x.to_bits() == 0));
                }
            }
        }
    }

    #[test]
    fn the_extremes_of_every_channel_sum_exactly() {
        let n = crate::block::CHANNELS_MAX;
        let mut average = CommonAverage::new(n, n, &vec![true; n]);
        let payload = Payload::Int16(vec![i16::MIN; n]);
        average.measure(&payload, 0..1, 0..1);
        let mut tile = Tile::new();
        average.load(&payload, 0..1, &mut tile);
        assert_eq!(tile.frames(), [[0.0; TILE_CHANNELS]]);
    }

    #[test]
    fn what_is_no_number_is_read_as_zero() {
        let mut average = CommonAverage::new(4, 4, &[true; 4]);
        let payload = Payload::Float32(vec![f32::NAN, f32::INFINITY, -1e30, 8.0]);
        average.measure(&payload, 0..1, 0..1);
        let mut tile = Tile::new();
        average.load(&payload, 0..1, &mut tile);
        assert_eq!(tile.uv[0][..5], [-2.0, -2.0, -2.0, 6.0, 0.0]);
    }
}
