//! A bell between one reader that may sleep and the writer that wakes it.
//!
//! Guarantee: what the writer made visible before it rang is seen by a reader that goes to sleep, or the reader is
//! woken. The writer calls the operating system for a reader that sleeps and for no other, and neither side
//! ever waits for the other.
#![allow(unsafe_code)]

use super::sync::{
    Arc, AtomicU32, Line, Ordering, Thread, UnsafeCell, current, fence, park_timeout, yield_now,
};
use std::time::Duration;

/// Both ends of a new bell.
pub(super) fn bell() -> (Sleeper, Ringer) {
    let bell = Bell { state: AtomicU32::new(AWAKE), sleeper: UnsafeCell::new(None) };
    let bell = Arc::new(Line(bell));
    (Sleeper(bell.clone()), Ringer(bell))
}

/// The reader's end.
pub(super) struct Sleeper(Arc<Line<Bell>>);

impl Sleeper {
    /// Sleeps until the bell rings, for `limit` at most. Doesn't sleep if `nothing_yet` is false once the
    /// bell is set. May wake for nothing.
    pub(super) fn sleep(&mut self, limit: Duration, nothing_yet: impl Fn() -> bool) {
        let Bell { state, sleeper } = &self.0.0;
        // Acquire: the writer has finished with the handle of the last sleep.
        if state.load(Ordering::Acquire) != AWAKE {
            // It is being rung at this moment, so that there is something to look at soon.
            return yield_now();
        }
        {
            let cell = sleeper.get_mut();
            // SAFETY: only a reader leaves AWAKE, and `&mut self` makes it the only one; the writer looks at the
            // handle only after it has seen ASLEEP.
            let sleeper = unsafe { cell.deref() };
            let here = current();
            if sleeper.as_ref().is_none_or(|sleeper| sleeper.id() != here.id()) {
                *sleeper = Some(here);
            }
        }
        // Release: whoever sees ASLEEP sees the handle.
        state.store(ASLEEP, Ordering::Release);
        // With the fence of `ring`: either the writer sees ASLEEP, or we see what it made visible before.
        fence(Ordering::SeqCst);
        if nothing_yet() {
            park_timeout(limit);
        }
        // Fails if the writer was faster; it then sets AWAKE itself. Relaxed: the handle is ours in any case.
        let _ = state.compare_exchange(ASLEEP, AWAKE, Ordering::Relaxed, Ordering::Relaxed);
    }
}

/// The writer's end.
pub(super) struct Ringer(Arc<Line<Bell>>);

/// Wakes every reader that sleeps, so that it sees all that was made visible before this.
pub(super) fn ring_all(ringers: &mut [Ringer]) {
    fence(Ordering::SeqCst);
    for Ringer(bell) in ringers {
        bell.0.ring();
    }
}

struct Bell {
    state: AtomicU32,
    /// Written by the reader in AWAKE, read by the writer in RINGING.
    sleeper: UnsafeCell<Option<Thread>>,
}

// SAFETY: the only field that isn't `Sync` is the handle, and `state` says whose it is.
unsafe impl Sync for Bell {}

impl Bell {
    fn ring(&self) {
        let ours = |state: &AtomicU32| {
            state.compare_exchange(ASLEEP, RINGING, Ordering::Acquire, Ordering::Relaxed).is_ok()
        };
        if self.state.load(Ordering::Relaxed) == ASLEEP && ours(&self.state) {
            {
                let cell = self.sleeper.get();
                // SAFETY: the state was ASLEEP and is RINGING, in which the reader doesn't touch the handle.
                if let Some(sleeper) = unsafe { cell.deref() } {
                    sleeper.unpark();
                }
            }
            self.state.store(AWAKE, Ordering::Release);
        }
    }
}

/// The handle is the reader's.
const AWAKE: u32 = 0;
/// The reader sleeps or is about to.
const ASLEEP: u32 = 1;
/// The handle is the writer's, who is waking the reader.
const RINGING: u32 = 2;
