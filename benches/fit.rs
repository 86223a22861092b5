//! Time and memory of a fit on counts of very many channels: 50,000 × 30,000 bins, 5 ridge strengths, 5 folds. And of one on a
//! recording.
//!
//! In: counts from a fixed seed (synthetic), about nine tenths of them 0, tuned to a velocity. Out: one JSON object:
//! seconds of the fit, the most memory that the program held, and R² of velocity on bins that were not fitted.
//!
//! `cargo bench --bench fit -- [--channels N] [--bins N] [--threads N]`
//!
//! With a recording: all of its bins by 10 lags, 5 strengths, 5 folds. Out: the seconds of each of 5 fits, and in the folder
//! what another program needs for the same fit: `x` and `y`, float64, rows first, and what was found.
//!
//! `cargo bench --bench fit -- --recording m1_reaching.mat --mapping m1-reaching --out FOLDER`

use efference::config::{Config, DecoderConfig, DecoderKind, RidgeShape};
use efference::intents::Action;
use efference::pipeline::Calibration;
use efference::train::wide::{Counts, fit};
use efference::train::{self, Movement, Targets, score_actions};
use efference::{SampleIndex, binning::Bin, config::Features, recording};
use ndarray::Array2;
use std::path::Path;
use std::time::Instant;

/// Fits of a recording.
const ROUNDS: usize = 5;

#[expect(clippy::disallowed_methods, reason = "a bench reads the clock")]
fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    let number = |name: &str, default: usize| {
        let at = arguments.iter().position(|argument| argument == name);
        at.and_then(|at| arguments.get(at + 1)).and_then(|value| value.parse().ok()).unwrap_or(default)
    };
    // `--test` asks whether it runs at all.
    let (n_channels, n_bins) = match arguments.iter().any(|argument| argument == "--test") {
        true => (2_000, 3_000),
        false => (number("--channels", 50_000), number("--bins", 30_000)),
    };
    let word = |name: &str| {
        let at = arguments.iter().position(|argument| argument == name);
        at.and_then(|at| arguments.get(at + 1)).cloned()
    };
    if let (Some(path), Some(out)) = (word("--recording"), word("--out")) {
        return recorded(&path, word("--mapping").as_deref(), Path::new(&out));
    }
    let threads = number("--threads", 2);
    let n_test = n_bins / 30;
    let (counts, movement) = session(n_channels, n_bins + n_test);
    let rows: Vec<usize> = (0..n_bins).collect();
    let config = DecoderConfig {
        lags: 1,
        ridge: [0.1, 0.3, 1.0, 3.0, 10.0].map(|share| share * n_bins as f64).to_vec(),
        ridge_shape: RidgeShape::Plain,
        ..DecoderConfig::default()
    };
    let started = Instant::now();
    let found = fit(&counts, &movement, &rows, &config, threads, |_| ()).expect("the counts are regular");
    let seconds = started.elapsed().as_secs_f64();
    let peak = procfs::process::Process::myself().and_then(|own| own.status()).ok().and_then(|own| own.vmhwm);
    let mut decoder = found.decoder;
    let decoded: Vec<(usize, Action)> =
        (n_bins..n_bins + n_test).map(|row| (row, decoder.decode(&bin(&counts, row)).action)).collect();
    let score = score_actions(&Targets::Movement(movement), &decoded);
    println!(
        "{}",
        serde_json::json!({
            "synthetic": true,
            "channels": n_channels,
            "bins": n_bins,
            "share_of_zeros": 1.0 - counts.n_entries() as f64 / (n_channels * (n_bins + n_test)) as f64,
            "threads": threads,
            "seconds": seconds,
            "peak_gib": peak.map(|kib| kib as f64 / (1 << 20) as f64),
            "passes": found.passes,
            "residual": found.residual,
            "losses": found.losses,
            "ridge": found.choices.wiener_ridge,
            "velocity_r2": score.velocity_r2,
        })
    );
}

#[expect(clippy::disallowed_methods, reason = "a bench reads the clock")]
fn recorded(path: &str, mapping: Option<&str>, out: &Path) {
    let mut recording = recording::open(path, mapping).expect("a recording");
    let decoder = DecoderConfig {
        kind: DecoderKind::Wiener,
        lags: 10,
        ridge: [100.0, 300.0, 1000.0, 3000.0, 10_000.0].to_vec(),
        ridge_shape: RidgeShape::Plain,
        min_events: 0.0,
        ..DecoderConfig::default()
    };
    let config = recording.settle(Config { decoder, ..Config::default() }, "bench").expect("legal");
    let width = config.bins.width_ms * 1e-3 * recording.source.info().sample_rate.hz();
    let end = recording.source.n_frames().map_or(0, |n_frames| (n_frames as f64 / width) as u64);
    let data = train::collect(&mut recording, &config, &Calibration::default(), end, |_| ())
        .expect("it says what the subject did");
    let times: Vec<f64> = (0..ROUNDS)
        .map(|_| {
            let started = Instant::now();
            train::fit(&data, &config.decoder).expect("regular");
            started.elapsed().as_secs_f64()
        })
        .collect();
    let fitted = train::fit(&data, &config.decoder).expect("regular");
    let (normaliser, weights) = (fitted.decoder.normaliser(), fitted.decoder.linear().weights());
    let (rows, history) = (data.fit_rows(), data.history());
    let (n, lags) = (data.features.ncols(), config.decoder.lags);
    let mut x = Vec::with_capacity(rows.len() * n * lags);
    for &row in &rows {
        for lag in 0..lags {
            x.extend((0..n).map(|channel| match history[row] >= lag {
                true => f64::from(
                    (data.features[(row - lag, channel)] - normaliser.mean()[channel])
                        * normaliser.inverse_deviation()[channel],
                ),
                false => 0.0,
            }));
        }
    }
    let Targets::Movement(movement) = &data.targets else { panic!("the recording has movement") };
    let position = movement.position.as_ref();
    let y: Vec<f64> = rows
        .iter()
        .flat_map(|&row| {
            let position = position.map(|position| position.row(row).to_vec()).unwrap_or_default();
            movement.velocity.row(row).to_vec().into_iter().chain(position)
        })
        .collect();
    let write = |name: &str, values: &[f64]| {
        let bytes: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        std::fs::write(out.join(name), bytes).expect("the folder can be written to");
    };
    write("x", &x);
    write("y", &y);
    // By lag, output and channel.
    write("readout", &weights.readout.iter().map(|&weight| f64::from(weight)).collect::<Vec<_>>());
    println!(
        "{}",
        serde_json::json!({
            "synthetic": recording.source.info().synthetic,
            "rows": rows.len(),
            "channels": n,
            "lags": lags,
            "outputs": weights.n_states,
            "strengths": config.decoder.ridge,
            "folds": config.decoder.folds,
            "ridge": fitted.choices.wiener_ridge,
            "seconds": times,
        })
    );
}

/// Channels that fire in about one bin of ten, a third of them tuned weakly to a velocity that wanders.
fn session(n_channels: usize, n_bins: usize) -> (Counts, Movement) {
    let mut random = random(20_261_123);
    let tuning: Vec<[f32; 3]> = (0..n_channels)
        .map(|channel| {
            let (angle, rate) = (uniform(random()) * std::f32::consts::TAU, 0.02 + 0.17 * uniform(random()));
            let depth = if channel % 3 == 0 { 0.15 * rate } else { 0.0 };
            [rate, depth * angle.cos(), depth * angle.sin()]
        })
        .collect();
    let mut counts = Counts::new(n_channels);
    let mut velocity = Array2::zeros((n_bins, 2));
    let mut of_bin = Vec::new();
    for bin in 0..n_bins {
        for axis in 0..2 {
            let before = if bin > 0 { velocity[(bin - 1, axis)] } else { 0.0 };
            velocity[(bin, axis)] = 0.97 * before + 0.6 * f64::from(uniform(random()) - 0.5);
        }
        let [vx, vy] = [velocity[(bin, 0)] as f32, velocity[(bin, 1)] as f32];
        of_bin.clear();
        for (channel, [rate, x, y]) in tuning.iter().enumerate() {
            let (chance, drawn) = (rate + x * vx + y * vy, uniform(random()));
            if drawn < chance {
                of_bin.push((channel as u16, if drawn < 0.05 * chance { 2.0 } else { 1.0 }));
            }
        }
        counts.push(bin == 0, of_bin.iter().copied());
    }
    let axes = vec!["x".to_string(), "y".to_string()];
    (counts, Movement { axes, unit: "cm".into(), velocity, position: None })
}

fn bin(counts: &Counts, row: usize) -> Bin {
    let mut bin = Bin::new(Features::Counts, counts.n_channels());
    counts.bin(row).for_each(|(channel, count)| bin.features[usize::from(channel)] = count);
    (bin.index, bin.end, bin.received_frames) = (row as u64, SampleIndex(row as u64 + 1), 1);
    bin.starts_segment = false;
    bin
}

fn uniform(bits: u32) -> f32 {
    (bits >> 8) as f32 / (1 << 24) as f32
}

/// xorshift of 32 bits.
fn random(seed: u32) -> impl FnMut() -> u32 {
    let mut state = seed;
    move || {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        state
    }
}
