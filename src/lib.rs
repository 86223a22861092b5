//! `efference`: brain signals in, intents out.
//!
//! The modules stand in the order of the flow: sources fill blocks, `filter` and `detect` turn broadband
//! into crossings and power, `binning` into features, `decode` into intents, and sinks take those.
//! [`pipeline::Pipeline::process`] is the one way through, live and in replay; `train` fits what it decodes with.

mod error;
mod time;

pub mod block;
pub mod config;
pub mod device;

pub mod recording;
pub mod sources;

pub mod filter;

pub mod detect;

pub mod binning;
pub mod decode;
pub mod intents;
pub mod sinks;

pub mod pipeline;

pub mod model;
pub mod score;
pub mod train;

pub use error::{Error, ErrorKind, nearest};
pub use time::{SampleIndex, SampleRate};
