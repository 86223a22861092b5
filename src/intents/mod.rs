//! Intents: decoded meaning, before any device acts on it.
//!
//! In: what a decoder computed for one bin. Out: a plain value that sinks write, draw or act on. On its way there it goes
//! through [`Dynamics`], which makes a cursor of it, and last through [`Safety`].

mod dwell;
mod dynamics;
mod safety;

pub use dwell::{Dwell, DwellSettings};
pub use dynamics::Dynamics;
pub use safety::{Allowed, Hold, Safety, Wanted};

use crate::time::SampleIndex;
use serde::Serialize;

/// Axes that a cursor moves along at most.
pub const AXES_MAX: usize = 3;

/// What the user meant in one bin.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Intent {
    /// The bin it was decoded from.
    pub bin: u64,
    /// The first frame after that bin: the earliest instant at which it could be known.
    pub at: SampleIndex,
    /// Frames of the bin that were lost.
    pub lost_frames: u32,
    /// What is meant.
    pub action: Action,
    /// The button is down.
    pub button: bool,
    /// Why [`Safety`] holds everything still, where it does; the action is to rest then.
    pub hold: Option<Hold>,
}

/// What is meant.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Action {
    /// Move: `n_axes` values are in use.
    Move {
        /// Axes in use.
        n_axes: usize,
        /// In the unit of the model's training, a second.
        velocity: [f32; AXES_MAX],
        /// Where the decoder knows it, in the unit of the model's training.
        position: Option<[f32; AXES_MAX]>,
    },
    /// Choose one class.
    Choose {
        /// Index into the model's classes.
        class: u16,
        /// Its posterior probability under the decoder's model, 0 to 1.
        probability: f32,
    },
}

/// An intent as a line of JSON, with its time in seconds since the stream began.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct IntentLine<'a> {
    recording: &'a str,
    synthetic: bool,
    bin: u64,
    sample: u64,
    seconds: f64,
    lost_frames: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    velocity: Option<&'a [f32]>,
    #[serde(skip_serializing_if = "Option::is_none")]
    position: Option<&'a [f32]>,
    #[serde(skip_serializing_if = "Option::is_none")]
    class: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    probability: Option<f32>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    button: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    hold: Option<Hold>,
}

impl Intent {
    /// What a decoder says of a bin, before anything was done about it.
    pub fn new(bin: u64, at: SampleIndex, lost_frames: u32, action: Action) -> Self {
        Intent { bin, at, lost_frames, action, button: false, hold: None }
    }

    /// As a line of JSON, which says what it was decoded from and whether that is synthetic; `seconds` is the
    /// time of [`Intent::at`], `classes` are the model's names.
    pub fn line<'a>(
        &'a self,
        recording: &'a str,
        synthetic: bool,
        seconds: f64,
        classes: &'a [String],
    ) -> IntentLine<'a> {
        let mut line = IntentLine {
            recording,
            synthetic,
            bin: self.bin,
            sample: self.at.0,
            seconds,
            lost_frames: self.lost_frames,
            velocity: None,
            position: None,
            class: None,
            probability: None,
            button: self.button,
            hold: self.hold,
        };
        match &self.action {
            Action::Move { n_axes, velocity, position } => {
                line.velocity = Some(&velocity[..*n_axes]);
                line.position = position.as_ref().map(|position| &position[..*n_axes]);
            }
            Action::Choose { class, probability } => {
                line.class = classes.get(usize::from(*class)).map(String::as_str);
                line.probability = Some(*probability);
            }
        }
        line
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_has_only_what_is_meant() {
        let velocity = [0.5, -1.0, 9.0];
        let action = Action::Move { n_axes: 2, velocity, position: None };
        let mut intent = Intent::new(3, SampleIndex(80), 0, action);
        let text = serde_json::to_string(&intent.line("a", true, 4.0, &[])).expect("plain values");
        let wanted = r#"{"recording":"a","synthetic":true,"bin":3,"sample":80,"seconds":4.0,"lost_frames":0,"velocity":[0.5,-1.0]}"#;
        assert_eq!(text, wanted);
        (intent.button, intent.hold) = (true, Some(Hold::Stale));
        let text = serde_json::to_string(&intent.line("a", true, 4.0, &[])).expect("plain values");
        assert!(text.ends_with(r#""button":true,"hold":"stale"}"#), "{text}");
    }
}
