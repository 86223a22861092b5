//! The ring itself: slots with their states, the writer's end and the readers' ends.
//!
//! Every item has a number, from 0 up without a gap. A slot's state holds the number of the item in it and
//! how many readers hold it; a reader takes hold by a compare-and-swap that succeeds only on the number that it
//! wants, and the writer takes a slot by one that succeeds only if nobody holds it. That's all that keeps
//! them apart.
#![allow(unsafe_code)]

use super::bell::{Ringer, Sleeper, bell, ring_all};
use super::sync::{
    Arc, AtomicU64, AtomicUsize, ConstPtr, Line, MutPtr, Ordering, UnsafeCell, spin_loop, yield_now,
};
use super::wait::{WaitStrategy, Waited};
use std::collections::VecDeque;
use std::ops::{Deref, DerefMut};

/// Readers of one ring; a slot's state has 6 bits for those who hold it.
pub const READERS_MAX: usize = 63;

/// A ring of the given slots with its only writer and its `n_readers` readers. No memory is taken after this.
///
/// # Panics
/// If `n_readers` isn't within `1..=READERS_MAX`, or there are fewer than `n_readers + 2` slots: one that each reader
/// holds, one that the writer fills, and one for the newest item.
///
/// ```
/// use efference::rings::ring;
/// let (mut writer, mut readers) = ring(vec![0; 4], 2);
/// for number in 1..=6 {
///     let mut slot = writer.claim();
///     *slot = number;
///     slot.publish();
/// }
/// for reader in &mut readers {
///     // Four slots: 1 and 2 are overwritten.
///     assert_eq!(*reader.next().expect("an item"), 3);
///     assert_eq!((reader.overwritten(), reader.lag()), (2, 3));
/// }
/// ```
pub fn ring<T: Send + Sync>(slots: Vec<T>, n_readers: usize) -> (Writer<T>, Vec<Reader<T>>) {
    assert!((1..=READERS_MAX).contains(&n_readers), "{n_readers} readers; legal: 1 to {READERS_MAX}");
    assert!(slots.len() >= n_readers + 2, "{} slots for {n_readers} readers; legal: 2 more", slots.len());
    let n_slots = slots.len();
    let shared = Arc::new(Shared {
        head: Line(AtomicU64::new(0)),
        slot_of: (0..n_slots).map(|_| AtomicUsize::new(0)).collect(),
        slots: slots.into_iter().map(|item| Line(Slot::new(item))).collect(),
    });
    let (sleepers, ringers): (Vec<_>, Vec<_>) = (0..n_readers).map(|_| bell()).unzip();
    let reader = |sleeper| Reader { shared: shared.clone(), sleeper, passed: 0, overwritten: 0, held: None };
    let readers = sleepers.into_iter().map(reader).collect();
    (Writer { shared, ringers, by_age: (0..n_slots).collect(), claimed: None, published: 0 }, readers)
}

/// The writing end. Dropping it closes the ring: what was published stays there for the readers.
pub struct Writer<T> {
    shared: Arc<Shared<T>>,
    ringers: Vec<Ringer>,
    /// Slots that aren't claimed, the one with the oldest item first.
    by_age: VecDeque<usize>,
    claimed: Option<usize>,
    published: u64,
}

impl<T> Writer<T> {
    /// The slot with the oldest item that no reader holds, to be filled in place; what was in it is still there
    /// to be written over. Never fails and never waits: a reader can delay it only by taking hold of a slot just
    /// as it is tried, which it can do once an item.
    pub fn claim(&mut self) -> Claim<'_, T> {
        let slot = match self.claimed {
            // A claim that was given up left it.
            Some(slot) => slot,
            None => self.oldest_free(),
        };
        self.claimed = Some(slot);
        Claim { item: self.shared.slots[slot].0.item.get_mut(), writer: self }
    }

    /// Items published since the ring was made.
    pub fn published(&self) -> u64 {
        self.published
    }

    /// Takes a slot from the readers.
    fn oldest_free(&mut self) -> usize {
        // Readers hold all but two slots at most, so that a turn finds one unless they change hands meanwhile.
        let mut turn = 0;
        loop {
            let age = turn % self.by_age.len();
            if self.shared.slots[self.by_age[age]].0.take()
                && let Some(slot) = self.by_age.remove(age)
            {
                return slot;
            }
            turn += 1;
        }
    }

    fn publish(&mut self) {
        let Some(slot) = self.claimed.take() else { return };
        let (number, shared) = (self.published, &self.shared);
        shared.slot_of[shared.place(number)].store(slot, Ordering::Relaxed);
        shared.slots[slot].0.fill(number);
        self.published = number + 1;
        self.by_age.push_back(slot);
        // Release: who sees the new head sees the two above.
        shared.head.0.store(self.published << 1, Ordering::Release);
        ring_all(&mut self.ringers);
    }
}

impl<T> Drop for Writer<T> {
    fn drop(&mut self) {
        self.shared.head.0.store(self.published << 1 | CLOSED, Ordering::Release);
        ring_all(&mut self.ringers);
    }
}

/// A slot that is being filled. Dropped before it is published, it changes nothing but that the item which was in
/// the slot is gone.
pub struct Claim<'a, T> {
    item: MutPtr<T>,
    writer: &'a mut Writer<T>,
}

impl<T> Claim<'_, T> {
    /// Shows the item to all readers and wakes those that sleep.
    #[allow(clippy::drop_non_drop)] // With loom's pointers this is where the access ends.
    pub fn publish(self) {
        let Claim { item, writer } = self;
        drop(item);
        writer.publish();
    }
}

impl<T> Deref for Claim<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        // SAFETY: the slot was taken while no reader held it, and none takes hold before it is filled again.
        unsafe { self.item.deref() }
    }
}

impl<T> DerefMut for Claim<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        // SAFETY: as above, and `&mut self` makes this the only reference.
        unsafe { self.item.deref() }
    }
}

/// One of the reading ends. It sees every item once, in order, but for those that were overwritten before;
/// those it counts.
pub struct Reader<T> {
    shared: Arc<Shared<T>>,
    sleeper: Sleeper,
    /// Items that were held or missed; the number of the next.
    passed: u64,
    overwritten: u64,
    /// Kept here too, so that an item whose [`Held`] was forgotten is released by the next call.
    held: Option<usize>,
}

impl<T> Reader<T> {
    /// The oldest item that this reader hasn't passed and that is still there. It stays as it is, and the
    /// writer goes round it, until the [`Held`] is dropped.
    ///
    /// An item that another reader has held on to for a whole turn of the ring counts as overwritten.
    #[allow(clippy::should_implement_trait)] // An iterator's items outlive the call; these don't.
    pub fn next(&mut self) -> Option<Held<'_, T>> {
        self.release();
        let n_slots = self.shared.slots.len() as u64;
        loop {
            let published = self.shared.published();
            // Older ones can't all be there; those that are can't be found.
            let first = self.passed.max(published.saturating_sub(n_slots));
            self.overwritten += first - self.passed;
            self.passed = first;
            if first == published {
                return None;
            }
            self.passed += 1;
            // The head was loaded with Acquire, so that this is the item's slot, or that of a newer item.
            let slot = self.shared.slot_of[self.shared.place(first)].load(Ordering::Relaxed);
            if self.shared.slots[slot].0.hold(first) {
                self.held = Some(slot);
                let item = self.shared.slots[slot].0.item.get();
                return Some(Held { item, _release: Release(self) });
            }
            self.overwritten += 1;
        }
    }

    /// Items published and not yet passed. Items held once + [`overwritten`](Reader::overwritten) + this = items
    /// published.
    ///
    /// It grows at any moment, and never shrinks but by [`next`](Reader::next). Of what it counts at most as
    /// many as there are slots are still there: `next` counts the others as overwritten.
    pub fn lag(&self) -> u64 {
        self.shared.published() - self.passed
    }

    /// Items that were overwritten before this reader came to them. It changes only by [`next`](Reader::next).
    pub fn overwritten(&self) -> u64 {
        self.overwritten
    }

    /// Whether the writer is gone. Items may still wait.
    pub fn is_closed(&self) -> bool {
        self.shared.head.0.load(Ordering::Acquire) & CLOSED != 0
    }

    /// Waits until an item is there, or the ring is closed and every item passed, or `strategy` is used up.
    ///
    /// ```
    /// use efference::rings::{WaitStrategy, Waited, ring};
    /// let (mut writer, mut readers) = ring(vec![0; 8], 1);
    /// let mut reader = readers.remove(0);
    /// std::thread::scope(|scope| {
    ///     scope.spawn(move || {
    ///         for number in 0..3 {
    ///             let mut slot = writer.claim();
    ///             *slot = number;
    ///             slot.publish();
    ///         }
    ///     });
    ///     let mut sum = 0;
    ///     while reader.wait(&WaitStrategy::default()) != Waited::Closed {
    ///         while let Some(item) = reader.next() {
    ///             sum += *item;
    ///         }
    ///     }
    ///     assert_eq!(sum, 3);
    /// });
    /// ```
    pub fn wait(&mut self, strategy: &WaitStrategy) -> Waited {
        self.release();
        for turn in 0..u64::from(strategy.spins) + u64::from(strategy.yields) {
            match self.shared.after(self.passed) {
                Waited::TimedOut if turn < u64::from(strategy.spins) => spin_loop(),
                Waited::TimedOut => yield_now(),
                ended => return ended,
            }
        }
        let (shared, passed) = (&self.shared, self.passed);
        if let Some(limit) = strategy.park
            && shared.after(passed) == Waited::TimedOut
        {
            self.sleeper.sleep(limit, || shared.after(passed) == Waited::TimedOut);
        }
        shared.after(passed)
    }

    fn release(&mut self) {
        if let Some(slot) = self.held.take() {
            self.shared.slots[slot].0.release();
        }
    }
}

impl<T> Drop for Reader<T> {
    fn drop(&mut self) {
        self.release();
    }
}

/// An item that a reader holds. Dropping it gives the slot back.
pub struct Held<'a, T> {
    // Fields drop in this order: the access ends, then the slot is released.
    item: ConstPtr<T>,
    _release: Release<'a, T>,
}

impl<T> Deref for Held<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        // SAFETY: the reader holds the slot until `_release` is dropped or the reader, borrowed by it, is used
        // again, and the writer takes no slot that is held.
        unsafe { self.item.deref() }
    }
}

struct Release<'a, T>(&'a mut Reader<T>);

impl<T> Drop for Release<'_, T> {
    fn drop(&mut self) {
        self.0.release();
    }
}

struct Shared<T> {
    /// Items published, and in the lowest bit whether the writer is gone.
    head: Line<AtomicU64>,
    /// The slot of item k stands at k modulo the number of slots, until a newer item's is written there.
    slot_of: Box<[AtomicUsize]>,
    slots: Box<[Line<Slot<T>>]>,
}

impl<T> Shared<T> {
    fn published(&self) -> u64 {
        self.head.0.load(Ordering::Acquire) >> 1
    }

    /// What there is for a reader that has passed so many items.
    fn after(&self, passed: u64) -> Waited {
        // One load for both, so that nothing published before the end is missed.
        let head = self.head.0.load(Ordering::Acquire);
        match head & CLOSED != 0 {
            _ if head >> 1 != passed => Waited::Item,
            true => Waited::Closed,
            false => Waited::TimedOut,
        }
    }

    fn place(&self, number: u64) -> usize {
        (number % self.slots.len() as u64) as usize
    }
}

struct Slot<T> {
    /// (Number of the item + 1) × 64 + readers that hold it, or 0: nothing to see.
    state: AtomicU64,
    item: UnsafeCell<T>,
}

// SAFETY: the item is written by whoever took the slot, one writer at most, and read by those who hold it, never both
// at once. Readers share it, so it must be `Sync`; writer and readers may drop or fill it anywhere, so `Send`.
unsafe impl<T: Send + Sync> Sync for Slot<T> {}

impl<T> Slot<T> {
    fn new(item: T) -> Self {
        Slot { state: AtomicU64::new(EMPTY), item: UnsafeCell::new(item) }
    }

    /// The writer's: true if nobody held it. From then on nobody can.
    fn take(&self) -> bool {
        let state = self.state.load(Ordering::Relaxed);
        // Acquire: what readers read before they released it happens before it is written.
        state & READERS == 0
            && self.state.compare_exchange(state, EMPTY, Ordering::Acquire, Ordering::Relaxed).is_ok()
    }

    /// The writer's, after `take`.
    fn fill(&self, number: u64) {
        // A plain store: on EMPTY no reader changes it. Release: who holds it sees what was written. The head, which
        // readers look at first, says so too; this makes a slot right by itself.
        self.state.store((number + 1) << READERS_BITS, Ordering::Release);
    }

    /// A reader's: true if item `number` is in it, which then stays until `release`.
    fn hold(&self, number: u64) -> bool {
        let mut state = self.state.load(Ordering::Relaxed);
        while state >> READERS_BITS == number + 1 {
            match self.state.compare_exchange_weak(state, state + 1, Ordering::Acquire, Ordering::Relaxed) {
                Ok(_) => return true,
                Err(now) => state = now,
            }
        }
        false
    }

    /// A reader's, once after each `hold`.
    fn release(&self) {
        self.state.fetch_sub(1, Ordering::Release);
    }
}

const EMPTY: u64 = 0;
const CLOSED: u64 = 1;
const READERS_BITS: u32 = 6;
const READERS: u64 = (1 << READERS_BITS) - 1;
const _: () = assert!(READERS_MAX as u64 <= READERS);
