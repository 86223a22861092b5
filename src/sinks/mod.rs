//! Where results go. What is written appears whole or not at all.

mod pending;

pub use pending::{PendingDir, PendingFile, remove_pending};
