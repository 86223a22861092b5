//! How many packets of an attacker get through: in the name of a device and in the name of a host.
//!
//! In: nothing. Out: a line `ble.forged_accepted N` of 100,000 packets, for `scripts/figures bluetooth`. The attacker has
//! heard all that was ever said, this session's and an older one's, and has another key. He sends what he heard again,
//! changes bits of it, and sends what he sealed himself. Synthetic, seed 1.

use efference::wire::session::{Access, Device, Endpoint, Host, Key, Received};
use efference::wire::{Record, RecordWriter};
use rand::{RngExt, SeedableRng};
use rand_xoshiro::Xoshiro256PlusPlus;

fn main() {
    let mut rng = Xoshiro256PlusPlus::seed_from_u64(1);
    let (ours, others) = (Key::from_bytes([7; 32]), Key::from_bytes([8; 32]));
    let (_, _, older) = talk(&ours, [1, 2]);
    let (_, _, foreign) = talk(&others, [3, 4]);
    let (mut host, mut device, heard) = talk(&ours, [5, 6]);
    let (mut sent, mut accepted, mut causes) = (0_u32, 0_u32, std::collections::BTreeMap::new());
    while sent < PACKETS {
        let of = [&older, &foreign, &heard][rng.random_range(0..3_usize)];
        let mut packet = of[rng.random_range(0..of.len() as u64) as usize].clone();
        if rng.random_range(0..2) == 0 {
            let at = rng.random_range(0..packet.len() as u64) as usize;
            packet[at] ^= 1 << rng.random_range(0..8);
        }
        for result in [is_taken(host.receive(&packet)), is_taken(device.receive(&packet))] {
            match result {
                Ok(is_taken) => accepted += u32::from(is_taken),
                Err(cause) => *causes.entry(cause).or_insert(0) += 1,
            }
        }
        sent += 1;
    }
    println!("ble.forged_accepted {accepted}");
    println!("ble.forged_packets {sent}");
    eprintln!("dropped, by both ends: {causes:?}");
}

/// Whether records came out of it.
fn is_taken(received: Result<Received<'_>, efference::wire::packet::Dropped>) -> Result<bool, &'static str> {
    match received {
        Ok(Received::Records(_) | Received::Session(_) | Received::Earlier(_)) => Ok(true),
        // Fragments, and hellos, which are answered and open nothing.
        Ok(Received::Nothing | Received::Hello) => Ok(false),
        Err(cause) => Err(cause.name()),
    }
}

/// A session, and all packets of both ways.
fn talk(key: &Key, entropy: [u8; 2]) -> (Endpoint<Host>, Endpoint<Device>, Vec<Vec<u8>>) {
    let mut host = Endpoint::host(Access::Paired(key.clone()), entropy[0]);
    let mut device = Endpoint::device(Access::Paired(key.clone()));
    let mut heard = Vec::new();
    host.connect([entropy[0]; 32]);
    heard.extend(drain(|packet| host.poll_packet(MTU, packet)));
    for packet in heard.clone() {
        if device.receive(&packet) == Ok(Received::Hello) && device.answer([entropy[1]; 32], &[]).is_err() {
            eprintln!("no answer");
        }
    }
    let answers = drain(|packet| device.poll_packet(MTU, packet));
    for packet in &answers {
        let _session = host.receive(packet);
    }
    heard.extend(answers);
    for k in 0..DATAGRAMS {
        let mut bytes = [0; 100];
        let mut records = RecordWriter::new(&mut bytes);
        if records.push(&Record::Ping(k)).is_err() {
            continue;
        }
        // The host speaks first, and opens the session on the device.
        let _sealed = host.seal(records.written());
        let ours = drain(|packet| host.poll_packet(MTU, packet));
        ours.iter().for_each(|packet| assert!(device.receive(packet).is_ok(), "the host's own"));
        let _sealed = device.seal(records.written());
        let theirs = drain(|packet| device.poll_packet(MTU, packet));
        theirs.iter().for_each(|packet| assert!(host.receive(packet).is_ok(), "the device's own"));
        heard.extend(ours);
        heard.extend(theirs);
    }
    (host, device, heard)
}

fn drain(mut poll: impl FnMut(&mut [u8]) -> Option<usize>) -> Vec<Vec<u8>> {
    let mut packet = [0; MTU];
    std::iter::from_fn(|| poll(&mut packet).map(|n| packet[..n].to_vec())).collect()
}

const MTU: usize = 244;
const PACKETS: u32 = 100_000;
/// Each way.
const DATAGRAMS: u32 = 500;
