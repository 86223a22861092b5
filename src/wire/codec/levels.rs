//! Rate levels: what is known of a channel's mean count before it is coded.
//!
//! In: mean counts a bin. Out: a level of [`N_LEVELS`], and for each level the frequencies of counts. Guarantees: the
//! same tables on every machine, made at compile time in whole numbers.
//!
//! A level's counts are negative binomial: Poisson whose rate is itself gamma-distributed, since neurons are tuned and a
//! level is 1.5 wide. A coder that is off by half a level (a factor of 1.22) loses less than 1 % of a sparse channel.

use super::range::SCALE;

/// Levels that there are: mean counts of 2.5e-4 to 72 a bin, 1.5 apart.
pub const N_LEVELS: usize = 32;
/// Counts from this on, or from an earlier one of sparse levels, are coded as an escape and their excess.
pub(super) const N_SYMBOLS: usize = 48;

/// How the counts of a level are coded: count `k` owns the scale from `begins[k]` to `begins[k + 1]`; `n_counts` of them,
/// and the escape behind.
pub(super) struct LevelTable {
    pub(super) begins: [u16; N_SYMBOLS + 2],
    pub(super) n_counts: u16,
    /// Bits of each symbol, in 1/[`BIT`], rounded up, and what the coder may lose by its rounding.
    pub(super) cost: [u16; N_SYMBOLS + 1],
}

pub(super) static TABLES: [LevelTable; N_LEVELS] = tables();

/// The level whose mean is nearest, by ratio. `mean` in 2⁻²⁶ counts a bin.
#[must_use]
pub fn level_of(mean: u32) -> u8 {
    let mut level = 0;
    while level + 1 < N_LEVELS && u64::from(mean) * 65_536 > MEANS[level] * SQRT_STEP {
        level += 1;
    }
    level as u8
}

/// Mean of a level, in 2⁻²⁶ counts a bin.
#[must_use]
pub fn mean_of(level: u8) -> u64 {
    MEANS[(level as usize).min(N_LEVELS - 1)]
}

/// By how many levels `mean` is above `other`, to the nearest; both in 2⁻²⁶ counts a bin, of 2⁴⁴ at most.
pub(super) fn shift_of(mean: u64, other: u64) -> i8 {
    let (mut other, mut shift) = (other, 0);
    while shift > -SHIFT_MAX && other * 65_536 > mean * SQRT_STEP {
        other = other * 2 / 3;
        shift -= 1;
    }
    while shift < SHIFT_MAX && mean * 65_536 > other * SQRT_STEP {
        other = other * 3 / 2;
        shift += 1;
    }
    shift
}

static MEANS: [u64; N_LEVELS] = means();

const fn means() -> [u64; N_LEVELS] {
    let mut means = [0; N_LEVELS];
    // Extra bits so that the steps don't add up their rounding.
    let mut mean: u64 = LEAST_MEAN << 20;
    let mut level = 0;
    while level < N_LEVELS {
        means[level] = mean >> 20;
        mean = mean * 3 / 2;
        level += 1;
    }
    means
}

const fn tables() -> [LevelTable; N_LEVELS] {
    const EMPTY: LevelTable =
        LevelTable { begins: [0; N_SYMBOLS + 2], n_counts: 0, cost: [0; N_SYMBOLS + 1] };
    let mut tables = [EMPTY; N_LEVELS];
    let means = means();
    let mut level = 0;
    while level < N_LEVELS {
        tables[level] = table(means[level]);
        level += 1;
    }
    tables
}

/// Frequencies of a negative binomial distribution of shape [`SHAPE`]: w(k + 1) = w(k) · (r + k)/(k + 1) · m/(r + m).
const fn table(mean: u64) -> LevelTable {
    let mut weights = [0u128; N_SYMBOLS];
    let (r, m, one) = (SHAPE as u128, mean as u128, 1u128 << 26);
    let mut total = 0u128;
    let mut k = 0;
    // The greatest weight is 2⁴⁴ times this, at the highest level, and times a mean it still fits.
    let mut weight = 1u128 << 40;
    while k < TAIL_END {
        if k < N_SYMBOLS {
            weights[k] = weight;
        }
        // The tail behind the last count belongs to the escape.
        total += weight;
        weight = weight * (r + k as u128) * m / ((r * one + m) * (k as u128 + 1));
        k += 1;
    }
    // Counts of less than a unit of the scale go by the escape.
    let mut n_counts = N_SYMBOLS;
    while n_counts > 1 && weights[n_counts - 1] * (SCALE as u128) < total {
        n_counts -= 1;
    }
    let room = SCALE as u128 - n_counts as u128 - 1;
    let mut begins = [0u16; N_SYMBOLS + 2];
    let mut at = 0u32;
    k = 0;
    while k < n_counts {
        begins[k] = at as u16;
        at += 1 + (weights[k] * room / total) as u32;
        k += 1;
    }
    // The escape has the tail; what rounding left goes to the most frequent count.
    let escape = {
        let mut tail = total;
        k = 0;
        while k < n_counts {
            tail -= weights[k];
            k += 1;
        }
        1 + (tail * room / total) as u32
    };
    let left = SCALE - at - if escape < SCALE - at { escape } else { SCALE - at };
    let mut most = 0;
    k = 1;
    while k < n_counts {
        if weights[k] > weights[most] {
            most = k;
        }
        k += 1;
    }
    k = most + 1;
    while k < n_counts {
        begins[k] += left as u16;
        k += 1;
    }
    begins[n_counts] = (at + left) as u16;
    k = n_counts + 1;
    while k < N_SYMBOLS + 2 {
        begins[k] = SCALE as u16;
        k += 1;
    }
    let mut cost = [0; N_SYMBOLS + 1];
    k = 0;
    while k <= n_counts {
        cost[k] = bits_of((begins[k + 1] - begins[k]) as u32);
        k += 1;
    }
    LevelTable { begins, n_counts: n_counts as u16, cost }
}

/// −log2(frequency / SCALE) in 1/[`BIT`], rounded up, and what the coder may lose by its rounding.
const fn bits_of(frequency: u32) -> u16 {
    (SCALE.ilog2() * BIT - log2(frequency)) as u16 + LOSS
}

/// log2(n) of 1 or more in 1/[`BIT`], rounded down.
pub(super) const fn log2(n: u32) -> u32 {
    let whole = n.ilog2();
    // By squaring: each time a binary place.
    let mut x = ((n as u64) << 31) >> whole;
    let (mut bits, mut place) = (0, 1);
    while place < BIT {
        x = (x * x) >> 31;
        bits <<= 1;
        if x >> 32 != 0 {
            bits |= 1;
            x >>= 1;
        }
        place *= 2;
    }
    whole * BIT + bits
}

/// Parts of a bit that costs are told in.
pub(super) const BIT: u32 = 1 << 10;
/// log2(1 + 1/1024), since a step of the coder is 1,024 at least, in 1/[`BIT`], rounded up.
const LOSS: u16 = 2;
/// 2.5e-4, in 2⁻²⁶.
const LEAST_MEAN: u64 = 16_777;
/// √1.5 in 1/65,536.
const SQRT_STEP: u64 = 80_265;
/// From the first level to the last.
const SHIFT_MAX: i8 = N_LEVELS as i8 - 1;
/// Of the gamma distribution: rates vary by 1/√r round their mean, so that the variance of a mean m is m · (1 + m/r).
/// Recorded cortex is near Poisson in short bins: over the training splits of `reach-8dir` (20 ms) and `m1-reaching`
/// (50 ms) the variance is 0.65 to 1.07 times the mean, and the two cost 0.01 % more and 1.4 % less with 20 than with 6.
const SHAPE: u64 = 20;
/// Counts whose weight is added up: twice the greatest mean and more.
const TAIL_END: usize = 4 * N_SYMBOLS;
/// The scale's end has to fit beside its beginning.
const _: () = assert!(SCALE < 1 << 16);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_are_the_distribution_that_they_claim() {
        for (level, table) in TABLES.iter().enumerate() {
            let mean = mean_of(level as u8) as f64 / 2f64.powi(26);
            assert!(
                (mean / (2.5e-4 * 1.5f64.powi(level as i32)) - 1.0).abs() < 1e-3,
                "level {level}: {mean}"
            );
            let r = SHAPE as f64;
            let mut p = (r / (r + mean)).powf(r);
            let n_counts = table.n_counts as usize;
            assert_eq!(u32::from(table.begins[n_counts + 1]), SCALE);
            let owns = |k: usize| f64::from(table.begins[k + 1] - table.begins[k]);
            let most = (0..n_counts).map(owns).fold(0.0, f64::max);
            for k in 0..=n_counts {
                let frequency = owns(k);
                assert!(frequency >= 1.0);
                if k < n_counts {
                    let wanted = p * f64::from(SCALE);
                    // Rounding takes up to a unit from each count, and all of them go to the most frequent one.
                    let slack = if frequency == most { 3.0 + n_counts as f64 } else { 3.0 };
                    assert!(
                        (frequency - wanted).abs() < slack + 0.02 * wanted,
                        "level {level}, count {k}: {frequency} for {wanted}"
                    );
                    p *= (r + k as f64) / (k as f64 + 1.0) * mean / (r + mean);
                }
                let bits = -(frequency / f64::from(SCALE)).log2();
                let over = f64::from(table.cost[k]) - bits * f64::from(BIT);
                assert!(
                    (f64::from(LOSS) - 1e-6..f64::from(LOSS) + 1.01).contains(&over),
                    "level {level}, count {k}"
                );
            }
        }
    }

    #[test]
    fn the_nearest_level_is_found() {
        for level in 0..N_LEVELS as u8 {
            let mean = mean_of(level) as f64;
            for factor in [0.83, 1.0, 1.22] {
                assert_eq!(level_of((mean * factor) as u32), level, "{factor}");
            }
        }
        assert_eq!((level_of(0), level_of(u32::MAX)), (0, 31));
    }
}
