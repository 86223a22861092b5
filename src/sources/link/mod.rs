//! A device at the other end of a link, as a source of blocks.
//!
//! In: packets from a socket, a pipe or a capture. Out: blocks of counts.

mod address;
mod capture;
mod stream;
mod transport;

pub use address::{Carrier, LinkAddress, Secrecy};
pub use capture::{CaptureReader, CaptureWriter, Comment, FORMAT, Way};
pub use transport::{PACKET_MAX, Received, Transport};
