//! Bins with what the subject did in them.

use crate::binning::{Bin, BinSchedule};
use crate::config::{DecoderConfig, Features};
use crate::decode::{Decoder, Normaliser, Output};
use crate::error::Error;
use crate::intents::Action;
use crate::recording::{Kinematics, Truth};
use crate::score::{self, PerAxis, Score};
use crate::time::SampleIndex;
use ndarray::{ArcArray2, Array2, ArrayView1, Axis, s};
use std::ops::Range;

/// Features of consecutive bins, from bin 0 of a recording, and the rows of it that count.
#[derive(Clone, Debug)]
pub struct Dataset {
    /// bins × features; copies share it.
    pub features: ArcArray2<f32>,
    /// What the features are.
    pub kinds: Features,
    /// The bin starts a segment.
    pub starts_segment: Vec<bool>,
    /// Nothing of the bin was lost.
    pub whole: Vec<bool>,
    /// Something of the bin came.
    pub received: Vec<bool>,
    /// What the subject did, bin by bin.
    pub targets: Targets,
    /// Bins that are fitted or scored; those before are history.
    pub rows: Range<usize>,
}

/// What the subject did.
#[derive(Clone, Debug)]
pub enum Targets {
    /// Moved.
    Movement(Movement),
    /// Chose: one label per bin.
    Classes {
        /// Index into `names`, per bin.
        labels: Vec<u16>,
        /// Names of the classes.
        names: Vec<String>,
    },
}

impl Targets {
    /// What `truth` says of the first `n_bins` bins, or of fewer where it ends before; `None` where it says
    /// nothing.
    pub fn of(truth: &Truth, schedule: &BinSchedule, n_bins: usize) -> Option<Self> {
        match truth {
            Truth::None => None,
            Truth::Kinematics(kinematics) => {
                Some(Targets::Movement(Movement::binned(kinematics, schedule, n_bins)))
            }
            Truth::Classes(classes) => {
                let trial = |bin: usize| (schedule.edge(bin as u64).0 / classes.frames_per_trial) as usize;
                let labels = (0..n_bins).map_while(|bin| classes.trials.get(trial(bin)).copied()).collect();
                Some(Targets::Classes { labels, names: classes.names.clone() })
            }
        }
    }

    /// Bins of which something is known.
    pub fn n_bins(&self) -> usize {
        match self {
            Targets::Movement(movement) => movement.velocity.nrows(),
            Targets::Classes { labels, .. } => labels.len(),
        }
    }
}

/// Movement in each bin.
#[derive(Clone, Debug)]
pub struct Movement {
    /// Names of the axes.
    pub axes: Vec<String>,
    /// Unit of position; velocity is this a second.
    pub unit: String,
    /// bins × axes.
    pub velocity: Array2<f64>,
    /// bins × axes.
    pub position: Option<Array2<f64>>,
}

impl Movement {
    /// The mean of the kinematics' rows in each bin; where they are slower than the bins, the row that holds.
    /// As many bins as both have.
    pub fn binned(kinematics: &Kinematics, schedule: &BinSchedule, n_bins: usize) -> Self {
        let rows = |bin: u64| match BinSchedule::new(kinematics.sample_rate, schedule.width_ms()) {
            Ok(rows) => rows.edge(bin).0 as usize..rows.edge(bin + 1).0 as usize,
            Err(_) => {
                let seconds = bin as f64 * schedule.width_ms() * 1e-3;
                let row = (seconds * kinematics.sample_rate.hz()) as usize;
                row..row + 1
            }
        };
        let n_rows = kinematics.velocity.nrows();
        let n_bins = (0..n_bins as u64).take_while(|&bin| rows(bin).end <= n_rows).count();
        let mean = |of: &Array2<f64>| {
            let mut binned = Array2::zeros((n_bins, of.ncols()));
            for (bin, mut row) in binned.rows_mut().into_iter().enumerate() {
                let within = of.slice(s![rows(bin as u64), ..]);
                row.assign(&within.mean_axis(Axis(0)).expect("a bin has a row"));
            }
            binned
        };
        Movement {
            axes: kinematics.axes.clone(),
            unit: kinematics.unit.clone(),
            velocity: mean(&kinematics.velocity),
            position: kinematics.position.as_ref().map(mean),
        }
    }

    /// What a decoder trained on this says.
    pub fn output(&self, with_position: bool) -> Output {
        Output::Move { n_axes: self.axes.len(), has_position: with_position && self.position.is_some() }
    }
}

impl Dataset {
    /// Rows to fit: those in range, labelled, with nothing lost.
    pub fn fit_rows(&self) -> Vec<usize> {
        let end = self.rows.end.min(self.targets.n_bins());
        (self.rows.start..end).filter(|&row| self.whole[row]).collect()
    }

    /// Refuses an axis along which the subject never moved in `rows`.
    ///
    /// # Errors
    /// Naming the first such axis.
    pub fn check_targets(&self, rows: &[usize], place: &str) -> Result<(), Error> {
        let Targets::Movement(movement) = &self.targets else { return Ok(()) };
        for (axis, name) in movement.axes.iter().enumerate() {
            let first = movement.velocity[(rows[0], axis)];
            if rows.iter().all(|&row| movement.velocity[(row, axis)] == first) {
                return Err(Error::fit(
                    place,
                    format!("the velocity along `{name}` never changes in these bins"),
                )
                .field("kinematics")
                .legal("movement along every axis")
                .hint("a wider --bins A..B, or a mapping without this axis"));
            }
        }
        Ok(())
    }

    /// The rows in two: all but the last fifth, and the last fifth.
    pub fn split_last_fifth(&self) -> (Dataset, Dataset) {
        let Range { start, end } = self.rows;
        let at = end - (end - start) / 5;
        (Dataset { rows: start..at, ..self.clone() }, Dataset { rows: at..end, ..self.clone() })
    }

    /// Decodes all bins up to the last row and scores those in `rows`.
    pub fn score(&self, decoder: &mut Decoder) -> Score {
        decoder.reset();
        let mut decoded = Vec::new();
        for row in 0..self.rows.end.min(self.targets.n_bins()) {
            let action = decoder.decode(&self.bin(row)).action;
            if self.rows.contains(&row) {
                decoded.push((row, action));
            }
        }
        score_actions(&self.targets, &decoded)
    }

    /// Which features belong to channels with `decoder.min_events` events in the fitted rows, or with one in
    /// `BINS_PER_EVENT_MAX` bins where those are few. Classes use every channel; power has no events.
    ///
    /// # Errors
    /// If no channel has that many.
    pub fn features_with_events(&self, config: &DecoderConfig) -> Result<Vec<bool>, Error> {
        let n = self.features.ncols();
        if config.kind.is_classifier() || !self.kinds.has_counts() {
            return Ok(vec![true; n]);
        }
        let n_channels = if self.kinds.has_power() { n / 2 } else { n };
        let mut events = vec![0.0f64; n_channels];
        let rows = self.fit_rows();
        let min_events = config.min_events.min(rows.len() as f64 / BINS_PER_EVENT_MAX);
        for row in rows {
            for (sum, &count) in events.iter_mut().zip(self.features.row(row)) {
                *sum += f64::from(count);
            }
        }
        let most = events.iter().copied().fold(0.0, f64::max);
        if most < min_events {
            return Err(Error::fit("channels", format!("none has {min_events:.0} events in these bins"))
                .field("decoder.min_events")
                .legal(format!("at most {most}, the events of the busiest channel"))
                .hint("a wider --bins A..B or a lower decoder.min_events"));
        }
        Ok((0..n).map(|feature| events[feature % n_channels] >= min_events).collect())
    }

    /// All bins' kept features, normalised: bins × kept. Bins of which nothing came read 0, as live.
    pub fn normalised(&self, normaliser: &Normaliser, kept: &[usize]) -> Array2<f32> {
        let mut normalised = Array2::zeros((self.features.nrows(), kept.len()));
        let mut all = vec![0.0; self.features.ncols()];
        let rows = self.features.rows().into_iter().zip(normalised.rows_mut()).zip(&self.received);
        for ((from, mut into), _) in rows.filter(|(_, received)| **received) {
            normaliser.apply(from.as_slice().expect("rows are contiguous"), &mut all);
            into.iter_mut().zip(kept).for_each(|(into, &feature)| *into = all[feature]);
        }
        normalised
    }

    /// Bins since the segment's start, per bin: how much history counts.
    pub fn history(&self) -> Vec<usize> {
        let mut since = 0;
        let count = |&starts: &bool| {
            since = if starts { 0 } else { since + 1 };
            since
        };
        self.starts_segment.iter().map(count).collect()
    }

    /// A bin as the pipeline gives it.
    pub(crate) fn bin(&self, row: usize) -> Bin {
        Bin {
            index: row as u64,
            end: SampleIndex(row as u64 + 1),
            received_frames: u32::from(self.received[row]),
            lost_frames: u32::from(!self.whole[row]),
            starts_segment: self.starts_segment[row],
            features: self.features.row(row).to_vec(),
            n_channels: self.features.ncols(),
            unknown: Vec::new(),
            touched: None,
        }
    }
}

/// In a short recording, a channel that fires less than once in so many bins is left out: 100 events in the nine
/// minutes of a usual session of 50 ms bins.
pub(super) const BINS_PER_EVENT_MAX: f64 = 108.0;

/// Scores what was decoded in given bins; those of which nothing is known don't count.
pub fn score_actions(targets: &Targets, decoded: &[(usize, Action)]) -> Score {
    let known = decoded.iter().filter(|(bin, _)| *bin < targets.n_bins());
    let decoded: Vec<(usize, Action)> = known.copied().collect();
    let n_scored = decoded.len();
    match targets {
        Targets::Movement(movement) if n_scored > 0 => {
            let n_axes = movement.axes.len();
            let mut velocity = Array2::zeros((n_scored, n_axes));
            let mut position = movement.position.as_ref().map(|_| Array2::zeros((n_scored, n_axes)));
            let rows: Vec<usize> = decoded.iter().map(|(row, _)| *row).collect();
            for (at, (_, action)) in decoded.iter().enumerate() {
                let Action::Move { velocity: v, position: p, .. } = action else { continue };
                velocity.row_mut(at).assign(&ArrayView1::from(&v[..n_axes]).mapv(f64::from));
                match (&mut position, p) {
                    (Some(position), Some(p)) => {
                        position.row_mut(at).assign(&ArrayView1::from(&p[..n_axes]).mapv(f64::from));
                    }
                    _ => position = None,
                }
            }
            let truth = movement.velocity.select(Axis(0), &rows);
            let per_axis = |values: Vec<f64>| Some(PerAxis::new(&movement.axes, &values));
            Score {
                velocity_r2: per_axis(score::r2(truth.view(), velocity.view())),
                cc: per_axis(score::correlation(truth.view(), velocity.view())),
                position_r2: position.zip(movement.position.as_ref()).and_then(|(decoded, truth)| {
                    per_axis(score::r2(truth.select(Axis(0), &rows).view(), decoded.view()))
                }),
                accuracy: None,
                n_scored,
            }
        }
        Targets::Classes { labels, .. } if n_scored > 0 => {
            let truth: Vec<u16> = decoded.iter().map(|(row, _)| labels[*row]).collect();
            let chosen = |(_, action): &(usize, Action)| match action {
                Action::Choose { class, .. } => *class,
                Action::Move { .. } => u16::MAX,
            };
            let decoded: Vec<u16> = decoded.iter().map(chosen).collect();
            Score { accuracy: Some(score::accuracy(&truth, &decoded)), n_scored, ..Score::default() }
        }
        _ => Score::default(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::SampleRate;
    use ndarray::array;

    #[test]
    fn kinematics_are_averaged_over_each_bin() {
        let kinematics = Kinematics {
            axes: vec!["x".into()],
            sample_rate: SampleRate::new(100.0, "test").expect("legal"),
            velocity: array![[1.0], [3.0], [5.0], [7.0], [100.0]],
            position: None,
            unit: "m".into(),
        };
        let schedule = |width| BinSchedule::new(SampleRate::new(1000.0, "test").expect("legal"), width);
        let binned = Movement::binned(&kinematics, &schedule(20.0).expect("legal"), 10);
        assert_eq!(binned.velocity, array![[2.0], [6.0]], "half a bin of truth is none");
        let held = Movement::binned(&kinematics, &schedule(5.0).expect("legal"), 4);
        assert_eq!(held.velocity, array![[1.0], [1.0], [3.0], [3.0]]);
    }
}
