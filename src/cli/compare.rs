//! `efference detect --compare`: all detectors over one recording, at their usual thresholds and at equal false alarms.
//!
//! In: a recording and its true spikes. Out: a table for people or JSON. Every pass is a whole `Pipeline::process` of
//! the recording, from its noise to its crossings; only the multiple of the noise differs within a sweep.

use crate::cli::detect::{Subject, crossings};
use crate::cli::source::SourceArgs;
use crate::cli::{progress, say, say_json, table};
use efference::config::Config;
use efference::detect::{DetectorKind, NoiseRule};
use efference::pipeline::Calibration;
use efference::score::detection::{self, DetectionScore, Heard};
use efference::score::sweep::{Point, at_rate, mean_recall};
use efference::{Error, SampleIndex, train};
use indicatif::ProgressBar;
use serde::Serialize;
use serde_json::json;
use std::collections::BTreeMap;

/// What is compared, by the name that figures have.
const DETECTORS: [(&str, DetectorKind, NoiseRule); 4] = [
    ("rms", DetectorKind::Negative, NoiseRule::Rms),
    ("mad", DetectorKind::Negative, NoiseRule::Mad),
    ("absolute", DetectorKind::Absolute, NoiseRule::Mad),
    ("neo", DetectorKind::Neo, NoiseRule::Mean),
];
/// False alarms a second and channel at which recalls are compared.
const RATES: [f64; 2] = [1.0, 5.0];
/// Multiples of a sweep: the usual one times 2^(k/8), or 2^(k/4) of NEO, which goes with the square.
const STEPS: std::ops::RangeInclusive<i32> = -10..=16;
/// More different ratios than this have no column each.
const SNR_COLUMNS_MAX: usize = 6;

/// One detector over the recording.
#[derive(Serialize)]
struct Row {
    name: &'static str,
    detector: DetectorKind,
    noise: NoiseRule,
    multiple: f64,
    #[serde(flatten)]
    recall: Recall,
    false_alarms_per_second: f64,
    false_alarms_per_second_and_channel: f64,
    /// Of the untouched background at the same multiple.
    background_per_second_and_channel: Option<f64>,
    at_false_alarms: Vec<Matched>,
    sweep: Vec<Point>,
}

/// Recall where false alarms are as many as asked.
#[derive(Serialize)]
struct Matched {
    false_alarms_per_second_and_channel: f64,
    /// None where no threshold of the sweep has them.
    multiple: Option<f64>,
    #[serde(flatten)]
    recall: Option<Recall>,
}

#[derive(Serialize)]
struct Recall {
    /// Mean over the units that count.
    recall: Option<f64>,
    /// Mean over the units of each ratio.
    recall_by_snr: BTreeMap<String, f64>,
    units: BTreeMap<u32, f64>,
}

/// Compares and prints.
pub(crate) fn run(
    subject: &Subject,
    background: Option<&SourceArgs>,
    snr_min: Option<f64>,
    as_json: bool,
) -> Result<(), Error> {
    let background =
        background.map(|source| Subject::open(source.clone(), subject.config.clone())).transpose()?;
    let bar = progress::bar("comparing", (DETECTORS.len() * STEPS.count()) as u64);
    let rows = DETECTORS.map(|(name, detector, noise)| {
        let ratios = Ratios { of: &subject.snr, min: snr_min };
        row(name, detector, noise, subject, background.as_ref(), &ratios, &bar)
    });
    bar.finish_and_clear();
    let rows = rows.into_iter().collect::<Result<Vec<Row>, Error>>()?;
    match as_json {
        true => say_json(&json!({
            "recording": subject.place,
            "synthetic": subject.info.synthetic,
            "hybrid": subject.hybrid,
            "channels": subject.info.n_channels(),
            "front_end": subject.config.front_end,
            "snr_min": snr_min,
            "detectors": rows,
        })),
        false => say(text(subject, &rows)),
    }
}

fn row(
    name: &'static str,
    detector: DetectorKind,
    noise: NoiseRule,
    subject: &Subject,
    background: Option<&Subject>,
    ratios: &Ratios<'_>,
    bar: &ProgressBar,
) -> Result<Row, Error> {
    let mut config = subject.config.clone();
    config.front_end.set_detector(detector, Some(noise), None);
    let usual = config.front_end.threshold;
    let unit = unit_thresholds(subject, &config)?;
    let power = if detector == DetectorKind::Neo { 4.0 } else { 8.0 };
    let (mut sweep, mut at_usual) = (Vec::new(), None);
    for step in STEPS {
        let multiple = usual * (f64::from(step) / power).exp2();
        let pass = Pass::run(subject, &config, &unit, multiple)?;
        let score = pass.score(subject);
        let per_channel = score.false_alarms_per_second / pass.n_active as f64;
        let recall = score.units.iter().map(|(&unit, score)| (unit, score.recall)).collect();
        sweep.push(Point { multiple, false_alarms: per_channel, recall });
        if step == 0 {
            at_usual = Some(score.false_alarms_per_second);
        }
        bar.inc(1);
    }
    let usual_point = &sweep[-STEPS.start() as usize];
    let matched = |&rate: &f64| {
        let point = at_rate(&sweep, rate);
        Matched {
            false_alarms_per_second_and_channel: rate,
            multiple: point.as_ref().map(|point| point.multiple),
            recall: point.map(|point| ratios.recall(&point.recall)),
        }
    };
    let own = |background: &Subject| -> Result<f64, Error> {
        let pass = Pass::run(background, &config, &unit_thresholds(background, &config)?, usual)?;
        let seconds = pass.n_frames as f64 / background.info.sample_rate.hz();
        Ok(pass.detections.len() as f64 / seconds / pass.n_active as f64)
    };
    Ok(Row {
        name,
        detector,
        noise,
        multiple: usual,
        recall: ratios.recall(&usual_point.recall),
        false_alarms_per_second: at_usual.unwrap_or_default(),
        false_alarms_per_second_and_channel: usual_point.false_alarms,
        background_per_second_and_channel: background.map(own).transpose()?,
        at_false_alarms: RATES.iter().map(matched).collect(),
        sweep,
    })
}

/// Thresholds at a multiple of −1, from which those of any multiple follow to the bit.
fn unit_thresholds(subject: &Subject, config: &Config) -> Result<Vec<f32>, Error> {
    let mut config = config.clone();
    config.front_end.threshold = -1.0;
    Ok(train::calibrate(&mut *subject.source.open()?.source, &config, SampleIndex(0))?.thresholds)
}

/// One run through a recording.
struct Pass {
    detections: Vec<detection::Detection>,
    n_frames: u64,
    n_active: usize,
}

impl Pass {
    fn run(subject: &Subject, config: &Config, unit: &[f32], multiple: f64) -> Result<Self, Error> {
        let thresholds: Vec<f32> = unit.iter().map(|&unit| (f64::from(-unit) * multiple) as f32).collect();
        let source = subject.source.open()?.source;
        let (detections, n_frames) = crossings(
            source,
            config,
            &subject.info,
            &Calibration::of_thresholds(thresholds),
            &ProgressBar::hidden(),
        )?;
        let n_active = unit.iter().filter(|threshold| threshold.is_finite()).count().max(1);
        Ok(Pass { detections, n_frames, n_active })
    }

    fn score(&self, subject: &Subject) -> DetectionScore {
        let truth = subject.truth.as_deref().unwrap_or_default();
        detection::score(truth, &self.detections, subject.info.sample_rate, self.n_frames, subject.heard())
    }
}

/// How far units stand out, and how far they have to.
struct Ratios<'a> {
    of: &'a BTreeMap<u32, f64>,
    min: Option<f64>,
}

impl Ratios<'_> {
    fn recall(&self, units: &BTreeMap<u32, f64>) -> Recall {
        let counts = |unit| match (self.min, self.of.get(&unit)) {
            (Some(min), Some(&snr)) => snr >= min,
            _ => true,
        };
        let mut ratios: Vec<f64> = self.of.values().copied().collect();
        ratios.sort_by(f64::total_cmp);
        ratios.dedup();
        if ratios.len() > SNR_COLUMNS_MAX {
            ratios.clear();
        }
        let of_ratio = |&ratio: &f64| {
            let mean = mean_recall(units, |unit| self.of.get(&unit) == Some(&ratio))?;
            Some((format!("{ratio}"), mean))
        };
        Recall {
            recall: mean_recall(units, counts),
            recall_by_snr: ratios.iter().filter_map(of_ratio).collect(),
            units: units.clone(),
        }
    }
}

fn text(subject: &Subject, rows: &[Row]) -> String {
    let mut ratios: Vec<&String> = rows.iter().flat_map(|row| row.recall.recall_by_snr.keys()).collect();
    ratios.sort_by(|a, b| number(a).total_cmp(&number(b)));
    ratios.dedup();
    let heard_apart = subject.heard() == Heard::OnPeakChannel;
    let alarms = if heard_apart { "unexplained /s/ch" } else { "false /s/ch" };
    let mut header: Vec<String> = ["detector", "noise", "multiple", "recall"].map(String::from).to_vec();
    header.extend(ratios.iter().map(|ratio| format!("SNR {ratio}")));
    header.push(alarms.to_string());
    let has_background = rows.iter().any(|row| row.background_per_second_and_channel.is_some());
    if has_background {
        header.push("background /s/ch".to_string());
    }
    header.extend(RATES.map(|rate| format!("recall at {rate}")));
    let mut table = table::of(&header.iter().map(String::as_str).collect::<Vec<_>>());
    let share = |value: Option<f64>| value.map_or_else(|| "–".to_string(), |value| format!("{value:.3}"));
    for row in rows {
        let mut cells = vec![
            row.detector.name().to_string(),
            row.noise.name().to_string(),
            format!("{:.1}", row.multiple),
            share(row.recall.recall),
        ];
        cells.extend(ratios.iter().map(|ratio| share(row.recall.recall_by_snr.get(*ratio).copied())));
        cells.push(format!("{:.2}", row.false_alarms_per_second_and_channel));
        if has_background {
            let rate = row.background_per_second_and_channel;
            cells.push(rate.map_or_else(String::new, |rate| format!("{rate:.2}")));
        }
        let matched = row.at_false_alarms.iter();
        cells.extend(matched.map(|at| share(at.recall.as_ref().and_then(|recall| recall.recall))));
        table.add_row(cells);
    }
    format!(
        "detectors on {} ({}), {} channels\n{table}\nrecall at N: where the multiple is such that there are N {} a \
         second and channel",
        subject.place,
        subject.made(),
        subject.info.n_channels(),
        if heard_apart { "unexplained crossings" } else { "false alarms" },
    )
}

fn number(text: &str) -> f64 {
    text.parse().unwrap_or(f64::MAX)
}
