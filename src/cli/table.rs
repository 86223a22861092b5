//! Tables for people.

use comfy_table::{CellAlignment, LineStyle, Table, TableStyle};
use efference::score::{PerAxis, Score};

/// An empty table under `header`; columns but the first are of numbers.
pub(crate) fn of(header: &[&str]) -> Table {
    let mut table = Table::new();
    table.load_style(STYLE).set_header(header);
    for column in table.column_iter_mut().skip(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    table
}

/// A score, a row per figure.
pub(crate) fn score(score: &Score, title: &str) -> Table {
    let axes: Vec<String> = score.velocity_r2.iter().flat_map(|r2| r2.axes.keys().cloned()).collect();
    let mut header = vec![title];
    header.extend(axes.iter().map(String::as_str));
    header.push(if axes.is_empty() { "share" } else { "mean" });
    let mut table = of(&header);
    let mut row = |name: &str, figure: &Option<PerAxis>| {
        if let Some(PerAxis { axes, mean }) = figure {
            let mut cells = vec![name.to_string()];
            cells.extend(axes.values().chain([mean]).map(|value| format!("{value:.4}")));
            table.add_row(cells);
        }
    };
    row("velocity R²", &score.velocity_r2);
    row("velocity correlation", &score.cc);
    row("position R²", &score.position_r2);
    if let Some(accuracy) = score.accuracy {
        table.add_row(vec!["accuracy".to_string(), format!("{accuracy:.4}")]);
    }
    table
}

/// A measured number: the three digits that matter.
pub(crate) fn figure(value: f64) -> String {
    let magnitude = if value == 0.0 { 2 } else { value.abs().log10().floor() as i32 };
    format!("{value:.*}", (2 - magnitude).clamp(0, 6) as usize)
}

/// A line above, one below the header, one at the end.
const STYLE: TableStyle = TableStyle::new().top_border(LINE).header_separator(LINE).bottom_border(LINE);
const LINE: LineStyle = LineStyle::none().fill('─').junction('─');
