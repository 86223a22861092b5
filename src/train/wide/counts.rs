//! Counts of many bins of which most are 0: only the others are kept.
//!
//! In: bins one after another, as channels and counts. Out: X·P and Xᵀ·R for [`LANES`] columns at once, where X has a
//! row a bin and a column a lag and channel. Guarantee: the same bits for any number of threads, since rows are summed
//! in groups that depend on their number alone.

use crate::simd::{Level, dispatch};
use crate::train::Dataset;
use std::ops::Range;

/// Bins × channels of counts, 0 wherever nothing is said.
#[derive(Clone, Debug, Default)]
pub struct Counts {
    n_channels: usize,
    chunks: Vec<Chunk>,
    /// Bins since the segment's start, per bin.
    history: Vec<u32>,
}

/// Consecutive bins.
#[derive(Clone, Debug, Default)]
struct Chunk {
    /// Where each bin's entries end.
    ends: Vec<usize>,
    channels: Vec<u16>,
    values: Vec<f32>,
}

impl Counts {
    /// No bin yet.
    ///
    /// # Panics
    /// If there are more channels than a `u16` can number.
    pub fn new(n_channels: usize) -> Self {
        assert!(n_channels <= usize::from(u16::MAX) + 1, "channels are numbered by 16 bits");
        Counts { n_channels, ..Counts::default() }
    }

    /// The bins of a dataset of counts.
    ///
    /// # Panics
    /// As [`Counts::new`].
    pub(in crate::train) fn of(data: &Dataset) -> Self {
        let mut counts = Counts::new(data.features.ncols());
        for (row, &starts_segment) in data.features.rows().into_iter().zip(&data.starts_segment) {
            let heard = row.iter().enumerate().filter(|(_, count)| **count != 0.0);
            counts.push(starts_segment, heard.map(|(channel, &count)| (channel as u16, count)));
        }
        counts
    }

    /// Adds a bin: the channels whose count is not 0, ascending, and their counts.
    ///
    /// # Panics
    /// If a channel is beyond the last.
    pub fn push(&mut self, starts_segment: bool, counts: impl Iterator<Item = (u16, f32)>) {
        if self.history.len().is_multiple_of(CHUNK_BINS) {
            self.chunks.push(Chunk::default());
        }
        let chunk = self.chunks.last_mut().expect("a chunk was begun");
        for (channel, count) in counts.filter(|(_, count)| *count != 0.0) {
            assert!(usize::from(channel) < self.n_channels, "channel {channel} of {}", self.n_channels);
            chunk.channels.push(channel);
            chunk.values.push(count);
        }
        chunk.ends.push(chunk.channels.len());
        let before = self.history.last().copied();
        self.history.push(before.filter(|_| !starts_segment).map_or(0, |before| before + 1));
    }

    /// Bins.
    pub fn n_bins(&self) -> usize {
        self.history.len()
    }

    /// Channels.
    pub fn n_channels(&self) -> usize {
        self.n_channels
    }

    /// Counts that are not 0.
    pub fn n_entries(&self) -> usize {
        self.chunks.iter().map(|chunk| chunk.channels.len()).sum()
    }

    /// Channels and counts of a bin, those that are not 0.
    pub fn bin(&self, bin: usize) -> impl Iterator<Item = (u16, f32)> + '_ {
        let (channels, values) = self.entries(bin);
        channels.iter().copied().zip(values.iter().copied())
    }

    /// Bins since the segment's start.
    pub(super) fn history(&self, bin: usize) -> usize {
        self.history[bin] as usize
    }

    fn entries(&self, bin: usize) -> (&[u16], &[f32]) {
        let (chunk, at) = (&self.chunks[bin / CHUNK_BINS], bin % CHUNK_BINS);
        let start = if at == 0 { 0 } else { chunk.ends[at - 1] };
        (&chunk.channels[start..chunk.ends[at]], &chunk.values[start..chunk.ends[at]])
    }

    /// R = X·P over `rows`, given to `row` with the row's number; P has a row a lag and channel.
    pub(super) fn product(&self, rows: &[u32], p: &[Lanes], threads: usize) -> Vec<Lanes> {
        let mut products = vec![Lanes::default(); rows.len()];
        let groups = groups(rows.len());
        let mut open: Vec<(Range<usize>, &mut [Lanes])> = Vec::new();
        let mut rest = &mut products[..];
        for group in groups {
            let (own, others) = rest.split_at_mut(group.len());
            open.push((group, own));
            rest = others;
        }
        let level = Level::widest();
        in_parallel(open, threads, |(group, own)| {
            for (&row, into) in rows[group].iter().zip(own) {
                self.dot(level, row as usize, p, into);
            }
        });
        products
    }

    /// Z = Xᵀ·R over `rows`; `of` makes R's row from X·P of that row.
    pub(super) fn normal_product(
        &self,
        rows: &[u32],
        p: Option<&[Lanes]>,
        n_columns: usize,
        threads: usize,
        of: impl Fn(usize, &mut Lanes) + Sync,
    ) -> Vec<Lanes> {
        let level = Level::widest();
        let sums = in_parallel(groups(rows.len()), threads, |group| {
            let mut sums = vec![Lanes::default(); n_columns];
            let mut line = Lanes::default();
            for at in group {
                let row = rows[at] as usize;
                if let Some(p) = p {
                    self.dot(level, row, p, &mut line);
                }
                of(at, &mut line);
                for (lag, (channels, values)) in self.lags(row, n_columns / self.n_channels) {
                    let into = &mut sums[lag * self.n_channels..][..self.n_channels];
                    scatter(level, channels, values, &line, into);
                }
            }
            sums
        });
        let mut sums = sums.into_iter();
        let mut total = sums.next().unwrap_or_else(|| vec![Lanes::default(); n_columns]);
        for part in sums {
            for (total, part) in total.iter_mut().zip(part) {
                (0..LANES).for_each(|lane| total.0[lane] += part.0[lane]);
            }
        }
        total
    }

    fn dot(&self, level: Level, row: usize, p: &[Lanes], into: &mut Lanes) {
        *into = Lanes::default();
        for (lag, (channels, values)) in self.lags(row, p.len() / self.n_channels) {
            gather(level, channels, values, &p[lag * self.n_channels..][..self.n_channels], into);
        }
    }

    /// The lags that a row has, and their entries.
    fn lags(&self, row: usize, lags: usize) -> impl Iterator<Item = (usize, (&[u16], &[f32]))> {
        let known = (self.history[row] as usize + 1).min(lags);
        (0..known).map(move |lag| (lag, self.entries(row - lag)))
    }
}

/// Columns that go through the counts together: a cache line, and one AVX-512 register.
pub(super) const LANES: usize = 16;

/// A row of [`LANES`] columns.
#[derive(Clone, Copy, Debug, Default)]
#[repr(align(64))]
pub(super) struct Lanes(pub(super) [f32; LANES]);

/// The same parts of `n` rows whatever the number of threads.
fn groups(n: usize) -> Vec<Range<usize>> {
    (0..GROUPS).map(|at| at * n / GROUPS..(at + 1) * n / GROUPS).filter(|group| !group.is_empty()).collect()
}

/// What `of` makes of each item, in the order of the items.
fn in_parallel<T: Send, R: Send>(items: Vec<T>, threads: usize, of: impl Fn(T) -> R + Sync) -> Vec<R> {
    let threads = threads.clamp(1, items.len().max(1));
    let n = items.len();
    let mut shares: Vec<Vec<T>> = (0..threads).map(|_| Vec::new()).collect();
    for (at, item) in items.into_iter().enumerate() {
        shares[at * threads / n].push(item);
    }
    let of = &of;
    std::thread::scope(|scope| {
        let running: Vec<_> = shares
            .into_iter()
            .map(|share| scope.spawn(move || share.into_iter().map(of).collect::<Vec<R>>()))
            .collect();
        running.into_iter().flat_map(|thread| thread.join().expect("a sum doesn't fail")).collect()
    })
}

dispatch! {
    fn gather(channels: &[u16], values: &[f32], p: &[Lanes], into: &mut Lanes) = add_rows;
    fn scatter(channels: &[u16], values: &[f32], line: &Lanes, into: &mut [Lanes]) = add_to_rows;
}

/// Adds each channel's row of P times its count, in four sums that are added up at the end.
#[inline(always)]
fn add_rows(channels: &[u16], values: &[f32], p: &[Lanes], into: &mut Lanes) {
    let mut sums = [[0.0f32; LANES]; 4];
    let (channels, rest_channels) = channels.as_chunks::<4>();
    let (values, rest_values) = values.as_chunks::<4>();
    for (channels, values) in channels.iter().zip(values) {
        for k in 0..4 {
            let row = &p[usize::from(channels[k])].0;
            for lane in 0..LANES {
                sums[k][lane] += values[k] * row[lane];
            }
        }
    }
    for (&channel, &value) in rest_channels.iter().zip(rest_values) {
        let row = &p[usize::from(channel)].0;
        for lane in 0..LANES {
            sums[0][lane] += value * row[lane];
        }
    }
    for (lane, into) in into.0.iter_mut().enumerate() {
        *into += (sums[0][lane] + sums[1][lane]) + (sums[2][lane] + sums[3][lane]);
    }
}

/// Adds the line times each channel's count to the channel's row.
#[inline(always)]
fn add_to_rows(channels: &[u16], values: &[f32], line: &Lanes, into: &mut [Lanes]) {
    let line = line.0;
    for (&channel, &value) in channels.iter().zip(values) {
        let row = &mut into[usize::from(channel)].0;
        for lane in 0..LANES {
            row[lane] += value * line[lane];
        }
    }
}

/// Bins of a chunk.
const CHUNK_BINS: usize = 512;
/// Parts that rows are summed in; threads share them.
const GROUPS: usize = 16;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bin_holds_what_is_not_0_and_history_begins_with_a_segment() {
        let mut counts = Counts::new(5);
        counts.push(true, [(1, 2.0), (3, 0.0), (4, 1.5)].into_iter());
        counts.push(false, std::iter::empty());
        counts.push(true, [(0, 1.0)].into_iter());
        assert_eq!((counts.n_bins(), counts.n_entries()), (3, 3));
        assert_eq!(counts.bin(0).collect::<Vec<_>>(), [(1, 2.0), (4, 1.5)]);
        assert_eq!(counts.history, [0, 1, 0]);
    }

    #[test]
    fn groups_cover_all_rows_once_in_order() {
        for n in [0, 1, 7, 16, 1000] {
            assert_eq!(groups(n).into_iter().flatten().collect::<Vec<_>>(), (0..n).collect::<Vec<_>>());
        }
        for threads in [1, 2, 3, 40] {
            let doubled = in_parallel((0..17).collect(), threads, |x: i32| 2 * x);
            assert_eq!(doubled, (0..17).map(|x| 2 * x).collect::<Vec<_>>());
        }
    }
}
