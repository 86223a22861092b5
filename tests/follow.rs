//! Electrodes that are lost while a model runs: found, solved around and logged without stopping the stream, and done again by
//! a replay to the bit; in threads and through the program. All streams are synthetic.

#[path = "support/program.rs"]
mod program;

use efference::binning::BinSchedule;
use efference::config::{Config, DecoderKind, LiveConfig};
use efference::decode::keeper::MaskReason;
use efference::decode::{ClickRule, Clicker, Decoder, LinearDecoder, Output, Weights};
use efference::intents::Intent;
use efference::live::{Delivery, KEEPER, Keeping, LOG_FORMAT, LogLine, Report, RunLog, Setup, Sink, run};
use efference::model::Model;
use efference::pipeline::{Calibration, Event, Pipeline};
use efference::simd::Level;
use efference::sources::ReadOutcome;
use efference::train::{self, Basis};
use efference::{Error, recording};
use program::efference;
use std::io::Write;
use std::path::Path;
use std::process::{Child, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// A model in memory, of a stream none of whose electrodes is lost.
struct Rig {
    address: String,
    config: Config,
    decoder: Decoder,
    basis: Basis,
}

impl Rig {
    fn new(address: &str, kind: DecoderKind) -> Self {
        let mut recording = recording::open(&format!("{address},seconds=60"), None).expect("a simulator");
        let mut config = recording.settle(Config::default(), "test").expect("legal");
        config.decoder.kind = kind;
        config.decoder.lags = 3;
        config.decoder.ridge = vec![100.0];
        let nothing = Calibration::default();
        let schedule = BinSchedule::new(recording.source.info().sample_rate, config.bins.width_ms);
        let n_bins = schedule.expect("legal").n_bins(recording.source.n_frames().expect("a minute"));
        let data = train::collect(&mut recording, &config, &nothing, n_bins, |_| ()).expect("it moves");
        let fitted = train::fit(&data, &config.decoder).expect("regular");
        let basis = Basis::of(&data, &config.decoder, &fitted.decoder, &fitted.choices).expect("regular");
        Rig { address: format!("{address},{LOSS}"), config, decoder: fitted.decoder, basis }
    }

    fn source(&self) -> Box<dyn efference::sources::SampleSource> {
        recording::open(&self.address, None).expect("a simulator").source
    }

    /// In real time, with the electrodes followed; and the log.
    fn run(&self, shards: usize) -> (Report, Vec<Intent>, String) {
        let heard = Arc::new(Mutex::new(Vec::with_capacity(10_000)));
        let log = Arc::new(Mutex::new(String::new()));
        let live = LiveConfig { shards, ring_blocks: 64, hold_ms: 10_000.0, ..LiveConfig::default() };
        let (written, n_channels) = (log.clone(), self.source().info().n_channels());
        let write = move |line: &LogLine| {
            let line = serde_json::to_string(line).expect("plain values");
            written.lock().expect("one writer").push_str(&(line + "\n"));
            Ok(())
        };
        let start = LogLine::Start { format: LOG_FORMAT, n_channels, weights_sha256: String::new() };
        write(&start).expect("memory");
        let rollbacks = AtomicU32::new(0);
        let setup = Setup {
            config: &self.config,
            calibration: &Calibration::default(),
            decoder: Some(self.decoder.clone()),
            live: &live,
            level: Level::widest(),
            seconds: None,
            stop: &AtomicBool::new(false),
            freeze: &AtomicBool::new(false),
            panics: &AtomicU32::new(0),
            resume: &AtomicBool::new(false),
            keeping: Some(Keeping {
                basis: Some(&self.basis),
                rollbacks: &rollbacks,
                log: Some(Box::new(write)),
            }),
            drill: None,
            around: counted,
        };
        let report = run(setup, self.source(), vec![Box::new(Listener(heard.clone()))]).expect("it runs");
        let heard = heard.lock().expect("the run is over").clone();
        let log = log.lock().expect("the run is over").clone();
        (report, heard, log)
    }

    /// Every intent, as a replay with this log gives it.
    fn replayed(&self, log: Option<&RunLog>) -> Vec<Intent> {
        let mut source = self.source();
        let n_channels = source.info().n_channels();
        let decoder = Some(self.decoder.clone());
        let mut pipeline =
            Pipeline::from_config(&self.config, source.info(), &Calibration::default(), decoder)
                .expect("legal");
        if let Some(log) = log {
            log.follow(&mut pipeline, &self.decoder, &self.basis, n_channels).expect("solvable");
        }
        let (mut block, mut intents) = (source.new_block(), Vec::new());
        while source.read(&mut block).expect("a simulator") == ReadOutcome::Block {
            pipeline.process(&block, |event| {
                if let Event::Intent(intent) = event {
                    intents.push(*intent);
                }
            });
        }
        intents
    }
}

struct Listener(Arc<Mutex<Vec<Intent>>>);

impl Sink for Listener {
    fn deliver(&mut self, delivery: &Delivery) -> Result<(), Error> {
        if let Delivery::Act(intent) | Delivery::Hold(intent) = delivery {
            self.0.lock().expect("nobody else writes").push(*intent);
        }
        Ok(())
    }
}

static ALLOCATIONS: AtomicU64 = AtomicU64::new(0);

fn counted(name: &str, work: &mut dyn FnMut()) {
    let memory = allocation_counter::measure(work);
    if name != KEEPER {
        ALLOCATIONS.fetch_add(memory.count_total, Ordering::Relaxed);
    }
}

/// Half of the electrodes; the rest of the run is enough to find those that fire most.
const LOSS: &str = "lose=0.5@0.5,seconds=4.5";
/// A machine may be so busy that frames are lost in spite of the long ring; then it is counted, and tried again.
const TRIES: usize = 5;

#[test]
fn a_run_goes_on_without_what_is_lost_and_a_replay_says_the_same() {
    let counts = "sim:neuralink-n1,kind=counts,electrodes=200,width_ms=20,seed=5";
    let crossings = "sim:neuralink-n1,kind=crossings,electrodes=96,seed=5";
    for (address, kind, shards) in [
        (counts, DecoderKind::Wiener, 2),
        (counts, DecoderKind::Blend, 1),
        (counts, DecoderKind::FullKalman, 1),
        (crossings, DecoderKind::WideKalman, 1),
    ] {
        let rig = Rig::new(address, kind);
        let whole = (0..TRIES).find_map(|_| {
            let (report, heard, log) = rig.run(shards);
            assert!(report.balanced && !report.failed_log, "{report:?}");
            let lost = report.frames_lost + report.deliveries_overwritten + report.parts_overwritten;
            (lost == 0).then_some((report, heard, log))
        });
        let (report, heard, log) = whole.expect("no run lost nothing");
        assert!(!report.swaps.is_empty() && report.lost_channels > Some(0), "{kind:?}: nothing was found");
        for swap in &report.swaps {
            assert_eq!(swap.masked.reason, MaskReason::Electrodes);
            assert!(swap.found_bin < swap.masked.bin && swap.ms >= swap.solve_ms, "{swap:?}");
        }
        let log = RunLog::read(&log, "the log", report.n_channels).expect("as written");
        assert_eq!(log.swaps.len(), report.swaps.len());
        let first = log.swaps[0].bin as usize;
        let (plain, again) = (rig.replayed(None), rig.replayed(Some(&log)));
        assert_eq!(heard, again, "{kind:?} on {shards} shards: to the bit");
        assert_eq!(heard[..first], plain[..first], "nothing changes before");
        assert_ne!(heard[first..], plain[first..], "and something does from there on");
    }
    assert_eq!(ALLOCATIONS.load(Ordering::Relaxed), 0, "the threads of a stream take no memory for it");
}

/// The program as it runs, with a hand on its standard input.
struct Session {
    child: Child,
    log: String,
}

impl Session {
    fn begin(source: &str, model: &str, live: &str, intents: &str, log: &str) -> Self {
        let arguments = ["run", "--source", source, "--model", model, "--live", live, "--out", intents];
        let arguments = [&arguments[..], &["--follow-electrodes", "--swaps", log, "--json"]].concat();
        let child = efference(&arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn();
        Session { child: child.expect("the program starts"), log: log.to_string() }
    }

    fn say(&mut self, word: &str) {
        let input = self.child.stdin.as_mut().expect("it is piped");
        writeln!(input, "{word}").and_then(|()| input.flush()).expect("the program listens");
    }

    /// Waits until the log has `n` lines that say `what`.
    fn until(&mut self, what: &str, n: usize) {
        for turn in 0.. {
            let log = std::fs::read_to_string(&self.log).unwrap_or_default();
            if log.lines().filter(|line| line.contains(what)).count() >= n {
                return;
            }
            let ended = self.child.try_wait().expect("it is ours");
            assert!(ended.is_none() && turn < TURNS, "no {n} × {what} in:\n{log}");
            std::thread::sleep(TURN);
        }
    }

    fn end(mut self) -> serde_json::Value {
        self.say("stop");
        let output = self.child.wait_with_output().expect("it ends");
        assert!(output.status.success(), "{output:?}");
        serde_json::from_slice(&output.stdout).expect("JSON")
    }
}

/// How often the log is looked at.
const TURN: Duration = Duration::from_millis(5);
/// A minute: far more than a session takes.
const TURNS: u32 = 12_000;

fn path_in(folder: &Path, name: &str) -> String {
    folder.join(name).display().to_string()
}

fn ok(arguments: &[&str]) -> String {
    let outcome = program::run(arguments);
    assert_eq!(outcome.code, 0, "{arguments:?}: {}", outcome.stderr);
    outcome.stdout
}

fn lines(path: &str) -> Vec<String> {
    std::fs::read_to_string(path).expect("a file of text").lines().map(str::to_string).collect()
}

const STREAM: &str = "sim:neuralink-n1,kind=counts,electrodes=48,width_ms=20,seed=3";

/// Lost electrodes, a rollback, a panic and a resume, in a run that a replay with its log repeats line by line.
#[test]
fn a_session_with_losses_rollback_and_panic_is_replayed_to_the_bit() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let place = |name: &str| path_in(folder.path(), name);
    let (live, source) = (place("live.toml"), format!("{STREAM},seconds=60,lose=0.4@0.5"));
    std::fs::write(&live, "[live]\nring_blocks = 64\nhold_ms = 10000").expect("writable");
    for decoder in ["wiener", "kalman", "full-kalman", "wide-kalman"] {
        let (model, log) = (place(decoder), place("swaps.jsonl"));
        let (intents, again, plain) = (place("live.jsonl"), place("again.jsonl"), place("plain.jsonl"));
        let trained = format!("{STREAM},seconds=60");
        let settings = ["--lags", "3", "--ridge", "100", "--keep-statistics", "--out", &model];
        ok(&[&["train", &trained, "--decoder", decoder], &settings[..]].concat());
        let report = (0..TRIES).find_map(|_| {
            let _ = std::fs::remove_file(&log);
            let mut session = Session::begin(&source, &model, &live, &intents, &log);
            session.until("electrodes", 1);
            session.say("rollback");
            session.until("rolled-back", 1);
            session.say("panic");
            session.until("panic", 1);
            session.say("resume");
            session.until("resumed", 1);
            session.until("\"is_held\":false", 1);
            let report = session.end();
            let lost = ["frames_lost", "deliveries_overwritten", "parts_overwritten", "lost_bins"];
            let lost: u64 = lost.iter().map(|key| report[key].as_u64().expect("a number")).sum();
            (lost == 0).then_some(report)
        });
        let report = report.expect("no run lost nothing");
        assert_eq!((&report["panics"], &report["resumes"]), (&1.into(), &1.into()), "{report}");
        assert_eq!(report["allocations"], 0, "the threads of a stream take no memory for it");
        let swaps = report["swaps"].as_array().expect("a list");
        assert!(swaps.len() >= 2, "{report}");
        for (flags, out) in [(&["--swaps", &log][..], &again), (&[], &plain)] {
            ok(&[&["replay", &source, "--model", &model, "--out", out], flags].concat());
        }
        let (live, again, plain) = (lines(&intents), lines(&again), lines(&plain));
        assert!(live.len() > 100 && live.len() <= again.len());
        let differs = (0..live.len()).find(|&bin| live[bin] != again[bin]);
        let of = |bin: usize| format!("bin {bin}: {} and {}", live[bin], again[bin]);
        assert!(differs.is_none(), "{decoder}: {}", differs.map_or(String::new(), of));
        let first = swaps[0]["bin"].as_u64().expect("a bin") as usize;
        assert_eq!(live[..first], plain[..first], "nothing changes before the first swap");
        let moved = (first..live.len()).filter(|&bin| live[bin] != plain[bin]).count();
        assert!(moved > 0, "{decoder}: the swaps changed nothing");
        let held = live.iter().filter(|line| line.contains("\"hold\":\"panic\"")).count();
        assert!(held >= 25, "half a second at least: {held} bins");
    }
}

#[test]
fn what_cannot_be_followed_is_refused_before_the_stream_begins() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let place = |name: &str| path_in(folder.path(), name);
    let (bare, kept, other, log) = (place("bare"), place("kept"), place("other"), place("swaps.jsonl"));
    let (trained, source) = (format!("{STREAM},seconds=20"), format!("{STREAM},seconds=1"));
    for (model, flags) in
        [(&bare, &[][..]), (&kept, &["--keep-statistics"]), (&other, &["--keep-statistics"])]
    {
        let ridge = if model == &other { "200" } else { "100" };
        let train = ["train", &trained, "--decoder", "kalman", "--ridge", ridge, "--out", model];
        ok(&[&train[..], flags].concat());
    }
    let refused = |arguments: &[&str], said: &str| {
        let outcome = program::run(arguments);
        assert!(outcome.code != 0 && outcome.stderr.contains(said), "{arguments:?}: {}", outcome.stderr);
    };
    let run = ["run", "--source", &source, "--follow-electrodes"];
    refused(&run, "--model");
    refused(&[&run[..], &["--model", &bare]].concat(), "--keep-statistics");
    refused(&[&run[..], &["--model", &kept, "--swaps", &place("no/such/place")]].concat(), "no/such/place");
    refused(&[&run[..], &["--model", &kept, "--swaps", &log, "--out", &log]].concat(), "named twice");
    ok(&[&run[..], &["--model", &kept, "--swaps", &log]].concat());
    let replay = ["replay", &source, "--swaps", &log, "--model"];
    ok(&[&replay[..], &[&kept]].concat());
    refused(&[&replay[..], &[&other]].concat(), "another model");
    std::fs::write(&log, "{\"event\":\"start\"").expect("writable");
    refused(&[&replay[..], &[&kept]].concat(), "line 1");
}

/// A button beside a decoder of movement: saved with it, pressed in a replay, and deaf to what is lost.
#[test]
fn a_model_with_a_button_is_saved_and_presses_it() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let place = |name: &str| path_in(folder.path(), name);
    let (moves, clicks, intents) = (place("moves"), place("clicks"), place("intents.jsonl"));
    let (trained, source) = (format!("{STREAM},seconds=30"), format!("{STREAM},seconds=20"));
    let settings = ["--decoder", "kalman", "--ridge", "100", "--keep-statistics", "--out", &moves];
    ok(&[&["train", &trained], &settings[..]].concat());
    let mut model = Model::load(Path::new(&moves)).expect("as written");
    let basis = Model::load_basis(Path::new(&moves)).expect("as written");
    let normaliser = model.decoder.normaliser().clone();
    let n = normaliser.n_features();
    // The more all channels fire, the more it is a click.
    let weights = Weights {
        n_features: n,
        lags: 1,
        n_states: 2,
        readout: [vec![0.0; n], vec![0.3; n]].concat(),
        recurrence: vec![],
        output: vec![],
        offset: vec![0.0, 0.0],
    };
    let classes = Decoder::new(normaliser, LinearDecoder::new(weights, Output::Choose).expect("sizes fit"));
    let clicker = Clicker::new(classes, ClickRule::default()).expect("two classes");
    model.decoder = model.decoder.with_click(clicker).expect("as many features");
    let pending = Model::begin(Path::new(&clicks)).expect("writable");
    model.write_with(pending, Some(&basis)).expect("room");

    let loaded = Model::load(Path::new(&clicks)).expect("as written");
    assert_eq!(loaded.decoder, model.decoder);
    ok(&["replay", &source, "--model", &clicks, "--out", &intents]);
    let lines = lines(&intents);
    let down = lines.iter().filter(|line| line.contains("\"button\":true")).count();
    assert!(down > 0 && down < lines.len(), "{down} of {} bins", lines.len());

    let basis = Model::load_basis(Path::new(&clicks)).expect("beside its weights");
    let lost = (0..n).find(|&channel| loaded.decoder.normaliser().inverse_deviation()[channel] != 0.0);
    let lost = lost.expect("a channel is heard");
    let without = basis.without(&loaded.decoder, &[lost], n).expect("regular");
    let heard = &without.clicker().expect("it keeps its button").classes().linear().weights().readout;
    assert_eq!(heard[n + lost], 0.0, "the button no longer hears what is lost");
    assert_eq!(heard.iter().filter(|weight| **weight != 0.0).count(), n - 1);
}
