//! `efference detect`: threshold crossings of a broadband recording, scored where the true spikes are known.

use crate::cli::source::SourceArgs;
use crate::cli::train::SettingsArgs;
use crate::cli::{compare, progress, say, say_json, table};
use efference::block::{StreamInfo, StreamKind};
use efference::config::Config;
use efference::detect::{DetectorKind, NoiseRule};
use efference::pipeline::{Calibration, Event, Pipeline};
use efference::recording::spikes::{self, Spike};
use efference::score::detection::{self, Detection, DetectionScore, Heard};
use efference::sinks::PendingFile;
use efference::sources::{ReadOutcome, SampleSource};
use efference::{Error, SampleIndex, train};
use indicatif::ProgressBar;
use serde_json::json;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Detect threshold crossings in a broadband recording.
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  efference detect ground-truth/easy.i16 --truth ground-truth/easy_spikes.csv
  efference detect ground-truth/easy.i16 --truth ground-truth/easy_spikes.csv --compare
  efference detect neuralink-n1/ --detector neo --out crossings.csv

A spike is detected by a crossing on its unit's peak channel from 0.5 ms before to 1 ms after it. A false alarm
is a crossing on any channel with no spike of any unit from 1 ms before it to 0.5 ms after it; in a hybrid, whose
electrodes were recorded apart, with no spike on its own channel.")]
pub(crate) struct DetectArgs {
    #[command(flatten)]
    source: SourceArgs,
    /// Settings in TOML, of which the table [front_end] matters here
    #[arg(long, value_name = "FILE.toml")]
    config: Option<PathBuf>,
    /// In what spikes are looked for [default: negative]
    #[arg(long, value_enum)]
    detector: Option<DetectorKind>,
    /// How noise is measured [default: mad; mean for neo]
    #[arg(long, value_enum)]
    noise: Option<NoiseRule>,
    /// The threshold, as a multiple of the noise [default: -4.5; each detector has its own]
    #[arg(long, allow_negative_numbers = true)]
    threshold: Option<f64>,
    /// The true spikes: a CSV with columns sample, unit, peak_channel
    #[arg(long, value_name = "SPIKES.csv")]
    truth: Option<PathBuf>,
    /// Run all detectors, also at equal false alarms, and print one table
    #[arg(long, requires = "truth", conflicts_with_all = ["detector", "noise", "threshold", "out"])]
    compare: bool,
    /// With --compare: leave units below this signal-to-noise ratio (of the sidecar) out of the mean recall
    #[arg(long, value_name = "RATIO", requires = "compare")]
    snr_min: Option<f64>,
    /// With --compare: a recording with no added spikes, whose crossings are counted beside
    #[arg(long, value_name = "RECORDING", requires = "compare")]
    background: Option<String>,
    /// Write the crossings here: a CSV with columns sample, channel, synthetic
    #[arg(long, value_name = "FILE.csv")]
    out: Option<PathBuf>,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(args: &DetectArgs) -> Result<(), Error> {
    if let Some(path) = &args.out {
        PendingFile::check(path)?;
    }
    let mut config = SettingsArgs::of_file(args.config.clone()).config(None, None)?;
    if args.detector.is_some() || args.noise.is_some() || args.threshold.is_some() {
        let front_end = &mut config.front_end;
        match args.detector {
            // Another detector, with its usual settings where none are given.
            Some(detector) => front_end.set_detector(detector, args.noise, args.threshold),
            None => {
                front_end.noise = args.noise.unwrap_or(front_end.noise);
                front_end.threshold = args.threshold.unwrap_or(front_end.threshold);
            }
        }
        config.check("settings")?;
    }
    let mut subject = Subject::open(args.source.clone(), config)?;
    subject.read_truth(args.truth.as_deref())?;
    if args.compare {
        let mapping = args.source.mapping.clone();
        let background = args.background.clone().map(|recording| SourceArgs { recording, mapping });
        return compare::run(&subject, background.as_ref(), args.snr_min, args.json);
    }
    let Subject { config, info, .. } = &subject;
    let calibration = train::calibrate(&mut *args.source.open()?.source, config, SampleIndex(0))?;
    let source = args.source.open()?.source;
    let bar = progress::bar("detecting", source.n_frames().unwrap_or(0));
    let (detections, n_frames) = crossings(source, config, info, &calibration, &bar)?;
    bar.finish_and_clear();
    if let Some(path) = &args.out {
        let mut out = PendingFile::create(path)?;
        out.write(b"sample,channel,synthetic\n")?;
        let synthetic = u8::from(info.synthetic);
        for Detection { frame, channel } in &detections {
            out.write(format!("{frame},{channel},{synthetic}\n").as_bytes())?;
        }
        out.finish()?;
    }
    let heard = subject.heard();
    let score = subject
        .truth
        .as_ref()
        .map(|truth| detection::score(truth, &detections, info.sample_rate, n_frames, heard));
    let report =
        Report { subject: &subject, thresholds: calibration.thresholds, detections, n_frames, score };
    match args.json {
        true => say_json(&report.json()),
        false => say(report.text()),
    }
}

/// A recording to detect spikes in.
pub(super) struct Subject {
    pub(super) source: SourceArgs,
    pub(super) place: String,
    pub(super) info: StreamInfo,
    pub(super) config: Config,
    /// Electrodes that were recorded apart, with spikes added.
    pub(super) hybrid: bool,
    pub(super) truth: Option<Vec<Spike>>,
    /// Signal-to-noise ratios of the units, where they are known.
    pub(super) snr: BTreeMap<u32, f64>,
}

impl Subject {
    /// The recording, with the settings that it leaves open settled.
    pub(super) fn open(source: SourceArgs, config: Config) -> Result<Self, Error> {
        let (recording, place) = (source.open()?, source.name());
        let info = recording.source.info().clone();
        if info.kind != StreamKind::Broadband {
            return Err(Error::input(place, "its spikes are counted already")
                .field("kind")
                .legal("a broadband recording")
                .hint("`efference inspect` says what a recording holds"));
        }
        let config = recording.settle(config, &place)?;
        let hybrid = recording.about.hybrid;
        Ok(Subject { source, place, info, config, hybrid, truth: None, snr: BTreeMap::new() })
    }

    fn read_truth(&mut self, path: Option<&Path>) -> Result<(), Error> {
        if let Some(path) = path {
            self.truth = Some(read_truth(path, self.info.n_channels())?);
            self.snr = spikes::signal_to_noise(Path::new(&self.source.recording))?;
        }
        Ok(())
    }

    /// Where a spike can make crossings.
    pub(super) fn heard(&self) -> Heard {
        if self.hybrid { Heard::OnPeakChannel } else { Heard::Everywhere }
    }

    /// How the recording came about.
    pub(super) fn made(&self) -> &'static str {
        match (self.hybrid, self.info.synthetic) {
            (true, _) => "hybrid: synthetic spikes added to a background",
            (false, true) => "synthetic",
            (false, false) => "recorded",
        }
    }
}

fn read_truth(path: &Path, n_channels: usize) -> Result<Vec<Spike>, Error> {
    let truth = spikes::read(path)?;
    match truth.iter().find(|spike| spike.peak_channel as usize >= n_channels) {
        None => Ok(truth),
        Some(spike) => Err(Error::input(
            path.display().to_string(),
            format!("unit {} on channel {}", spike.unit, spike.peak_channel),
        )
        .field("peak_channel")
        .legal(format!("0 to {}, the channels of the recording", n_channels - 1))
        .hint("the spikes of this recording")),
    }
}

/// All crossings of a recording, and its frames.
pub(super) fn crossings(
    mut source: Box<dyn SampleSource>,
    config: &Config,
    info: &StreamInfo,
    calibration: &Calibration,
    bar: &ProgressBar,
) -> Result<(Vec<Detection>, u64), Error> {
    let mut pipeline = Pipeline::from_config(config, info, calibration, None)?;
    pipeline.list_crossings();
    let mut block = source.new_block();
    let mut detections = Vec::new();
    while source.read(&mut block)? == ReadOutcome::Block {
        pipeline.process(&block, |event| {
            if let Event::Crossing { channel, at } = event {
                detections.push(Detection { frame: at.0, channel });
            }
        });
        bar.set_position(block.end_sample().0);
    }
    Ok((detections, block.end_sample().0))
}

struct Report<'a> {
    subject: &'a Subject,
    thresholds: Vec<f32>,
    detections: Vec<Detection>,
    n_frames: u64,
    score: Option<DetectionScore>,
}

impl Report<'_> {
    fn json(&self) -> serde_json::Value {
        let Subject { place, info, config, hybrid, .. } = self.subject;
        let mut crossings = vec![0u64; info.n_channels()];
        self.detections.iter().for_each(|detection| crossings[detection.channel] += 1);
        let finite = |threshold: &f32| threshold.is_finite().then_some(*threshold);
        json!({
            "recording": place,
            "synthetic": info.synthetic,
            "hybrid": hybrid,
            "channels": info.channels,
            "seconds": self.seconds(),
            "thresholds": self.thresholds.iter().map(finite).collect::<Vec<_>>(),
            "crossings": crossings,
            "front_end": config.front_end,
            "score": self.score,
        })
    }

    fn text(&self) -> String {
        let Subject { info, config, .. } = self.subject;
        let n = self.detections.len();
        let flat = self.thresholds.iter().filter(|threshold| threshold.is_infinite()).count();
        let mut lines = vec![format!(
            "{n} crossings of {} × noise on {} channels in {:.2} s: {:.2} a second and channel ({})",
            config.front_end.threshold,
            info.n_channels(),
            self.seconds(),
            n as f64 / self.seconds() / (info.n_channels() - flat).max(1) as f64,
            self.subject.made(),
        )];
        if flat > 0 {
            lines.push(format!("{flat} flat channels are left out"));
        }
        if let Some(score) = &self.score {
            let mut units = table::of(&["unit", "peak channel", "spikes", "detected", "recall"]);
            for (name, unit) in &score.units {
                units.add_row(vec![
                    name.to_string(),
                    info.channels[unit.channel].clone(),
                    unit.spikes.to_string(),
                    unit.detected.to_string(),
                    format!("{:.4}", unit.recall),
                ]);
            }
            lines.push(units.to_string());
            let (alarms, rate) = (score.false_alarms, score.false_alarms_per_second);
            let what = if self.subject.hybrid { "unexplained crossings" } else { "false alarms" };
            lines.push(format!("{alarms} {what}: {rate:.2} a second"));
        }
        lines.join("\n")
    }

    fn seconds(&self) -> f64 {
        self.n_frames as f64 / self.subject.info.sample_rate.hz()
    }
}
