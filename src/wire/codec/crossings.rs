//! Threshold crossings with their times: how many each channel has, then when.
//!
//! In: crossings sorted by channel, then time, of consecutive channels within a span of samples. Out: bytes, near the
//! entropy of as many crossings of such rates at any times. Guarantees: lossless, also for a channel that crosses more
//! than once in a sample; a unit is decoded without any other; whatever the bytes, no more work than channels and room.
//!
//! Bytes: the version of the rate table (1), 0 for none; with 0 the level of all channels (1), else by how many levels all
//! of the table's are shifted (1, signed), which makes up for a span that isn't a bin and for what the population does
//! together; then a range-coded stream (`range`): per channel how many, as in `counts`; and for each the samples since the
//! channel's one before (the first: since the span's beginning), of all that are left in the span each as likely.

use super::counts::{Corrupt, END, cost_of, decode_one, encode_one, table_of};
use super::levels::{BIT, LevelTable, N_LEVELS, level_of, log2, mean_of, shift_of};
use super::range::{Decoder, Encoder, Full};

/// One crossing. Ordered by channel, then time, which is the order that they are coded in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Crossing {
    /// Which channel.
    pub channel: u16,
    /// Samples since the span began.
    pub offset: u16,
}

/// Where and when the crossings of a unit lie.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    /// First channel.
    pub first_channel: u32,
    /// Channels; none is beyond [`CHANNELS_MAX`].
    pub n_channels: u32,
    /// Length, samples: 1 to [`SAMPLES_MAX`].
    pub n_samples: u32,
}

/// A version of the rate table that both ends have; not 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Table<'a> {
    /// Which.
    pub version: u8,
    /// Levels of the channels of the span, as many.
    pub levels: &'a [u8],
}

/// Why crossings were not coded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotEncoded {
    /// They don't fit; by [`encode_prefix`]: not those of the first channel.
    Full,
    /// They are not sorted, lie outside the span, or are more than 65,535 of a channel; or the span or the table isn't legal.
    Illegal,
}

/// Why a unit was not read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotDecoded {
    /// No encoder wrote it for this span.
    Corrupt,
    /// It needs this version of the rate table.
    NoTable(u8),
    /// It has more crossings than there is room for.
    Full,
}

/// What [`encode_prefix`] took.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Prefix {
    /// Channels of the span, from its first on.
    pub n_channels: u32,
    /// Their crossings.
    pub n_crossings: usize,
    /// Bytes used.
    pub n_bytes: usize,
}

/// Codes all crossings of a span. The bytes used.
///
/// # Errors
/// [`NotEncoded`] with its reason; what stands in `out` then means nothing.
pub fn encode(
    crossings: &[Crossing],
    span: Span,
    table: Option<Table<'_>>,
    out: &mut [u8],
) -> Result<usize, NotEncoded> {
    check(crossings, span, table)?;
    let rates = Rates::of(crossings.len(), span, table);
    Ok(encode_as(crossings, span, span.n_channels, rates, out)?)
}

/// Codes the crossings of as many channels as surely fit into `out`, from the first on.
///
/// What it took is a span of its own; the next part begins behind it, with the crossings that are left.
///
/// # Errors
/// [`NotEncoded`] with its reason; what stands in `out` then means nothing.
pub fn encode_prefix(
    crossings: &[Crossing],
    span: Span,
    table: Option<Table<'_>>,
    out: &mut [u8],
) -> Result<Prefix, NotEncoded> {
    check(crossings, span, table)?;
    let rates = Rates::of(crossings.len(), span, table);
    let mut left = out.len().saturating_sub(HEAD + END) as u64 * 8 * u64::from(BIT);
    let (mut n_channels, mut n_crossings) = (0, 0);
    for group in Groups::of(crossings, span) {
        let Some(rest) = left.checked_sub(cost_of_group(group, span, rates.of_channel(n_channels as usize)))
        else {
            break;
        };
        left = rest;
        n_channels += 1;
        n_crossings += group.len();
    }
    if n_channels == 0 {
        return Err(NotEncoded::Full);
    }
    let n_bytes = encode_as(&crossings[..n_crossings], span, n_channels, rates, out)?;
    Ok(Prefix { n_channels, n_crossings, n_bytes })
}

/// Reads what [`encode`] or [`encode_prefix`] wrote for this span; `table` gives the levels of its channels in a version
/// of the table. How many crossings now stand in `crossings`, sorted by channel, then time. A unit that was cut short by up
/// to [`AHEAD`](super::range::AHEAD) bytes may give other crossings: whoever hands units over vouches for their length.
///
/// # Errors
/// [`NotDecoded`] with its reason; what stands in `crossings` then means nothing.
pub fn decode<'a>(
    bytes: &[u8],
    span: Span,
    table: impl FnOnce(u8) -> Option<&'a [u8]>,
    crossings: &mut [Crossing],
) -> Result<usize, NotDecoded> {
    let (&[version, about], coded) = bytes.split_first_chunk::<HEAD>().ok_or(NotDecoded::Corrupt)?;
    if !span.is_legal() {
        return Err(NotDecoded::Corrupt);
    }
    let rates = match version {
        0 if usize::from(about) < N_LEVELS => Rates::Flat(about),
        0 => return Err(NotDecoded::Corrupt),
        _ => {
            let levels = table(version).ok_or(NotDecoded::NoTable(version))?;
            let table = Table { version, levels };
            if levels.len() != span.n_channels as usize {
                return Err(NotDecoded::NoTable(version));
            }
            Rates::Known { table, shift: about as i8 }
        }
    };
    let mut decoder = Decoder::new(coded);
    let mut n_crossings = 0;
    for channel in 0..span.n_channels {
        let count = decode_one(&mut decoder, rates.of_channel(channel as usize))?;
        let to = crossings.get_mut(n_crossings..).and_then(|rest| rest.get_mut(..usize::from(count)));
        let mut before = 0;
        for crossing in to.ok_or(NotDecoded::Full)? {
            before += decoder.uniform(span.n_samples - before);
            *crossing = Crossing { channel: (span.first_channel + channel) as u16, offset: before as u16 };
        }
        n_crossings += usize::from(count);
    }
    if decoder.is_whole() { Ok(n_crossings) } else { Err(NotDecoded::Corrupt) }
}

/// The most bytes that so many crossings on so many channels can take.
#[must_use]
pub const fn bound_bytes(n_channels: usize, n_crossings: usize) -> usize {
    // 16 bits say when, 35 how many; what the coder may lose by rounding is in the 35, and 1/100 bit of each of the others.
    HEAD + END + 1 + n_channels * 35 / 8 + n_crossings * 2 + n_crossings / 800
}

impl Span {
    fn is_legal(self) -> bool {
        let end = u64::from(self.first_channel) + u64::from(self.n_channels);
        end <= u64::from(CHANNELS_MAX) && (1..=SAMPLES_MAX).contains(&self.n_samples)
    }
}

impl From<Full> for NotEncoded {
    fn from(_: Full) -> Self {
        NotEncoded::Full
    }
}

impl From<Corrupt> for NotDecoded {
    fn from(_: Corrupt) -> Self {
        NotDecoded::Corrupt
    }
}

/// What a unit takes the channels' rates to be.
#[derive(Clone, Copy)]
enum Rates<'a> {
    Flat(u8),
    Known { table: Table<'a>, shift: i8 },
}

impl<'a> Rates<'a> {
    /// Those by which this many crossings are what was to be expected.
    fn of(n_crossings: usize, span: Span, table: Option<Table<'a>>) -> Self {
        let n_channels = u64::from(span.n_channels).max(1);
        let mean = ((n_crossings as u64) << 26) / n_channels;
        match table {
            None => Rates::Flat(level_of(u32::try_from(mean).unwrap_or(u32::MAX))),
            Some(table) => {
                let sum: u64 = table.levels.iter().map(|&level| mean_of(level)).sum();
                Rates::Known { table, shift: shift_of(mean, sum / n_channels) }
            }
        }
    }

    fn head(self) -> [u8; HEAD] {
        match self {
            Rates::Flat(level) => [0, level],
            Rates::Known { table, shift } => [table.version, shift as u8],
        }
    }

    /// `channel` counted from the span's first.
    #[inline]
    fn of_channel(self, channel: usize) -> &'static LevelTable {
        match self {
            Rates::Flat(level) => table_of(level),
            Rates::Known { table, shift } => {
                let level = i16::from(table.levels[channel]) + i16::from(shift);
                table_of(level.clamp(0, N_LEVELS as i16 - 1) as u8)
            }
        }
    }
}

/// The crossings of each channel of a span in turn, most often none.
struct Groups<'a> {
    crossings: &'a [Crossing],
    channels: core::ops::Range<u32>,
}

impl<'a> Groups<'a> {
    fn of(crossings: &'a [Crossing], span: Span) -> Self {
        Groups { crossings, channels: span.first_channel..span.first_channel + span.n_channels }
    }
}

impl<'a> Iterator for Groups<'a> {
    type Item = &'a [Crossing];

    #[inline]
    fn next(&mut self) -> Option<&'a [Crossing]> {
        let channel = self.channels.next()?;
        let n = self.crossings.iter().take_while(|crossing| u32::from(crossing.channel) == channel).count();
        let (group, rest) = self.crossings.split_at(n);
        self.crossings = rest;
        Some(group)
    }
}

/// That what is coded comes back.
fn check(crossings: &[Crossing], span: Span, table: Option<Table<'_>>) -> Result<(), NotEncoded> {
    let end = u64::from(span.first_channel) + u64::from(span.n_channels);
    let is_within = |crossing: &Crossing| {
        u32::from(crossing.channel) >= span.first_channel
            && u64::from(crossing.channel) < end
            && u32::from(crossing.offset) < span.n_samples
    };
    let is_table_legal = match table {
        None => true,
        Some(table) => table.version != 0 && table.levels.len() == span.n_channels as usize,
    };
    let is_legal = span.is_legal()
        && is_table_legal
        && crossings.is_sorted()
        && crossings.iter().all(is_within)
        && Groups::of(crossings, span).all(|group| group.len() <= usize::from(u16::MAX));
    if is_legal { Ok(()) } else { Err(NotEncoded::Illegal) }
}

/// Codes checked crossings of the span's first `n_channels`.
fn encode_as(
    crossings: &[Crossing],
    span: Span,
    n_channels: u32,
    rates: Rates<'_>,
    out: &mut [u8],
) -> Result<usize, Full> {
    let (head, rest) = out.split_first_chunk_mut::<HEAD>().ok_or(Full)?;
    *head = rates.head();
    let mut encoder = Encoder::new(rest);
    for (channel, group) in Groups::of(crossings, Span { n_channels, ..span }).enumerate() {
        encode_one(&mut encoder, rates.of_channel(channel), group.len() as u16);
        let mut before = 0;
        for crossing in group {
            let offset = u32::from(crossing.offset);
            encoder.uniform(offset - before, span.n_samples - before);
            before = offset;
        }
    }
    Ok(HEAD + encoder.finish()?)
}

/// What a channel takes at most, in 1/[`BIT`].
#[inline]
fn cost_of_group(group: &[Crossing], span: Span, table: &LevelTable) -> u64 {
    let mut cost = u64::from(cost_of(table, group.len() as u16));
    let mut before = 0;
    for crossing in group {
        cost += u64::from(log2(span.n_samples - before) + UNIFORM_LOSS);
        before = u32::from(crossing.offset);
    }
    cost
}

/// Channels of a device at most.
pub const CHANNELS_MAX: u32 = 1 << 16;
/// Samples of a span at most.
pub const SAMPLES_MAX: u32 = 1 << 16;
/// Table version, and level or shift.
const HEAD: usize = 2;
/// log2(1 + 1/256), since a step of the coder is 256 at least, and 1 for the logarithm's rounding.
const UNIFORM_LOSS: u32 = 7;

#[cfg(test)]
mod tests;
