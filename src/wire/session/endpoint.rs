//! One end of a link, from packets to records and back.
//!
//! In: packets, records. Out: records, packets. Guarantees: as in `session`; the same code on both ends but for who
//! greets and who answers.

use super::key::Access;
use super::transport::{self, Transport};
use super::window::Tally;
use super::{GREETING_MAX, checksum};
use crate::packet::{Assembler, Counters, DATAGRAM_MAX, Datagram, Dropped, Fragmenter, Kind, datagram_max};
use core::ops::Range;

/// One end of a link; `Role` is [`Host`](super::Host) or [`Device`](super::Device).
#[derive(Debug)]
pub struct Endpoint<Role> {
    pub(super) role: Role,
    pub(super) access: Access,
    pub(super) live: Option<Transport>,
    pub(super) counters: Counters,
    pub(super) assembler: Assembler,
    pub(super) greeting: Greeting,
    previous: Option<Tally>,
    fragmenter: Fragmenter,
    datagram: [u8; DATAGRAM_MAX],
}

/// What a packet brought.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Received<'a> {
    /// Nothing yet: a fragment, or a hello that was answered before and is answered again.
    Nothing,
    /// Records of the session.
    Records(&'a [u8]),
    /// A new session began, and these are its first records. Numbers, clock and formats of the one before are void;
    /// [`Endpoint::previous`] says what came of it.
    Session(&'a [u8]),
    /// On a host: records that the device sealed for the session before this one, in its numbers.
    Earlier(&'a [u8]),
    /// On a device: a host asks for a session; [`Endpoint::answer`] it.
    Hello,
}

/// Why nothing was sealed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SealError {
    /// There is no session.
    NoSession,
    /// The packets of the datagram before are not all out: [`Endpoint::poll_packet`] them first.
    Busy,
    /// More bytes than [`records_max`] or [`ANSWER_MAX`](super::ANSWER_MAX).
    TooLong,
    /// The session has used up its numbers; a new one has to begin.
    Exhausted,
    /// On a device: nobody asked for a session.
    NotAsked,
}

/// Bytes of records that a datagram has room for where a packet has at most `mtu`.
///
/// ```
/// use efference_wire::session::{Access, records_max};
/// assert_eq!(records_max(512, &Access::Plain), 511 - 9);
/// ```
#[must_use]
pub const fn records_max(mtu: usize, access: &Access) -> usize {
    let kind = match access {
        Access::Paired(_) => Kind::Sealed,
        Access::Plain => Kind::Plain,
    };
    datagram_max(mtu) - transport::HEAD - transport::tail(kind)
}

impl<Role> Endpoint<Role> {
    pub(super) fn new(access: Access, role: Role) -> Self {
        Endpoint {
            role,
            access,
            live: None,
            counters: Counters::default(),
            assembler: Assembler::new(),
            greeting: Greeting::NONE,
            previous: None,
            fragmenter: Fragmenter::new(),
            datagram: [0; DATAGRAM_MAX],
        }
    }

    /// How this end is protected.
    #[must_use]
    pub const fn access(&self) -> &Access {
        &self.access
    }

    /// What became of every packet that came, since this end was built.
    #[must_use]
    pub const fn counters(&self) -> &Counters {
        &self.counters
    }

    /// Packets that are held because their datagrams are not complete.
    #[must_use]
    pub fn n_held(&self) -> u32 {
        self.assembler.n_held()
    }

    /// What came of the session; `None` while there is none.
    #[must_use]
    pub fn tally(&self) -> Option<Tally> {
        self.live.as_ref().map(Transport::tally)
    }

    /// What came of the session before this one.
    #[must_use]
    pub const fn previous(&self) -> Option<Tally> {
        self.previous
    }

    /// Datagrams that were sealed and given up because the MTU became too small for them on their way out.
    #[must_use]
    pub const fn n_given_up(&self) -> u32 {
        self.fragmenter.n_given_up()
    }

    /// Everything that was sealed has left through [`Endpoint::poll_packet`].
    #[must_use]
    pub const fn is_idle(&self) -> bool {
        self.fragmenter.is_idle() && !self.greeting.is_due
    }

    /// Ends the session, without a word to the other end.
    pub fn end(&mut self) {
        let _over = self.replace(None);
    }

    /// Seals records, at most [`records_max`] bytes of them, as the next datagram of the session.
    ///
    /// # Errors
    /// See [`SealError`]; no sequence number is used up then.
    pub fn seal(&mut self, records: &[u8]) -> Result<(), SealError> {
        let live = self.live.as_mut().ok_or(SealError::NoSession)?;
        if !self.fragmenter.is_idle() {
            return Err(SealError::Busy);
        }
        let length = live.seal(records, self.fragmenter.buffer())?;
        self.fragmenter.send(live.kind(), length);
        Ok(())
    }

    /// Writes the next packet to send, of at most `mtu` bytes (20 to 512), into `packet`, which has room for so many;
    /// its length, or `None` when all is out.
    pub fn poll_packet(&mut self, mtu: usize, packet: &mut [u8]) -> Option<usize> {
        if self.fragmenter.is_idle() && self.greeting.is_due {
            self.greeting.is_due = false;
            let greeting = &self.greeting.bytes[..self.greeting.length];
            self.fragmenter.buffer()[..greeting.len()].copy_from_slice(greeting);
            self.fragmenter.send(self.greeting.kind, greeting.len());
        }
        self.fragmenter.poll(mtu, packet)
    }

    /// The datagram that a packet completes.
    pub(super) fn assemble(&mut self, packet: &[u8]) -> Result<Option<Datagram>, Dropped> {
        self.assembler.push(packet, &mut self.datagram, &mut self.counters)
    }

    /// The bytes of the datagram that came last.
    pub(super) fn datagram(&mut self, datagram: Datagram) -> &mut [u8] {
        &mut self.datagram[..datagram.n_bytes]
    }

    /// What an opened range of the datagram holds.
    pub(super) fn opened(&mut self, range: Range<usize>) -> &[u8] {
        self.counters.opened = self.counters.opened.wrapping_add(1);
        &self.datagram[range]
    }

    /// Opens a datagram of the live session.
    pub(super) fn open_live(&mut self, datagram: Datagram) -> Result<Range<usize>, Dropped> {
        self.is_welcome(datagram.kind)?;
        let live = self.live.as_mut().ok_or(Dropped::NoSession)?;
        live.open(&mut self.datagram[..datagram.n_bytes])
    }

    /// Sealed where sealed was asked for, plain where plain was.
    pub(super) const fn is_welcome(&self, kind: Kind) -> Result<(), Dropped> {
        match (kind, &self.access) {
            (Kind::Sealed, Access::Plain) => Err(Dropped::SealedRefused),
            (Kind::Plain, Access::Paired(_)) => Err(Dropped::PlainRefused),
            _ => Ok(()),
        }
    }

    /// Another session takes over, or none; fragments of both may be on the air. Gives the one before.
    pub(super) fn replace(&mut self, transport: Option<Transport>) -> Option<Transport> {
        self.previous = self.tally().or(self.previous);
        self.assembler.forget_done();
        core::mem::replace(&mut self.live, transport)
    }
}

/// A hello or the answer to one, kept for as long as it may have to be sent again.
#[derive(Debug)]
pub(super) struct Greeting {
    kind: Kind,
    bytes: [u8; GREETING_MAX],
    length: usize,
    pub(super) is_due: bool,
}

impl Greeting {
    const NONE: Greeting = Greeting { kind: Kind::Hello, bytes: [0; GREETING_MAX], length: 0, is_due: false };

    /// Session, method, `n_bytes` that `body` writes, checksum; due at once. `None` where it does not fit.
    pub(super) fn write(
        &mut self,
        kind: Kind,
        session: u8,
        method: u8,
        body: impl FnOnce(&mut [u8]) -> Option<usize>,
    ) -> Option<()> {
        self.is_due = false;
        let (head, rest) = self.bytes.split_at_mut(2);
        head.copy_from_slice(&[session, method]);
        let room = rest.len() - checksum::N_BYTES;
        let n_bytes = body(&mut rest[..room])?;
        self.length = checksum::append(kind, &mut self.bytes, 2 + n_bytes)?;
        (self.kind, self.is_due) = (kind, true);
        Some(())
    }
}
