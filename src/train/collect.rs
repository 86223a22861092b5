//! A recording through the pipeline, to bins and to noise levels.

use super::dataset::{Dataset, Targets};
use crate::block::{StreamInfo, StreamKind};
use crate::config::Config;
use crate::detect::NoiseEstimator;
use crate::error::Error;
use crate::pipeline::{Event, Pipeline};
use crate::recording::Recording;
use crate::sources::{ReadOutcome, SampleSource};
use crate::time::SampleIndex;
use ndarray::Array2;

/// Runs the bins up to `end` through the pipeline; `tick` hears of every block's end, in frames.
///
/// # Errors
/// A damaged recording, settings that don't suit it, a recording that says nothing of what the subject did.
pub fn collect(
    recording: &mut Recording,
    config: &Config,
    thresholds: &[f32],
    end: u64,
    mut tick: impl FnMut(u64),
) -> Result<Dataset, Error> {
    let info = recording.source.info().clone();
    let mut pipeline = Pipeline::new(config, &info, thresholds, None)?;
    let schedule = *pipeline.schedule();
    let n_features = config.bins.features.width(info.n_channels());
    let (mut features, mut starts_segment, mut whole) = (Vec::new(), Vec::new(), Vec::new());
    let mut block = recording.source.new_block();
    while (whole.len() as u64) < end && recording.source.read(&mut block)? == ReadOutcome::Block {
        pipeline.process(&block, |event| {
            if let Event::Bin(bin) = event
                && bin.index < end
            {
                // Bins that no block reached (before a late start, in a long gap) are lost.
                while (whole.len() as u64) < bin.index {
                    features.extend(std::iter::repeat_n(0.0, n_features));
                    starts_segment.push(false);
                    whole.push(false);
                }
                features.extend_from_slice(&bin.features);
                starts_segment.push(bin.starts_segment);
                whole.push(bin.lost_frames == 0);
            }
        });
        tick(block.end_sample().0);
    }
    let n_bins = whole.len();
    let features = Array2::from_shape_vec((n_bins, n_features), features).expect("bins have one width");
    let targets = Targets::of(&recording.truth, &schedule, n_bins).ok_or_else(|| {
        Error::input(&recording.about.path, "it doesn't say what the subject did")
            .field("kinematics")
            .legal("a recording with position or velocity, or with classes of trials")
            .hint("`efference inspect` shows what it holds; a mapping names the variables")
    })?;
    Ok(Dataset { features, kinds: config.bins.features, starts_segment, whole, targets, rows: 0..n_bins })
}

/// Thresholds of a broadband stream: the noise of each channel in the first seconds, times the threshold's
/// multiple; −∞ (never crossed) for flat channels. Empty for a stream of counts. Reads `source` from where it
/// stands.
///
/// # Errors
/// A damaged recording, settings that don't suit it.
pub fn calibrate(source: &mut dyn SampleSource, config: &Config) -> Result<Vec<f32>, Error> {
    let info: StreamInfo = source.info().clone();
    if info.kind == StreamKind::Counts {
        return Ok(Vec::new());
    }
    let never = vec![f32::NEG_INFINITY; info.n_channels()];
    let mut pipeline = Pipeline::new(config, &info, &never, None)?;
    let settled = SampleIndex((SETTLE_SECONDS * info.sample_rate.hz()) as u64);
    let asked = (config.front_end.noise_seconds * info.sample_rate.hz()) as u64;
    let frames = source.n_frames().map_or(asked, |n| asked.min(n.saturating_sub(settled.0)));
    let mut noise = NoiseEstimator::new(info.n_channels(), config.front_end.noise, frames);
    let mut block = source.new_block();
    while block.end_sample().0 < settled.0 + asked && source.read(&mut block)? == ReadOutcome::Block {
        let use_it = block.header.first_sample >= settled;
        pipeline.process(&block, |event| {
            if let (Event::Filtered(tile), true) = (event, use_it) {
                noise.observe(tile);
            }
        });
    }
    let multiple = config.front_end.threshold;
    let threshold = |noise: f32| {
        if noise > 0.0 { (f64::from(noise) * multiple) as f32 } else { f32::NEG_INFINITY }
    };
    Ok(noise.finish().into_iter().map(threshold).collect())
}

/// The filter's start is not noise.
const SETTLE_SECONDS: f64 = 0.05;
