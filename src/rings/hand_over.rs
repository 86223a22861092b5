//! A slot for one thing that goes from one thread to another and becomes that one's own: what is too large to be copied.
//!
//! In: a value, by the giver. Out: the same value, by the taker. Guarantees: neither end ever waits for the other or takes or
//! frees memory; a slot that is still full keeps what is in it, and the giver has its value back.
#![allow(unsafe_code)]

use super::sync::{Arc, AtomicU32, Line, Ordering, UnsafeCell};

/// Both ends of an empty slot. No memory is taken after this.
///
/// ```
/// use efference::rings::hand_over;
/// let (mut giver, mut taker) = hand_over();
/// assert_eq!(giver.give(1), Ok(()));
/// assert_eq!(giver.give(2), Err(2), "nobody has taken the first");
/// assert_eq!((taker.take(), taker.take()), (Some(1), None));
/// ```
pub fn hand_over<T: Send>() -> (Giver<T>, Taker<T>) {
    let slot = Line(Slot { state: AtomicU32::new(EMPTY), item: UnsafeCell::new(None) });
    let slot = Arc::new(slot);
    (Giver(slot.clone()), Taker(slot))
}

/// The end that gives.
pub struct Giver<T>(Arc<Line<Slot<T>>>);

impl<T> Giver<T> {
    /// Puts `value` into the slot.
    ///
    /// # Errors
    /// With the value where the one before is still there.
    pub fn give(&mut self, value: T) -> Result<(), T> {
        let Slot { state, item } = &self.0.0;
        // Acquire: the taker has finished with the slot.
        if state.load(Ordering::Acquire) == FULL {
            return Err(value);
        }
        {
            let item = item.get_mut();
            // SAFETY: only this end leaves EMPTY, `&mut self` makes it the only one, and the taker touches no empty slot.
            *unsafe { item.deref() } = Some(value);
        }
        // Release: who sees FULL sees the value.
        state.store(FULL, Ordering::Release);
        Ok(())
    }
}

/// The end that takes.
pub struct Taker<T>(Arc<Line<Slot<T>>>);

impl<T> Taker<T> {
    /// What is in the slot, if anything is.
    pub fn take(&mut self) -> Option<T> {
        let Slot { state, item } = &self.0.0;
        if state.load(Ordering::Acquire) == EMPTY {
            return None;
        }
        let value = {
            let item = item.get_mut();
            // SAFETY: only this end leaves FULL, `&mut self` makes it the only one, and the giver touches no full slot.
            unsafe { item.deref() }.take()
        };
        // Release: who sees EMPTY finds the value gone.
        state.store(EMPTY, Ordering::Release);
        value
    }
}

struct Slot<T> {
    state: AtomicU32,
    /// The giver's in EMPTY, the taker's in FULL.
    item: UnsafeCell<Option<T>>,
}

// SAFETY: the only field that isn't `Sync` is the item, and `state` says whose it is; it goes from thread to thread.
unsafe impl<T: Send> Sync for Slot<T> {}

const EMPTY: u32 = 0;
const FULL: u32 = 1;
