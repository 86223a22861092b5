//! A device at the other end of a link, as a source of blocks.
//!
//! In: packets from a socket, a pipe or a capture. Out: blocks of counts.

mod address;
mod capture;
mod key;
mod stream;
mod transport;

pub use address::{Carrier, LinkAddress, Secrecy};
pub use capture::{CaptureReader, CaptureWriter, Comment, FORMAT, Way};
pub use key::{PairingKey, entropy};
pub use transport::{PACKET_MAX, Received, Transport};

/// Where everything that a device sent has gone.
#[derive(Clone, Debug, Default, serde::Serialize)]
pub struct LinkReport {}
