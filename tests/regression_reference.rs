//! A linear regression reference beside a common average, on simulated electrodes (synthetic): what it leaves of the
//! noise that a group shares, and what of the spikes.
//!
//! Simulations of one seed differ in one thing alone, and everything up to the spike band is linear: the difference of
//! what comes out is what became of the difference of what went in.

#[path = "support/program.rs"]
mod program;

use efference::SampleIndex;
use efference::block::TILE_CHANNELS;
use efference::config::Config;
use efference::pipeline::{Calibration, Event, Pipeline};
use efference::recording::open;
use efference::sources::ReadOutcome;
use efference::train::calibrate;
use program::run;
use std::path::Path;

const REFERENCES: [&str; 3] = ["car_group = 0", "car_group = 32", "car_group = 32\nreference = \"lrr\""];

fn config(reference: &str) -> Config {
    Config::parse(&format!("[front_end]\n{reference}\nnoise_seconds = 5\n[bins]\nwidth_ms = 20"), "test")
        .expect("legal settings")
}

fn calibrated(address: &str, config: &Config) -> Calibration {
    let mut recording = open(address, None).expect("a legal address");
    calibrate(&mut *recording.source, config, SampleIndex(0)).expect("noise can be measured")
}

/// All channels in the spike band, frame by frame.
fn spike_band(address: &str, config: &Config, calibration: &Calibration) -> Vec<Vec<f32>> {
    let mut source = open(address, None).expect("a legal address").source;
    let info = source.info().clone();
    let mut pipeline = Pipeline::from_config(config, &info, calibration, None).expect("legal settings");
    let mut block = source.new_block();
    let mut frames: Vec<Vec<f32>> = Vec::new();
    while source.read(&mut block).expect("the simulator goes on") == ReadOutcome::Block {
        let first = block.header.first_sample.0 as usize;
        pipeline.process(&block, |event| {
            if let Event::Filtered(tile) = event {
                frames.resize(first + tile.n_frames, Vec::new());
                let width = TILE_CHANNELS.min(info.n_channels() - tile.index * TILE_CHANNELS);
                frames[first..].iter_mut().zip(tile.frames()).for_each(|(all, x)| all.extend(&x[..width]));
            }
        });
    }
    frames
}

/// Channel by channel, `of` the differences between two runs.
fn differences(
    a: &[Vec<f32>],
    b: &[Vec<f32>],
    of: impl Fn(&mut dyn Iterator<Item = f64>) -> f64,
) -> Vec<f64> {
    let channel = |c: usize| of(&mut a.iter().zip(b).map(|(a, b)| f64::from(a[c]) - f64::from(b[c])));
    (0..a[0].len()).map(channel).collect()
}

fn rms(values: &mut dyn Iterator<Item = f64>) -> f64 {
    let (sum, n) = values.fold((0.0, 0.0), |(sum, n), x| (sum + x * x, n + 1.0));
    f64::sqrt(sum / n)
}

fn trough(values: &mut dyn Iterator<Item = f64>) -> f64 {
    -values.fold(0.0, f64::min)
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

/// The electrodes of a group share noise by gains of 0.9 to 1.1; each has 8 µV of its own.
#[test]
fn it_leaves_less_of_a_strong_shared_noise_than_an_average_does() {
    let [bare, car, lrr] = REFERENCES.map(|reference| shared_left(reference, 16));
    println!("shared noise in the spike band, synthetic: {bare:.3} µV; car {car:.3} µV, lrr {lrr:.3} µV");
    assert!(car < 0.05 * bare && lrr < 0.4 * car);
    let [bare, car, lrr] = REFERENCES.map(|reference| shared_left(reference, 4));
    println!("and where it is weak: {bare:.3} µV; car {car:.3} µV, lrr {lrr:.3} µV");
    // A regression doesn't chase what the noise of the others would cost more than.
    assert!(car < 0.1 * bare && lrr < 0.2 * bare);
}

#[test]
fn it_keeps_the_spikes() {
    let [bare, car, lrr] = REFERENCES.map(troughs);
    let kept = |with: &[f64]| {
        let neurons = bare.iter().zip(with).filter(|(bare, _)| **bare > 30.0);
        mean(&neurons.map(|(bare, with)| with / bare).collect::<Vec<_>>())
    };
    println!("share of the troughs that is kept, synthetic: car {:.4}, lrr {:.4}", kept(&car), kept(&lrr));
    assert!(kept(&lrr) >= 0.95);
}

/// `train` with a file of settings, then `replay` and `detect` with what came of it.
#[test]
fn its_weights_belong_to_the_model() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let at = |name: &str| folder.path().join(name).display().to_string();
    let (settings, model) = (at("lrr.toml"), at("model"));
    let text =
        "[front_end]\nreference = \"lrr\"\ncar_group = 16\nnoise_seconds = 2\n[decoder]\nmin_events = 1";
    std::fs::write(&settings, text).expect("written");
    let simulated = "sim:neuralink-n1,electrodes=40,seconds=20,seed=3,common_uv=20";
    let good = |args: &[&str]| {
        let outcome = run(args);
        assert_eq!(outcome.code, 0, "{args:?}: {}", outcome.stderr);
        outcome.stdout
    };
    let flags = ["--decoder", "wiener", "--lags", "2", "--ridge", "10", "--json"];
    let train = |model: &str| {
        good(&[&["train", simulated, "--config", &settings, "--out", model], &flags[..]].concat())
    };
    let bytes =
        |model: &str, file: &str| std::fs::read(Path::new(model).join(file)).expect("a file of the model");
    let scores = |said: &str| serde_json::from_str::<serde_json::Value>(said).expect("JSON")["score"].clone();
    let (trained, again) = (train(&model), at("again"));
    train(&again);
    assert!(bytes(&model, WEIGHTS) == bytes(&again, WEIGHTS), "made again, it has the same bytes");
    let replay = ["replay", simulated, "--model", &model, "--bins", "800..", "--json"];
    assert_eq!(scores(&good(&replay)), scores(&trained), "replay hears what the fit heard");
    good(&["detect", simulated, "--config", &settings]);

    let whole = bytes(&model, WEIGHTS);
    let tensors = safetensors::SafeTensors::deserialize(&whole).expect("tensors");
    let reference = tensors.tensor("reference").expect("it is there");
    assert_eq!(reference.shape(), [40, 16]);
    // A weight that isn't finite is damage; it stands where the tensor's bytes do.
    let from = reference.data().as_ptr() as usize - whole.as_ptr() as usize;
    let mut damaged = whole.clone();
    damaged[from + 4..from + 8].copy_from_slice(&f32::NAN.to_le_bytes());
    std::fs::write(Path::new(&model).join(WEIGHTS), damaged).expect("written");
    let outcome = run(&replay);
    assert!(outcome.code == 4 && outcome.stderr.contains("tensor `reference`"), "{outcome:?}");

    std::fs::write(&settings, text.replace("16", "48")).expect("written");
    let outcome = run(&["detect", simulated, "--config", &settings]);
    assert!(outcome.code == 2 && outcome.stderr.contains("`front_end.car_group`"), "{outcome:?}");
}

const WEIGHTS: &str = "weights.safetensors";

/// µV of the shared noise that come through, mean over the channels.
fn shared_left(reference: &str, common_uv: u32) -> f64 {
    let config = config(reference);
    let noisy = format!("{SIMULATED},common_uv={common_uv}");
    let calibration = calibrated(&noisy, &config);
    let quiet = format!("{SIMULATED},common_uv=0");
    let run = |address: &str| spike_band(address, &config, &calibration);
    mean(&differences(&run(&noisy), &run(&quiet), rms))
}

/// The deepest trough of each channel's neurons, µV.
fn troughs(reference: &str) -> Vec<f64> {
    let config = config(reference);
    let calibration = calibrated(SIMULATED, &config);
    let run = |address: &str| spike_band(address, &config, &calibration);
    differences(&run(SIMULATED), &run(&format!("{SIMULATED},empty=1,double=0")), trough)
}

/// An electrode in thirty is dead; neighbours hear a neuron at a quarter.
const SIMULATED: &str = "sim:blackrock-utah,electrodes=64,seconds=6,seed=4";
