//! The one place that reads a clock.

use std::time::Instant;

/// Now.
#[expect(clippy::disallowed_methods, reason = "commands time what the stages do; the stages can't")]
pub(crate) fn now() -> Instant {
    Instant::now()
}
