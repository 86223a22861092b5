//! Recordings: what a file or folder holds, its samples as a source, and what the subject really did.
//!
//! In: a path and, where the format leaves meaning open, a [`Mapping`]. Out: a [`Recording`]: blocks of int16
//! or float32 broadband or of counts, kinematics or classes, and an [`About`] for people. Files are read
//! without trust: whatever their bytes, opening gives a recording or an [`Error`] that names file and field.

pub mod archive;
mod counts;
mod files;
mod flat;
mod keys;
mod lines;
pub(crate) mod mapped;
pub mod mapping;
pub mod mat;
mod memory;
mod n1;
mod open;
mod sidecar;
pub mod spikes;
mod trials;
mod wav;

pub use mapping::Mapping;
pub use open::{of_source, open};

use crate::binning::BinSchedule;
use crate::block::{StreamInfo, StreamKind};
use crate::config::Config;
use crate::error::Error;
use crate::sources::SampleSource;
use crate::time::{SampleIndex, SampleRate};
use ndarray::Array2;

/// An opened recording.
pub struct Recording {
    /// What it holds, for a person and for `inspect --json`.
    pub about: About,
    /// What the subject did or was asked to do, where the recording says so.
    pub truth: Truth,
    /// Its samples.
    pub source: Box<dyn SampleSource>,
}

impl Recording {
    /// The settings with the bin width and the decoder that they leave open, if the recording can be cut that way.
    ///
    /// # Errors
    /// As [`Config::check_for`]; trials that are not a whole number of bins.
    pub fn settle(&self, config: Config, place: &str) -> Result<Config, Error> {
        let info = self.source.info();
        let mut config = config.check_for(info, self.bin_width_ms(), place)?;
        config.decoder.kind = config.decoder.kind.settled(matches!(self.truth, Truth::Classes(_)));
        if let Truth::Classes(classes) = &self.truth {
            let bins = BinSchedule::new(info.sample_rate, config.bins.width_ms)?;
            let trial = SampleIndex(classes.frames_per_trial);
            if bins.edge(bins.bin_of(trial)) != trial {
                return Err(Error::usage(place, format!("bins of {} ms", config.bins.width_ms))
                    .field("bins.width_ms")
                    .legal(format!("a whole part of a trial's {} ms", self.bin_width_ms())));
            }
        }
        Ok(config)
    }

    /// The bin width that this recording suggests, ms: a trial where it has trials, a frame where its frames
    /// are bins already (5 ms or longer), else the field's usual 20 ms.
    pub fn bin_width_ms(&self) -> f64 {
        let frame_ms = 1e3 / self.source.info().sample_rate.hz();
        match (&self.truth, self.source.info().kind) {
            (Truth::Classes(classes), _) => classes.frames_per_trial as f64 * frame_ms,
            (_, StreamKind::Counts | StreamKind::Power(_)) if frame_ms >= FRAME_IS_BIN_MS => frame_ms,
            _ => BIN_WIDTH_MS,
        }
    }
}

/// Counts frames at least this long are taken for the bins of whoever recorded them.
const FRAME_IS_BIN_MS: f64 = 5.0;
/// The field's usual bin width.
const BIN_WIDTH_MS: f64 = 20.0;

/// What a recording holds.
#[derive(Clone, Debug, serde::Serialize)]
pub struct About {
    /// The path or `sim:` address that was opened.
    pub path: String,
    /// The format's name: `mat-v5`, `wav`, `flat`, `archive`, `simulator`.
    pub format: String,
    /// `broadband`, `counts`, `crossings` or `power`.
    pub kind: String,
    /// Channels of a frame.
    pub n_channels: usize,
    /// Frames a second.
    pub sample_rate_hz: f64,
    /// Frames, lost ones included.
    pub n_frames: u64,
    /// Length in seconds.
    pub seconds: f64,
    /// Unit of one sample: "counts of 0.195 µV", "counts (µV per count unknown)", "crossings per 50 ms".
    pub units: String,
    /// Runs of lost frames.
    pub gaps: Vec<Gap>,
    /// Trials; 0 where the recording is continuous.
    pub n_trials: usize,
    /// What `truth` holds, in words: "position and velocity of x, y at 20 Hz", "8 classes", or none.
    pub kinematics: Option<String>,
    /// Channels with no event or no change at all, by name.
    pub silent_channels: Vec<String>,
    /// Made by a simulator or generator.
    pub synthetic: bool,
    /// A background with synthetic spikes added, each to one electrode alone; synthetic too.
    pub hybrid: bool,
    /// The mapping that was found to fit where none was given.
    pub mapping: Option<String>,
    /// What a user would expect and doesn't find, a sentence each.
    pub missing: Vec<String>,
    /// Other facts worth knowing, a sentence each.
    pub notes: Vec<String>,
}

impl About {
    /// What `info` says of a stream of `n_frames` at `path`; the rest is empty, for the caller to add.
    pub(crate) fn new(path: &str, format: &str, info: &StreamInfo, n_frames: u64) -> Self {
        About {
            path: path.to_string(),
            format: format.to_string(),
            kind: info.kind.name().to_string(),
            n_channels: info.n_channels(),
            sample_rate_hz: info.sample_rate.hz(),
            n_frames,
            seconds: info.sample_rate.seconds(SampleIndex(n_frames)),
            units: match (info.kind, info.uv_per_count) {
                (StreamKind::Counts, _) => format!("crossings per {} ms", 1e3 / info.sample_rate.hz()),
                (StreamKind::Crossings, _) => "crossings".to_string(),
                (StreamKind::Power(_), _) => format!("power per {} ms", 1e3 / info.sample_rate.hz()),
                (StreamKind::Broadband, Some(uv)) => format!("counts of {uv} µV"),
                (StreamKind::Broadband, None) => "counts (µV per count unknown)".to_string(),
            },
            gaps: Vec::new(),
            n_trials: 0,
            kinematics: None,
            silent_channels: Vec::new(),
            synthetic: info.synthetic,
            hybrid: false,
            mapping: None,
            missing: Vec::new(),
            notes: Vec::new(),
        }
    }
}

/// Lost frames.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Gap {
    /// The first lost frame.
    pub first_frame: u64,
    /// How many were lost.
    pub n_frames: u64,
}

/// What a decoder is trained to and scored against.
#[derive(Clone, Debug)]
pub enum Truth {
    /// Nothing is known.
    None,
    /// Continuous movement.
    Kinematics(Kinematics),
    /// One class per trial.
    Classes(Classes),
}

/// Movement, sampled at `sample_rate`: row k holds for the stream time [k, k + 1) / `sample_rate`.
#[derive(Clone, Debug)]
pub struct Kinematics {
    /// Names of the axes, `x` and `y` as a rule.
    pub axes: Vec<String>,
    /// Rows a second.
    pub sample_rate: SampleRate,
    /// Velocity, rows × axes, in `velocity_unit`.
    pub velocity: Array2<f64>,
    /// Position, rows × axes, where the recording has it.
    pub position: Option<Array2<f64>>,
    /// Unit of position; velocity is this a second.
    pub unit: String,
}

/// The class of each trial. Trials follow one another in the stream, each starts a segment.
#[derive(Clone, Debug)]
pub struct Classes {
    /// Names of the classes.
    pub names: Vec<String>,
    /// One index into `names` per trial.
    pub trials: Vec<u16>,
    /// Frames of each trial.
    pub frames_per_trial: u64,
    /// The first of these frames, counted from the trial's start.
    pub first_frame: u64,
}

/// `ch0`, `ch1` …: the name of a channel whose recording has none.
fn channel_name(channel: usize) -> String {
    format!("ch{channel}")
}

/// More channels than a stream may have, or none.
fn check_n_channels(n_channels: usize, place: &str) -> Result<(), Error> {
    let legal = 1..=crate::block::CHANNELS_MAX;
    match legal.contains(&n_channels) {
        true => Ok(()),
        false => Err(Error::input(place, format!("it has {n_channels} channels"))
            .legal(format!("{} to {} channels", legal.start(), legal.end()))
            .hint("check that rows and columns are not exchanged")),
    }
}
