//! What to simulate: a profile, the tissue round it, and the task.
//!
//! In: a [`Profile`] and changes to its defaults. Out: [`Settings`]. Guarantees that what
//! [`Settings::check`] let through can be built.

use super::field::{self, Potential};
use super::losses::Loss;
use super::task::Task;
use crate::block::{BLOCK_FRAMES_MAX, CHANNELS_MAX, EVENTS_MAX, StreamKind};
use crate::device::{Profile, Signal};
use crate::error::Error;

/// What to simulate. Built by [`Settings::new`] or [`Settings::parse`], changed field by field.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    /// The device: bits, microvolt per count and groups are taken from it.
    pub profile: Profile,
    /// Broadband samples, or counts of spikes or spikes one by one without synthesising broadband.
    pub kind: StreamKind,
    /// Electrodes, one channel each.
    pub electrodes: usize,
    /// Frames a second of broadband.
    pub sample_rate_hz: f64,
    /// Width of a frame of counts or crossings, in ms.
    pub width_ms: u32,
    /// Frames of a block; `None` for about a millisecond.
    pub block_frames: Option<usize>,
    /// Length of a recording in seconds; a closed loop has no end.
    pub seconds: f64,
    /// Every random draw comes from it.
    pub seed: u64,
    /// Days since the first: the same electrodes hear neurons that drifted or are others, and what is random within
    /// a day differs. A random walk, so that day 5 is like day 4 and less like day 0.
    pub day: u32,
    /// Electrodes that are lost during the stream, and may come back.
    pub losses: Vec<Loss>,
    /// What the subject of a recording does.
    pub task: Task,
    /// Neurons and noise.
    pub tissue: Tissue,
    /// Field potentials, of devices that hear them.
    pub potential: Potential,
}

/// Neurons and noise. Amplitudes are those of the broadband signal, before any filter.
#[derive(Clone, Debug, PartialEq)]
pub struct Tissue {
    /// Standard deviation of each electrode's own white noise, µV.
    pub noise_uv: f64,
    /// Standard deviation of the white noise that a group of electrodes shares, µV.
    pub common_uv: f64,
    /// Standard deviation of the slow drift below about 5 Hz that a group shares, µV.
    pub drift_uv: f64,
    /// Amplitude of the mains hum, µV.
    pub mains_uv: f64,
    /// Frequency of the mains hum, Hz.
    pub mains_hz: f64,
    /// Median trough of a neuron's waveform, in standard deviations of the white noise (log-normal).
    pub snr: f64,
    /// Part of its median by which a neuron's trough swings up and down over minutes, each with its own times.
    pub amplitude_drift: f64,
    /// Motion artefacts a minute, on all electrodes of broadband.
    pub motion_per_min: f64,
    /// Their height, µV; groups of electrodes hear 0.3 to 1 of it.
    pub motion_uv: f64,
    /// Trains of stimulation a minute, likewise.
    pub stim_per_min: f64,
    /// Height of a pulse, µV, likewise.
    pub stim_uv: f64,
    /// Median rate of a neuron at rest, spikes a second (Weibull's distribution of shape 0.8: the mean is 1.79 times
    /// that).
    pub rate_hz: f64,
    /// Median modulation depth (log-normal): how much of its rate at rest a slow neuron gains at full speed in its
    /// preferred direction; of faster ones it is smaller, see [`Neuron`](super::Neuron).
    pub modulation: f64,
    /// Standard deviation of what full speed in any direction adds, likewise.
    pub speed_modulation: f64,
    /// Standard deviation of what an intended click adds, likewise. Chosen, not fitted: the recordings that the rest is fitted to
    /// have no clicks. Hands that click are heard by the electrodes that hear arms that reach (Willett et al. 2020, Cell
    /// 181:396; clicks decoded beside velocity: Kim et al. 2011, IEEE TNSRE 19:193).
    pub click_modulation: f64,
    /// Standard deviation of what neurons share besides the intended velocity, likewise.
    pub shared: f64,
    /// Median standard deviation of what moves each neuron alone over half a minute, likewise (log-normal).
    pub own: f64,
    /// Longest lead of a neuron over the movement, ms.
    pub lag_max_ms: u32,
    /// Fraction of electrodes that are dead: flat, without neurons.
    pub dead: f64,
    /// Fraction of the live electrodes that hear no neuron.
    pub empty: f64,
    /// Fraction of the live electrodes that hear two neurons; the rest hear one.
    pub double: f64,
    /// Speed at which a neuron is fully modulated, m/s.
    pub speed_full: f64,
}

/// Fitted to recorded motor cortex; see the module for what is matched.
impl Default for Tissue {
    fn default() -> Self {
        Tissue {
            noise_uv: 8.0,
            common_uv: 4.0,
            drift_uv: 20.0,
            mains_uv: 5.0,
            mains_hz: 50.0,
            snr: 8.0,
            amplitude_drift: 0.0,
            motion_per_min: 0.0,
            motion_uv: 500.0,
            stim_per_min: 0.0,
            stim_uv: 3_000.0,
            rate_hz: 11.5,
            modulation: 0.72,
            speed_modulation: 0.9,
            click_modulation: 0.4,
            shared: 1.35,
            own: 0.5,
            lag_max_ms: 150,
            dead: 0.03,
            empty: 0.25,
            double: 0.2,
            speed_full: 0.3,
        }
    }
}

impl Settings {
    /// The defaults for `profile`: its electrodes and rate, broadband, 60 s, seed 1.
    pub fn new(profile: Profile) -> Self {
        let mut tissue = Tissue::default();
        if profile.signal == Signal::FieldPotential {
            tissue.noise_uv = field::default_noise_uv();
        }
        Settings {
            kind: StreamKind::Broadband,
            electrodes: profile.electrodes.value as usize,
            sample_rate_hz: profile.sample_rate_hz.value,
            profile,
            width_ms: 1,
            block_frames: None,
            seconds: 60.0,
            seed: 1,
            day: 0,
            losses: Vec::new(),
            task: Task::Random,
            tissue,
            potential: Potential::default(),
        }
    }

    /// Checks every field; `place` names the settings in errors.
    ///
    /// # Errors
    /// If a field is outside its range, or fields contradict each other.
    pub fn check(&self, place: &str) -> Result<(), Error> {
        for n in NUMBERS.iter().chain(&field::FIELD_NUMBERS) {
            // A field is slower than a spike.
            let hears_fields = self.profile.signal == Signal::FieldPotential;
            let min = if hears_fields && n.key == RATE_KEY { field::SAMPLE_RATE_MIN_HZ } else { n.min };
            n.check_from(min, (n.get)(self), place)?;
        }
        if let Some(frames) = self.block_frames
            && !(1..=BLOCK_FRAMES_MAX).contains(&frames)
        {
            return Err(Error::usage(place, format!("blocks of {frames} frames"))
                .field("block_frames")
                .legal(format!("1 to {BLOCK_FRAMES_MAX}")));
        }
        if !1_000_000u32.is_multiple_of(self.width_ms) {
            return Err(Error::usage(place, format!("a width of {} ms", self.width_ms))
                .field("width_ms")
                .legal(
                    "a width whose rate is whole in mHz: 1, 2, 4, 5, 8, 10, 16, 20, 25, 32, 40, 50, 100",
                ));
        }
        let width_max_ms = EVENTS_MAX / (NEURONS_MAX * self.electrodes);
        if self.kind == StreamKind::Crossings && self.width_ms as usize > width_max_ms {
            return Err(Error::usage(place, format!("a width of {} ms", self.width_ms))
                .field("width_ms")
                .legal(format!(
                    "at most {width_max_ms} ms for {} electrodes, whose spikes fit in a block",
                    self.electrodes
                )));
        }
        Loss::check_all(&self.losses, place)?;
        if self.tissue.empty + self.tissue.double > 1.0 {
            return Err(Error::usage(place, "empty and double add to more than 1")
                .field("empty")
                .legal("fractions of the live electrodes that add to at most 1"));
        }
        if self.n_frames() == 0 {
            return Err(Error::usage(place, format!("{} s hold no whole frame", self.seconds))
                .field("seconds")
                .legal("at least the width of one frame"));
        }
        field::check(self, place)
    }

    /// The seed of all that is random within a day; on day 0 it is the seed itself.
    pub(super) fn seed_of_day(&self) -> u64 {
        // An odd constant (of Weyl's sequence in wyrand), so that no two days of a seed have one in common.
        self.seed.wrapping_add(u64::from(self.day).wrapping_mul(0xa076_1d64_78bd_642f))
    }

    /// Frames a second of the stream: of broadband, or of counts and crossings.
    pub fn frames_hz(&self) -> f64 {
        match self.kind {
            StreamKind::Broadband => self.sample_rate_hz,
            StreamKind::Counts | StreamKind::Crossings | StreamKind::Power(_) => {
                1e3 / f64::from(self.width_ms)
            }
        }
    }

    /// Frames of a recording.
    pub fn n_frames(&self) -> u64 {
        // The small part forgives 0.3 s / 0.1 s = 2.9999…
        (self.seconds * self.frames_hz() + 1e-6).floor() as u64
    }
}

/// A field that is a number: its legal range, and how to reach it.
pub(super) struct Number {
    pub(super) key: &'static str,
    pub(super) min: f64,
    pub(super) max: f64,
    pub(super) whole: bool,
    pub(super) in_address: bool,
    pub(super) get: fn(&Settings) -> f64,
    pub(super) set: fn(&mut Settings, f64),
}

impl Number {
    /// Checks a value before it is set: as a whole number, one below 0 would become 0.
    pub(super) fn check(&self, value: f64, place: &str) -> Result<(), Error> {
        self.check_from(self.min, value, place)
    }

    /// The same, where another value is the least.
    fn check_from(&self, min: f64, value: f64, place: &str) -> Result<(), Error> {
        let whole = if self.whole { "a whole number, " } else { "" };
        if (min..=self.max).contains(&value) && !(self.whole && value.fract() != 0.0) {
            return Ok(());
        }
        Err(Error::usage(place, format!("a value of {value}"))
            .field(self.key)
            .legal(format!("{whole}{min} to {}", self.max)))
    }
}

macro_rules! number {
    ($key:expr, $min:expr, $max:expr, $($field:ident).+) => {
        Number {
            key: $key,
            min: $min,
            max: $max,
            whole: false,
            in_address: true,
            get: |s| s.$($field).+,
            set: |s, v| s.$($field).+ = v,
        }
    };
    ($key:literal, $min:expr, $max:expr, $($field:ident).+ as $whole:ty) => {
        Number {
            key: $key,
            min: $min,
            max: $max,
            whole: true,
            in_address: true,
            get: |s| s.$($field).+ as f64,
            set: |s, v| s.$($field).+ = v as $whole,
        }
    };
}

pub(super) use number;

const RATE_KEY: &str = "sample_rate_hz";
/// Neurons of an electrode, each with at most a spike a millisecond.
pub(super) const NEURONS_MAX: usize = 2;
/// One frame of a millisecond always fits.
const _: () = assert!(NEURONS_MAX * CHANNELS_MAX <= EVENTS_MAX);
/// Four hours: their kinematics at 1 kHz take 0.5 GB.
const SECONDS_MAX: f64 = 14_400.0;
/// A spike's trough is 0.2 ms wide: below this rate it falls between two frames.
const SAMPLE_RATE_MIN_HZ: f64 = 5_000.0;
const SAMPLE_RATE_MAX_HZ: f64 = 100_000.0;

/// Every field that is a number.
pub(super) const NUMBERS: [Number; 28] = [
    number!("electrodes", 1.0, CHANNELS_MAX as f64, electrodes as usize),
    number!("seconds", 1e-3, SECONDS_MAX, seconds),
    number!("width_ms", 1.0, 1e3, width_ms as u32),
    number!("day", 0.0, super::days::DAY_MAX as f64, day as u32),
    number!("noise_uv", 0.0, 1e3, tissue.noise_uv),
    number!("common_uv", 0.0, 1e3, tissue.common_uv),
    number!("drift_uv", 0.0, 1e4, tissue.drift_uv),
    number!("mains_uv", 0.0, 1e4, tissue.mains_uv),
    number!("mains_hz", 45.0, 65.0, tissue.mains_hz),
    number!("snr", 0.1, 100.0, tissue.snr),
    number!("amplitude_drift", 0.0, 0.9, tissue.amplitude_drift),
    number!("motion_per_min", 0.0, 60.0, tissue.motion_per_min),
    number!("motion_uv", 0.0, 1e5, tissue.motion_uv),
    number!("stim_per_min", 0.0, 60.0, tissue.stim_per_min),
    number!("stim_uv", 0.0, 1e5, tissue.stim_uv),
    number!("rate_hz", 0.1, 100.0, tissue.rate_hz),
    number!("modulation", 0.0, 10.0, tissue.modulation),
    number!("speed_modulation", 0.0, 10.0, tissue.speed_modulation),
    number!("click_modulation", 0.0, 10.0, tissue.click_modulation),
    number!("shared", 0.0, 10.0, tissue.shared),
    number!("own", 0.0, 10.0, tissue.own),
    number!("lag_max_ms", 0.0, super::intended::LAG_MAX_MS as f64, tissue.lag_max_ms as u32),
    number!("dead", 0.0, 1.0, tissue.dead),
    number!("empty", 0.0, 1.0, tissue.empty),
    number!("double", 0.0, 1.0, tissue.double),
    number!("speed_full", 1e-3, 1e3, tissue.speed_full),
    Number {
        in_address: false, // It stands after the profile: `@RATE`.
        ..number!(RATE_KEY, SAMPLE_RATE_MIN_HZ, SAMPLE_RATE_MAX_HZ, sample_rate_hz)
    },
    Number {
        in_address: false, // It is the device's.
        ..number!("bits", 2.0, 16.0, profile.bits.value as u32)
    },
];
