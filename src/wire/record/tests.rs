//! Records against themselves, against the README's example, and against bytes that mean nothing.

use super::*;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::test_runner::{Config, RngSeed};
use std::string::String;
use std::vec::Vec;

/// What a record is built of: numbers, and bytes for its open field.
#[derive(Clone, Debug)]
pub(crate) struct Seeds {
    numbers: [u64; 6],
    bytes: Vec<u8>,
    names: (String, String),
    kind: usize,
}

pub(crate) fn seeds() -> impl Strategy<Value = Seeds> {
    let number = prop_oneof![any::<u64>(), 0u64..300, any::<u32>().prop_map(u64::from)];
    let names = ("[a-z0-9é-]{0,16}", "[a-z0-9-]{0,32}");
    (proptest::array::uniform6(number), vec(any::<u8>(), 0..200), names, 0..N_KINDS)
        .prop_map(|(numbers, bytes, names, kind)| Seeds { numbers, bytes, names, kind })
}

impl Seeds {
    /// A legal record of any type and operation.
    pub(crate) fn record(&self) -> Record<'_> {
        let [a, b, c, d, e, f] = self.numbers;
        let byte = |n: u64| n as u8;
        let short = |n: u64| n as u16;
        let word = |n: u64| n as u32;
        let whole = |width: usize| &self.bytes[..self.bytes.len() / width * width];
        let command = |operation| Record::Command(Command { id: short(f), operation });
        let mode = Mode::from_byte(byte(b % 6)).unwrap();
        match self.kind {
            0 => Record::Hello(Hello {
                boot: word(a),
                firmware: short(b),
                n_electrodes: word(c),
                sample_rate_millihertz: word(d),
                bits: byte(e),
                nv_per_count: word(f),
                modes: short(a),
                mtu_max: short(c),
                n_raw_max: short(d),
                synthetic: e % 2 == 0,
                name: &self.names.0,
                profile: &self.names.1,
            }),
            1 => Record::Format(Format {
                epoch: byte(a),
                mode,
                origin_sample: c,
                bin_samples: word(d),
                asked_bin_samples: word(e),
                count_max: short(f),
                level_min: byte(c),
                n_left_out: word(a),
                budget_bps: word(b),
                reason: Reason::from_byte(byte(d % 4)).unwrap(),
            }),
            2 => Record::Counts(Counts {
                epoch: byte(a),
                bin: word(b),
                first_channel: word(c),
                n_channels: short(d),
                n_bins: byte(e),
                table: byte(f),
                coded: &self.bytes,
            }),
            3 => Record::Crossings(Crossings {
                epoch: byte(a),
                first_sample: b,
                span_samples: short(c),
                first_channel: word(d),
                n_channels: word(e),
                coded: &self.bytes,
            }),
            4 => Record::Raw(Raw { electrode: word(a), first_sample: b, coded: &self.bytes }),
            5 => Record::Power(Power {
                epoch: byte(a),
                bin: word(b),
                first_channel: word(c),
                levels: &self.bytes,
            }),
            6 => Record::Snippet(Snippet {
                epoch: byte(a),
                electrode: word(b),
                sample: c,
                n_before: byte(d),
                samples: whole(2),
            }),
            7 => Record::Telemetry(Telemetry {
                sample: a,
                battery_mv: short(b),
                battery_percent: byte(c),
                temperature_centi: short(d) as i16,
                datagrams_sent: word(e),
                bins_dropped: word(f),
                commands_refused: short(a),
                datagrams_rejected: word(b),
            }),
            8 => Record::Impedance(Impedance { first_electrode: word(a), values: whole(2) }),
            9 => Record::Ack(Ack {
                id: short(a),
                status: Status::from_byte(byte(b % 4)).unwrap(),
                value: word(c),
            }),
            10 => Record::Table(Table {
                version: byte(a).max(1),
                first_channel: word(b),
                n_channels: short(c),
                n_total: word(d),
                coded: &self.bytes,
            }),
            11 => Record::Pong(Pong {
                id: word(a),
                received_sample: b,
                received_fraction: short(c),
                held_us: word(d),
            }),
            12 => Record::Report(Report {
                next_sequence: word(a),
                received: word(b),
                throughput_bps: word(c),
                table: byte(d),
                epoch: byte(e),
            }),
            13 => Record::Ping(word(a)),
            14 => Record::Bye,
            15 => command(Operation::Start),
            16 => command(Operation::Stop),
            17 => command(Operation::SetMode(mode)),
            18 => command(Operation::SetBinWidth(word(a))),
            19 => command(Operation::SetThreshold(short(a))),
            20 => command(Operation::SetThresholds { first_channel: word(a), values: whole(2) }),
            21 => command(Operation::SelectRaw(whole(4))),
            22 => command(Operation::SetBudget(word(a))),
            23 => command(Operation::SetMtu(short(a))),
            24 => command(Operation::RequestKey),
            _ => command(Operation::RequestImpedance { first_electrode: word(a), n_electrodes: short(b) }),
        }
    }
}

const N_KINDS: usize = 26;

pub(crate) fn config(cases: u32) -> Config {
    Config { cases, rng_seed: RngSeed::Fixed(1), failure_persistence: None, ..Config::default() }
}

proptest! {
    #![proptest_config(config(2_000))]

    #[test]
    fn records_come_back(all in vec(seeds(), 0..6), room in 0usize..1_500) {
        let mut bytes = std::vec![0xEE; room];
        let mut writer = RecordWriter::new(&mut bytes);
        let mut kept = Vec::new();
        for record in all.iter().map(Seeds::record) {
            let before = writer.len();
            match writer.push(&record) {
                Ok(()) => kept.push(record),
                Err(Full) => assert_eq!(writer.len(), before),
            }
        }
        let length = writer.len();
        let mut read = Records::new(&bytes[..length]);
        let back: Vec<_> = read.by_ref().map(Result::unwrap).collect();
        prop_assert_eq!(&back, &kept);
        prop_assert_eq!(read.n_unknown(), 0);
        prop_assert!(bytes[length..].len() + length == room);
        if room == 1_499 {
            prop_assert_eq!(kept.len(), all.len());
        }
    }

    /// Any bytes: it ends, after at most as many records as there are bytes, and a bad length is the last.
    #[test]
    fn any_bytes_end(bytes in vec(prop_oneof![any::<u8>(), 0u8..13, 64u8..67], 0..300)) {
        let mut records = Records::new(&bytes);
        let all: Vec<_> = records.by_ref().collect();
        prop_assert!(2 * (all.len() + records.n_unknown() as usize) <= bytes.len() + 1);
        let bad = all.iter().position(|record| *record == Err(Malformed::Length));
        prop_assert!(bad.is_none_or(|at| at + 1 == all.len()));
        // What is legal writes to the same again.
        for record in all.iter().flatten() {
            let mut again = std::vec![0; 400];
            let mut writer = RecordWriter::new(&mut again);
            writer.push(record).unwrap();
            prop_assert_eq!(Records::new(writer.written()).next(), Some(Ok(*record)));
        }
    }

    /// Fields of a later version stand behind those of this one; types of a later version between others.
    #[test]
    fn what_a_later_version_adds_is_skipped(seeds in seeds(), more in vec(any::<u8>(), 1..20), kind in 13u8..64) {
        let record = seeds.record();
        let mut bytes = [0; 400];
        let mut writer = RecordWriter::new(&mut bytes);
        writer.push(&record).unwrap();
        let written = writer.written();
        let head = if written[1] < 128 { 2 } else { 3 };
        let body = &written[head..];
        let length = body.len() + more.len();
        let mut longer = std::vec![kind, more.len() as u8];
        longer.extend(&more);
        longer.extend([written[0], length as u8 | 0x80, (length >> 7) as u8]);
        longer.extend(body);
        longer.extend(&more);
        longer.extend([127, 0]);
        let mut records = Records::new(&longer);
        let first = records.next();
        if !has_open_field(&record) {
            prop_assert_eq!(first, Some(Ok(record)));
        }
        prop_assert_eq!(records.next(), Some(Ok(Record::Bye)));
        prop_assert_eq!((records.next(), records.n_unknown()), (None, 1));
    }

    /// A body cut anywhere is an error or, where its last field is open, a record with less in it.
    #[test]
    fn short_bodies_are_errors(seeds in seeds(), cut in 0usize..400) {
        let record = seeds.record();
        let mut bytes = [0; 400];
        let mut writer = RecordWriter::new(&mut bytes);
        writer.push(&record).unwrap();
        let written = writer.written().to_vec();
        let body = &written[if written[1] < 128 { 2 } else { 3 }..];
        prop_assume!(!body.is_empty());
        let cut = &body[..cut % body.len()];
        let mut shorter = std::vec![written[0], cut.len() as u8 | 0x80, (cut.len() >> 7) as u8];
        shorter.extend(cut);
        let mut records = Records::new(&shorter);
        let first = records.next().unwrap();
        prop_assert!(first.is_err() || has_open_field(&record), "{:?} of {:?}", first, record);
        prop_assert_ne!(first, Ok(record));
        prop_assert_eq!(records.next(), None);
    }

    /// A codec fills in place what a push would copy.
    #[test]
    fn filling_in_place_writes_the_same(seeds in seeds(), at in 0usize..100) {
        let record = Record::Counts(Counts {
            epoch: 1, bin: seeds.numbers[0] as u32, first_channel: 300, n_channels: 64, n_bins: 1, table: 2,
            coded: &seeds.bytes,
        });
        let Record::Counts(counts) = record else { unreachable!() };
        let head = Record::Counts(Counts { coded: &[], ..counts });
        let (mut copied, mut filled, mut fitted) = ([0; 500], [0; 500], [0; 500]);
        let mut writers = [&mut copied, &mut filled, &mut fitted].map(|bytes| RecordWriter::new(bytes));
        for writer in &mut writers {
            for _ in 0..at {
                writer.push(&Record::Bye).unwrap();
            }
        }
        let fill = |room: &mut [u8]| {
            room.fill(0xEE);
            room[..counts.coded.len()].copy_from_slice(counts.coded);
            Ok::<usize, ()>(counts.coded.len())
        };
        writers[0].push(&record).unwrap();
        let room = writers[0].room();
        writers[1].push_with(&head, fill).unwrap();
        let largest = Record::Counts(Counts { bin: u32::MAX, n_channels: u16::MAX, coded: &[], ..counts });
        writers[2].push_fitted(&largest, |room| fill(room).map(|used| (head, used))).unwrap();
        prop_assert_eq!(writers[0].written(), writers[1].written());
        prop_assert_eq!(writers[0].written(), writers[2].written());
        prop_assert_eq!(writers[1].room(), room);
    }
}

#[test]
fn a_codec_that_fails_leaves_nothing() {
    let mut bytes = [0; 50];
    let mut writer = RecordWriter::new(&mut bytes);
    let raw = Record::Raw(Raw { electrode: 1, first_sample: 2, coded: &[] });
    assert_eq!(writer.push_with(&raw, |_| Err("no")), Err(PushError::Fill("no")));
    assert_eq!(writer.push_with(&raw, |room| Ok::<_, ()>(room.len() + 1)), Err(PushError::Full));
    let longer = Record::Raw(Raw { electrode: 1 << 20, first_sample: 2, coded: &[] });
    assert_eq!(writer.push_fitted(&raw, |_| Ok::<_, ()>((longer, 0))), Err(PushError::Full));
    assert_eq!(writer.written(), []);
    assert_eq!(writer.room(), 48);
    writer.push_with(&raw, |room| Ok::<_, ()>(room.len())).unwrap();
    assert_eq!((writer.len(), writer.room()), (50, 0));
}

#[test]
fn every_room_is_used_to_the_last_byte() {
    for room in [2, 3, 128, 129, 130, 131, 132, 490] {
        let mut bytes = std::vec![0; room];
        let mut writer = RecordWriter::new(&mut bytes);
        let head = Record::Power(Power { epoch: 0, bin: 0, first_channel: 0, levels: &[] });
        let pushed = writer.push_with(&head, |room| Ok::<_, ()>(room.len()));
        let left = room - writer.len();
        // 130 bytes: a body of 127 has one byte of length, one of 128 would be a byte too long.
        let expected = match room {
            2 | 3 => (Err(PushError::Full), room),
            130 => (Ok(()), 1),
            _ => (Ok(()), 0),
        };
        assert_eq!((pushed, left), expected, "{room}");
    }
}

#[test]
fn commands_that_are_not_known_can_be_answered() {
    let command = |bytes: &[u8]| {
        let mut record = std::vec![64, bytes.len() as u8];
        record.extend(bytes);
        Records::new(&record).next().unwrap().unwrap_err()
    };
    let answer = |id, status| Malformed::Command { id, status };
    assert_eq!(command(&[1, 2, 200]), answer(0x201, Status::Unknown));
    assert_eq!(command(&[1, 2, 3, 6]), answer(0x201, Status::Range), "no such mode");
    assert_eq!(command(&[1, 2, 7, 0, 0, 0]), answer(0x201, Status::Range), "three bytes of an electrode");
    let mut many = [0; 3 + 1 + 2 * THRESHOLDS_MAX];
    many[..3].copy_from_slice(&[9, 0, 6]);
    let mut record = std::vec![64, many.len() as u8 | 0x80, (many.len() >> 7) as u8];
    record.extend(many);
    assert!(Records::new(&record).next().unwrap().is_ok(), "as many thresholds as may be");
    record.extend([0, 0]);
    record[1] += 2;
    assert_eq!(Records::new(&record).next(), Some(Err(answer(9, Status::Range))));
    assert_eq!(command(&[1, 2]), Malformed::Short { kind: 64 });
}

#[test]
fn what_stands_for_nothing_is_illegal() {
    let one = |bytes: &[u8]| Records::new(bytes).next().unwrap().unwrap_err();
    assert_eq!(one(&[10, 7, 1, 0, 4, 0, 0, 0, 0]), Malformed::Illegal { kind: 10 }, "status 4");
    assert_eq!(one(&[11, 4, 0, 0, 0, 0]), Malformed::Illegal { kind: 11 }, "table 0");
    assert_eq!(one(&[9, 2, 0, 1]), Malformed::Illegal { kind: 9 }, "half a value");
    assert_eq!(one(&[66, 0x80, 0x80, 0]), Malformed::Length, "three bytes of length");
    assert_eq!(one(&[66, 5, 0, 0, 0, 0]), Malformed::Length, "longer than the datagram");
    assert_eq!(one(&[66]), Malformed::Length);
    let mut hello = std::vec![1, 61];
    hello.extend([0; 26]);
    hello.push(33);
    hello.extend([b'a'; 33]);
    hello.push(0);
    assert_eq!(one(&hello), Malformed::Illegal { kind: 1 }, "a name too long");
    let mut writer = [0; 200];
    let mut writer = RecordWriter::new(&mut writer);
    let long = "a".repeat(33);
    let name = Seeds { numbers: [0; 6], bytes: Vec::new(), names: (long, String::new()), kind: 0 };
    assert_eq!(writer.push(&name.record()), Err(Full));
}

#[test]
fn the_readme_shows_true_bytes() {
    let readme = include_str!("../README.md");
    let example = readme.split("```hex").nth(1).unwrap().split("```").next().unwrap();
    let shown: Vec<u8> = example.split_whitespace().map(|hex| u8::from_str_radix(hex, 16).unwrap()).collect();
    let mut bytes = [0; 64];
    let mut writer = RecordWriter::new(&mut bytes);
    writer.push(&Record::Ack(Ack { id: 258, status: Status::Done, value: 20 })).unwrap();
    let (bin, first_channel, coded) = (300, 128, &[0xAA, 0xBB, 0xCC][..]);
    let counts = Counts { epoch: 5, bin, first_channel, n_channels: 64, n_bins: 1, table: 0, coded };
    writer.push(&Record::Counts(counts)).unwrap();
    assert_eq!(writer.written(), shown);
}

/// Its last field goes to the end of the body, so that bytes behind belong to it.
fn has_open_field(record: &Record<'_>) -> bool {
    matches!(
        record,
        Record::Counts(_)
            | Record::Crossings(_)
            | Record::Raw(_)
            | Record::Power(_)
            | Record::Snippet(_)
            | Record::Impedance(_)
            | Record::Table(_)
            | Record::Command(Command {
                operation: Operation::SetThresholds { .. } | Operation::SelectRaw(_),
                ..
            })
    )
}
