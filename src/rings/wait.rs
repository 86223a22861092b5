//! How a reader waits, and what came of it.

use std::time::Duration;

/// First spin, then yield, then sleep: each step is kinder to the machine and later to notice.
///
/// It reads no clock: what it spends is counted in turns, and a sleep that ends early isn't taken up again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WaitStrategy {
    /// Turns of a loop that only looks; each tens of nanoseconds.
    pub spins: u32,
    /// Then looks between which another thread may run; each a system call.
    pub yields: u32,
    /// Then one sleep until the writer wakes this thread, for at most this long. Without it, and with `yields = 0`,
    /// neither side makes a system call.
    pub park: Option<Duration>,
}

impl WaitStrategy {
    /// Nothing but spinning: the least latency, and a core that is always busy.
    pub const SPIN: WaitStrategy = WaitStrategy { spins: 1 << 14, yields: 0, park: None };
    /// Sleep at once: for threads that have time, such as a recorder.
    pub const PARK: WaitStrategy = WaitStrategy { spins: 0, yields: 0, park: Some(PARK_MAX) };
}

impl Default for WaitStrategy {
    /// Spins some 30 µs, so that a stream of short blocks is met awake, and sleeps through the rest of a millisecond.
    fn default() -> Self {
        WaitStrategy { spins: 2000, yields: 16, park: Some(PARK_MAX) }
    }
}

/// How a wait ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Waited {
    /// There is an item: [`Reader::next`](super::Reader::next) gives it, unless it is overwritten in between.
    Item,
    /// The writer is gone and every item was taken or overwritten: nothing will come.
    Closed,
    /// The strategy is used up. Look at what else there is to do, and wait again.
    TimedOut,
}

/// A belt beside the braces: a thread looks this often even if nobody wakes it.
const PARK_MAX: Duration = Duration::from_millis(10);
