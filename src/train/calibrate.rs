//! The noise of a recording's channels, for the thresholds, and the weights of a linear regression reference.

use super::regression_reference::ReferenceFit;
use crate::block::{Block, BlockHeader, Payload, StreamInfo, StreamKind, Tile, n_tiles};
use crate::config::{Config, Reference};
use crate::detect::{NoiseEstimator, Operator};
use crate::error::Error;
use crate::filter::RegressionWeights;
use crate::pipeline::{Calibration, Event, Pipeline};
use crate::simd::Level;
use crate::sources::{ReadOutcome, SampleSource};
use crate::time::SampleIndex;
use std::ops::Range;

/// Calibrates the front end to a broadband stream. Thresholds: the noise of each channel, measured on what the
/// detector looks at, in the first seconds from frame `from` on, times the threshold's multiple; −∞ (never
/// crossed) for channels whose samples never change. Empty for a stream of
/// counts or crossings. Reads `source` from where it stands, its beginning.
///
/// Where `config` asks for a linear regression reference, its weights are fitted on the first half of these seconds, and
/// the noise that they leave is measured on the second: no channel seems quieter than it will be.
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
    let is_regressed = config.front_end.reference == Reference::Lrr;
    // Behind fitted weights the filter starts again.
    let settle_frames = settled.0 - from.0;
    if frames == 0 || (is_regressed && frames.div_ceil(2) <= settle_frames) {
        let seconds = source.n_frames().map_or(0.0, |n| info.sample_rate.seconds(SampleIndex(n)));
        let more = if is_regressed { "; three times as many for a linear regression reference" } else { "" };
        return Err(Error::input("noise", format!("the recording ends after {seconds:.3} s"))
            .field("front_end.noise_seconds")
            .legal(format!(
                "some frames after the first {SETTLE_SECONDS} s, in which the filter settles{more}"
            ))
            .hint("a longer recording"));
    }
    let mut stretch = Stretch::new(source);
    let mut calibration = Calibration::unknown(info.n_channels());
    let (mut noise_from, end) = (settled.0, settled.0 + frames);
    if is_regressed {
        let middle = settled.0 + frames / 2;
        calibration.reference = Some(fit_reference(&mut stretch, config, settled.0..middle)?);
        noise_from = middle + settle_frames;
    }
    let mut noise = NoiseEstimator::new(info.n_channels(), config.front_end.noise, end - noise_from);
    let mut operator = Operator::new(config.front_end.detector, n_tiles(info.n_channels()), Level::widest());
    let mut pipeline = Pipeline::from_config(config, &info, &calibration, None)?;
    stretch.run(&mut pipeline, end, |block, tile| {
        if block.starts_segment && tile.index == 0 {
            operator.reset();
        }
        let tile = operator.process(tile);
        if block.first_sample.0 >= noise_from {
            noise.observe(tile);
        }
    })?;
    let changes = &stretch.changes;
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
    Ok(Calibration { thresholds, ..calibration })
}

/// Weights fitted on `frames`, filtered without any reference.
fn fit_reference(
    stretch: &mut Stretch<'_>,
    config: &Config,
    frames: Range<u64>,
) -> Result<RegressionWeights, Error> {
    let info = stretch.source.info().clone();
    let n_channels = info.n_channels();
    let mut bare = config.clone();
    (bare.front_end.reference, bare.front_end.car_group) = (Reference::Car, 0);
    let mut pipeline = Pipeline::from_config(&bare, &info, &Calibration::unknown(n_channels), None)?;
    let (group, ridge) = (config.front_end.car_group, config.front_end.lrr_ridge);
    let mut fit = ReferenceFit::new(n_channels, group, ridge, frames.end - frames.start);
    stretch.run(&mut pipeline, frames.end, |block, tile| {
        if block.first_sample.0 >= frames.start {
            fit.observe(tile);
        }
    })?;
    Ok(fit.finish(&stretch.changes.ever))
}

/// A source that is read on and on.
struct Stretch<'a> {
    source: &'a mut dyn SampleSource,
    block: Block,
    changes: Changes,
}

impl<'a> Stretch<'a> {
    fn new(source: &'a mut dyn SampleSource) -> Self {
        let n_channels = source.info().n_channels();
        Stretch { block: source.new_block(), changes: Changes::new(n_channels), source }
    }

    /// Reads up to frame `end`; `on` gets every tile in the spike band, and the header of its block.
    fn run(
        &mut self,
        pipeline: &mut Pipeline,
        end: u64,
        mut on: impl FnMut(&BlockHeader, &Tile),
    ) -> Result<(), Error> {
        while self.block.end_sample().0 < end && self.source.read(&mut self.block)? == ReadOutcome::Block {
            self.changes.observe(&self.block);
            pipeline.process(&self.block, |event| {
                if let Event::Filtered(tile) = event {
                    on(&self.block.header, tile);
                }
            });
        }
        Ok(())
    }
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
