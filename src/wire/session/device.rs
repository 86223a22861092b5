//! The device's end: it answers hosts.
//!
//! In: packets of a host. Out: its records. Guarantees: a session stays until the first datagram of a new one has proved
//! that the host is there now, so a replayed hello ends none; a hello costs curve arithmetic only if its sender has
//! the key and it is not the one that was answered last.

use super::endpoint::{Endpoint, Received, SealError};
use super::handshake::{self, FIRST};
use super::key::Access;
use super::transport::Transport;
use super::{ANSWER_MAX, METHOD_PLAIN, METHOD_SEALED, PLAIN_HELLO, checksum};
use crate::packet::{Datagram, Dropped, Kind};
use core::ops::Range;

/// What a device knows of the session that it was asked for.
#[derive(Debug)]
pub struct Device {
    asked: Asked,
    /// The latest hello was answered.
    is_answered: bool,
    /// The session that the answer is for, until a datagram of it comes.
    pending: Option<Transport>,
}

/// The latest legal hello.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Asked {
    Nothing,
    Sealed(u8, [u8; FIRST]),
    Plain(u8, [u8; PLAIN_HELLO]),
}

impl Endpoint<Device> {
    /// A device's end without a session.
    #[must_use]
    pub fn device(access: Access) -> Self {
        Endpoint::new(access, Device { asked: Asked::Nothing, is_answered: false, pending: None })
    }

    /// Answers [`Received::Hello`] with records (what the device is, and its format), at most [`ANSWER_MAX`] bytes;
    /// [`Endpoint::poll_packet`] gives the answer. `entropy` are 32 bytes that nobody can guess and that are never used
    /// again.
    ///
    /// Costs two multiplications on the curve; who calls may choose how often.
    ///
    /// # Errors
    /// [`SealError::NotAsked`] where nobody asked or this hello is answered, [`SealError::TooLong`].
    pub fn answer(&mut self, entropy: [u8; 32], records: &[u8]) -> Result<(), SealError> {
        if self.role.is_answered {
            return Err(SealError::NotAsked);
        }
        if records.len() > ANSWER_MAX {
            return Err(SealError::TooLong);
        }
        let mut pending = None;
        let written = match (&self.role.asked, &self.access) {
            (Asked::Sealed(session, message), Access::Paired(key)) => {
                self.greeting.write(Kind::HelloBack, *session, METHOD_SEALED, |body| {
                    let answer = handshake::respond(key, *session, message, entropy, records, body);
                    answer.map(|(transport, length)| {
                        pending = Some(transport);
                        length
                    })
                })
            }
            (Asked::Plain(session, _), Access::Plain) => {
                self.greeting.write(Kind::HelloBack, *session, METHOD_PLAIN, |body| {
                    body.get_mut(..records.len())?.copy_from_slice(records);
                    pending = Some(Transport::plain(*session));
                    Some(records.len())
                })
            }
            _ => None,
        };
        written.ok_or(SealError::NotAsked)?;
        (self.role.pending, self.role.is_answered) = (pending, true);
        Ok(())
    }

    /// Takes a packet.
    ///
    /// # Errors
    /// Why the packet, or the datagram that it completed, was dropped; it is counted.
    pub fn receive(&mut self, packet: &[u8]) -> Result<Received<'_>, Dropped> {
        let Some(datagram) = self.assemble(packet)? else { return Ok(Received::Nothing) };
        match datagram.kind {
            Kind::HelloBack => Err(self.counters.drop_one(Dropped::Unexpected)),
            Kind::Hello => match self.asked(datagram) {
                Ok(received) => {
                    self.counters.hellos = self.counters.hellos.wrapping_add(1);
                    Ok(received)
                }
                Err(cause) => Err(self.counters.drop_one(cause)),
            },
            Kind::Sealed | Kind::Plain => match self.open(datagram) {
                Ok((range, true)) => Ok(Received::Session(self.opened(range))),
                Ok((range, false)) => Ok(Received::Records(self.opened(range))),
                Err(cause) => Err(self.counters.drop_one(cause)),
            },
        }
    }

    /// Looks at a hello.
    fn asked(&mut self, datagram: Datagram) -> Result<Received<'static>, Dropped> {
        let bytes: &[u8] = self.datagram(datagram);
        if bytes.len() < 2 + checksum::N_BYTES {
            return Err(Dropped::Truncated);
        }
        let body = checksum::check(Kind::Hello, bytes).ok_or(Dropped::Damaged)?;
        let [session, method, message @ ..] = body else { return Err(Dropped::Truncated) };
        let asked = match *method {
            METHOD_SEALED => Asked::Sealed(*session, *message.first_chunk().ok_or(Dropped::Truncated)?),
            METHOD_PLAIN => Asked::Plain(*session, *message.first_chunk().ok_or(Dropped::Truncated)?),
            _ => return Err(Dropped::Unexpected),
        };
        match (&asked, &self.access) {
            (Asked::Plain(..), Access::Paired(_)) => return Err(Dropped::PlainRefused),
            (Asked::Sealed(..), Access::Plain) => return Err(Dropped::SealedRefused),
            _ if asked == self.role.asked && self.role.is_answered => {
                self.greeting.is_due = true;
                return Ok(Received::Nothing);
            }
            (Asked::Sealed(_, message), Access::Paired(key)) if !handshake::is_first(key, message) => {
                return Err(Dropped::Forged);
            }
            _ => {}
        }
        (self.role.asked, self.role.is_answered) = (asked, false);
        Ok(Received::Hello)
    }

    /// Opens a datagram by the live session or by the one that waits for it; whether that one begins with it.
    fn open(&mut self, datagram: Datagram) -> Result<(Range<usize>, bool), Dropped> {
        self.is_welcome(datagram.kind)?;
        // In the clear nothing tells two sessions of one number apart, and the newer one is meant.
        if datagram.kind == Kind::Plain && self.role.pending.is_some() {
            return match self.open_pending(datagram) {
                Ok(range) => Ok((range, true)),
                Err(Dropped::WrongSession) => self.open_live(datagram).map(|range| (range, false)),
                Err(cause) => Err(cause),
            };
        }
        let by_live = match self.open_live(datagram) {
            Ok(range) => return Ok((range, false)),
            Err(cause) => cause,
        };
        match (self.open_pending(datagram), by_live) {
            (Ok(range), _) => Ok((range, true)),
            // Of the two sessions, the one whose number it has knows best what is wrong.
            (Err(Dropped::NoSession), _) => Err(by_live),
            (Err(by_pending), Dropped::NoSession | Dropped::WrongSession) => Err(by_pending),
            (Err(_), _) => Err(by_live),
        }
    }

    /// Opens a datagram by the session that waits, which is the live one from then on.
    fn open_pending(&mut self, datagram: Datagram) -> Result<Range<usize>, Dropped> {
        let mut pending = self.role.pending.take().ok_or(Dropped::NoSession)?;
        let opened = pending.open(self.datagram(datagram));
        match opened {
            Ok(_) => _ = self.replace(Some(pending)),
            Err(_) => self.role.pending = Some(pending),
        }
        opened
    }
}
