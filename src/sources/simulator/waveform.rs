//! Waveforms of spikes as an electrode outside of the cell hears them.
//!
//! In: a sample rate. Out: a few shapes of [`WAVEFORM_US`], one value a frame, whose trough is −1.
//!
//! Each is a narrow trough and a wider hump after it, both Gaussian in time: the shape, not the mechanism,
//! of an extracellular action potential. The widths cover fast and regular spiking cells.

/// The shapes at `sample_rate_hz`: rows of equal length.
pub(super) fn shapes(sample_rate_hz: f64) -> Vec<Vec<f32>> {
    let n = (WAVEFORM_US as f64 * 1e-6 * sample_rate_hz).ceil() as usize;
    let shape = |&[width, hump, delay, hump_width]: &[f64; 4]| -> Vec<f32> {
        let bell = |ms: f64, at: f64, width: f64| (-((ms - at) / width).powi(2) / 2.0).exp();
        let raw: Vec<f64> = (0..n)
            .map(|k| {
                let ms = k as f64 * 1e3 / sample_rate_hz;
                hump * bell(ms, TROUGH_MS + delay, hump_width) - bell(ms, TROUGH_MS, width)
            })
            .collect();
        let trough = raw.iter().copied().fold(f64::MAX, f64::min);
        raw.iter().map(|v| (v / -trough) as f32).collect()
    };
    SHAPES.iter().map(shape).collect()
}

/// How many shapes there are.
pub(super) const N_SHAPES: usize = SHAPES.len();
/// Length of a waveform.
pub(super) const WAVEFORM_US: u64 = 1_600;
/// From the spike's time to its trough.
const TROUGH_MS: f64 = 0.4;

/// Trough's width, hump's height, hump's delay and hump's width; ms, as standard deviations.
const SHAPES: [[f64; 4]; 4] =
    [[0.08, 0.30, 0.35, 0.16], [0.10, 0.35, 0.45, 0.22], [0.12, 0.25, 0.50, 0.26], [0.07, 0.50, 0.26, 0.13]];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_shape_has_a_trough_of_one_then_a_hump_and_ends_near_zero() {
        for rate in [5_000.0, 19_531.0, 30_000.0] {
            for shape in shapes(rate) {
                let trough = shape.iter().position(|&v| v == -1.0).expect("a trough of -1");
                assert!((trough as f64 * 1e3 / rate - TROUGH_MS).abs() <= 1e3 / rate);
                assert!(shape[trough..].iter().any(|&v| v > 0.15));
                assert!(shape[0].abs() < 0.01 && shape[shape.len() - 1].abs() < 0.05);
            }
        }
    }
}
