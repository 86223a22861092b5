//! `efference inspect --spectrum` through the real binary: what is known of the simulator's signals (synthetic) is
//! found, what is said is the same as text, as JSON and as a picture, and a recording holds what was seen in it.

#[path = "support/program.rs"]
mod program;

use program::run;
use serde_json::Value;
use std::path::{Path, PathBuf};

const SIM: &str = "sim:blackrock-utah,electrodes=48,seconds=4,seed=5,mains_uv=20,mains_hz=60,dead=0.1";

fn spectrum(recording: &str, more: &[&str]) -> Value {
    let done = run(&[&["inspect", recording, "--spectrum", "--json"], more].concat());
    assert_eq!((done.code, done.stderr.as_str()), (0, ""), "{recording}");
    serde_json::from_str(&done.stdout).expect("one JSON object")
}

fn number(value: &Value) -> f64 {
    value.as_f64().unwrap_or_else(|| panic!("{value} is no number"))
}

#[test]
fn what_the_simulator_put_in_is_found() {
    let said = spectrum(SIM, &[]);
    assert_eq!((&said["synthetic"], &said["n_channels"]), (&Value::from(true), &Value::from(48)));
    let found = &said["spectrum"];
    assert_eq!((&found["unit"], &found["mains_hz"]), (&Value::from("µV"), &Value::from(60.0)));
    assert_eq!((&found["segment_frames"], &found["segments"]), (&Value::from(30_000), &Value::from(7)));
    let channels = found["channels"].as_array().expect("a list");
    let has =
        |channel: &Value, flag: &str| channel["flags"].as_array().is_some_and(|f| f.contains(&flag.into()));
    let (flat, live): (Vec<&Value>, Vec<&Value>) = channels.iter().partition(|channel| has(channel, "flat"));
    assert!(
        (1..=12).contains(&flat.len()) && flat.iter().all(|channel| number(&channel["noise"]["rms"]) == 0.0)
    );
    for channel in live {
        assert!(has(channel, "mains") && !has(channel, "clipped?") && !has(channel, "noisy"), "{channel}");
        // 20 µV, to which electrodes couple by 1 ± 0.1.
        let mains = number(&channel["mains"]["rms"]) * 2.0_f64.sqrt();
        assert!((17.5..22.5).contains(&mains), "{mains} µV");
        // White noise of 8 and 4 µV over half of 30 kHz, in 300 to 5,000 Hz.
        let noise = (number(&channel["noise"]["low_density"]) * 15_000.0).sqrt();
        assert!((8.0..10.5).contains(&noise), "{noise} µV");
        assert!(number(&channel["noise"]["density"]) >= 0.9 * number(&channel["noise"]["low_density"]));
        assert!(channel.get("density").is_none(), "48 are too many to list");
    }
}

#[test]
fn densities_of_few_channels_are_listed_and_add_up_to_their_bands() {
    let said = spectrum(SIM, &["--channels", "3..7", "--seconds", "3"]);
    let found = &said["spectrum"];
    assert_eq!((&found["channels_asked"], &found["frames"]), (&Value::from(4), &Value::from(90_000)));
    let resolution = number(&found["resolution_hz"]);
    for (nth, channel) in found["channels"].as_array().expect("a list").iter().enumerate() {
        assert_eq!(channel["channel"], Value::from(3 + nth));
        let density: Vec<f64> = channel["density"].as_array().expect("a list").iter().map(number).collect();
        assert_eq!(Value::from(density.len()), found["bins"]);
        for band in channel["bands"].as_array().expect("a list") {
            let inside = |&bin: &usize| {
                (number(&band["low_hz"])..number(&band["high_hz"])).contains(&(bin as f64 * resolution))
            };
            let power: f64 = (0..density.len()).filter(inside).map(|bin| density[bin] * resolution).sum();
            let rms = number(&band["rms"]);
            assert!((power.sqrt() - rms).abs() <= 1e-6 * rms, "{band}: {}", power.sqrt());
        }
    }
}

#[test]
fn text_says_what_it_is_of_and_pictures_are_drawn() {
    let folder = tempfile::tempdir().expect("a folder");
    for (name, start) in [("a.png", &b"\x89PNG"[..]), ("a.svg", b"<svg")] {
        let picture = folder.path().join(name);
        let plot = picture.to_str().expect("a plain path");
        let done = run(&["inspect", SIM, "--spectrum", "--seconds", "2.5", "--plot", plot]);
        assert_eq!((done.code, done.stderr.as_str()), (0, ""));
        for words in [
            "SYNTHETIC",
            "48 channels, 2.50 s",
            "The first 2.50 of 4.00 s",
            "mains: 60 Hz on ",
            "flat: ",
            plot,
        ] {
            assert!(done.stdout.contains(words), "no `{words}` in: {}", done.stdout);
        }
        let bytes = std::fs::read(&picture).expect("drawn");
        assert!(bytes.starts_with(start) && bytes.len() > 10_000, "{name}: {} bytes", bytes.len());
        if name == "a.svg" {
            let text = String::from_utf8(bytes).expect("SVG is text");
            assert!(text.contains("SYNTHETIC") && text.contains("mains, 60 Hz"));
        }
    }
    let short = run(&["inspect", SIM, "--spectrum", "--seconds", "0.5"]);
    assert!(short.stdout.contains("Segments are shorter than a second"), "{}", short.stdout);
}

#[test]
fn many_channels_are_evenly_chosen_and_it_is_said() {
    let many = "sim:paradromics-50k,electrodes=4000,seconds=0.2";
    let done = run(&["inspect", many, "--spectrum"]);
    assert_eq!(done.code, 0, "{}", done.stderr);
    assert!(done.stdout.contains("1024 of 4000 channels, evenly chosen"), "{}", done.stdout);
}

#[test]
fn electrodes_of_a_recording_that_touch_the_rails_are_found() {
    let default = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/data");
    let data = std::env::var_os("EFFERENCE_DATA").map_or(default, PathBuf::from).join("neuralink-n1");
    if !data.exists() {
        println!("skipped: {} is absent (EFFERENCE_DATA names the data folder)", data.display());
        return;
    }
    let said = spectrum(data.to_str().expect("a plain path"), &[]);
    assert_eq!(
        (&said["synthetic"], &said["spectrum"]["unit"]),
        (&Value::from(false), &Value::from("counts"))
    );
    let channels = said["spectrum"]["channels"].as_array().expect("a list");
    let clipped = channels
        .iter()
        .filter(|channel| channel["flags"].as_array().is_some_and(|f| f.contains(&"clipped?".into())));
    let names: Vec<&str> =
        clipped.filter_map(|channel| channel["name"].as_str()).map(|name| &name[..8]).collect();
    assert_eq!(names, ["3830d316", "3b20945b", "416c2b86"]);
}
