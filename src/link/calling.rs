//! When to call a device: at once, then at growing intervals with some chance in them.
//!
//! In: host time. Out: when the next hello is due. Guarantees: the intervals grow to [`INTERVAL_NS_MAX`], so that a
//! device which is back is found within half a second; two hosts don't call in step.

use crate::time::HostTime;

/// Hellos of one attempt to be connected.
#[derive(Clone, Debug)]
pub(crate) struct Calling {
    pub(crate) next_at: HostTime,
    /// Hellos that went out.
    pub(crate) attempt: u32,
    interval_ns: u64,
    random: u64,
}

impl Calling {
    /// `seed` makes the chance; the same seed makes the same.
    pub(crate) fn new(seed: u64) -> Self {
        // The generator stays at 0 for ever.
        Calling { next_at: HostTime::default(), attempt: 0, interval_ns: INTERVAL_NS, random: seed | 1 }
    }

    /// Begins anew: the first hello is due at once.
    pub(crate) fn begin(&mut self, now: HostTime) {
        (self.next_at, self.attempt, self.interval_ns) = (now, 0, INTERVAL_NS);
    }

    /// A hello goes out.
    pub(crate) fn call(&mut self, now: HostTime) {
        self.attempt = self.attempt.saturating_add(1);
        // Marsaglia 2003, "Xorshift RNGs".
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        // Three quarters to five quarters of the interval.
        let share = 768 + (self.random >> 32) % 513;
        self.next_at = now.after(self.interval_ns * share / 1024);
        self.interval_ns = (self.interval_ns * 3 / 2).min(INTERVAL_NS_MAX);
    }

    /// Whether the hello that is due should be a new one: the one before was said often enough.
    pub(crate) fn wants_new(&self) -> bool {
        self.attempt.is_multiple_of(SAME_HELLO)
    }
}

const INTERVAL_NS: u64 = 100_000_000;
const INTERVAL_NS_MAX: u64 = 400_000_000;
/// So often the same hello is said again, which costs no arithmetic.
const SAME_HELLO: u32 = 8;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn intervals_grow_and_differ_by_seed() {
        let intervals = |seed: u64| {
            let mut calling = Calling::new(seed);
            let mut now = HostTime { ns: 7 };
            calling.begin(now);
            assert!(calling.next_at == now && calling.wants_new());
            let interval = |_| {
                calling.call(now);
                let interval = calling.next_at.since(now);
                now = calling.next_at;
                interval
            };
            (0..20).map(interval).collect::<Vec<_>>()
        };
        let first = intervals(1);
        assert_eq!(first, intervals(1), "the same seed");
        assert_ne!(first, intervals(2), "another seed");
        assert!((75_000_000..=125_100_000).contains(&first[0]), "{first:?}");
        assert!(first.iter().all(|interval| *interval <= 500_400_000), "{first:?}");
        assert!(first[10..].iter().all(|interval| *interval >= 300_000_000), "{first:?}");
    }
}
