//! `efference demo` through the real binary: a small one, as fast as it goes.

#[path = "support/program.rs"]
mod program;

use program::{Outcome, run};
use serde_json::Value;
use std::path::Path;

fn demo(more: &[&str], picture: &Path) -> Outcome {
    let picture = picture.to_str().expect("a plain path");
    let small = ["demo", "--fast", "--electrodes", "256", "--seconds", "6", "--out", picture];
    run(&[&small, more].concat())
}

fn report(seed: &str, picture: &Path) -> Value {
    let done = demo(&["--json", "--seed", seed], picture);
    assert_eq!(done.code, 0, "{}", done.stderr);
    serde_json::from_str(&done.stdout).expect("one JSON object")
}

#[test]
fn a_seed_decides_every_score_and_the_picture() {
    let folder = tempfile::tempdir().expect("a folder");
    let place = |name: &str| folder.path().join(name);
    let (first, again) = (report("3", &place("a.png")), report("3", &place("b.png")));
    let other = report("4", &place("c.png"));
    for key in ["targets_hit", "targets_shown", "velocity_r2", "median_seconds_to_target", "electrodes_alive"]
    {
        assert_eq!(first[key], again[key], "{key} by the same seed");
        assert!(!first[key].is_null(), "{key} is said");
    }
    assert_ne!(first["velocity_r2"], other["velocity_r2"], "by another seed");
    assert_eq!(first["synthetic"], Value::Bool(true));
    assert_eq!(first["electrodes"], 256);
    let alive = first["electrodes_alive"].as_u64().expect("a number");
    assert!((200..256).contains(&alive), "some electrodes are dead, and are found: {alive} alive");
    let picture = |name: &str| std::fs::read(place(name)).expect("a picture");
    assert!(picture("a.png").starts_with(b"\x89PNG\r\n"));
    assert!(picture("a.png") == picture("b.png"), "by the same seed");
    let left = std::fs::read_dir(folder.path()).expect("the folder").count();
    assert_eq!(left, 3, "three pictures and nothing else");
}

#[test]
fn the_scoreboard_says_synthetic_and_a_pipe_gets_nothing_else() {
    let folder = tempfile::tempdir().expect("a folder");
    let done = demo(&[], &folder.path().join("a.svg"));
    assert_eq!((done.code, done.stderr.as_str()), (0, ""));
    assert!(done.stdout.contains("SYNTHETIC"), "{}", done.stdout);
    assert!(!done.stdout.contains('\x1b'), "no colours and no redrawing in a pipe");
    let svg = std::fs::read_to_string(folder.path().join("a.svg")).expect("a picture");
    assert!(svg.starts_with("<svg") && svg.contains("SYNTHETIC"));
}

#[test]
fn what_cannot_be_is_refused_before_any_work() {
    let folder = tempfile::tempdir().expect("a folder");
    let picture = folder.path().join("a.bmp");
    let done = demo(&[], &picture);
    assert_eq!(done.code, 2, "{}", done.stderr);
    assert!(done.stderr.contains("--out") && done.stderr.contains(".png or .svg"), "{}", done.stderr);
    let done = demo(&["--seconds", "-1"], &folder.path().join("a.png"));
    assert_eq!(done.code, 2, "{}", done.stderr);
    assert_eq!(std::fs::read_dir(folder.path()).expect("the folder").count(), 0);
}
