//! Of whole frames: what comes back, what is refused, what never changes.

use super::frame::STATE_BYTES_MAX;
use super::{Converter, Decoder, Encoder, FRAME_MAX, NotEncoded, RawError, bound_bytes};
use proptest::prelude::*;
use proptest::test_runner::RngSeed;
use std::vec::Vec;

/// Numbers of a seed (Steele, Lea & Flood 2014).
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }
}

/// Noise about a slow wave, in `bits`.
fn noise(n_samples: usize, bits: u32, seed: u64) -> Vec<i16> {
    let (mut random, half) = (Random(seed), 1_i64 << (bits - 1));
    let spread = (half / 40).max(1) as u64;
    let mut level = 0_i64;
    let mut sample = |at: usize| {
        level = level * 7 / 8
            + (0..4).map(|_| (random.next() % (2 * spread + 1)) as i64 - spread as i64).sum::<i64>();
        let wave = ((at as i64 % 400) - 200).abs() * half / 2_000;
        (level + wave).clamp(-half, half - 1) as i16
    };
    (0..n_samples).map(&mut sample).collect()
}

fn converter(bits: u8, is_n1: bool) -> Converter {
    if is_n1 { Converter::NeuralinkN1 } else { Converter::Uniform { bits } }
}

/// The frames of `samples`, cut to `lengths` in turn, with a key every `key_every`.
fn frames(
    converter: Converter,
    samples: &[i16],
    lengths: &[usize],
    key_every: usize,
) -> Vec<(usize, Vec<u8>)> {
    let mut encoder = Encoder::new(converter, 390);
    let (mut rest, mut out) = (samples, [0; 4096]);
    let mut frames = Vec::new();
    for at in 0.. {
        if rest.is_empty() {
            break;
        }
        let (frame, after) = rest.split_at(lengths[at % lengths.len()].min(rest.len()));
        let n_bytes = encoder.encode(frame, at % key_every == 0, &mut out).unwrap();
        assert!(n_bytes <= bound_bytes(frame.len(), converter.bits()));
        frames.push((frame.len(), out[..n_bytes].to_vec()));
        rest = after;
    }
    frames
}

proptest! {
    #![proptest_config(ProptestConfig { rng_seed: RngSeed::Fixed(1), ..ProptestConfig::default() })]

    #[test]
    fn any_samples_come_back(
        samples in prop::collection::vec(any::<i16>(), 1..1500),
        bits in 2_u8..=16, is_n1: bool, quiet in 0_u32..16,
        lengths in prop::collection::vec(1_usize..=FRAME_MAX, 1..4), key_every in 1_usize..9,
    ) {
        let converter = converter(bits, is_n1);
        let shift = (16 - converter.bits() + quiet).min(15);
        let samples: Vec<i16> = samples.iter().map(|sample| sample >> shift).collect();
        let mut decoder = Decoder::new(converter, 390);
        let mut back = Vec::new();
        for (n_samples, bytes) in frames(converter, &samples, &lengths, key_every) {
            let mut out = [0; FRAME_MAX];
            prop_assert_eq!(decoder.decode(&bytes, &mut out), Ok(n_samples));
            back.extend_from_slice(&out[..n_samples]);
        }
        prop_assert_eq!(back, samples);
    }

    #[test]
    fn a_lost_frame_is_noticed_and_never_guessed(
        seed: u64, lost in prop::collection::vec(prop::bool::weighted(0.15), 60), key_every in 1_usize..12,
    ) {
        let converter = Converter::NeuralinkN1;
        let samples = noise(60 * 50, 10, seed);
        let mut decoder = Decoder::new(converter, 390);
        let (mut can_decode, mut n_lost, mut is_new) = (false, 0, true);
        for (at, (_, bytes)) in frames(converter, &samples, &[50], key_every).iter().enumerate() {
            if lost[at] {
                can_decode = false;
                n_lost += 1;
                continue;
            }
            let mut out = [0; FRAME_MAX];
            let decoded = decoder.decode(bytes, &mut out);
            if can_decode || at % key_every == 0 {
                prop_assert_eq!(decoded, Ok(50));
                prop_assert_eq!(&out[..50], &samples[50 * at..50 * at + 50]);
                prop_assert_eq!(decoder.decode(bytes, &mut out), Err(RawError::Late), "twice the same");
                (can_decode, n_lost, is_new) = (true, 0, false);
            } else {
                let missed = RawError::Missed { n_frames: n_lost };
                prop_assert_eq!(decoded, Err(if is_new { RawError::NoKey } else { missed }));
                is_new = true;
            }
        }
    }

    #[test]
    fn any_bytes_are_survived(
        bytes in prop::collection::vec(any::<u8>(), 0..800), bits in 2_u8..=16, is_n1: bool, n_usual in 0_u16..2000,
    ) {
        let mut decoder = Decoder::new(converter(bits, is_n1), n_usual);
        let half = 1_i32 << (converter(bits, is_n1).bits() - 1);
        let mut out = [0; FRAME_MAX];
        for start in 0..bytes.len().min(8) {
            if let Ok(n_samples) = decoder.decode(&bytes[start..], &mut out) {
                prop_assert!(out[..n_samples].iter().all(|&sample| (-half..half).contains(&i32::from(sample))));
            }
        }
    }

    #[test]
    fn what_does_not_fit_changes_nothing(seed: u64, n_bytes in 0_usize..250) {
        let samples = noise(780, 10, seed);
        let (first, second) = samples.split_at(390);
        let mut encoder = Encoder::new(Converter::NeuralinkN1, 390);
        let mut decoder = Decoder::new(Converter::NeuralinkN1, 390);
        let (mut bytes, mut out) = ([0; 1024], [0; FRAME_MAX]);
        let used = encoder.encode(first, true, &mut bytes).unwrap();
        decoder.decode(&bytes[..used], &mut out).unwrap();
        let small = encoder.encode(second, false, &mut bytes[..n_bytes]);
        let used = match small {
            Ok(used) => used,
            Err(error) => {
                prop_assert_eq!(error, NotEncoded::Full);
                encoder.encode(second, false, &mut bytes).unwrap()
            }
        };
        prop_assert_eq!(small.is_err(), used > n_bytes);
        prop_assert_eq!(decoder.decode(&bytes[..used], &mut out), Ok(390));
        prop_assert_eq!(&out[..390], second);
    }
}

#[test]
fn what_is_no_frame_of_samples_is_refused() {
    let mut encoder = Encoder::new(Converter::NeuralinkN1, 390);
    let mut out = [0; 4096];
    assert_eq!(encoder.encode(&[], true, &mut out), Err(NotEncoded::Length));
    assert_eq!(encoder.encode(&[0; FRAME_MAX + 1], true, &mut out), Err(NotEncoded::Length));
    assert_eq!(encoder.encode(&[512], true, &mut out), Err(NotEncoded::OutOfRange));
    assert_eq!(encoder.encode(&[0; 390], true, &mut out[..1]), Err(NotEncoded::Full));
    let n_bytes = encoder.encode(&[0; 390], false, &mut out).unwrap();
    assert_ne!(out[0] & 0x80, 0, "the first frame is a key");
    let mut decoder = Decoder::new(Converter::NeuralinkN1, 390);
    let refused = decoder.decode(&out[..n_bytes], &mut [0; 389]);
    assert_eq!(refused, Err(RawError::NoRoom { n_samples: 390 }));
    assert_eq!(decoder.decode(&out[..n_bytes], &mut [0; 390]), Ok(390), "nothing was lost by that");
}

#[test]
fn told_of_a_loss_a_decoder_waits_for_a_key() {
    let frames = frames(Converter::Uniform { bits: 12 }, &noise(400, 12, 3), &[100], 3);
    let mut decoder = Decoder::new(Converter::Uniform { bits: 12 }, 390);
    let mut decode = |at: usize, lose: bool| {
        if lose {
            decoder.lose();
        }
        decoder.decode(&frames[at].1, &mut [0; FRAME_MAX])
    };
    assert_eq!(decode(0, false), Ok(100));
    assert_eq!(decode(1, true), Err(RawError::NoKey));
    assert_eq!(decode(2, false), Err(RawError::NoKey));
    assert_eq!(decode(3, false), Ok(100));
}

#[test]
fn noise_of_all_bits_goes_verbatim_and_silence_costs_nothing() {
    let mut random = Random(5);
    let white: Vec<i16> = (0..390).map(|_| random.next() as i16).collect();
    let (_, bytes) = &frames(Converter::Uniform { bits: 16 }, &white, &[390], 1)[0];
    assert_eq!(bytes.len(), 2 + 780);
    let silent = frames(Converter::Uniform { bits: 16 }, &[-77; 39_000], &[390], 1000);
    assert!(silent[99].1.len() <= 6, "{} bytes", silent[99].1.len());
}

/// The bytes are a format: a change of them is a new version of the protocol, and of this number.
#[test]
fn bytes_stay_as_they_are() {
    let of = |converter: Converter| {
        let samples = noise(20_000, converter.bits(), 7);
        let frames = frames(converter, &samples, &[390, 390, 77, 390, 1024], 10);
        let n_bytes: usize = frames.iter().map(|(_, bytes)| bytes.len()).sum();
        // FNV-1a.
        let hash =
            frames.iter().flat_map(|(_, bytes)| bytes).fold(0xcbf2_9ce4_8422_2325_u64, |hash, &byte| {
                (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3)
            });
        (n_bytes, hash)
    };
    assert_eq!(of(Converter::NeuralinkN1), (15_619, 5_161_747_314_047_492_698));
    assert_eq!(of(Converter::Uniform { bits: 16 }), (30_154, 11_295_672_080_005_805_227));
}

#[test]
fn state_is_small() {
    let bytes = [size_of::<Encoder>(), size_of::<Decoder>()];
    assert!(bytes.iter().all(|&bytes| bytes <= STATE_BYTES_MAX / 2), "{bytes:?}");
}
