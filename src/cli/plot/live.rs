//! The report of a live run: a row per stage, its durations along a logarithmic axis.

use super::{DECODED, Painted, TRUE, text};
use efference::live::{Latency, Report};
use plotters::coord::Shift;
use plotters::prelude::*;

/// What the picture shows.
pub(crate) struct LivePicture<'a> {
    title: String,
    facts: String,
    rows: Vec<(&'a str, &'a Latency)>,
}

impl<'a> LivePicture<'a> {
    pub(crate) fn new(source: &str, report: &'a Report) -> Self {
        let synthetic = if report.synthetic { "SYNTHETIC" } else { "recorded" };
        let balanced = if report.balanced { "balanced" } else { "NOT BALANCED" };
        let stages = report.stages.iter().map(|(name, latency)| (name.as_str(), latency));
        let whole = [
            ("block in to intent out", &report.intent_latency),
            ("block in to processed", &report.block_latency),
        ];
        LivePicture {
            title: format!(
                "{source} ({synthetic}), {} channels, {:.0} s, {}",
                report.n_channels, report.stream_seconds, report.level
            ),
            facts: format!(
                "{} blocks in, {} out; {} of {} frames lost, {balanced}; {} of {} intents held",
                report.blocks_in,
                report.blocks_out,
                report.frames_lost,
                report.frames_in,
                report.held_intents,
                report.intents
            ),
            rows: whole.into_iter().chain(stages).filter(|(_, latency)| latency.n > 0).collect(),
        }
    }

    pub(super) fn height(&self) -> u32 {
        ROW * self.rows.len() as u32 + FRAME
    }

    pub(super) fn paint<DB: DrawingBackend>(&self, area: &DrawingArea<DB, Shift>) -> Painted
    where
        DB::ErrorType: 'static,
    {
        let area = area.titled(&self.title, text(24))?;
        let area = area.titled(&self.facts, text(18))?;
        let n = self.rows.len();
        let (low, high) = self.range();
        let mut chart = ChartBuilder::on(&area)
            .margin_right(30)
            .margin_bottom(8)
            .x_label_area_size(46)
            .y_label_area_size(NAMES)
            .build_cartesian_2d((low..high).log_scale(), 0.0..n as f64)?;
        chart
            .configure_mesh()
            .disable_y_mesh()
            .disable_y_axis()
            .x_labels(10)
            .x_label_formatter(&|us| duration(*us))
            .x_desc("time")
            .label_style(text(16))
            .axis_desc_style(text(16))
            .draw()?;
        for (row, (name, latency)) in self.rows.iter().enumerate() {
            let y = n as f64 - row as f64 - 0.5;
            let most = latency.counts.iter().map(|(_, count)| *count).max().unwrap_or(1).max(1) as f64;
            // How often each duration came, on a logarithmic scale too, so that a single one can be seen.
            for &(edge_us, count) in latency.counts.iter().filter(|(_, count)| *count > 0) {
                let height = 0.08 + 0.34 * (1.0 + count as f64).ln() / (1.0 + most).ln();
                let bar = [(edge_us / 1.333, y - 0.4), (edge_us, y - 0.4 + height)];
                chart.draw_series([Rectangle::new(bar, TRUE.mix(0.45).filled())])?;
            }
            let marks =
                [(latency.p50_us, 5, TRUE), (latency.p99_us, 5, DECODED), (latency.p999_us, 4, BLACK)];
            chart.draw_series([PathElement::new(
                vec![(latency.p50_us.max(low), y), (latency.max_us.max(low), y)],
                BLACK.mix(0.5),
            )])?;
            chart.draw_series(
                marks.map(|(us, size, colour)| Circle::new((us.max(low), y), size, colour.filled())),
            )?;
            chart.draw_series([Cross::new((latency.max_us.max(low), y), 5, BLACK)])?;
            let at = chart.backend_coord(&(low, y));
            area.draw_text(
                name,
                &text(17),
                (area.relative_to_height(0.0) as i32 + 8, self.in_area(&area, at.1) - 9),
            )?;
        }
        let legend = [("median", TRUE), ("99 %", DECODED), ("99.9 %", BLACK)];
        let (width, _) = area.dim_in_pixel();
        for (k, (label, colour)) in legend.iter().enumerate() {
            let x = width as i32 - 430 + 110 * k as i32;
            area.draw(&Circle::new((x, 8), 5, colour.filled()))?;
            area.draw_text(label, &text(16), (x + 10, 0))?;
        }
        area.draw(&Cross::new((width as i32 - 100, 8), 5, BLACK))?;
        area.draw_text("longest", &text(16), (width as i32 - 90, 0))?;
        Ok(())
    }

    fn in_area<DB: DrawingBackend>(&self, area: &DrawingArea<DB, Shift>, y: i32) -> i32 {
        y - area.get_base_pixel().1
    }

    /// From below the shortest to above the longest, in whole decades.
    fn range(&self) -> (f64, f64) {
        let shortest = self.rows.iter().map(|(_, l)| l.p50_us).filter(|us| *us > 0.0).fold(1.0, f64::min);
        let longest = self.rows.iter().map(|(_, l)| l.max_us).fold(10.0, f64::max);
        (10f64.powf(shortest.log10().floor()), 10f64.powf(longest.log10().ceil()))
    }
}

fn duration(us: f64) -> String {
    match us {
        us if us < 1.0 => format!("{:.0} ns", us * 1e3),
        us if us < 1e3 => format!("{us:.0} µs"),
        us if us < 1e6 => format!("{:.0} ms", us * 1e-3),
        us => format!("{:.0} s", us * 1e-6),
    }
}

/// A row, in pixels.
const ROW: u32 = 52;
/// What stands above and below the rows.
const FRAME: u32 = 140;
/// Width of the stages' names.
const NAMES: u32 = 300;
