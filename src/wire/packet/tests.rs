//! Packets on a radio that loses, repeats, reorders and damages.

use super::*;
use crate::record::tests::config;
use proptest::collection::vec;
use proptest::prelude::*;
use std::vec::Vec;

/// The packets of datagrams, each of which holds its own number and noise.
fn packets(datagrams: &[Vec<u8>], mtu: usize) -> Vec<Vec<u8>> {
    let mut fragmenter = Fragmenter::new();
    let mut packets = Vec::new();
    for datagram in datagrams {
        fragmenter.load(Kind::Sealed, datagram).unwrap();
        let mut packet = [0; MTU_MAX];
        while let Some(length) = fragmenter.poll(mtu, &mut packet) {
            assert!(length <= mtu);
            packets.push(packet[..length].to_vec());
        }
    }
    packets
}

struct Receiver {
    assembler: Assembler,
    counters: Counters,
    out: Vec<Vec<u8>>,
}

impl Receiver {
    fn new() -> Self {
        Receiver { assembler: Assembler::new(), counters: Counters::default(), out: Vec::new() }
    }

    fn push(&mut self, packet: &[u8]) -> Option<Dropped> {
        let mut datagram = [0; DATAGRAM_MAX];
        let pushed = self.assembler.push(packet, &mut datagram, &mut self.counters);
        // Here every datagram that is complete counts as opened.
        self.counters.opened = self.counters.datagrams;
        assert!(self.counters.is_balanced(self.assembler.n_held()), "{:?}", self.counters);
        match pushed {
            Ok(Some(found)) => self.out.push(datagram[..found.n_bytes].to_vec()),
            Ok(None) => {}
            Err(cause) => return Some(cause),
        }
        None
    }
}

/// Datagrams that differ in all their bytes' neighbourhoods.
fn datagrams(lengths: &[usize]) -> Vec<Vec<u8>> {
    let byte = |number: usize, at: usize| (number * 31 + at * 7 + at / 256) as u8;
    lengths.iter().enumerate().map(|(n, length)| (0..*length).map(|at| byte(n, at)).collect()).collect()
}

proptest! {
    #![proptest_config(config(500))]

    #[test]
    fn what_goes_in_comes_out(mtu in MTU_MIN..=MTU_MAX, lengths in vec(1usize..512, 1..20)) {
        let lengths: Vec<usize> = lengths.iter().map(|n| 1 + n % datagram_max(mtu)).collect();
        let sent = datagrams(&lengths);
        let mut receiver = Receiver::new();
        for packet in packets(&sent, mtu) {
            prop_assert_eq!(receiver.push(&packet), None);
        }
        prop_assert_eq!(receiver.out, sent);
    }

    /// Lost, repeated and swapped packets: what comes out was sent. Several at most once if they are in pieces; whole
    /// ones are told apart by their sequence numbers, which is not done here.
    #[test]
    fn a_bad_radio_makes_up_nothing(
        mtu in MTU_MIN..200,
        lengths in vec(1usize..512, 1..12),
        faults in vec((0usize..12, 0usize..10), 0..100),
    ) {
        let lengths: Vec<usize> = lengths.iter().map(|n| 1 + n % datagram_max(mtu)).collect();
        let sent = datagrams(&lengths);
        let mut on_air = packets(&sent, mtu);
        for (at, (fault, by)) in faults.iter().enumerate().take(on_air.len()) {
            let other = (at + by) % on_air.len();
            match fault {
                0 => on_air[at].clear(),
                1 => on_air.swap(at, other),
                2 => {
                    let again = on_air[at].clone();
                    on_air.insert(other, again);
                }
                _ => {}
            }
        }
        on_air.retain(|packet| !packet.is_empty());
        let mut receiver = Receiver::new();
        for packet in &on_air {
            receiver.push(packet);
        }
        for found in &receiver.out {
            prop_assert!(sent.contains(found));
            if found.len() >= mtu {
                prop_assert_eq!(receiver.out.iter().filter(|other| *other == found).count(), 1);
            }
        }
    }

    /// Any bytes, mostly with a legal beginning so that they come far.
    #[test]
    fn any_bytes_are_counted(
        packets in vec((any::<bool>(), 0x20u8..0x30, 0u8..3, 0u8..17, vec(any::<u8>(), 0..70)), 0..200),
    ) {
        let mut receiver = Receiver::new();
        for (legal, head, tag, index, part) in packets {
            let mut packet = part;
            if legal {
                packet.splice(0..0, [head, tag, index]);
            }
            receiver.push(&packet);
        }
        let Counters { packets, packets_used, .. } = receiver.counters;
        prop_assert!(packets_used <= packets);
    }
}

#[test]
fn all_orders_of_four_fragments_come_together() {
    let sent = datagrams(&[17 * 3 + 5]);
    let cut = packets(&sent, 20);
    assert_eq!(cut.len(), 4);
    for order in 0..256usize {
        let order = [order & 3, order >> 2 & 3, order >> 4 & 3, order >> 6];
        if (0..4).any(|wanted| !order.contains(&wanted)) {
            continue;
        }
        let mut receiver = Receiver::new();
        for at in order {
            assert_eq!(receiver.push(&cut[at]), None);
        }
        assert_eq!(receiver.out, sent, "{order:?}");
        assert_eq!(receiver.push(&cut[order[0]]), Some(Dropped::Repeated), "it is complete already");
    }
}

#[test]
fn each_fault_has_its_cause() {
    let head = Kind::Sealed.head() | FRAGMENTED;
    let mut receiver = Receiver::new();
    let mut push = |packet: &[u8]| receiver.push(packet);
    assert_eq!(push(&[]), Some(Dropped::Malformed));
    assert_eq!(push(&[0x20]), Some(Dropped::Version));
    assert_eq!(push(&[0x5C, 1]), Some(Dropped::Kind));
    assert_eq!(
        push(&[Kind::Plain.head() | MORE, 1, 2, 3]),
        Some(Dropped::Malformed),
        "more without fragmented"
    );
    assert_eq!(push(&[head, 1, 0]), Some(Dropped::Malformed), "an empty part");
    assert_eq!(push(&[head, 1, 16, 0]), Some(Dropped::Malformed), "a seventeenth part");
    assert_eq!(push(&[0x48; 513]), Some(Dropped::Malformed), "longer than any packet");
    assert_eq!(push(&[head | MORE, 1, 1, 5, 6]), None);
    assert_eq!(push(&[head | MORE, 1, 1, 5, 6]), Some(Dropped::Repeated));
    assert_eq!(push(&[head | MORE, 1, 1, 5, 7]), Some(Dropped::Contradictory), "other bytes");
    assert_eq!(push(&[head | MORE, 1, 0, 5]), Some(Dropped::Contradictory), "another length");
    assert_eq!(push(&[head, 1, 0, 5]), Some(Dropped::Contradictory), "the end before what is there");
    assert_eq!(push(&[head, 1, 1, 5]), Some(Dropped::Contradictory), "it was none");
    assert_eq!(push(&[head, 1, 2, 5, 6, 7]), Some(Dropped::Contradictory), "an end longer than the rest");
    assert_eq!(push(&[head, 1, 3, 5]), None);
    assert_eq!(push(&[head, 1, 2, 5]), Some(Dropped::Contradictory), "two ends");
    assert_eq!(push(&[head | MORE, 1, 3, 5, 6]), Some(Dropped::Contradictory), "it was the end");
    let mut long = [0; 103];
    long[..3].copy_from_slice(&[head | MORE, 2, 5]);
    assert_eq!(push(&long), Some(Dropped::TooLong), "six parts of 100 bytes");
    assert_eq!(receiver.counters.of(Dropped::Contradictory), 7);
    assert_eq!(receiver.assembler.n_held(), 2);
    // Four others push out the one with two packets, and age pushes out the rest.
    for tag in 3..7 {
        assert_eq!(receiver.push(&[head | MORE, tag, 0, 1]), None);
    }
    assert_eq!(receiver.counters.of(Dropped::Abandoned), 2);
    for _ in 0..AGE_MAX {
        receiver.push(&[0]);
    }
    assert_eq!((receiver.counters.of(Dropped::Abandoned), receiver.assembler.n_held()), (6, 0));
}

#[test]
fn tags_that_wrap_find_nothing_old() {
    // One fragment of every datagram is lost or comes twice, for three turns of the tag.
    let sent = datagrams(&[40; 700]);
    let cut = packets(&sent, 20);
    let mut receiver = Receiver::new();
    for (n, parts) in cut.chunks(3).enumerate() {
        let faulty = n % 3;
        for (at, part) in parts.iter().enumerate() {
            match (at == faulty, n % 10 == 0) {
                (true, true) => {}
                (true, false) => {
                    receiver.push(part);
                    receiver.push(part);
                }
                (false, _) => {
                    receiver.push(part);
                }
            }
        }
    }
    let expected: Vec<Vec<u8>> =
        sent.iter().enumerate().filter(|(n, _)| n % 10 != 0).map(|(_, datagram)| datagram.clone()).collect();
    assert_eq!(receiver.out, expected);
}

#[test]
fn an_mtu_that_shrinks_gives_up_the_datagram_on_its_way() {
    let sent = datagrams(&[400, 60]);
    let mut fragmenter = Fragmenter::new();
    let mut packet = [0; MTU_MAX];
    fragmenter.load(Kind::Sealed, &sent[0]).unwrap();
    assert_eq!(fragmenter.poll(20, &mut packet), None, "24 fragments");
    fragmenter.load(Kind::Sealed, &sent[0]).unwrap();
    assert_eq!(fragmenter.poll(100, &mut packet), Some(100));
    assert_eq!(fragmenter.poll(90, &mut packet), None, "its parts are cut for 100");
    assert_eq!((fragmenter.n_given_up(), fragmenter.is_idle()), (2, true));
    fragmenter.load(Kind::Sealed, &sent[1]).unwrap();
    assert_eq!(fragmenter.poll(90, &mut packet), Some(61));
    assert_eq!(fragmenter.load(Kind::Sealed, &[0; DATAGRAM_MAX + 1]), Err(DATAGRAM_MAX));
    assert_eq!(fragmenter.load(Kind::Sealed, &sent[1]), Ok(()));
    assert_eq!(fragmenter.poll(90, &mut packet[..2]), None, "no room at all is no panic");
}

#[test]
fn a_datagram_fits_every_mtu() {
    for mtu in 0..600 {
        let length = datagram_max(mtu);
        let n_packets = packets(&datagrams(&[length]), legal_mtu(mtu)).len();
        assert!(n_packets <= DATA_FRAGMENTS_MAX && length <= DATAGRAM_MAX, "{mtu}: {length}");
        assert!(mtu < 128 || n_packets == 1);
    }
}
