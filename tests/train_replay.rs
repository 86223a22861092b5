//! Train, model folder, replay: end to end through the program, on synthetic data for every family of decoders,
//! and on the recordings where they are present.

#[path = "support/mat.rs"]
mod mat;
#[path = "support/movement.rs"]
mod movement;
#[path = "support/program.rs"]
mod program;
#[path = "support/recorded.rs"]
mod recorded;

use mat::Array;
use movement::Movement;
use program::run;
use recorded::recorded;
use serde_json::Value;
use std::path::Path;

/// Four minutes of a simulated array in bins of 50 ms: 4,800 of them.
const SIMULATED: &str = "sim:neuralink-n1,kind=counts,electrodes=48,width_ms=50,seconds=240,seed=3";
const MOVEMENT: [&str; 6] = ["wiener", "kalman", "velocity-kalman", "full-kalman", "wide-kalman", "blend"];
const CLASSES: [&str; 2] = ["lda", "logistic"];

/// Runs a command that must succeed and gives its JSON.
fn json(args: &[&str]) -> Value {
    let outcome = run(&[args, &["--json"]].concat());
    assert_eq!(outcome.code, 0, "{args:?}: {}", outcome.stderr);
    assert_eq!(outcome.stdout.lines().count(), 1, "{args:?}: one object on one line");
    serde_json::from_str(&outcome.stdout).expect("JSON")
}

fn number(of: &Value, path: &str) -> f64 {
    of.pointer(path).and_then(Value::as_f64).unwrap_or_else(|| panic!("no number at {path} in {of}"))
}

fn text(path: &Path) -> String {
    std::fs::read_to_string(path).expect("a file of text")
}

fn path_in(folder: &tempfile::TempDir, name: &str) -> String {
    folder.path().join(name).display().to_string()
}

/// What a folder holds, by name.
fn files(folder: &str) -> Vec<(String, Vec<u8>)> {
    let mut files: Vec<(String, Vec<u8>)> = std::fs::read_dir(folder)
        .expect("a folder")
        .map(|entry| {
            let entry = entry.expect("an entry");
            let bytes = std::fs::read(entry.path()).expect("a file");
            (entry.file_name().into_string().expect("UTF-8"), bytes)
        })
        .collect();
    files.sort();
    files
}

#[test]
fn every_decoder_of_movement() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    for decoder in MOVEMENT {
        let (model, intents) = (path_in(&folder, decoder), path_in(&folder, "intents.jsonl"));
        let trained = json(&["train", SIMULATED, "--decoder", decoder, "--lags", "4", "--out", &model]);
        assert_eq!(trained["bins"], serde_json::json!([0, 3840]), "the last fifth is held out");
        assert_eq!(number(&trained, "/score/n_scored"), 960.0);
        check_folder(&model, decoder, true);

        let replay = ["replay", SIMULATED, "--model", &model, "--bins", "3840..4800", "--out", &intents];
        let replayed = json(&replay);
        check_report(&replayed, decoder, 960.0, true);
        // The live pipeline and the fit's own score see the same bins through the same decoder.
        assert_eq!(replayed["score"], trained["score"], "{decoder}");
        let mean = number(&replayed, "/score/velocity_r2/mean");
        assert!((0.3..1.0).contains(&mean), "{decoder}: R² {mean}");
        let axes = ["x", "y"].map(|axis| number(&replayed, &format!("/score/velocity_r2/{axis}")));
        assert!((mean - (axes[0] + axes[1]) / 2.0).abs() < 1e-12);
        assert!(number(&replayed, "/score/cc/mean") > mean.sqrt() - 0.1, "{decoder}");
        assert_eq!(replayed["score"]["accuracy"], Value::Null);
        assert_eq!(replayed["score"]["position_r2"].is_null(), decoder == "velocity-kalman");

        let lines: Vec<Value> =
            text(Path::new(&intents)).lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
        assert_eq!(lines.len(), 960);
        for (line, bin) in lines.iter().zip(3840..) {
            assert_eq!((number(line, "/bin"), number(line, "/sample")), (bin as f64, (bin + 1) as f64));
            assert_eq!(number(line, "/seconds"), (bin + 1) as f64 / 20.0, "the first instant after the bin");
            assert_eq!(line["velocity"].as_array().map(Vec::len), Some(2));
            assert_eq!(number(line, "/lost_frames"), 0.0);
        }
    }
}

#[test]
fn every_decoder_of_classes() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let trials = path_in(&folder, "trials.mat");
    std::fs::write(&trials, mat::file(&[("train_trial", choices(30, 4, 12))])).expect("written");
    for decoder in CLASSES {
        let (model, intents) = (path_in(&folder, decoder), path_in(&folder, "intents.jsonl"));
        let trained = json(&["train", &trials, "--decoder", decoder, "--bins", "0..80", "--out", &model]);
        assert_eq!(trained["bins"], serde_json::json!([0, 80]), "what is asked for is fitted");
        check_folder(&model, decoder, false);
        let replay = ["replay", &trials, "--model", &model, "--bins", "80..120", "--out", &intents];
        let replayed = json(&replay);
        check_report(&replayed, decoder, 40.0, false);
        let accuracy = number(&replayed, "/score/accuracy");
        assert!(accuracy > 0.8, "{decoder}: {accuracy} where chance is 0.25");
        assert_eq!(replayed["score"]["velocity_r2"], Value::Null);
        let lines = text(Path::new(&intents));
        let right = lines.lines().enumerate().filter(|(trial, line)| {
            let line: Value = serde_json::from_str(line).expect("JSON");
            assert!((0.25..=1.0).contains(&number(&line, "/probability")), "{line}");
            line["class"] == format!("class {}", trial % 4).as_str()
        });
        assert_eq!(right.count() as f64 / 40.0, accuracy, "the intents are what was scored");
        let followed = run(&["run", "--source", &trials, "--model", &model, "--follow-electrodes"]);
        assert_eq!(followed.code, 2, "it can't be solved again: {}", followed.stderr);
        assert!(followed.stderr.contains("chooses among classes"), "{}", followed.stderr);
    }
    let model = path_in(&folder, "model");
    let trained = json(&["train", &trials, "--out", &model]);
    assert_eq!(trained["decoder"], "lda", "a recording of classes is decoded into classes");
}

#[test]
fn the_same_command_gives_the_same_bytes() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    for decoder in MOVEMENT {
        let [first, second] = ["first", "second"].map(|round| {
            let model = path_in(&folder, round);
            json(&["train", SIMULATED, "--decoder", decoder, "--bins", "0..2000", "--out", &model]);
            let intents = path_in(&folder, &format!("{round}.jsonl"));
            json(&["replay", SIMULATED, "--model", &model, "--bins", "2000..2500", "--out", &intents]);
            (files(&model), text(Path::new(&intents)))
        });
        assert!(first == second, "{decoder}: another model or other intents");
    }
}

#[test]
fn bins_before_the_range_warm_the_decoder_up() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (model, out) = (path_in(&folder, "model"), path_in(&folder, "intents.jsonl"));
    for decoder in ["wiener", "kalman"] {
        json(&["train", SIMULATED, "--decoder", decoder, "--out", &model]);
        let intents = |bins: &str| {
            json(&["replay", SIMULATED, "--model", &model, "--bins", bins, "--out", &out]);
            text(Path::new(&out))
        };
        let all: Vec<String> = intents("..").lines().map(str::to_string).collect();
        assert_eq!(all.len(), 4800);
        let part: Vec<String> = intents("1000..2000").lines().map(str::to_string).collect();
        assert!(part == all[1000..2000], "{decoder}");
    }
}

#[test]
fn a_live_replay_says_what_a_fast_one_says() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (model, out) = (path_in(&folder, "model"), path_in(&folder, "intents.jsonl"));
    let address = "sim:neuralink-n1,electrodes=16,seconds=4,seed=2";
    let flags = ["--decoder", "wiener", "--lags", "2", "--ridge", "10", "--out", &model];
    let config = path_in(&folder, "own.toml");
    std::fs::write(&config, "[decoder]\nmin_events = 1\n[front_end]\nnoise_seconds = 1").expect("written");
    json(&[&["train", address, "--config", &config], &flags[..]].concat());
    let [live, fast] = ["1", "max"].map(|speed| {
        let flags = ["--bins", "..50", "--speed", speed, "--out", &out];
        let report = json(&[&["replay", address, "--model", &model], &flags[..]].concat());
        let seconds = number(&report, "/recording_seconds");
        assert!((1.0..1.002).contains(&seconds), "{seconds} s: to the end of the block of bin 49");
        text(Path::new(&out))
    });
    assert_eq!(live.lines().count(), 50);
    assert_eq!(live, fast);
}

#[test]
fn a_file_of_movement_and_eval_agree_with_train_and_replay() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (file, model) = (path_in(&folder, "hand.mat"), path_in(&folder, "model"));
    std::fs::write(&file, mat::file(&Movement::new(24, 2500).variables())).expect("written");
    let flags = ["--decoder", "wiener", "--lags", "3", "--bins", "0..2000", "--out", &model];
    json(&[&["train", &file, "--mapping", "m1-reaching"], &flags[..]].concat());
    let flags = ["--model", &model, "--bins", "2000..2500"];
    let replayed = json(&[&["replay", &file, "--mapping", "m1-reaching"], &flags[..]].concat());
    check_report(&replayed, "wiener", 500.0, false);
    let r2 = number(&replayed, "/score/velocity_r2/mean");
    assert!(r2 > 0.5, "24 tuned channels say where the hand goes: R² {r2}");

    let eval = path_in(&folder, "eval.toml");
    let run = |name: &str, recording: &str| {
        format!(
            "[[run]]\nname = \"{name}\"\nrecording = \"{recording}\"\nmapping = \"m1-reaching\"\n\
             train = \"0..2000\"\ntest = \"2000..2500\"\n[run.decoder]\nkind = \"wiener\"\nlags = 3\n"
        )
    };
    std::fs::write(&eval, run("hand", &file) + &run("other", "absent.mat")).expect("written");
    let table = json(&["eval", &eval]);
    assert_eq!(table["runs"][0]["score"], replayed["score"]);
    assert_eq!(table["runs"][0]["skipped"], Value::Null);
    assert!(table["runs"][1]["skipped"].as_str().is_some_and(|why| why.contains("absent.mat is absent")));
    assert_eq!(table["runs"][1]["score"]["velocity_r2"], Value::Null, "no number where nothing was measured");
}

/// Three files; the card and `model.toml` say what they were made of.
fn check_folder(model: &str, decoder: &str, synthetic: bool) {
    let names: Vec<String> = files(model).into_iter().map(|(name, _)| name).collect();
    assert_eq!(names, ["README.md", "model.toml", "weights.safetensors"]);
    let about: toml::Table = text(&Path::new(model).join("model.toml")).parse().expect("TOML");
    assert_eq!(about["synthetic"].as_bool(), Some(synthetic));
    assert_eq!(about["config"]["decoder"]["kind"].as_str(), Some(decoder));
    for key in ["provenance", "choices", "stream", "held_out", "output"] {
        assert!(about[key].is_table(), "model.toml has [{key}]");
    }
    for key in ["efference", "data", "command"] {
        assert!(about["provenance"][key].as_str().is_some_and(|said| !said.is_empty()), "{key}");
    }
    assert_eq!(about["stream"]["channel_map_sha256"].as_str().map(str::len), Some(64));
    let card = text(&Path::new(model).join("README.md"));
    let made_of = if synthetic { "synthetic" } else { "recorded" };
    assert!(card.starts_with(&format!("# Model: {decoder} on {made_of} data")), "{card}");
    let folders = Path::new(model).parent().expect("a folder").display().to_string();
    assert!(!card.contains(&folders), "folders of this machine are nobody's business: {card}");
}

/// What a script may rely on in `replay --json`.
fn check_report(report: &Value, decoder: &str, bins: f64, synthetic: bool) {
    assert_eq!(report["decoder"], decoder);
    assert_eq!(report["synthetic"], synthetic);
    assert_eq!(number(report, "/bins"), bins);
    assert_eq!(number(report, "/intents"), bins);
    assert_eq!(number(report, "/score/n_scored"), bins);
    assert_eq!(number(report, "/lost_frames"), 0.0);
    let (ratio, compute) = (number(report, "/time_ratio"), number(report, "/compute_seconds"));
    assert!(ratio > 0.0 && (ratio - compute / number(report, "/recording_seconds")).abs() < 1e-12);
    let stages = ["filter", "detect", "binning", "decode"];
    let sum: f64 = stages.map(|stage| number(report, &format!("/stage_seconds/{stage}"))).iter().sum();
    assert!((sum - compute).abs() < 1e-9, "{report}");
    for key in ["velocity_r2", "cc", "accuracy"] {
        assert!(report["score"].get(key).is_some(), "score has {key}, null where it makes no sense");
    }
}

/// Trials × classes of 0/1 counts from a fixed seed: each channel fires most for one class.
fn choices(n_trials: usize, n_classes: usize, n_channels: usize) -> Array {
    let mut state = 7u32;
    let mut random = move || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        state >> 16
    };
    let mut values = Vec::new();
    for class in 0..n_classes {
        for _ in 0..n_trials {
            let mut spikes = Vec::with_capacity(n_channels * 600);
            for _ in 0..600 {
                for channel in 0..n_channels {
                    let per_65536 = if channel % n_classes == class { 2200 } else { 1100 };
                    spikes.push(u8::from(random() < per_65536));
                }
            }
            values.push(Array::U8 { rows: n_channels, values: spikes });
        }
    }
    Array::Struct { rows: n_trials, fields: vec!["spikes"], values }
}

/// The figures that this project promises, on the split of the independent baselines.
#[test]
fn recorded_reaching_is_decoded_as_well_as_ever() {
    let Some(file) = recorded("m1-reaching/m1_reaching.mat") else { return };
    let folder = tempfile::tempdir().expect("a temporary folder");
    let model = path_in(&folder, "model");
    for (decoder, lags, at_least) in [("wiener", "10", 0.806), ("kalman", "15", 0.705), ("blend", "15", 0.82)]
    {
        let flags = ["--decoder", decoder, "--lags", lags, "--bins", "0..10875", "--out", &model];
        json(&[&["train", &file, "--mapping", "m1-reaching"], &flags[..]].concat());
        let flags = ["--model", &model, "--bins", "10875..13205"];
        let replayed = json(&[&["replay", &file, "--mapping", "m1-reaching"], &flags[..]].concat());
        let r2 = number(&replayed, "/score/velocity_r2/mean");
        println!("{decoder}: velocity R² {r2:.4} (recorded)");
        assert!(r2 >= at_least, "{decoder}: velocity R² {r2}, at least {at_least}");
        assert_eq!(replayed["synthetic"], false);
    }
}

#[test]
fn recorded_choices_are_decoded_as_well_as_ever() {
    let Some(file) = recorded("reach-8dir/reach_8dir.mat") else { return };
    let folder = tempfile::tempdir().expect("a temporary folder");
    let model = path_in(&folder, "model");
    // 61 trials of each of 8 directions train, 30 test.
    json(&["train", &file, "--decoder", "lda", "--bins", "0..488", "--out", &model]);
    let replayed = json(&["replay", &file, "--model", &model, "--bins", "488..728"]);
    let accuracy = number(&replayed, "/score/accuracy");
    println!("lda: accuracy {accuracy:.4} (recorded)");
    assert!(accuracy >= 0.950, "accuracy {accuracy}");
}

#[test]
fn field_potentials_need_no_config() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let out = folder.path().join("fields").display().to_string();
    let address = "sim:synchron-stentrode,seconds=30,seed=2";
    let live = run(&["run", "--source", address, "--seconds", "1", "--json"]);
    assert_eq!((live.code, live.stdout.contains("\"bins\"")), (0, true), "{}", live.stderr);
    let trained = run(&["train", address, "--decoder", "wiener", "--out", &out]);
    assert_eq!(trained.code, 0, "{}", trained.stderr);
    let about = std::fs::read_to_string(folder.path().join("fields/model.toml")).expect("a model");
    for said in ["low_cut_hz = 70.0", "high_cut_hz = 150.0", "features = \"power\"", "width_ms = 50.0"] {
        assert!(about.contains(said), "{said}: {about}");
    }
    // Who names a band has chosen.
    let config = folder.path().join("own.toml");
    std::fs::write(&config, "[front_end]\nlow_cut_hz = 5\nhigh_cut_hz = 30\n[bins]\nfeatures = \"power\"\n")
        .expect("a temporary file");
    let out = folder.path().join("own").display().to_string();
    let own = run(&["train", address, "--config", &config.display().to_string(), "--out", &out]);
    assert_eq!(own.code, 0, "{}", own.stderr);
    let about = std::fs::read_to_string(folder.path().join("own/model.toml")).expect("a model");
    assert!(about.contains("low_cut_hz = 5.0") && about.contains("width_ms = 20.0"), "{about}");
}
