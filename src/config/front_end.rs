//! `[front_end]`: broadband to crossings and power.

use crate::block::PowerBand;
use crate::detect::{DetectorKind, NoiseRule};
use crate::error::Error;
use crate::filter::design::{self, Section};
use crate::time::SampleRate;
use serde::{Deserialize, Serialize};

/// What is taken from each channel of a group.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Reference {
    /// The mean of all: [`crate::filter::CommonAverage`].
    #[default]
    Car,
    /// What a regression on the others says of it: [`crate::filter::RegressionReference`].
    Lrr,
}

impl Reference {
    // Left out where it isn't asked for, so that models that were trained before it came stay as they are.
    fn is_car(&self) -> bool {
        *self == Reference::Car
    }
}

fn is_lrr_ridge(ridge: &f64) -> bool {
    *ridge == LRR_RIDGE
}

/// Broadband to crossings and power. The defaults are those of a usual rig: 250 Hz to 5 kHz, −4.5 times the
/// noise; no reference, which a rig with common noise wants (64).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct FrontEndConfig {
    /// What is taken from each channel of a group.
    #[serde(skip_serializing_if = "Reference::is_car")]
    pub reference: Reference,
    /// Channels of a reference group; 0 for no reference.
    pub car_group: usize,
    /// Ridge of a linear regression reference, as a share of the mean variance of a group's channels. More of it (1)
    /// spares neurons that many channels hear, and leaves more of what is shared.
    #[serde(skip_serializing_if = "is_lrr_ridge")]
    pub lrr_ridge: f64,
    /// Lower edge of the spike band, Hz.
    pub low_cut_hz: f64,
    /// Upper edge of the spike band, Hz; 0 for a high-pass.
    pub high_cut_hz: f64,
    /// Order of the Butterworth filter (SciPy's `N`; a band-pass has 2·order poles).
    pub order: usize,
    /// Mains line to notch out, Hz; 0 for none.
    pub notch_hz: f64,
    /// Quality of the notch: centre over −3 dB width.
    pub notch_quality: f64,
    /// In what spikes are looked for: the signal, its magnitude or its energy ([`crate::detect::operator`]). What a
    /// file leaves out of `noise` and `threshold` is then this detector's usual.
    pub detector: DetectorKind,
    /// How a channel's noise is measured, on what the detector looks at.
    pub noise: NoiseRule,
    /// Seconds from the start in which noise is measured.
    pub noise_seconds: f64,
    /// The threshold, as a multiple of the noise.
    pub threshold: f64,
    /// Time after a crossing in which none is counted, ms.
    pub refractory_ms: f64,
    /// A causal filter rings after a large spike: for `ring_guard_ms` after a crossing, only what goes below
    /// this share of its trough counts ([`crate::detect::crossings`]). 0 for no guard; order 4 rings more, 0.5.
    pub ring_guard: f64,
    /// How long that lasts, ms.
    pub ring_guard_ms: f64,
    /// Time constant with which thresholds follow the noise, seconds; 0: they stay
    /// ([`crate::detect::adaptive`]).
    pub adapt_seconds: f64,
    /// Leaves out electrodes that fail while the stream runs, until they recover ([`crate::detect::health`]).
    pub mask_faults: bool,
    /// Blanks frames where all electrodes jump at once by more than this, µV ([`crate::filter::artefact`]); 0: none.
    /// To be above the converter's range over the electrodes of a reference group.
    pub artefact_uv: f64,
    /// How long frames are blanked after such a jump, ms.
    pub artefact_ms: f64,
}

impl Default for FrontEndConfig {
    fn default() -> Self {
        FrontEndConfig {
            reference: Reference::Car,
            car_group: 0,
            lrr_ridge: LRR_RIDGE,
            low_cut_hz: SPIKE_BAND_HZ[0],
            high_cut_hz: SPIKE_BAND_HZ[1],
            order: 2,
            notch_hz: 0.0,
            notch_quality: 30.0,
            detector: DetectorKind::Negative,
            noise: NoiseRule::Mad,
            noise_seconds: 5.0,
            threshold: -4.5,
            refractory_ms: 0.5,
            ring_guard: 0.3,
            ring_guard_ms: 4.0,
            adapt_seconds: 0.0,
            mask_faults: false,
            artefact_uv: 0.0,
            artefact_ms: 1.5,
        }
    }
}

impl FrontEndConfig {
    /// The filter as second-order sections: notch first, then the band-pass (or high-pass).
    ///
    /// # Errors
    /// Edges outside 0 to half the rate, or in the wrong order.
    pub fn sections(&self, rate: SampleRate) -> Result<Vec<Section>, Error> {
        let mut sections = Vec::new();
        if self.notch_hz > 0.0 {
            sections.push(design::notch(self.notch_hz, self.notch_quality, rate.hz())?);
        }
        sections.extend(if self.high_cut_hz > 0.0 {
            design::butterworth_band_pass(self.order, self.low_cut_hz, self.high_cut_hz, rate.hz())?
        } else {
            design::butterworth_high_pass(self.order, self.low_cut_hz, rate.hz())?
        });
        Ok(sections)
    }

    /// The band in which an implant's firmware measures power just as these settings do: by a Butterworth filter of order
    /// 2, of samples as they are.
    pub fn device_band(&self) -> Option<PowerBand> {
        let FrontEndConfig { reference, car_group, order, notch_hz, artefact_uv, mask_faults, .. } = *self;
        let is_plain = (reference, car_group, order, notch_hz, artefact_uv, mask_faults)
            == (Reference::Car, 0, 2, 0.0, 0.0, false);
        match [self.low_cut_hz, self.high_cut_hz] {
            _ if !is_plain => None,
            SPIKE_BAND_HZ => Some(PowerBand::Spikes),
            FIELD_BAND_HZ => Some(PowerBand::Field),
            _ => None,
        }
    }

    /// Takes `detector`, with its usual noise rule and multiple where none is given.
    pub fn set_detector(&mut self, detector: DetectorKind, noise: Option<NoiseRule>, threshold: Option<f64>) {
        self.detector = detector;
        self.noise = noise.unwrap_or(detector.usual_noise());
        self.threshold = threshold.unwrap_or(detector.usual_threshold(self.noise));
    }

    /// The refractory period in whole frames, rounded to the nearest.
    pub fn refractory_frames(&self, rate: SampleRate) -> u32 {
        (self.refractory_ms * 1e-3 * rate.hz()).round() as u32
    }

    /// The length of the ring guard in whole frames, rounded to the nearest.
    pub fn ring_guard_frames(&self, rate: SampleRate) -> u32 {
        (self.ring_guard_ms * 1e-3 * rate.hz()).round() as u32
    }

    /// How many frames are blanked after one that jumps, rounded up.
    pub fn artefact_frames(&self, rate: SampleRate) -> u32 {
        (self.artefact_ms * 1e-3 * rate.hz()).ceil() as u32
    }
}

/// The bands that the firmware has filters for, Hz.
pub const SPIKE_BAND_HZ: [f64; 2] = [250.0, 5_000.0];
/// See [`SPIKE_BAND_HZ`].
pub const FIELD_BAND_HZ: [f64; 2] = [70.0, 150.0];
/// A hundredth of the variance holds the weights down where channels are nearly copies of one another, and takes
/// next to nothing from them where they are not.
const LRR_RIDGE: f64 = 0.01;
