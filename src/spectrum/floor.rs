//! The level of noise in a spectrum, its slope, and its power in the bands of field potentials and spikes.
//!
//! In: the density of one channel, in unit²/Hz. Out: RMS in that unit, densities, an exponent. The floor is a
//! median over bins, which lines and a few rhythms don't raise.

use super::quantile;

/// The level of noise.
#[derive(Clone, Copy, Debug, Default, PartialEq, serde::Serialize)]
pub struct NoiseFloor {
    /// Median density over the band, unit²/Hz, as white noise of that density would have it in the mean.
    pub density: f64,
    /// Of white noise of that density in the band, RMS in the stream's unit.
    pub rms: f64,
    /// The density under which a tenth of the band lies, smoothed, unit²/Hz. Spikes, whose power mostly lies below
    /// 3 kHz, raise it less than the median: it tells a noisy electrode from one that hears much.
    pub low_density: f64,
}

/// Power between two frequencies.
#[derive(Clone, Copy, Debug, PartialEq, serde::Serialize)]
pub struct Band {
    /// What physiologists call it.
    pub name: &'static str,
    /// Lower edge, Hz.
    pub low_hz: f64,
    /// Upper edge, Hz: half the sample rate where that comes first.
    pub high_hz: f64,
    /// RMS in the stream's unit of all that lies between.
    pub rms: f64,
}

/// The band over which the floor is taken: of spikes where the stream has it, else the upper part of what
/// there is. Ends short of half the sample rate, where converters cut off.
pub fn floor_band_hz(rate_hz: f64) -> (f64, f64) {
    let highest_hz = FLOOR_SHARE_MAX * rate_hz / 2.0;
    match rate_hz / 2.0 >= SPIKE_NYQUIST_MIN_HZ {
        true => (SPIKE_BAND.1, SPIKE_BAND.2.min(highest_hz)),
        false => (highest_hz / 2.0, highest_hz),
    }
}

/// The floor of `density`, bins of `resolution_hz` that are means of `n_segments`, within `band_hz`.
pub fn noise_floor(density: &[f32], resolution_hz: f64, n_segments: u64, band_hz: (f64, f64)) -> NoiseFloor {
    let inside = || bins(density, resolution_hz, band_hz.0, band_hz.1).map(|(_, x)| x);
    let median = median_density(inside(), n_segments);
    let inside: Vec<f64> = inside().map(f64::from).collect();
    // Single bins stray the more, the fewer segments there were; means of neighbours hardly do.
    let group = inside.len().div_ceil(LOW_GROUPS).max(1);
    let means = inside.chunks(group).map(|bins| bins.iter().sum::<f64>() / bins.len() as f64);
    let low = quantile(means.collect(), LOW_SHARE).unwrap_or_default();
    NoiseFloor { density: median, rms: (median * (band_hz.1 - band_hz.0)).sqrt(), low_density: low }
}

/// The bands that lie below half the sample rate, that of spikes cut there.
pub fn bands(density: &[f32], resolution_hz: f64) -> Vec<Band> {
    let nyquist_hz = (density.len().max(1) - 1) as f64 * resolution_hz;
    let fits = |(name, _, high_hz): &(&str, f64, f64)| match *name == SPIKE_BAND.0 {
        true => nyquist_hz >= SPIKE_NYQUIST_MIN_HZ,
        false => *high_hz <= nyquist_hz,
    };
    let band = |(name, low_hz, high_hz): (&'static str, f64, f64)| {
        let high_hz = high_hz.min(nyquist_hz);
        let power: f64 = bins(density, resolution_hz, low_hz, high_hz).map(|(_, x)| f64::from(x)).sum();
        Band { name, low_hz, high_hz, rms: (power * resolution_hz).sqrt() }
    };
    let wide = |(_, low_hz, high_hz): &(&str, f64, f64)| high_hz - low_hz >= resolution_hz;
    FIELD_BANDS.into_iter().chain([SPIKE_BAND]).filter(fits).filter(wide).map(band).collect()
}

/// The exponent b of density ∝ f^b between 2 and 40 Hz, by least squares in logarithms where every octave weighs
/// the same. `None` where there are fewer than eight bins, or silence. Neocortex has about −1 to −3 (He 2014,
/// Trends Cogn Sci 18:480); 0 is white noise.
pub fn slope(density: &[f32], resolution_hz: f64) -> Option<f64> {
    let points: Vec<[f64; 3]> = bins(density, resolution_hz, SLOPE_HZ.0, SLOPE_HZ.1)
        .filter(|&(_, x)| x > 0.0)
        .map(|(hz, x)| [hz.ln(), f64::from(x).ln(), 1.0 / hz])
        .collect();
    if points.len() < SLOPE_BINS_MIN {
        return None;
    }
    let weights: f64 = points.iter().map(|p| p[2]).sum();
    let mean = |of: usize| points.iter().map(|p| p[of] * p[2]).sum::<f64>() / weights;
    let (x, y) = (mean(0), mean(1));
    let covariance: f64 = points.iter().map(|p| p[2] * (p[0] - x) * (p[1] - y)).sum();
    let variance: f64 = points.iter().map(|p| p[2] * (p[0] - x).powi(2)).sum();
    Some(covariance / variance)
}

/// The mean density of the noise of which `densities` are bins, each the mean of `n_segments`, by their median:
/// a mean of n exponentials has its median at (1 − 1/9n)³ of its mean (Wilson & Hilferty 1931). 0 of none.
pub(super) fn median_density(densities: impl Iterator<Item = f32>, n_segments: u64) -> f64 {
    let mut densities: Vec<f32> = densities.collect();
    if densities.is_empty() {
        return 0.0;
    }
    let middle = densities.len() / 2;
    let (_, median, _) = densities.select_nth_unstable_by(middle, f32::total_cmp);
    f64::from(*median) / (1.0 - 1.0 / (9.0 * n_segments.max(1) as f64)).powi(3)
}

/// Frequency and density of the bins from `low_hz` to below `high_hz`; never that of 0 Hz.
fn bins(density: &[f32], resolution_hz: f64, low_hz: f64, high_hz: f64) -> impl Iterator<Item = (f64, f32)> {
    let all = density.iter().enumerate().skip(1).map(move |(bin, &x)| (bin as f64 * resolution_hz, x));
    all.filter(move |(hz, _)| (low_hz..high_hz).contains(hz))
}

/// Names and edges in Hz, as they are usual for field potentials of cortex.
const FIELD_BANDS: [(&str, f64, f64); 6] = [
    ("delta", 1.0, 4.0),
    ("theta", 4.0, 8.0),
    ("alpha", 8.0, 13.0),
    ("beta", 13.0, 30.0),
    ("low gamma", 30.0, 70.0),
    ("high gamma", 70.0, 150.0),
];
const SPIKE_BAND: (&str, f64, f64) = ("spikes", 300.0, 5000.0);
/// A stream that ends below this has no spikes to speak of.
const SPIKE_NYQUIST_MIN_HZ: f64 = 1000.0;
const FLOOR_SHARE_MAX: f64 = 0.9;
const LOW_SHARE: f64 = 0.1;
const LOW_GROUPS: usize = 48;
/// Under the mains.
const SLOPE_HZ: (f64, f64) = (2.0, 40.0);
const SLOPE_BINS_MIN: usize = 8;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn white_noise_has_its_own_level_in_every_band() {
        let density = vec![4.0_f32; 15_001];
        let floor = noise_floor(&density, 1.0, 100_000, floor_band_hz(30_000.0));
        assert!((floor.density - 4.0).abs() < 1e-3 && (floor.rms - (4.0 * 4700.0_f64).sqrt()).abs() < 0.01);
        assert_eq!(floor.low_density, 4.0);
        let found = bands(&density, 1.0);
        assert_eq!(found.len(), 7);
        for band in found {
            let expected = (4.0 * (band.high_hz - band.low_hz)).sqrt();
            assert!((band.rms - expected).abs() < 1e-3 * expected, "{band:?} for {expected}");
        }
    }

    #[test]
    fn slow_streams_have_the_bands_that_fit() {
        let names =
            |rate: usize| bands(&vec![1.0; rate / 2 + 1], 1.0).iter().map(|b| b.name).collect::<Vec<_>>();
        assert_eq!(names(250), ["delta", "theta", "alpha", "beta", "low gamma"]);
        assert_eq!(names(1000).last(), Some(&"high gamma"));
        assert_eq!(names(2000).last(), Some(&"spikes"));
        assert_eq!(bands(&[1.0; 1001], 1.0).last().map(|b| b.high_hz), Some(1000.0));
        assert_eq!(floor_band_hz(1000.0), (225.0, 450.0));
        assert_eq!(floor_band_hz(30_000.0), (300.0, 5000.0));
    }

    #[test]
    fn the_slope_is_the_exponent() {
        for exponent in [-2.0, -1.3, 0.0] {
            let density: Vec<f32> =
                (0..500).map(|bin| (7.0 * f64::from(bin).powf(exponent)) as f32).collect();
            let found = slope(&density, 1.0).expect("enough bins");
            assert!((found - exponent).abs() < 1e-5, "{found} for {exponent}");
        }
        assert_eq!(slope(&[0.0; 500], 1.0), None);
        assert_eq!(slope(&[1.0; 500], 10.0), None);
    }

    /// Of one periodogram: the median of an exponential is ln 2 of its mean.
    #[test]
    fn a_median_stands_for_the_mean() {
        let n = 100_001;
        let exponential = (0..n).map(|i| -(((i as f64 + 0.5) / n as f64).ln()) as f32);
        assert!((median_density(exponential, 1) - 1.0).abs() < 0.02);
        assert_eq!(median_density(std::iter::empty(), 1), 0.0);
    }
}
