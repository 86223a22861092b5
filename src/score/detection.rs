//! How many of the true spikes were detected, and how many detections were none?
//!
//! In: crossings and true spikes, channel and frame each. Out: hits per unit and false alarms. A spike is
//! detected by a crossing on its unit's peak channel from 0.5 ms before to 1 ms after it; each crossing
//! detects one spike at most, so units that share a channel compete. A false alarm is a crossing, on any
//! channel, with no spike of any unit from 1 ms before it to 0.5 ms after it: a spike shows on its unit's
//! neighbours too. Where electrodes were recorded apart ([`Heard::OnPeakChannel`]), only a spike on the crossing's own
//! channel explains it.

use crate::recording::spikes::Spike;
use crate::time::SampleRate;
use serde::Serialize;
use std::collections::BTreeMap;

/// A detected crossing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Detection {
    /// When.
    pub frame: u64,
    /// Where.
    pub channel: usize,
}

/// Where a spike can make crossings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Heard {
    /// On its unit's neighbours too.
    Everywhere,
    /// On its unit's peak channel alone, as in hybrids of electrodes that were recorded apart.
    OnPeakChannel,
}

/// Hits and misses.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct DetectionScore {
    /// By unit.
    pub units: BTreeMap<u32, UnitScore>,
    /// Crossings that no spike explains.
    pub false_alarms: usize,
    /// The same a second, over all channels.
    pub false_alarms_per_second: f64,
}

/// Hits and misses of one unit.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct UnitScore {
    /// Its peak channel.
    pub channel: usize,
    /// Spikes that it fired.
    pub spikes: usize,
    /// Of these, detected.
    pub detected: usize,
    /// detected / spikes.
    pub recall: f64,
}

/// Scores the detections in the first `n_frames` frames.
pub fn score(
    spikes: &[Spike],
    detections: &[Detection],
    rate: SampleRate,
    n_frames: u64,
    heard: Heard,
) -> DetectionScore {
    let frames = |ms: f64| (ms * 1e-3 * rate.hz()).round() as u64;
    let (before, after) = (frames(HIT_BEFORE_MS), frames(HIT_AFTER_MS));
    let mut spikes: Vec<&Spike> = spikes.iter().collect();
    spikes.sort_by_key(|spike| spike.sample.0);
    let mut detections = detections.to_vec();
    detections.sort_by_key(|detection| (detection.frame, detection.channel));

    let mut units = BTreeMap::new();
    let mut used = vec![false; detections.len()];
    for spike in &spikes {
        let from = spike.sample.0.saturating_sub(before);
        let first = detections.partition_point(|detection| detection.frame < from);
        let within =
            (first..detections.len()).take_while(|&at| detections[at].frame <= spike.sample.0 + after);
        let hit =
            within.into_iter().find(|&at| !used[at] && detections[at].channel == spike.peak_channel as usize);
        if let Some(at) = hit {
            used[at] = true;
        }
        let empty = UnitScore { channel: spike.peak_channel as usize, spikes: 0, detected: 0, recall: 0.0 };
        let unit = units.entry(spike.unit).or_insert(empty);
        unit.spikes += 1;
        unit.detected += usize::from(hit.is_some());
        unit.recall = unit.detected as f64 / unit.spikes as f64;
    }

    // One channel's spikes beside another's, or all as though on one.
    let place = |channel: usize| match heard {
        Heard::Everywhere => 0,
        Heard::OnPeakChannel => channel,
    };
    let mut places: Vec<(usize, u64)> =
        spikes.iter().map(|spike| (place(spike.peak_channel as usize), spike.sample.0)).collect();
    places.sort_unstable();
    let explained = |detection: &Detection| {
        let at = place(detection.channel);
        let from = (at, detection.frame.saturating_sub(after));
        let first = places.partition_point(|place| *place < from);
        places.get(first).is_some_and(|place| *place <= (at, detection.frame + before))
    };
    let false_alarms = detections.iter().filter(|detection| !explained(detection)).count();
    let seconds = n_frames as f64 / rate.hz();
    DetectionScore { units, false_alarms, false_alarms_per_second: false_alarms as f64 / seconds }
}

/// A crossing may come this much before the trough …
const HIT_BEFORE_MS: f64 = 0.5;
/// … and this much after it: the filter delays.
const HIT_AFTER_MS: f64 = 1.0;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::SampleIndex;

    #[test]
    fn each_crossing_detects_one_spike_at_most() {
        let rate = SampleRate::new(10_000.0, "test").expect("legal");
        let spike = |frame, unit| Spike { sample: SampleIndex(frame), unit, peak_channel: 3 };
        let spikes = [spike(100, 0), spike(104, 1), spike(500, 0), spike(900, 1)];
        let detection = |frame, channel| Detection { frame, channel };
        let detections =
            [detection(102, 3), detection(505, 3), detection(505, 4), detection(700, 3), detection(911, 3)];
        let apart = score(&spikes, &detections, rate, 10_000, Heard::OnPeakChannel);
        assert_eq!(apart.false_alarms, 3, "505 on 4 has no spike of its own");
        let score = score(&spikes, &detections, rate, 10_000, Heard::Everywhere);
        assert_eq!((score.units[&0].detected, score.units[&1].detected), (2, 0));
        assert_eq!(score.units[&0].recall, 1.0);
        assert_eq!(score.false_alarms, 2, "at 700 there is none, 911 is 1.1 ms late; 505 on 4 is explained");
        assert_eq!(score.false_alarms_per_second, 2.0);
    }
}
