//! Powers as bytes.
//!
//! In: a sum of squares of filtered samples, and how many. Out: `8 · log2` of their mean in counts², so steps of
//! 0.38 dB; 0 for one count² and below.

use super::band_pass::FRACTION_BITS;

/// The square of a filtered sample as it is summed up, in 1/2^[`SQUARE_BITS`] count².
#[inline(always)]
pub(super) fn square(filtered: i32) -> u64 {
    let value = u64::from(filtered.unsigned_abs() >> (FRACTION_BITS - SQUARE_BITS / 2));
    value * value
}

/// `8 · log2` of the mean square in counts², rounded to the nearest, 0 to 255. `sum` is in 1/2^12 count².
///
/// ```
/// use efference_firmware::signal::power_level;
/// assert_eq!(power_level((20 * 100) << 12, 20), 53); // 100 counts²: 8 · 6.64
/// assert_eq!(power_level(0, 20), 0);
/// ```
#[must_use]
pub fn power_level(sum: u64, n_samples: u32) -> u8 {
    let mean = sum / u64::from(n_samples).max(1);
    if mean == 0 {
        return 0;
    }
    let exponent = mean.ilog2();
    let mantissa = if exponent >= 32 { mean >> (exponent - 32) } else { mean << (32 - exponent) };
    let mut eighths = 8 * exponent as i32 - 8 * SQUARE_BITS as i32;
    for half_step in HALF_STEPS {
        eighths += (mantissa >= half_step) as i32;
    }
    eighths.clamp(0, 255) as u8
}

/// Binary places of squares.
pub(super) const SQUARE_BITS: u32 = 12;
/// 2^32 · 2^((k + 1/2) / 8): above it a value is rounded up to k + 1.
const HALF_STEPS: [u64; 8] = [
    4_485_121_744,
    4_891_059_943,
    5_333_738_689,
    5_816_483_285,
    6_342_919_999,
    6_917_003_306,
    7_543_045_592,
    8_225_749_546,
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_are_eighths_of_an_octave() {
        for (k, &step) in HALF_STEPS.iter().enumerate() {
            let exact = 2_f64.powf(32.0 + (k as f64 + 0.5) / 8.0);
            assert!((step as f64 - exact).abs() <= 1.0, "{k}: {step} and not {exact}");
        }
    }

    #[test]
    fn every_level_is_the_nearest() {
        for n_samples in [1, 7, 400] {
            let mut sum = 1_u64;
            while sum < 1 << 60 {
                let mean = (sum / u64::from(n_samples)) as f64 / 4096.0;
                let exact = if mean > 0.0 { 8.0 * mean.log2() } else { -1.0 };
                let error = f64::from(power_level(sum, n_samples)) - exact.clamp(0.0, 255.0);
                assert!(error.abs() < 0.501, "{sum} of {n_samples}: {error}");
                sum += sum / 13 + 1;
            }
        }
        assert_eq!((power_level(u64::MAX, 1), power_level(5, 0)), (255, 0));
    }

    #[test]
    fn squares_keep_a_sixty_fourth_of_a_count() {
        assert_eq!(square(-(3 << FRACTION_BITS)), 9 << SQUARE_BITS);
        assert_eq!(square(i32::MIN), 1 << 54);
    }
}
