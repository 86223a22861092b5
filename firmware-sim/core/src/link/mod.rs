//! The device's end of the link.

mod commands;
mod outbox;

pub use commands::{Abilities, Commands, RAW_MAX, Task, Wanted, samples};
pub use outbox::{Outbox, SLOT};
