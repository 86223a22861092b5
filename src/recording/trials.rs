//! MAT struct arrays of trials × classes.
//!
//! In: a [`MatFile`] and a [`TrialsMapping`]. Out: a stream of counts that holds the window of each trial,
//! one after another (trial 0 of every class, then trial 1 …), each a segment of its own, and the class of
//! each. Only the windows are kept in memory.

use super::lines::{Lines, count, kept_channels, not_a_count, silent_channels};
use super::mapping::{Dimension, TrialsMapping};
use super::mat::{Array, Data, MatFile, shape};
use super::memory::MemorySource;
use super::{About, Classes, Recording, Truth, channel_name};
use crate::block::{Payload, StreamInfo, StreamKind};
use crate::error::{Error, nearest};

/// The recording in `file` as `mapping` reads it.
///
/// # Errors
/// If the variable or its field is missing or of another shape, trials differ in channels, one is shorter
/// than the window, a count isn't one, or a channel is stuck.
pub(super) fn open(file: &MatFile, mapping: &TrialsMapping) -> Result<Recording, Error> {
    let place = file.place();
    let field = format!("{}.{}", mapping.variable, mapping.spikes);
    let variable = file.variable(&mapping.variable)?;
    let array = variable.array()?;
    let grid = Grid::new(&array, mapping, place)?;
    let (from, to) = mapping.window_frames;

    let mut counts: Vec<u16> = Vec::new();
    let mut n_lines = 0;
    let mut kept = Vec::new();
    for trial in 0..grid.n_trials * grid.n_classes {
        let (row, class) = (trial / grid.n_classes, trial % grid.n_classes);
        let name = format!("{field}, trial {row} of class {class}");
        let lines = Lines::new(grid.spikes(row, class), Dimension::Rows, place, &name)?;
        if trial == 0 {
            n_lines = lines.n_lines;
            kept = kept_channels(n_lines, &mapping.exclude_channels, place)?;
        }
        if lines.n_lines != n_lines || lines.n_points < to {
            let found = format!("it has {} channels × {} frames", lines.n_lines, lines.n_points);
            return Err(Error::input(place, found)
                .field(name)
                .legal(format!("{n_lines} channels as in the first trial, and at least {to} frames"))
                .hint("a window that ends earlier, or a recording without the trials that are short"));
        }
        counts.reserve(kept.len() * (to - from));
        for point in from..to {
            for &line in &kept {
                let value = lines.at(line, point);
                counts.push(count(value).ok_or_else(|| not_a_count(place, &name, value, line, point))?);
            }
        }
    }

    let info = StreamInfo {
        kind: StreamKind::Counts,
        sample_rate: mapping.sample_rate,
        uv_per_count: None,
        channels: kept.iter().map(|&line| channel_name(line)).collect(),
        synthetic: false,
    };
    let n_trials = grid.n_trials * grid.n_classes;
    let frames_per_trial = (to - from) as u64;
    let mut about = About::new(place, "mat-v5", &info, n_trials as u64 * frames_per_trial);
    about.n_trials = n_trials;
    about.kinematics = Some(format!("{} classes, {} trials of each", grid.n_classes, grid.n_trials));
    about.silent_channels = silent_channels(&counts, &kept, place, &field)?;
    about.missing = vec!["Hand kinematics.".to_string(), "Electrode positions.".to_string()];
    about.notes.push(format!(
        "Frames {from} to {to} of each trial (half open): trial 0 of every class, then trial 1 of every class …"
    ));
    let classes = (0..grid.n_classes as u16).cycle().take(n_trials).collect();
    let truth = Truth::Classes(Classes {
        names: class_names(mapping, grid.n_classes, place)?,
        trials: classes,
        frames_per_trial,
        first_frame: from as u64,
    });
    let source = Box::new(MemorySource::new(info, Payload::Counts(counts), frames_per_trial));
    Ok(Recording { about, truth, source })
}

/// The struct array, and where its spikes are.
struct Grid<'a> {
    values: &'a [Array<'a>],
    n_fields: usize,
    spikes_field: usize,
    n_rows: usize,
    classes_in: Dimension,
    n_trials: usize,
    n_classes: usize,
}

impl<'a> Grid<'a> {
    fn new(array: &'a Array<'a>, mapping: &TrialsMapping, place: &str) -> Result<Self, Error> {
        let refuse = |found: String| Error::input(place, found).field(&mapping.variable);
        let (Data::Struct { fields, values }, &[n_rows, n_columns]) = (&array.data, &array.dims[..]) else {
            return Err(refuse(format!("it is an array of {} {}", shape(&array.dims), array.class.name()))
                .legal("a struct array of trials × classes")
                .hint("another variable in the mapping"));
        };
        let spikes_field = fields.iter().position(|field| *field == mapping.spikes).ok_or_else(|| {
            let near = nearest(&mapping.spikes, fields.iter().map(String::as_str));
            refuse(format!("it has no field `{}`; it has {}", mapping.spikes, fields.join(", ")))
                .legal("a field of counts, channels × frames")
                .hint(format!("`spikes = \"{}\"` in the mapping", near.unwrap_or("one of them")))
        })?;
        let (n_trials, n_classes) = match mapping.classes_in {
            Dimension::Rows => (n_columns, n_rows),
            Dimension::Columns => (n_rows, n_columns),
        };
        if n_trials == 0 || !(2..=CLASSES_MAX).contains(&n_classes) {
            return Err(refuse(format!("it has {n_trials} trials of {n_classes} classes"))
                .legal(format!("one trial or more of 2 to {CLASSES_MAX} classes"))
                .hint("check `classes_in` in the mapping"));
        }
        let classes_in = mapping.classes_in;
        Ok(Grid { values, n_fields: fields.len(), spikes_field, n_rows, classes_in, n_trials, n_classes })
    }

    fn spikes(&self, trial: usize, class: usize) -> &'a Array<'a> {
        let (row, column) = match self.classes_in {
            Dimension::Rows => (class, trial),
            Dimension::Columns => (trial, class),
        };
        &self.values[(row + column * self.n_rows) * self.n_fields + self.spikes_field]
    }
}

fn class_names(mapping: &TrialsMapping, n_classes: usize, place: &str) -> Result<Vec<String>, Error> {
    match mapping.class_names.len() {
        0 => Ok((0..n_classes).map(|class| format!("class {class}")).collect()),
        n if n == n_classes => Ok(mapping.class_names.clone()),
        n => Err(Error::input(place, format!("the mapping names {n} classes, and there are {n_classes}"))
            .field("trials.class_names")
            .legal("one name per class, or none at all")),
    }
}

const CLASSES_MAX: usize = 1024;
