//! Classes: which were taken for which.

use super::{Painted, text};
use efference::intents::{Action, Intent};
use plotters::coord::Shift;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

/// How often each class was decoded as each.
pub(super) struct Confusion {
    title: String,
    names: Vec<String>,
    /// true × decoded.
    counts: Vec<Vec<usize>>,
}

impl Confusion {
    pub(super) fn new(title: &str, names: &[String], labels: &[u16], intents: &[Intent]) -> Self {
        let mut counts = vec![vec![0; names.len()]; names.len()];
        let (mut right, mut all) = (0, 0);
        for intent in intents {
            let truth = labels.get(intent.bin as usize).copied();
            if let (Some(truth), Action::Choose { class, .. }) = (truth, intent.action) {
                counts[usize::from(truth)][usize::from(class)] += 1;
                all += 1;
                right += usize::from(truth == class);
            }
        }
        let title = format!("{title}: {right} of {all} trials right");
        Confusion { title, names: names.to_vec(), counts }
    }

    pub(super) fn height(&self) -> u32 {
        TITLE_HEIGHT + 2 * MARGIN as u32 + CELL_HEIGHT as u32 * self.names.len() as u32
    }

    /// A row per true class, a column per decoded one, darker where there are more.
    pub(super) fn paint<DB: DrawingBackend>(&self, area: &DrawingArea<DB, Shift>) -> Painted
    where
        DB::ErrorType: 'static,
    {
        let area = area.titled(&self.title, text(26))?;
        let n = self.names.len() as i32;
        let (width, _) = area.dim_in_pixel();
        let cell_width = (width as i32 - LABELS - MARGIN) / n.max(1);
        let centred = text(18).pos(Pos::new(HPos::Center, VPos::Center));
        let right = text(18).pos(Pos::new(HPos::Right, VPos::Center));
        area.draw(&Text::new("true ↓  decoded →", (LABELS - 12, MARGIN / 2), right.clone()))?;
        for (i, name) in self.names.iter().enumerate() {
            let i = i as i32;
            let (x, y) =
                (LABELS + i * cell_width + cell_width / 2, MARGIN + i * CELL_HEIGHT + CELL_HEIGHT / 2);
            area.draw(&Text::new(name.clone(), (x, MARGIN / 2), centred.clone()))?;
            area.draw(&Text::new(name.clone(), (LABELS - 12, y), right.clone()))?;
        }
        for (row, counts) in self.counts.iter().enumerate() {
            let most = counts.iter().sum::<usize>().max(1);
            for (column, &count) in counts.iter().enumerate() {
                let share = count as f64 / most as f64;
                let corner = (LABELS + column as i32 * cell_width, MARGIN + row as i32 * CELL_HEIGHT);
                let opposite = (corner.0 + cell_width - 2, corner.1 + CELL_HEIGHT - 2);
                let colour = if row == column { super::TRUE } else { super::DECODED };
                area.draw(&Rectangle::new([corner, opposite], colour.mix(0.06 + 0.84 * share).filled()))?;
                if count > 0 {
                    let ink = if share > 0.5 { WHITE } else { BLACK };
                    let middle = (corner.0 + cell_width / 2, corner.1 + CELL_HEIGHT / 2);
                    area.draw(&Text::new(count.to_string(), middle, centred.color(&ink)))?;
                }
            }
        }
        Ok(())
    }
}

const TITLE_HEIGHT: u32 = 50;
const MARGIN: i32 = 50;
/// Room for the classes' names.
const LABELS: i32 = 200;
const CELL_HEIGHT: i32 = 64;
