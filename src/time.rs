//! Time as values: frame numbers and rates. No clock is read here.
//!
//! A [`SampleIndex`] counts frames since the stream began, lost frames included, so that it means the
//! same instant whatever was lost. A [`SampleRate`] is exact to a millionth of a hertz, so that bin
//! edges computed from it don't drift. A [`HostTime`] is of this machine's clock, and a [`ClockFit`] holds the clock of a
//! device against it.

mod fit;

pub use fit::{ClockFit, ClockReading, DeviceTime, Fitted};

use crate::error::Error;

/// A frame's number since the stream began; frames that were lost have numbers too.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SampleIndex(pub u64);

/// An instant of this machine's monotonic clock, in ns since the run began.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct HostTime {
    /// Since the run began.
    pub ns: u64,
}

impl HostTime {
    /// From `earlier` to this, in ns; 0 if it was not earlier.
    pub fn since(self, earlier: HostTime) -> u64 {
        self.ns.saturating_sub(earlier.ns)
    }

    /// So many ns later; the end of time at most.
    pub fn after(self, ns: u64) -> HostTime {
        HostTime { ns: self.ns.saturating_add(ns) }
    }
}

/// Frames a second, held as whole microhertz.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct SampleRate {
    microhertz: u64,
}

impl SampleRate {
    /// A rate of `hz` frames a second, rounded to a microhertz.
    ///
    /// # Errors
    /// If `hz` is not within 0.001 Hz to 1 MHz. `place` names what asked for it.
    ///
    /// ```
    /// use efference::SampleRate;
    /// assert_eq!(SampleRate::new(30_000.0, "doc").unwrap().hz(), 30_000.0);
    /// assert!(SampleRate::new(f64::NAN, "doc").is_err());
    /// ```
    pub fn new(hz: f64, place: &str) -> Result<Self, Error> {
        if !(HZ_MIN..=HZ_MAX).contains(&hz) {
            return Err(Error::input(place, format!("a sample rate of {hz} Hz"))
                .field("sample_rate_hz")
                .legal(format!("{HZ_MIN} to {HZ_MAX} Hz")));
        }
        Ok(SampleRate { microhertz: (hz * 1e6).round() as u64 })
    }

    /// Frames a second.
    pub fn hz(self) -> f64 {
        self.microhertz as f64 / 1e6
    }

    /// Frames a second, times a million; exact.
    pub fn microhertz(self) -> u64 {
        self.microhertz
    }

    /// The time of frame `at`, in seconds since the stream began.
    pub fn seconds(self, at: SampleIndex) -> f64 {
        at.0 as f64 / self.hz()
    }
}

const HZ_MIN: f64 = 0.001;
const HZ_MAX: f64 = 1e6;
