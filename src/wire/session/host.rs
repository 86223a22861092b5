//! The host's end: it asks for sessions.
//!
//! In: packets of a device. Out: its records. Guarantees: a session stays until the answer to a new hello has proved
//! that the device has the key; what the device sealed before it went over still opens, until [`Endpoint::forget_earlier`].

use super::endpoint::{Endpoint, Received};
use super::handshake::Initiator;
use super::key::Access;
use super::transport::Transport;
use super::window::Tally;
use super::{ANSWER_MAX, METHOD_PLAIN, METHOD_SEALED, PLAIN_HELLO, checksum};
use crate::packet::{Datagram, Dropped, Kind};
use core::fmt;
use core::ops::Range;

/// What a host knows of the session that it asks for.
pub struct Host {
    next_session: u8,
    asking: Option<Asking>,
    /// The session before, for what was on its way when this one began.
    earlier: Option<Transport>,
}

/// A session that was asked for; the handshake's state where it is to be sealed.
struct Asking {
    session: u8,
    handshake: Option<Initiator>,
}

impl Endpoint<Host> {
    /// A host's end without a session. Its sessions are numbered from `first_session` on; a number other than that of
    /// the run before makes packets of that run easier to tell.
    #[must_use]
    pub fn host(access: Access, first_session: u8) -> Self {
        Endpoint::new(access, Host { next_session: first_session, asking: None, earlier: None })
    }

    /// Asks for a new session: [`Endpoint::poll_packet`] gives the hello. `entropy` are 32 bytes that nobody can guess
    /// and that are never used again. The session before stays good until the answer comes.
    pub fn connect(&mut self, entropy: [u8; 32]) {
        let session = self.role.next_session;
        self.role.next_session = session.wrapping_add(1);
        let greeting = &mut self.greeting;
        let (method, handshake) = match &self.access {
            Access::Plain => (METHOD_PLAIN, None),
            Access::Paired(key) => (METHOD_SEALED, Some(Initiator::new(key, entropy))),
        };
        let message = match &handshake {
            None => &entropy[..PLAIN_HELLO],
            Some((_, message)) => &message[..],
        };
        let copy = |body: &mut [u8]| {
            body.get_mut(..message.len())?.copy_from_slice(message);
            Some(message.len())
        };
        let written = greeting.write(Kind::Hello, session, method, copy);
        let handshake = handshake.map(|(initiator, _)| initiator);
        self.role.asking = written.map(|()| Asking { session, handshake });
    }

    /// Sends the same hello again, if it is not answered yet; the device sends the same answer again. Costs neither end
    /// any arithmetic, so it may be done a few times a second.
    pub fn hello_again(&mut self) {
        self.greeting.is_due = self.is_asking();
    }

    /// A hello is on its way and not answered.
    #[must_use]
    pub const fn is_asking(&self) -> bool {
        self.role.asking.is_some()
    }

    /// Takes a packet.
    ///
    /// # Errors
    /// Why the packet, or the datagram that it completed, was dropped; it is counted.
    pub fn receive(&mut self, packet: &[u8]) -> Result<Received<'_>, Dropped> {
        let Some(datagram) = self.assemble(packet)? else { return Ok(Received::Nothing) };
        match datagram.kind {
            Kind::Hello => Err(self.counters.drop_one(Dropped::Unexpected)),
            Kind::HelloBack => match self.answered(datagram) {
                Ok((length, answer)) => {
                    self.counters.hellos = self.counters.hellos.wrapping_add(1);
                    let place = &mut self.datagram(datagram)[..length];
                    place.copy_from_slice(&answer[..length]);
                    Ok(Received::Session(place))
                }
                Err(cause) => Err(self.counters.drop_one(cause)),
            },
            Kind::Sealed | Kind::Plain => match self.open_live(datagram) {
                Ok(range) => Ok(Received::Records(self.opened(range))),
                Err(by_live) => match self.open_earlier(datagram) {
                    Ok(range) => Ok(Received::Earlier(self.opened(range))),
                    // Of the two sessions, the one whose number it has knows best what is wrong.
                    Err(Dropped::NoSession | Dropped::WrongSession) => Err(self.counters.drop_one(by_live)),
                    Err(cause) => Err(self.counters.drop_one(cause)),
                },
            },
        }
    }

    /// What came of the session before this one, while its datagrams still open.
    #[must_use]
    pub fn earlier(&self) -> Option<Tally> {
        self.role.earlier.as_ref().map(Transport::tally)
    }

    /// From now on nothing of the session before opens: what may be under way of it has come, or the device has started
    /// anew and its numbers mean something else.
    pub fn forget_earlier(&mut self) {
        self.role.earlier = None;
    }

    /// Opens a datagram of the session before.
    fn open_earlier(&mut self, datagram: Datagram) -> Result<Range<usize>, Dropped> {
        self.is_welcome(datagram.kind)?;
        let mut earlier = self.role.earlier.take().ok_or(Dropped::NoSession)?;
        let opened = earlier.open(self.datagram(datagram));
        self.role.earlier = Some(earlier);
        opened
    }

    /// Goes over to the session that a hello back proves; its records.
    fn answered(&mut self, datagram: Datagram) -> Result<(usize, [u8; ANSWER_MAX]), Dropped> {
        // The datagram's bytes are borrowed from the endpoint, and a whole of it must be changed.
        let mut bytes = [0; crate::packet::DATAGRAM_MAX];
        let bytes = &mut bytes[..datagram.n_bytes];
        bytes.copy_from_slice(self.datagram(datagram));
        if bytes.len() < 2 + checksum::N_BYTES {
            return Err(Dropped::Truncated);
        }
        let body = checksum::check(Kind::HelloBack, bytes).ok_or(Dropped::Damaged)?;
        let [session, method, message @ ..] = body else { return Err(Dropped::Truncated) };
        let mut answer = [0; ANSWER_MAX];
        let asking = self.role.asking.as_ref().ok_or(Dropped::Unexpected)?;
        if asking.session != *session {
            return Err(Dropped::WrongSession);
        }
        let (transport, length) = match (&asking.handshake, *method) {
            (Some(initiator), METHOD_SEALED) => {
                initiator.clone().finish(*session, message, &mut answer).ok_or(Dropped::Forged)?
            }
            (None, METHOD_PLAIN) => {
                let place = answer.get_mut(..message.len()).ok_or(Dropped::Unexpected)?;
                place.copy_from_slice(message);
                (Transport::plain(*session), message.len())
            }
            (Some(_), _) => return Err(Dropped::PlainRefused),
            (None, _) => return Err(Dropped::SealedRefused),
        };
        self.role.asking = None;
        self.greeting.is_due = false;
        let before = self.replace(Some(transport));
        self.role.earlier = before;
        Ok((length, answer))
    }
}

impl fmt::Debug for Host {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Host").field("next_session", &self.next_session).finish_non_exhaustive()
    }
}
