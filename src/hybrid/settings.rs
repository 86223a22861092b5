//! What a hybrid is asked to be.
//!
//! In: numbers from a command line. Out: [`Settings`] that are checked before any work is done for them.

use crate::block::CHANNELS_MAX;
use crate::error::Error;
use std::ops::{Range, RangeInclusive};

/// What a hybrid is asked to be.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    /// Signal-to-noise ratios; each makes a copy of every electrode.
    pub snr: Vec<f64>,
    /// Spikes a second that each unit fires on average.
    pub rate_hz: f64,
    /// The same seed makes the same bytes.
    pub seed: u64,
    /// Which of the recording's channels to add to, before any is left out; shapes come from all of them.
    pub channels: Range<usize>,
    /// Electrodes whose background crosses −4.5 × noise more often than this a second are left out.
    pub own_max_hz: f64,
    /// The converter's lowest and highest code.
    pub rails: RangeInclusive<i16>,
}

impl Settings {
    /// Refuses what is out of range.
    ///
    /// # Errors
    /// Naming the first option with what is legal.
    pub fn check(&self, place: &str) -> Result<(), Error> {
        let refuse = |field: &str, found: String, legal: String| {
            Err(Error::usage(place, found).field(field).legal(legal))
        };
        if !(1..=SNR_COUNT_MAX).contains(&self.snr.len()) {
            return refuse("--snr", format!("{} ratios", self.snr.len()), format!("1 to {SNR_COUNT_MAX}"));
        }
        let legal = |range: &RangeInclusive<f64>| format!("{} to {}", range.start(), range.end());
        if let Some(snr) = self.snr.iter().find(|snr| !SNR.contains(snr)) {
            return refuse("--snr", snr.to_string(), legal(&SNR));
        }
        if !RATE_HZ.contains(&self.rate_hz) {
            return refuse("--rate-hz", self.rate_hz.to_string(), legal(&RATE_HZ));
        }
        if self.own_max_hz.is_nan() || self.own_max_hz < 0.0 {
            return refuse("--own-max-hz", self.own_max_hz.to_string(), "0 or more".to_string());
        }
        Ok(())
    }

    /// Refuses a result that is larger than [`VALUES_MAX`] or has too many channels.
    ///
    /// # Errors
    /// Naming the number of channels.
    pub fn check_size(&self, n_electrodes: usize, n_frames: usize, place: &str) -> Result<(), Error> {
        let n_channels = n_electrodes * self.snr.len();
        let n_values = n_channels.saturating_mul(n_frames);
        if n_channels <= CHANNELS_MAX && n_values <= VALUES_MAX {
            return Ok(());
        }
        Err(Error::usage(place, format!("{n_channels} channels of {n_frames} frames"))
            .field("--channels")
            .legal(format!("at most {CHANNELS_MAX} channels and {VALUES_MAX} samples"))
            .hint("fewer --channels, or fewer --snr"))
    }
}

/// Samples of a recording or a result at most: 1 GiB.
pub const VALUES_MAX: usize = 1 << 29;
/// Ratios at most.
pub const SNR_COUNT_MAX: usize = 16;
const SNR: RangeInclusive<f64> = 0.1..=1_000.0;
/// So that the refractory period leaves room for it.
const RATE_HZ: RangeInclusive<f64> = 0.1..=100.0;
const _: () = assert!(*RATE_HZ.end() * super::times::REFRACTORY_SECONDS < 0.5);
