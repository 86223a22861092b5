//! Raw samples of one channel, in frames of at most [`FRAME_MAX`] samples.
//!
//! In: integers of 2 to 16 bits, a frame (20 ms or less) at a time. Out: bytes, and from them the same integers.
//! Guarantees: lossless; under 512 bytes of state a channel and side; no allocation; integers alone, so that a
//! microcontroller and a host agree; a frame that follows a lost one is refused until a key frame comes.
//! `README.md` beside this file gives the format byte by byte.

mod converter;
mod frame;
mod model;
mod predictor;
pub mod range;
mod spread;

pub use converter::Converter;
pub use frame::{Decoder, Encoder, FRAME_MAX, NotEncoded, RawError, bound_bytes, usual_frames};
pub use spread::share_below;

#[cfg(test)]
mod tests;
