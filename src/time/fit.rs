//! A device's clock against the host's: which sample it counts at which host time, and how far off that may be.
//!
//! In: exchanges (when the host asked, what the device's clock said, when the answer came) and arrivals of what the
//! device dated. Out: a [`ClockReading`] with bounds that hold. Guarantee: while the device's clock runs within
//! [`DRIFT_MAX_PPM`] of its nominal rate, changes that by at most [`WANDER_MAX_PPM_PER_S`], and doesn't jump, its true
//! value lies within the stated uncertainty: each observation is a bound, and a reading is what no bound forbids.
//! Leaves out: what causality can't show. A jump smaller than the uncertainty shows when the bounds before it have left
//! the window; until then a reading may be off by that jump.
//!
//! Method: an exchange bounds the offset from both sides by its round trip (Cristian 1989, "Probabilistic clock
//! synchronization"; RFC 5905, section 10, takes those with the shortest). Over a window, the offsets and rates of all
//! straight lines between the bounds are a convex set, whose extremes are the reading's (convex hull of one-way delays:
//! Moon, Skelly & Towsley 1999, "Estimation and removal of clock skew from network delay measurements").

use super::{HostTime, SampleRate};

/// What a device's clock says: whole samples and 1/65,536 of one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct DeviceTime {
    /// Samples since the device started.
    pub sample: u64,
    /// Part of the next one, in 1/65,536; 0 of a device that doesn't say.
    pub fraction: u16,
}

/// The device's clock at one host time.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ClockReading {
    /// Samples since the device started.
    pub sample: f64,
    /// The true value is at most this far off.
    pub uncertainty_samples: f64,
    /// The same in ns.
    pub uncertainty_ns: f64,
    /// How much faster than nominal the device's clock runs, parts per million of the host's.
    pub rate_ppm: f64,
    /// The true rate is at most this far off.
    pub rate_uncertainty_ppm: f64,
}

/// What an observation did to a fit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fitted {
    /// It agrees.
    Agrees,
    /// It can't be of the same clock: the fit has begun anew with it.
    Jumped,
    /// It makes no sense in itself (an answer before its question) and was not used.
    Refused,
}

/// The lines that a device's clock may follow. See the module.
#[derive(Clone, Debug)]
pub struct ClockFit {
    rate: SampleRate,
    /// What all host times and offsets are counted from, so that they are small.
    base: Option<Base>,
    /// The tightest of each bucket of host time.
    buckets: [Bucket; N_BUCKETS],
    newest_ns: f64,
    n_exchanges: u64,
    n_jumps: u64,
    /// Rates that no bound forbids, ns per ns.
    rates: (f64, f64),
}

#[derive(Clone, Copy, Debug)]
struct Base {
    host_ns: u64,
    device_ns: i128,
}

/// Bounds of the offset (device minus host, both since the base) at host times, ns.
#[derive(Clone, Copy, Debug, Default)]
struct Bucket {
    number: u64,
    lower: Option<Bound>,
    upper: Option<Bound>,
}

#[derive(Clone, Copy, Debug)]
struct Bound {
    at_ns: f64,
    offset_ns: f64,
}

impl ClockFit {
    /// A fit of a device that counts `rate` samples a second by its own clock. Knows nothing yet.
    pub fn new(rate: SampleRate) -> Self {
        ClockFit {
            rate,
            base: None,
            buckets: [Bucket::default(); N_BUCKETS],
            newest_ns: 0.0,
            n_exchanges: 0,
            n_jumps: 0,
            rates: (-DRIFT_MAX, DRIFT_MAX),
        }
    }

    /// An exchange: the host asked at `sent`, the device's clock said `device` when that came, it answered `held_us`
    /// later, and the answer came at `received`.
    pub fn exchange(
        &mut self,
        sent: HostTime,
        device: DeviceTime,
        held_us: u32,
        received: HostTime,
    ) -> Fitted {
        // The device's clock may be fast: what it calls a held time can be a little shorter.
        let held_ns = (f64::from(held_us) * 1e3 * (1.0 - DRIFT_MAX) - RESOLUTION_NS).max(0.0);
        if received < sent || (received.since(sent) as f64) < held_ns {
            return Fitted::Refused;
        }
        self.n_exchanges += 1;
        let device_ns = self.device_ns(device);
        // A device that tells no fraction has counted down to the whole sample.
        let floored_ns = if device.fraction == 0 { 1e15 / self.rate.microhertz() as f64 } else { 0.0 };
        let base = *self.base.get_or_insert(Base { host_ns: sent.ns, device_ns });
        // The question came after it was sent, so that the device's clock was no further then …
        let upper = base.bound(sent, device_ns, floored_ns + RESOLUTION_NS);
        // … and the answer came after it was handed over, so that it was further then.
        let lower = base.bound(received, device_ns, held_ns - RESOLUTION_NS);
        self.keep(sent.ns, None, Some(upper));
        self.keep(received.ns, Some(lower), None);
        match self.settle() {
            true => Fitted::Agrees,
            false => {
                self.restart();
                let base = Base { host_ns: sent.ns, device_ns };
                self.base = Some(base);
                self.keep(sent.ns, None, Some(base.bound(sent, device_ns, floored_ns + RESOLUTION_NS)));
                self.keep(received.ns, Some(base.bound(received, device_ns, held_ns - RESOLUTION_NS)), None);
                self.settle();
                Fitted::Jumped
            }
        }
    }

    /// Something came that the device had dated `written`: its clock was that far at least.
    pub fn arrival(&mut self, written: DeviceTime, at: HostTime) -> Fitted {
        // Without an exchange there is nothing that it could narrow.
        let Some(base) = self.base else { return Fitted::Refused };
        let device_ns = self.device_ns(written);
        if !self.keep(at.ns, Some(base.bound(at, device_ns, -RESOLUTION_NS)), None) || self.settle() {
            return Fitted::Agrees;
        }
        // What was known was of another clock; the next exchange begins anew.
        self.restart();
        Fitted::Jumped
    }

    /// Forgets everything, as after a restart of the device.
    pub fn reset(&mut self) {
        let n_jumps = self.n_jumps;
        *self = ClockFit::new(self.rate);
        self.n_jumps = n_jumps;
    }

    /// The device's clock at `at`; `None` before the first exchange.
    pub fn reading(&self, at: HostTime) -> Option<ClockReading> {
        let base = self.base?;
        let at_ns = at.ns as f64 - base.host_ns as f64;
        let (low, high) = self.offsets(at_ns)?;
        let sample_per_ns = self.rate.microhertz() as f64 / 1e15;
        let device_ns = base.device_ns as f64 + at_ns + (low + high) / 2.0;
        let uncertainty_ns = (high - low) / 2.0;
        let wander = WANDER_MAX * (self.newest_ns.max(at_ns) - self.oldest_ns()) / 1e9;
        Some(ClockReading {
            sample: device_ns * sample_per_ns,
            uncertainty_samples: uncertainty_ns * sample_per_ns,
            uncertainty_ns,
            rate_ppm: (self.rates.0 + self.rates.1) / 2.0 * 1e6,
            rate_uncertainty_ppm: ((self.rates.1 - self.rates.0) / 2.0 + wander) * 1e6,
        })
    }

    /// When, by the host's clock, the device's said `device`, and how far off that may be, ns. `None` before the first
    /// exchange.
    pub fn host_time(&self, device: DeviceTime) -> Option<(HostTime, f64)> {
        let base = self.base?;
        let since_ns = (self.device_ns(device) - base.device_ns) as f64;
        // The offset changes by less than a thousandth of the time: two steps leave less than a ns of an hour.
        let mut at_ns = since_ns;
        let mut half = 0.0;
        for _ in 0..3 {
            let (low, high) = self.offsets(at_ns)?;
            at_ns = since_ns - (low + high) / 2.0;
            half = (high - low) / 2.0;
        }
        let ns = (base.host_ns as f64 + at_ns).max(0.0).round();
        Some((HostTime { ns: ns as u64 }, half * (1.0 + DRIFT_MAX)))
    }

    /// Exchanges that were used.
    pub fn n_exchanges(&self) -> u64 {
        self.n_exchanges
    }

    /// How often the device's clock turned out to have jumped.
    pub fn n_jumps(&self) -> u64 {
        self.n_jumps
    }

    fn restart(&mut self) {
        let (n_exchanges, n_jumps) = (self.n_exchanges, self.n_jumps + 1);
        *self = ClockFit::new(self.rate);
        (self.n_exchanges, self.n_jumps) = (n_exchanges, n_jumps);
    }

    fn device_ns(&self, time: DeviceTime) -> i128 {
        let parts = i128::from(time.sample) * 65_536 + i128::from(time.fraction);
        parts * 1_000_000_000_000_000 / (i128::from(self.rate.microhertz()) * 65_536)
    }

    /// Keeps bounds that are tighter than what their bucket has; whether one was.
    fn keep(&mut self, host_ns: u64, lower: Option<Bound>, upper: Option<Bound>) -> bool {
        let number = host_ns / BUCKET_NS;
        let bucket = &mut self.buckets[(number % N_BUCKETS as u64) as usize];
        if bucket.number != number {
            if bucket.number > number {
                return false;
            }
            *bucket = Bucket { number, ..Bucket::default() };
        }
        let mut kept = false;
        if let Some(lower) = lower.filter(|new| bucket.lower.is_none_or(|old| new.offset_ns > old.offset_ns))
        {
            bucket.lower = Some(lower);
            kept = true;
        }
        if let Some(upper) = upper.filter(|new| bucket.upper.is_none_or(|old| new.offset_ns < old.offset_ns))
        {
            bucket.upper = Some(upper);
            kept = true;
        }
        let newest = lower.or(upper).map_or(0.0, |bound| bound.at_ns);
        self.newest_ns = self.newest_ns.max(newest);
        kept
    }

    /// Buckets of the window.
    fn window(&self) -> impl Iterator<Item = &Bucket> {
        let newest = self.buckets.iter().map(|bucket| bucket.number).max().unwrap_or(0);
        self.buckets.iter().filter(move |bucket| bucket.number + N_BUCKETS as u64 > newest)
    }

    fn lower(&self) -> impl Iterator<Item = Bound> {
        self.window().filter_map(|bucket| bucket.lower)
    }

    fn upper(&self) -> impl Iterator<Item = Bound> {
        self.window().filter_map(|bucket| bucket.upper)
    }

    fn oldest_ns(&self) -> f64 {
        self.lower().chain(self.upper()).map(|bound| bound.at_ns).fold(self.newest_ns, f64::min)
    }

    /// Finds the rates that no bound forbids; whether there are any.
    fn settle(&mut self) -> bool {
        let (mut low, mut high) = (-DRIFT_MAX, DRIFT_MAX);
        let newest_ns = self.newest_ns;
        for lower in self.lower() {
            let lower = lower.widened(newest_ns, -1.0);
            for upper in self.upper() {
                let upper = upper.widened(newest_ns, 1.0);
                // A line above `lower` and below `upper` rises by at least (or at most) what lies between them.
                let (apart_ns, rise_ns) = (lower.at_ns - upper.at_ns, lower.offset_ns - upper.offset_ns);
                if apart_ns > 0.0 {
                    low = low.max(rise_ns / apart_ns);
                } else if apart_ns < 0.0 {
                    high = high.min(rise_ns / apart_ns);
                } else if rise_ns > 0.0 {
                    return false;
                }
            }
        }
        if low > high {
            return false;
        }
        self.rates = (low, high);
        true
    }

    /// The lowest and the highest offset at `at_ns` of all lines that no bound forbids.
    fn offsets(&self, at_ns: f64) -> Option<(f64, f64)> {
        self.lower().next()?;
        self.upper().next()?;
        let now_ns = self.newest_ns.max(at_ns);
        // Seen from `at_ns`, the highest line of rate b has the offset min(upper + b · distance): concave in b. The lowest
        // is the same upside down.
        let high = highest(self.rates, || {
            self.upper().map(|bound| (bound.widened(now_ns, 1.0).offset_ns, at_ns - bound.at_ns))
        });
        let low = -highest((-self.rates.1, -self.rates.0), || {
            self.lower().map(|bound| (-bound.widened(now_ns, -1.0).offset_ns, at_ns - bound.at_ns))
        });
        // A clock that wandered since then was off the line that it is on now.
        let ago_s = (self.newest_ns - at_ns).max(0.0) / 1e9;
        let margin = WANDER_MAX * ago_s * ago_s / 2.0 * 1e9;
        // Rounding may cross them by a part of a ns.
        Some((low.min(high) - margin, high.max(low) + margin))
    }
}

impl Base {
    /// Offset at the host time `at`, `later_ns` after the device's clock said `device_ns`.
    fn bound(self, at: HostTime, device_ns: i128, later_ns: f64) -> Bound {
        let at_ns = (i128::from(at.ns) - i128::from(self.host_ns)) as f64;
        Bound { at_ns, offset_ns: (device_ns - self.device_ns) as f64 - at_ns + later_ns }
    }
}

impl Bound {
    /// Moved outwards by what a wandering rate may do from then to `now_ns`.
    fn widened(self, now_ns: f64, way: f64) -> Bound {
        let age_s = (now_ns - self.at_ns) / 1e9;
        Bound { offset_ns: self.offset_ns + way * WANDER_MAX * age_s * age_s / 2.0 * 1e9, ..self }
    }
}

/// The largest over the rates of the smallest of `offset + rate · distance`: a bisection by the slope, which changes sign
/// once.
fn highest<I: Iterator<Item = (f64, f64)>>(rates: (f64, f64), lines: impl Fn() -> I) -> f64 {
    let smallest = |rate: f64| {
        let value = |(offset, distance): (f64, f64)| (offset + rate * distance, distance);
        lines()
            .map(value)
            .fold((f64::INFINITY, 0.0), |least, line| if line.0 < least.0 { line } else { least })
    };
    let (mut low, mut high) = rates;
    let (at_low, at_high) = (smallest(low), smallest(high));
    if at_low.1 <= 0.0 {
        return at_low.0;
    }
    if at_high.1 >= 0.0 {
        return at_high.0;
    }
    let mut best = at_low.0.max(at_high.0);
    for _ in 0..BISECTIONS {
        let middle = (low + high) / 2.0;
        let (value, slope) = smallest(middle);
        best = best.max(value);
        match slope > 0.0 {
            true => low = middle,
            false => high = middle,
        }
    }
    best
}

/// How far off its nominal rate a device's clock may run, parts per million; 200 and some room.
const DRIFT_MAX_PPM: f64 = 250.0;
/// How fast that may change, parts per million a second: a crystal in tissue keeps its temperature.
const WANDER_MAX_PPM_PER_S: f64 = 0.05;
const DRIFT_MAX: f64 = DRIFT_MAX_PPM * 1e-6;
const WANDER_MAX: f64 = WANDER_MAX_PPM_PER_S * 1e-6;
/// Host time that shares a pair of bounds: several exchanges.
const BUCKET_NS: u64 = 1_000_000_000;
/// Buckets of the window: half a minute narrows the rate to some ppm, and a jump is forgotten as soon.
const N_BUCKETS: usize = 32;
/// What rounding to µs and 1/65,536 sample may have taken.
const RESOLUTION_NS: f64 = 1_100.0;
/// Enough for 2.5e-4 / 2^50 of a rate.
const BISECTIONS: usize = 50;

#[cfg(test)]
mod tests;
