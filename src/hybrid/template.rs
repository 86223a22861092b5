//! Shapes of spikes, taken from a recording's own.
//!
//! In: samples of every electrode. Out: the shapes of its clearest units, deepest first, one electrode each: the
//! average of the broadband signal round its large spikes, scaled to a trough of −1.
//!
//! Spikes are found and aligned by the trough of the band-passed signal, run forwards and then backwards so that the
//! filter shifts nothing; averaging takes out what isn't locked to the spike. The straight line between the means of
//! both ends is subtracted and the ends are faded out, so that an added spike starts and ends without a step.

use super::settings::Settings;
use crate::config::FrontEndConfig;
use crate::error::Error;
use crate::filter::Section;
use crate::filter::reference::sosfilt;
use crate::time::SampleRate;
use serde::Serialize;
use std::ops::RangeInclusive;

/// A shape.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Template {
    /// Where it was recorded.
    pub electrode: String,
    /// Spikes that it is the average of.
    pub n_spikes: usize,
    /// Depth of its trough as recorded, in codes.
    pub trough_codes: f64,
    /// That depth over the electrode's noise, as [`super`] defines it.
    pub snr: f64,
    /// Which value is the trough.
    pub trough_at: usize,
    /// One value a frame; the trough is −1.
    pub shape: Vec<f64>,
}

impl Template {
    /// Adds one spike whose trough is `depth` deep and stands at frame `time`.
    pub fn add(&self, signal: &mut [f64], time: usize, depth: f64) {
        for (k, value) in self.shape.iter().enumerate() {
            if let Some(sample) =
                (time + k).checked_sub(self.trough_at).and_then(|frame| signal.get_mut(frame))
            {
                *sample += depth * value;
            }
        }
    }
}

/// The samples of one electrode.
pub(super) struct Column {
    pub(super) name: String,
    pub(super) codes: Vec<i16>,
}

impl Column {
    /// Why nothing can be made of it, where that is so.
    pub(super) fn spoilt(&self, rails: &RangeInclusive<i16>) -> Option<&'static str> {
        let at_rail = |code: &i16| code <= rails.start() || code >= rails.end();
        if self.codes.windows(2).all(|pair| pair[0] == pair[1]) {
            return Some("it is flat");
        }
        self.codes.iter().any(at_rail).then_some("it touches a rail")
    }

    /// Its samples less the first one, so that an offset doesn't ring in a filter.
    pub(super) fn less_its_first(&self) -> Vec<f64> {
        let first = f64::from(self.codes.first().copied().unwrap_or_default());
        self.codes.iter().map(|&code| f64::from(code) - first).collect()
    }
}

/// At most [`TEMPLATES_MAX`] shapes, of the electrodes whose average spike stands out most.
///
/// # Errors
/// If the usual band-pass doesn't suit the rate.
pub(super) fn of_recording(
    columns: &[Column],
    sample_rate: SampleRate,
    settings: &Settings,
) -> Result<Vec<Template>, Error> {
    let sections = FrontEndConfig::default().sections(sample_rate)?;
    let usable = columns.iter().filter(|column| column.spoilt(&settings.rails).is_none());
    let mut templates: Vec<Template> =
        usable.filter_map(|column| of_column(column, sample_rate, &sections)).collect();
    templates.sort_by(|a, b| b.snr.total_cmp(&a.snr).then_with(|| a.electrode.cmp(&b.electrode)));
    templates.truncate(TEMPLATES_MAX);
    Ok(templates)
}

fn of_column(column: &Column, sample_rate: SampleRate, sections: &[Section]) -> Option<Template> {
    let frames = |seconds: f64| (seconds * sample_rate.hz()).round() as usize;
    let settle = frames(SETTLE_SECONDS);
    let causal = sosfilt(sections, &column.less_its_first());
    let noise = noise_of(causal.get(settle..)?);
    let mut backwards: Vec<f64> = causal.into_iter().rev().collect();
    backwards = sosfilt(sections, &backwards);
    let aligned: Vec<f64> = backwards.into_iter().rev().collect();
    let last = aligned.len().checked_sub(settle)?;
    let level = -TROUGH_MIN * noise_of(aligned.get(settle..last)?);
    let troughs = troughs(&aligned, settle..last, level, frames(TROUGH_SECONDS), frames(APART_SECONDS));
    let seconds = column.codes.len() as f64 / sample_rate.hz();
    if troughs.len() < SPIKES_MIN || troughs.len() as f64 / seconds > RATE_MAX_HZ || noise <= 0.0 {
        return None;
    }
    let (before, after) = (frames(BEFORE_SECONDS), frames(AFTER_SECONDS));
    let mut shape = vec![0.0; before + after];
    for &trough in &troughs {
        let spike = column.codes.get(trough - before..trough + after)?;
        shape.iter_mut().zip(spike).for_each(|(sum, &code)| *sum += f64::from(code));
    }
    shape.iter_mut().for_each(|value| *value /= troughs.len() as f64);
    fade(&mut shape, frames(FADE_SECONDS).max(1));
    let trough_at = (0..shape.len()).min_by(|&a, &b| shape[a].total_cmp(&shape[b]))?;
    let depth = -shape[trough_at];
    if depth <= 0.0 {
        return None;
    }
    shape.iter_mut().for_each(|value| *value /= depth);
    Some(Template {
        electrode: column.name.clone(),
        n_spikes: troughs.len(),
        trough_codes: depth,
        snr: depth / noise,
        trough_at,
        shape,
    })
}

/// Frames of the lowest sample within `width` after each pass below `level`, at least `apart` frames apart.
fn troughs(
    signal: &[f64],
    within: std::ops::Range<usize>,
    level: f64,
    width: usize,
    apart: usize,
) -> Vec<usize> {
    let (mut found, mut frame) = (Vec::new(), within.start);
    while frame < within.end {
        if signal[frame] >= level {
            frame += 1;
            continue;
        }
        let end = (frame + width.max(1)).min(within.end);
        let trough = (frame..end).min_by(|&a, &b| signal[a].total_cmp(&signal[b])).unwrap_or(frame);
        found.push(trough);
        frame = trough + apart.max(1);
    }
    found
}

/// Takes off the line between the means of both ends, each `n` values long, and fades those out.
fn fade(shape: &mut [f64], n: usize) {
    let len = shape.len();
    let mean = |values: &[f64]| values.iter().sum::<f64>() / values.len() as f64;
    let (first, last) = (mean(&shape[..n]), mean(&shape[len - n..]));
    let middle = (n as f64 - 1.0) / 2.0;
    let slope = (last - first) / (len - n) as f64;
    for (k, value) in shape.iter_mut().enumerate() {
        *value -= first + slope * (k as f64 - middle);
        let from_end = k.min(len - 1 - k);
        if from_end < n {
            let share = (from_end as f64 + 0.5) / n as f64;
            *value *= 0.5 - 0.5 * (std::f64::consts::PI * share).cos();
        }
    }
}

/// median |x| / 0.6745; 0 of nothing.
pub(super) fn noise_of(signal: &[f64]) -> f64 {
    let mut magnitudes: Vec<f64> = signal.iter().map(|x| x.abs()).collect();
    if magnitudes.is_empty() {
        return 0.0;
    }
    let middle = magnitudes.len() / 2;
    *magnitudes.select_nth_unstable_by(middle, f64::total_cmp).1 / MAD_OF_UNIT_GAUSSIAN
}

/// Shapes at most.
pub const TEMPLATES_MAX: usize = 8;
/// Fewer spikes average to no shape.
pub const SPIKES_MIN: usize = 20;
/// How deep a spike is to enter an average, times the noise.
pub const TROUGH_MIN: f64 = 6.0;
/// More than a neuron fires for long: an artefact.
const RATE_MAX_HZ: f64 = 100.0;
/// From a pass below the level to the trough at most.
const TROUGH_SECONDS: f64 = 0.001;
/// From a trough to where the next is looked for.
const APART_SECONDS: f64 = 0.002;
/// Of a shape, before its trough and after.
const BEFORE_SECONDS: f64 = 0.001;
const AFTER_SECONDS: f64 = 0.002;
/// Of each end that is faded out.
const FADE_SECONDS: f64 = 0.000_3;
/// In which a filter settles, at either end.
pub(super) const SETTLE_SECONDS: f64 = 0.05;
const MAD_OF_UNIT_GAUSSIAN: f64 = 0.6745;
const _: () = assert!(BEFORE_SECONDS < SETTLE_SECONDS && AFTER_SECONDS < SETTLE_SECONDS);
