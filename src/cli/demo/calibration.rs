//! Calibration: noise, then bins while the user follows a cursor that moves by itself, then the fit.
//!
//! In: a simulator. Out: the front end's calibration and a decoder. The fit sees the bins and the cursor that was followed, as
//! it would with a person; nothing of how the tissue was made.

use super::rig::Rig;
use crate::cli::progress;
use efference::binning::Bin;
use efference::config::{BinsConfig, Config, DecoderConfig, DecoderKind, Features, FrontEndConfig};
use efference::decode::Decoder;
use efference::pipeline::{Calibration, Event, Pipeline};
use efference::sources::SampleSource;
use efference::sources::simulator::{Path, Simulator, Task};
use efference::train::{self, Dataset, Fitted, Movement, Targets};
use efference::{Error, SampleIndex};
use ndarray::Array2;

/// A front end and a decoder that were made for each other.
pub(super) struct Calibrated {
    pub(super) config: Config,
    pub(super) calibration: Calibration,
    pub(super) decoder: Decoder,
    /// Channels that the decoder looks at.
    pub(super) n_used: usize,
}

impl Calibrated {
    /// Electrodes that are not flat, as the noise says.
    pub(super) fn n_alive(&self) -> usize {
        self.calibration.thresholds.iter().filter(|threshold| threshold.is_finite()).count()
    }
}

/// Measures noise with the user at rest, lets it follow a cursor, and fits.
///
/// # Errors
/// Too few electrodes that hear anything.
pub(super) fn calibrate(simulator: &mut Simulator, seed: u64) -> Result<Calibrated, Error> {
    let mut config = config();
    let spinner = progress::spinner("measuring noise");
    let calibration = train::calibrate(simulator, &config, SampleIndex(0))?;
    spinner.finish_and_clear();
    let data = follow(simulator, &config, &calibration, seed)?;
    let spinner = progress::spinner("fitting the decoder");
    let Fitted { decoder, choices } = train::fit(&data, &config.decoder)?;
    spinner.finish_and_clear();
    config.safety.speed_max = train::plausible_speed(&data);
    Ok(Calibrated { config, calibration, decoder, n_used: choices.n_features })
}

/// All settings of the demo's pipeline. Of histories of 4 to 10 bins, these and the longer ones hit nearly all
/// targets; a Kalman filter over velocity was no better.
fn config() -> Config {
    Config {
        front_end: FrontEndConfig {
            car_group: 64,
            low_cut_hz: 300.0,
            noise_seconds: NOISE_SECONDS,
            ..FrontEndConfig::default()
        },
        bins: BinsConfig { width_ms: BIN_WIDTH_MS, features: Features::Counts },
        decoder: DecoderConfig {
            kind: DecoderKind::Wiener,
            lags: 5,
            min_events: 8.0,
            ..DecoderConfig::default()
        },
        ..Config::default()
    }
}

/// Bins while the user follows a cursor from target to target.
fn follow(
    simulator: &mut Simulator,
    config: &Config,
    calibration: &Calibration,
    seed: u64,
) -> Result<Dataset, Error> {
    let info = simulator.info().clone();
    let pipeline = Pipeline::from_config(config, &info, calibration, None)?;
    let n_frames = (FOLLOW_SECONDS * info.sample_rate.hz()) as u64;
    let path = Path::new(Task::Random, (FOLLOW_SECONDS * 1e3) as usize + 1, seed);
    let bar = progress::bar("calibrating", n_frames);
    let mut rig = Rig::new(simulator, pipeline);
    let mut followed = Followed::default();
    let mut frame = 0;
    while frame < n_frames {
        let ms = (frame as f64 * 1e3 / info.sample_rate.hz()) as usize;
        followed.add(path.velocity[ms]);
        frame += rig.next_block(path.velocity[ms], |event| {
            if let Event::Bin(bin) = event {
                followed.close(bin);
            }
        })?;
        bar.set_position(frame);
    }
    bar.finish_and_clear();
    Ok(followed.dataset())
}

/// Bins, and the mean velocity of the cursor that was followed in each.
#[derive(Default)]
struct Followed {
    features: Vec<f32>,
    starts_segment: Vec<bool>,
    whole: Vec<bool>,
    received: Vec<bool>,
    velocity: Vec<[f64; 2]>,
    sum: [f64; 2],
    n_summed: u32,
}

impl Followed {
    /// Notes the cursor's velocity in the next block.
    fn add(&mut self, velocity: [f64; 2]) {
        self.sum[0] += velocity[0];
        self.sum[1] += velocity[1];
        self.n_summed += 1;
    }

    fn close(&mut self, bin: &Bin) {
        self.features.extend_from_slice(&bin.features);
        self.starts_segment.push(bin.starts_segment);
        self.whole.push(bin.lost_frames == 0);
        self.received.push(bin.received_frames > 0);
        let n = f64::from(self.n_summed);
        self.velocity.push(self.sum.map(|sum| sum / n));
        self.sum = [0.0; 2];
        self.n_summed = 0;
    }

    /// To learn from: in each bin the velocity of [`ANSWER_BINS`] before, which is what its spikes answer.
    fn dataset(self) -> Dataset {
        let n_bins = self.whole.len();
        let n_features = self.features.len() / n_bins;
        let velocity = Array2::from_shape_fn((n_bins, 2), |(bin, axis)| {
            bin.checked_sub(ANSWER_BINS).map_or(0.0, |asked| self.velocity[asked][axis])
        });
        Dataset {
            features: Array2::from_shape_vec((n_bins, n_features), self.features)
                .expect("bins have one width")
                .into_shared(),
            kinds: Features::Counts,
            starts_segment: self.starts_segment,
            whole: self.whole,
            received: self.received,
            targets: Targets::Movement(Movement {
                axes: vec!["x".into(), "y".into()],
                unit: "m".into(),
                velocity,
                position: None,
            }),
            rows: 0..n_bins,
        }
    }
}

/// How long noise is measured.
pub(super) const NOISE_SECONDS: f64 = 3.0;
/// How long the user follows the cursor, simulated. With a quarter of it the fit takes what neurons share besides the
/// intended velocity for a part of it.
pub(super) const FOLLOW_SECONDS: f64 = 60.0;
/// Width of a bin.
pub(super) const BIN_WIDTH_MS: f64 = 20.0;
/// Neurons answer an intended velocity after up to 150 ms: a bin tells best what was intended this many bins
/// before. Fewer or more cost targets.
pub(super) const ANSWER_BINS: usize = 5;
