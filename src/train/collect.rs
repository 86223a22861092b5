//! A recording through the pipeline, to bins.

use super::dataset::{Dataset, Targets};
use crate::config::Config;
use crate::error::Error;
use crate::pipeline::{Calibration, Event, Pipeline};
use crate::recording::Recording;
use crate::sources::ReadOutcome;
use ndarray::Array2;

/// Runs the bins up to `end` through the pipeline; `tick` hears of every block's end, in frames.
///
/// # Errors
/// A damaged recording, settings that don't suit it, a recording that says nothing of what the subject did.
pub fn collect(
    recording: &mut Recording,
    config: &Config,
    calibration: &Calibration,
    end: u64,
    mut tick: impl FnMut(u64),
) -> Result<Dataset, Error> {
    let info = recording.source.info().clone();
    let mut pipeline = Pipeline::from_config(config, &info, calibration, None)?;
    let schedule = *pipeline.schedule();
    let n_features = config.bins.features.width(info.n_channels());
    check_size(end, n_features, &recording.about.path)?;
    let (mut features, mut starts_segment) = (Vec::new(), Vec::new());
    let (mut whole, mut received) = (Vec::new(), Vec::new());
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
                    received.push(false);
                }
                features.extend_from_slice(&bin.features);
                starts_segment.push(bin.starts_segment);
                whole.push(bin.lost_frames == 0);
                received.push(bin.received_frames > 0);
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
    Ok(Dataset {
        features: features.into_shared(),
        kinds: config.bins.features,
        starts_segment,
        whole,
        received,
        targets,
        rows: 0..n_bins,
    })
}

/// Refuses a recording whose features don't fit, before anything is read.
fn check_size(n_bins: u64, n_features: usize, place: &str) -> Result<(), Error> {
    let bytes = n_bins.saturating_mul((n_features * size_of::<f32>()) as u64);
    if bytes <= FEATURE_BYTES_MAX {
        return Ok(());
    }
    Err(Error::fit(place, format!("{n_bins} bins of {n_features} features, {} GiB", bytes >> 30))
        .field("bins")
        .legal(format!("at most {} GiB of features", FEATURE_BYTES_MAX >> 30))
        .hint("fewer bins, --bins A..B, or wider ones"))
}

/// Memory of a data set's features at most.
const FEATURE_BYTES_MAX: u64 = 8 << 30;
