//! What comes from a device: packets to records, and what each of these means.

use super::super::bins::{Assembly, FormatNews, Misplaced, Stamp};
use super::super::event::{Device, Ending, FormatChange};
use super::super::queue::Happened;
use super::super::{Cause, tables};
use super::{EARLIER_NS, HELLO_HEAD, Host, Phase};
use crate::error::Error;
use crate::time::{ClockFit, DeviceTime, Fitted, HostTime, SampleRate};
use crate::wire::codec::rates::shift_of_width;
use crate::wire::packet::{DATAGRAM_MAX, MTU_MAX, MTU_MIN};
use crate::wire::session::{Received, Tally};
use crate::wire::{Counts, Format, Hello, Operation, Pong, Power, Record, Records, Status, Telemetry};

/// Which session a datagram was sealed for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Of {
    This,
    /// It begins with this.
    New,
    /// The one before this.
    Earlier,
}

impl Host {
    /// Takes a packet that came at `now`. Whatever it holds ends nothing: what can't be used is counted.
    pub fn handle_packet(&mut self, now: HostTime, packet: &[u8]) {
        self.handle_timeout(now);
        if self.phase == Phase::Closed {
            return;
        }
        self.ledger.packets.bytes += packet.len() as u64;
        self.throughput.count(self.now, packet.len());
        // The tally of the session before the last is gone when another begins, so it is kept.
        let before = self.endpoint.earlier();
        let mut bytes = [0; DATAGRAM_MAX];
        let copy = |records: &[u8], bytes: &mut [u8; DATAGRAM_MAX]| {
            bytes[..records.len()].copy_from_slice(records);
            records.len()
        };
        let (n_bytes, of) = match self.endpoint.receive(packet) {
            Ok(Received::Records(records)) => (copy(records, &mut bytes), Of::This),
            Ok(Received::Session(records)) => (copy(records, &mut bytes), Of::New),
            Ok(Received::Earlier(records)) => (copy(records, &mut bytes), Of::Earlier),
            Ok(Received::Nothing | Received::Hello) | Err(_) => return,
        };
        self.heard_at = self.now;
        if of == Of::New {
            if let Some(tally) = before {
                super::add_session(&mut self.closed, &tally, self.earlier_sent);
            }
            self.begin_session();
        } else if self.phase != Phase::Live {
            self.hear_again();
        }
        let stamp = self.stamp(of);
        let mut records = Records::new(&bytes[..n_bytes]);
        for record in records.by_ref() {
            match record {
                Ok(record) => {
                    self.ledger.records.read += 1;
                    match of {
                        Of::This | Of::New => self.record(&record, stamp),
                        Of::Earlier => self.earlier_record(&record, stamp),
                    }
                }
                Err(_) => self.ledger.records.malformed += 1,
            }
        }
        self.ledger.records.unknown += u64::from(records.n_unknown());
        if self.wants_key && !self.settings.listens_only {
            self.ask_for_key();
        }
    }

    /// Takes a packet that this host sent when the capture was made: with the same entropy it makes the same sessions.
    pub fn overhear(&mut self, now: HostTime, packet: &[u8]) {
        self.handle_timeout(now);
        // A hello in fragments begins with its session in the first of them.
        let session = match packet {
            [head, session, ..] if *head == HELLO_HEAD => *session,
            [head, _, 0, session, ..] if *head & !3 == HELLO_HEAD => *session,
            _ => return,
        };
        if self.overheard != Some(session) {
            self.overheard = Some(session);
            self.ask_for_session();
        }
    }

    fn stamp(&mut self, of: Of) -> Stamp {
        let sequence = |tally: Option<Tally>| tally.map_or(0, |tally| tally.last_sequence);
        match of {
            Of::New => Stamp { session: self.session, sequence: 0, is_newest: true },
            Of::This => {
                let sequence = sequence(self.endpoint.tally());
                Stamp { session: self.session, sequence, is_newest: self.log.enter(sequence) }
            }
            // Which of its numbers came is not known any more, and something newer has come: this session's greeting.
            Of::Earlier => {
                let sequence = sequence(self.endpoint.earlier());
                Stamp { session: self.session.saturating_sub(1), sequence, is_newest: false }
            }
        }
    }

    fn begin_session(&mut self) {
        self.session += 1;
        self.ledger.link.sessions += 1;
        (self.earlier_sent, self.earlier_until) = (self.device_sent, self.now.after(EARLIER_NS));
        self.device_sent = 0;
        self.log = super::SequenceLog::new();
        self.phase = Phase::Live;
        self.outbox.begin_session(self.now);
        self.is_announced = false;
        self.interrupt(Cause::Disconnect);
    }

    /// The session is heard again after a silence.
    fn hear_again(&mut self) {
        self.phase = Phase::Live;
        self.queue.push(Happened::Audible);
        self.outbox.ask_soon(self.now);
        self.interrupt(Cause::Stall);
    }

    fn record(&mut self, record: &Record<'_>, stamp: Stamp) {
        match record {
            Record::Hello(hello) => self.hello(hello),
            Record::Format(format) => self.format(format, stamp),
            Record::Counts(counts) => self.counts(counts, stamp),
            Record::Power(power) => self.power(power, stamp),
            Record::Table(table) => {
                match self.tables.learn(table) {
                    // The device waits for this to code with it.
                    Some(true) => self.outbox.report_soon(self.now),
                    Some(false) => {}
                    None => self.ledger.records.unusable_tables += 1,
                }
            }
            Record::Telemetry(telemetry) => self.telemetry(telemetry),
            Record::Ack(ack) => {
                if let Some(is_key) = self.outbox.acknowledge(ack.id) {
                    self.ledger.upward.acknowledged += 1;
                    self.ledger.upward.refused += u64::from(ack.status != Status::Done);
                    if !is_key {
                        self.queue.push(Happened::Ack(*ack));
                    }
                }
            }
            Record::Pong(pong) => self.pong(pong),
            Record::Crossings(crossings) => {
                self.crossings(crossings, stamp);
                self.queue.keep(record);
            }
            Record::Raw(_) | Record::Snippet(_) | Record::Impedance(_) => self.queue.keep(record),
            Record::Bye => self.end_session(Ending::Bye),
            Record::Command(_) | Record::Report(_) | Record::Ping(_) => self.ledger.records.misdirected += 1,
        }
    }

    /// What was sent in the session before: its data are as good as any, what it says of the session itself is void.
    fn earlier_record(&mut self, record: &Record<'_>, stamp: Stamp) {
        match record {
            Record::Counts(_)
            | Record::Power(_)
            | Record::Crossings(_)
            | Record::Raw(_)
            | Record::Snippet(_)
            | Record::Format(_)
            | Record::Table(_)
            | Record::Impedance(_) => self.record(record, stamp),
            Record::Telemetry(telemetry) => {
                self.earlier_sent = self.earlier_sent.max(telemetry.datagrams_sent);
            }
            _ => {}
        }
    }

    fn hello(&mut self, hello: &Hello<'_>) {
        let is_same = self.device.as_ref().is_some_and(|device| device.boot == hello.boot);
        if is_same && self.is_announced {
            return;
        }
        let Ok(rate) = SampleRate::new(f64::from(hello.sample_rate_millihertz) / 1e3, "link") else {
            self.ledger.records.malformed += 1;
            return;
        };
        let n_channels = hello.n_electrodes as usize;
        let is_other =
            self.assembly.as_ref().is_some_and(|a| !a.is_of(n_channels, hello.sample_rate_millihertz));
        if n_channels == 0 || n_channels > crate::block::CHANNELS_MAX || is_other {
            // Whoever decodes has been told of a device that this is not.
            self.ledger.records.malformed += 1;
            self.end_session(Ending::OtherDevice);
            return;
        }
        if self.assembly.is_none() {
            let allowance_ns = self.settings.reorder_allowance_ns;
            self.assembly = Some(Assembly::new(n_channels, hello.sample_rate_millihertz, allowance_ns));
            let n_values = n_channels.max(tables::VALUES_MIN);
            self.tables.make_room(n_channels, n_values);
            self.values = vec![0; n_values];
            self.crossings = super::crossings::room();
            self.clock = Some(ClockFit::new(rate));
        }
        if !is_same {
            self.boot(hello);
        }
        self.is_announced = true;
        self.queue.push(Happened::Connected { is_resumed: is_same });
    }

    /// The device has started, for the first time here or anew.
    fn boot(&mut self, hello: &Hello<'_>) {
        let was_known = self.device.is_some();
        self.ledger.link.boots += 1;
        self.device = Some(Device {
            boot: hello.boot,
            firmware: ((hello.firmware >> 8) as u8, hello.firmware as u8),
            n_electrodes: hello.n_electrodes as usize,
            sample_rate_millihertz: hello.sample_rate_millihertz,
            bits: hello.bits,
            nv_per_count: (hello.nv_per_count > 0).then_some(hello.nv_per_count),
            modes: hello.modes,
            mtu_max: usize::from(hello.mtu_max).clamp(MTU_MIN, MTU_MAX),
            n_raw_max: usize::from(hello.n_raw_max),
            synthetic: hello.synthetic,
            name: hello.name.to_string(),
            profile: hello.profile.to_string(),
        });
        self.tables.clear();
        self.device_dropped_before = self.ledger.link.device_dropped_bins;
        if was_known {
            // Epochs and tables of the start before have the numbers of this one's.
            self.close_earlier();
            self.queue.push(Happened::Disconnected(Ending::Reboot));
            if let Some(assembly) = &mut self.assembly {
                assembly.restart();
            }
            if let Some(clock) = &mut self.clock {
                clock.reset();
            }
        }
        if !self.settings.listens_only {
            self.outbox.clear();
            // There is room for them: nothing else waits.
            let _full: Result<(), Error> = self.ask_for_wanted();
        }
    }

    fn ask_for_wanted(&mut self) -> Result<(), Error> {
        let Some(device) = &self.device else { return Ok(()) };
        let wanted = &self.settings.wanted;
        let (mode, width) = (wanted.mode, device.samples(wanted.bin_width_us));
        let (budget, threshold) = (wanted.budget_bps, wanted.threshold);
        // More than it can is not asked for.
        let mtu = wanted.mtu.map(|mtu| mtu.min(device.mtu_max as u16));
        let raw: Vec<u8> =
            wanted.raw_electrodes.iter().flat_map(|electrode| electrode.to_le_bytes()).collect();
        if let Some(mtu) = mtu {
            self.command(Operation::SetMtu(mtu))?;
        }
        if let Some(threshold) = threshold {
            self.command(Operation::SetThreshold(threshold))?;
        }
        self.command(Operation::SetBudget(budget))?;
        self.command(Operation::SetBinWidth(width))?;
        self.command(Operation::SetMode(mode))?;
        if !raw.is_empty() {
            self.command(Operation::SelectRaw(&raw))?;
        }
        self.command(Operation::Start)?;
        Ok(())
    }

    fn format(&mut self, format: &Format, stamp: Stamp) {
        let (Some(assembly), Some(device)) = (&mut self.assembly, &self.device) else { return };
        match assembly.formats.learn(format, stamp.is_newest) {
            FormatNews::Known => {}
            FormatNews::Refused => self.ledger.records.malformed += 1,
            FormatNews::Changed(before) => {
                self.ledger.link.format_changes += u64::from(before.is_some());
                self.queue.push(Happened::Format(FormatChange {
                    format: *format,
                    before,
                    sample_rate_millihertz: device.sample_rate_millihertz,
                    n_channels: device.n_electrodes,
                }));
            }
        }
    }

    fn counts(&mut self, counts: &Counts<'_>, stamp: Stamp) {
        let Some(assembly) = &mut self.assembly else { return };
        let (first, n_channels) = (counts.first_channel as usize, usize::from(counts.n_channels));
        let n_values = n_channels * usize::from(counts.n_bins);
        let fits = first.checked_add(n_channels).is_some_and(|end| end <= self.tables.n_channels());
        if !fits || n_values == 0 || n_values > self.values.len() {
            assembly.refuse();
            return;
        }
        let (level_min, shift) = assembly.formats.of(counts.epoch).map_or((0, 0), |epoch| {
            let format = &epoch.format;
            (format.level_min, shift_of_width(format.bin_samples, format.asked_bin_samples))
        });
        let values = &mut self.values[..n_values];
        let is_decoded = self.tables.decode(counts, level_min, shift, values);
        self.wants_key |= is_decoded == Err(tables::Undecoded::Table);
        for bin in 0..counts.n_bins {
            let Some(number) = counts.bin.checked_add(u32::from(bin)) else {
                assembly.refuse();
                return;
            };
            match assembly.place(self.now, stamp, counts.epoch, number, counts.n_bins - 1 - bin) {
                Ok(slot) if is_decoded.is_ok() => {
                    slot.cover(self.now, first, &values[usize::from(bin) * n_channels..][..n_channels]);
                }
                Ok(_) => assembly.refuse(),
                Err(why) => self.wants_key |= why == Misplaced::Format,
            }
        }
    }

    fn power(&mut self, power: &Power<'_>, stamp: Stamp) {
        let Some(assembly) = &mut self.assembly else { return };
        let (first, n_channels) = (power.first_channel as usize, power.levels.len());
        let fits = first.checked_add(n_channels).is_some_and(|end| end <= self.tables.n_channels());
        if !fits || n_channels == 0 {
            assembly.refuse();
            return;
        }
        let values = &mut self.values[..n_channels];
        for (value, level) in values.iter_mut().zip(power.levels) {
            *value = u16::from(*level);
        }
        match assembly.place(self.now, stamp, power.epoch, power.bin, 0) {
            Ok(slot) => {
                slot.cover(self.now, first, values);
            }
            Err(why) => self.wants_key |= why == Misplaced::Format,
        }
    }

    fn telemetry(&mut self, telemetry: &Telemetry) {
        self.device_sent = self.device_sent.max(telemetry.datagrams_sent);
        let dropped = self.device_dropped_before + u64::from(telemetry.bins_dropped);
        self.ledger.link.device_dropped_bins = self.ledger.link.device_dropped_bins.max(dropped);
        if let Some(clock) = &mut self.clock {
            let written = DeviceTime { sample: telemetry.sample, fraction: 0 };
            if clock.arrival(written, self.now) == Fitted::Jumped {
                self.interrupt(Cause::ClockJump);
            }
        }
        self.queue.push(Happened::Telemetry(*telemetry));
    }

    fn pong(&mut self, pong: &Pong) {
        let (Some(sent), Some(clock)) = (self.outbox.answered(pong.id), &mut self.clock) else { return };
        let device = DeviceTime { sample: pong.received_sample, fraction: pong.received_fraction };
        if clock.exchange(sent, device, pong.held_us, self.now) == Fitted::Jumped {
            self.interrupt(Cause::ClockJump);
        }
    }
}
