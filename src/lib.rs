//! `efference`: brain signals in, intents out.
//!
//! The modules stand in the order of the flow: sources fill blocks, `filter` and `detect` turn broadband
//! into crossings and power, `binning` into features, `decode` into intents, and sinks take those.
//! [`pipeline::Pipeline::process`] is the one way through, live and in replay; `train` fits what it decodes with.
//!
//! ```
//! use efference::{config::{Config, DecoderKind}, pipeline::Calibration, recording, train};
//!
//! // A simulated user (synthetic) whose electrodes count spikes every 50 ms.
//! let mut recording = recording::open("sim:blackrock-utah,kind=counts,width_ms=50,seconds=120", None)?;
//! let mut config = recording.settle(Config::default(), "example")?;
//! config.decoder.kind = DecoderKind::Kalman;
//! let data = train::collect(&mut recording, &config, &Calibration::default(), 2400, |_| ())?;
//! let (_fitted, score) = train::score_last_fifth(&data, &config.decoder)?;
//! assert!(score.velocity_r2.is_some_and(|r2| r2.mean > 0.3));
//! # Ok::<(), efference::Error>(())
//! ```

mod error;
mod time;

pub mod block;
pub mod config;
pub mod device;

pub use efference_wire as wire;

pub mod link;

pub mod recording;
pub mod sources;

pub mod rings;

pub mod simd;

pub mod filter;

pub mod detect;

pub mod binning;
pub mod decode;
pub mod intents;
pub mod sinks;

pub mod calibration;
pub mod recalibration;
pub mod tasks;

pub mod pipeline;

pub mod live;

pub mod model;
pub mod score;
pub mod spectrum;
pub mod train;

pub mod hybrid;

pub mod closed_loop;

pub use error::{Error, ErrorKind};
pub use time::{ClockFit, ClockReading, DeviceTime, Fitted, HostTime, SampleIndex, SampleRate};
