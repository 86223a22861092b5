//! `efference`: brain signals in, intents out.
//!
//! The modules stand in the order of the flow: sources fill blocks, `filter` and `detect` turn broadband
//! into crossings and power, `binning` into features, `decode` into intents. `Pipeline::process` is the one
//! way through, live and in replay.

mod error;
mod time;

pub mod block;
pub mod device;
pub mod recording;
pub mod sources;

pub use error::{Error, ErrorKind, nearest};
pub use time::{SampleIndex, SampleRate};
