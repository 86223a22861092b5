//! Counts there and back, in parts, and what they cost.

use super::*;
use proptest::prelude::*;
use proptest::test_runner::RngSeed;
use std::vec;
use std::vec::Vec;

fn count() -> impl Strategy<Value = u16> {
    prop_oneof![20 => Just(0u16), 5 => 0u16..4, 2 => 0u16..100, 1 => any::<u16>()]
}

/// Counts of one to three bins, and a level a channel.
fn unit() -> impl Strategy<Value = (Vec<u16>, Vec<u8>)> {
    (1usize..200, 1usize..4).prop_flat_map(|(n_channels, n_bins)| {
        let counts = prop::collection::vec(count(), n_channels * n_bins);
        (counts, prop::collection::vec(any::<u8>(), n_channels))
    })
}

proptest! {
    #![proptest_config(ProptestConfig { rng_seed: RngSeed::Fixed(1), ..ProptestConfig::default() })]

    #[test]
    fn counts_come_back((counts, known) in unit()) {
        for levels in [Levels::Flat, Levels::Known(&known)] {
            let mut bytes = vec![0; bound_bytes(counts.len())];
            let n_bytes = encode(&counts, levels, &mut bytes).expect("the bound is one");
            let mut found = vec![7; counts.len()];
            prop_assert_eq!(decode(&bytes[..n_bytes], levels, &mut found), Ok(()));
            prop_assert_eq!(&found, &counts);
            // Silence may take no byte at all.
            let room = n_bytes.saturating_sub(1);
            prop_assert_eq!(encode(&counts, levels, &mut bytes[..room]).is_err(), n_bytes > 0);
        }
    }

    #[test]
    fn parts_stay_within_the_budget_and_make_the_whole((counts, known) in unit(), budget in 14usize..200) {
        let n_channels = known.len();
        let n_bins = counts.len() / n_channels;
        for is_flat in [true, false] {
            let all = if is_flat { Levels::Flat } else { Levels::Known(&known) };
            let (mut found, mut first) = (vec![7; counts.len()], 0);
            while first < n_channels {
                let mut bytes = vec![0; budget];
                let part = encode_prefix(&counts, n_channels, first, all, &mut bytes);
                let Ok(Prefix { n_channels: n, n_bytes }) = part else {
                    // One channel alone may cost more than there is room for.
                    prop_assert!(budget < bound_bytes(n_bins) + 1);
                    break;
                };
                prop_assert!(n >= 1 && first + n <= n_channels && n_bytes <= budget);
                let some = if is_flat { Levels::Flat } else { Levels::Known(&known[first..first + n]) };
                let mut part = vec![7; n * n_bins];
                prop_assert_eq!(decode(&bytes[..n_bytes], some, &mut part), Ok(()));
                for (bin, part) in found.chunks_exact_mut(n_channels).zip(part.chunks_exact(n)) {
                    bin[first..first + n].copy_from_slice(part);
                }
                first += n;
            }
            let as_far = |counts: &[u16]| -> Vec<u16> {
                counts.chunks_exact(n_channels).flat_map(|bin| &bin[..first]).copied().collect()
            };
            prop_assert_eq!(as_far(&found), as_far(&counts));
        }
    }

    #[test]
    fn a_count_costs_what_is_said(level in 0u8..32, counts in prop::collection::vec(count(), 1..300)) {
        let levels = vec![level; counts.len()];
        let mut bytes = vec![0; bound_bytes(counts.len())];
        let n_bytes = encode(&counts, Levels::Known(&levels), &mut bytes).expect("room");
        let cost = cost_of_first(&counts, Coding::Each(&levels, 0), u64::MAX).1;
        prop_assert!(n_bytes as u64 <= cost.div_ceil(8 * u64::from(BIT)) + END as u64);
        // Costs are rounded up, by less than 1/100 bit a count.
        let bits = (n_bytes + 4) as f64 * 8.0 + 0.01 * counts.len() as f64;
        prop_assert!(bits > cost as f64 / f64::from(BIT), "{n_bytes} bytes, {cost}");
    }

    #[test]
    fn any_bytes_are_counts_or_corrupt(
        bytes in prop::collection::vec(any::<u8>(), 0..100),
        n in 0usize..200,
        levels in prop::collection::vec(any::<u8>(), 200),
    ) {
        let mut counts = vec![0; n];
        let _ = decode(&bytes, Levels::Flat, &mut counts);
        let _ = decode(&bytes, Levels::Known(&levels[..n]), &mut counts);
    }

    #[test]
    fn a_unit_that_lost_its_end_is_corrupt(
        counts in prop::collection::vec(0u16..3, 200..400), kept in 0.0..0.5f64,
    ) {
        let levels = vec![17; counts.len()];
        let mut bytes = vec![0; bound_bytes(counts.len())];
        let n_bytes = encode(&counts, Levels::Known(&levels), &mut bytes).expect("room");
        let kept = (n_bytes as f64 * kept) as usize;
        let mut found = vec![0; counts.len()];
        prop_assert_eq!(decode(&bytes[..kept], Levels::Known(&levels), &mut found), Err(Corrupt));
    }
}

#[test]
fn what_no_encoder_wrote_is_told() {
    let counts: Vec<u16> = (0..200).map(|k| u16::from(k % 7 == 0) * (k % 5)).collect();
    let mut bytes = [0; 1000];
    let n = encode(&counts, Levels::Flat, &mut bytes).expect("room");
    let mut found = [0; 200];
    bytes[n] = 1;
    bytes[n + 6] = 1;
    assert_eq!(decode(&bytes[..n + 7], Levels::Flat, &mut found), Err(Corrupt), "bytes behind the end");
    assert_eq!(decode(&[200, 1, 2], Levels::Flat, &mut found), Err(Corrupt), "no such level");
    assert_eq!(decode(&[], Levels::Flat, &mut found), Err(Corrupt), "nothing");
}
