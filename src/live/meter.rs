//! Durations, counted while the stream runs and told when it is over.

use super::clock::HostTime;
use hdrhistogram::Histogram;
use serde::Serialize;

/// Durations of one kind: a histogram whose memory is taken when it is built, and the worst of them.
#[derive(Clone, Debug)]
pub(crate) struct Meter {
    histogram: Histogram<u64>,
    worst_ns: u64,
    worst_at: HostTime,
}

impl Default for Meter {
    fn default() -> Self {
        Meter::new()
    }
}

impl Meter {
    pub(crate) fn new() -> Self {
        let histogram = Histogram::new_with_bounds(1, LONGEST_NS, DIGITS).expect("these bounds are legal");
        Meter { histogram, worst_ns: 0, worst_at: HostTime::default() }
    }

    /// Counts a duration that ended at `at`.
    pub(crate) fn record(&mut self, ns: u64, at: HostTime) {
        self.histogram.saturating_record(ns.max(1));
        if ns > self.worst_ns {
            (self.worst_ns, self.worst_at) = (ns, at);
        }
    }

    pub(crate) fn add(&mut self, other: &Meter) {
        self.histogram.add(&other.histogram).expect("both have the same bounds");
        if other.worst_ns > self.worst_ns {
            (self.worst_ns, self.worst_at) = (other.worst_ns, other.worst_at);
        }
    }

    pub(crate) fn worst(&self) -> Worst {
        Worst { ms: self.worst_ns as f64 * 1e-6, at_seconds: self.worst_at.ns as f64 * 1e-9 }
    }

    pub(crate) fn latency(&self) -> Latency {
        let us = |quantile: f64| match self.histogram.is_empty() {
            true => 0.0,
            false => self.histogram.value_at_quantile(quantile) as f64 * 1e-3,
        };
        Latency {
            n: self.histogram.len(),
            p50_us: us(0.5),
            p99_us: us(0.99),
            p999_us: us(0.999),
            max_us: self.worst_ns as f64 * 1e-3,
            worst: self.worst(),
            counts: self
                .histogram
                .iter_log(1_000, STEP)
                .map(|step| (step.value_iterated_to() as f64 * 1e-3, step.count_since_last_iteration()))
                .collect(),
        }
    }
}

/// How long something took, over a run.
#[derive(Clone, Debug, Serialize)]
pub struct Latency {
    /// How often it was measured.
    pub n: u64,
    /// Half of all took no longer, µs.
    pub p50_us: f64,
    /// 99 % took no longer, µs.
    pub p99_us: f64,
    /// 99.9 % took no longer, µs.
    pub p999_us: f64,
    /// The longest, µs.
    pub max_us: f64,
    /// The longest, and when it was.
    pub worst: Worst,
    /// For pictures: upper edge in µs, each a third longer than the one before, and how many fell below it.
    #[serde(skip)]
    pub counts: Vec<(f64, u64)>,
}

/// The longest of some durations.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Worst {
    /// How long.
    pub ms: f64,
    /// When it ended, in seconds since the run began.
    pub at_seconds: f64,
}

/// A minute: what takes longer counts as this long; the longest is told apart.
const LONGEST_NS: u64 = 60_000_000_000;
/// Decimal digits to which durations are told apart.
const DIGITS: u8 = 3;
/// From one step of a picture to the next.
const STEP: f64 = 1.333;
