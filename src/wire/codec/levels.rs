//! Rate levels: what is known of a channel's mean count before it is coded.
//!
//! In: mean counts a bin. Out: a level of [`N_LEVELS`], and for each half level the frequencies of counts. Guarantees: the
//! same tables on every machine, made at compile time in whole numbers.
//!
//! A level's counts are of Panjer's class: binomial, Poisson or negative binomial as the variance is less than the mean,
//! the same, or more. Recorded cortex fires more evenly than a Poisson process where it fires fast, since a neuron that has
//! just fired rests. A coder that is off by half a level (a factor of 1.22) loses less than 1 % of a sparse channel.

use super::range::SCALE;

/// Levels that there are: mean counts of 2.5e-4 to 72 a bin, 1.5 apart.
pub const N_LEVELS: usize = 32;
/// Half levels, by which counts are coded: half level 2 · l has the mean of level l, and √1.5 lies between two.
pub(super) const N_HALVES: usize = 2 * N_LEVELS;
/// Counts from this on, or from an earlier one of sparse levels, are coded as an escape and their excess.
pub(super) const N_SYMBOLS: usize = 48;

/// How the counts of a half level are coded: count `k` owns the scale from `begins[k]` to `begins[k + 1]`; `n_counts` of
/// them, and the escape behind.
pub(super) struct LevelTable {
    pub(super) begins: [u16; N_SYMBOLS + 2],
    pub(super) n_counts: u16,
    /// Bits of each symbol, in 1/[`BIT`], rounded up, and what the coder may lose by its rounding.
    pub(super) cost: [u16; N_SYMBOLS + 1],
}

pub(super) static TABLES: [LevelTable; N_HALVES] = tables();

/// The level whose mean is nearest, by ratio. `mean` in 2⁻²⁶ counts a bin.
#[must_use]
pub fn level_of(mean: u32) -> u8 {
    let mut level = 0;
    while level + 1 < N_LEVELS && u64::from(mean) * 65_536 > MEANS[2 * level] * SQRT_STEP {
        level += 1;
    }
    level as u8
}

/// The half level whose mean is nearest, by ratio. `mean` in 2⁻²⁶ counts a bin.
pub(super) fn half_level_of(mean: u32) -> u8 {
    let mut half = 0;
    while half + 1 < N_HALVES && u64::from(mean) * 65_536 > MEANS[half] * FOURTH_ROOT_STEP {
        half += 1;
    }
    half as u8
}

/// Mean of a level, in 2⁻²⁶ counts a bin.
#[must_use]
pub fn mean_of(level: u8) -> u64 {
    MEANS[2 * (level as usize).min(N_LEVELS - 1)]
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

/// Means of the half levels, in 2⁻²⁶ counts a bin.
pub(super) static MEANS: [u64; N_HALVES] = means();

const fn means() -> [u64; N_HALVES] {
    let mut means = [0; N_HALVES];
    // Extra bits so that the steps don't add up their rounding.
    let mut mean: u64 = LEAST_MEAN << 20;
    let mut level = 0;
    while level < N_LEVELS {
        means[2 * level] = mean >> 20;
        means[2 * level + 1] = ((mean >> 20) * SQRT_STEP) >> 16;
        mean = mean * 3 / 2;
        level += 1;
    }
    means
}

const fn tables() -> [LevelTable; N_HALVES] {
    const EMPTY: LevelTable =
        LevelTable { begins: [0; N_SYMBOLS + 2], n_counts: 0, cost: [0; N_SYMBOLS + 1] };
    let mut tables = [EMPTY; N_HALVES];
    let means = means();
    let mut half = 0;
    while half < N_HALVES {
        tables[half] = table(means[half], dispersion(half));
        half += 1;
    }
    tables
}

/// Variance over mean of a half level's counts, in 1/[`ONE`].
const fn dispersion(half: usize) -> u64 {
    if half <= EVEN_FROM {
        ONE
    } else if half <= LOOSE_FROM {
        ONE - (half - EVEN_FROM) as u64
    } else {
        ONE - (LOOSE_FROM - EVEN_FROM) as u64 + 5 * (half - LOOSE_FROM) as u64
    }
}

/// Frequencies of counts whose variance is `d` times their mean `m`: w(k + 1) = w(k) · (m + k · (d − 1)) / (d · (k + 1)), the
/// first factor a quarter of `m` at least, so that a tail is left where the variance is small.
const fn table(mean: u64, dispersion: u64) -> LevelTable {
    let mut weights = [0u128; N_SYMBOLS];
    let (m, d, one) = (mean as i128 * ONE as i128, dispersion as i128, ONE as i128);
    let mut total = 0u128;
    let mut k = 0;
    let mut weight = 1u128 << 40;
    while k < TAIL_END {
        if weight >> 80 != 0 {
            // What is so much less likely than the counts to come needs no such precision.
            weight >>= 40;
            total >>= 40;
            let mut before = 0;
            while before < k && before < N_SYMBOLS {
                weights[before] >>= 40;
                before += 1;
            }
        }
        if k < N_SYMBOLS {
            weights[k] = weight;
        }
        // The tail behind the last count belongs to the escape.
        total += weight;
        let factor = m + k as i128 * (d - one) * (1 << 26);
        let factor = if factor < m / 4 { m / 4 } else { factor };
        weight = weight * factor as u128 / (((d * (k as i128 + 1)) as u128) << 26);
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
/// ⁴√1.5 in 1/65,536.
const FOURTH_ROOT_STEP: u64 = 72_528;
/// Parts of a dispersion.
const ONE: u64 = 50;
/// From this half level on (0.25 a bin) counts are more even than Poisson's, by a fiftieth each; from the second on (4.2 a
/// bin) less so again, since what fires so much in a bin is many bins in one, or no neuron. Recorded cortex: over the
/// training splits of `reach-8dir` (20 ms) and `m1-reaching` (50 ms) the variance is 1.1 to 0.65 times the mean, falling
/// with it. Beside a variance of 1.05 of the mean at all levels `m1-reaching` takes 0.7 % less so, and `reach-8dir` 0.1 %
/// more.
const EVEN_FROM: usize = 34;
const LOOSE_FROM: usize = 48;
/// Counts whose weight is added up: twice the greatest mean and more.
const TAIL_END: usize = 4 * N_SYMBOLS;
/// The scale's end has to fit beside its beginning.
const _: () = assert!(SCALE < 1 << 16);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_are_the_distribution_that_they_claim() {
        for (half, table) in TABLES.iter().enumerate() {
            let mean = MEANS[half] as f64 / 2f64.powi(26);
            assert!(
                (mean / (2.5e-4 * 1.5f64.powf(half as f64 / 2.0)) - 1.0).abs() < 1e-3,
                "half level {half}: {mean}"
            );
            let d = dispersion(half) as f64 / ONE as f64;
            let mut weights = std::vec![1.0];
            for k in 0..TAIL_END - 1 {
                let factor = (mean + k as f64 * (d - 1.0)).max(mean / 4.0);
                weights.push(weights[k] * factor / d / (k as f64 + 1.0));
            }
            let total: f64 = weights.iter().sum();
            let n_counts = table.n_counts as usize;
            assert_eq!(u32::from(table.begins[n_counts + 1]), SCALE);
            let owns = |k: usize| f64::from(table.begins[k + 1] - table.begins[k]);
            let most = (0..n_counts).map(owns).fold(0.0, f64::max);
            for (k, weight) in weights.iter().enumerate().take(n_counts + 1) {
                let frequency = owns(k);
                assert!(frequency >= 1.0);
                if k < n_counts {
                    let wanted = weight / total * f64::from(SCALE);
                    // Rounding takes up to a unit from each count, and all of them go to the most frequent one.
                    let slack = if frequency == most { 3.0 + n_counts as f64 } else { 3.0 };
                    assert!(
                        (frequency - wanted).abs() < slack + 0.02 * wanted,
                        "half level {half}, count {k}: {frequency} for {wanted}"
                    );
                }
                let bits = -(frequency / f64::from(SCALE)).log2();
                let over = f64::from(table.cost[k]) - bits * f64::from(BIT);
                assert!(
                    (f64::from(LOSS) - 1e-6..f64::from(LOSS) + 1.01).contains(&over),
                    "half level {half}, count {k}"
                );
            }
        }
    }

    #[test]
    fn counts_have_the_mean_and_the_variance_of_their_half_level() {
        for half in (20..2 * 28).step_by(2) {
            let (table, mean) = (&TABLES[half], MEANS[half] as f64 / 2f64.powi(26));
            let share = |k: usize| f64::from(table.begins[k + 1] - table.begins[k]) / f64::from(SCALE);
            let (mut sum, mut squares) = (0.0, 0.0);
            for k in 0..usize::from(table.n_counts) {
                sum += share(k) * k as f64;
                squares += share(k) * (k * k) as f64;
            }
            assert!((sum / mean - 1.0).abs() < 0.06, "half level {half}: {sum} for {mean}");
            let (found, wanted) = ((squares - sum * sum) / sum, dispersion(half) as f64 / ONE as f64);
            assert!((found / wanted - 1.0).abs() < 0.1, "half level {half}: {found} for {wanted}");
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
        for half in 0..N_HALVES as u8 - 3 {
            for factor in [0.91, 1.0, 1.1] {
                let mean = MEANS[usize::from(half)] as f64 * factor;
                assert_eq!(half_level_of(mean as u32), half, "{factor}");
            }
        }
    }
}
