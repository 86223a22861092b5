//! What many channels have in common: the median of their densities, and how far they spread.
//!
//! In: densities, channels × bins. Out: a density a quantile, in the same unit.

use super::Spectrum;

/// Quantiles over the channels that aren't flat, bin by bin, in unit²/Hz; empty where all are flat.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Across {
    /// Under which 5 % of the channels lie.
    pub low: Vec<f32>,
    /// Half of the channels lie under it.
    pub median: Vec<f32>,
    /// Under which 95 % of the channels lie.
    pub high: Vec<f32>,
}

impl Across {
    /// Over the live channels of `spectrum`.
    pub fn of(spectrum: &Spectrum) -> Self {
        let live = spectrum.live();
        let mut across = Across::default();
        if live.is_empty() {
            return across;
        }
        let mut values = vec![0.0; live.len()];
        for bin in 0..spectrum.densities.n_bins {
            for (value, &i) in values.iter_mut().zip(&live) {
                *value = spectrum.density(i)[bin];
            }
            values.sort_unstable_by(f32::total_cmp);
            across.low.push(values[nth(values.len(), 0.05)]);
            across.median.push(values[nth(values.len(), 0.5)]);
            across.high.push(values[nth(values.len(), 0.95)]);
        }
        across
    }
}

/// The value under which `share` of `values` lies; `None` of none.
pub fn quantile(mut values: Vec<f64>, share: f64) -> Option<f64> {
    values.sort_unstable_by(f64::total_cmp);
    (!values.is_empty()).then(|| values[nth(values.len(), share)])
}

fn nth(n: usize, share: f64) -> usize {
    ((n - 1) as f64 * share).round() as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_values_that_occur() {
        let values: Vec<f64> = (0..=100).rev().map(f64::from).collect();
        assert_eq!(quantile(values.clone(), 0.5), Some(50.0));
        assert_eq!(quantile(values, 0.95), Some(95.0));
        assert_eq!(quantile(vec![3.0], 0.05), Some(3.0));
        assert_eq!(quantile(Vec::new(), 0.5), None);
    }
}
