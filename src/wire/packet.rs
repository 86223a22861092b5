//! Packets of the radio to datagrams, and back.
//!
//! In: packets of up to [`MTU_MAX`] bytes in any order, some lost, some twice, some damaged. Out: datagrams of up to
//! [`DATAGRAM_MAX`] bytes, each at most once as long as its packets come within [`AGE_MAX`] packets of each other.
//! Guarantees: a fixed size, and every packet that comes is counted once: used, held or dropped by its cause.

mod assembler;
mod fragmenter;
#[cfg(test)]
mod tests;

pub use assembler::{AGE_MAX, Assembler, Datagram};
pub use fragmenter::Fragmenter;

/// Bytes that a datagram of data may have where a packet has at most `mtu`.
///
/// From 128 bytes on a datagram is one packet, so that a lost packet costs nothing but itself. Smaller packets would
/// be mostly header and tag; there a datagram takes as many of them as 192 bytes need, at most [`DATA_FRAGMENTS_MAX`].
///
/// ```
/// use efference_wire::packet::datagram_max;
/// assert_eq!((datagram_max(512), datagram_max(185), datagram_max(64), datagram_max(20)), (511, 184, 244, 136));
/// ```
#[must_use]
pub const fn datagram_max(mtu: usize) -> usize {
    let mtu = legal_mtu(mtu);
    if mtu >= MTU_WHOLE_MIN {
        return mtu - 1;
    }
    let part = mtu - FRAGMENT_HEAD;
    let n_parts = DATAGRAM_WANTED.div_ceil(part);
    part * if n_parts > DATA_FRAGMENTS_MAX { DATA_FRAGMENTS_MAX } else { n_parts }
}

/// The nearest legal MTU.
#[must_use]
pub const fn legal_mtu(mtu: usize) -> usize {
    match mtu {
        0..MTU_MIN => MTU_MIN,
        MTU_MIN..=MTU_MAX => mtu,
        _ => MTU_MAX,
    }
}

/// What a packet carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Kind {
    /// A host asks for a session.
    Hello = 0,
    /// A device answers.
    HelloBack = 1,
    /// Records, encrypted and authenticated.
    Sealed = 2,
    /// Records in the clear.
    Plain = 3,
}

impl Kind {
    /// Byte 0 of a packet that is not a fragment; with fragments its two lowest bits are set besides.
    #[must_use]
    pub const fn head(self) -> u8 {
        VERSION << 5 | (self as u8) << 2
    }

    const fn of_head(head: u8) -> Option<Kind> {
        Some(match head >> 2 & 7 {
            0 => Kind::Hello,
            1 => Kind::HelloBack,
            2 => Kind::Sealed,
            3 => Kind::Plain,
            _ => return None,
        })
    }
}

/// Why a packet, or the datagram that it completed, was dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Dropped {
    /// Packet: too short for its head, longer than [`MTU_MAX`], or with flags that mean nothing.
    Malformed,
    /// Packet: of another version of the format.
    Version,
    /// Packet: of a kind that nobody knows.
    Kind,
    /// Packet: a fragment that came before, or whose datagram was complete before.
    Repeated,
    /// Packet: a fragment that contradicts those that came before: another length, another end, other bytes.
    Contradictory,
    /// Packet: a fragment with which the datagram would be longer than [`DATAGRAM_MAX`].
    TooLong,
    /// Packet: a fragment whose datagram was not complete in time.
    Abandoned,
    /// Datagram: shorter than its own head and tag.
    Truncated,
    /// Datagram: its checksum is wrong (a hello, or one in the clear).
    Damaged,
    /// Datagram: its tag is wrong; forged, damaged, or sealed with another key.
    Forged,
    /// Datagram: its sequence number came before.
    Replayed,
    /// Datagram: authentic, but more than the replay window behind the newest.
    Late,
    /// Datagram: of a session that is not this one.
    WrongSession,
    /// Datagram: records, but there is no session yet.
    NoSession,
    /// Datagram: in the clear where sealed was asked for.
    PlainRefused,
    /// Datagram: sealed where plain was asked for.
    SealedRefused,
    /// Datagram: a hello that nobody waits for, or in the wrong direction.
    Unexpected,
}

impl Dropped {
    /// All causes, in the order of [`Counters::dropped`].
    pub const ALL: [Dropped; 17] = [
        Dropped::Malformed,
        Dropped::Version,
        Dropped::Kind,
        Dropped::Repeated,
        Dropped::Contradictory,
        Dropped::TooLong,
        Dropped::Abandoned,
        Dropped::Truncated,
        Dropped::Damaged,
        Dropped::Forged,
        Dropped::Replayed,
        Dropped::Late,
        Dropped::WrongSession,
        Dropped::NoSession,
        Dropped::PlainRefused,
        Dropped::SealedRefused,
        Dropped::Unexpected,
    ];
    /// The first so many causes count packets, the others datagrams.
    pub const N_OF_PACKETS: usize = 7;

    /// In words, for a report.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Dropped::Malformed => "malformed",
            Dropped::Version => "other version",
            Dropped::Kind => "unknown kind",
            Dropped::Repeated => "repeated fragment",
            Dropped::Contradictory => "contradictory fragment",
            Dropped::TooLong => "too long",
            Dropped::Abandoned => "incomplete",
            Dropped::Truncated => "truncated",
            Dropped::Damaged => "damaged",
            Dropped::Forged => "forged",
            Dropped::Replayed => "replayed",
            Dropped::Late => "late",
            Dropped::WrongSession => "wrong session",
            Dropped::NoSession => "no session",
            Dropped::PlainRefused => "plain refused",
            Dropped::SealedRefused => "sealed refused",
            Dropped::Unexpected => "unexpected hello",
        }
    }
}

/// What became of every packet and datagram that came, since the start. The numbers wrap at 2³².
///
/// Packets: `packets = packets_used + held + ` the first [`Dropped::N_OF_PACKETS`] causes. Datagrams: `datagrams =
/// opened + hellos + ` the other causes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Packets that came.
    pub packets: u32,
    /// Packets that are whole datagrams, or parts of one that is complete.
    pub packets_used: u32,
    /// Datagrams put together.
    pub datagrams: u32,
    /// Datagrams whose records were handed on.
    pub opened: u32,
    /// Legal hellos and answers to them, repeated ones included.
    pub hellos: u32,
    /// Packets and datagrams dropped, by cause, in the order of [`Dropped::ALL`].
    pub dropped: [u32; Dropped::ALL.len()],
}

impl Counters {
    /// How many were dropped for a cause.
    #[must_use]
    pub const fn of(&self, cause: Dropped) -> u32 {
        self.dropped[cause as usize]
    }

    /// Datagrams that did not open, whatever the cause.
    #[must_use]
    pub fn datagrams_dropped(&self) -> u32 {
        sum(&self.dropped[Dropped::N_OF_PACKETS..])
    }

    /// Packets that never became part of a datagram, whatever the cause.
    #[must_use]
    pub fn packets_dropped(&self) -> u32 {
        sum(&self.dropped[..Dropped::N_OF_PACKETS])
    }

    /// All that came is accounted for, `n_held` packets being parts of datagrams that are not complete.
    #[must_use]
    pub fn is_balanced(&self, n_held: u32) -> bool {
        let packets = self.packets_used.wrapping_add(n_held).wrapping_add(self.packets_dropped());
        let datagrams = self.opened.wrapping_add(self.hellos).wrapping_add(self.datagrams_dropped());
        (packets, datagrams) == (self.packets, self.datagrams)
    }

    pub(crate) fn drop_one(&mut self, cause: Dropped) -> Dropped {
        self.drop_many(cause, 1);
        cause
    }

    fn drop_many(&mut self, cause: Dropped, n_packets: u32) {
        let count = &mut self.dropped[cause as usize];
        *count = count.wrapping_add(n_packets);
    }
}

fn sum(counts: &[u32]) -> u32 {
    counts.iter().fold(0, |sum, count| sum.wrapping_add(*count))
}

/// Version of the format, in byte 0 of every packet.
pub const VERSION: u8 = 2;
/// Bytes of the smallest largest packet.
pub const MTU_MIN: usize = 20;
/// Bytes of the largest packet.
pub const MTU_MAX: usize = 512;
/// Bytes of a datagram at most.
pub const DATAGRAM_MAX: usize = 512;
/// Packets that a datagram may come in.
pub const FRAGMENTS_MAX: usize = 16;
/// Packets that a datagram of data is cut into at most; only greetings take more.
pub const DATA_FRAGMENTS_MAX: usize = 8;
/// Bytes before a fragment: byte 0, tag, index.
const FRAGMENT_HEAD: usize = 3;
/// From this MTU on a datagram of data is one packet.
const MTU_WHOLE_MIN: usize = 128;
/// Below it, a datagram of data has at least so many bytes where 8 fragments carry them.
const DATAGRAM_WANTED: usize = 192;
/// Byte 0: this is a fragment.
const FRAGMENTED: u8 = 1;
/// Byte 0: fragments follow.
const MORE: u8 = 2;

const _: () = assert!(MTU_MAX - 1 <= DATAGRAM_MAX && DATAGRAM_WANTED + MTU_WHOLE_MIN <= DATAGRAM_MAX);
const _: () = assert!(DATA_FRAGMENTS_MAX <= FRAGMENTS_MAX && FRAGMENTS_MAX <= u16::BITS as usize);
