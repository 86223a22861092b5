//! Legal records of any kind, and what damages them.
//!
//! In: random numbers. Out: bytes of records, half of those with codes made by the codecs themselves. Guarantee: the same
//! seed gives the same bytes.

use crate::codecs::{self, CODED_MAX};
use efference_wire::{
    Ack, Command, Counts, Crossings, Format, Hello, Impedance, Mode, Operation, Pong, Power, Raw, Reason,
    Record, RecordWriter, Report, Snippet, Status, Table, Telemetry,
};

/// One to three faults in bytes.
pub(crate) fn damage(random: &mut Random, bytes: &mut Vec<u8>, other: &[u8]) {
    for _ in 0..=random.below(3) {
        let length = bytes.len();
        let at = random.below(length + 1);
        match random.below(8) {
            0 if at < length => bytes[at] ^= 1 << random.below(8),
            1 if at < length => bytes[at] = random.byte(),
            2 if at < length => bytes[at] = [0, 1, 0x7F, 0x80, 0xFE, 0xFF][random.below(6)],
            3 => bytes.truncate(at),
            4 => {
                let more = random.below(8);
                bytes.splice(at..at, random.bytes(more));
            }
            5 if at < length => _ = bytes.drain(at..(at + random.below(8)).min(length)),
            6 if !other.is_empty() => {
                let from = random.below(other.len());
                bytes.extend_from_slice(&other[from..]);
            }
            _ => {}
        }
    }
}

/// Some records of any type, in at most `room` bytes.
pub(crate) fn legal_records(random: &mut Random, room: usize) -> Vec<u8> {
    let mut bytes = vec![0; room];
    let mut writer = RecordWriter::new(&mut bytes);
    for _ in 0..random.below(5) {
        // What does not fit is left out.
        if random.below(2) == 0 {
            let mut coded = [0; CODED_MAX];
            let _ = writer.push(&codecs::legal(random, &mut coded));
        } else {
            let length = random.below(80);
            let body = random.bytes(length);
            let _ = writer.push(&record(random, &body));
        }
    }
    let length = writer.len();
    bytes.truncate(length);
    bytes
}

fn record<'a>(random: &mut Random, body: &'a [u8]) -> Record<'a> {
    let whole = |width: usize| &body[..body.len() / width * width];
    let (kind, byte, short) = (random.below(22), random.byte(), random.word() as u16);
    let (word, long) = (random.word() as u32 >> random.below(32), random.word() >> random.below(64));
    let command = |operation| Record::Command(Command { id: short, operation });
    match kind {
        0 => Record::Hello(Hello {
            boot: word,
            firmware: short,
            n_electrodes: word,
            sample_rate_millihertz: word,
            bits: byte,
            nv_per_count: word,
            modes: short,
            mtu_max: short,
            n_raw_max: short,
            synthetic: true,
            name: "fuzz",
            profile: "",
        }),
        1 => Record::Format(Format {
            epoch: byte,
            mode: Mode::Counts,
            origin_sample: long,
            bin_samples: word,
            asked_bin_samples: word,
            count_max: short,
            level_min: byte,
            n_left_out: word,
            budget_bps: word,
            reason: Reason::Budget,
        }),
        2 => Record::Counts(Counts {
            epoch: byte,
            bin: word,
            first_channel: word,
            n_channels: short,
            n_bins: byte,
            table: byte,
            coded: body,
        }),
        3 => Record::Crossings(Crossings {
            epoch: byte,
            first_sample: long,
            span_samples: short,
            first_channel: word,
            n_channels: word,
            coded: body,
        }),
        4 => Record::Raw(Raw { electrode: word, first_sample: long, coded: body }),
        5 => Record::Power(Power { epoch: byte, bin: word, first_channel: word, levels: body }),
        6 => Record::Snippet(Snippet {
            epoch: byte,
            electrode: word,
            sample: long,
            n_before: byte,
            samples: whole(2),
        }),
        7 => Record::Telemetry(Telemetry { sample: long, datagrams_sent: word, ..Telemetry::default() }),
        8 => Record::Impedance(Impedance { first_electrode: word, values: whole(2) }),
        9 => Record::Ack(Ack { id: short, status: Status::Busy, value: word }),
        10 => Record::Table(Table {
            version: byte.max(1),
            first_channel: word,
            n_channels: short,
            n_total: word,
            coded: body,
        }),
        11 => Record::Pong(Pong { id: word, received_sample: long, received_fraction: short, held_us: word }),
        12 => Record::Report(Report { next_sequence: word, ..Report::default() }),
        13 => Record::Ping(word),
        14 => Record::Bye,
        15 => command(Operation::Start),
        16 => command(Operation::SetMode(Mode::Snippets)),
        17 => command(Operation::SetBinWidth(word)),
        18 => command(Operation::SetThresholds { first_channel: word, values: whole(2) }),
        19 => command(Operation::SelectRaw(whole(4))),
        20 => command(Operation::SetMtu(short)),
        _ => command(Operation::RequestImpedance { first_electrode: word, n_electrodes: short }),
    }
}

/// SplitMix64 (Steele, Lea, Flood 2014).
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn word(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    pub(crate) fn below(&mut self, end: usize) -> usize {
        (self.word() % end as u64) as usize
    }

    pub(crate) fn byte(&mut self) -> u8 {
        self.word() as u8
    }

    pub(crate) fn bytes(&mut self, length: usize) -> Vec<u8> {
        (0..length).map(|_| self.byte()).collect()
    }

    pub(crate) fn array(&mut self) -> [u8; 32] {
        std::array::from_fn(|_| self.byte())
    }
}
