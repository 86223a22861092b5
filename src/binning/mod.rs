//! Crossings and power to features: who owns the bin grid, and what a bin holds.

mod bin;
mod levels;
mod schedule;
mod touched;

pub use bin::{Bin, BinBuilder};
pub use levels::PowerScale;
pub use schedule::BinSchedule;
pub use touched::Touched;
