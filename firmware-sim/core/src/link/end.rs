//! The device's end of the link: what is collected goes out as records, what the host asks for comes in.
//!
//! In: packets, bins, the time. Out: packets, and [`Task`]s for the front end. Guarantees: bounded memory, the newest
//! data first to stay; formats and greetings again each second, so that a host can join at any time; each datagram is of
//! use without the others; never more than the budget for longer than its burst.

mod control;
mod state;

use super::data::Data;
use super::{Abilities, Commands, Outbox, RAW_MAX, Tables, Task, Wanted};
use crate::rate::{RateControl, Setting};
use crate::signal::{Crossing, Snippet};
use efference_wire::packet::Kind;
use efference_wire::session::{Access, Device, Endpoint, Received, SealError, records_max};
use efference_wire::{Ack, Format, Mode, Reason, Record, RecordWriter};

/// What a device says of itself.
#[derive(Clone, Copy, Debug)]
pub struct Identity<'a> {
    /// Differs from start to start.
    pub boot: u32,
    /// Bits of a sample.
    pub bits: u8,
    /// Nanovolt of one count; 0 where nobody says.
    pub nv_per_count: u32,
    /// Made by a simulator.
    pub synthetic: bool,
    /// Its own name.
    pub name: &'a str,
    /// The profile that it follows.
    pub profile: &'a str,
}

/// An instant by the device's own clock.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Now {
    /// Microseconds since the start.
    pub us: u64,
    /// Samples since the start.
    pub sample: u64,
    /// Of the sample that is being taken, in 1/65,536.
    pub fraction: u16,
}

/// How the device is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Vitals {
    /// Battery, mV.
    pub battery_mv: u16,
    /// Charge left, percent.
    pub battery_percent: u8,
    /// Hundredths of a degree Celsius.
    pub temperature_centi: i16,
}

/// What a packet carries, for a carrier that keeps these apart, as Bluetooth's characteristics do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lane {
    /// A greeting, or acknowledgements.
    Control,
    /// How the device is.
    Telemetry,
    /// All else.
    Data,
}

/// The device's end of a link.
#[derive(Debug)]
pub struct LinkEnd<'a> {
    endpoint: Endpoint<Device>,
    state: State<'a>,
    /// Datagrams of the sessions before the last.
    n_sent_before: u64,
    /// Of the packets that are on their way out.
    lane: Lane,
}

/// Everything but the session, so that records can be read while they are acted on.
#[derive(Debug)]
struct State<'a> {
    identity: Identity<'a>,
    abilities: Abilities,
    commands: Commands,
    data: Data<'a>,
    vitals: Vitals,
    acks: [Option<Ack>; ACKS],
    pong: Option<(u32, Now)>,
    /// The electrodes whose impedance is still to be sent, and what was measured last.
    impedance: Option<(u32, u32)>,
    impedances: &'a mut [u16],
    format_due_us: u64,
    telemetry_due_us: u64,
    is_greeting_due: bool,
    is_broadcast: bool,
    heard_us: u64,
    rejected: u32,
    is_over: bool,
    /// Bits that may be sent now, and when that was reckoned.
    credit: i64,
    credited_us: u64,
    /// Of the last report, to see what share arrives.
    reported: (u32, u32),
}

/// What a [`LinkEnd`] works in; all but the outbox have one entry a channel.
#[derive(Debug)]
pub struct LinkMemory<'a> {
    /// Sums of bins that are widened.
    pub totals: &'a mut [u16],
    /// The tables.
    pub tables: Tables<'a>,
    /// [`SLOT`](super::SLOT) bytes a datagram that may wait.
    pub outbox: &'a mut [u8],
    /// What was measured of the electrodes last, 1/10 kΩ, 65,535 open; empty of a device that can't measure it.
    pub impedances: &'a mut [u16],
}

impl<'a> LinkEnd<'a> {
    /// Without a host, sending nothing.
    #[must_use]
    pub fn new(access: Access, identity: Identity<'a>, abilities: Abilities, memory: LinkMemory<'a>) -> Self {
        let commands = Commands::new(abilities, !memory.impedances.is_empty());
        let wanted = *commands.wanted();
        let room = records_max(usize::from(wanted.mtu), &access);
        let format = Format {
            epoch: 0,
            mode: Mode::Quiet,
            origin_sample: 0,
            bin_samples: wanted.bin_samples,
            asked_bin_samples: wanted.bin_samples,
            count_max: Setting::ALL.count_max,
            level_min: 0,
            n_left_out: 0,
            budget_bps: 0,
            reason: Reason::Asked,
        };
        let state = State {
            identity,
            abilities,
            commands,
            data: Data {
                rate: RateControl::new(0, 0),
                tables: memory.tables,
                outbox: Outbox::new(memory.outbox),
                format,
                totals: memory.totals,
                n_summed: 0,
                bin: 0,
                room,
                bins_dropped: 0,
            },
            vitals: Vitals::default(),
            acks: [None; ACKS],
            pong: None,
            impedance: None,
            impedances: memory.impedances,
            format_due_us: 0,
            telemetry_due_us: 0,
            is_greeting_due: false,
            is_broadcast: false,
            heard_us: 0,
            rejected: 0,
            is_over: false,
            credit: 0,
            credited_us: 0,
            reported: (0, 0),
        };
        LinkEnd { endpoint: Endpoint::device(access), state, n_sent_before: 0, lane: Lane::Control }
    }

    /// The settings in force.
    #[must_use]
    pub fn wanted(&self) -> &Wanted {
        self.state.commands.wanted()
    }

    /// What data mean now.
    #[must_use]
    pub fn format(&self) -> &Format {
        &self.state.data.format
    }

    /// A host is there.
    #[must_use]
    pub fn is_connected(&self) -> bool {
        self.endpoint.tally().is_some()
    }

    /// Datagrams that were sent in this session.
    #[must_use]
    pub fn n_sent(&self) -> u32 {
        self.endpoint.tally().map_or(0, |tally| tally.sent)
    }

    /// Datagrams that were sent in all sessions.
    #[must_use]
    pub fn n_sent_in_all(&self) -> u64 {
        let last = self.endpoint.tally().or(self.endpoint.previous());
        self.n_sent_before + last.map_or(0, |tally| u64::from(tally.sent))
    }

    /// Datagrams that were of somebody with the key, greetings among them.
    #[must_use]
    pub fn n_genuine(&self) -> u64 {
        let counters = self.endpoint.counters();
        u64::from(counters.opened) + u64::from(counters.hellos)
    }

    /// Bins that were given up before they were sent.
    #[must_use]
    pub fn bins_dropped(&self) -> u32 {
        self.state.data.bins_dropped
    }

    /// Greeting and rate table come again each second beside the format, for receivers that have no way to ask for them.
    /// Costs about 3 bits a channel and second.
    pub fn set_broadcast(&mut self, is_broadcast: bool) {
        self.state.is_broadcast = is_broadcast;
        self.state.data.tables.set_broadcast(is_broadcast);
    }

    /// What was measured of an electrode, 1/10 kΩ, 65,535 open; passed over where there is no memory for it.
    pub fn set_impedance(&mut self, electrode: usize, tenths_of_kiloohm: u16) {
        if let Some(place) = self.state.impedances.get_mut(electrode) {
            *place = tenths_of_kiloohm;
        }
    }

    /// How the device is, for the next telemetry.
    pub fn set_vitals(&mut self, vitals: Vitals) {
        self.state.vitals = vitals;
    }

    /// Takes a packet. `entropy` gives 32 bytes that nobody can guess, for a new session. What the front end has to do
    /// goes to `on`.
    pub fn handle_packet(
        &mut self,
        now: Now,
        packet: &[u8],
        mut entropy: impl FnMut() -> [u8; 32],
        mut on: impl FnMut(Task<'_>),
    ) {
        let state = &mut self.state;
        let mut is_new = false;
        match self.endpoint.receive(packet) {
            Ok(Received::Nothing | Received::Earlier(_)) => {}
            Ok(Received::Hello) => {
                let mut bytes = [0; ANSWER_ROOM];
                let mut records = RecordWriter::new(&mut bytes);
                // What has no room in the answer comes with the first data.
                let _fits = records.push(&Record::Hello(state.hello()));
                let _fits = records.push(&Record::Format(state.data.format));
                // A hello that was answered meanwhile needs none.
                let _answered: Result<(), SealError> = self.endpoint.answer(entropy(), records.written());
            }
            Ok(Received::Session(records)) => {
                is_new = true;
                state.begin_session(now);
                state.take(now, records, &mut on);
            }
            Ok(Received::Records(records)) => state.take(now, records, &mut on),
            Err(_) => state.rejected = state.rejected.saturating_add(1),
        }
        if is_new {
            self.n_sent_before += self.endpoint.previous().map_or(0, |tally| u64::from(tally.sent));
        }
        if core::mem::take(&mut state.is_over) {
            self.endpoint.end();
            state.data.bins_dropped += state.data.outbox.clear();
        }
    }

    /// What was collected from now on is of another kind: a new epoch, whose first bin begins with `origin_sample`.
    pub fn begin_epoch(&mut self, origin_sample: u64) {
        self.state.begin_epoch(origin_sample, Reason::Asked);
    }

    /// Counts of a bin of the width that was asked for, which ended before `end_sample`.
    pub fn push_counts(&mut self, now: Now, end_sample: u64, counts: &[u16]) {
        if self.state.data.format.mode != Mode::Counts {
            return;
        }
        let is_sending = self.is_sending();
        if let Some(reason) = self.state.data.push_counts(now, counts, is_sending) {
            self.state.begin_epoch(end_sample, reason);
        }
    }

    /// Power of a bin of the width that was asked for, `8 · log2` of the mean square, a byte a channel.
    pub fn push_power(&mut self, power: impl Fn(usize) -> u8) {
        match self.is_sending() {
            true => self.state.data.push_power(power),
            false => self.state.data.skip_bin(),
        }
    }

    /// All crossings of a span that began with `first_sample`, sorted by channel, then time; `counts` are as many of each
    /// channel.
    pub fn push_crossings(
        &mut self,
        first_sample: u64,
        span_samples: u32,
        counts: &[u16],
        sorted: &[Crossing],
    ) {
        if self.is_sending() {
            self.state.data.push_crossings(first_sample, span_samples, counts, sorted);
        }
    }

    /// Samples round a crossing, which had this number on the clock that is stamped on data.
    pub fn push_snippet(&mut self, snippet: &Snippet, sample: u64) {
        if self.is_sending() {
            self.state.data.push_snippet(snippet, sample);
        }
    }

    /// Another record of data, which is lost if it doesn't fit into a datagram. `fill` writes its last field, and is asked
    /// again with more room where it gives `None` at first.
    pub fn push_record(&mut self, record: &Record<'_>, fill: impl FnMut(&mut [u8]) -> Option<usize>) {
        if self.is_sending() {
            self.state.data.push_record(record, fill);
        }
    }

    /// The next packet for the radio, written into `packet`, which has room for the MTU; `None` while there is nothing
    /// to send, or no budget to send it with. `mtu` is what the radio takes now.
    pub fn poll_packet(&mut self, now: Now, mtu: usize, packet: &mut [u8]) -> Option<usize> {
        self.poll(now, mtu, packet, false).map(|(n_bytes, _)| n_bytes)
    }

    /// As [`LinkEnd::poll_packet`], for a carrier with a channel for each [`Lane`]: no datagram holds what belongs to two.
    pub fn poll_packet_apart(&mut self, now: Now, mtu: usize, packet: &mut [u8]) -> Option<(usize, Lane)> {
        self.poll(now, mtu, packet, true)
    }

    fn poll(&mut self, now: Now, mtu: usize, packet: &mut [u8], apart: bool) -> Option<(usize, Lane)> {
        let state = &mut self.state;
        let mtu = mtu.min(usize::from(state.commands.wanted().mtu));
        state.data.room = records_max(mtu, self.endpoint.access());
        if self.endpoint.is_idle() {
            if self.endpoint.tally().is_some() && now.us.saturating_sub(state.heard_us) > GONE_US {
                self.endpoint.end();
                state.data.bins_dropped += state.data.outbox.clear();
            }
            let n_sent = self.endpoint.tally().map(|tally| tally.sent)?;
            if !state.has_credit(now) {
                return None;
            }
            let mut bytes = [0; efference_wire::packet::DATAGRAM_MAX];
            let room = state.data.room.min(bytes.len());
            let mut records = RecordWriter::new(&mut bytes[..room]);
            let mut lane = Lane::Data;
            if apart {
                lane = state.write_lane(now, n_sent, &mut records);
            } else {
                state.write_control(now, n_sent, &mut records);
            }
            let mut n = records.len();
            let mut n_bins = 0;
            // Data share a datagram with what is due beside them; one that no longer fits at all is given up.
            let fits = |first: &&[u8]| lane == Lane::Data && (n == 0 || n + first.len() <= room);
            let first = state.data.outbox.first().filter(fits);
            if let Some(first) = first {
                bytes[n..n + first.len()].copy_from_slice(first);
                n += first.len();
                n_bins = state.data.outbox.drop_first();
            }
            if n == 0 {
                return None;
            }
            let sealed = self.endpoint.seal(&bytes[..n]);
            if sealed.is_err() {
                state.data.drop_bins(u32::from(n_bins));
            }
            if sealed == Err(SealError::Exhausted) {
                self.endpoint.end();
            }
            self.lane = lane;
        }
        let n_bytes = self.endpoint.poll_packet(mtu, packet)?;
        state.credit -= n_bytes as i64 * 8;
        state.data.rate.taken(n_bytes as u32 * 8, !state.data.outbox.is_empty());
        // A greeting may come before what was sealed, or again.
        let is_greeting = packet[0] >> 2 & 7 == Kind::HelloBack as u8;
        Some((n_bytes, if is_greeting { Lane::Control } else { self.lane }))
    }

    /// The carrier was lost and is there again: rate control forgets what it knew of it.
    pub fn begin_carrier(&mut self, now: Now) {
        self.state.data.rate.begin_anew(now.us);
    }

    fn is_sending(&self) -> bool {
        self.is_connected() && self.state.commands.wanted().is_running
    }
}

/// A host that isn't heard for so long has gone.
const GONE_US: u64 = 10_000_000;
/// Acknowledgements that wait.
const ACKS: usize = 16;
const ANSWER_ROOM: usize = efference_wire::session::ANSWER_MAX;
