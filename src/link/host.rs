//! The host's end of a link, without a socket and without a clock: see the [module](super).

mod crossings;
mod inbox;
mod sending;

use super::bins::{Assembly, Given};
use super::calling::Calling;
use super::event::{Device, Ending, Event};
use super::ledger::{Datagrams, Ledger};
use super::outbox::{NotTaken, Outbox};
use super::queue::{Happened, Queue};
use super::sequence::SequenceLog;
use super::settings::Settings;
use super::tables::Tables;
use super::throughput::Throughput;
use crate::error::Error;
use crate::time::{ClockFit, HostTime};
use crate::wire::codec::crossings::Crossing;
use crate::wire::packet::{Counters, Kind, MTU_MAX, MTU_MIN};
use crate::wire::session::{Endpoint, Host as Asking, SealError, records_max};
use crate::wire::{Operation, Record, RecordWriter};

/// The host's end of a link. Takes packets and time, gives packets, [`Event`]s and the time of its next deadline.
///
/// Take all events and packets after each call of a `handle_` method: bins wait for nobody.
pub struct Host {
    settings: Settings,
    endpoint: Endpoint<Asking>,
    /// Sessions asked for; numbers the entropy of each.
    n_asked: u32,
    calling: Calling,
    phase: Phase,
    now: HostTime,
    /// When something authentic came last.
    heard_at: HostTime,
    device: Option<Device>,
    assembly: Option<Assembly>,
    tables: Tables,
    clock: Option<ClockFit>,
    outbox: Outbox,
    queue: Queue,
    log: SequenceLog,
    /// Sessions that were had; the number of the present one.
    session: u32,
    /// What the device says it sent in this session, and in the one before.
    device_sent: u32,
    earlier_sent: u32,
    /// Until then datagrams of the session before are taken.
    earlier_until: HostTime,
    throughput: Throughput,
    /// A format or a table is missing.
    wants_key: bool,
    key_asked_at: Option<HostTime>,
    /// Values of a record, before they are put where they belong.
    values: Vec<u16>,
    /// Crossings of a record, before they are counted.
    crossings: Vec<Crossing>,
    ledger: Ledger,
    counted: Counters,
    closed: Datagrams,
    /// The device of this session has been told of.
    is_announced: bool,
    /// Bins that the device gave up in its starts before this one.
    device_dropped_before: u64,
    /// The session of the last hello that was overheard.
    overheard: Option<u8>,
}

/// Where the host stands with the device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// Not started yet.
    Idle,
    /// No session, or none that is heard: the host calls.
    Calling,
    /// A session that is heard.
    Live,
    /// A session that has not been heard for a while.
    Silent,
    /// Ended by [`Host::close`].
    Closed,
}

impl Host {
    /// A host's end that has not called yet. The first [`Host::handle_timeout`] begins.
    ///
    /// # Errors
    /// If the settings are not legal; `place` names where they come from.
    pub fn new(settings: Settings, place: &str) -> Result<Self, Error> {
        settings.check(place)?;
        let [first_session, seed @ ..] = settings.entropy.of("numbers", 0);
        let seed = seed.first_chunk().map_or(1, |bytes| u64::from_le_bytes(*bytes));
        Ok(Host {
            endpoint: Endpoint::host(settings.access.clone(), first_session),
            settings,
            n_asked: 0,
            calling: Calling::new(seed),
            phase: Phase::Idle,
            now: HostTime::default(),
            heard_at: HostTime::default(),
            device: None,
            assembly: None,
            tables: Tables::new(),
            clock: None,
            outbox: Outbox::new(),
            queue: Queue::new(),
            log: SequenceLog::new(),
            session: 0,
            device_sent: 0,
            earlier_sent: 0,
            earlier_until: HostTime::default(),
            throughput: Throughput::default(),
            wants_key: false,
            key_asked_at: None,
            values: Vec::new(),
            crossings: Vec::new(),
            ledger: Ledger::default(),
            counted: Counters::default(),
            closed: Datagrams::default(),
            is_announced: false,
            device_dropped_before: 0,
            overheard: None,
        })
    }

    /// Whatever is due at `now` happens: calls, deadlines of bins, silence.
    pub fn handle_timeout(&mut self, now: HostTime) {
        self.now = self.now.max(now);
        let now = self.now;
        match self.phase {
            Phase::Closed => return,
            Phase::Idle => self.call(),
            Phase::Live if self.quiet_ns() >= SILENT_NS => {
                self.phase = Phase::Silent;
                self.ledger.link.stalls += 1;
                self.queue.push(Happened::Silent);
                self.interrupt(super::Cause::Stall);
            }
            Phase::Live if self.quiet_ns() >= ASK_NS => self.outbox.ask_soon(now),
            _ => {}
        }
        if self.earlier_until <= now {
            self.close_earlier();
        }
        if self.phase == Phase::Silent && self.quiet_ns() >= LOST_NS {
            self.queue.push(Happened::Disconnected(Ending::Silence));
            self.call();
        }
        if self.phase == Phase::Calling && self.calling.next_at <= now && !self.settings.listens_only {
            self.say_hello();
        }
        if self.wants_key && self.phase == Phase::Live && !self.settings.listens_only {
            self.ask_for_key();
        }
    }

    /// When [`Host::handle_timeout`] or [`Host::poll_packet`] has something to do, if no packet comes before.
    pub fn poll_timeout(&self) -> Option<HostTime> {
        let bins = self.assembly.as_ref().and_then(Assembly::deadline);
        let own = match self.phase {
            Phase::Closed => return bins,
            Phase::Idle => Some(self.now),
            Phase::Calling => Some(self.calling.next_at),
            Phase::Live => Some(self.heard_at.after(SILENT_NS).min(self.outbox.deadline())),
            Phase::Silent => Some(self.heard_at.after(LOST_NS).min(self.outbox.deadline())),
        };
        let ask =
            (self.phase == Phase::Live).then(|| self.heard_at.after(ASK_NS)).filter(|at| *at > self.now);
        let own = own.filter(|_| !self.settings.listens_only || self.phase == Phase::Live);
        [bins, own, ask].into_iter().flatten().min()
    }

    /// The next packet to send, of at most [`Settings::mtu`] bytes, written into `packet`, which has room for so many;
    /// its length, or `None` when there is nothing to say at `now`.
    pub fn poll_packet(&mut self, now: HostTime, packet: &mut [u8]) -> Option<usize> {
        self.now = self.now.max(now);
        if self.settings.listens_only {
            return None;
        }
        let n_bytes = match self.endpoint.poll_packet(self.mtu(), packet) {
            Some(n_bytes) => n_bytes,
            None => {
                self.write_datagram()?;
                self.endpoint.poll_packet(self.mtu(), packet)?
            }
        };
        self.ledger.upward.packets += 1;
        self.ledger.upward.bytes += n_bytes as u64;
        Some(n_bytes)
    }

    /// What happened next. What it borrows is good until the next call.
    pub fn poll_event(&mut self) -> Option<Event<'_>> {
        let now = self.now;
        if let Some(happened) = self.queue.pop() {
            return self.event(happened);
        }
        match self.assembly.as_mut()?.next(now, &self.log, self.session)? {
            Given::Gap(gap) => Some(Event::Gap(gap)),
            Given::Bin(at) => self.assembly.as_ref().map(|assembly| Event::Bin(assembly.bin(at))),
        }
    }

    /// What carries the packets has just begun to, of at most `packet_max` bytes: the device is told, and asked or called
    /// at once; where it may still have a session, it has a little time to go on in it. What was sent shortly before may
    /// have gone nowhere.
    pub fn carrier_is_up(&mut self, now: HostTime, packet_max: usize) {
        self.now = self.now.max(now);
        let packet_max = packet_max.clamp(MTU_MIN, MTU_MAX);
        let is_other = self.settings.wanted.mtu != Some(packet_max as u16);
        (self.settings.mtu, self.settings.wanted.mtu) = (packet_max, Some(packet_max as u16));
        if let Some(device) = self.device.as_ref().filter(|_| is_other) {
            let mtu = packet_max.min(device.mtu_max) as u16;
            // With the outbox full, the device's own radio keeps it to what there is room for.
            let _full: Result<u16, Error> = self.command(Operation::SetMtu(mtu));
        }
        match self.phase {
            Phase::Calling => {
                self.calling.begin(self.now);
                if self.endpoint.tally().is_some() {
                    self.calling.next_at = self.now.after(RESUME_NS);
                }
            }
            Phase::Live | Phase::Silent => self.outbox.ask_soon(self.now),
            Phase::Idle | Phase::Closed => {}
        }
    }

    /// Something came that is of no use without a key frame: asks for one, though not too often.
    pub fn request_key(&mut self) {
        self.wants_key = true;
    }

    /// Asks the device for something, until it is acknowledged; the number that its [`Event::Acknowledged`] has.
    ///
    /// # Errors
    /// If too many commands are waiting, or this one is longer than the packets allow.
    pub fn command(&mut self, operation: Operation<'_>) -> Result<u16, Error> {
        let room = records_max(self.mtu(), &self.settings.access);
        match self.outbox.command(self.now, operation, room) {
            Ok(id) => {
                self.ledger.upward.commands += 1;
                Ok(id)
            }
            Err(NotTaken::TooLong) => Err(Error::usage("link", "the command is too long")
                .legal(format!("{room} bytes, as packets of {} bytes allow", self.mtu()))
                .hint("fewer values at a time")),
            Err(NotTaken::Full) => Err(Error::usage("link", "too many commands wait for an answer")
                .hint("wait for those sent before; see whether the device answers at all")),
        }
    }

    /// Ends the session: the next packets say goodbye, what waits is given out, and [`Host::ledger`] is final.
    /// `device_sent` is how many datagrams the device sent in this session, where somebody knows.
    pub fn close(&mut self, now: HostTime, device_sent: Option<u32>) {
        if self.phase == Phase::Closed {
            return;
        }
        self.now = self.now.max(now);
        self.device_sent = self.device_sent.max(device_sent.unwrap_or(0));
        let mut bytes = [0; 16];
        let mut records = RecordWriter::new(&mut bytes);
        // What doesn't go out any more costs the device a timeout and nothing else.
        if !self.settings.listens_only && records.push(&Record::Bye).is_ok() {
            let _unsent: Result<(), SealError> = self.endpoint.seal(records.written());
        }
        if let Some(assembly) = &mut self.assembly {
            assembly.flush();
        }
        self.phase = Phase::Closed;
        self.queue.push(Happened::Disconnected(Ending::Asked));
    }

    /// The device; `None` before it has first answered.
    pub fn device(&self) -> Option<&Device> {
        self.device.as_ref()
    }

    /// The device's clock against the host's; `None` before it has first answered.
    pub fn clock(&self) -> Option<&ClockFit> {
        self.clock.as_ref()
    }

    /// A session is there and heard.
    pub fn is_live(&self) -> bool {
        self.phase == Phase::Live
    }

    /// Bits a second that came, headers included, over the last second.
    pub fn throughput_bps(&self) -> u32 {
        self.throughput.bps(self.now)
    }

    /// Where everything has gone until now.
    pub fn ledger(&mut self) -> Ledger {
        let counters = *self.endpoint.counters();
        self.ledger.count_packets(&self.counted, &counters, self.endpoint.n_held());
        self.counted = counters;
        let mut ledger = self.ledger.clone();
        ledger.datagrams = self.closed;
        if let Some(tally) = self.endpoint.earlier() {
            add_session(&mut ledger.datagrams, &tally, self.earlier_sent);
        }
        if let Some(tally) = self.endpoint.tally() {
            add_session(&mut ledger.datagrams, &tally, self.device_sent);
        }
        if let Some(assembly) = &self.assembly {
            ledger.bins = assembly.counts;
        }
        ledger.records.untaken = self.queue.n_untaken_data;
        ledger.link.untaken_events = self.queue.n_untaken_events;
        ledger.link.clock_jumps = self.clock.as_ref().map_or(0, ClockFit::n_jumps);
        ledger
    }

    fn event(&self, happened: Happened) -> Option<Event<'_>> {
        Some(match happened {
            Happened::Connecting(attempt) => Event::Connecting { attempt },
            Happened::Connected { is_resumed } => {
                Event::Connected { device: self.device.as_ref()?, is_resumed }
            }
            Happened::Format(change) => Event::FormatChanged(change),
            Happened::Telemetry(telemetry) => Event::Telemetry(telemetry),
            Happened::Ack(ack) => Event::Acknowledged(ack),
            Happened::Data(at) => Event::Data(self.queue.data(at)?),
            Happened::Silent => Event::Silent,
            Happened::Audible => Event::Audible,
            Happened::Disconnected(why) => Event::Disconnected(why),
        })
    }

    fn quiet_ns(&self) -> u64 {
        self.now.since(self.heard_at)
    }

    fn mtu(&self) -> usize {
        let device = self.device.as_ref().map_or(self.settings.mtu, |device| device.mtu_max);
        self.settings.mtu.min(device)
    }

    fn call(&mut self) {
        self.phase = Phase::Calling;
        self.calling.begin(self.now);
    }

    fn say_hello(&mut self) {
        if self.calling.wants_new() || !self.endpoint.is_asking() {
            self.ask_for_session();
        } else {
            self.endpoint.hello_again();
        }
        self.calling.call(self.now);
        self.ledger.link.hellos += 1;
        self.queue.push(Happened::Connecting(self.calling.attempt));
    }

    fn ask_for_session(&mut self) {
        let entropy = self.settings.entropy.of("session", self.n_asked);
        self.n_asked = self.n_asked.wrapping_add(1);
        self.endpoint.connect(entropy);
    }

    fn interrupt(&mut self, cause: super::Cause) {
        if let Some(assembly) = &mut self.assembly {
            assembly.interrupt(cause);
        }
    }

    /// The session is over; calls anew.
    fn end_session(&mut self, why: Ending) {
        self.close_earlier();
        if let Some(tally) = self.endpoint.tally() {
            add_session(&mut self.closed, &tally, self.device_sent);
        }
        self.device_sent = 0;
        self.endpoint.end();
        self.queue.push(Happened::Disconnected(why));
        self.call();
    }

    /// Nothing of the session before this one is taken any more: enters what came of it.
    fn close_earlier(&mut self) {
        if let Some(tally) = self.endpoint.earlier() {
            add_session(&mut self.closed, &tally, self.earlier_sent);
            self.endpoint.forget_earlier();
        }
    }
}

/// Enters a session: what came, what didn't, what came too late.
fn add_session(datagrams: &mut Datagrams, tally: &crate::wire::session::Tally, device_sent: u32) {
    let (received, dropped) = (u64::from(tally.received), u64::from(tally.late));
    let sent = u64::from(tally.next_sequence.max(device_sent)).max(received + dropped);
    datagrams.sent += sent;
    datagrams.received += received;
    datagrams.dropped += dropped;
    datagrams.lost += sent - received - dropped;
}

/// With nothing heard for so long, the host asks whether anyone is there.
const ASK_NS: u64 = 200_000_000;
/// After so long it is silence.
const SILENT_NS: u64 = 500_000_000;
/// After so long the host calls anew; the session stays good if it should be heard again.
const LOST_NS: u64 = 600_000_000;
/// What a device sent before it went over to a new session may come for so long: a radio that is behind empties its
/// queue first.
const EARLIER_NS: u64 = 5_000_000_000;
/// A device that can be heard again has so long to go on as before: a new session costs it its tables.
const RESUME_NS: u64 = 60_000_000;

// What a hello is told from the rest by, in packets that are overheard.
const HELLO_HEAD: u8 = Kind::Hello.head();
