//! Lock-free rings, through which blocks and bins travel between threads.
//!
//! One writer, up to [`READERS_MAX`] readers, and every reader sees every item, in order, as it was
//! published, without a copy: a slot is claimed, filled in place, published, and held while it is read. Nobody ever
//! waits for anybody. When a reader falls behind, the newest data wins: the writer takes the slot with the oldest
//! item that no reader holds, and the readers that hadn't come to it count it. For each of them, at any moment,
//!
//! ```text
//! items published = items held + overwritten + lag
//! ```
//!
//! All memory is taken by [`ring`]. There is no lock, and no system call unless a reader
//! chose to sleep ([`WaitStrategy`]). Slots are reused as they were left: an item carries its own frame numbers and
//! counts, so that the loss shows in the data too.
//!
//! What is too large to be copied goes from one owner to another through a slot of its own ([`hand_over`]).
//!
//! Left out: many writers, blocking writers, and rings that refuse new items when they are full.
//!
//! `scripts/test-rings` tries small rings under loom, in every order of events with two preemptions at most.

mod bell;
mod hand_over;
mod ring;
mod sync;
#[cfg(all(test, not(loom)))]
mod tests;
mod wait;

pub use hand_over::{Giver, Taker, hand_over};
pub use ring::{Claim, Held, READERS_MAX, Reader, Writer, ring};
pub use wait::{WaitStrategy, Waited};
