//! Binned counts: each channel by what is known of its rate, each unit by itself.
//!
//! In: counts of consecutive channels in one bin or in several, and a rate level a channel. Out: bytes, near the entropy
//! of counts of such rates. Guarantees: lossless for any counts; a unit is decoded without any other, so that a lost
//! packet costs nothing but itself; what depends on the past is the levels alone, and both ends know which they have.
//!
//! Bytes: where no levels are known (table 0), one byte with the half level of all channels; then a range-coded stream
//! (`range`): per bin and channel the count by its level's frequencies (`levels`). Where levels are known, neurons that fire
//! together make a bin's counts all higher or lower than their levels say: what went before in the bin tells by how much,
//! and shifts the levels of what follows (`together`). A count of `n_counts` or more is the
//! escape, then its excess `e` as the number of bits of `e + 1` less one (5 bits), and these bits without the first.

use super::levels::{BIT, LevelTable, N_HALVES, N_LEVELS, N_SYMBOLS, TABLES, half_level_of};
use super::range::{Decoder, Encoder, Full};
use super::together::Together;

/// What is known of the rates.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Levels<'a> {
    /// Nothing: all channels of a unit are coded by the level that suits their mean, which the unit says.
    Flat,
    /// A level a channel.
    Known(&'a [u8]),
    /// A level a channel, of narrower bins: in these all are so many levels higher, see
    /// [`shift_of_width`](super::rates::shift_of_width).
    Wider(&'a [u8], u8),
}

impl<'a> Levels<'a> {
    /// Those of the first `n` channels.
    ///
    /// # Panics
    /// If they are known of fewer.
    #[must_use]
    pub fn first(self, n: usize) -> Self {
        match self {
            Levels::Flat => Levels::Flat,
            Levels::Known(levels) => Levels::Known(&levels[..n]),
            Levels::Wider(levels, shift) => Levels::Wider(&levels[..n], shift),
        }
    }

    /// Levels of the bins that a table is of, and by how many they are higher in these; `None` where nothing is known.
    fn known(self) -> Option<(&'a [u8], u8)> {
        match self {
            Levels::Flat => None,
            Levels::Known(levels) => Some((levels, 0)),
            Levels::Wider(levels, shift) => Some((levels, shift)),
        }
    }
}

/// Bytes that no encoder wrote.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Corrupt;

/// What [`encode_prefix`] took.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Prefix {
    /// Channels, each with all of its bins.
    pub n_channels: usize,
    /// Bytes used.
    pub n_bytes: usize,
}

/// Codes `counts`, bin by bin; as many channels as `levels` has, or any number where they are flat. The bytes used.
///
/// # Errors
/// [`Full`] if they don't fit into `out`.
///
/// # Panics
/// If `counts` are not whole bins of `levels`.
pub fn encode(counts: &[u16], levels: Levels<'_>, out: &mut [u8]) -> Result<usize, Full> {
    let (n_channels, coding) = match levels.known() {
        None => (counts.len().max(1), Coding::One(flat_level(counts.iter()))),
        Some((levels, shift)) => (levels.len(), Coding::Each(levels, shift)),
    };
    assert!(n_channels > 0 && counts.len() % n_channels == 0, "whole bins");
    encode_as(counts.chunks_exact(n_channels), coding, out)
}

/// Codes as many channels as surely fit into `out`, from `first` on, of whole bins of `n_channels`; `levels` are those
/// of all channels. The parts that packets carry are made by calling it again with `first + n_channels` of what it took.
///
/// # Errors
/// [`Full`] if not even one channel fits.
///
/// # Panics
/// If `counts` are not whole bins of `n_channels`, `levels` not as many, or `first` is none of them.
pub fn encode_prefix(
    counts: &[u16],
    n_channels: usize,
    first: usize,
    levels: Levels<'_>,
    out: &mut [u8],
) -> Result<Prefix, Full> {
    assert!(first < n_channels && counts.len() % n_channels == 0, "whole bins, and a channel of them");
    let bins = || counts.chunks_exact(n_channels).map(|bin| &bin[first..]);
    let coding = match levels.known() {
        None => Coding::One(flat_level(bins().flatten())),
        Some((levels, shift)) => {
            assert!(levels.len() == n_channels, "a level a channel");
            Coding::Each(&levels[first..], shift)
        }
    };
    let n = n_fitting_as(bins(), coding, out.len());
    if n == 0 {
        return Err(Full);
    }
    let coding = match coding {
        Coding::One(level) => Coding::One(level),
        Coding::Each(levels, shift) => Coding::Each(&levels[..n], shift),
    };
    let n_bytes = encode_as(bins().map(|bin| &bin[..n]), coding, out)?;
    Ok(Prefix { n_channels: n, n_bytes })
}

/// Reads what [`encode`] or [`encode_prefix`] wrote with the same levels. A unit that was cut short by up to
/// [`AHEAD`](super::range::AHEAD) bytes may give other counts: whoever hands units over vouches for their length.
///
/// # Errors
/// [`Corrupt`] if it didn't; what stands in `counts` then means nothing.
pub fn decode(bytes: &[u8], levels: Levels<'_>, counts: &mut [u16]) -> Result<(), Corrupt> {
    let mut decoder;
    match levels.known() {
        None => {
            let (&level, rest) = bytes.split_first().ok_or(Corrupt)?;
            let table = TABLES.get(usize::from(level)).ok_or(Corrupt)?;
            decoder = Decoder::new(rest);
            for count in counts.iter_mut() {
                *count = decode_one(&mut decoder, table)?;
            }
        }
        Some((levels, shift)) => {
            if levels.is_empty() || counts.len() % levels.len() != 0 {
                return Err(Corrupt);
            }
            decoder = Decoder::new(bytes);
            for bin in counts.chunks_exact_mut(levels.len()) {
                let mut together = Together::new();
                for (count, &level) in bin.iter_mut().zip(levels) {
                    let half = half_above(level, shift);
                    *count = decode_one(&mut decoder, together.table(half))?;
                    together.enter(half, *count);
                }
            }
        }
    }
    if decoder.is_whole() { Ok(()) } else { Err(Corrupt) }
}

/// How many of the channels, from the first on, surely fit into `n_bytes` in one bin; 0 if not even one does. Where
/// levels are flat that is with the level of all of `counts`, which [`encode_prefix`] takes.
#[must_use]
pub fn n_fitting(counts: &[u16], levels: Levels<'_>, n_bytes: usize) -> usize {
    let coding = match levels.known() {
        None => Coding::One(flat_level(counts.iter())),
        Some((levels, shift)) => Coding::Each(levels, shift),
    };
    n_fitting_as(core::iter::once(counts), coding, n_bytes)
}

/// The most bytes that `n` counts can take.
#[must_use]
pub const fn bound_bytes(n: usize) -> usize {
    // The dearest symbol is 14 bits, an escape has 20 more, and each of these four may lose 1/700 bit.
    n * 35 / 8 + 2 + END
}

/// By which levels, once that is settled.
#[derive(Clone, Copy)]
enum Coding<'a> {
    /// The same for all, and the unit says which.
    One(u8),
    /// A level a channel, so many higher.
    Each(&'a [u8], u8),
}

fn encode_as<'c>(
    bins: impl Iterator<Item = &'c [u16]>,
    coding: Coding<'_>,
    out: &mut [u8],
) -> Result<usize, Full> {
    match coding {
        Coding::One(level) => {
            let (head, rest) = out.split_first_mut().ok_or(Full)?;
            *head = level;
            let table = &TABLES[usize::from(level) % N_HALVES];
            let mut encoder = Encoder::new(rest);
            bins.flatten().for_each(|&count| encode_one(&mut encoder, table, count));
            Ok(1 + encoder.finish()?)
        }
        Coding::Each(levels, shift) => {
            let mut encoder = Encoder::new(out);
            for bin in bins {
                let mut together = Together::new();
                for (&count, &level) in bin.iter().zip(levels) {
                    let half = half_above(level, shift);
                    encode_one(&mut encoder, together.table(half), count);
                    together.enter(half, count);
                }
            }
            encoder.finish()
        }
    }
}

/// Channels of each bin that fit, by the costs of their counts.
fn n_fitting_as<'c>(
    bins: impl Iterator<Item = &'c [u16]> + Clone,
    coding: Coding<'_>,
    n_bytes: usize,
) -> usize {
    let n_channels = bins.clone().map(<[u16]>::len).min().unwrap_or(0);
    let (head, n_levels) = match coding {
        Coding::One(_) => (1, n_channels),
        Coding::Each(levels, _) => (0, levels.len()),
    };
    let room = n_bytes.saturating_sub(head + END) as u64 * 8 * u64::from(BIT);
    // So many of each bin fit if it were alone; of several, as many as fit beside each other.
    let mut most = n_channels.min(n_levels);
    let mut n_bins = 0;
    for bin in bins.clone() {
        most = cost_of_first(&bin[..most], coding, room).0;
        n_bins += 1;
    }
    let mut least = if n_bins > 1 { 0 } else { most };
    while least < most {
        let middle = (least + most).div_ceil(2);
        let cost: u64 = bins.clone().map(|bin| cost_of_first(&bin[..middle], coding, u64::MAX).1).sum();
        if cost <= room {
            least = middle;
        } else {
            most = middle - 1;
        }
    }
    least
}

/// How many counts of a bin, from the first on, cost no more than `room`, and what these cost; in 1/[`BIT`].
fn cost_of_first(bin: &[u16], coding: Coding<'_>, room: u64) -> (usize, u64) {
    let (mut together, mut sum) = (Together::new(), 0);
    for (channel, &count) in bin.iter().enumerate() {
        let cost = match coding {
            Coding::One(half) => cost_of(&TABLES[usize::from(half) % N_HALVES], count),
            Coding::Each(levels, shift) => {
                let half = half_above(levels[channel], shift);
                let cost = cost_of(together.table(half), count);
                together.enter(half, count);
                cost
            }
        };
        if sum + u64::from(cost) > room {
            return (channel, sum);
        }
        sum += u64::from(cost);
    }
    (bin.len(), sum)
}

/// The half level of counts that are all coded alike.
fn flat_level<'c>(counts: impl Iterator<Item = &'c u16>) -> u8 {
    let (mut n, mut sum) = (0u64, 0u64);
    for &count in counts {
        n += 1;
        sum += u64::from(count);
    }
    half_level_of(u32::try_from((sum << 26) / n.max(1)).unwrap_or(u32::MAX))
}

#[inline]
pub(super) fn table_of(level: u8) -> &'static LevelTable {
    &TABLES[2 * (usize::from(level) % N_LEVELS)]
}

/// The half level of `shift` levels more.
#[inline]
fn half_above(level: u8, shift: u8) -> usize {
    2 * (usize::from(level) % N_LEVELS + usize::from(shift))
}

#[inline]
pub(super) fn encode_one(encoder: &mut Encoder<'_>, table: &LevelTable, count: u16) {
    // Sparse channels are mostly 0.
    if count == 0 {
        encoder.encode(0, u32::from(table.begins[1]));
    } else {
        encode_more(encoder, table, count);
    }
}

/// A count of at least 1.
fn encode_more(encoder: &mut Encoder<'_>, table: &LevelTable, count: u16) {
    let symbol = usize::from(count.min(table.n_counts));
    let begin = u32::from(table.begins[symbol]);
    encoder.encode(begin, u32::from(table.begins[symbol + 1]) - begin);
    if count >= table.n_counts {
        let excess = u32::from(count - table.n_counts) + 1;
        let n = excess.ilog2();
        encoder.bits(n, 5);
        let low = n.min(8);
        encoder.bits(excess, low);
        encoder.bits(excess >> low, n - low);
    }
}

#[inline]
pub(super) fn decode_one(decoder: &mut Decoder<'_>, table: &LevelTable) -> Result<u16, Corrupt> {
    // Sparse channels are mostly 0.
    if decoder.take_first(u32::from(table.begins[1])) {
        return Ok(0);
    }
    decode_more(decoder, table)
}

/// A count of at least 1.
fn decode_more(decoder: &mut Decoder<'_>, table: &LevelTable) -> Result<u16, Corrupt> {
    let (step, code) = (decoder.step(), decoder.code());
    let n_counts = usize::from(table.n_counts).min(N_SYMBOLS);
    // Counts fall off fast: looking one by one is quickest.
    let mut symbol = 1;
    while symbol < n_counts && code >= step * u32::from(table.begins[symbol + 1]) {
        symbol += 1;
    }
    let begin = u32::from(table.begins[symbol]);
    decoder.take(begin, u32::from(table.begins[symbol + 1]) - begin);
    if symbol < n_counts {
        return Ok(symbol as u16);
    }
    let n = decoder.bits(5);
    if n > 16 {
        return Err(Corrupt);
    }
    let low = n.min(8);
    let value = decoder.bits(low);
    let excess = (1 << n | decoder.bits(n - low) << low | value) - 1;
    u16::try_from(excess + u32::from(table.n_counts)).map_err(|_| Corrupt)
}

/// What [`encode_one`] takes at most, in 1/[`BIT`].
#[inline]
pub(super) fn cost_of(table: &LevelTable, count: u16) -> u32 {
    let symbol = usize::from(count.min(table.n_counts));
    let escape = match count.checked_sub(table.n_counts) {
        // Three more steps of the coder lose a little each.
        Some(excess) => BIT * (5 + (u32::from(excess) + 1).ilog2()) + 6,
        None => 0,
    };
    u32::from(table.cost[symbol]) + escape
}

/// Bytes that a stream may take beyond its symbols.
pub(super) const END: usize = 2;

#[cfg(test)]
mod tests;
