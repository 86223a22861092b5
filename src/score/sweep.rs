//! Recall at equal false alarms: what makes detectors comparable.
//!
//! In: one detector's recall and false alarms at several multiples of the noise. Out: its recall where it makes just as
//! many false alarms as another, between the two multiples next to that rate: linear in the logarithm of the rate.

use serde::Serialize;
use std::collections::BTreeMap;

/// What a detector did at one multiple.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Point {
    /// The threshold, as a multiple of the noise.
    pub multiple: f64,
    /// Crossings that no spike explains, a second and channel.
    pub false_alarms: f64,
    /// Share of its spikes that were detected, by unit.
    pub recall: BTreeMap<u32, f64>,
}

/// What it would do where it makes `false_alarms` a second and channel; `None` where no pair of neighbouring points has
/// that rate between them. Of several pairs the one with the lowest thresholds counts, for thresholds that are too near
/// to zero make fewer false alarms again, since all is one long crossing.
pub fn at_rate(points: &[Point], false_alarms: f64) -> Option<Point> {
    let mut points: Vec<&Point> = points.iter().collect();
    points.sort_by(|a, b| a.multiple.total_cmp(&b.multiple));
    let pair = points.windows(2).find(|pair| {
        (pair[0].false_alarms..=pair[1].false_alarms).contains(&false_alarms)
            && pair[0].false_alarms < pair[1].false_alarms
    })?;
    let (rare, frequent) = (pair[0], pair[1]);
    // A rate of 0 has no logarithm; half an event in the whole recording is as good as none.
    let log = |rate: f64| rate.max(RATE_MIN).ln();
    let range = log(frequent.false_alarms) - log(rare.false_alarms);
    let share = match range > 0.0 {
        true => (log(false_alarms) - log(rare.false_alarms)) / range,
        false => 0.5,
    };
    let between = |a: f64, b: f64| a + share * (b - a);
    let recall =
        rare.recall.iter().filter_map(|(unit, &a)| Some((*unit, between(a, *frequent.recall.get(unit)?))));
    Some(Point {
        multiple: between(rare.multiple, frequent.multiple),
        false_alarms,
        recall: recall.collect(),
    })
}

/// The mean over the units that `wanted` names; `None` of none.
pub fn mean_recall(recall: &BTreeMap<u32, f64>, wanted: impl Fn(u32) -> bool) -> Option<f64> {
    let of: Vec<f64> = recall.iter().filter(|(unit, _)| wanted(**unit)).map(|(_, &recall)| recall).collect();
    (!of.is_empty()).then(|| of.iter().sum::<f64>() / of.len() as f64)
}

/// False alarms a second and channel that are as good as none.
const RATE_MIN: f64 = 1e-3;

#[cfg(test)]
mod tests {
    use super::*;

    fn point(multiple: f64, false_alarms: f64, recall: f64) -> Point {
        Point { multiple, false_alarms, recall: BTreeMap::from([(7, recall)]) }
    }

    #[test]
    fn between_two_points_the_logarithm_is_linear() {
        let points = [point(-3.0, 100.0, 1.0), point(-5.0, 1.0, 0.5), point(-8.0, 0.0, 0.1)];
        let at = at_rate(&points, 10.0).expect("between");
        assert!((at.multiple + 4.0).abs() < 1e-12 && (at.recall[&7] - 0.75).abs() < 1e-12, "{at:?}");
        assert_eq!(at_rate(&points, 1.0).expect("a point").recall[&7], 0.5);
        assert!(at_rate(&points, 0.03).expect("between").recall[&7] < 0.5);
        assert_eq!(at_rate(&points, 101.0), None);
        assert_eq!(at_rate(&points[..1], 100.0), None, "one point is no sweep");
    }

    #[test]
    fn a_mean_is_over_the_wanted_units() {
        let recall = BTreeMap::from([(1, 1.0), (2, 0.5), (3, 0.0)]);
        assert_eq!(mean_recall(&recall, |unit| unit != 3), Some(0.75));
        assert_eq!(mean_recall(&recall, |_| false), None);
    }
}
