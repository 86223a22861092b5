//! By how much the channels of a bin fire more, or less, than their levels say.
//!
//! In: the counts of a bin, one by one, each with the half level that is known of its channel. Out: the table that the next
//! is coded by. Guarantees: whole numbers; both ends do the same, since both know what went before; 24 bytes of state.
//!
//! Neurons fire in bursts that a population shares, so a bin's counts are all higher or all lower than their means. The sum
//! of what came, over the sum of what was to be expected, tells by how much: with a gamma prior of mean 1 and of
//! [`PRIOR`] counts' weight the mean of what is believed is (came + prior) / (expected + prior).

use super::levels::{LevelTable, MEANS, N_HALVES, TABLES};

/// What has come of a bin.
#[derive(Clone, Copy, Debug)]
pub(super) struct Together {
    /// Counts that were to be expected, in 2⁻²⁶, and those that came, each as [`COUNT_MAX`] at most.
    expected: u64,
    came: u32,
    n: u32,
    /// Half levels by which the next are higher.
    shift: i32,
}

impl Together {
    /// Nothing yet.
    pub(super) fn new() -> Self {
        Together { expected: 0, came: 0, n: 0, shift: 0 }
    }

    /// What the next channel is coded by, of which this half level is known; it may lie above the highest.
    #[inline]
    pub(super) fn table(&self, half: usize) -> &'static LevelTable {
        &TABLES[(half as i32 + self.shift).clamp(0, N_HALVES as i32 - 1) as usize]
    }

    /// Its count.
    #[inline]
    pub(super) fn enter(&mut self, half: usize, count: u16) {
        self.expected += MEANS[half.min(N_HALVES - 1)];
        self.came += u32::from(count.min(COUNT_MAX));
        self.n += 1;
        if self.n % EVERY == 0 {
            self.turn();
        }
    }

    /// To the shift that is nearest to what is believed.
    fn turn(&mut self) {
        let came = u64::from(self.came + PRIOR) << 26;
        let expected = (self.expected >> 16) + (u64::from(PRIOR) << 10);
        while self.shift < SHIFT_MAX && came > expected * EDGES[(self.shift + SHIFT_MAX) as usize] {
            self.shift += 1;
        }
        while self.shift > -SHIFT_MAX && came <= expected * EDGES[(self.shift + SHIFT_MAX - 1) as usize] {
            self.shift -= 1;
        }
    }
}

/// Channels after which the shift is looked at.
const EVERY: u32 = 16;
/// With 4 simulated bins take 0.1 % more, with 16 as much.
const PRIOR: u32 = 10;
/// One channel alone doesn't carry the others with it.
const COUNT_MAX: u16 = 63;
/// In half levels: a factor of 5.
const SHIFT_MAX: i32 = 8;
/// Where shifts meet, from −8 and −7 to 7 and 8: 1.5^(k/2 + 1/4) in 1/65,536.
static EDGES: [u64; 2 * SHIFT_MAX as usize] = [
    14_326, 17_546, 21_490, 26_319, 32_234, 39_479, 48_352, 59_218, 72_528, 88_828, 108_791, 133_242,
    163_187, 199_862, 244_780, 299_793,
];
const _: () = assert!(u16::MAX as u64 * (COUNT_MAX as u64) < 1 << 22);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn edges_are_halfway_between_half_levels() {
        for (place, &edge) in EDGES.iter().enumerate() {
            let wanted = 1.5f64.powf((place as f64 - 8.0) / 2.0 + 0.25) * 65_536.0;
            assert!((edge as f64 - wanted).abs() <= 0.5, "{place}: {edge} for {wanted}");
        }
    }

    #[test]
    fn the_shift_is_that_of_what_came_over_what_was_expected() {
        for (half, counts) in
            [(34, [0u16, 1, 0, 0]), (34, [1; 4]), (40, [0; 4]), (44, [1; 4]), (20, [60_000; 4])]
        {
            let mut together = Together::new();
            for k in 0..400 {
                if k < EVERY as usize {
                    assert_eq!(together.shift, 0, "nothing is known yet");
                }
                together.enter(half, counts[k % 4]);
            }
            let came: f64 = counts.iter().map(|&count| f64::from(count.min(COUNT_MAX)) * 100.0).sum();
            let expected = 400.0 * MEANS[half] as f64 / 2f64.powi(26);
            let prior = f64::from(PRIOR);
            let halves = 2.0 * ((came + prior) / (expected + prior)).ln() / 1.5f64.ln();
            let halves = halves.round().clamp(-8.0, 8.0) as i32;
            assert_eq!(together.shift, halves, "half level {half}");
            let table = &TABLES[(half as i32 + halves).clamp(0, 63) as usize];
            assert!(core::ptr::eq(together.table(half), table));
        }
        assert_eq!(size_of::<Together>(), 24);
    }
}
