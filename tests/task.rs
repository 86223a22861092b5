//! `efference task` through the real binary: a small implant, a short task.

#[path = "support/program.rs"]
mod program;

use program::run;
use serde_json::Value;

fn report(task: &str, source: &str, more: &[&str]) -> Value {
    let done = run(&[&["task", task, source, "--seconds", "25", "--json"], more].concat());
    assert_eq!(done.code, 0, "{}", done.stderr);
    serde_json::from_str(&done.stdout).expect("one JSON object")
}

#[test]
fn a_seed_decides_every_score_and_it_says_synthetic() {
    let small = "sim:neuralink-n1,electrodes=256,seed=3";
    let first = report("pursuit", small, &[]);
    assert_eq!(first, report("pursuit", small, &[]), "by the same seed");
    assert_eq!(first["synthetic"], Value::Bool(true));
    let seed = &first["seeds"][0];
    assert_eq!(seed["calibration_seconds"].as_f64().map(f64::round), Some(180.0));
    assert!(seed["scores"]["hits"].as_u64().expect("a number") > 0, "{first}");
    assert!(first["median"]["throughput"].as_f64().is_some_and(|bits| bits > 0.1), "{first}");
    let other = report("pursuit", "sim:neuralink-n1,electrodes=256,seed=4", &[]);
    assert_ne!(first["seeds"][0]["scores"], other["seeds"][0]["scores"], "by another seed");
}

#[test]
fn webgrid_counts_clicks_and_draws() {
    let folder = tempfile::tempdir().expect("a folder");
    let picture = folder.path().join("w.png");
    let place = picture.to_str().expect("a plain path");
    let source = "sim:neuralink-n1,electrodes=256,seed=2";
    let report = report("webgrid", source, &["--side", "6", "--plot", place]);
    let scores = &report["seeds"][0]["scores"];
    let (correct, incorrect) = (scores["correct"].as_u64(), scores["incorrect"].as_u64());
    let (correct, incorrect) = (correct.expect("a number"), incorrect.expect("a number"));
    assert_eq!(scores["hits"].as_u64(), Some(correct));
    assert!(correct > 2, "{scores}");
    let bits = 35f64.log2() * correct.saturating_sub(incorrect) as f64 / 25.0;
    assert!((scores["bits_per_second"].as_f64().expect("a number") - bits).abs() < 1e-9, "{scores}");
    assert!(std::fs::read(picture).expect("a picture").starts_with(b"\x89PNG\r\n"));
}

#[test]
fn clicks_are_decoded_from_the_same_bins() {
    let source = "sim:neuralink-n1,electrodes=512,seed=2";
    let report = report("webgrid", source, &["--side", "6", "--user", "expert", "--click", "decoded"]);
    let seed = &report["seeds"][0];
    let number = |of: &Value| of.as_f64().expect("a number");
    let click = &seed["click"];
    assert!(number(&click["n_asked"]) > 5.0 && number(&click["missed"]) < 0.5, "{click}");
    assert!((40.0..300.0).contains(&number(&click["delay_ms"])), "{click}");
    let (correct, incorrect) = (number(&seed["scores"]["correct"]), number(&seed["scores"]["incorrect"]));
    assert!(correct > 5.0 && incorrect < correct, "{seed}");
    // Neurons that know nothing of clicks: that the user rests is all that is left to tell one by.
    let deaf = "sim:neuralink-n1,electrodes=512,seed=2,click_modulation=0";
    let deaf = self::report("webgrid", deaf, &["--side", "6", "--user", "expert", "--click", "decoded"]);
    let bits = |of: &Value| number(&of["median"]["bits_per_second"]);
    assert!(bits(&deaf) < 0.6 * bits(&report), "{} of {}", bits(&deaf), bits(&report));
    let done = run(&["task", "webgrid", "--click", "decoded", "--ideal"]);
    assert!(done.code == 2 && done.stderr.contains("--click"), "{}", done.stderr);
}

#[test]
fn what_cannot_be_is_refused_with_a_reason() {
    let refuse = |args: &[&str], code, word: &str| {
        let done = run(&[&["task"], args].concat());
        assert_eq!(done.code, code, "{args:?}: {}", done.stderr);
        assert!(done.stderr.contains(word), "{args:?}: {}", done.stderr);
    };
    refuse(&["webgrid", "--side", "36"], 2, "6 to 35");
    refuse(&["webgrid", "--seconds", "0"], 2, "--seconds");
    refuse(&["webgrid", "sim:nobodys-implant"], 2, "nobodys-implant");
    let silent = "sim:neuralink-n1,electrodes=64,empty=1,double=0";
    refuse(&["webgrid", silent], 5, "0 electrodes hear anything");
    // Neurons that know nothing of what is intended.
    let deaf = "sim:neuralink-n1,electrodes=64,modulation=0,speed_modulation=0";
    refuse(&["webgrid", deaf], 5, "go along with the cursor");
    // All of them lost.
    let lost = "sim:neuralink-n1,electrodes=64,lose=1@0";
    refuse(&["webgrid", lost], 5, "0 electrodes hear anything");
    // Users who never move, and who move late: found to a bin.
    let folder = tempfile::tempdir().expect("a folder");
    let typical = include_str!("../src/tasks/user/shipped/typical.toml");
    for (name, from, to, word) in [
        ("still.toml", "follow_share = 1.0", "follow_share = 0.0", "nothing of what was intended is found"),
        (
            "late.toml",
            "follow_delay_ms = 0.0",
            "follow_delay_ms = 600.0",
            "580 ms (29 bins) after what was shown",
        ),
    ] {
        let path = folder.path().join(name);
        std::fs::write(&path, typical.replace(from, to)).expect("written");
        let path = path.to_str().expect("a plain path");
        refuse(&["webgrid", "sim:neuralink-n1,electrodes=128", "--user", path], 5, word);
    }
}

#[test]
fn a_decoder_is_kept_over_a_loss_and_days_and_every_swap_is_told() {
    let run_days = |more: &[&str]| {
        let source = "sim:neuralink-n1,electrodes=192,seed=3";
        report(
            "webgrid",
            source,
            &[&["--side", "6", "--click", "switch", "--days", "1", "--lose", "0.5@8"], more].concat(),
        )
    };
    let kept = run_days(&["--recalibrate"]);
    assert_eq!(kept, run_days(&["--recalibrate"]), "by the same seed");
    let days = kept["seeds"][0]["days"].as_array().expect("days");
    assert_eq!(days.len(), 2);
    let swaps: Vec<&Value> = days.iter().flat_map(|day| day["swaps"].as_array().expect("a list")).collect();
    assert!(swaps.iter().any(|swap| swap["reason"] == "electrodes"), "{kept}");
    assert!(days[0]["masked"].as_u64().expect("a number") > 20, "{kept}");
    assert!(kept["median"]["within 17 s of it"].as_f64().is_some_and(|bits| bits > 0.3), "{kept}");
    let not = run_days(&[]);
    assert!(not["seeds"][0]["days"][0]["swaps"].as_array().is_some_and(Vec::is_empty));
    let bits = |of: &Value| of["median"]["within 17 s of it"].as_f64().expect("a number");
    assert!(bits(&kept) > bits(&not), "{} for {}", bits(&kept), bits(&not));
    // For people: the last line is the last swap.
    let more = ["--side", "6", "--seconds", "25", "--lose", "0.5@8", "--recalibrate"];
    let done = run(&[&["task", "webgrid", "sim:neuralink-n1,electrodes=192,seed=3"], &more[..]].concat());
    assert_eq!(done.code, 0, "{}", done.stderr);
    assert!(
        done.stdout.contains("SYNTHETIC") && done.stdout.contains("electrodes were lost or came back"),
        "{}",
        done.stdout
    );
}

#[test]
fn refit_and_the_plain_filter_are_told_apart() {
    let source = "sim:neuralink-n1,electrodes=256,seed=3";
    let of = |decoder: &str| report("center-out", source, &["--decoder", decoder]);
    let (plain, refit) = (of("kalman"), of("refit"));
    assert_eq!(
        (plain["learns_from"].as_str(), refit["learns_from"].as_str()),
        (Some("observed"), Some("refit"))
    );
    // The same calibration up to the last fit, and another cursor behind it.
    let fits = |report: &Value| report["seeds"][0]["fits"].clone();
    assert_eq!(fits(&plain)[0], fits(&refit)[0]);
    assert!(fits(&refit)[1]["n_bins"].as_u64() > fits(&plain)[1]["n_bins"].as_u64(), "use was learnt from");
    for report in [&plain, &refit] {
        assert!(report["seeds"][0]["scores"]["hits"].as_u64().expect("a number") > 0, "{report}");
    }
    let refuse = run(&["task", "center-out", "--decoder", "refit", "--days", "1"]);
    assert!(refuse.code == 2 && refuse.stderr.contains("--decoder"), "{}", refuse.stderr);
}
