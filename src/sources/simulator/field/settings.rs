//! What field potentials are made of: their settings, and what of the others counts for them.
//!
//! In: numbers from an address. Out: [`Potential`]; which keys are of use for devices that hear fields.

use crate::block::StreamKind;
use crate::device::Signal;
use crate::error::Error;
use crate::sources::simulator::settings::{Number, Settings, number};

/// Field potentials, as amplitudes of each electrode's signal before anything lies between it and the brain.
///
/// The amplitudes are chosen: they put beta and high gamma at rest somewhat above the background in their bands, which
/// at 13–30 Hz is 8 µV and at 70–150 Hz 2 µV. The depths of tuning are chosen so that power in 70–150 Hz says less of
/// velocity than spikes do.
#[derive(Clone, Debug, PartialEq)]
pub struct Potential {
    /// Standard deviation of the background, µV.
    pub background_uv: f64,
    /// Standard deviation of beta (13–30 Hz) at rest, µV.
    pub beta_uv: f64,
    /// Share of beta's power that is gone in movement. Chosen.
    pub beta_depth: f64,
    /// What beta's power rises by above rest after a long movement, as a share of it. 2.3 is that of brisk movements
    /// (Pfurtscheller et al. 1997, Electroencephalogr Clin Neurophysiol 102:316).
    pub beta_rebound: f64,
    /// Standard deviation of high gamma (70–150 Hz) at rest, µV.
    pub gamma_uv: f64,
    /// Share of its power at rest that full speed in a tuned source's preferred direction adds. Chosen.
    pub gamma_depth: f64,
    /// Share of its power at rest that full speed adds to a tuned source in any direction. Chosen to be more than
    /// `gamma_depth`: speed predominates over velocity (Hammer et al. 2016, Cereb Cortex, PMC4869816).
    pub gamma_gain: f64,
    /// Share of sources that are tuned. Chosen.
    pub tuned: f64,
}

impl Default for Potential {
    fn default() -> Self {
        Potential {
            background_uv: 50.0,
            beta_uv: 10.0,
            beta_depth: 0.6,
            beta_rebound: 2.3,
            gamma_uv: 3.0,
            gamma_depth: 0.25,
            gamma_gain: 0.8,
            tuned: 0.3,
        }
    }
}

/// Every number of [`Potential`].
pub(in super::super) const FIELD_NUMBERS: [Number; 8] = [
    number!("background_uv", 0.0, 1e4, potential.background_uv),
    number!("beta_uv", 0.0, 1e4, potential.beta_uv),
    number!("beta_depth", 0.0, 1.0, potential.beta_depth),
    number!("beta_rebound", 0.0, 100.0, potential.beta_rebound),
    number!("gamma_uv", 0.0, 1e4, potential.gamma_uv),
    number!("gamma_depth", 0.0, 100.0, potential.gamma_depth),
    number!("gamma_gain", 0.0, 100.0, potential.gamma_gain),
    number!("tuned", 0.0, 1.0, potential.tuned),
];

/// Whether a key of an address means something for a device that hears fields.
pub(in super::super) fn is_of_fields(key: &str) -> bool {
    SHARED.contains(&key) || FIELD_NUMBERS.iter().any(|number| number.key == key)
}

/// What a device that hears fields, `settings.profile`, can't be simulated with.
///
/// # Errors
/// If the settings ask for spikes, or for a rate that doesn't hold high gamma.
pub(in super::super) fn check(settings: &Settings, place: &str) -> Result<(), Error> {
    if settings.profile.signal != Signal::FieldPotential {
        return Ok(());
    }
    let name = &settings.profile.name;
    if settings.kind != StreamKind::Broadband {
        return Err(Error::usage(
            place,
            format!("kind={}, but `{name}` hears field potentials", settings.kind.name()),
        )
        .field("kind")
        .legal("broadband, of which band powers are taken; or a profile whose signal is spikes"));
    }
    Ok(())
}

/// Standard deviation of an electrode's own white noise, µV: electrodes for fields are large, and their amplifiers
/// slow. Chosen.
pub(in super::super) fn default_noise_uv() -> f64 {
    1.5
}

/// High gamma ends at 150 Hz: this leaves room for its flank.
pub(in super::super) const SAMPLE_RATE_MIN_HZ: f64 = 400.0;

/// Keys that mean the same for spikes and for fields.
const SHARED: [&str; 17] = [
    "kind",
    "task",
    "seed",
    "electrodes",
    "seconds",
    "noise_uv",
    "mains_uv",
    "mains_hz",
    "lag_max_ms",
    "dead",
    "speed_full",
    "sample_rate_hz",
    "lose",
    "motion_per_min",
    "motion_uv",
    "stim_per_min",
    "stim_uv",
];
