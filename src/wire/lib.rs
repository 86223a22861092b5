//! The link between an implant and its host: both sides speak through this crate.
//!
//! In: packets of 20 to 512 bytes from a radio, or records to send. Out: records, or packets. Guarantees: no
//! allocation, no clock, no socket, no floating point, no panic whatever the bytes; so that the same code runs on the
//! implant's microcontroller and on the host. `README.md` beside this file documents the format byte by byte.

#![no_std]
#![forbid(unsafe_code)]

#[cfg(test)]
extern crate std;

pub mod codec;
pub mod gatt;
pub mod packet;
mod record;
pub mod session;

pub use record::{
    Ack, BODY_MAX, Command, Counts, Crossings, Format, Full, Hello, Impedance, Malformed, Mode, NAME_MAX,
    Operation, Pong, Power, PushError, Raw, Reason, Record, RecordWriter, Records, Report, Snippet, Status,
    THRESHOLDS_MAX, Table, Telemetry,
};
