//! MAT files of binned counts with kinematics.
//!
//! In: a [`MatFile`] and a [`CountsMapping`]. Out: a stream of counts, one frame per bin, and the movement
//! of its axes at the same rate.

use super::lines::{Lines, count, kept_channels, not_a_count, silent_channels};
use super::mapping::{CountsMapping, KinematicsMapping};
use super::mat::MatFile;
use super::memory::MemorySource;
use super::{About, Kinematics, Recording, Truth, channel_name};
use crate::block::{Payload, StreamInfo, StreamKind};
use crate::error::Error;
use crate::time::SampleRate;
use ndarray::{Array2, s};

/// The recording in `file` as `mapping` reads it.
///
/// # Errors
/// If a variable is missing or of another shape, a count isn't one, a channel is stuck, or kinematics are
/// of another length, not finite or constant.
pub(super) fn open(file: &MatFile, mapping: &CountsMapping) -> Result<Recording, Error> {
    let (place, field) = (file.place(), mapping.variable.as_str());
    let sample_rate = SampleRate::new(1e3 / mapping.bin_width_ms, place)?;
    let (info, counts, kept) = {
        let variable = file.variable(field)?;
        let lines = Lines::new(&variable.array()?, mapping.channels_in, place, field)?;
        let kept = kept_channels(lines.n_lines, &mapping.exclude_channels, place)?;
        if lines.n_points == 0 {
            return Err(Error::input(place, "it has no bins").field(field).legal("one bin or more"));
        }
        let mut counts = Vec::with_capacity(kept.len() * lines.n_points);
        for point in 0..lines.n_points {
            for &line in &kept {
                let value = lines.at(line, point);
                counts.push(count(value).ok_or_else(|| not_a_count(place, field, value, line, point))?);
            }
        }
        let info = StreamInfo {
            kind: StreamKind::Counts,
            sample_rate,
            uv_per_count: None,
            channels: kept.iter().map(|&line| channel_name(line)).collect(),
            synthetic: false,
        };
        (info, counts, kept)
    };
    let n_frames = counts.len() / info.n_channels();
    let mut about = About::new(place, "mat-v5", &info, n_frames as u64);
    about.silent_channels = silent_channels(&counts, &kept, place, field)?;
    about.missing.push("Electrode positions.".to_string());
    if !mapping.exclude_channels.is_empty() {
        about.notes.push(format!("The mapping leaves out channels {:?}.", mapping.exclude_channels));
    }
    let truth = match &mapping.kinematics {
        None => {
            about.missing.push("Kinematics: the mapping names none.".to_string());
            Truth::None
        }
        Some(kinematics) => {
            Truth::Kinematics(movement(file, kinematics, sample_rate, n_frames, field, &mut about)?)
        }
    };
    let source = Box::new(MemorySource::new(info, Payload::Counts(counts), n_frames as u64));
    Ok(Recording { about, truth, source })
}

fn movement(
    file: &MatFile,
    mapping: &KinematicsMapping,
    sample_rate: SampleRate,
    n_frames: usize,
    counts_field: &str,
    about: &mut About,
) -> Result<Kinematics, Error> {
    let read = |name: &Option<String>| match name {
        Some(field) => axes(file, mapping, field, n_frames, counts_field).map(Some),
        None => Ok(None),
    };
    let (position, velocity) = (read(&mapping.position)?, read(&mapping.velocity)?);
    let names: Vec<String> = mapping.axes.iter().map(|(name, _)| name.clone()).collect();
    let what = if position.is_some() { "position and velocity" } else { "velocity" };
    about.kinematics =
        Some(format!("{what} of {} in {} at {} Hz", names.join(", "), mapping.unit, sample_rate.hz()));
    let velocity = match (velocity, &position) {
        (Some(velocity), _) => velocity,
        (None, Some(position)) => {
            about.notes.push("Velocity is the backward difference of position.".to_string());
            backward_difference(position, sample_rate)
        }
        (None, None) => unreachable!("a mapping names position or velocity"),
    };
    Ok(Kinematics { axes: names, sample_rate, velocity, position, unit: mapping.unit.clone() })
}

/// The mapped axes of variable `field`, bins × axes.
fn axes(
    file: &MatFile,
    mapping: &KinematicsMapping,
    field: &str,
    n_frames: usize,
    counts_field: &str,
) -> Result<Array2<f64>, Error> {
    let place = file.place();
    let variable = file.variable(field)?;
    let lines = Lines::new(&variable.array()?, mapping.axes_in, place, field)?;
    if lines.n_points != n_frames {
        let found = format!("it has {} bins, and `{counts_field}` has {n_frames}", lines.n_points);
        return Err(Error::input(place, found)
            .field(field)
            .legal("counts and kinematics of the same length")
            .hint("cut the longer one, or check `axes_in` and `channels_in` in the mapping"));
    }
    if let Some((name, index)) = mapping.axes.iter().find(|(_, index)| *index >= lines.n_lines) {
        return Err(Error::input(place, format!("axis {name} has index {index} of {}", lines.n_lines))
            .field(field)
            .legal(format!("indices 0 to {}", lines.n_lines.saturating_sub(1)))
            .hint("correct `kinematics.axes` in the mapping"));
    }
    for (name, index) in &mapping.axes {
        let value = |point| lines.at(*index, point);
        if let Some(bad) = (0..n_frames).find(|&point| !value(point).is_finite()) {
            return Err(Error::input(place, format!("axis {name} has {} at bin {bad}", value(bad)))
                .field(field)
                .legal("finite numbers in every bin")
                .hint("cut the bins without movement from counts and kinematics, or interpolate them"));
        }
        if n_frames > 1 && (1..n_frames).all(|point| value(point) == value(0)) {
            return Err(Error::input(place, format!("axis {name} is constant ({})", value(0)))
                .field(field)
                .legal("axes that move")
                .hint(format!("leave {name} out of `kinematics.axes` in the mapping")));
        }
    }
    Ok(Array2::from_shape_fn((n_frames, mapping.axes.len()), |(point, axis)| {
        lines.at(mapping.axes[axis].1, point)
    }))
}

/// Position's change since the bin before, times the rate; the first bin takes the second's.
fn backward_difference(position: &Array2<f64>, sample_rate: SampleRate) -> Array2<f64> {
    let mut velocity = Array2::zeros(position.raw_dim());
    if position.nrows() > 1 {
        let difference = &position.slice(s![1.., ..]) - &position.slice(s![..-1, ..]);
        velocity.slice_mut(s![1.., ..]).assign(&(difference * sample_rate.hz()));
        let second = velocity.row(1).to_owned();
        velocity.row_mut(0).assign(&second);
    }
    velocity
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::array;

    #[test]
    fn velocity_is_the_change_times_the_rate() {
        let rate = SampleRate::new(20.0, "test").expect("a legal rate");
        let velocity = backward_difference(&array![[0.0], [0.1], [0.3]], rate);
        let expected = [2.0, 2.0, 4.0];
        for (got, want) in velocity.iter().zip(expected) {
            assert!((got - want).abs() < 1e-12, "{velocity}");
        }
    }
}
