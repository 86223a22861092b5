//! Sessions: who may speak, and what was said before.
//!
//! In: packets of the radio, records to send, 32 random bytes a handshake. Out: records that the other end wrote, each
//! datagram's once, and packets. Guarantees: what is damaged, forged, replayed or of another session is counted by its
//! cause and never handed on; nothing is sent in the clear unless [`Access::Plain`] is asked for; no clock, no socket.
//!
//! A host begins, a device answers, and the first sealed datagram of the host opens the session on the device:
//!
//! ```
//! use efference_wire::session::{Access, Endpoint, Key, Received};
//! use efference_wire::{Record, RecordWriter};
//!
//! let key = Key::from_bytes([7; 32]);
//! let mut host = Endpoint::host(Access::Paired(key.clone()), 1);
//! let mut device = Endpoint::device(Access::Paired(key));
//! let mut packet = [0; 512];
//!
//! host.connect([1; 32]); // Random bytes in life.
//! let length = host.poll_packet(512, &mut packet).expect("a hello");
//! assert_eq!(device.receive(&packet[..length]), Ok(Received::Hello));
//!
//! device.answer([2; 32], &[]).expect("an empty answer fits");
//! let length = device.poll_packet(512, &mut packet).expect("a hello back");
//! assert_eq!(host.receive(&packet[..length]), Ok(Received::Session(&[])));
//!
//! let mut bytes = [0; 100];
//! let mut records = RecordWriter::new(&mut bytes);
//! records.push(&Record::Ping(5)).expect("100 bytes are enough");
//! host.seal(records.written()).expect("a session is there");
//! let length = host.poll_packet(512, &mut packet).expect("a datagram");
//! assert_eq!(device.receive(&packet[..length]), Ok(Received::Session(records.written())));
//! assert!(device.receive(&packet[..length]).is_err(), "replayed");
//! ```

mod device;
mod endpoint;
mod handshake;
mod host;
mod key;
#[cfg(test)]
mod tests;
mod transport;
mod window;

pub use device::Device;
pub use endpoint::{Endpoint, Received, SealError, records_max};
pub use host::Host;
pub use key::{Access, Key};
pub use window::{Tally, WINDOW};

/// Bytes that a device's answer to a hello may hold: what fits into 16 packets of 20 bytes.
pub const ANSWER_MAX: usize = GREETING_MAX - 2 - handshake::SECOND_OVERHEAD - checksum::N_BYTES;
/// Bytes of a hello, or of the answer, at most.
const GREETING_MAX: usize = crate::packet::FRAGMENTS_MAX * (crate::packet::MTU_MIN - 3);
/// Second byte of a greeting: sealed, or plain.
const METHOD_SEALED: u8 = 1;
const METHOD_PLAIN: u8 = 2;
/// Bytes of a plain hello's number, which tells one from the next.
const PLAIN_HELLO: usize = 4;

/// CRC-32 (ISO-HDLC, as in Ethernet) at the end of what is not sealed.
mod checksum {
    use crate::packet::Kind;
    use crc::{CRC_32_ISO_HDLC, Crc};

    pub(super) const N_BYTES: usize = 4;
    static CRC: Crc<u32> = Crc::<u32>::new(&CRC_32_ISO_HDLC);

    /// Of byte 0 of the packet and the bytes of the datagram.
    fn of(kind: Kind, bytes: &[u8]) -> [u8; N_BYTES] {
        let mut digest = CRC.digest();
        digest.update(&[kind.head()]);
        digest.update(bytes);
        digest.finalize().to_le_bytes()
    }

    /// Writes it behind the first `n_bytes`; the length with it, or `None` without room.
    pub(super) fn append(kind: Kind, datagram: &mut [u8], n_bytes: usize) -> Option<usize> {
        let (bytes, rest) = datagram.split_at_mut_checked(n_bytes)?;
        rest.get_mut(..N_BYTES)?.copy_from_slice(&of(kind, bytes));
        Some(n_bytes + N_BYTES)
    }

    /// What stands before it, if it is right.
    pub(super) fn check(kind: Kind, datagram: &[u8]) -> Option<&[u8]> {
        let (bytes, checksum) = datagram.split_last_chunk::<N_BYTES>()?;
        if of(kind, bytes) == *checksum { Some(bytes) } else { None }
    }
}
