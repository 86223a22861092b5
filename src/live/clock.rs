//! The clock of a run: the only place that reads it.

pub use crate::time::HostTime;
use std::time::Instant;

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
