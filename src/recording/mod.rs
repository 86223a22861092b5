//! Recordings: what a file or folder holds, its samples as a source, and what the subject really did.

use crate::sources::SampleSource;
use crate::time::SampleRate;
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

/// What a recording holds.
#[derive(Clone, Debug, serde::Serialize)]
pub struct About {
    /// The path or `sim:` address that was opened.
    pub path: String,
    /// The format's name: `mat-v5`, `wav`, `flat`, `simulator`.
    pub format: String,
    /// `broadband` or `counts`.
    pub kind: String,
    /// Channels of a frame.
    pub n_channels: usize,
    /// Frames a second.
    pub sample_rate_hz: f64,
    /// Frames, lost ones included.
    pub n_frames: u64,
    /// Length in seconds.
    pub seconds: f64,
    /// Unit of one sample: "µV", "counts (µV per count unknown)", "crossings per bin".
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
    /// What a user would expect and doesn't find, a sentence each.
    pub missing: Vec<String>,
    /// Other facts worth knowing, a sentence each.
    pub notes: Vec<String>,
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
}
