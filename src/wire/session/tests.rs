//! Sessions against another implementation of Noise, and against attackers.

mod radio;

use super::*;
use crate::packet::{Dropped, Kind, MTU_MAX};
use chacha20poly1305::{AeadInPlace, ChaCha20Poly1305, KeyInit, Nonce, Tag};
use snow::{Builder, HandshakeState};
use std::boxed::Box;
use std::vec::Vec;

type HostEnd = Endpoint<Host>;
type DeviceEnd = Endpoint<Device>;

const KEY: [u8; 32] = [9; 32];

fn paired() -> Access {
    Access::Paired(Key::from_bytes(KEY))
}

/// All packets that an end has to send.
fn packets<Role>(end: &mut Endpoint<Role>, mtu: usize) -> Vec<Vec<u8>> {
    let mut packets = Vec::new();
    let mut packet = [0; MTU_MAX];
    while let Some(length) = end.poll_packet(mtu, &mut packet) {
        packets.push(packet[..length].to_vec());
    }
    packets
}

/// The packets of one datagram.
fn sealed<Role>(end: &mut Endpoint<Role>, mtu: usize, records: &[u8]) -> Vec<Vec<u8>> {
    end.seal(records).unwrap();
    packets(end, mtu)
}

fn greet(host: &mut HostEnd, device: &mut DeviceEnd, entropy: u8) {
    host.connect([entropy; 32]);
    for packet in packets(host, 20) {
        if device.receive(&packet) == Ok(Received::Hello) {
            device.answer([entropy + 100; 32], b"what I am").unwrap();
        }
    }
    let answer = packets(device, 20);
    let (last, others) = answer.split_last().unwrap();
    for packet in others {
        assert_eq!(host.receive(packet), Ok(Received::Nothing));
    }
    assert_eq!(host.receive(last), Ok(Received::Session(b"what I am")));
}

/// Two ends in a session that both have proved; one datagram of the host's is gone.
fn connected(access: &Access) -> (Box<HostEnd>, Box<DeviceEnd>) {
    let mut host = Box::new(Endpoint::host(access.clone(), 1));
    let mut device = Box::new(Endpoint::device(access.clone()));
    greet(&mut host, &mut device, 1);
    let first = sealed(&mut host, 512, b"first");
    assert_eq!(device.receive(&first[0]), Ok(Received::Session(b"first")));
    (host, device)
}

fn balanced<Role>(end: &Endpoint<Role>) {
    assert!(end.counters().is_balanced(end.n_held()), "{:?}", end.counters());
}

fn snow(is_initiator: bool) -> HandshakeState {
    let pattern = "Noise_NNpsk0_25519_ChaChaPoly_SHA256".parse().unwrap();
    let builder = Builder::new(pattern).prologue(b"efference link 2").unwrap().psk(0, &KEY).unwrap();
    match is_initiator {
        true => builder.build_initiator().unwrap(),
        false => builder.build_responder().unwrap(),
    }
}

/// Opens a sealed datagram (packet) by what the README says, with another implementation's key.
fn open_by_the_book(key: &[u8; 32], packet: &[u8]) -> Vec<u8> {
    let (mut nonce, sequence) = ([0; 12], &packet[2..6]);
    nonce[4..8].copy_from_slice(sequence);
    let (text, tag) = packet[6..].split_last_chunk::<16>().unwrap();
    let mut text = text.to_vec();
    let cipher = ChaCha20Poly1305::new(key.into());
    let (nonce, tag) = (Nonce::from_slice(&nonce), Tag::from_slice(tag));
    cipher.decrypt_in_place_detached(nonce, &packet[..6], &mut text, tag).unwrap();
    text
}

#[test]
fn our_host_and_a_device_of_snow_agree() {
    let mut host = Endpoint::host(paired(), 5);
    host.connect([3; 32]);
    let hello = packets(&mut host, 512).remove(0);
    assert_eq!(hello[..3], [0x40, 5, 1]);
    let mut device = snow(false);
    let mut buffer = [0; 200];
    assert_eq!(device.read_message(&hello[3..51], &mut buffer).unwrap(), 0);
    let length = device.write_message(b"my records", &mut buffer).unwrap();
    let mut answer = std::vec![0x44, 5, 1];
    answer.extend(&buffer[..length]);
    let crc = crc::Crc::<u32>::new(&crc::CRC_32_ISO_HDLC).checksum(&answer);
    answer.extend(crc.to_le_bytes());
    assert_eq!(host.receive(&answer), Ok(Received::Session(b"my records")));

    let (to_device, _) = device.dangerously_get_raw_split();
    for _ in 0..3 {
        let packet = sealed(&mut host, 512, b"do this").remove(0);
        assert_eq!(open_by_the_book(&to_device, &packet), b"do this");
    }
}

#[test]
fn our_device_and_a_host_of_snow_agree() {
    let mut device = Endpoint::device(paired());
    let mut host = snow(true);
    let mut buffer = [0; 200];
    let length = host.write_message(&[], &mut buffer).unwrap();
    let mut hello = std::vec![0x40, 8, 1];
    hello.extend(&buffer[..length]);
    let crc = crc::Crc::<u32>::new(&crc::CRC_32_ISO_HDLC).checksum(&hello);
    hello.extend(crc.to_le_bytes());
    assert_eq!(device.receive(&hello), Ok(Received::Hello));
    device.answer([4; 32], b"what I am").unwrap();
    let answer = packets(&mut device, 512).remove(0);
    assert_eq!(answer[..3], [0x44, 8, 1]);
    let length = host.read_message(&answer[3..answer.len() - 4], &mut buffer).unwrap();
    assert_eq!(&buffer[..length], b"what I am");

    let (to_device, to_host) = host.dangerously_get_raw_split();
    let host = host.into_stateless_transport_mode().unwrap();
    // The host's first datagram, by the book.
    let mut first = std::vec![0x48, 8, 0, 0, 0, 0];
    let (cipher, mut text) = (ChaCha20Poly1305::new(&to_device.into()), *b"start");
    let tag = cipher.encrypt_in_place_detached(&Nonce::default(), &first, &mut text).unwrap();
    first.extend(text);
    first.extend(tag);
    assert_eq!(device.receive(&first), Ok(Received::Session(b"start")));
    let length = host.write_message(0, b"start", &mut buffer).unwrap();
    assert_eq!((length, &buffer[..5]), (21, &first[6..11]), "snow's transport makes the same text");
    let packet = sealed(&mut device, 512, b"counts").remove(0);
    assert_eq!(open_by_the_book(&to_host, &packet), b"counts");
}

#[test]
fn neither_key_nor_records_are_to_be_seen() {
    let (mut host, device) = connected(&paired());
    let packet = sealed(&mut host, 512, b"a thought of mine").remove(0);
    assert_eq!(packet.len(), 1 + 5 + 17 + 16);
    assert!(!packet.windows(4).any(|part| part == b"a th" || part == b"mine"));
    let shown = std::format!("{host:?} {device:?}");
    assert!(!shown.contains("9, 9, 9") && shown.contains("Key(..)"), "{shown}");
    assert_ne!(Key::from_bytes([1; 32]).fingerprint(), Key::from_bytes([2; 32]).fingerprint());
}

#[test]
fn another_key_gets_nowhere() {
    let mut host = Endpoint::host(Access::Paired(Key::from_bytes([1; 32])), 1);
    let mut device = Endpoint::device(paired());
    host.connect([1; 32]);
    let hello = packets(&mut host, 512).remove(0);
    assert_eq!(device.receive(&hello), Err(Dropped::Forged));
    assert_eq!(device.answer([2; 32], &[]), Err(SealError::NotAsked));
    assert_eq!(host.seal(b"x"), Err(SealError::NoSession));
    // A device with another key that answers all the same.
    let mut right = Endpoint::host(paired(), 1);
    right.connect([1; 32]);
    device.receive(&packets(&mut right, 512)[0]).unwrap();
    device.answer([2; 32], &[]).unwrap();
    assert_eq!(host.receive(&packets(&mut device, 512)[0]), Err(Dropped::Forged));
    assert!(host.is_asking() && host.tally().is_none());
    balanced(&host);
    balanced(&device);
}

#[test]
fn plain_and_sealed_do_not_mix() {
    let (mut plain_host, mut plain_device) = connected(&Access::Plain);
    let (mut host, mut device) = connected(&paired());
    let plain = sealed(&mut plain_host, 512, b"x").remove(0);
    assert_eq!(device.receive(&plain), Err(Dropped::PlainRefused));
    assert_eq!(plain_device.receive(&sealed(&mut host, 512, b"x")[0]), Err(Dropped::SealedRefused));
    assert_eq!(plain_device.receive(&plain), Ok(Received::Records(b"x")));
    assert_eq!(plain[6..7], *b"x", "plain it is");
    plain_host.connect([5; 32]);
    host.connect([5; 32]);
    assert_eq!(device.receive(&packets(&mut plain_host, 512)[0]), Err(Dropped::PlainRefused));
    assert_eq!(plain_device.receive(&packets(&mut host, 512)[0]), Err(Dropped::SealedRefused));
    assert!(device.tally().is_some() && plain_device.tally().is_some());
    // An answer in the clear to a sealed question: a downgrade.
    let mut answer = std::vec![0x44, 2, 2];
    answer.extend(crc::Crc::<u32>::new(&crc::CRC_32_ISO_HDLC).checksum(&answer).to_le_bytes());
    assert_eq!(host.receive(&answer), Err(Dropped::PlainRefused));
    balanced(&host);
    balanced(&device);
    balanced(&plain_device);
}

#[test]
fn a_plain_host_that_returns_with_the_same_number_is_heard() {
    let (_, mut device) = connected(&Access::Plain);
    let mut host = Box::new(Endpoint::host(Access::Plain, 1));
    greet(&mut host, &mut device, 7);
    let first = sealed(&mut host, 512, b"again");
    assert_eq!(device.receive(&first[0]), Ok(Received::Session(b"again")));
    assert_eq!(device.previous().map(|tally| tally.received), Some(1));
    assert_eq!(device.receive(&first[0]), Err(Dropped::Replayed));
}

#[test]
fn a_replayed_hello_ends_no_session() {
    let mut host = Box::new(Endpoint::host(paired(), 1));
    let mut device = Box::new(Endpoint::device(paired()));
    host.connect([1; 32]);
    let old_hello = packets(&mut host, 512).remove(0);
    device.receive(&old_hello).unwrap();
    device.answer([2; 32], &[]).unwrap();
    let old_answer = packets(&mut device, 512).remove(0);
    host.receive(&old_answer).unwrap();
    let old_first = sealed(&mut host, 512, b"old").remove(0);
    assert_eq!(device.receive(&old_first), Ok(Received::Session(b"old")));
    // The host begins anew; then somebody replays all of the first session.
    greet(&mut host, &mut device, 3);
    assert_eq!(device.receive(&sealed(&mut host, 512, b"new")[0]), Ok(Received::Session(b"new")));
    assert_eq!(device.receive(&old_hello), Ok(Received::Hello));
    device.answer([4; 32], &[]).unwrap();
    assert_eq!(device.receive(&old_first), Err(Dropped::Forged), "fresh keys by the device's own randomness");
    assert_eq!(host.receive(&old_answer), Err(Dropped::Unexpected));
    assert_eq!(device.receive(&sealed(&mut host, 512, b"and on")[0]), Ok(Received::Records(b"and on")));
    assert_eq!(host.receive(&sealed(&mut device, 512, b"counts")[0]), Ok(Received::Records(b"counts")));
    assert_eq!(device.tally().map(|tally| (tally.session, tally.received)), Some((2, 2)));
    balanced(&host);
    balanced(&device);
}

#[test]
fn a_lost_answer_is_given_again() {
    let mut host = Endpoint::host(paired(), 1);
    let mut device = Endpoint::device(paired());
    host.hello_again();
    assert!(host.is_idle(), "nothing was asked");
    host.connect([1; 32]);
    let hello = packets(&mut host, 512);
    device.receive(&hello[0]).unwrap();
    assert_eq!(device.receive(&hello[0]), Ok(Received::Hello), "not answered yet");
    device.answer([2; 32], b"I").unwrap();
    let lost = packets(&mut device, 512);
    host.hello_again();
    assert_eq!(packets(&mut host, 512), hello);
    assert_eq!(device.receive(&hello[0]), Ok(Received::Nothing));
    assert_eq!(device.answer([3; 32], b"I"), Err(SealError::NotAsked), "it is answered");
    let again = packets(&mut device, 512);
    assert_eq!(again, lost);
    assert_eq!(host.receive(&again[0]), Ok(Received::Session(b"I")));
    assert_eq!(host.receive(&again[0]), Err(Dropped::Unexpected));
    assert_eq!(
        device.seal(b"counts"),
        Err(SealError::NoSession),
        "until the host has proved that it is there"
    );
    assert_eq!(device.receive(&sealed(&mut host, 512, b"go")[0]), Ok(Received::Session(b"go")));
    balanced(&host);
    balanced(&device);
}

#[test]
fn a_session_has_limits() {
    let (mut host, mut device) = connected(&paired());
    assert_eq!(host.seal(&[0; 512 - 20]), Err(SealError::TooLong));
    host.seal(&[0; 400]).unwrap();
    assert_eq!(host.seal(b"x"), Err(SealError::Busy));
    let sent = packets(&mut host, 512);
    assert_eq!(device.receive(&sent[0]), Ok(Received::Records(&[0; 400])));
    assert_eq!(records_max(512, &paired()), 511 - 21);
    assert_eq!(device.answer([0; 32], &[0; ANSWER_MAX + 1]), Err(SealError::NotAsked));
    host.connect([8; 32]);
    assert_eq!(device.receive(&packets(&mut host, 512)[0]), Ok(Received::Hello));
    assert_eq!(device.answer([0; 32], &[0; ANSWER_MAX + 1]), Err(SealError::TooLong));
    device.answer([8; 32], &[5; ANSWER_MAX]).unwrap();
    let answer = packets(&mut device, 20);
    assert_eq!(answer.len(), 16, "all of it fits into the smallest packets");
    let received = answer
        .iter()
        .map(|packet| host.receive(packet).map(|got| got == Received::Session(&[5; ANSWER_MAX])));
    assert_eq!(received.last(), Some(Ok(true)));
    host.end();
    assert_eq!((host.tally(), host.previous().map(|tally| tally.session)), (None, Some(2)));
}

#[test]
fn late_ones_are_counted_and_lost() {
    let (mut host, mut device) = connected(&paired());
    let sent: Vec<Vec<u8>> =
        (0..300u32).map(|n| sealed(&mut device, 512, &n.to_le_bytes()).remove(0)).collect();
    for packet in &sent[1..] {
        assert!(host.receive(packet).is_ok());
    }
    assert_eq!(host.receive(&sent[0]), Err(Dropped::Late));
    assert_eq!(host.receive(&sent[299]), Err(Dropped::Replayed));
    let tally = host.tally().unwrap();
    assert_eq!((tally.next_sequence, tally.received, tally.lost(), tally.late), (300, 299, 1, 1));
    assert_eq!(device.tally().unwrap().sent, 300);
    assert_eq!(host.receive(&[0x48, 1, 0, 0, 0]), Err(Dropped::Truncated));
    assert_eq!(host.receive(&[0x48, 9, 0, 0, 0, 0, 0]), Err(Dropped::WrongSession));
    balanced(&host);
}

#[test]
fn no_flipped_bit_and_no_cut_gets_through() {
    let (mut host, mut device) = connected(&paired());
    let (mut plain_host, mut plain_device) = connected(&Access::Plain);
    for round in 0..2 {
        let check = |host: &mut HostEnd, device: &mut DeviceEnd| {
            let packet = sealed(device, 512, b"seven counts of one bin").remove(0);
            for bit in 0..8 * packet.len() {
                let mut flipped = packet.clone();
                flipped[bit / 8] ^= 1 << (bit % 8);
                let got = host.receive(&flipped);
                assert!(matches!(got, Err(_) | Ok(Received::Nothing)), "{round}: bit {bit}: {got:?}");
            }
            for length in 0..packet.len() {
                assert!(host.receive(&packet[..length]).is_err(), "{length} bytes");
            }
            assert_eq!(host.receive(&packet), Ok(Received::Records(b"seven counts of one bin")));
            balanced(host);
        };
        check(&mut host, &mut device);
        check(&mut plain_host, &mut plain_device);
    }
}

#[test]
fn what_it_takes_to_hold_an_end() {
    // On a machine of 64 bits; the README says so.
    assert!(size_of::<DeviceEnd>() <= 4_200, "{}", size_of::<DeviceEnd>());
}

#[test]
fn kinds_in_the_wrong_direction_are_refused() {
    let (mut host, mut device) = connected(&paired());
    assert_eq!(host.receive(&[Kind::Hello.head(), 1, 1, 0, 0, 0, 0]), Err(Dropped::Unexpected));
    assert_eq!(device.receive(&[Kind::HelloBack.head(), 1, 1, 0, 0, 0, 0]), Err(Dropped::Unexpected));
    assert_eq!(device.receive(&[Kind::Hello.head(), 1, 1, 0, 0, 0, 0]), Err(Dropped::Damaged));
    assert_eq!(device.receive(&[Kind::Hello.head(), 1]), Err(Dropped::Truncated));
    // Its own datagram comes back to it.
    let own = sealed(&mut device, 512, b"counts").remove(0);
    assert_eq!(device.receive(&own), Err(Dropped::Forged));
}
