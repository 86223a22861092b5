//! Matrices of a MAT file as lines (channels or axes) of points (bins), whichever way they are stored, and
//! the checks that every stream of counts passes.

use super::channel_name;
use super::mapping::Dimension;
use super::mat::{Array, Data, Numeric, shape};
use crate::error::Error;

/// A matrix of numbers: `n_lines` channels or axes of `n_points` values.
pub(super) struct Lines<'a> {
    pub(super) n_lines: usize,
    pub(super) n_points: usize,
    values: Numeric<'a>,
    line_step: usize,
    point_step: usize,
}

impl<'a> Lines<'a> {
    /// The matrix `array`, whose lines lie in `dimension`; `place` and `field` name it in errors.
    pub(super) fn new(
        array: &Array<'a>,
        dimension: Dimension,
        place: &str,
        field: &str,
    ) -> Result<Self, Error> {
        let (Data::Numeric(values), &[n_rows, n_columns]) = (&array.data, &array.dims[..]) else {
            return Err(Error::input(
                place,
                format!("it is an array of {} {}", shape(&array.dims), array.class.name()),
            )
            .field(field)
            .legal("a matrix of real numbers (two dimensions, not sparse)")
            .hint("another variable in the mapping, or full() before saving"));
        };
        let (n_lines, n_points, line_step, point_step) = match dimension {
            Dimension::Rows => (n_rows, n_columns, 1, n_rows),
            Dimension::Columns => (n_columns, n_rows, n_rows, 1),
        };
        Ok(Lines { n_lines, n_points, values: *values, line_step, point_step })
    }

    /// Point `point` of line `line`.
    #[inline]
    pub(super) fn at(&self, line: usize, point: usize) -> f64 {
        self.values.value(line * self.line_step + point * self.point_step)
    }
}

/// A number as a count, if it is one: whole, not negative, at most 65,535.
#[inline]
pub(super) fn count(value: f64) -> Option<u16> {
    let count = value as u16;
    (f64::from(count) == value).then_some(count)
}

/// What is wrong with a number that isn't a count.
pub(super) fn not_a_count(place: &str, field: &str, value: f64, channel: usize, frame: usize) -> Error {
    Error::input(place, format!("channel {channel} has {value} at bin {frame}"))
        .field(field)
        .legal("whole numbers from 0 to 65,535")
        .hint("check that this variable holds counts and that rows and columns are not exchanged")
}

/// The channels that stay when `excluded` are left out.
pub(super) fn kept_channels(n_channels: usize, excluded: &[usize], place: &str) -> Result<Vec<usize>, Error> {
    let refuse = |found: String| {
        Error::input(place, found)
            .field("exclude_channels")
            .legal(format!("channels 0 to {}, not all of them", n_channels.saturating_sub(1)))
    };
    if let Some(beyond) = excluded.iter().find(|&&channel| channel >= n_channels) {
        return Err(refuse(format!("the mapping excludes channel {beyond} of {n_channels}")));
    }
    let kept: Vec<usize> = (0..n_channels).filter(|channel| !excluded.contains(channel)).collect();
    super::check_n_channels(n_channels, place)?;
    if kept.is_empty() { Err(refuse("the mapping excludes every channel".to_string())) } else { Ok(kept) }
}

/// Names of the channels of `counts` (frame by frame) that are always 0; `kept` are their numbers in the file.
///
/// # Errors
/// If one is constant and not 0: a stuck counter, or a time base taken for a channel.
pub(super) fn silent_channels(
    counts: &[u16],
    kept: &[usize],
    place: &str,
    field: &str,
) -> Result<Vec<String>, Error> {
    let n_channels = kept.len();
    let mut constant = vec![counts.len() > n_channels; n_channels];
    for frame in counts.chunks_exact(n_channels).skip(1) {
        for ((constant, now), first) in constant.iter_mut().zip(frame).zip(counts) {
            *constant &= now == first;
        }
    }
    let mut silent = Vec::new();
    for (index, &channel) in kept.iter().enumerate().filter(|(index, _)| constant[*index]) {
        let name = channel_name(channel);
        match counts[index] {
            0 => silent.push(name),
            value => {
                return Err(Error::input(
                    place,
                    format!("channel {name} is constant ({value} in every bin)"),
                )
                .field(field)
                .legal("channels that change, or that are silent (always 0)")
                .hint(format!(
                    "`exclude_channels = [{channel}]` in the mapping, or check that it names the counts"
                )));
            }
        }
    }
    Ok(silent)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_whole_numbers_in_range_are_counts() {
        assert_eq!([0.0, 3.0, 65_535.0].map(count), [Some(0), Some(3), Some(65_535)]);
        for value in [-1.0, 0.5, 65_536.0, f64::NAN, f64::INFINITY] {
            assert_eq!(count(value), None, "{value}");
        }
    }

    #[test]
    fn silence_is_listed_and_a_stuck_counter_refused() {
        let silent = silent_channels(&[0, 1, 0, 2], &[4, 7], "a.mat", "spikes").expect("legal");
        assert_eq!(silent, ["ch4"]);
        let error = silent_channels(&[1, 7, 2, 7], &[4, 7], "a.mat", "spikes").expect_err("stuck");
        assert!(error.to_string().contains("ch7 is constant (7"), "{error}");
    }
}
