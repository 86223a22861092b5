//! The clock of a run: the only place that reads it.

use std::time::Instant;

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
}

/// Reads the monotonic clock. Shared by all threads of a run.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    start: Instant,
}

impl Clock {
    /// A clock that reads 0 now.
    #[expect(clippy::disallowed_methods, reason = "a run is what reads the clock")]
    pub fn start() -> Self {
        Clock { start: Instant::now() }
    }

    /// Now.
    #[expect(clippy::disallowed_methods, reason = "a run is what reads the clock")]
    pub fn now(&self) -> HostTime {
        HostTime { ns: Instant::now().duration_since(self.start).as_nanos() as u64 }
    }
}
