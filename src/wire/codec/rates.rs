//! What the device knows of its channels' rates, and the tables by which it tells the host.
//!
//! In: counts bin by bin. Out: a level a channel, and tables of levels as bytes. Guarantees: whole numbers, [`Rate`]'s 4
//! bytes a channel beside the levels.
//!
//! The rule by which both ends have the same levels: a table has a version; the device sends it piece by piece, again
//! and again, until the host says that it has the whole of it; only then are counts coded with it, and they name the
//! version. The host keeps the table before until counts name the new one. Version 0 is no table: [`Levels::Flat`].
//!
//! Table bytes: the version that it is told against (1), 0 for none; then a range-coded stream (`range`) of yes and no, by
//! shares that follow what came before in the piece (`Shares`).
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

    /// Its level. One that is told already stays unless another saves more than it takes to tell, over `n_bins` to come of
    /// this mean: counts of mean m that are coded as of mean M cost m · ln(m/M) + M − m nats more than they have to.
    #[must_use]
    pub fn level(&self, told: Option<u8>, n_bins: u32) -> u8 {
        let nearest = level_of(self.mean);
        let Some(told) = told else { return nearest };
        let n_steps = i64::from(nearest) - i64::from(told);
        let log_ratio = (i64::from(self.mean) * n_steps * LN_STEP) >> 16;
        let saved = log_ratio + mean_of(told) as i64 - mean_of(nearest) as i64;
        if saved * i64::from(n_bins.min(BINS_MAX)) > TOLD { nearest } else { told }
    }
}

/// After how many bins the next table is made, when the last was made after so many; 0 for none before. The first soon, then
/// each after as many bins as have been, until rates no longer stay for as long as that.
#[must_use]
pub const fn next_table_at(n_bins: u32) -> u32 {
    if n_bins == 0 {
        FIRST_AT
    } else {
        n_bins.saturating_add(if n_bins < BETWEEN_MAX { n_bins } else { BETWEEN_MAX })
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
    let (head, rest) = out.split_first_mut().ok_or(Full)?;
    let (mut encoder, mut shares) = (Encoder::new(rest), Shares::new());
    match base {
        Some((version, base)) if base.len() == levels.len() && version != 0 => {
            *head = version;
            for (&level, &before) in levels.iter().zip(base) {
                shares.step(level.min(LEVEL_MAX), before.min(LEVEL_MAX), |share, is_so| {
                    share.encode(&mut encoder, is_so);
                    is_so
                });
            }
        }
        _ => {
            *head = 0;
            for &level in levels {
                let mut node = 1;
                for place in (0..5).rev() {
                    let is_set = level >> place & 1 == 1;
                    shares.nodes[node].encode(&mut encoder, is_set);
                    node = 2 * node + usize::from(is_set);
                }
            }
        }
    }
    Ok(1 + encoder.finish()?)
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
    let (&version, rest) = bytes.split_first().ok_or(Corrupt)?;
    let (mut decoder, mut shares) = (Decoder::new(rest), Shares::new());
    if version == 0 {
        for level in levels.iter_mut() {
            let mut node = 1;
            for _ in 0..5 {
                node = 2 * node + usize::from(shares.nodes[node].decode(&mut decoder));
            }
            *level = (node - N_LEVELS) as u8;
        }
    } else {
        let base = base(version).filter(|base| base.len() == levels.len()).ok_or(Corrupt)?;
        for (level, &before) in levels.iter_mut().zip(base) {
            *level = shares.step(0, before.min(LEVEL_MAX), |share, _| share.decode(&mut decoder));
        }
    }
    if decoder.is_whole() { Ok(()) } else { Err(Corrupt) }
}

/// How often a question is answered by no, of the scale; it follows the answers.
#[derive(Clone, Copy)]
struct Share(u16);

impl Share {
    fn encode(&mut self, encoder: &mut Encoder<'_>, is_so: bool) {
        let no = u32::from(self.0);
        if is_so {
            encoder.encode(no, SCALE - no);
        } else {
            encoder.encode(0, no);
        }
        self.follow(is_so);
    }

    fn decode(&mut self, decoder: &mut Decoder<'_>) -> bool {
        let no = u32::from(self.0);
        let is_so = !decoder.take_first(no);
        if is_so {
            decoder.take(no, SCALE - no);
        }
        self.follow(is_so);
        is_so
    }

    /// A 32nd of the way; neither answer ever loses all of its share.
    fn follow(&mut self, is_so: bool) {
        self.0 = if is_so { self.0 - (self.0 >> 5) } else { self.0 + ((SCALE as u16 - self.0) >> 5) };
    }
}

/// Of all questions that a table is told by.
struct Shares {
    /// Alone: the level's bits from the top, each by what the ones above it are.
    nodes: [Share; N_LEVELS],
    /// Against another version: whether the level is another, by a quarter of the levels that it was of; whether it is
    /// higher; whether by one more, by how many already.
    is_other: [Share; 4],
    is_higher: [Share; 4],
    is_more: [Share; 8],
}

impl Shares {
    fn new() -> Self {
        let (even, rare) = (Share(SCALE as u16 / 2), Share(SCALE as u16 / 4 * 3));
        Shares { nodes: [even; N_LEVELS], is_other: [rare; 4], is_higher: [even; 4], is_more: [rare; 8] }
    }

    /// Asks from the level `before` to the one that is: `ask` is given the share of a question, and the answer where the
    /// level is `level`; it gives the answer that is.
    fn step(&mut self, level: u8, before: u8, mut ask: impl FnMut(&mut Share, bool) -> bool) -> u8 {
        let quarter = usize::from(before / 8) % 4;
        if !ask(&mut self.is_other[quarter], level != before) {
            return before;
        }
        // Where there is one way only nothing is asked.
        let is_higher = match before {
            0 => true,
            LEVEL_MAX => false,
            _ => ask(&mut self.is_higher[quarter], level > before),
        };
        let (wanted, most) = (level.abs_diff(before), if is_higher { LEVEL_MAX - before } else { before });
        let mut n = 1;
        while n < most && ask(&mut self.is_more[usize::from(n - 1).min(7)], wanted > n) {
            n += 1;
        }
        if is_higher { before + n } else { before - n }
    }
}

/// Bins over which a mean is taken: 14 s of 20 ms. What moves a neuron alone wanders over half a minute.
pub const MEMORY: u32 = 700;
/// Bins after which the first table is made: half a second of 20 ms.
const FIRST_AT: u32 = 25;
/// Bins between two tables at most: 8 s of 20 ms.
const BETWEEN_MAX: u32 = 400;
/// ln 1.5 in 1/65,536.
const LN_STEP: i64 = 26_573;
/// Three bits, in nats of 2⁻²⁶: what it takes to tell another level.
const TOLD: i64 = 139_548_000;
/// Bins ahead are reckoned with up to here.
const BINS_MAX: u32 = 65_536;
const LEVEL_MAX: u8 = N_LEVELS as u8 - 1;

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
        assert_eq!(rate.level(None, 1), level_of((1 << 26) / 10));
        for bin in 2000..20_000 {
            rate.enter(u16::from(bin % 2 == 0), bin);
        }
        assert_eq!(rate.level(None, 1), level_of((1 << 26) / 2));
        for bin in 20_000..200_000 {
            rate.enter(0, bin);
        }
        assert_eq!(rate.level(None, 1), 0, "silence is silence");
        rate.enter(u16::MAX, 0);
        assert_eq!(rate.level(None, 1), level_of(63 << 26));
    }

    #[test]
    fn a_level_that_was_told_stays_unless_another_pays() {
        let nats = |m: f64, coded: f64| if m > 0.0 { m * (m / coded).ln() + coded - m } else { coded };
        for told in 0..28u8 {
            for steps in -60..60 {
                for n_bins in [25, 400, 3_000] {
                    let mean = mean_of(told) as f64 * 1.5f64.powf(f64::from(steps) / 10.0);
                    if mean > 4e9 {
                        continue;
                    }
                    let rate = Rate { mean: mean as u32 };
                    let (level, nearest) = (rate.level(Some(told), n_bins), rate.level(None, n_bins));
                    assert_eq!(nearest, level_of(mean as u32));
                    let cost = |level: u8| nats(mean / 2f64.powi(26), mean_of(level) as f64 / 2f64.powi(26));
                    let saved = (cost(told) - cost(nearest)) * f64::from(n_bins) / 2f64.ln();
                    if (saved - 3.0).abs() > 0.01 {
                        assert_eq!(
                            level,
                            if saved > 3.0 { nearest } else { told },
                            "{told}, {steps}: {saved} bits"
                        );
                    }
                }
            }
        }
    }

    #[test]
    fn tables_come_soon_and_then_as_often_as_rates_move() {
        let mut at = std::vec![0];
        while at.len() < 8 {
            at.push(next_table_at(at[at.len() - 1]));
        }
        assert_eq!(at, [0, 25, 50, 100, 200, 400, 800, 1_200]);
        assert_eq!(next_table_at(u32::MAX), u32::MAX);
    }

    /// Levels of a population, and what a table after more bins makes of them.
    #[test]
    fn a_table_takes_about_its_entropy_and_one_that_changes_little_takes_little() {
        let levels: Vec<u8> = (0..1_000u32).map(|k| (8 + k * 7919 % 5 + k * 104_729 % 7) as u8).collect();
        let mut out = [0; 1_000];
        let alone = encode_table(&levels, None, &mut out).expect("room");
        let share = |level: u8| levels.iter().filter(|&&other| other == level).count() as f64 / 1_000.0;
        let entropy: f64 = levels.iter().map(|&level| -share(level).log2()).sum();
        assert!((alone as f64 * 8.0) < entropy * 1.05 + 60.0, "{alone} bytes, {entropy} bits");
        let next: Vec<u8> = (0..1_000).map(|k| levels[k] + u8::from(k % 20 == 0)).collect();
        let against = encode_table(&next, Some((1, &levels)), &mut out).expect("room");
        // 50 places of 1,000 are 286 bits.
        assert!(against < 60, "{against} bytes");
    }

    proptest! {
        #![proptest_config(ProptestConfig { rng_seed: RngSeed::Fixed(1), ..ProptestConfig::default() })]

        #[test]
        fn tables_come_back(pairs in prop::collection::vec((0u8..32, prop_oneof![4 => -2i8..=2, 1 => -31i8..=31]), 1..300), bytes in prop::collection::vec(any::<u8>(), 0..80)) {
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
