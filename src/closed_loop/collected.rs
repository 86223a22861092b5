//! Bins of a calibration, with what was meant in them.
//!
//! In: a bin, the velocity that its user meant then (`None` where nobody knows), and where the cursor was. Out: a data set to
//! fit. Guarantee: a bin is fitted to what was meant [`ANSWER_MS`] before, which is what its spikes answer.

use crate::binning::Bin;
use crate::config::Features;
use crate::train::{Dataset, Movement, Targets};
use ndarray::Array2;

/// What was collected so far.
#[derive(Clone, Debug, Default)]
pub(super) struct Collected {
    features: Vec<f32>,
    starts_segment: Vec<bool>,
    whole: Vec<bool>,
    received: Vec<bool>,
    meant: Vec<Option<[f64; 2]>>,
    position: Vec<[f64; 2]>,
    /// A click was asked for.
    clicks: Vec<bool>,
    /// Bins in which such a request began.
    asked: Vec<usize>,
    /// Bins are missing before the next.
    is_broken: bool,
    pub(super) n_targets: usize,
}

impl Collected {
    pub(super) fn add(&mut self, bin: &Bin, meant: Option<[f64; 2]>, position: [f64; 2]) {
        self.features.extend_from_slice(&bin.features);
        self.starts_segment.push(bin.starts_segment || std::mem::take(&mut self.is_broken));
        self.whole.push(bin.lost_frames == 0);
        self.received.push(bin.received_frames > 0);
        self.meant.push(meant);
        self.position.push(position);
        self.clicks.push(false);
    }

    /// Bins so far.
    pub(super) fn n_bins(&self) -> usize {
        self.whole.len()
    }

    /// The next bin doesn't follow the last.
    pub(super) fn break_off(&mut self) {
        self.is_broken = true;
    }

    /// In the bin that was added last a click was asked for.
    pub(super) fn click(&mut self) {
        let was_clicking = self.clicks.len() > 1 && self.clicks[self.clicks.len() - 2];
        if let Some(last) = self.clicks.last_mut() {
            *last = true;
        }
        if !was_clicking {
            self.asked.push(self.clicks.len() - 1);
        }
    }

    /// Bins in which the user began to be asked for a click.
    pub(super) fn asked(&self) -> &[usize] {
        &self.asked
    }

    /// To learn from, with labels [`ANSWER_MS`] later than they are: class 1 where a click was asked for, 0 elsewhere.
    pub(super) fn click_dataset(&self, kinds: Features, step_seconds: f64) -> Dataset {
        let answer_bins = (ANSWER_MS * 1e-3 / step_seconds).round() as usize;
        let label = |bin: usize| bin.checked_sub(answer_bins).is_some_and(|at| self.clicks[at]);
        let targets = Targets::Classes {
            labels: (0..self.clicks.len()).map(|bin| u16::from(label(bin))).collect(),
            names: vec!["rest".into(), "click".into()],
        };
        let whole = self.whole.clone();
        Dataset { targets, whole, ..self.dataset(kinds, step_seconds, 0) }
    }

    /// Where the cursor was, bins × axes.
    pub(super) fn positions(&self) -> Array2<f64> {
        Array2::from_shape_fn((self.position.len(), 2), |(bin, axis)| self.position[bin][axis])
    }

    /// Channels of which anything was counted.
    pub(super) fn n_active(&self, n_channels: usize) -> usize {
        let mut active = vec![false; n_channels];
        for bin in self.features.chunks_exact(n_channels.max(1)) {
            active.iter_mut().zip(bin).for_each(|(active, &count)| *active |= count > 0.0);
        }
        active.iter().filter(|active| **active).count()
    }

    /// Share of bins of which something came.
    pub(super) fn received_share(&self) -> f64 {
        self.received.iter().filter(|received| **received).count() as f64 / self.received.len() as f64
    }

    /// To learn from, with labels `shift` bins later than they are.
    pub(super) fn dataset(&self, kinds: Features, step_seconds: f64, shift: i32) -> Dataset {
        let n_bins = self.whole.len();
        let n_features = self.features.len() / n_bins.max(1);
        let answer_bins = (ANSWER_MS * 1e-3 / step_seconds).round() as i64 + i64::from(shift);
        let meant = |bin: usize| {
            let at = usize::try_from(bin as i64 - answer_bins).ok()?;
            // What was meant in one round says nothing of the next.
            let is_same_round =
                !self.starts_segment[at.min(bin)..=bin.max(at).min(n_bins - 1)][1..].contains(&true);
            self.meant.get(at).copied().flatten().filter(|_| at == bin || is_same_round)
        };
        let meant: Vec<Option<[f64; 2]>> = (0..n_bins).map(meant).collect();
        let velocity = Array2::from_shape_fn((n_bins, 2), |(bin, axis)| meant[bin].map_or(0.0, |v| v[axis]));
        let whole = self.whole.iter().zip(&meant).map(|(whole, meant)| *whole && meant.is_some()).collect();
        Dataset {
            features: Array2::from_shape_vec((n_bins, n_features), self.features.clone())
                .expect("bins have one width")
                .into_shared(),
            kinds,
            starts_segment: self.starts_segment.clone(),
            whole,
            received: self.received.clone(),
            targets: Targets::Movement(Movement {
                axes: vec!["x".into(), "y".into()],
                unit: "m".into(),
                velocity,
                position: None,
            }),
            rows: 0..n_bins,
        }
    }
}

/// Neurons answer an intended velocity after up to 150 ms: a bin tells best what was intended so long before.
pub(super) const ANSWER_MS: f64 = 100.0;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bin_is_fitted_to_what_was_meant_before_in_the_same_round() {
        let mut collected = Collected::default();
        for n in 0..20u32 {
            let mut bin = Bin::new(Features::Counts, 1);
            bin.starts_segment = n == 0 || n == 12;
            bin.received_frames = 20;
            bin.features[0] = n as f32;
            collected.add(&bin, (n != 3).then_some([f64::from(n), 1.0]), [0.5, f64::from(n)]);
        }
        let Dataset { whole, targets, .. } = collected.dataset(Features::Counts, 0.02, 0);
        let Targets::Movement(movement) = targets else { panic!("it moves") };
        // 100 ms are five bins; nothing was meant before the first, and nobody knows what in the fourth.
        let fitted: Vec<usize> = (0..20).filter(|&n| whole[n]).collect();
        assert_eq!(fitted, [5, 6, 7, 9, 10, 11, 17, 18, 19]);
        assert!(fitted.iter().all(|&n| movement.velocity[(n, 0)] == n as f64 - 5.0));
        let shifted = collected.dataset(Features::Counts, 0.02, -8);
        let Targets::Movement(movement) = &shifted.targets else { panic!("it moves") };
        assert_eq!(movement.velocity[(2, 0)], 5.0);
        assert!(shifted.whole[2] && !shifted.whole[19] && !shifted.whole[10]);
        assert_eq!((collected.n_active(1), collected.received_share()), (1, 1.0));
        assert_eq!(collected.positions().row(7).to_vec(), [0.5, 7.0]);
    }
}
