//! An implant on a desk: its radio, a host that reads all of it, and electrodes that fire by a seed.

#![allow(dead_code, unreachable_pub)]

use efference_firmware::link::{Abilities, Identity, Lane, LinkEnd, LinkMemory, Now, RAW_MAX, SLOT, Tables};
use efference_firmware::signal::{
    ChannelState, Crossing, FieldState, FrontEnd, History, Memory, Settings, Snippet,
};
use efference_firmware::{Implant, RawChannel};
use efference_wire::codec::counts::{self, Levels};
use efference_wire::codec::crossings::{self, Span};
use efference_wire::codec::rates::shift_of_width;
use efference_wire::codec::rates::{self, Rate};
use efference_wire::session::{Access, Endpoint, Host, Key, Received};
use efference_wire::{Ack, Command, Format, Operation, Record, RecordWriter, Records, Report, Telemetry};
use std::collections::BTreeMap;

pub const RATE: u64 = 20_000;

/// Both ends and what the host knows.
pub struct Desk {
    pub implant: Implant<'static>,
    pub host: Endpoint<Host>,
    pub mtu: usize,
    pub us: u64,
    /// Bits that left the device in each second.
    pub bits: Vec<u64>,
    pub heard: Heard,
    /// Which packets of the device arrive; all of the host's do.
    pub arrives: Box<dyn FnMut() -> bool>,
    /// The carrier has a channel for each lane; packets of each so far.
    pub is_apart: bool,
    pub n_of_lane: [u32; 3],
    reported_us: u64,
    next_id: u16,
    n_channels: usize,
}

/// What came of the device's records.
#[derive(Default)]
pub struct Heard {
    pub formats: Vec<(u64, Format)>,
    pub telemetry: Vec<(u64, Telemetry)>,
    pub acks: Vec<Ack>,
    pub pongs: Vec<u32>,
    pub hellos: u32,
    /// By epoch, bin and channel; absent where left out.
    pub counts: BTreeMap<(u8, u32), Vec<Option<u16>>>,
    /// Counts records by the version of their table.
    pub by_table: BTreeMap<u8, u32>,
    /// Channels of counts that could not be decoded.
    pub undecoded: u32,
    pub snippets: Vec<(u32, u64, Vec<i16>)>,
    /// Channel, first sample of the span, offset in it.
    pub crossings: Vec<(u16, u64, u64)>,
    pub powers: BTreeMap<(u8, u32), Vec<u8>>,
    pub raw: Vec<(u32, u64, Vec<u8>)>,
    pub impedances: BTreeMap<u32, u16>,
    pub n_datagrams: u32,
    /// See [`Desk::tap`]: tables may be missing.
    is_tapped: bool,
    tables: BTreeMap<u8, Vec<Option<u8>>>,
    whole: u8,
}

impl Desk {
    pub fn new(n_channels: usize, with_samples: bool, mtu: usize) -> Self {
        let n = if with_samples { n_channels } else { 0 };
        let memory = Memory {
            channels: leaked(n, ChannelState::NEW),
            counts: leaked(n_channels, 0),
            powers: leaked(n, 0),
            fields: leaked(n, FieldState::NEW),
            histories: leaked(n, History::EMPTY),
            crossings: leaked(8 * n, Crossing::default()),
            snippets: leaked(8 * n, Snippet::EMPTY),
        };
        let settings = Settings::of_rate(RATE as u32 * 1_000).expect("20 kHz is there");
        let front = FrontEnd::new(settings, memory).expect("all for as many channels");
        let abilities = Abilities {
            n_electrodes: n_channels as u32,
            sample_rate_millihertz: RATE as u32 * 1_000,
            modes: front.modes(),
            mtu_max: 512,
        };
        let identity =
            Identity { boot: 1, bits: 10, nv_per_count: 0, synthetic: true, name: "desk", profile: "test" };
        let key = Key::from_bytes([3; 32]);
        let link_memory = LinkMemory {
            totals: leaked(n_channels, 0),
            tables: Tables::new(
                leaked(n_channels, Rate::default()),
                leaked(n_channels, 0),
                leaked(n_channels, 0),
            ),
            outbox: leaked(256 * SLOT, 0),
            impedances: leaked(n_channels, 4_711),
        };
        let link = LinkEnd::new(Access::Paired(key.clone()), identity, abilities, link_memory);
        let raw = leaked(RAW_MAX, RawChannel::new(10));
        let mut desk = Desk {
            implant: Implant::new(front, link, raw, 10, RATE as u32 * 1_000),
            host: Endpoint::host(Access::Paired(key), 1),
            mtu,
            us: 0,
            bits: Vec::new(),
            heard: Heard::default(),
            arrives: Box::new(|| true),
            is_apart: false,
            n_of_lane: [0; 3],
            reported_us: 0,
            next_id: 0,
            n_channels,
        };
        desk.host.connect([9; 32]);
        desk.exchange();
        desk.say(&Record::Ping(1));
        desk
    }

    pub fn now(&self) -> Now {
        Now { us: self.us, sample: self.us * RATE / 1_000_000, fraction: 0 }
    }

    pub fn command(&mut self, operation: Operation<'_>) -> Ack {
        self.next_id += 1;
        self.say(&Record::Command(Command { id: self.next_id, operation }));
        for _ in 0..200 {
            if let Some(ack) = self.heard.acks.iter().rev().find(|ack| ack.id == self.next_id) {
                return *ack;
            }
            self.exchange();
            self.us += 10;
        }
        panic!("no acknowledgement of {operation:?}")
    }

    pub fn say(&mut self, record: &Record<'_>) {
        let mut bytes = [0; 400];
        let mut writer = RecordWriter::new(&mut bytes);
        writer.push(record).expect("fits");
        self.host.seal(writer.written()).expect("a session is there");
        self.exchange();
    }

    /// A bin of 20 ms in which every channel fires so often.
    pub fn bin(&mut self, counts: &[u16]) {
        for (channel, &count) in counts.iter().enumerate().filter(|(_, count)| **count > 0) {
            self.implant.count(channel as u32, count);
        }
        let end = self.us + 20_000;
        while self.us < end {
            // Four looks at the radio a bin.
            self.us = (self.us / 5_000 + 1) * 5_000;
            let now = self.now();
            self.implant.advance_to(now, now.sample);
            self.exchange();
        }
    }

    /// One frame of samples.
    pub fn frame(&mut self, samples: &[i16]) {
        self.us = (self.now().sample + 1) * 1_000_000 / RATE;
        let now = self.now();
        self.implant.process_frame(now, samples);
        if now.sample % 20 == 0 {
            self.exchange();
        }
    }

    fn poll(&mut self, packet: &mut [u8]) -> Option<(usize, Lane)> {
        if self.is_apart {
            return self.implant.poll_packet_apart(self.now(), self.mtu, packet);
        }
        self.implant.poll_packet(self.now(), self.mtu, packet).map(|n| (n, Lane::Data))
    }

    /// What is heard from now on is what one hears that came just now and can't ask; the host goes on reporting.
    pub fn tap(&mut self) {
        // Its formats stay, so that counts have a place before the next one comes.
        let formats = std::mem::take(&mut self.heard.formats);
        self.heard = Heard { whole: self.heard.whole, formats, is_tapped: true, ..Heard::default() };
    }

    /// All packets of both ways, and a report twice a second.
    pub fn exchange(&mut self) {
        let mut packet = [0; 512];
        if self.us >= self.reported_us + 500_000 && self.host.is_idle() {
            self.reported_us = self.us;
            let tally = self.host.tally().expect("a session is there");
            let report = Report {
                next_sequence: tally.received + tally.lost(),
                received: tally.received,
                throughput_bps: 0,
                table: self.heard.whole,
                epoch: 0,
            };
            let mut bytes = [0; 32];
            let mut writer = RecordWriter::new(&mut bytes);
            writer.push(&Record::Report(report)).expect("fits");
            self.host.seal(writer.written()).expect("idle");
        }
        while let Some(n) = self.host.poll_packet(512, &mut packet) {
            self.implant.handle_packet(self.now(), &packet[..n], || [5; 32]);
        }
        while let Some((n, lane)) = self.poll(&mut packet) {
            self.n_of_lane[lane as usize] += 1;
            let second = (self.us / 1_000_000) as usize;
            self.bits.resize(self.bits.len().max(second + 1), 0);
            self.bits[second] += n as u64 * 8;
            if !(self.arrives)() {
                continue;
            }
            match self.host.receive(&packet[..n]) {
                Ok(Received::Session(records)) => {
                    assert!(!self.is_apart || lane == Lane::Control, "a greeting on {lane:?}");
                    self.heard.take(self.us, self.n_channels, records);
                }
                Ok(Received::Records(records)) => {
                    for record in Records::new(records).filter(|_| self.is_apart) {
                        let belongs = match record.expect("whole") {
                            Record::Ack(_) => Lane::Control,
                            Record::Telemetry(_) | Record::Impedance(_) => Lane::Telemetry,
                            _ => Lane::Data,
                        };
                        assert_eq!(belongs, lane);
                    }
                    self.heard.take(self.us, self.n_channels, records);
                }
                Ok(_) => {}
                Err(cause) => panic!("{cause:?} of the device's own packet"),
            }
        }
    }
}

impl Heard {
    /// The format of an epoch.
    pub fn format(&self, epoch: u8) -> Option<&Format> {
        self.formats.iter().rev().map(|(_, format)| format).find(|format| format.epoch == epoch)
    }

    fn take(&mut self, us: u64, n_channels: usize, records: &[u8]) {
        self.n_datagrams += 1;
        for record in Records::new(records) {
            match record.expect("the device writes what can be read") {
                Record::Hello(hello) => {
                    assert_eq!((hello.name, hello.profile, hello.synthetic), ("desk", "test", true));
                    self.hellos += 1;
                }
                Record::Format(format) => self.formats.push((us, format)),
                Record::Telemetry(telemetry) => self.telemetry.push((us, telemetry)),
                Record::Ack(ack) => self.acks.push(ack),
                Record::Pong(pong) => self.pongs.push(pong.id),
                Record::Counts(record) => self.counts(n_channels, &record),
                Record::Crossings(record) => self.crossings(&record),
                Record::Table(table) => self.table(n_channels, &table),
                Record::Power(power) => {
                    let levels = self.powers.entry((power.epoch, power.bin)).or_default();
                    assert_eq!(levels.len(), power.first_channel as usize, "in order, none lost");
                    levels.extend_from_slice(power.levels);
                }
                Record::Snippet(snippet) => {
                    let samples = snippet.samples.chunks_exact(2).map(|b| i16::from_le_bytes([b[0], b[1]]));
                    self.snippets.push((snippet.electrode, snippet.sample, samples.collect()));
                }
                Record::Raw(raw) => self.raw.push((raw.electrode, raw.first_sample, raw.coded.to_vec())),
                Record::Impedance(impedance) => {
                    let values = impedance.values.chunks_exact(2).map(|b| u16::from_le_bytes([b[0], b[1]]));
                    self.impedances.extend((impedance.first_electrode..).zip(values));
                }
                other => panic!("a device says {other:?}"),
            }
        }
    }

    fn counts(&mut self, n_channels: usize, record: &efference_wire::Counts<'_>) {
        let range =
            record.first_channel as usize..record.first_channel as usize + usize::from(record.n_channels);
        *self.by_table.entry(record.table).or_default() += 1;
        let format = self.format(record.epoch).expect("formats come before their counts");
        let (level_min, shift) =
            (format.level_min, shift_of_width(format.bin_samples, format.asked_bin_samples));
        let has_table = |table: &Vec<Option<u8>>| table[range.clone()].iter().all(|level| level.is_some());
        if self.is_tapped && record.table != 0 && !self.tables.get(&record.table).is_some_and(has_table) {
            self.undecoded += 1;
            return;
        }
        let levels: Option<Vec<u8>> = match record.table {
            0 => None,
            version => {
                let table = self.tables.get(&version).expect("only tables that the host has are used");
                Some(table[range.clone()].iter().map(|level| level.expect("whole")).collect())
            }
        };
        let is_sent = |at: usize| levels.as_ref().is_none_or(|levels| levels[at] >= level_min);
        let sent: Vec<usize> = (0..range.len()).filter(|&at| is_sent(at)).collect();
        let sent_levels: Vec<u8> =
            sent.iter().map(|&at| levels.as_ref().map_or(0, |levels| levels[at])).collect();
        let mut values = vec![0; sent.len()];
        let known = if levels.is_some() { Levels::Wider(&sent_levels, shift) } else { Levels::Flat };
        if sent.is_empty() {
            return;
        }
        if counts::decode(record.coded, known, &mut values).is_err() {
            self.undecoded += 1;
            return;
        }
        assert_eq!(record.n_bins, 1);
        let bin = self.counts.entry((record.epoch, record.bin)).or_insert_with(|| vec![None; n_channels]);
        for (&at, &value) in sent.iter().zip(&values) {
            bin[range.start + at] = Some(value);
        }
    }

    fn crossings(&mut self, record: &efference_wire::Crossings<'_>) {
        let range = record.first_channel as usize..(record.first_channel + record.n_channels) as usize;
        let span = Span {
            first_channel: record.first_channel,
            n_channels: record.n_channels,
            n_samples: u32::from(record.span_samples),
        };
        let tables: BTreeMap<u8, Vec<u8>> = self
            .tables
            .iter()
            .filter_map(|(&version, levels)| {
                Some((version, levels[range.clone()].iter().copied().collect::<Option<_>>()?))
            })
            .collect();
        let mut room = vec![Crossing::default(); 4_096];
        let table = |version: u8| tables.get(&version).map(Vec::as_slice);
        let n = crossings::decode(record.coded, span, table, &mut room).expect("what the device wrote");
        let found = room[..n].iter().map(|c| (c.channel, record.first_sample, u64::from(c.offset)));
        self.crossings.extend(found);
    }

    fn table(&mut self, n_channels: usize, table: &efference_wire::Table<'_>) {
        let range =
            table.first_channel as usize..table.first_channel as usize + usize::from(table.n_channels);
        assert_eq!(table.n_total as usize, n_channels);
        let bases: BTreeMap<u8, Vec<u8>> = self
            .tables
            .iter()
            .filter_map(|(&version, levels)| {
                Some((version, levels[range.clone()].iter().copied().collect::<Option<_>>()?))
            })
            .collect();
        let mut levels = vec![0; range.len()];
        let base = |version: u8| bases.get(&version).map(Vec::as_slice);
        if rates::decode_table(table.coded, base, &mut levels).is_err() {
            return;
        }
        let whole = self.tables.entry(table.version).or_insert_with(|| vec![None; n_channels]);
        for (place, level) in whole[range].iter_mut().zip(levels) {
            *place = Some(level);
        }
        if whole.iter().all(Option::is_some) {
            self.whole = table.version;
        }
    }
}

/// Channels that fire by a heavy-tailed distribution of rates.
pub struct Firing {
    state: u64,
    rates_hz: Vec<f64>,
}

impl Firing {
    pub fn new(n_channels: usize, mean_hz: f64, seed: u64) -> Self {
        let mut firing = Firing { state: seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1, rates_hz: Vec::new() };
        // Log-normal, one natural unit wide.
        let normal = |firing: &mut Firing| (0..12).map(|_| firing.uniform()).sum::<f64>() - 6.0;
        let rates: Vec<f64> = (0..n_channels).map(|_| normal(&mut firing).exp()).collect();
        let mean = rates.iter().sum::<f64>() / n_channels as f64;
        firing.rates_hz = rates.iter().map(|rate| rate / mean * mean_hz).collect();
        firing
    }

    pub fn scale(&mut self, by: f64) {
        self.rates_hz.iter_mut().for_each(|rate| *rate *= by);
    }

    /// Poisson counts of 20 ms.
    pub fn bin(&mut self) -> Vec<u16> {
        (0..self.rates_hz.len())
            .map(|channel| {
                let (limit, mut product, mut count) =
                    ((-self.rates_hz[channel] * 0.02).exp(), self.uniform(), 0);
                while product > limit {
                    product *= self.uniform();
                    count += 1;
                }
                count
            })
            .collect()
    }

    pub fn uniform(&mut self) -> f64 {
        self.state ^= self.state << 13;
        self.state ^= self.state >> 7;
        self.state ^= self.state << 17;
        (self.state >> 11) as f64 / (1_u64 << 53) as f64
    }
}

fn leaked<T: Clone>(n: usize, value: T) -> &'static mut [T] {
    Box::leak(vec![value; n].into_boxed_slice())
}
