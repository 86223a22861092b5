//! Of whole archives: what comes back, and what damage does.

use super::*;
use crate::ErrorKind;
use std::fs;
use std::path::PathBuf;

/// A slow wave with noise of a seed, in codes of ten bits.
fn codes(n_samples: usize, seed: u32) -> Vec<i16> {
    let mut state = seed;
    let mut noise = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 28) as i16 - 8
    };
    (0..n_samples).map(|at| ((at % 300) as i16 - 150) / 4 + noise() + noise()).collect()
}

fn to_bytes(samples: impl IntoIterator<Item = i16>) -> Vec<u8> {
    samples.into_iter().flat_map(i16::to_le_bytes).collect()
}

fn wav(samples: Vec<i16>, n_channels: usize) -> Vec<u8> {
    let mut bytes = original::wav_header(n_channels, 19_531.0, 2 * samples.len() as u64).unwrap();
    bytes.extend(to_bytes(samples));
    bytes
}

struct Folder(tempfile::TempDir);

impl Folder {
    fn new() -> Self {
        Folder(tempfile::tempdir().unwrap())
    }

    fn file(&self, name: &str, bytes: &[u8]) -> PathBuf {
        let path = self.0.path().join(name);
        fs::write(&path, bytes).unwrap();
        path
    }
}

#[test]
fn files_come_back_byte_for_byte() {
    let folder = Folder::new();
    let lattice = || codes(3_000, 1).into_iter().map(n1::sample).collect::<Vec<i16>>();
    let mut odd = wav(codes(3_001, 2), 2);
    odd.extend(b"LIST\x04\0\0\0abcd");
    for (name, bytes, is_n1) in [
        ("n1.wav", wav(lattice(), 1), true),
        ("three.wav", wav(lattice(), 3), true),
        ("odd.wav", odd, false),
        ("empty.wav", wav(Vec::new(), 1), false),
        ("full.wav", wav(vec![i16::MIN, i16::MAX, 0, -1], 1), false),
    ] {
        let packed = pack(&folder.file(name, &bytes)).unwrap();
        assert_eq!((packed.is_n1, packed.n_bytes_before), (is_n1, bytes.len() as u64), "{name}");
        let restored = unpack(&packed.bytes, name).unwrap();
        assert!(restored.bytes == bytes && restored.lost_frames.is_empty(), "{name}");
    }
    folder.file("flat.json", br#"{"sampling_rate": 1000.0, "channels": 4, "dtype": "int16"}"#);
    let flat = to_bytes(codes(80_003, 3));
    let packed = pack(&folder.file("flat.i16", &flat)).unwrap();
    assert_eq!((packed.n_channels, packed.n_frames, packed.code_bits), (4, 20_000, 7));
    assert!(packed.ratio() > 2.5, "{}", packed.ratio());
    assert!(unpack(&packed.bytes, "flat").unwrap().bytes == flat);
}

/// Of four chunks, one is damaged: its frames are lost and no other.
#[test]
fn damage_costs_one_chunk() {
    let folder = Folder::new();
    folder.file("flat.json", br#"{"sampling_rate": 100.0, "channels": 2, "dtype": "int16"}"#);
    let flat = to_bytes(codes(2 * 3_500, 4));
    let packed = pack(&folder.file("flat.i16", &flat)).unwrap().bytes;
    let (header, chunks) = Header::parse(&packed, "flat").unwrap();
    assert_eq!(header.chunk_bytes.len(), 4);
    let second = packed.len() - chunks.len() + header.chunk_bytes[0] as usize;
    let mut bytes = packed.clone();
    bytes[second + 100] ^= 8;

    let error = unpack(&bytes, "flat").map(|_| ()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Input);
    assert!(error.to_string().contains("chunk 2 of 4"), "{error}");
    let saved = salvage(&bytes, "flat").unwrap();
    assert_eq!((saved.lost_frames.len(), saved.lost_frames[0].clone()), (1, 1000..2000));
    assert!(saved.bytes[..4_000] == flat[..4_000] && saved.bytes[8_000..] == flat[8_000..]);
    assert!(saved.bytes[4_000..8_000].iter().all(|&byte| byte == 0));

    let saved = salvage(&packed[..second], "flat").unwrap();
    assert_eq!(saved.lost_frames, [1000..2000, 2000..3000, 3000..3500]);
}

#[test]
fn whatever_is_cut_or_flipped_is_noticed() {
    let folder = Folder::new();
    let bytes = wav(codes(400, 5), 1);
    let packed = pack(&folder.file("a.wav", &bytes)).unwrap().bytes;
    for at in 0..packed.len() {
        assert!(unpack(&packed[..at], "cut").is_err(), "cut to {at}");
        let mut flipped = packed.clone();
        flipped[at] ^= 1 << (at % 8);
        assert!(unpack(&flipped, "flipped").is_err(), "flipped at {at}");
    }
    assert!(unpack(&[packed.as_slice(), b"x"].concat(), "longer").is_err());
}

#[test]
fn other_files_are_refused() {
    let folder = Folder::new();
    let mut eight_bits = wav(codes(10, 6), 1);
    eight_bits[34] = 8;
    for (name, bytes) in [("a.wav", b"nothing".to_vec()), ("b.wav", eight_bits), ("c.i16", vec![0; 8])] {
        let error = pack(&folder.file(name, &bytes)).map(|_| ()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Input, "{error}");
    }
}

/// The bytes are a format: a change of them is a new version.
#[test]
fn bytes_stay_as_they_are() {
    let folder = Folder::new();
    let bytes = wav(codes(30_000, 7).into_iter().map(n1::sample).collect(), 1);
    let packed = pack(&folder.file("a.wav", &bytes)).unwrap().bytes;
    assert_eq!((packed.len(), checksum(&packed)), (20_420, 3_728_733_544));
}

/// A checksum that fits carries damage into the decoder, where it gives other samples and nothing worse.
#[test]
fn damage_under_a_checksum_that_was_mended_panics_nowhere() {
    let folder = Folder::new();
    let uniform = to_bytes(codes(900, 8));
    folder.file("a.json", br#"{"sampling_rate": 1000.0, "channels": 3, "dtype": "int16"}"#);
    let flat = pack(&folder.file("a.i16", &uniform)).unwrap().bytes;
    let n1 = wav(codes(600, 9).into_iter().map(n1::sample).collect(), 1);
    let n1 = pack(&folder.file("b.wav", &n1)).unwrap().bytes;
    let mut state = 1_u32;
    let mut random = |end: usize| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 8) as usize % end
    };
    let (mut n_read, mut n_refused) = (0, 0);
    for turn in 0..3_000 {
        let whole = if turn % 2 == 0 { &flat } else { &n1 };
        let (header, chunks) = Header::parse(whole, "whole").unwrap();
        let mut chunk = chunks[..chunks.len() - 4].to_vec();
        for _ in 0..=random(4) {
            let at = random(chunk.len());
            match random(3) {
                0 => chunk[at] ^= 1 << random(8),
                1 => chunk[at] = [0, 127, 128, 255][random(4)],
                _ => chunk[at..].iter_mut().take(5).for_each(|byte| *byte = byte.wrapping_mul(31)),
            }
        }
        let mut bytes = whole[..whole.len() - chunks.len()].to_vec();
        bytes.extend(&chunk);
        bytes.extend(checksum(&chunk).to_le_bytes());
        assert_eq!(header.n_chunks(), 1);
        match unpack(&bytes, "mended") {
            Ok(restored) => {
                assert!(restored.lost_frames.is_empty() && !restored.bytes.is_empty());
                n_read += 1;
            }
            // The lengths of its channels lead nowhere.
            Err(_) => n_refused += 1,
        }
    }
    assert!(n_read > 2_000 && n_refused > 0, "{n_read} read, {n_refused} refused");
}
