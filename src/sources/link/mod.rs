//! A device at the other end of a link, as a source of blocks.
//!
//! In: packets from a socket, a pipe or a capture. Out: blocks of counts, and a report of the link. The packets' meaning
//! is in [`crate::link`] and [`crate::wire`]; here are sockets, files and the clock.

mod address;
mod capture;
mod discover;
mod feed;
pub mod fit;
mod happening;
mod key;
mod replayed;
mod report;
mod source;
mod stream;
mod transport;

pub use address::{Carrier, LinkAddress, Secrecy};
pub use capture::{Asked, CaptureReader, CaptureWriter, Comment, FORMAT, Way};
pub use discover::{Found, ask};
pub use feed::Feed;
pub use key::{PairingKey, entropy};
pub use replayed::CaptureSource;
pub use report::{Impedances, LinkReport};
pub use source::LinkSource;
pub use transport::{PACKET_MAX, Received, Transport};
