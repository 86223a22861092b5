//! What runs on the implant: samples in, packets out, commands in, acknowledgements out.
//!
//! Guarantees: no allocation, no floating point, no clock and no I/O of its own, so that it runs on a microcontroller
//! as on a desk, with the same bytes.

#![no_std]
#![forbid(unsafe_code)]

#[cfg(test)]
extern crate std;

mod battery;
mod implant;
pub mod link;
pub mod rate;
pub mod signal;

pub use battery::Battery;
pub use implant::{Implant, RAW_BYTES, RawChannel};
