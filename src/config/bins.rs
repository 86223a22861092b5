//! `[bins]`: crossings and power to features.

use serde::{Deserialize, Serialize};

/// Crossings and power to features.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct BinsConfig {
    /// Bin width, ms. 0 asks for the recording's own (`Recording::bin_width_ms`).
    pub width_ms: f64,
    /// What is measured per channel and bin.
    pub features: Features,
}

impl Default for BinsConfig {
    fn default() -> Self {
        BinsConfig { width_ms: 0.0, features: Features::Counts }
    }
}

/// What is measured per channel and bin.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Features {
    /// Threshold crossings.
    Counts,
    /// Mean square in the spike band, µV².
    Power,
    /// Both: all channels' counts, then all channels' power.
    CountsAndPower,
}

impl Features {
    /// Features of a bin over `n_channels`.
    pub fn width(self, n_channels: usize) -> usize {
        match self {
            Features::Counts | Features::Power => n_channels,
            Features::CountsAndPower => 2 * n_channels,
        }
    }

    /// Crossings are among them.
    pub fn has_counts(self) -> bool {
        self != Features::Power
    }

    /// Spike-band power is among them.
    pub fn has_power(self) -> bool {
        self != Features::Counts
    }
}
