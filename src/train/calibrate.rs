//! The noise of a recording's channels, for the thresholds.

use crate::block::{Block, Payload, StreamInfo, StreamKind, n_tiles};
use crate::config::Config;
use crate::detect::{NoiseEstimator, Operator};
use crate::error::Error;
use crate::pipeline::{Calibration, Event, Pipeline};
use crate::simd::Level;
use crate::sources::{ReadOutcome, SampleSource};
use crate::time::SampleIndex;

/// Calibrates the front end to a broadband stream. Thresholds: the noise of each channel, measured on what the
/// detector looks at, in the first seconds from frame `from` on, times the threshold's multiple; −∞ (never
/// crossed) for channels whose samples never change. Empty for a stream of
/// counts or crossings. Reads `source` from where it stands, its beginning.
///
/// # Errors
/// A damaged recording, settings that don't suit it, one that ends before its noise can be measured.
pub fn calibrate(
    source: &mut dyn SampleSource,
    config: &Config,
    from: SampleIndex,
) -> Result<Calibration, Error> {
    let info: StreamInfo = source.info().clone();
    if info.kind != StreamKind::Broadband {
        return Ok(Calibration::default());
    }
    let settled = SampleIndex(from.0 + (SETTLE_SECONDS * info.sample_rate.hz()) as u64);
    let asked = (config.front_end.noise_seconds * info.sample_rate.hz()) as u64;
    let frames = source.n_frames().map_or(asked, |n| asked.min(n.saturating_sub(settled.0)));
    if frames == 0 {
        let seconds = source.n_frames().map_or(0.0, |n| info.sample_rate.seconds(SampleIndex(n)));
        return Err(Error::input("noise", format!("the recording ends after {seconds:.3} s"))
            .field("front_end.noise_seconds")
            .legal(format!("some frames after the first {SETTLE_SECONDS} s, in which the filter settles"))
            .hint("a longer recording"));
    }
    let mut pipeline = Pipeline::from_config(config, &info, &Calibration::unknown(info.n_channels()), None)?;
    let mut noise = NoiseEstimator::new(info.n_channels(), config.front_end.noise, frames);
    let mut operator = Operator::new(config.front_end.detector, n_tiles(info.n_channels()), Level::widest());
    let mut changes = Changes::new(info.n_channels());
    let mut block = source.new_block();
    while block.end_sample().0 < settled.0 + asked && source.read(&mut block)? == ReadOutcome::Block {
        changes.observe(&block);
        let use_it = block.header.first_sample >= settled;
        if block.header.starts_segment {
            operator.reset();
        }
        pipeline.process(&block, |event| {
            if let Event::Filtered(tile) = event {
                let tile = operator.process(tile);
                if use_it {
                    noise.observe(tile);
                }
            }
        });
    }
    let multiple = config.front_end.threshold;
    let threshold = |(channel, noise): (usize, f32)| match noise {
        _ if !changes.ever[channel] => Ok(f32::NEG_INFINITY),
        0.0 => Ok(f32::NEG_INFINITY),
        noise if noise.is_finite() && noise > 0.0 => Ok((f64::from(noise) * multiple) as f32),
        _ => Err(Error::input("noise", format!("channel {} has a noise of {noise}", info.channels[channel]))
            .field("uv_per_count")
            .legal("samples whose squares are finite numbers")
            .hint("a scale in µV per count")),
    };
    let thresholds = noise.finish().into_iter().enumerate().map(threshold).collect::<Result<_, _>>()?;
    Ok(Calibration::of_thresholds(thresholds))
}

/// Which channels' samples ever change. Asked before any filter, since a common average reference gives a dead
/// channel the noise of its group.
struct Changes {
    first: Option<Vec<f32>>,
    ever: Vec<bool>,
}

impl Changes {
    fn new(n_channels: usize) -> Self {
        Changes { first: None, ever: vec![false; n_channels] }
    }

    fn observe(&mut self, block: &Block) {
        let n_values = block.header.n_frames as usize * self.ever.len();
        if n_values == 0 {
            return;
        }
        match &block.payload {
            Payload::Int16(samples) => self.add(samples[..n_values].iter().map(|&sample| f32::from(sample))),
            Payload::Float32(samples) => self.add(samples[..n_values].iter().copied()),
            Payload::Counts(_) | Payload::Crossings(_) => {}
        }
    }

    /// Samples frame by frame.
    fn add(&mut self, mut samples: impl Iterator<Item = f32>) {
        let n_channels = self.ever.len();
        let first = self.first.get_or_insert_with(|| samples.by_ref().take(n_channels).collect());
        for (i, sample) in samples.enumerate() {
            self.ever[i % n_channels] |= sample != first[i % n_channels];
        }
    }
}

/// The filter's start is not noise: it knows a constant offset, but no slow potential.
const SETTLE_SECONDS: f64 = 0.05;
