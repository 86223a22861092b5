//! What the device knows of its channels' rates, and the tables by which it tells the host.
//!
//! In: counts bin by bin. Out: a level a channel, and tables of levels as bytes. Guarantees: whole numbers, [`Rate`]'s 4
//! bytes a channel beside the levels.
//!
//! The rule by which both ends have the same levels: a table has a version; the device sends it piece by piece, again
//! and again, until the host says that it has the whole of it; only then are counts coded with it, and they name the
//! version. The host keeps the table before until counts name the new one. Version 0 is no table: [`Levels::Flat`].
//!
//! Table bytes: kind (1): 0 alone, 1 against another version; kind 0: the level from which the others are told (1); kind
//! 1: the version of the other table (1); then a range-coded stream (`range`).
//!
//! [`Levels::Flat`]: super::counts::Levels::Flat

use super::counts::Corrupt;
use super::levels::{N_LEVELS, level_of, mean_of, shift_of};
use super::range::{Decoder, Encoder, Full, SCALE};

/// Running mean of one channel's counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Rate {
    /// In 2⁻²⁶ counts a bin; 64 and more count as 64.
    mean: u32,
}

impl Rate {
    /// Enters a bin's count. `n_before` bins came before: the mean is that of all until there are [`MEMORY`], and
    /// follows from then on.
    #[inline]
    pub fn enter(&mut self, count: u16, n_before: u32) {
        let count = u32::from(count.min(63)) << 26;
        // Towards the count from above it is rounded up, so that silence becomes none at all.
        let (up, down) = (count.saturating_sub(self.mean), self.mean.saturating_sub(count));
        self.mean = if n_before >= MEMORY - 1 {
            self.mean + up / MEMORY - down.div_ceil(MEMORY)
        } else {
            self.mean + up / (n_before + 1) - down.div_ceil(n_before + 1)
        };
    }

    /// The same channel in bins that are `wider` times as wide as before, over `narrower`.
    pub fn rescale(&mut self, wider: u32, narrower: u32) {
        let mean = u64::from(self.mean) * u64::from(wider) / u64::from(narrower.max(1));
        self.mean = u32::try_from(mean).unwrap_or(u32::MAX);
    }

    /// Its level; one that is told already stays until the mean is clearly another's, so that tables change little.
    #[must_use]
    pub fn level(&self, told: Option<u8>) -> u8 {
        let nearest = level_of(self.mean);
        match told {
            Some(told) if told.abs_diff(nearest) == 1 => {
                // A quarter of a level beyond the edge.
                let (mean, of) = (u64::from(self.mean), mean_of(told));
                let stays = mean * 4 <= of * 5 + of / 4 && mean * 5 + of / 4 >= of * 4 - of / 4;
                if stays { told } else { nearest }
            }
            _ => nearest,
        }
    }
}

/// By how many levels a channel's are higher in bins of `bin_samples` than in those of `asked_bin_samples`, which tables
/// are of: to the nearest of the ratio's, which costs a per cent where a table of these bins' own would cost half a byte
/// a channel, and the time until it is there.
#[must_use]
pub fn shift_of_width(bin_samples: u32, asked_bin_samples: u32) -> u8 {
    // With bits to spare for steps of 1.5.
    let shift = shift_of(u64::from(bin_samples) << 12, u64::from(asked_bin_samples.max(1)) << 12);
    u8::try_from(shift).unwrap_or(0)
}

/// Codes levels, against those of another version where `base` has as many. The bytes used.
///
/// # Errors
/// [`Full`] if they don't fit.
pub fn encode_table(levels: &[u8], base: Option<(u8, &[u8])>, out: &mut [u8]) -> Result<usize, Full> {
    let (head, rest) = out.split_first_chunk_mut::<2>().ok_or(Full)?;
    let mut encoder = Encoder::new(rest);
    match base {
        Some((version, base)) if base.len() == levels.len() => {
            *head = [1, version];
            for (&level, &before) in levels.iter().zip(base) {
                let (level, before) = (i32::from(level), i32::from(before));
                match level - before {
                    0 => encoder.encode(0, STAYS),
                    1 => encoder.encode(STAYS, STEPS),
                    -1 => encoder.encode(STAYS + STEPS, STEPS),
                    _ => {
                        encoder.encode(STAYS + 2 * STEPS, SCALE - STAYS - 2 * STEPS);
                        encoder.bits(level as u32, 5);
                    }
                }
            }
        }
        _ => {
            let sum: u32 = levels.iter().map(|&level| u32::from(level)).sum();
            let centre = (sum / (levels.len() as u32).max(1)) as u8;
            *head = [0, centre];
            for &level in levels {
                let place = usize::from(level) % N_LEVELS + N_LEVELS - usize::from(centre) % N_LEVELS;
                encoder.encode(SPREAD[place], SPREAD[place + 1] - SPREAD[place]);
            }
        }
    }
    Ok(2 + encoder.finish()?)
}

/// Reads levels; `base` gives those of the same channels in another version.
///
/// # Errors
/// [`Corrupt`] if no encoder wrote it, or the other version isn't there.
pub fn decode_table<'a>(
    bytes: &[u8],
    base: impl FnOnce(u8) -> Option<&'a [u8]>,
    levels: &mut [u8],
) -> Result<(), Corrupt> {
    let (&[kind, about], rest) = bytes.split_first_chunk::<2>().ok_or(Corrupt)?;
    let mut decoder = Decoder::new(rest);
    match kind {
        0 if usize::from(about) < N_LEVELS => {
            for level in levels.iter_mut() {
                let (step, code) = (decoder.step(), decoder.code());
                let mut place = 0;
                while place + 2 < SPREAD.len() && code >= step * SPREAD[place + 1] {
                    place += 1;
                }
                decoder.take(SPREAD[place], SPREAD[place + 1] - SPREAD[place]);
                let found = (place + usize::from(about)).checked_sub(N_LEVELS).ok_or(Corrupt)?;
                *level = if found < N_LEVELS { found as u8 } else { return Err(Corrupt) };
            }
        }
        1 => {
            let base = base(about).filter(|base| base.len() == levels.len()).ok_or(Corrupt)?;
            for (level, &before) in levels.iter_mut().zip(base) {
                let at = decoder.code() / decoder.step();
                *level = match at {
                    at if at < STAYS => {
                        decoder.take(0, STAYS);
                        before
                    }
                    at if at < STAYS + STEPS => {
                        decoder.take(STAYS, STEPS);
                        before.saturating_add(1)
                    }
                    at if at < STAYS + 2 * STEPS => {
                        decoder.take(STAYS + STEPS, STEPS);
                        before.checked_sub(1).ok_or(Corrupt)?
                    }
                    _ => {
                        decoder.take(STAYS + 2 * STEPS, SCALE - STAYS - 2 * STEPS);
                        decoder.bits(5) as u8
                    }
                };
                if usize::from(*level) >= N_LEVELS {
                    return Err(Corrupt);
                }
            }
        }
        _ => return Err(Corrupt),
    }
    if decoder.is_whole() { Ok(()) } else { Err(Corrupt) }
}

/// Bins over which a mean is taken: 41 s of 20 ms.
pub const MEMORY: u32 = 2048;
/// Of the scale: a level that stays, and one that goes a step up or down. Most stay from one table to the next.
const STAYS: u32 = SCALE * 7 / 8;
const STEPS: u32 = SCALE / 20;

/// Where a level stands in the spread round the centre: rates are log-normal, about two levels wide (Buzsáki and Mizuseki
/// 2014), which the integers below follow as 1/(1 + (d/2)²)², wide enough at the sides for silent channels.
static SPREAD: [u32; 2 * N_LEVELS + 1] = spread();

const fn spread() -> [u32; 2 * N_LEVELS + 1] {
    let mut weights = [0u32; 2 * N_LEVELS];
    let mut total = 0;
    let mut place = 0;
    while place < 2 * N_LEVELS {
        let d = place as i64 - N_LEVELS as i64;
        let wide = 16 + d * d;
        weights[place] = (40_000_000 / (wide * wide)) as u32 + 30;
        total += weights[place];
        place += 1;
    }
    let mut begins = [0; 2 * N_LEVELS + 1];
    let room = SCALE - 2 * N_LEVELS as u32;
    let mut at = 0;
    place = 0;
    while place < 2 * N_LEVELS {
        begins[place] = at;
        at += 1 + (weights[place] as u64 * room as u64 / total as u64) as u32;
        place += 1;
    }
    begins[2 * N_LEVELS] = SCALE;
    begins
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use proptest::test_runner::RngSeed;
    use std::vec;
    use std::vec::Vec;

    #[test]
    fn a_rate_is_the_mean_and_follows() {
        assert_eq!(size_of::<Rate>(), 4);
        let mut rate = Rate::default();
        for bin in 0..2000 {
            rate.enter(u16::from(bin % 10 == 3), bin);
        }
        assert_eq!(rate.level(None), level_of((1 << 26) / 10));
        for bin in 2000..20_000 {
            rate.enter(u16::from(bin % 2 == 0), bin);
        }
        assert_eq!(rate.level(None), level_of((1 << 26) / 2));
        for bin in 20_000..200_000 {
            rate.enter(0, bin);
        }
        assert_eq!(rate.level(None), 0, "silence is silence");
        rate.enter(u16::MAX, 0);
        assert_eq!(rate.level(None), level_of(63 << 26));
    }

    #[test]
    fn a_level_that_was_told_stays_near_its_edge() {
        for told in 1..N_LEVELS as u8 - 1 {
            let of = |factor: f64| Rate { mean: (mean_of(told) as f64 * factor) as u32 }.level(Some(told));
            for factor in [0.83, 1.0, 1.2, 1.29] {
                if mean_of(told) as f64 * factor < 4e9 {
                    assert_eq!(of(factor), told, "level {told} × {factor}");
                }
            }
            assert!(of(0.6) < told);
            assert!(mean_of(told) > 2 << 30 || of(1.45) > told);
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { rng_seed: RngSeed::Fixed(1), ..ProptestConfig::default() })]

        #[test]
        fn tables_come_back(pairs in prop::collection::vec((0u8..32, -2i8..=2), 1..300), bytes in prop::collection::vec(any::<u8>(), 0..80)) {
            let base: Vec<u8> = pairs.iter().map(|pair| pair.0).collect();
            let levels: Vec<u8> =
                pairs.iter().map(|&(level, step)| level.saturating_add_signed(step).min(31)).collect();
            for against in [None, Some((9, &base[..]))] {
                let mut out = vec![0; 4 * levels.len() + 8];
                let n = encode_table(&levels, against, &mut out).expect("room");
                let mut found = vec![0; levels.len()];
                prop_assert_eq!(decode_table(&out[..n], |version| (version == 9).then_some(&base[..]), &mut found), Ok(()));
                prop_assert_eq!(&found, &levels);
                if against.is_some() {
                    prop_assert_eq!(decode_table(&out[..n], |_| None, &mut found), Err(Corrupt));
                }
                let _ = decode_table(&bytes, |_| Some(&base[..]), &mut found);
                prop_assert!(found.iter().all(|&level| level < 32));
            }
        }
    }
}
