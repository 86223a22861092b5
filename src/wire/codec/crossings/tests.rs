//! Crossings come back, in parts too; what is illegal or damaged is told; sizes beside their bounds.

use super::super::levels::{N_LEVELS, mean_of, shift_of};
use super::*;
use proptest::prelude::*;
use proptest::test_runner::RngSeed;
use std::println;
use std::vec;
use std::vec::Vec;

/// A span, crossings of it, and a level a channel.
fn unit() -> impl Strategy<Value = (Span, Vec<Crossing>, Vec<u8>)> {
    let span = (0u32..=65_336, 1u32..=200, prop_oneof![1u32..=600, 1u32..=SAMPLES_MAX]);
    span.prop_flat_map(|(first_channel, n_channels, n_samples)| {
        let span = Span { first_channel, n_channels, n_samples };
        let crossing = (0..n_channels, 0..n_samples).prop_map(move |(channel, offset)| Crossing {
            channel: (first_channel + channel) as u16,
            offset: offset as u16,
        });
        let crossings = prop::collection::vec(crossing, 0..300).prop_map(|mut crossings| {
            crossings.sort_unstable();
            crossings
        });
        (Just(span), crossings, prop::collection::vec(any::<u8>(), n_channels as usize))
    })
}

proptest! {
    #![proptest_config(ProptestConfig { rng_seed: RngSeed::Fixed(1), ..ProptestConfig::default() })]

    #[test]
    fn crossings_come_back((span, crossings, levels) in unit(), version in 1u8..) {
        for table in [None, Some(Table { version, levels: &levels })] {
            let mut bytes = vec![0; bound_bytes(levels.len(), crossings.len())];
            let n_bytes = encode(&crossings, span, table, &mut bytes).expect("the bound is one");
            let mut found = vec![Crossing::default(); crossings.len()];
            let known = |asked: u8| (asked == version).then_some(&levels[..]);
            prop_assert_eq!(decode(&bytes[..n_bytes], span, known, &mut found), Ok(crossings.len()));
            prop_assert_eq!(&found, &crossings);
            if let Some(less) = crossings.len().checked_sub(1) {
                let found = decode(&bytes[..n_bytes], span, known, &mut found[..less]);
                prop_assert_eq!(found, Err(NotDecoded::Full));
            }
            if table.is_some() {
                let found = decode(&bytes[..n_bytes], span, |_| None, &mut found);
                prop_assert_eq!(found, Err(NotDecoded::NoTable(version)));
            }
            prop_assert_eq!(encode(&crossings, span, table, &mut bytes[..n_bytes - 1]), Err(NotEncoded::Full));
        }
    }

    #[test]
    fn parts_stay_within_the_budget_and_make_the_whole(
        (span, crossings, levels) in unit(), is_flat: bool, budget in 8usize..300,
    ) {
        let (mut rest, mut left, mut all) = (span, &crossings[..], Vec::new());
        while rest.n_channels > 0 {
            let first = (rest.first_channel - span.first_channel) as usize;
            let table = (!is_flat).then_some(Table { version: 3, levels: &levels[first..] });
            let mut bytes = vec![0; budget];
            let part = match encode_prefix(left, rest, table, &mut bytes) {
                Ok(part) => part,
                Err(error) => {
                    prop_assert_eq!(error, NotEncoded::Full);
                    let of_one = left.iter().filter(|c| u32::from(c.channel) == rest.first_channel).count();
                    prop_assert!(budget < bound_bytes(1, of_one));
                    break;
                }
            };
            prop_assert!(part.n_channels >= 1 && part.n_bytes <= budget);
            let of_part = Span { n_channels: part.n_channels, ..rest };
            let levels = &levels[first..first + part.n_channels as usize];
            let mut found = vec![Crossing::default(); part.n_crossings];
            let n = decode(&bytes[..part.n_bytes], of_part, |_| Some(levels), &mut found);
            prop_assert_eq!(n, Ok(part.n_crossings));
            all.extend(found);
            left = &left[part.n_crossings..];
            rest.first_channel += part.n_channels;
            rest.n_channels -= part.n_channels;
        }
        prop_assert_eq!(&all[..], &crossings[..crossings.len() - left.len()]);
    }

    #[test]
    fn any_bytes_are_crossings_or_an_error(
        bytes in prop::collection::vec(any::<u8>(), 0..100),
        span in (any::<u32>(), 0u32..2_000, any::<u32>()),
        n_samples in 0u32..=SAMPLES_MAX,
        levels in prop::collection::vec(any::<u8>(), 2_000),
    ) {
        let (first_channel, n_channels, _) = span;
        for span in [
            Span { first_channel: first_channel % CHANNELS_MAX, n_channels, n_samples },
            Span { first_channel, n_channels, n_samples: span.2 },
        ] {
            let mut found = [Crossing::default(); 500];
            let levels = &levels[..n_channels as usize];
            if let Ok(n) = decode(&bytes, span, |_| Some(levels), &mut found) {
                // What comes out could have been sent.
                prop_assert_eq!(check(&found[..n], span, None), Ok(()));
            }
        }
    }
}

#[test]
fn what_could_not_come_back_is_refused() {
    let span = Span { first_channel: 10, n_channels: 4, n_samples: 20 };
    let at = |channel, offset| Crossing { channel, offset };
    let mut out = [0; 100];
    let mut code = |crossings: &[Crossing], span, table| encode(crossings, span, table, &mut out);
    assert!(code(&[at(10, 0), at(10, 19), at(10, 19), at(13, 0)], span, None).is_ok(), "twice is legal");
    for crossings in [[at(11, 0), at(10, 0)], [at(10, 5), at(10, 4)], [at(9, 0), at(10, 0)]] {
        assert_eq!(code(&crossings, span, None), Err(NotEncoded::Illegal), "{crossings:?}");
    }
    assert_eq!(code(&[at(14, 0)], span, None), Err(NotEncoded::Illegal), "no such channel");
    assert_eq!(code(&[at(10, 20)], span, None), Err(NotEncoded::Illegal), "too late");
    for (version, levels) in [(0, &[1; 4][..]), (1, &[1; 3])] {
        assert_eq!(code(&[], span, Some(Table { version, levels })), Err(NotEncoded::Illegal));
    }
    for illegal in [
        Span { n_samples: 0, ..span },
        Span { n_samples: SAMPLES_MAX + 1, ..span },
        Span { first_channel: 65_533, ..span },
        Span { first_channel: u32::MAX, ..span },
    ] {
        assert_eq!(code(&[], illegal, None), Err(NotEncoded::Illegal), "{illegal:?}");
        assert_eq!(decode(&[0, 0], illegal, |_| None, &mut []), Err(NotDecoded::Corrupt), "{illegal:?}");
    }
    let too_many = vec![at(10, 3); 65_536];
    assert_eq!(code(&too_many, span, None), Err(NotEncoded::Illegal), "more than the count holds");
    assert_eq!(decode(&[0, 32, 0], span, |_| None, &mut []), Err(NotDecoded::Corrupt), "no such level");
    assert_eq!(decode(&[0], span, |_| None, &mut []), Err(NotDecoded::Corrupt), "half a head");
}

#[test]
fn the_shift_is_the_nearest() {
    for level in 0..N_LEVELS as u8 {
        for other in 0..N_LEVELS as u8 {
            for (times, over) in [(1, 1), (6, 5), (5, 6)] {
                let shift = shift_of(mean_of(level) * times / over, mean_of(other));
                assert_eq!(i32::from(shift), i32::from(level) - i32::from(other), "{times}/{over}");
            }
        }
    }
    assert_eq!((shift_of(0, 1 << 30), shift_of(1 << 44, 0), shift_of(0, 0)), (-31, 31, 0));
}

/// Where all channels have one rate, no coder beats the number of ways to place so many crossings.
#[test]
fn crossings_of_equal_rates_take_their_bound() {
    let mut random = random(5);
    for (n_channels, n_samples, hz) in [(1_024, 400, 10.0), (1_024, 100, 10.0), (4_096, 600, 5.0)] {
        let (mut bits, mut bound) = (0.0, 0.0);
        for _ in 0..20 {
            let chance = hz / 30_000.0;
            let crossings = draw(&mut random, n_channels, n_samples, |_| chance);
            let places = f64::from(n_channels) * f64::from(n_samples);
            bound += log2_ways(places, crossings.len());
            bits += 8.0 * size(&crossings, n_channels, n_samples, None) as f64;
        }
        let (over, beside) = (bits / bound, (bits - 20.0 * UNIT_BITS) / bound);
        println!(
            "{n_channels} × {n_samples} (synthetic): {over:.4} of the bound, {beside:.4} without a unit's head"
        );
        assert!(over >= 1.0 && beside < 1.01);
    }
}

/// Where each channel has its rate and both ends know it, the bound is what the crossings of each channel say.
#[test]
fn known_rates_pay() {
    let (n_channels, n_samples) = (1_024, 600);
    let mut random = random(6);
    // Means of a bin of 600 samples, log-uniform over four octaves round 0.2.
    let means: Vec<f64> = (0..n_channels).map(|_| 0.05 * 16f64.powf(random())).collect();
    let levels: Vec<u8> = means.iter().map(|m| level_of((m * 2f64.powi(26)) as u32)).collect();
    for samples in [n_samples, n_samples / 4] {
        let (mut flat, mut known, mut bound) = (0.0, 0.0, 0.0);
        for _ in 0..20 {
            let chance = |channel: usize| means[channel] / f64::from(n_samples);
            let crossings = draw(&mut random, n_channels, samples, chance);
            let table = Some(Table { version: 1, levels: &levels });
            flat += 8.0 * size(&crossings, n_channels, samples, None) as f64;
            known += 8.0 * size(&crossings, n_channels, samples, table) as f64;
            // Each sample of a channel has a crossing or not.
            bound -=
                (0..n_channels as usize).map(|c| (1.0 - chance(c)).log2() * f64::from(samples)).sum::<f64>();
            let odds = |c: &Crossing| chance(usize::from(c.channel)) / (1.0 - chance(usize::from(c.channel)));
            bound -= crossings.iter().map(|c| odds(c).log2()).sum::<f64>();
        }
        let (over, beside) = (known / bound, (known - 20.0 * UNIT_BITS) / bound);
        println!("{samples} samples (synthetic): {over:.4} of the bound, {beside:.4} without a unit's head");
        println!("  flat rates take {:.4} times as much", flat / known);
        assert!(known * 1.02 < flat, "{known} bits, flat {flat}");
        assert!(over >= 1.0 && beside < 1.02);
    }
}

fn size(crossings: &[Crossing], n_channels: u32, n_samples: u32, table: Option<Table<'_>>) -> usize {
    let span = Span { first_channel: 0, n_channels, n_samples };
    let mut out = vec![0; bound_bytes(n_channels as usize, crossings.len())];
    encode(crossings, span, table, &mut out).expect("the bound is one")
}

/// A crossing or not for every channel and sample, by chance.
fn draw(
    random: &mut impl FnMut() -> f64,
    n_channels: u32,
    n_samples: u32,
    chance: impl Fn(usize) -> f64,
) -> Vec<Crossing> {
    let places = (0..n_channels).flat_map(|channel| (0..n_samples).map(move |offset| (channel, offset)));
    let crossings = places.filter(|&(channel, _)| random() < chance(channel as usize));
    crossings.map(|(channel, offset)| Crossing { channel: channel as u16, offset: offset as u16 }).collect()
}

/// log2 of the number of ways to choose `k` of `places`.
fn log2_ways(places: f64, k: usize) -> f64 {
    (0..k).map(|j| ((places - j as f64) / (j as f64 + 1.0)).log2()).sum()
}

/// Of a unit: its head, and less than a byte that the coder's end takes.
const UNIT_BITS: f64 = 24.0;

/// 0 to 1, from a seed.
fn random(seed: u64) -> impl FnMut() -> f64 {
    let mut state = seed;
    move || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 11) as f64 / 2f64.powi(53)
    }
}
