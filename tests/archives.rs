//! Archives as a user makes them: what was packed comes back, and nothing is ever written over or left half written.

#[path = "support/program.rs"]
mod program;

use efference::block::Payload;
use efference::sources::ReadOutcome;
use program::run;
use std::path::Path;

fn wav(n_samples: usize) -> Vec<u8> {
    let n_bytes = 2 * n_samples as u32;
    let mut bytes = b"RIFF".to_vec();
    bytes.extend((36 + n_bytes).to_le_bytes());
    bytes.extend(b"WAVEfmt \x10\0\0\0\x01\0\x01\0\x20\x4e\0\0\x40\x9c\0\0\x02\0\x10\0data");
    bytes.extend(n_bytes.to_le_bytes());
    bytes.extend((0..n_samples).flat_map(|at| ((at * 37 % 91) as i16 - 45).to_le_bytes()));
    bytes
}

/// Channels, rate and samples of two recordings are the same.
fn same_stream(one: &str, one_mapping: Option<&str>, other: &str, other_mapping: Option<&str>) -> bool {
    let read = |target: &str, mapping: Option<&str>| {
        let mut source = efference::recording::open(target, mapping).expect("a recording").source;
        let (mut block, n) = (source.new_block(), source.info().n_channels());
        let mut samples = Vec::new();
        while source.read(&mut block).expect("a whole recording") == ReadOutcome::Block {
            let Payload::Int16(values) = &block.payload else { panic!("int16") };
            assert_eq!(block.header.first_sample.0 as usize * n, samples.len());
            samples.extend_from_slice(&values[..n * block.header.n_frames as usize]);
        }
        (source.info().clone(), samples)
    };
    let (one, other) = (read(one, one_mapping), read(other, other_mapping));
    assert!(!one.1.is_empty());
    one == other
}

#[test]
fn an_archive_of_several_chunks_and_channels_is_the_recording() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = |name: &str| folder.path().join(name).display().to_string();
    // 25 s of 3 channels: two chunks and a half.
    let samples =
        (0..25_000i32 * 3).flat_map(|at| ((i64::from(at) * i64::from(at) % 251 - 125) as i16).to_le_bytes());
    std::fs::write(path("a.i16"), samples.collect::<Vec<u8>>()).expect("a temporary file");
    let sidecar =
        "[flat]\nsample_rate_hz = 1000\nn_channels = 3\nsample_type = \"int16\"\nuv_per_count = 0.5\n";
    std::fs::write(path("a.toml"), sidecar).expect("a temporary file");
    assert_eq!(run(&["pack", &path("a.i16"), "-o", &path("a.efa")]).code, 0);
    assert!(same_stream(&path("a.efa"), None, &path("a.i16"), None));
    // Damage behind the first chunk is told when it is reached.
    let mut bytes = std::fs::read(path("a.efa")).expect("the archive");
    let last = bytes.len() - 10;
    bytes[last] ^= 1;
    std::fs::write(path("a.efa"), &bytes).expect("a temporary file");
    let mut source = efference::recording::open(&path("a.efa"), None).expect("its beginning is whole").source;
    let mut block = source.new_block();
    let error = loop {
        match source.read(&mut block) {
            Ok(ReadOutcome::Block) => {}
            Ok(ReadOutcome::End) => panic!("damage was not told"),
            Err(error) => break error.to_string(),
        }
    };
    assert!(error.contains("chunk 3 of 3") && block.end_sample().0 == 20_000, "{error}");
}

fn files(folder: &Path) -> Vec<String> {
    let name = |entry: std::io::Result<std::fs::DirEntry>| entry.expect("an entry").file_name();
    let mut names: Vec<String> = std::fs::read_dir(folder)
        .expect("a folder")
        .map(|entry| name(entry).to_string_lossy().into_owned())
        .collect();
    names.sort();
    names
}

#[test]
fn a_recording_is_packed_and_restored() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = |name: &str| folder.path().join(name).display().to_string();
    let (recording, archive, back) = (path("a.wav"), path("a.efa"), path("b.wav"));
    std::fs::write(&recording, wav(20_000)).expect("a temporary file");

    let packed = run(&["pack", &recording, "-o", &archive]);
    assert_eq!((packed.code, packed.stderr.as_str()), (0, ""));
    for said in ["1 channels x 20000 frames at 20000 Hz", "40044 bytes ->", "ratio", "entropy of differences"]
    {
        assert!(packed.stdout.contains(said), "{said}: {}", packed.stdout);
    }
    let unpacked = run(&["unpack", &archive, "-o", &back]);
    assert_eq!((unpacked.code, unpacked.stderr.as_str()), (0, ""));
    assert!(std::fs::read(&back).expect("the restored file") == wav(20_000));

    // An archive is opened as the recording is.
    let mapping = path("rig.toml");
    std::fs::write(&mapping, "[wav]\nsample_rate_hz = 20000\ncode = \"linear\"\n").expect("a temporary file");
    let seen = run(&["inspect", &archive, "--json"]);
    assert_eq!((seen.code, seen.stderr.as_str()), (0, ""));
    for said in ["\"format\":\"archive\"", "\"n_frames\":20000", "\"sample_rate_hz\":20000.0"] {
        assert!(seen.stdout.replace(": ", ":").contains(said), "{said}: {}", seen.stdout);
    }
    assert!(same_stream(&archive, None, &recording, Some(&mapping)));
    std::fs::remove_file(&mapping).expect("it was written");
    let detected = run(&["detect", &archive, "--json"]);
    assert_eq!(detected.code, 0, "{}", detected.stderr);

    // Neither is written over.
    for arguments in [["pack", &recording, "-o", &archive], ["unpack", &archive, "-o", &recording]] {
        let refused = run(&arguments);
        assert_eq!(refused.code, 6, "{}", refused.stderr);
        assert!(refused.stderr.contains("something stands there already"), "{}", refused.stderr);
    }

    // Damage is refused, or salvaged on request.
    let mut bytes = std::fs::read(&archive).expect("the archive");
    let last = bytes.len() - 10;
    bytes[last] ^= 1;
    std::fs::write(path("bad.efa"), &bytes).expect("a temporary file");
    let refused = run(&["unpack", &path("bad.efa"), "-o", &path("c.wav")]);
    assert_eq!(refused.code, 3);
    assert!(refused.stderr.contains("chunk 1 of 1"), "{}", refused.stderr);
    let saved = run(&["unpack", &path("bad.efa"), "-o", &path("d.wav"), "--salvage"]);
    let refused = run(&["inspect", &path("bad.efa")]);
    assert_eq!(refused.code, 3);
    assert!(refused.stderr.contains("chunk 1 of 1") && refused.stderr.contains("--salvage"), "{refused:?}");
    assert!(saved.stdout.contains("LOST, zeros there: frames 0..20000"), "{saved:?}");

    // So is what is no recording or no archive.
    for arguments in [["pack", &archive, "-o"], ["unpack", &recording, "-o"]] {
        let refused = run(&[&arguments[..], &[&path("e")]].concat());
        assert_eq!(refused.code, 3, "{}", refused.stderr);
    }
    assert_eq!(files(folder.path()), ["a.efa", "a.wav", "b.wav", "bad.efa", "d.wav"]);
}
