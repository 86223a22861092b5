//! Tries the parsers of the link with millions of inputs, most of them legal ones that were damaged.
//!
//! In: how many inputs, a seed. Out: what became of them, `panics 0` and `allocations 0` if all is well, exit code 1
//! otherwise. Guarantees: the same seed tries the same inputs. After each input it is checked that every packet is
//! counted once, that what opened was sent and did not open before, that what parses as a record writes to the same again,
//! and that what a codec reads (counts, crossings, tables, raw samples) is legal and comes back when it is coded again.
//!
//! ```text
//! cargo run --release -p efference-wire --example fuzz -- --inputs 10000000 --seed 1
//! ```

mod codecs;
mod records;

use codecs::Codecs;
use efference_wire::packet::{Counters, Dropped, MTU_MAX};
use efference_wire::session::{Access, Device, Endpoint, Host, Key, Received, records_max};
use efference_wire::{RecordWriter, Records};
use records::{Random, damage, legal_records};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;

fn main() -> ExitCode {
    let (mut inputs_wanted, mut seed) = (100_000, 1);
    let mut arguments = std::env::args().skip(1);
    while let Some(name) = arguments.next() {
        let value = arguments.next().and_then(|value| value.parse().ok());
        match (name.as_str(), value) {
            ("--inputs", Some(value)) => inputs_wanted = value,
            ("--seed", Some(value)) => seed = value,
            _ => {
                eprintln!("usage: fuzz [--inputs N] [--seed N]");
                return ExitCode::FAILURE;
            }
        }
    }
    let mut totals = Totals::default();
    let mut number = 0;
    while totals.inputs < inputs_wanted {
        let mut random = Random(seed ^ (number << 32));
        let mut part = Totals::default();
        let wanted = (inputs_wanted - totals.inputs).min(EPISODE);
        let done = catch_unwind(AssertUnwindSafe(|| episode(&mut random, wanted, &mut part)));
        if done.is_err() {
            eprintln!("seed {seed}, episode {number}, input {}: panicked", part.inputs);
            totals.panics += 1;
        }
        totals.add(&part);
        number += 1;
    }
    print(&totals, seed);
    match totals.panics + totals.allocations {
        0 => ExitCode::SUCCESS,
        _ => ExitCode::FAILURE,
    }
}

fn print(totals: &Totals, seed: u64) {
    println!("wire.fuzz.inputs {}", totals.inputs);
    println!("seed {seed}");
    println!("panics {}", totals.panics);
    println!("allocations {}", totals.allocations);
    let (host, device) = (size_of::<Endpoint<Host>>(), size_of::<Endpoint<Device>>());
    println!("bytes of state: host {host}, device {device}");
    println!("packets {}, datagrams opened {}", totals.counters.packets, totals.counters.opened);
    println!("records read {}, malformed {}, unknown {}", totals.records, totals.malformed, totals.unknown);
    println!("units of the codecs read {}, refused {}", totals.decoded, totals.undecoded);
    for cause in Dropped::ALL {
        println!("dropped, {}: {}", cause.name(), totals.counters.of(cause));
    }
}

/// What became of the inputs.
#[derive(Default)]
struct Totals {
    inputs: u64,
    panics: u64,
    allocations: u64,
    records: u64,
    malformed: u64,
    unknown: u64,
    /// Units that a codec read, and that it refused.
    decoded: u64,
    undecoded: u64,
    counters: Counters,
    codecs: Codecs,
}

impl Totals {
    fn add(&mut self, other: &Totals) {
        self.inputs += other.inputs;
        self.panics += other.panics;
        self.allocations += other.allocations;
        self.records += other.records;
        self.malformed += other.malformed;
        self.unknown += other.unknown;
        self.decoded += other.decoded;
        self.undecoded += other.undecoded;
        self.add_counters(&other.counters);
    }

    fn add_counters(&mut self, other: &Counters) {
        self.counters.packets = self.counters.packets.wrapping_add(other.packets);
        self.counters.opened = self.counters.opened.wrapping_add(other.opened);
        for (sum, count) in self.counters.dropped.iter_mut().zip(other.dropped) {
            *sum = sum.wrapping_add(count);
        }
    }
}

/// Two ends that meet and talk over a radio that spoils much of it, for `wanted` inputs.
fn episode(random: &mut Random, wanted: u64, totals: &mut Totals) {
    let plain = random.below(3) == 0;
    let access = if plain { Access::Plain } else { Access::Paired(Key::from_bytes([random.byte(); 32])) };
    let mtu = [20, 21, 64, 127, 128, 185, 512][random.below(7)];
    let mut host = Box::new(Endpoint::host(access.clone(), random.byte()));
    let mut device = Box::new(Endpoint::device(access.clone()));
    let room = records_max(mtu, &access);
    let (mut sent, mut opened) = (Vec::new(), Vec::new());
    let mut air = Vec::new();
    while totals.inputs < wanted {
        match random.below(16) {
            // Bytes of a datagram's inside, as a faulty but honest sender would send them.
            0 | 1 => {
                let mut bytes = legal_records(random, room);
                damage(random, &mut bytes, &[]);
                totals.inputs += 1;
                read(&bytes, totals);
            }
            2 => {
                let length = random.below(60);
                let mut packet = random.bytes(length);
                if let Some(first) = packet.first_mut() {
                    *first = 0x40 | *first & 0x1F;
                }
                take(&mut host, &packet, totals);
                take_device(&mut device, &packet, random, totals, mtu);
            }
            // A greeting, most often while a session lives.
            3 if device.tally().is_none() || random.below(40) == 0 => {
                greet(&mut host, &mut device, random, mtu, totals);
            }
            4..=5 if host.tally().is_some() => {
                let command = legal_records(random, room);
                if host.seal(&command).is_ok() {
                    for mut packet in packets(&mut *host, mtu) {
                        spoil(random, &mut packet, plain);
                        take_device(&mut device, &packet, random, totals, mtu);
                    }
                }
            }
            // The device's stream: each datagram has its number in it, so that what opens can be compared.
            _ if device.tally().is_some() => {
                let mut records = legal_records(random, room - 7);
                let number = sent.len() as u32;
                records.extend([120, 4]);
                records.extend(number.to_le_bytes());
                if device.seal(&records).is_ok() {
                    sent.push(records);
                    opened.push(false);
                    air.extend(packets(&mut *device, mtu));
                }
                while air.len() > 24 {
                    let at = if random.below(4) == 0 { random.below(air.len()) } else { 0 };
                    let mut packet: Vec<u8> = air.remove(at);
                    if random.below(16) == 0 {
                        air.insert(random.below(air.len()), packet.clone());
                    }
                    let touched = spoil(random, &mut packet, plain);
                    let got = take(&mut host, &packet, totals);
                    check(&got, touched, plain, &sent, &mut opened);
                }
            }
            _ => greet(&mut host, &mut device, random, mtu, totals),
        }
        assert!(host.counters().is_balanced(host.n_held()), "{:?}", host.counters());
        assert!(device.counters().is_balanced(device.n_held()), "{:?}", device.counters());
    }
    totals.add_counters(host.counters());
    totals.add_counters(device.counters());
}

/// What opened was sent, byte by byte, and did not open before. In the clear, who mends the checksum is believed.
fn check(got: &[u8], touched: bool, plain: bool, sent: &[Vec<u8>], opened: &mut [bool]) {
    let Some(number) = got.last_chunk::<4>() else { return };
    if plain && touched {
        return;
    }
    let number = u32::from_le_bytes(*number) as usize;
    match sent.get(number) {
        Some(records) if records == got => {}
        _ if plain => return,
        _ => panic!("this was never sent: {got:?}"),
    }
    assert!(!opened[number] || plain, "datagram {number} opened twice");
    opened[number] = true;
}

/// A handshake whose packets are spoiled at times; the host proves itself at the end.
fn greet(
    host: &mut Endpoint<Host>,
    device: &mut Endpoint<Device>,
    random: &mut Random,
    mtu: usize,
    totals: &mut Totals,
) {
    match random.below(2) {
        0 if host.is_asking() => host.hello_again(),
        _ => host.connect(random.array()),
    }
    for mut packet in packets(host, mtu) {
        if random.below(4) == 0 {
            let _ = spoil(random, &mut packet, true);
        }
        take_device(device, &packet, random, totals, mtu);
    }
    for mut packet in packets(device, mtu) {
        if random.below(8) == 0 {
            let _ = spoil(random, &mut packet, true);
        }
        take(host, &packet, totals);
    }
    if host.seal(&[127, 0]).is_ok() {
        for packet in packets(host, mtu) {
            take_device(device, &packet, random, totals, mtu);
        }
    }
}

/// The host gets a packet; the records that it opened.
fn take(host: &mut Endpoint<Host>, packet: &[u8], totals: &mut Totals) -> Vec<u8> {
    totals.inputs += 1;
    let mut bytes = [0; MTU_MAX];
    let mut length = 0;
    let counted = allocation_counter::measure(|| {
        if let Ok(Received::Records(records) | Received::Earlier(records)) = host.receive(packet) {
            length = records.len();
            bytes[..length].copy_from_slice(records);
        }
    });
    totals.allocations += counted.count_total;
    read(&bytes[..length], totals);
    bytes[..length].to_vec()
}

/// The device gets a packet, and answers it if it is a hello.
fn take_device(
    device: &mut Endpoint<Device>,
    packet: &[u8],
    random: &mut Random,
    totals: &mut Totals,
    mtu: usize,
) {
    totals.inputs += 1;
    let (entropy, answer) = (random.array(), legal_records(random, 100));
    let mut asked = false;
    let counted = allocation_counter::measure(|| match device.receive(packet) {
        Ok(Received::Hello) => {
            asked = true;
            let _ = device.answer(entropy, &answer);
        }
        Ok(Received::Records(records) | Received::Session(records)) => {
            assert!(Records::new(records).count() <= records.len());
        }
        Ok(Received::Nothing | Received::Earlier(_)) | Err(_) => {}
    });
    totals.allocations += counted.count_total;
    if asked && random.below(8) == 0 {
        // Lost on its way back.
        let _ = packets(device, mtu);
    }
}

/// Reads all records; what is legal is written and read again.
fn read(bytes: &[u8], totals: &mut Totals) {
    let mut again = [0; 1_024];
    let counted = allocation_counter::measure(|| {
        let mut records = Records::new(bytes);
        for record in records.by_ref() {
            match record {
                Ok(record) => {
                    totals.records += 1;
                    match totals.codecs.read(&record) {
                        Some(true) => totals.decoded += 1,
                        Some(false) => totals.undecoded += 1,
                        None => {}
                    }
                    let mut writer = RecordWriter::new(&mut again);
                    assert!(writer.push(&record).is_ok(), "{record:?} doesn't fit");
                    assert_eq!(Records::new(writer.written()).next(), Some(Ok(record)));
                }
                Err(_) => totals.malformed += 1,
            }
        }
        totals.unknown += u64::from(records.n_unknown());
    });
    totals.allocations += counted.count_total;
}

fn packets<Role>(end: &mut Endpoint<Role>, mtu: usize) -> Vec<Vec<u8>> {
    let mut packets = Vec::new();
    let mut packet = [0; MTU_MAX];
    while let Some(length) = end.poll_packet(mtu, &mut packet) {
        packets.push(packet[..length].to_vec());
    }
    packets
}

/// Spoils most packets; where `mend`, at times with a checksum that fits. Whether it is another packet now.
fn spoil(random: &mut Random, packet: &mut Vec<u8>, mend: bool) -> bool {
    if random.below(4) == 0 {
        return false;
    }
    let before = packet.clone();
    damage(random, packet, &before);
    if mend && random.below(2) == 0 && packet.len() > 4 && packet[0] & 1 == 0 {
        let end = packet.len() - 4;
        let sum = crc::Crc::<u32>::new(&crc::CRC_32_ISO_HDLC).checksum(&packet[..end]);
        packet[end..].copy_from_slice(&sum.to_le_bytes());
    }
    *packet != before
}

/// Inputs between two beginnings with nothing known.
const EPISODE: u64 = 5_000;
