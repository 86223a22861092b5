//! Movement: traces of velocity over time, and the path where position is known.

use super::{DECODED, Painted, TRUE, text};
use crate::cli::run::Replayed;
use efference::intents::Action;
use efference::train::Movement;
use plotters::coord::Shift;
use plotters::coord::types::RangedCoordf64;
use plotters::prelude::*;

/// True and decoded values of one axis over time.
pub(crate) struct Trace {
    pub(crate) title: String,
    pub(crate) unit: String,
    /// What the legend calls the truth.
    pub(crate) truth_name: &'static str,
    /// Seconds and value.
    pub(crate) truth: Vec<(f64, f64)>,
    pub(crate) decoded: Vec<(f64, f64)>,
}

/// True and decoded positions in the plane.
pub(crate) struct Path2d {
    pub(crate) title: String,
    pub(crate) unit: String,
    /// What the legend calls the truth.
    pub(crate) truth_name: &'static str,
    pub(crate) truth: Vec<(f64, f64)>,
    pub(crate) decoded: Vec<(f64, f64)>,
    /// Centres and radius of targets.
    pub(crate) targets: Vec<(f64, f64)>,
    pub(crate) target_radius: f64,
}

/// What a picture of a replay shows.
pub(super) struct Shown {
    title: String,
    traces: Vec<Trace>,
    path: Option<Path2d>,
}

impl Shown {
    /// The first stretch of the replayed range.
    pub(super) fn new(
        title: &str,
        axes: &[String],
        unit: &str,
        bin_width_ms: f64,
        truth: Option<&Movement>,
        replayed: &Replayed,
    ) -> Self {
        let intents = &replayed.intents[..replayed.intents.len().min(TRACE_BINS)];
        let seconds = |bin: u64| (bin + 1) as f64 * bin_width_ms * 1e-3;
        let known = |bin: u64| truth.filter(|truth| (bin as usize) < truth.velocity.nrows());
        let trace = |(axis, name): (usize, &String)| {
            let r2 = replayed.score.velocity_r2.as_ref().and_then(|r2| r2.axes.get(name));
            let r2 = r2.map_or_else(String::new, |r2| {
                format!(", R² {r2:.3} over all {} bins", replayed.score.n_scored)
            });
            let of_truth = |bin| known(bin).map(|truth| (seconds(bin), truth.velocity[(bin as usize, axis)]));
            Trace {
                title: format!("velocity {name}{r2}"),
                unit: format!("{unit}/s"),
                truth_name: "true",
                truth: intents.iter().filter_map(|intent| of_truth(intent.bin)).collect(),
                decoded: intents
                    .iter()
                    .filter_map(|intent| match intent.action {
                        Action::Move { velocity, .. } => {
                            Some((seconds(intent.bin), f64::from(velocity[axis])))
                        }
                        Action::Choose { .. } => None,
                    })
                    .collect(),
            }
        };
        let decoded = intents.iter().filter_map(|intent| match intent.action {
            Action::Move { position: Some(at), n_axes: 2.., .. } => {
                Some((f64::from(at[0]), f64::from(at[1])))
            }
            _ => None,
        });
        let decoded: Vec<(f64, f64)> = decoded.collect();
        let of_truth = |bin: u64| {
            let position = known(bin)?.position.as_ref()?;
            Some((position[(bin as usize, 0)], position[(bin as usize, 1)]))
        };
        let r2 = replayed.score.position_r2.as_ref();
        let path = (!decoded.is_empty()).then(|| Path2d {
            title: r2.map_or("position".into(), |r2| format!("position, mean R² {:.3}", r2.mean)),
            unit: unit.to_string(),
            truth_name: "true",
            truth: intents.iter().filter_map(|intent| of_truth(intent.bin)).collect(),
            decoded,
            targets: Vec::new(),
            target_radius: 0.0,
        });
        Shown { title: title.to_string(), traces: axes.iter().enumerate().map(trace).collect(), path }
    }

    /// Of the picture, in pixels.
    pub(super) fn height(&self) -> u32 {
        let path = if self.path.is_some() { PATH_HEIGHT } else { 0 };
        TITLE_HEIGHT + TRACE_HEIGHT * self.traces.len() as u32 + path
    }

    pub(super) fn paint<DB: DrawingBackend>(&self, area: &DrawingArea<DB, Shift>) -> Painted
    where
        DB::ErrorType: 'static,
    {
        let area = area.titled(&self.title, text(26))?;
        let (traces, path) = area.split_vertically(TRACE_HEIGHT * self.traces.len() as u32);
        let traces = traces.split_evenly((self.traces.len(), 1));
        for (trace, area) in self.traces.iter().zip(&traces) {
            paint_trace(trace, area)?;
        }
        if let Some(shown) = &self.path {
            paint_path(shown, &path)?;
        }
        Ok(())
    }
}

/// One axis over time.
pub(crate) fn paint_trace<DB: DrawingBackend>(trace: &Trace, area: &DrawingArea<DB, Shift>) -> Painted
where
    DB::ErrorType: 'static,
{
    let all = || trace.truth.iter().chain(&trace.decoded);
    let (from, to) = range(all().map(|(seconds, _)| *seconds), 0.0);
    let (low, high) = range(all().map(|(_, value)| *value), 0.05);
    // The legend stands over the lines, not on them.
    let high = high + LEGEND_SHARE * (high - low);
    let mut chart = ChartBuilder::on(area)
        .caption(&trace.title, text(20))
        .margin(10)
        .margin_right(MARGIN_RIGHT)
        .x_label_area_size(36)
        .y_label_area_size(70)
        .build_cartesian_2d(from..to, low..high)?;
    paint_axes(&mut chart, "time, s", &trace.unit)?;
    paint_lines(&mut chart, [(trace.truth_name, &trace.truth), ("decoded", &trace.decoded)])
}

/// Positions in the plane, both axes to one scale.
pub(crate) fn paint_path<DB: DrawingBackend>(path: &Path2d, area: &DrawingArea<DB, Shift>) -> Painted
where
    DB::ErrorType: 'static,
{
    let all = || path.truth.iter().chain(&path.decoded).chain(&path.targets);
    let round_targets = |(low, high): (f64, f64)| (low - path.target_radius, high + path.target_radius);
    let (left, right) = round_targets(range(all().map(|(x, _)| *x), 0.05));
    let (low, high) = round_targets(range(all().map(|(_, y)| *y), 0.05));
    let high = high + LEGEND_SHARE / 2.0 * (high - low);
    let (width, height) = area.dim_in_pixel();
    // What the labels take of the area, so that a metre is as long on either axis.
    let plane = (
        f64::from(width.saturating_sub(80 + MARGIN_RIGHT).max(1)),
        f64::from(height.saturating_sub(90).max(1)),
    );
    let scale = ((right - left) / plane.0).max((high - low) / plane.1);
    let about = |from: f64, to: f64, pixels: f64| {
        let middle = (from + to) / 2.0;
        middle - scale * pixels / 2.0..middle + scale * pixels / 2.0
    };
    let mut chart = ChartBuilder::on(area)
        .caption(&path.title, text(20))
        .margin(10)
        .margin_right(MARGIN_RIGHT)
        .x_label_area_size(36)
        .y_label_area_size(70)
        .build_cartesian_2d(about(left, right, plane.0), about(low, high, plane.1))?;
    paint_axes(&mut chart, &format!("x, {}", path.unit), &format!("y, {}", path.unit))?;
    let radius = (path.target_radius / scale) as i32;
    chart.draw_series(path.targets.iter().map(|&at| Circle::new(at, radius, BLACK.mix(0.12).filled())))?;
    paint_lines(&mut chart, [(path.truth_name, &path.truth), ("decoded", &path.decoded)])
}

/// A plane of two numbers.
type Chart<'a, DB> = ChartContext<'a, DB, Cartesian2d<RangedCoordf64, RangedCoordf64>>;

fn paint_axes<DB: DrawingBackend>(chart: &mut Chart<'_, DB>, x: &str, y: &str) -> Painted
where
    DB::ErrorType: 'static,
{
    chart
        .configure_mesh()
        .light_line_style(TRANSPARENT)
        .x_label_formatter(&tick)
        .y_label_formatter(&tick)
        .x_desc(x)
        .y_desc(y)
        .label_style(text(15))
        .axis_desc_style(text(16))
        .draw()?;
    Ok(())
}

/// What was true, then what was decoded, each with its name.
fn paint_lines<'a, DB: DrawingBackend + 'a>(
    chart: &mut Chart<'a, DB>,
    lines: [(&'static str, &Vec<(f64, f64)>); 2],
) -> Painted
where
    DB::ErrorType: 'static,
{
    for ((name, points), colour) in lines.into_iter().zip([TRUE, DECODED]) {
        if !points.is_empty() {
            let line = chart.draw_series(segments(points, colour))?;
            line.label(name)
                .legend(move |(x, y)| PathElement::new(vec![(x, y), (x + 18, y)], colour.stroke_width(3)));
        }
    }
    chart
        .configure_series_labels()
        .position(SeriesLabelPosition::UpperRight)
        .background_style(WHITE.mix(0.85))
        .border_style(BLACK.mix(0.3))
        .label_font(text(15))
        .draw()?;
    Ok(())
}

/// A line of many segments, drawn one by one: as one thick path, its sharp turns would be left out.
pub(super) fn segments(
    points: &[(f64, f64)],
    colour: RGBColor,
) -> impl Iterator<Item = PathElement<(f64, f64)>> + '_ {
    points.windows(2).map(move |ends| PathElement::new(ends.to_vec(), colour.stroke_width(2)))
}

/// A label of an axis: no more digits than it needs, and no minus before a zero.
fn tick(value: &f64) -> String {
    let rounded = (value * 1e6).round() / 1e6 + 0.0;
    format!("{rounded}")
}

/// Least and greatest, `margin` of the span wider on either side; never empty.
fn range(values: impl Iterator<Item = f64>, margin: f64) -> (f64, f64) {
    let (low, high) = values
        .fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), value| (low.min(value), high.max(value)));
    if low > high {
        return (0.0, 1.0);
    }
    let wider = ((high - low) * margin).max(1e-9);
    (low - wider, high + wider)
}

/// Half of an axis's last label reaches past the axis.
const MARGIN_RIGHT: u32 = 24;
/// Part of the values' range that is added above them for the legend.
const LEGEND_SHARE: f64 = 0.3;
const TITLE_HEIGHT: u32 = 50;
const TRACE_HEIGHT: u32 = 280;
const PATH_HEIGHT: u32 = 620;
/// The longest stretch that a trace shows, in bins: more would be a smear.
const TRACE_BINS: usize = 600;
