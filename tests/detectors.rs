//! Detectors and hybrids through the program: a hybrid is made of a simulated recording, scored and compared; and of
//! recorded electrodes, where they are present, against what independent code reaches.

#[path = "support/program.rs"]
mod program;
#[path = "support/recorded.rs"]
mod recorded;

use program::run;
use recorded::recorded;
use serde_json::Value;
use std::collections::BTreeMap;

const SIMULATED: &str = "sim:neuralink-n1,electrodes=24,seconds=5,snr=14,seed=2";
/// Recall at signal-to-noise ratios of 4, 6, 8 and 12 of −4.5 × MAD after a causal band-pass of 300 Hz to 5 kHz, by
/// another program on hybrids of its own.
const INDEPENDENT: [(&str, f64); 4] = [("4", 0.109), ("6", 0.561), ("8", 0.944), ("12", 1.0)];
/// Other electrodes, shapes and times.
const TOLERANCE: f64 = 0.06;

/// Runs a command that must succeed and gives its JSON.
fn json(args: &[&str]) -> Value {
    let outcome = run(&[args, &["--json"]].concat());
    assert_eq!(outcome.code, 0, "{args:?}: {}", outcome.stderr);
    serde_json::from_str(&outcome.stdout).expect("JSON")
}

fn number(of: &Value, path: &str) -> f64 {
    of.pointer(path).and_then(Value::as_f64).unwrap_or_else(|| panic!("no number at {path} in {of}"))
}

fn path_in(folder: &tempfile::TempDir, name: &str) -> String {
    folder.path().join(name).display().to_string()
}

fn files(folder: &str) -> BTreeMap<String, Vec<u8>> {
    let entries = std::fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("an entry"));
    let read = |entry: std::fs::DirEntry| {
        (entry.file_name().into_string().expect("UTF-8"), std::fs::read(entry.path()).expect("a file"))
    };
    entries.map(read).collect()
}

/// The rows of `--compare`, by name.
fn rows(report: &Value) -> BTreeMap<&str, &Value> {
    let rows = report["detectors"].as_array().expect("rows").iter();
    rows.map(|row| (row["name"].as_str().expect("a name"), row)).collect()
}

#[test]
fn a_hybrid_is_made_scored_and_labelled() {
    let folder = tempfile::tempdir().expect("a folder");
    let (one, two) = (path_in(&folder, "one"), path_in(&folder, "two"));
    let make = ["hybrid", SIMULATED, "--snr", "6,25", "--seed", "5", "--own-max-hz", "1000", "--out"];
    let about = json(&[&make[..], &[&one]].concat());
    json(&[&make[..], &[&two]].concat());
    assert_eq!(files(&one), files(&two), "the same seed, the same bytes");
    let names: Vec<String> = files(&one).into_keys().collect();
    let expected = ["background.i16", "background.json", "hybrid.i16", "hybrid.json", "hybrid_spikes.csv"];
    assert_eq!(names, expected);
    assert_eq!(number(&about, "/channels"), 2.0 * number(&about, "/electrodes"));

    let hybrid = format!("{one}/hybrid.i16");
    let inspected = json(&["inspect", &hybrid]);
    assert_eq!((&inspected["hybrid"], &inspected["synthetic"]), (&true.into(), &true.into()));
    let background = format!("{one}/background.i16");
    let inspected = json(&["inspect", &background]);
    assert_eq!(inspected["n_channels"], about["electrodes"]);
    let labels = (&inspected["hybrid"], &inspected["synthetic"]);
    assert_eq!(labels, (&false.into(), &true.into()), "its background was simulated");

    let truth = format!("{one}/hybrid_spikes.csv");
    let words = ["detect", &hybrid, "--truth", &truth];
    let shown = run(&words).stdout;
    assert!(shown.contains("hybrid: synthetic spikes added to a background"), "{shown}");
    let compared = json(&[&words[..], &["--compare", "--background", &background]].concat());
    let rows = rows(&compared);
    assert_eq!(rows.keys().copied().collect::<Vec<_>>(), ["absolute", "mad", "neo", "rms"]);
    for (name, row) in &rows {
        let (faint, loud) = (number(row, "/recall_by_snr/6"), number(row, "/recall_by_snr/25"));
        assert!(faint < loud && loud > 0.9, "{name}: {faint} and {loud}");
        assert!(number(row, "/background_per_second_and_channel") > 0.0, "{name}");
        let sweep = row["sweep"].as_array().expect("a sweep");
        assert!(sweep.iter().any(|point| point["multiple"] == row["multiple"]), "{name}");
    }
    // What the table says of a detector is what it does alone.
    for (name, detector) in [("mad", "negative"), ("neo", "neo")] {
        let alone = json(&[&words[..], &["--detector", detector]].concat());
        let unit = |report: &Value, path: &str| number(report, path);
        for channel in ["0", "7"] {
            let (a, b) = (format!("/score/units/{channel}/recall"), format!("/units/{channel}"));
            assert_eq!(unit(&alone, &a), unit(rows[name], &b), "{name}, unit {channel}");
        }
        assert_eq!(number(&alone, "/front_end/threshold"), number(rows[name], "/multiple"));
    }
}

/// The energy operator needs a frame more than the others; the time of a crossing doesn't show it.
#[test]
fn crossings_of_every_detector_stand_at_the_same_spikes() {
    let folder = tempfile::tempdir().expect("a folder");
    let one = path_in(&folder, "one");
    let made =
        ["hybrid", SIMULATED, "--snr", "40", "--own-max-hz", "1000", "--channels", "0..8", "--out", &one];
    json(&made);
    let truth = std::fs::read_to_string(format!("{one}/hybrid_spikes.csv")).expect("text");
    let times = |text: &str, channel_at: usize| -> Vec<(u64, u64)> {
        let numbers =
            |line: &str| line.split(',').map(|n| n.parse().expect("a number")).collect::<Vec<u64>>();
        text.lines().skip(1).map(numbers).map(|line| (line[channel_at], line[0])).collect()
    };
    let truth = times(&truth, 2);
    for detector in ["negative", "absolute", "neo"] {
        let out = path_in(&folder, "crossings.csv");
        let hybrid = format!("{one}/hybrid.i16");
        json(&["detect", &hybrid, "--detector", detector, "--out", &out]);
        let found = times(&std::fs::read_to_string(&out).expect("text"), 1);
        let mut offsets: Vec<i64> = truth
            .iter()
            .filter_map(|&(channel, time)| {
                let near = found.iter().filter(|spike| spike.0 == channel && spike.1.abs_diff(time) < 20);
                near.map(|spike| spike.1 as i64 - time as i64).min()
            })
            .collect();
        offsets.sort_unstable();
        assert!(
            offsets.len() * 20 > truth.len() * 19,
            "{detector} found {} of {}",
            offsets.len(),
            truth.len()
        );
        // The flank of a spike, some frames before its trough.
        let median = offsets[offsets.len() / 2];
        assert!((-6..=1).contains(&median), "{detector}: {median} frames from the trough");
    }
}

#[test]
fn what_is_wrong_is_said() {
    let folder = tempfile::tempdir().expect("a folder");
    let out = path_in(&folder, "out");
    let config = path_in(&folder, "settings.toml");
    std::fs::write(&config, "[front_end]\nnoise = \"mean\"").expect("written");
    let counts = "sim:blackrock-utah,kind=counts,seconds=2";
    for (args, code, said) in [
        (vec!["hybrid", SIMULATED, "--snr", "0", "--out", &out], 2, "--snr"),
        (vec!["hybrid", SIMULATED, "--channels", "20..30", "--out", &out], 2, "--channels"),
        (vec!["hybrid", counts, "--out", &out], 3, "16-bit integers"),
        (vec!["detect", SIMULATED, "--compare"], 2, "--truth"),
        (vec!["detect", SIMULATED, "--config", &config], 2, "front_end.noise"),
        (vec!["detect", SIMULATED, "--noise", "mean"], 2, "front_end.noise"),
    ] {
        let outcome = run(&args);
        assert!(outcome.code == code && outcome.stderr.contains(said), "{args:?}: {outcome:?}");
        assert!(!std::path::Path::new(&out).exists(), "nothing half made");
    }
}

#[test]
fn recorded_backgrounds_give_the_recall_of_independent_code() {
    let Some(recording) = recorded("neuralink-n1") else { return };
    let folder = tempfile::tempdir().expect("a folder");
    let one = path_in(&folder, "one");
    let about = json(&["hybrid", &recording, "--channels", "0..60", "--out", &one]);
    assert!(number(&about, "/electrodes") >= 25.0 && number(&about, "/templates") == 8.0, "{about}");
    let (hybrid, truth) = (format!("{one}/hybrid.i16"), format!("{one}/hybrid_spikes.csv"));
    let report = json(&["detect", &hybrid, "--truth", &truth]);
    let sidecar = std::fs::read_to_string(format!("{one}/hybrid.json")).expect("text");
    let sidecar: Value = serde_json::from_str(&sidecar).expect("JSON");
    for (ratio, expected) in INDEPENDENT {
        let units = sidecar["units"].as_object().expect("units").iter();
        let of_ratio = units.filter(|(_, unit)| unit["snr"].as_f64() == ratio.parse().ok());
        let recalls: Vec<f64> =
            of_ratio.map(|(unit, _)| number(&report, &format!("/score/units/{unit}/recall"))).collect();
        let mean = recalls.iter().sum::<f64>() / recalls.len() as f64;
        assert!((mean - expected).abs() < TOLERANCE, "SNR {ratio}: {mean}, where {expected} is expected");
    }
}
