//! An implant as the radio knows it: who it is, who has it connected, and what is wrong with it.
//!
//! In: a [`Plan`]. Out: an [`Implant`] that the fake BlueZ and a test share.

use crate::device::{Device, Sends};
use efference::Error;
use efference::wire::gatt;
use efference::wire::packet::Kind;
use rustix::net::{AddressFamily, SendFlags, SocketFlags, SocketType, send, socketpair};
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering::Relaxed};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

/// What implant there is.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The name that it advertises.
    pub name: &'static str,
    /// Its address, the highest byte first.
    pub address: [u8; 6],
    /// Adapters that hear it, by number.
    pub adapters: Vec<usize>,
    /// ATT_MTU of its connections.
    pub att_mtu: u16,
    /// The version of the link that it says it speaks.
    pub version: u8,
    /// Its pairing key.
    pub key: [u8; 32],
    /// What it sends.
    pub sends: Sends,
    /// BlueZ hands out a socket for its data.
    pub has_socket: bool,
}

/// An implant, seen by all.
pub struct Implant {
    /// What it is.
    pub plan: Plan,
    /// Drops every so manieth notification on its way; 0 for none.
    pub drop_every: AtomicU32,
    /// Its notifications don't come, though it is connected; ends with the connection.
    pub is_silent: AtomicBool,
    /// It advertises, while it isn't connected.
    pub is_in_range: AtomicBool,
    /// Its notifications are kept, for [`Implant::replay`].
    pub is_recorded: AtomicBool,
    /// Notifications that went out, and those of them that were lost on purpose.
    pub n_notified: AtomicU64,
    /// See above.
    pub n_dropped: AtomicU64,
    /// Connections that it has had.
    pub n_connections: AtomicU64,
    /// Packets that were written to it.
    pub n_written: AtomicU64,
    /// Notifications longer than the MTU has room for; writes as well.
    pub n_too_long: AtomicU64,
    state: Mutex<State>,
}

struct State {
    device: Device,
    start: Instant,
    /// The adapter that has it connected.
    by: Option<usize>,
    /// Data, control and telemetry are subscribed to.
    notifies: [bool; 3],
    /// BlueZ's end of the socket for data.
    socket: Option<OwnedFd>,
    recorded: Vec<Vec<u8>>,
    replayed: Vec<Vec<u8>>,
    n_entropy: u8,
}

/// A characteristic of the link's service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Characteristic {
    Data,
    Control,
    Telemetry,
    Version,
}

impl Characteristic {
    pub(crate) const ALL: [Characteristic; 4] =
        [Characteristic::Data, Characteristic::Control, Characteristic::Telemetry, Characteristic::Version];

    /// UUID, BlueZ's flags, last part of the path.
    pub(crate) fn facts(self) -> (u128, &'static [&'static str], &'static str) {
        match self {
            Characteristic::Data => (gatt::DATA, &["notify"], "char0011"),
            Characteristic::Control => (gatt::CONTROL, &["write", "indicate"], "char0014"),
            Characteristic::Telemetry => (gatt::TELEMETRY, &["notify"], "char0017"),
            Characteristic::Version => (gatt::VERSION, &["read"], "char001a"),
        }
    }
}

impl Implant {
    #[expect(clippy::disallowed_methods, reason = "a pretend device in real time")]
    pub(crate) fn new(plan: Plan) -> Result<Self, Error> {
        let state = State {
            device: Device::new(plan.name, plan.key, plan.sends)?,
            start: Instant::now(),
            by: None,
            notifies: [false; 3],
            socket: None,
            recorded: Vec::new(),
            replayed: Vec::new(),
            n_entropy: 0,
        };
        Ok(Implant {
            plan,
            drop_every: AtomicU32::new(0),
            is_silent: AtomicBool::new(false),
            is_in_range: AtomicBool::new(true),
            is_recorded: AtomicBool::new(false),
            n_notified: AtomicU64::new(0),
            n_dropped: AtomicU64::new(0),
            n_connections: AtomicU64::new(0),
            n_written: AtomicU64::new(0),
            n_too_long: AtomicU64::new(0),
            state: Mutex::new(state),
        })
    }

    /// Datagrams that its firmware has sealed.
    pub fn n_sent(&self) -> u64 {
        self.state().device.n_sent()
    }

    /// Sends what was recorded once more, as somebody would who has listened; how many packets that are.
    pub fn replay(&self) -> usize {
        let mut state = self.state();
        state.replayed = std::mem::take(&mut state.recorded);
        state.replayed.len()
    }

    /// The adapter that has it connected.
    pub fn connected_by(&self) -> Option<usize> {
        self.state().by
    }

    pub(crate) fn advertises(&self) -> bool {
        self.is_in_range.load(Relaxed) && self.connected_by().is_none()
    }

    /// False if it can't be connected.
    pub(crate) fn connect(&self, adapter: usize) -> bool {
        let mut state = self.state();
        let is_free = state.by.is_none() && self.is_in_range.load(Relaxed);
        if is_free {
            (state.by, state.notifies, state.socket) = (Some(adapter), [false; 3], None);
            self.n_connections.fetch_add(1, Relaxed);
        }
        is_free
    }

    pub(crate) fn disconnect(&self) {
        let mut state = self.state();
        (state.by, state.notifies, state.socket) = (None, [false; 3], None);
        self.is_silent.store(false, Relaxed);
    }

    pub(crate) fn subscribe(&self, characteristic: Characteristic, is_on: bool) {
        if let Some(notifies) = self.state().notifies.get_mut(characteristic as usize) {
            *notifies = is_on;
        }
    }

    /// The client's end of a socket for data; `None` where there is none to be had, or somebody has it.
    pub(crate) fn acquire(&self) -> Option<OwnedFd> {
        let mut state = self.state();
        if !self.plan.has_socket || state.by.is_none() || state.socket.is_some() {
            return None;
        }
        let none = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let (own, theirs) = socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, none, None).ok()?;
        state.socket = Some(own);
        state.notifies[Characteristic::Data as usize] = true;
        Some(theirs)
    }

    /// Sends data by the socket; false if there is none. What it has no room for is dropped, as BlueZ does.
    pub(crate) fn sends_by_socket(&self, which: Characteristic, value: &[u8]) -> bool {
        let state = self.state();
        let Some(socket) = state.socket.as_ref().filter(|_| which == Characteristic::Data) else {
            return false;
        };
        if send(socket, value, SendFlags::NOSIGNAL).is_err() {
            self.n_dropped.fetch_add(1, Relaxed);
        }
        true
    }

    /// False if there is no connection, or the packet is too long for it.
    pub(crate) fn write(&self, packet: &[u8]) -> bool {
        let mut state = self.state();
        if packet.len() > gatt::packet_max(self.plan.att_mtu) {
            self.n_too_long.fetch_add(1, Relaxed);
            return false;
        }
        if state.by.is_none() {
            return false;
        }
        self.n_written.fetch_add(1, Relaxed);
        state.n_entropy = state.n_entropy.wrapping_add(1);
        let (now_us, entropy) = (state.now_us(), [state.n_entropy; 32]);
        state.device.handle_packet(now_us, packet, entropy);
        true
    }

    /// What it notifies now, each by its characteristic, and whether it has more at once.
    pub(crate) fn notifications(&self) -> (Vec<(Characteristic, Vec<u8>)>, bool) {
        let mut state = self.state();
        let now_us = state.now_us();
        let mtu = gatt::packet_max(self.plan.att_mtu);
        let (mut sent, mut packet) = (Vec::new(), [0; 512]);
        let n_rounds = if state.device.is_hasty() { HASTE } else { 1 };
        for _ in 0..n_rounds {
            state.device.advance(now_us);
            if state.notifies != [true; 3] {
                break;
            }
            while let Some(n) = state.device.poll_packet(now_us, mtu, &mut packet) {
                sent.push(packet[..n].to_vec());
            }
        }
        if self.is_recorded.load(Relaxed) {
            state.recorded.extend(sent.iter().cloned());
        }
        if state.notifies == [true; 3] {
            sent.append(&mut state.replayed);
        }
        let is_hasty = state.device.is_hasty() && state.notifies == [true; 3];
        drop(state);
        let drop_every = u64::from(self.drop_every.load(Relaxed));
        let is_silent = self.is_silent.load(Relaxed);
        sent.retain(|packet| {
            let n = self.n_notified.fetch_add(1, Relaxed);
            self.n_too_long.fetch_add(u64::from(packet.len() > mtu), Relaxed);
            let is_dropped = is_silent || drop_every > 0 && n % drop_every == drop_every - 1;
            self.n_dropped.fetch_add(u64::from(is_dropped), Relaxed);
            !is_dropped
        });
        (sent.into_iter().map(|packet| (characteristic(&packet), packet)).collect(), is_hasty)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn now_us(&self) -> u64 {
        self.start.elapsed().as_micros() as u64
    }
}

/// Answers to hellos go by control, all else by data.
fn characteristic(packet: &[u8]) -> Characteristic {
    match packet.first().is_some_and(|head| head & !3 == Kind::HelloBack.head()) {
        true => Characteristic::Control,
        false => Characteristic::Data,
    }
}

/// Datagrams at a time of an implant that has more than it can send.
const HASTE: usize = 64;
