//! Every reader against arbitrary and damaged bytes: no panic, and no memory beyond what is documented.
//!
//! The seed is fixed and printed by proptest's message when a case fails, so that a failure comes back.

use efference::recording::{Mapping, open, spikes};
use efference::sources::ReadOutcome;
use proptest::prelude::*;
use proptest::sample::Index;
use proptest::test_runner::{RngSeed, TestRunner};
use std::path::Path;

const SEED: u64 = 20_261_122;

/// Runs `test` on `cases` values of `strategy`, the same ones each time.
fn check<S: Strategy>(cases: u32, strategy: S, test: impl Fn(S::Value)) {
    let config = ProptestConfig {
        cases,
        rng_seed: RngSeed::Fixed(SEED),
        failure_persistence: None,
        ..ProptestConfig::default()
    };
    println!("seed {SEED}");
    let outcome = TestRunner::new(config).run(&strategy, |value| {
        test(value);
        Ok(())
    });
    if let Err(failure) = outcome {
        panic!("seed {SEED}: {failure}");
    }
}

/// What happens to a good file: it may end early, and some of its bytes are others.
type Damage = (Option<Index>, Vec<(Index, u8)>);

fn damage() -> impl Strategy<Value = Damage> {
    (any::<Option<Index>>(), prop::collection::vec(any::<(Index, u8)>(), 0..6))
}

fn damaged(good: &[u8], (end, changes): Damage) -> Vec<u8> {
    let mut bytes = good[..end.map_or(good.len(), |end| 1 + end.index(good.len()))].to_vec();
    for (at, byte) in changes {
        let at = at.index(bytes.len());
        bytes[at] = byte;
    }
    bytes
}

/// Opens `files[0]` and reads it to its end; panics if that takes more memory than is documented.
fn survive(files: &[(&str, &[u8])], mapping: Option<&str>) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    for (name, bytes) in files {
        std::fs::write(folder.path().join(name), bytes).expect("a temporary file");
    }
    let target = folder.path().join(files[0].0).display().to_string();
    let memory = allocation_counter::measure(|| {
        if let Ok(mut recording) = open(&target, mapping) {
            let mut block = recording.source.new_block();
            while let Ok(ReadOutcome::Block) = recording.source.read(&mut block) {}
        }
    });
    assert!(memory.bytes_max <= MEMORY_MAX, "{} bytes for {}", memory.bytes_max, files[0].1.len());
}

/// For files of a few kilobytes: what one MAT variable may inflate to, doubled by its growth, and the
/// largest block (65,536 channels).
const MEMORY_MAX: u64 = (48 << 20) + 2 * 4 * 64 * 65_536;

fn fixture(name: &str) -> Vec<u8> {
    std::fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data").join(name)).expect("a fixture")
}

/// A header that passes, so that arbitrary bytes reach the elements.
fn with_mat_header(body: &[u8], big_endian: bool) -> Vec<u8> {
    let mut bytes = b"MATLAB 5.0 MAT-file".to_vec();
    bytes.resize(124, b' ');
    bytes.extend(if big_endian { b"\x01\x00MI" } else { b"\x00\x01IM" });
    bytes.extend(body);
    bytes
}

#[test]
fn mat_of_arbitrary_bytes() {
    check(1_000, (prop::collection::vec(any::<u8>(), 0..600), any::<bool>()), |(body, big_endian)| {
        survive(&[("a.mat", &body)], None);
        survive(&[("a.mat", &with_mat_header(&body, big_endian))], None);
    });
}

#[test]
fn mat_damaged() {
    for (name, mapping) in [
        ("counts.mat", "m1-reaching"),
        ("trials.mat", "reach-8dir"),
        ("counts_transposed.mat", "m1-reaching"),
    ] {
        let good = fixture(name);
        check(700, damage(), |how| survive(&[("a.mat", &damaged(&good, how))], Some(mapping)));
    }
}

#[test]
fn mat_of_every_class_damaged_and_every_variable_read() {
    for name in ["classes_v6.mat", "classes_v7.mat", "classes_big_endian.mat"] {
        let good = fixture(name);
        check(700, damage(), |how| {
            let bytes = damaged(&good, how);
            let memory = allocation_counter::measure(|| {
                let Ok(file) = efference::recording::mat::MatFile::from_bytes(bytes, "damaged") else {
                    return;
                };
                let names: Vec<String> = file.variables().map(|info| info.name.clone()).collect();
                for name in names {
                    if let Ok(variable) = file.variable(&name) {
                        let _ = variable.array();
                    }
                }
            });
            assert!(memory.bytes_max <= MEMORY_MAX, "{} bytes", memory.bytes_max);
        });
    }
}

#[test]
fn mat_cut_at_every_byte_is_an_error() {
    let (good, folder) = (fixture("counts.mat"), tempfile::tempdir().expect("a temporary folder"));
    let path = folder.path().join("cut.mat");
    for n in 0..good.len() {
        std::fs::write(&path, &good[..n]).expect("a temporary file");
        let outcome = open(path.to_str().expect("UTF-8"), Some("m1-reaching"));
        assert!(outcome.is_err(), "opened with {n} of {} bytes", good.len());
    }
}

fn good_wav() -> Vec<u8> {
    let spec = hound::WavSpec {
        channels: 1,
        sample_rate: 19_531,
        bits_per_sample: 16,
        sample_format: hound::SampleFormat::Int,
    };
    let mut bytes = std::io::Cursor::new(Vec::new());
    let mut writer = hound::WavWriter::new(&mut bytes, spec).expect("a legal spec");
    for i in 0..200 {
        writer.write_sample([31_i16, -1570, -2018][i % 3]).expect("in memory");
    }
    writer.finalize().expect("in memory");
    bytes.into_inner()
}

#[test]
fn wav_arbitrary_and_damaged() {
    check(500, prop::collection::vec(any::<u8>(), 0..300), |bytes| survive(&[("a.wav", &bytes)], None));
    let good = good_wav();
    check(2_000, damage(), |how| survive(&[("a.wav", &damaged(&good, how))], None));
}

#[test]
fn wav_cut_at_every_byte_is_an_error() {
    let (good, folder) = (good_wav(), tempfile::tempdir().expect("a temporary folder"));
    let path = folder.path().join("cut.wav");
    for n in 0..good.len() {
        std::fs::write(&path, &good[..n]).expect("a temporary file");
        assert!(open(path.to_str().expect("UTF-8"), None).is_err(), "opened with {n} bytes");
    }
}

#[test]
fn flat_with_damaged_sidecars_and_samples() {
    let json = br#"{"sampling_rate": 30000.0, "channels": 4, "dtype": "float32", "uV_per_bit": 0.2, 
        "samples": 8, "units": {"0": {"snr": 3}}}"#;
    let toml = b"[flat]\nsample_rate_hz = 30000.0\nn_channels = 4\nsample_type = \"int16\"\nn_frames = 16\n\
        channels = [\"a\", \"b\", \"c\", \"d\"]\n";
    let samples = [7_u8; 128];
    for (sidecar, good) in [("a.json", &json[..]), ("a.toml", &toml[..])] {
        check(1_000, damage(), |how| survive(&[("a.bin", &samples), (sidecar, &damaged(good, how))], None));
        check(200, prop::collection::vec(any::<u8>(), 0..200), |bytes| {
            survive(&[("a.bin", &samples), (sidecar, &bytes)], None);
            survive(&[("a.bin", &bytes), (sidecar, good)], None);
        });
    }
}

#[test]
fn mappings_and_spikes_of_arbitrary_text() {
    for good in [
        include_bytes!("../examples/mappings/m1-reaching.toml").as_slice(),
        include_bytes!("../examples/mappings/reach-8dir.toml"),
    ] {
        check(1_000, damage(), |how| {
            let text = String::from_utf8_lossy(&damaged(good, how)).into_owned();
            let _ = Mapping::parse(&text, "damaged");
        });
    }
    check(500, "\\PC{0,80}", |text| assert!(Mapping::parse(&text, "arbitrary").is_err()));
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("spikes.csv");
    check(500, damage(), |how| {
        std::fs::write(&path, damaged(b"sample,unit,peak_channel\n243,2,16\n312,7,4\n", how))
            .expect("written");
        let _ = spikes::read(&path);
    });
}

#[test]
fn deeply_nested_text_is_an_error() {
    let nested = "[".repeat(100_000);
    survive(&[("a.bin", b"12"), ("a.json", nested.as_bytes())], None);
    assert!(Mapping::parse(&format!("counts = {nested}"), "nested.toml").is_err());
}
