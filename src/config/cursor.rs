//! `[cursor]`: how decoded velocity becomes the cursor's; see [`crate::intents::Dynamics`].

use serde::{Deserialize, Serialize};

/// How decoded velocity becomes the cursor's. As it stands, nothing is changed.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct CursorConfig {
    /// What velocity is multiplied with.
    pub gain: f64,
    /// Time constant of the smoothing, ms; 0 for none.
    pub smoothing_ms: f64,
    /// Exponent of speed above 1: what is slower than `curve_speed` becomes slower still, what is faster faster.
    pub curve: f64,
    /// The speed that the curve leaves as it is, in the model's unit a second; needed where the curve isn't 1.
    pub curve_speed: f64,
    /// The fastest that the cursor goes, likewise; 0 for no cap.
    pub speed_cap: f64,
    /// Time constant over which a constant drift is learnt and taken off, s; 0 for never.
    pub bias_seconds: f64,
    /// Drift is learnt from what is faster than this, likewise: a cursor that rests says nothing of it.
    pub bias_speed: f64,
    /// Pull of a magnetic target, 1/s; 0 for none.
    pub magnet_per_s: f64,
    /// How far it reaches, in the model's unit.
    pub magnet_radius: f64,
}

impl Default for CursorConfig {
    fn default() -> Self {
        CursorConfig {
            gain: 1.0,
            smoothing_ms: 0.0,
            curve: 1.0,
            curve_speed: 0.0,
            speed_cap: 0.0,
            bias_seconds: 0.0,
            bias_speed: 0.0,
            magnet_per_s: 0.0,
            magnet_radius: 0.0,
        }
    }
}

impl CursorConfig {
    /// Nothing is asked for.
    pub fn is_default(&self) -> bool {
        *self == CursorConfig::default()
    }
}
