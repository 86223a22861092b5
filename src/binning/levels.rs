//! What a device's power levels mean.
//!
//! In: levels, `8 · log2` of a mean square in counts², as an implant sends them. Out: the mean square in µV², as the
//! front end measures it of broadband. Guarantee: the same bits on every machine.

/// A table from levels to powers.
#[derive(Clone, Debug)]
pub struct PowerScale {
    powers: [f32; 256],
}

impl PowerScale {
    /// With so many microvolt a count; `None` leaves powers in counts².
    ///
    /// ```
    /// use efference::binning::PowerScale;
    /// assert_eq!(PowerScale::new(Some(0.5)).power(32), 4.0); // 16 counts².
    /// ```
    pub fn new(uv_per_count: Option<f32>) -> Self {
        let uv = f64::from(uv_per_count.unwrap_or(1.0));
        let power = |level: usize| EIGHTHS[level % 8] * (1u64 << (level / 8)) as f64 * uv * uv;
        PowerScale { powers: std::array::from_fn(|level| power(level) as f32) }
    }

    /// The mean square of a level, µV²; levels above 255 count as that.
    pub fn power(&self, level: u16) -> f32 {
        self.powers[usize::from(level.min(255))]
    }
}

/// 2^(k / 8), as numbers, since machines differ in how they compute it.
const EIGHTHS: [f64; 8] = [
    1.0,
    1.090_507_732_665_257_7,
    1.189_207_115_002_721,
    1.296_839_554_651_009_6,
    std::f64::consts::SQRT_2,
    1.542_210_825_407_940_7,
    1.681_792_830_507_429,
    1.834_008_086_409_342_4,
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_are_eighths_of_octaves() {
        let scale = PowerScale::new(None);
        for level in 0..=255u16 {
            let exact = 2f64.powf(f64::from(level) / 8.0);
            let found = f64::from(scale.power(level));
            assert!((found / exact - 1.0).abs() < 1e-6, "{level}: {found} and not {exact}");
        }
        assert_eq!(scale.power(1_000), scale.power(255));
    }
}
