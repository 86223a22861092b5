//! A session at the cursor: its path among the targets, and velocity over time beside it.

use super::movement::{Path2d, Trace, paint_path, paint_trace};
use super::{Painted, text};
use plotters::coord::Shift;
use plotters::prelude::*;

/// What a picture of a session shows.
pub(crate) struct CursorPicture {
    pub(crate) title: String,
    pub(crate) path: Path2d,
    pub(crate) traces: [Trace; 2],
}

impl CursorPicture {
    pub(super) fn paint<DB: DrawingBackend>(&self, area: &DrawingArea<DB, Shift>) -> Painted
    where
        DB::ErrorType: 'static,
    {
        let area = area.titled(&self.title, text(26))?;
        let (path, traces) = area.split_horizontally(PATH_WIDTH);
        paint_path(&self.path, &path)?;
        for (trace, area) in self.traces.iter().zip(traces.split_evenly((2, 1))) {
            paint_trace(trace, &area)?;
        }
        Ok(())
    }
}

/// Of the picture, in pixels.
pub(super) const HEIGHT: u32 = 660;
/// The path's area is about square.
const PATH_WIDTH: u32 = 600;
