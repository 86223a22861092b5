//! Rule: whatever is wrong, the program says what, where, what is legal and what to try, and leaves every
//! file as it was. Each test runs the program as a user does.

#[path = "support/mat.rs"]
mod mat;
#[path = "support/movement.rs"]
mod movement;
#[path = "support/program.rs"]
mod program;

use mat::Array;
use movement::Movement;
use program::{efference, run};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

const USAGE: i32 = 2;
const INPUT: i32 = 3;
const MODEL: i32 = 4;
const FIT: i32 = 5;
const OUTPUT: i32 = 6;
const INTERRUPTED: i32 = 130;

/// A folder of inputs and outputs that goes away.
struct Desk {
    folder: tempfile::TempDir,
}

impl Desk {
    fn new() -> Self {
        Desk { folder: tempfile::tempdir().expect("a temporary folder") }
    }

    fn path(&self, name: &str) -> String {
        self.folder.path().join(name).display().to_string()
    }

    fn put(&self, name: &str, bytes: impl AsRef<[u8]>) -> String {
        std::fs::write(self.folder.path().join(name), bytes).expect("a temporary file");
        self.path(name)
    }

    /// A recording of `n_channels` × `n_bins` that the mapping `m1-reaching` reads.
    fn put_movement(&self, name: &str, n_channels: usize, n_bins: usize) -> String {
        self.put(name, mat::file(&Movement::new(n_channels, n_bins).variables()))
    }

    /// A model of that recording, trained with the normaliser said in words.
    fn train(&self, recording: &str, model: &str) -> String {
        let model = self.path(model);
        let flags = ["--decoder", "wiener", "--lags", "2", "--normaliser", "zscore", "--out", &model];
        let outcome = run(&[&["train", recording, "--mapping", "m1-reaching"], &flags[..]].concat());
        assert_eq!(outcome.code, 0, "{}", outcome.stderr);
        model
    }

    /// Every file below, with its bytes; folders without.
    fn everything(&self) -> BTreeMap<PathBuf, Option<Vec<u8>>> {
        let mut found = BTreeMap::new();
        let mut open = vec![self.folder.path().to_path_buf()];
        while let Some(folder) = open.pop() {
            for entry in std::fs::read_dir(&folder).expect("a folder") {
                let path = entry.expect("an entry").path();
                let bytes = (!path.is_dir()).then(|| std::fs::read(&path).expect("a file"));
                if bytes.is_none() {
                    open.push(path.clone());
                }
                found.insert(path, bytes);
            }
        }
        found
    }

    /// Whether `name` is being written. Looks at names alone: what is listed may be gone when it is opened.
    #[cfg(unix)]
    fn has_temporary(&self, name: &str) -> bool {
        let mut entries = std::fs::read_dir(self.folder.path()).expect("a folder");
        let start = format!(".{name}.");
        entries.any(|entry| entry.is_ok_and(|entry| entry.file_name().to_string_lossy().starts_with(&start)))
    }

    /// Runs what must be refused: by this exit code, in one paragraph with these words, every file as it was.
    fn refuse(&self, args: &[&str], code: i32, words: &[&str]) {
        let before = self.everything();
        let outcome = run(args);
        let told = &outcome.stderr;
        assert_eq!(outcome.code, code, "{args:?} said: {told}");
        assert_eq!(outcome.stdout, "", "{args:?}: a refusal prints no result");
        let (notes, error): (Vec<&str>, Vec<&str>) =
            told.lines().partition(|line| line.starts_with("note: "));
        assert_eq!(error.len(), 1, "{args:?}: one paragraph, and notes {notes:?}: {told}");
        assert!(error[0].starts_with("error: ") && error[0].ends_with('.'), "{told}");
        for word in words.iter().chain(&["Legal: "]) {
            assert!(told.contains(word), "{args:?}: no `{word}` in: {told}");
        }
        assert!(before == self.everything(), "{args:?}: a file has changed");
    }
}

#[test]
fn an_empty_file() {
    let desk = Desk::new();
    let model = desk.path("model");
    for name in ["empty.mat", "empty.wav", "empty.i16"] {
        let file = desk.put(name, "");
        desk.put("empty.toml", FLAT);
        for args in [vec!["inspect", &file], vec!["train", &file, "--out", &model], vec!["detect", &file]] {
            desk.refuse(&args, INPUT, &[name, "it is empty (0 bytes)", "Try: copy the recording again"]);
        }
    }
}

#[test]
fn a_truncated_file() {
    let desk = Desk::new();
    let whole = mat::file(&Movement::new(6, 300).variables());
    let cut = desk.put("cut.mat", &whole[..whole.len() - 700]);
    let model = desk.path("model");
    let train = ["train", &cut, "--mapping", "m1-reaching", "--out", &model];
    desk.refuse(&train, INPUT, &["cut.mat", "cut short", "Try: "]);
    let whole = wav(19_531, 16, 500);
    let cut = desk.put("cut.wav", &whole[..whole.len() - 100]);
    desk.refuse(&["detect", &cut], INPUT, &["cut.wav", "cut short or damaged", "copy the recording again"]);
    desk.put("cut.toml", FLAT);
    let cut = desk.put("cut.i16", [0; 4 * 2 * 10 - 3]);
    desk.refuse(&["detect", &cut], INPUT, &["cut.i16"]);
    let cut = desk.put("cut.i16", [0; 4 * 2 * 9]);
    desk.refuse(&["detect", &cut], INPUT, &["cut.i16, field `length`: it has 9 frames", "Legal: 10 frames"]);
}

#[test]
fn a_wav_of_another_rate_or_of_24_bits() {
    let desk = Desk::new();
    let other = desk.put("other.wav", wav(44_100, 16, 100));
    desk.refuse(
        &["detect", &other],
        INPUT,
        &["other.wav, field `sample rate`", "44100 Hz", "19531 Hz", "mapping"],
    );
    let wide = desk.put("wide.wav", wav(19_531, 24, 100));
    let words = ["wide.wav, field `bits per sample`", "integers of 24 bits", "Legal: integers of 16 bits"];
    desk.refuse(&["detect", &wide], INPUT, &words);
}

#[test]
fn kinematics_that_are_not_finite() {
    let desk = Desk::new();
    for (value, shown) in [(f64::NAN, "NaN"), (f64::INFINITY, "inf"), (f64::NEG_INFINITY, "-inf")] {
        for (field, variable) in [("handPos", 1), ("handVel", 2)] {
            let mut variables = Movement::new(6, 100).variables();
            if let Array::F64 { values, .. } = &mut variables[variable].1 {
                values[3 * 17 + 1] = value;
            }
            let file = desk.put("hand.mat", mat::file(&variables));
            let model = desk.path("model");
            let found = format!("hand.mat, field `{field}`: axis y has {shown} at bin 17");
            let args = ["train", &file, "--mapping", "m1-reaching", "--out", &model];
            desk.refuse(&args, INPUT, &[&found, "finite numbers", "Try: "]);
        }
    }
}

#[test]
fn counts_and_kinematics_of_different_lengths() {
    let desk = Desk::new();
    let mut movement = Movement::new(6, 100);
    movement.velocity.truncate(3 * 99);
    let file = desk.put("short.mat", mat::file(&movement.variables()));
    let model = desk.path("model");
    let words = ["short.mat, field `handVel`: it has 99 bins, and `spikes` has 100", "same length", "Try: "];
    desk.refuse(&["train", &file, "--mapping", "m1-reaching", "--out", &model], INPUT, &words);
}

#[test]
fn a_mat_file_without_the_mapped_variable() {
    let desk = Desk::new();
    let variables = [
        ("spike", Array::U8 { rows: 2, values: vec![1; 6] }),
        ("hand", Array::F64 { rows: 3, values: vec![0.5; 9] }),
    ];
    let file = desk.put("other.mat", mat::file(&variables));
    let listed = "it has spike (2×3 uint8), hand (3×3 double)";
    let words = ["other.mat, field `spikes`", listed, "Try: `spike` in the mapping"];
    desk.refuse(&["inspect", &file, "--mapping", "m1-reaching"], INPUT, &words);
    desk.refuse(
        &["inspect", &file],
        INPUT,
        &["other.mat, field `mapping`", listed, "m1-reaching, reach-8dir"],
    );

    let spikes = Array::U8 { rows: 1, values: vec![0, 1] };
    let trials = Array::Struct { rows: 1, fields: vec!["times"], values: vec![spikes] };
    let file = desk.put("trials.mat", mat::file(&[("train_trial", trials)]));
    let words = ["trials.mat, field `train_trial`: it has no field `spikes`; it has times", "Try: "];
    desk.refuse(&["inspect", &file, "--mapping", "reach-8dir"], INPUT, &words);
}

#[test]
fn a_constant_channel() {
    let desk = Desk::new();
    let mut movement = Movement::new(6, 100);
    movement.counts.chunks_exact_mut(6).for_each(|bin| bin[4] = 3);
    let file = desk.put("stuck.mat", mat::file(&movement.variables()));
    let model = desk.path("model");
    let words = [
        "stuck.mat, field `spikes`: channel ch4 is constant (3 in every bin)",
        "Try: `exclude_channels = [4]`",
    ];
    desk.refuse(&["train", &file, "--mapping", "m1-reaching", "--out", &model], INPUT, &words);
}

#[test]
fn zero_training_bins() {
    let desk = Desk::new();
    let file = desk.put_movement("hand.mat", 6, 400);
    let model = desk.path("model");
    let train = |bins: &str, code, words: &[&str]| {
        let args = ["train", &file, "--mapping", "m1-reaching", "--bins", bins, "--out", &model];
        desk.refuse(&args, code, words);
    };
    train("7..7", USAGE, &["hand.mat, field `--bins`: bins 7..7", "A < B, within 0..400"]);
    train("300..401", USAGE, &["hand.mat, field `--bins`: bins 300..401", "within 0..400"]);
    train("7..9", FIT, &["hand.mat, fit of `wiener`, field `bins`: 2 bins", "at least 20", "--bins A..B"]);
    let none = desk.put("none.mat", mat::file(&Movement::new(6, 1).variables()));
    let args = ["train", &none, "--mapping", "m1-reaching", "--out", &model];
    desk.refuse(&args, FIT, &["none.mat", "at least 20 bins"]);
}

#[test]
fn a_singular_fit() {
    let desk = Desk::new();
    let mut movement = Movement::new(6, 400);
    movement.counts.chunks_exact_mut(6).for_each(|bin| bin[5] = bin[0]);
    let file = desk.put("twins.mat", mat::file(&movement.variables()));
    let model = desk.path("model");
    for decoder in ["wiener", "kalman", "blend"] {
        let flags = ["--decoder", decoder, "--ridge", "0", "--out", &model];
        let args = [&["train", &file, "--mapping", "m1-reaching"], &flags[..]].concat();
        desk.refuse(&args, FIT, &["twins.mat, fit of", "field `decoder.ridge`", "singular", "Try: "]);
    }
}

#[test]
fn a_cascade_where_none_can_be() {
    let desk = Desk::new();
    let file = desk.put_movement("hand.mat", 6, 400);
    let model = desk.path("model");
    let flags = ["--decoder", "full-kalman", "--cascade", "full", "--out", &model];
    let words = ["field `decoder.cascade`", "full-kalman", "Legal: none; activity or full with wiener"];
    desk.refuse(&[&["train", &file, "--mapping", "m1-reaching"], &flags[..]].concat(), USAGE, &words);
}

#[test]
fn an_unknown_config_key() {
    let desk = Desk::new();
    let file = desk.put_movement("hand.mat", 6, 400);
    let model = desk.path("model");
    let train = |text: &str, words: &[&str]| {
        let config = desk.put("own.toml", text);
        let flags = ["--config", &config, "--out", &model];
        desk.refuse(&[&["train", &file, "--mapping", "m1-reaching"], &flags[..]].concat(), USAGE, words);
    };
    train("[bins]\nwidht_ms = 50", &["own.toml, field `bins.widht_ms`", "Try: `bins.width_ms`"]);
    train("[decoder]\nlag = 3", &["own.toml, field `decoder.lag`", "Try: `decoder.lags`"]);
    train("[decodr]\nlags = 3", &["own.toml, field `decodr`"]);
    train("[decoder]\nlags = 0", &["own.toml, field `decoder.lags`: 0", "Legal: 1 to 100"]);
    let mapping = desk.put("own-map.toml", "[counts]\nvariabel = \"spikes\"");
    let words = ["own-map.toml, field `counts.variabel`", "Try: `variable`, which is the nearest"];
    desk.refuse(&["inspect", &file, "--mapping", &mapping], INPUT, &words);
    let eval = desk.put("own-eval.toml", "[[run]]\nnmae = \"a\"");
    desk.refuse(&["eval", &eval], USAGE, &["own-eval.toml, run 1, field `nmae`", "Try: `name`"]);
}

#[test]
fn a_model_for_another_recording() {
    let desk = Desk::new();
    let hand = desk.put_movement("hand.mat", 6, 400);
    let model = desk.train(&hand, "model");
    let replay = |recording: &str, mapping: &str, words: &[&str]| {
        let intents = desk.path("intents.jsonl");
        let args = ["replay", recording, "--mapping", mapping, "--model", &model, "--out", &intents];
        desk.refuse(&args, MODEL, words);
    };
    let wider = desk.put_movement("wider.mat", 7, 400);
    replay(&wider, "m1-reaching", &["wider.mat, field `channels`: 7 channels", "6 channels, as in training"]);
    let shipped = include_str!("../examples/mappings/m1-reaching.toml");
    let other =
        desk.put("other.toml", shipped.replace("[kinematics]", "exclude_channels = [2]\n[kinematics]"));
    replay(&wider, &other, &["wider.mat, field `channel_map_sha256`", "as in training", "Try: "]);
    let quick = desk.put("quick.toml", shipped.replace("= 50.0", "= 25.0"));
    replay(
        &hand,
        &quick,
        &["hand.mat, field `bins.width_ms`: bins of 25 ms", "bins of 50 ms, as in training"],
    );
}

#[test]
fn a_model_that_was_changed_by_hand() {
    let desk = Desk::new();
    let hand = desk.put_movement("hand.mat", 6, 400);
    let model = desk.train(&hand, "model");
    let replay = ["replay", &hand, "--mapping", "m1-reaching", "--model", &model];
    let about = Path::new(&model).join("model.toml");
    let good = std::fs::read_to_string(&about).expect("a model");
    for (from, to, field) in [
        ("channel_map_sha256 = \"", "channel_map_sha256 = \"0", "stream.channel_map_sha256"),
        ("width_ms = 50.0", "width_ms = 20.0", "bins.width_ms"),
        ("normaliser = \"zscore\"", "normaliser = \"sqrt\"", "decoder.normaliser"),
        ("normaliser = \"zscore\"", "normaliser = \"five-quarters\"", "decoder.normaliser"),
        ("kind = \"wiener\"", "kind = \"kalman\"", "decoder.kind"),
        ("lags = 2", "lags = 3", "decoder.lags"),
    ] {
        assert!(good.contains(from), "model.toml says {from}: {good}");
        std::fs::write(&about, good.replacen(from, to, 1)).expect("written");
        let field = format!("weights.safetensors, field `{field}`: model.toml says `");
        desk.refuse(&replay, MODEL, &[&field, "the weights were trained with `", "Try: undo the change"]);
    }
    for (from, to, found) in [
        ("format = 1", "format = 7", "field `format`: format 7"),
        ("synthetic = false", "synthetik = false", "synthetik"),
    ] {
        assert!(good.contains(from), "model.toml says {from}: {good}");
        std::fs::write(&about, good.replacen(from, to, 1)).expect("written");
        desk.refuse(&replay, MODEL, &["model.toml", found, "Try: train it again"]);
    }
    std::fs::write(&about, &good).expect("written");
    let weights = Path::new(&model).join("weights.safetensors");
    let whole = std::fs::read(&weights).expect("weights");
    for n in [0, 7, 100, whole.len() - 1] {
        std::fs::write(&weights, &whole[..n]).expect("written");
        desk.refuse(&replay, MODEL, &["weights.safetensors: it is damaged", "Try: train it again"]);
    }
    std::fs::remove_file(&weights).expect("removed");
    desk.refuse(&replay, MODEL, &["weights.safetensors: it can't be read", "Try: "]);
}

#[test]
fn an_output_that_cannot_be_written() {
    let desk = Desk::new();
    let hand = desk.put_movement("hand.mat", 6, 400);
    let model = desk.train(&hand, "model");
    let train = |out: &str, words: &[&str]| {
        let args = ["train", &hand, "--mapping", "m1-reaching", "--out", &desk.path(out)];
        desk.refuse(&args, OUTPUT, words);
    };
    train("hand.mat", &["hand.mat: something else stands there, a file", "model.toml", "Try: another name"]);
    train("no/where", &["no/where: the folder above it doesn't exist", "Try: mkdir -p"]);
    train("hand.mat/model", &["hand.mat/model: the folder above it"]);
    std::fs::create_dir(desk.path("photos")).expect("a folder");
    desk.put("photos/a.jpg", "x");
    train("photos", &["photos: something else stands there, a folder that holds `a.jpg`", "a new folder"]);
    // A README of somebody's own is no model, though a model has one.
    std::fs::create_dir(desk.path("notes")).expect("a folder");
    desk.put("notes/README.md", "of last year");
    train("notes", &["notes: something else stands there, a folder that holds `README.md`"]);
    for (flag, name) in [("--out", "i.jsonl"), ("--plot", "p.png")] {
        let missing = desk.path(&format!("no/{name}"));
        let replay = ["replay", &hand, "--mapping", "m1-reaching", "--model", &model];
        let with = |path: &str| desk.refuse(&[&replay[..], &[flag, path]].concat(), OUTPUT, &["Try: "]);
        with(&missing);
        let folder = desk.path(name);
        std::fs::create_dir(&folder).expect("a folder");
        with(&folder);
    }
}

#[test]
fn a_spectrum_of_what_has_none() {
    let desk = Desk::new();
    let inspect = |recording: &'static str, more: &'static [&'static str]| {
        [&["inspect", recording, "--spectrum"], more].concat()
    };
    let counts = "sim:blackrock-utah,electrodes=16,kind=counts,seconds=3";
    desk.refuse(&inspect(counts, &[]), INPUT, &["field `kind`", "counted already", "broadband"]);
    let short = "sim:blackrock-utah,electrodes=16,seconds=0.005";
    desk.refuse(&inspect(short, &[]), INPUT, &["field `length`: 150 frames", "256 frames or more"]);
    let good = "sim:blackrock-utah,electrodes=16,seconds=3";
    desk.refuse(&inspect(good, &["--channels", "9..17"]), USAGE, &["`--channels`", "within 0..16"]);
    for seconds in ["0", "-1", "NaN", "1e9"] {
        let args = [&inspect(good, &["--seconds"])[..], &[seconds]].concat();
        desk.refuse(&args, USAGE, &["`--seconds`", "above 0, to 86400"]);
    }
    desk.refuse(&inspect(good, &["--plot", "a.jpg"]), USAGE, &["a.jpg", ".png or .svg"]);
}

/// A bad place is found before the work: here, before a recording that isn't even there.
#[test]
fn an_output_is_refused_before_the_work() {
    let desk = Desk::new();
    let out = desk.path("no/model");
    desk.refuse(&["train", "absent.mat", "--out", &out], OUTPUT, &["no/model"]);
    desk.refuse(&["detect", "absent.i16", "--out", &out], OUTPUT, &["no/model"]);
    let plot = desk.path("no/a.png");
    desk.refuse(&["replay", "absent.mat", "--model", &out, "--plot", &plot], OUTPUT, &["no/a.png"]);
    desk.refuse(&["inspect", "absent.mat", "--spectrum", "--plot", &plot], OUTPUT, &["no/a.png"]);
}

/// An interrupt in the middle of a live replay leaves what was there and nothing else.
#[cfg(unix)]
#[test]
fn an_interrupt_in_the_middle() {
    let desk = Desk::new();
    let hand = desk.put_movement("hand.mat", 6, 400);
    let model = desk.train(&hand, "model");
    let (intents, plot) = (desk.put("intents.jsonl", "of last time\n"), desk.path("plot.png"));
    let before = desk.everything();
    for signal in ["-INT", "-TERM"] {
        let flags = ["--model", &model, "--speed", "1", "--out", &intents, "--plot", &plot];
        let mut replay = efference(&[&["replay", &hand, "--mapping", "m1-reaching"], &flags[..]].concat())
            .stdout(std::process::Stdio::piped())
            .stderr(std::process::Stdio::piped())
            .spawn()
            .expect("the program starts");
        // The replay takes 20 s; it is under way when its intents have a temporary name.
        while !desk.has_temporary("intents.jsonl") {
            assert!(replay.try_wait().expect("a child").is_none(), "it ended by itself");
            std::thread::yield_now();
        }
        let kill = std::process::Command::new("kill").args([signal, &replay.id().to_string()]).status();
        assert!(kill.expect("kill is there").success());
        let output = replay.wait_with_output().expect("it ends");
        let told = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(INTERRUPTED), "{signal}: {told}");
        assert!(told.contains("interrupted") && output.stdout.is_empty(), "{signal}: {told}");
        assert!(before == desk.everything(), "{signal}: files were left or changed");
    }
}

/// Four channels of 16 bits, 10 frames.
const FLAT: &str =
    "[flat]\nsample_rate_hz = 30000.0\nn_channels = 4\nsample_type = \"int16\"\nn_frames = 10\n";

/// A WAV file of silence on the N1 lattice.
fn wav(sample_rate: u32, bits_per_sample: u16, n_frames: usize) -> Vec<u8> {
    let sample_format = hound::SampleFormat::Int;
    let spec = hound::WavSpec { channels: 1, sample_rate, bits_per_sample, sample_format };
    let mut bytes = std::io::Cursor::new(Vec::new());
    let mut writer = hound::WavWriter::new(&mut bytes, spec).expect("a legal spec");
    for _ in 0..n_frames {
        writer.write_sample(31).expect("in memory");
    }
    writer.finalize().expect("in memory");
    bytes.into_inner()
}
