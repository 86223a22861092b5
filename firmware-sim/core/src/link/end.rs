//! The device's end of the link: what is collected goes out as records, what the host asks for comes in.
//!
//! In: packets, bins, the time. Out: packets, and [`Task`]s for the front end. Guarantees: bounded memory, the newest
//! data first to stay; formats and greetings again each second, so that a host can join at any time; each datagram is of
//! use without the others; never more than the budget for longer than its burst.

use super::{Abilities, Commands, Outbox, RAW_MAX, Tables, Task, Wanted};
use crate::rate::{RateControl, Setting};
use efference_wire::codec::counts::{self, Levels};
use efference_wire::session::{Access, Device, Endpoint, Received, SealError, records_max};
use efference_wire::{
    Ack, Format, Hello, Impedance, Mode, Pong, Reason, Record, RecordWriter, Records, Telemetry,
};

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

/// The device's end of a link.
#[derive(Debug)]
pub struct LinkEnd<'a> {
    endpoint: Endpoint<Device>,
    state: State<'a>,
}

/// Everything but the session, so that records can be read while they are acted on.
#[derive(Debug)]
struct State<'a> {
    identity: Identity<'a>,
    abilities: Abilities,
    commands: Commands,
    rate: RateControl,
    tables: Tables<'a>,
    outbox: Outbox<'a>,
    /// Counts of the bin that is being widened, and how many of the bins asked for are in it.
    totals: &'a mut [u16],
    n_summed: u8,
    format: Format,
    bin: u32,
    room: usize,
    vitals: Vitals,
    acks: [Option<Ack>; ACKS],
    pong: Option<(u32, Now)>,
    impedance: Option<(u32, u32)>,
    format_due_us: u64,
    telemetry_due_us: u64,
    is_greeting_due: bool,
    heard_us: u64,
    bins_dropped: u32,
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
}

impl<'a> LinkEnd<'a> {
    /// Without a host, sending nothing.
    #[must_use]
    pub fn new(access: Access, identity: Identity<'a>, abilities: Abilities, memory: LinkMemory<'a>) -> Self {
        let commands = Commands::new(abilities);
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
            rate: RateControl::new(0, 0),
            tables: memory.tables,
            outbox: Outbox::new(memory.outbox),
            totals: memory.totals,
            n_summed: 0,
            format,
            bin: 0,
            room,
            vitals: Vitals::default(),
            acks: [None; ACKS],
            pong: None,
            impedance: None,
            format_due_us: 0,
            telemetry_due_us: 0,
            is_greeting_due: false,
            heard_us: 0,
            bins_dropped: 0,
            rejected: 0,
            is_over: false,
            credit: 0,
            credited_us: 0,
            reported: (0, 0),
        };
        LinkEnd { endpoint: Endpoint::device(access), state }
    }

    /// The settings in force.
    #[must_use]
    pub fn wanted(&self) -> &Wanted {
        self.state.commands.wanted()
    }

    /// What data mean now.
    #[must_use]
    pub fn format(&self) -> &Format {
        &self.state.format
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

    /// Bins that were given up before they were sent.
    #[must_use]
    pub fn bins_dropped(&self) -> u32 {
        self.state.bins_dropped
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
        match self.endpoint.receive(packet) {
            Ok(Received::Nothing) => {}
            Ok(Received::Hello) => {
                let mut bytes = [0; ANSWER_ROOM];
                let mut records = RecordWriter::new(&mut bytes);
                // What has no room in the answer comes with the first data.
                let _fits = records.push(&Record::Hello(state.hello()));
                let _fits = records.push(&Record::Format(state.format));
                // A hello that was answered meanwhile needs none.
                let _answered: Result<(), SealError> = self.endpoint.answer(entropy(), records.written());
            }
            Ok(Received::Session(records)) => {
                state.begin_session(now);
                state.take(now, records, &mut on);
            }
            Ok(Received::Records(records)) => state.take(now, records, &mut on),
            Err(_) => state.rejected = state.rejected.saturating_add(1),
        }
        if core::mem::take(&mut state.is_over) {
            self.endpoint.end();
            state.bins_dropped += state.outbox.clear();
        }
    }

    /// What was collected from now on is of another kind: a new epoch, whose first bin begins with `origin_sample`.
    pub fn begin_epoch(&mut self, origin_sample: u64) {
        self.state.begin_epoch(origin_sample, Reason::Asked);
    }

    /// Counts of a bin of the width that was asked for, which ended before `end_sample`.
    pub fn push_counts(&mut self, now: Now, end_sample: u64, counts: &[u16]) {
        if !self.is_sending() || self.state.format.mode != Mode::Counts {
            return;
        }
        self.state.push_counts(now, end_sample, counts);
    }

    /// Power of a bin of the width that was asked for, `8 · log2` of the mean square, a byte a channel.
    pub fn push_power(&mut self, power: impl Fn(usize) -> u8) {
        if !self.is_sending() {
            return;
        }
        self.state.push_power(power);
    }

    /// Another record of data, which is lost if it doesn't fit into a datagram.
    pub fn push_record(&mut self, record: &Record<'_>, fill: impl FnOnce(&mut [u8]) -> Option<usize>) {
        if self.is_sending() {
            self.state.push_record(record, fill);
        }
    }

    /// The next packet for the radio, written into `packet`, which has room for the MTU; `None` while there is nothing
    /// to send, or no budget to send it with. `mtu` is what the radio takes now.
    pub fn poll_packet(&mut self, now: Now, mtu: usize, packet: &mut [u8]) -> Option<usize> {
        let state = &mut self.state;
        let mtu = mtu.min(usize::from(state.commands.wanted().mtu));
        state.room = records_max(mtu, self.endpoint.access());
        if self.endpoint.is_idle() {
            if self.endpoint.tally().is_some() && now.us.saturating_sub(state.heard_us) > GONE_US {
                self.endpoint.end();
                state.bins_dropped += state.outbox.clear();
            }
            let n_sent = self.endpoint.tally().map(|tally| tally.sent)?;
            if !state.has_credit(now) {
                return None;
            }
            let mut bytes = [0; efference_wire::packet::DATAGRAM_MAX];
            let room = state.room.min(bytes.len());
            let mut records = RecordWriter::new(&mut bytes[..room]);
            state.write_control(now, n_sent, &mut records);
            let sealed = if records.is_empty() {
                let first = state.outbox.first()?;
                let sealed = self.endpoint.seal(first);
                let n_bins = state.outbox.drop_first();
                if sealed.is_err() {
                    state.bins_dropped += u32::from(n_bins);
                }
                sealed
            } else {
                self.endpoint.seal(records.written())
            };
            if sealed == Err(SealError::Exhausted) {
                self.endpoint.end();
            }
        }
        let n_bytes = self.endpoint.poll_packet(mtu, packet)?;
        state.credit -= n_bytes as i64 * 8;
        state.rate.taken(n_bytes as u32 * 8, !state.outbox.is_empty());
        Some(n_bytes)
    }

    fn is_sending(&self) -> bool {
        self.is_connected() && self.state.commands.wanted().is_running
    }
}

impl<'a> State<'a> {
    fn hello(&self) -> Hello<'a> {
        let Identity { boot, bits, nv_per_count, synthetic, name, profile } = self.identity;
        Hello {
            boot,
            firmware: FIRMWARE,
            n_electrodes: self.abilities.n_electrodes,
            sample_rate_millihertz: self.abilities.sample_rate_millihertz,
            bits,
            nv_per_count,
            modes: self.abilities.modes,
            mtu_max: self.abilities.mtu_max,
            n_raw_max: RAW_MAX as u16,
            synthetic,
            name,
            profile,
        }
    }

    fn begin_session(&mut self, now: Now) {
        self.bins_dropped += self.outbox.clear();
        self.commands.forget();
        self.tables.begin_session();
        (self.acks, self.pong, self.impedance) = ([None; ACKS], None, None);
        (self.format_due_us, self.telemetry_due_us) = (now.us, now.us);
        (self.is_greeting_due, self.reported) = (false, (0, 0));
    }

    fn take(&mut self, now: Now, records: &[u8], on: &mut impl FnMut(Task<'_>)) {
        self.heard_us = now.us;
        for record in Records::new(records) {
            match record {
                Ok(Record::Command(command)) => {
                    let (ack, task) = self.commands.take(&command);
                    match self.acks.iter_mut().find(|ack| ack.is_none()) {
                        Some(place) => *place = Some(ack),
                        // The host asks again for what it hears nothing of.
                        None => continue,
                    }
                    match task {
                        Task::Budget => self.rate.set_budget(self.commands.wanted().budget_bps, now.us),
                        Task::Key => {
                            (self.format_due_us, self.is_greeting_due) = (now.us, true);
                            on(Task::Key);
                        }
                        Task::Impedance { first_electrode, n_electrodes } => {
                            self.impedance =
                                Some((first_electrode, first_electrode + u32::from(n_electrodes)));
                            on(task);
                        }
                        other => on(other),
                    }
                }
                Ok(Record::Report(report)) => {
                    self.tables.confirm(report.table);
                    let sent = report.next_sequence.wrapping_sub(self.reported.0);
                    let came = report.received.wrapping_sub(self.reported.1);
                    if sent >= REPORT_MIN {
                        self.reported = (report.next_sequence, report.received);
                        if came < sent / 3 * 2 {
                            self.rate.arrives(report.throughput_bps);
                        }
                    }
                }
                Ok(Record::Ping(id)) => self.pong = Some((id, now)),
                Ok(Record::Bye) => self.is_over = true,
                Ok(_) => {}
                Err(_) => self.rejected = self.rejected.saturating_add(1),
            }
        }
    }

    /// What is due beside the data.
    fn write_control(&mut self, now: Now, n_sent: u32, records: &mut RecordWriter<'_>) {
        for ack in &mut self.acks {
            let is_out = ack.is_some_and(|due| records.push(&Record::Ack(due)).is_ok());
            if is_out {
                *ack = None;
            }
        }
        if let Some((id, came)) = self.pong {
            let pong = Pong {
                id,
                received_sample: came.sample,
                received_fraction: came.fraction,
                held_us: u32::try_from(now.us.saturating_sub(came.us)).unwrap_or(u32::MAX),
            };
            if records.push(&Record::Pong(pong)).is_ok() {
                self.pong = None;
            }
        }
        if now.us >= self.format_due_us && records.push(&Record::Format(self.format)).is_ok() {
            self.format_due_us = now.us + KEY_US;
        }
        if self.is_greeting_due && records.push(&Record::Hello(self.hello())).is_ok() {
            self.is_greeting_due = false;
        }
        if now.us >= self.telemetry_due_us {
            let telemetry = Telemetry {
                sample: now.sample,
                battery_mv: self.vitals.battery_mv,
                battery_percent: self.vitals.battery_percent,
                temperature_centi: self.vitals.temperature_centi,
                datagrams_sent: n_sent.saturating_add(1),
                bins_dropped: self.bins_dropped,
                commands_refused: self.commands.n_refused(),
                datagrams_rejected: self.rejected,
            };
            if records.push(&Record::Telemetry(telemetry)).is_ok() {
                self.telemetry_due_us = now.us + TELEMETRY_US;
            }
        }
        if let Some((first, end)) = self.impedance {
            let mut values = [0; 2 * IMPEDANCES];
            let room = records.room().saturating_sub(6) / 2;
            let n = ((end - first) as usize).min(IMPEDANCES).min(room);
            for (value, electrode) in values.chunks_exact_mut(2).zip(first..end) {
                value.copy_from_slice(&impedance(self.identity.boot, electrode).to_le_bytes());
            }
            let record = Record::Impedance(Impedance { first_electrode: first, values: &values[..2 * n] });
            if n > 0 && records.push(&record).is_ok() {
                let next = first + n as u32;
                self.impedance = (next < end).then_some((next, end));
            }
        }
        // Data go first where they wait; a table has time.
        if self.tables.has_piece() && self.outbox.len() < OUTBOX_BUSY {
            self.tables.write_piece(records);
        }
    }

    fn begin_epoch(&mut self, origin_sample: u64, reason: Reason) {
        let (wanted, setting) = (*self.commands.wanted(), self.rate.setting());
        let mode = if wanted.is_running { wanted.mode } else { Mode::Quiet };
        let setting = if mode == Mode::Counts { setting } else { Setting::ALL };
        let width = wanted.bin_samples.saturating_mul(u32::from(setting.widening));
        let before = self.format.bin_samples;
        if width != before {
            self.tables.rescale(width, before);
        }
        let left_out = |used: &[u8]| used.iter().filter(|&&level| level < setting.level_min).count() as u32;
        self.format = Format {
            epoch: self.format.epoch.wrapping_add(1),
            mode,
            origin_sample,
            bin_samples: width,
            asked_bin_samples: wanted.bin_samples,
            count_max: setting.count_max,
            level_min: setting.level_min,
            n_left_out: self.tables.used().map_or(0, left_out),
            budget_bps: self.rate.limit_bps(),
            reason: if reason == Reason::Asked && setting != Setting::ALL { Reason::Budget } else { reason },
        };
        (self.bin, self.n_summed, self.format_due_us) = (0, 0, 0);
        self.totals.fill(0);
    }

    fn push_counts(&mut self, now: Now, end_sample: u64, counts: &[u16]) {
        for (total, &count) in self.totals.iter_mut().zip(counts) {
            *total = total.saturating_add(count);
        }
        self.n_summed += 1;
        let setting = self.rate.setting();
        if self.n_summed < setting.widening {
            return;
        }
        let count_max = self.format.count_max;
        self.totals.iter_mut().for_each(|total| *total = (*total).min(count_max));
        self.tables.enter(self.totals);
        self.send_counts();
        self.totals.fill(0);
        (self.n_summed, self.bin) = (0, self.bin.wrapping_add(1));
        if let Some(next) = self.rate.step(now.us) {
            let reason = if next.widening < setting.widening || next == Setting::ALL {
                Reason::Recovered
            } else {
                Reason::Budget
            };
            self.begin_epoch(end_sample, reason);
        }
    }

    /// The bin in `totals`, as many datagrams as it takes.
    fn send_counts(&mut self) {
        let Self { tables, outbox, totals, format, rate, room, bin, bins_dropped, .. } = self;
        let (levels, version) = tables.levels();
        let level_min = if version == 0 { 0 } else { format.level_min };
        let mut first = 0;
        while first < totals.len() {
            // Channels that are sent, side by side, and what is known of them.
            let (mut kept, mut kept_levels, mut n_kept) = ([0; KEPT], [0; KEPT], 0);
            let mut end = first;
            while end < totals.len() && n_kept < KEPT && end - first < usize::from(u16::MAX) {
                let level = match levels {
                    Levels::Known(levels) => levels[end],
                    Levels::Flat => u8::MAX,
                };
                if level >= level_min {
                    (kept[n_kept], kept_levels[n_kept]) = (totals[end], level);
                    n_kept += 1;
                }
                end += 1;
            }
            let known = |n: usize| match version {
                0 => Levels::Flat,
                _ => Levels::Known(&kept_levels[..n]),
            };
            let budget = room.saturating_sub(COUNTS_HEAD);
            let mut fits = counts::n_fitting(&kept[..n_kept], known(n_kept), budget);
            let mut taken = 0;
            let mut next = end;
            let mut lost = 0;
            loop {
                // The channels up to the last of those that fit.
                let mut n_seen = 0;
                next = match fits == n_kept {
                    true => end,
                    false => (first..next)
                        .find(|&channel| {
                            let is_kept = match levels {
                                Levels::Known(levels) => levels[channel] >= level_min,
                                Levels::Flat => true,
                            };
                            n_seen += usize::from(is_kept);
                            n_seen > fits
                        })
                        .unwrap_or(end),
                };
                if fits == 0 && n_kept > 0 {
                    break;
                }
                let head = Record::Counts(efference_wire::Counts {
                    epoch: format.epoch,
                    bin: *bin,
                    first_channel: first as u32,
                    n_channels: (next - first) as u16,
                    n_bins: 1,
                    table: version,
                    coded: &[],
                });
                lost += outbox.push(*room, |out| {
                    let mut records = RecordWriter::new(out);
                    let coded =
                        records.push_with(&head, |out| counts::encode(&kept[..fits], known(fits), out));
                    taken = if coded.is_ok() { records.len() } else { 0 };
                    // The bin is counted once, by its last part.
                    (taken, u8::from(next == totals.len()))
                });
                if taken > 0 || fits <= 1 {
                    break;
                }
                // A flat level of fewer channels may be dearer than that of all.
                fits = fits * 3 / 4;
            }
            *bins_dropped += lost;
            if taken == 0 {
                // Not even one channel fits: packets of the least size, counts of the greatest.
                *bins_dropped += 1;
                return;
            }
            rate.produced((taken + DATAGRAM_OVERHEAD) as u32 * 8);
            first = next;
        }
    }

    fn push_power(&mut self, power: impl Fn(usize) -> u8) {
        let n = self.totals.len();
        let per_record = self.room.saturating_sub(COUNTS_HEAD).clamp(1, KEPT);
        let mut first = 0;
        while first < n {
            let here = per_record.min(n - first);
            let mut levels = [0; KEPT];
            levels[..here].iter_mut().zip(first..).for_each(|(level, channel)| *level = power(channel));
            let record = Record::Power(efference_wire::Power {
                epoch: self.format.epoch,
                bin: self.bin,
                first_channel: first as u32,
                levels: &levels[..here],
            });
            let is_last = first + here == n;
            let mut taken = 0;
            self.bins_dropped += self.outbox.push(self.room, |out| {
                let mut records = RecordWriter::new(out);
                taken = if records.push(&record).is_ok() { records.len() } else { 0 };
                (taken, u8::from(is_last))
            });
            self.rate.produced((taken + DATAGRAM_OVERHEAD) as u32 * 8);
            first += here;
        }
        self.bin = self.bin.wrapping_add(1);
    }

    fn push_record(&mut self, record: &Record<'_>, fill: impl FnOnce(&mut [u8]) -> Option<usize>) {
        let mut taken = 0;
        self.bins_dropped += self.outbox.push(self.room, |out| {
            let mut records = RecordWriter::new(out);
            let pushed = records.push_with(record, |out| fill(out).ok_or(()));
            taken = if pushed.is_ok() { records.len() } else { 0 };
            (taken, 0)
        });
        self.rate.produced((taken + DATAGRAM_OVERHEAD) as u32 * 8);
    }

    /// Whether the budget has room for a datagram now.
    fn has_credit(&mut self, now: Now) -> bool {
        let budget = i64::from(self.commands.wanted().budget_bps);
        if budget == 0 {
            return true;
        }
        let elapsed = now.us.saturating_sub(self.credited_us).min(1_000_000) as i64;
        self.credited_us = now.us;
        let burst = budget / 20 + 8 * efference_wire::packet::DATAGRAM_MAX as i64;
        self.credit = (self.credit + budget * elapsed / 1_000_000).min(burst);
        self.credit > 0
    }
}

/// A made-up impedance, tenths of a kiloohm: 100 to 900 kΩ, and the same each time.
fn impedance(boot: u32, electrode: u32) -> u16 {
    let mixed =
        (electrode ^ boot.rotate_left(7)).wrapping_mul(0x9E37_79B1).rotate_left(13).wrapping_mul(0x85EB_CA6B);
    1_000 + (mixed >> 16) as u16 % 8_000
}

/// Version 1.0.
const FIRMWARE: u16 = 0x0100;
/// Formats, and the rest that a host needs to join, come again after this.
const KEY_US: u64 = 900_000;
const TELEMETRY_US: u64 = 1_000_000;
/// A host that isn't heard for so long has gone.
const GONE_US: u64 = 10_000_000;
/// Acknowledgements that wait.
const ACKS: usize = 16;
const IMPEDANCES: usize = 64;
/// Channels that are coded at once.
const KEPT: usize = 1_024;
/// Bytes of a counts record before what is coded, at most.
const COUNTS_HEAD: usize = 20;
/// What a datagram adds to its records: packet, session, sequence, tag.
const DATAGRAM_OVERHEAD: usize = 22;
const ANSWER_ROOM: usize = efference_wire::session::ANSWER_MAX;
const OUTBOX_BUSY: usize = 8;
/// Datagrams after which a report says what share arrives.
const REPORT_MIN: u32 = 16;
