//! `[safety]`: what never reaches a sink; see [`crate::intents::Safety`].

use serde::{Deserialize, Serialize};

/// What never reaches a sink.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct SafetyConfig {
    /// Nothing known of the stream for so long freezes the cursor and releases the button, ms.
    pub stale_ms: f64,
    /// Faster than this is implausible and never passes, in the model's unit a second. Training sets it to three times the
    /// fastest movement that was learnt from; 0 lets everything finite pass.
    pub speed_max: f64,
    /// The button goes down at this probability of a click and above.
    pub click_confidence: f64,
    /// And up below this one.
    pub release_confidence: f64,
    /// Nothing known for so long is a disconnect, after which the user must hold to resume, ms.
    pub disconnect_ms: f64,
    /// How long the user must hold, ms.
    pub resume_hold_ms: f64,
    /// A cursor slower than this share of `speed_max` is held still, which resumes after a disconnect.
    pub still_share: f64,
}

impl Default for SafetyConfig {
    fn default() -> Self {
        SafetyConfig {
            stale_ms: 100.0,
            speed_max: 0.0,
            click_confidence: 0.9,
            release_confidence: 0.5,
            disconnect_ms: 1000.0,
            resume_hold_ms: 500.0,
            still_share: 0.1,
        }
    }
}

impl SafetyConfig {
    // Left out of files where nothing was asked for, so that models that were trained before it came stay as they are.
    pub(super) fn is_default(&self) -> bool {
        *self == SafetyConfig::default()
    }
}
