//! The device's end of the link.

mod commands;
mod data;
mod end;
mod outbox;
mod tables;

pub use commands::{Abilities, Commands, RAW_MAX, Task, Wanted, samples};
pub use end::{Identity, Lane, LinkEnd, LinkMemory, Now, Vitals};
pub use outbox::{Outbox, SLOT};
pub use tables::Tables;
