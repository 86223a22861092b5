//! Archives as a user makes them: what was packed comes back, and nothing is ever written over or left half written.

#[path = "support/program.rs"]
mod program;

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
    assert!(saved.stdout.contains("LOST, zeros there: frames 0..20000"), "{saved:?}");

    // So is what is no recording or no archive.
    for arguments in [["pack", &archive, "-o"], ["unpack", &recording, "-o"]] {
        let refused = run(&[&arguments[..], &[&path("e")]].concat());
        assert_eq!(refused.code, 3, "{}", refused.stderr);
    }
    assert_eq!(files(folder.path()), ["a.efa", "a.wav", "b.wav", "bad.efa", "d.wav"]);
}
