//! Sessions on a radio that loses, repeats, reorders and damages, and among bytes that mean nothing.

use super::*;
use crate::record::tests::config;
use proptest::collection::vec;
use proptest::prelude::*;

/// What happens to the packet at a place.
#[derive(Clone, Copy, Debug)]
enum Fault {
    Lose,
    Swap(usize),
    Repeat(usize),
    Flip(usize),
    Cut(usize),
}

fn faults() -> impl Strategy<Value = Vec<(usize, Fault)>> {
    let fault = prop_oneof![
        Just(Fault::Lose),
        (0usize..20).prop_map(Fault::Swap),
        (0usize..400).prop_map(Fault::Repeat),
        (0usize..4_000).prop_map(Fault::Flip),
        (0usize..500).prop_map(Fault::Cut),
    ];
    vec((0usize..2_000, fault), 0..60)
}

proptest! {
    #![proptest_config(config(200))]

    /// What comes out was sent, once at most; and what was not touched comes out.
    #[test]
    fn a_bad_radio_makes_up_nothing(
        mtu in 20usize..=512, lengths in vec(0usize..500, 1..60), faults in faults(), plain in any::<bool>(),
    ) {
        let access = if plain { Access::Plain } else { paired() };
        let (mut host, mut device) = connected(&access);
        let mut on_air = Vec::new();
        let mut sent = Vec::new();
        for (number, length) in lengths.iter().enumerate() {
            let mut records = std::vec![number as u8; 2 + length % (records_max(mtu, &access) - 1)];
            records[1] = 77;
            on_air.extend(sealed(&mut *device, mtu, &records));
            sent.push(records);
        }
        let untouched = faults.is_empty();
        for (at, fault) in faults {
            let at = at % on_air.len();
            match fault {
                Fault::Lose => on_air[at].clear(),
                Fault::Swap(by) => {
                    let other = (at + by).min(on_air.len() - 1);
                    on_air.swap(at, other);
                }
                Fault::Repeat(by) => {
                    let again = on_air[at].clone();
                    on_air.insert((at + by).min(on_air.len()), again);
                }
                Fault::Flip(bit) => {
                    let n_bits = 8 * on_air[at].len();
                    if n_bits > 0 {
                        on_air[at][bit % n_bits / 8] ^= 1 << (bit % 8);
                    }
                }
                Fault::Cut(length) => on_air[at].truncate(length),
            }
        }
        let mut got = Vec::new();
        for packet in on_air.iter().filter(|packet| !packet.is_empty()) {
            if let Ok(Received::Records(records)) = host.receive(packet) {
                got.push(records.to_vec());
            }
            balanced(&host);
        }
        for records in &got {
            prop_assert!(sent.contains(records), "{:?} was never sent", records);
            prop_assert_eq!(got.iter().filter(|other| *other == records).count(), 1);
        }
        prop_assert!(!untouched || got == sent);
        let tally = host.tally().unwrap();
        prop_assert_eq!(tally.received as usize, got.len());
        prop_assert!(tally.next_sequence as usize <= sent.len());
    }

    /// Any bytes, to both ends, in a session and without.
    #[test]
    fn any_bytes_are_counted(
        packets in vec((0x20u8..0x31, 0u8..3, any::<bool>(), vec(any::<u8>(), 0..80)), 1..80), plain in any::<bool>(),
    ) {
        let access = if plain { Access::Plain } else { paired() };
        let (mut host, mut device) = connected(&access);
        let mut fresh = Endpoint::device(access);
        for (head, session, legal, rest) in packets {
            let mut packet = rest;
            if legal {
                packet.splice(0..0, [head, session, 1]);
            }
            let _ = host.receive(&packet);
            let _ = device.receive(&packet);
            let opened = matches!(fresh.receive(&packet), Ok(Received::Records(_) | Received::Session(_)));
            prop_assert!(!opened);
        }
        balanced(&host);
        balanced(&device);
        balanced(&fresh);
        prop_assert_eq!(host.tally().unwrap().received, 0);
        prop_assert_eq!(device.tally().unwrap().received, 1);
    }
}
