//! `efference calibrate` through the real binary, with a simulated user.

#[path = "support/program.rs"]
mod program;

use program::{efference, run};
use serde_json::Value;
use std::io::Write;
use std::path::Path;
use std::process::Stdio;

const SMALL: &str = "sim:neuralink-n1,electrodes=128,seed=3";

fn files(folder: &Path) -> Vec<(String, Vec<u8>)> {
    let mut files: Vec<_> = std::fs::read_dir(folder)
        .expect("a folder")
        .map(|entry| {
            let entry = entry.expect("an entry");
            (entry.file_name().to_string_lossy().into_owned(), std::fs::read(entry.path()).expect("a file"))
        })
        .collect();
    files.sort();
    files
}

#[test]
fn it_writes_a_model_that_decodes_and_the_same_one_again() {
    let folder = tempfile::tempdir().expect("a folder");
    let place = |name: &str| folder.path().join(name).display().to_string();
    let calibrate = |out: &str| {
        let done = run(&["calibrate", SMALL, "--seconds", "90", "--keep-statistics", "--json", "--out", out]);
        assert_eq!(done.code, 0, "{}", done.stderr);
        serde_json::from_str::<Value>(&done.stdout).expect("one JSON object")
    };
    let (one, other) = (place("one"), place("other"));
    let report = calibrate(&one);
    assert_eq!(report["synthetic"], Value::Bool(true));
    assert!(report["score"]["velocity_r2"]["mean"].as_f64().is_some_and(|r2| r2 > 0.3), "{report}");
    assert_eq!(report["fits"].as_array().map(Vec::len), Some(3));
    calibrate(&other);
    let written = files(Path::new(&one));
    let names: Vec<&str> = written.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["README.md", "model.toml", "statistics.safetensors", "weights.safetensors"]);
    assert_eq!(written, files(Path::new(&other)), "the seed decides everything");
    let stream = format!("{SMALL},kind=counts,width_ms=20,seconds=20");
    let replayed = run(&["replay", &stream, "--model", &one, "--json"]);
    assert_eq!(replayed.code, 0, "{}", replayed.stderr);
    let replayed: Value = serde_json::from_str(&replayed.stdout).expect("one JSON object");
    assert!(replayed["score"]["cc"]["mean"].as_f64().is_some_and(|r| r > 0.5), "{replayed}");
}

#[test]
fn who_cancels_keeps_the_model_from_before() {
    let folder = tempfile::tempdir().expect("a folder");
    let out = folder.path().join("model");
    let place = out.display().to_string();
    let done = run(&["calibrate", SMALL, "--seconds", "60", "--out", &place]);
    assert_eq!(done.code, 0, "{}", done.stderr);
    let before = files(&out);
    let mut again = efference(&["calibrate", SMALL, "--seed", "9", "--paced", "--out", &place])
        .stdin(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the program starts");
    again.stdin.take().expect("it is piped").write_all(b"pause\nwhat\nresume\ncancel\n").expect("it listens");
    let ended = again.wait_with_output().expect("it ends");
    let said = String::from_utf8_lossy(&ended.stderr);
    assert_eq!(ended.status.code(), Some(130), "{said}");
    assert!(said.contains("nothing was written") && said.contains("`what` is no command"), "{said}");
    assert_eq!(files(&out), before);
    let beside = std::fs::read_dir(folder.path()).expect("a folder").count();
    assert_eq!(beside, 1, "nothing half written is left beside it");
}

#[test]
fn what_cannot_be_is_refused_with_a_reason() {
    let folder = tempfile::tempdir().expect("a folder");
    let out = folder.path().join("model").display().to_string();
    let refuse = |args: &[&str], code, word: &str| {
        let done = run(&[&["calibrate"], args, &["--out", &out]].concat());
        assert_eq!(done.code, code, "{args:?}: {}", done.stderr);
        assert!(done.stderr.contains(word), "{args:?}: {}", done.stderr);
        assert!(!Path::new(&out).exists(), "{args:?}: nothing is written");
    };
    refuse(&[SMALL, "--seconds", "29"], 2, "30 to 900");
    refuse(&["some.mat"], 2, "efference train");
    refuse(&[SMALL, "--screen", "192.0.2.1:4000"], 2, "another computer");
    refuse(&[SMALL, "--user", "nobody"], 3, "nobody");
    let deaf = "sim:neuralink-n1,electrodes=64,modulation=0,speed_modulation=0";
    refuse(&[deaf, "--seconds", "60"], 5, "calibrat");
    let silent = "sim:neuralink-n1,electrodes=64,empty=1,double=0";
    refuse(&[silent, "--seconds", "60"], 5, "0 electrodes hear anything");
}
