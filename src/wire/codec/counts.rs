//! Binned counts: each channel by what is known of its rate, each unit by itself.
//!
//! In: counts of consecutive channels in one bin or in several, and a rate level a channel. Out: bytes, near the entropy
//! of counts of such rates. Guarantees: lossless for any counts; a unit is decoded without any other, so that a lost
//! packet costs nothing but itself; what depends on the past is the levels alone, and both ends know which they have.
//!
//! Bytes: where no levels are known (table 0), one byte with the level of all channels; then a range-coded stream
//! (`range`): per bin and channel the count by its level's frequencies (`levels`). A count of `n_counts` or more is the
//! escape, then its excess `e` as the number of bits of `e + 1` less one (4 bits), and these bits without the first.

use super::levels::{LevelTable, N_LEVELS, N_SYMBOLS, TABLES, level_of};
use super::range::{Decoder, Encoder, Full};

/// What is known of the rates.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Levels<'a> {
    /// Nothing: all channels of a unit are coded by the level that suits their mean, which the unit says.
    Flat,
    /// A level a channel.
    Known(&'a [u8]),
}

/// Bytes that no encoder wrote.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Corrupt;

/// Codes `counts`, bin by bin; as many channels as `levels` has, or any number where they are flat. The bytes used.
///
/// # Errors
/// [`Full`] if they don't fit into `out`.
///
/// # Panics
/// If `counts` are not whole bins of `levels`.
pub fn encode(counts: &[u16], levels: Levels<'_>, out: &mut [u8]) -> Result<usize, Full> {
    match levels {
        Levels::Flat => {
            let (head, rest) = out.split_first_mut().ok_or(Full)?;
            let level = flat_level(counts);
            *head = level;
            let table = &TABLES[usize::from(level)];
            let mut encoder = Encoder::new(rest);
            counts.iter().for_each(|&count| encode_one(&mut encoder, table, count));
            Ok(1 + encoder.finish()?)
        }
        Levels::Known(levels) => {
            assert!(!levels.is_empty() && counts.len() % levels.len() == 0, "whole bins");
            let mut encoder = Encoder::new(out);
            for bin in counts.chunks_exact(levels.len()) {
                for (&count, &level) in bin.iter().zip(levels) {
                    encode_one(&mut encoder, &TABLES[usize::from(level) % N_LEVELS], count);
                }
            }
            encoder.finish()
        }
    }
}

/// Reads what [`encode`] wrote with the same levels. Zeros at the end of a unit aren't sent, so one that was cut short
/// may give other counts: whoever hands units over vouches for their length.
///
/// # Errors
/// [`Corrupt`] if it didn't; what stands in `counts` then means nothing.
pub fn decode(bytes: &[u8], levels: Levels<'_>, counts: &mut [u16]) -> Result<(), Corrupt> {
    let mut decoder;
    match levels {
        Levels::Flat => {
            let (&level, rest) = bytes.split_first().ok_or(Corrupt)?;
            let table = TABLES.get(usize::from(level)).ok_or(Corrupt)?;
            decoder = Decoder::new(rest);
            for count in counts.iter_mut() {
                *count = decode_one(&mut decoder, table)?;
            }
        }
        Levels::Known(levels) => {
            if levels.is_empty() || counts.len() % levels.len() != 0 {
                return Err(Corrupt);
            }
            decoder = Decoder::new(bytes);
            for bin in counts.chunks_exact_mut(levels.len()) {
                for (count, &level) in bin.iter_mut().zip(levels) {
                    *count = decode_one(&mut decoder, &TABLES[usize::from(level) % N_LEVELS])?;
                }
            }
        }
    }
    if decoder.has_rest() { Err(Corrupt) } else { Ok(()) }
}

/// How many of the channels, from the first on, surely fit into `n_bytes` in one bin; 0 if not even one does.
#[must_use]
pub fn n_fitting(counts: &[u16], levels: Levels<'_>, n_bytes: usize) -> usize {
    let room = match levels {
        Levels::Flat => n_bytes.saturating_sub(1 + END),
        Levels::Known(_) => n_bytes.saturating_sub(END),
    };
    let (mut left, flat) = (room as u64 * 8 * 64, flat_level(counts));
    let mut n = 0;
    for (channel, &count) in counts.iter().enumerate() {
        let level = match levels {
            Levels::Flat => flat,
            Levels::Known(levels) => levels.get(channel).copied().unwrap_or(0),
        };
        let table = &TABLES[usize::from(level) % N_LEVELS];
        // What rounding of the coder's range may cost on top.
        let cost = cost_of(table, count) + 1;
        if cost > left {
            break;
        }
        left -= cost;
        n += 1;
    }
    n
}

/// The most bytes that `n` counts can take.
#[must_use]
pub const fn bound_bytes(n: usize) -> usize {
    // The dearest symbol is 14 bits, an escape has 20 more.
    n * 35 / 8 + 2 + END
}

fn flat_level(counts: &[u16]) -> u8 {
    let sum: u64 = counts.iter().map(|&count| u64::from(count)).sum();
    let mean = (sum << 26) / (counts.len() as u64).max(1);
    level_of(u32::try_from(mean).unwrap_or(u32::MAX))
}

#[inline]
fn encode_one(encoder: &mut Encoder<'_>, table: &LevelTable, count: u16) {
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
fn decode_one(decoder: &mut Decoder<'_>, table: &LevelTable) -> Result<u16, Corrupt> {
    let (step, code) = (decoder.step(), decoder.code());
    let mut symbol = 0;
    // Sparse channels are mostly 0, and counts fall off fast: looking one by one is quickest.
    while symbol < usize::from(table.n_counts) && code >= step * u32::from(table.begins[symbol + 1]) {
        symbol += 1;
    }
    let begin = u32::from(table.begins[symbol]);
    decoder.take(begin, u32::from(table.begins[symbol + 1]) - begin);
    if symbol < usize::from(table.n_counts) {
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

/// In 1/64 bits.
#[inline]
fn cost_of(table: &LevelTable, count: u16) -> u64 {
    let symbol = usize::from(count.min(table.n_counts)).min(N_SYMBOLS);
    let escape = match count.checked_sub(table.n_counts) {
        Some(excess) => 64 * (5 + u64::from((u32::from(excess) + 1).ilog2())),
        None => 0,
    };
    u64::from(table.cost[symbol]) + escape
}

/// Bytes that a stream may take beyond its symbols.
const END: usize = 2;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use proptest::test_runner::RngSeed;
    use std::vec;
    use std::vec::Vec;

    fn count() -> impl Strategy<Value = u16> {
        prop_oneof![20 => Just(0u16), 5 => 0u16..4, 2 => 0u16..100, 1 => any::<u16>()]
    }

    proptest! {
        #![proptest_config(ProptestConfig { rng_seed: RngSeed::Fixed(1), ..ProptestConfig::default() })]

        #[test]
        fn counts_come_back(
            counts in prop::collection::vec(count(), 1..400), levels in prop::collection::vec(any::<u8>(), 400),
            n_bins in 1usize..4, budget in 0usize..200
        ) {
            let n = counts.len() / n_bins;
            for levels in [Levels::Flat, Levels::Known(&levels[..n.max(1)])] {
                let counts = &counts[..(n * n_bins).max(1).min(counts.len()) / n.max(1) * n.max(1)];
                let mut bytes = vec![0; bound_bytes(counts.len())];
                let n_bytes = encode(counts, levels, &mut bytes).expect("the bound is one");
                let mut found = vec![7; counts.len()];
                prop_assert_eq!(decode(&bytes[..n_bytes], levels, &mut found), Ok(()));
                prop_assert_eq!(&found[..], counts);
                // A bin's beginning that is said to fit does.
                let bin = &counts[..n.max(1).min(counts.len())];
                let fits = n_fitting(bin, levels, budget);
                if fits > 0 {
                    let known = match levels { Levels::Flat => Levels::Flat, Levels::Known(l) => Levels::Known(&l[..fits]) };
                    // Flat levels suit what is coded, which may cost other bits than of the whole bin.
                    let mut room = vec![0; if known == Levels::Flat { bound_bytes(fits) } else { budget }];
                    prop_assert!(encode(&bin[..fits], known, &mut room).is_ok());
                }
            }
        }

        #[test]
        fn any_bytes_are_counts_or_corrupt(
            bytes in prop::collection::vec(any::<u8>(), 0..100), n in 0usize..200, levels in prop::collection::vec(any::<u8>(), 200)
        ) {
            let mut counts = vec![0; n];
            let _ = decode(&bytes, Levels::Flat, &mut counts);
            let _ = decode(&bytes, Levels::Known(&levels[..n]), &mut counts);
        }
    }

    #[test]
    fn what_no_encoder_wrote_is_told() {
        let counts: Vec<u16> = (0..200).map(|k| u16::from(k % 7 == 0) * (k % 5)).collect();
        let mut bytes = [0; 1000];
        let n = encode(&counts, Levels::Flat, &mut bytes).expect("room");
        let mut found = [0; 200];
        bytes[n] = 1;
        bytes[n + 6] = 1;
        assert_eq!(decode(&bytes[..n + 7], Levels::Flat, &mut found), Err(Corrupt), "bytes behind the end");
        assert_eq!(decode(&[200, 1, 2], Levels::Flat, &mut found), Err(Corrupt), "no such level");
        assert_eq!(decode(&[], Levels::Flat, &mut found), Err(Corrupt), "nothing");
    }
}
