//! Lossless codecs of what an implant sends: counts, crossings, raw samples.
//!
//! In: integers of one packet's worth. Out: bytes, and from them the same integers. Guarantees: integer arithmetic
//! alone, state of a stated size, and an error, never a panic, whatever the bytes.

pub mod counts;
pub mod crossings;
pub mod levels;
pub mod range;
pub mod rates;
pub mod raw;
