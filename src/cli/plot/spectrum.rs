//! A spectrum: what the channels have in common and the worst of them over frequency, and below it noise and
//! mains of every channel.

use super::movement::segments;
use super::{DECODED, Painted, TRUE, text};
use crate::cli::table::figure;
use efference::spectrum::{Across, Flag, Spectrum};
use plotters::coord::Shift;
use plotters::coord::combinators::LogCoord;
use plotters::coord::ranged1d::ValueFormatter;
use plotters::coord::types::RangedCoordf64;
use plotters::element::DashedPathElement;
use plotters::prelude::*;

/// What a picture of a spectrum shows.
pub(super) struct SpectrumPicture<'a> {
    title: &'a str,
    spectrum: &'a Spectrum,
    across: &'a Across,
}

impl<'a> SpectrumPicture<'a> {
    pub(super) fn new(title: &'a str, spectrum: &'a Spectrum, across: &'a Across) -> Self {
        SpectrumPicture { title, spectrum, across }
    }

    /// Of the picture, in pixels.
    pub(super) fn height(&self) -> u32 {
        let channels = if self.spectrum.channels.len() == 1 { 0 } else { CHANNELS_HEIGHT };
        TITLE_HEIGHT + DENSITIES_HEIGHT + channels
    }

    pub(super) fn paint<DB: DrawingBackend>(&self, area: &DrawingArea<DB, Shift>) -> Painted
    where
        DB::ErrorType: 'static,
    {
        let area = area.margin(8, 0, 0, 0).titled(self.title, text(title_size(self.title)))?;
        if self.spectrum.channels.len() == 1 {
            return self.paint_densities(&area);
        }
        let (densities, channels) = area.split_vertically(DENSITIES_HEIGHT);
        self.paint_densities(&densities)?;
        self.paint_channels(&channels)
    }

    /// Density over frequency, both on logarithmic axes.
    fn paint_densities<DB: DrawingBackend>(&self, area: &DrawingArea<DB, Shift>) -> Painted
    where
        DB::ErrorType: 'static,
    {
        let Spectrum { densities, unit, channels, .. } = self.spectrum;
        let resolution_hz = densities.resolution_hz;
        let highest_hz = (densities.n_bins - 1) as f64 * resolution_hz;
        let curve = |density: &[f32]| curve(density, resolution_hz);
        let worst = self.spectrum.worst();
        let worst = &worst[..worst.len().min(WORST.len())];
        let worst: Vec<Vec<(f64, f64)>> = worst.iter().map(|&i| curve(self.spectrum.density(i))).collect();
        let [low, median, high] =
            [&self.across.low, &self.across.median, &self.across.high].map(|d| curve(d));
        let shown = [&low, &median, &high].into_iter().chain(&worst).flatten().map(|(_, density)| *density);
        let (least, most) = decades(shown, LEGEND_ROOM);
        let mut chart = ChartBuilder::on(area)
            .margin(10)
            .margin_right(MARGIN_RIGHT)
            .x_label_area_size(40)
            .y_label_area_size(84)
            .build_cartesian_2d((resolution_hz..highest_hz).log_scale(), (least..most).log_scale())?;
        paint_axes(&mut chart, "frequency, Hz", &format!("power spectral density, {unit}²/Hz"))?;
        self.paint_mains(&mut chart, least, most)?;
        let band: Vec<(f64, f64)> = high.iter().chain(low.iter().rev()).copied().collect();
        if !band.is_empty() && channels.len() > 1 {
            let fill = TRUE.mix(0.2).filled();
            chart
                .draw_series(std::iter::once(Polygon::new(band, fill)))?
                .label("5 % to 95 % of the channels")
                .legend(move |(x, y)| Rectangle::new([(x, y - 5), (x + 18, y + 5)], fill));
        }
        let indices = self.spectrum.worst();
        for (nth, (points, &i)) in worst.iter().zip(&indices).enumerate() {
            let channel = &channels[i];
            let flags: Vec<&str> = channel.flags.iter().map(|flag| flag.name()).collect();
            let flags = if flags.is_empty() { String::new() } else { format!(" ({})", flags.join(", ")) };
            let rank = match (channels.len(), nth) {
                (1, _) => "channel",
                (_, 0) if channel.flags.is_empty() => "loudest",
                (_, 0) => "worst",
                _ => "next",
            };
            draw_line(&mut chart, points, &format!("{rank}: {}{flags}", short(&channel.name)), WORST[nth])?;
        }
        if channels.len() > 1 && !median.is_empty() {
            draw_line(&mut chart, &median, "median of the channels", TRUE)?;
        }
        self.paint_floor(&mut chart)?;
        paint_legend(&mut chart)
    }

    /// Upright lines where mains are present in a tenth of the channels or more.
    fn paint_mains<'b, DB: DrawingBackend + 'b>(
        &self,
        chart: &mut Chart<'b, DB, LogCoord<f64>>,
        least: f64,
        most: f64,
    ) -> Painted
    where
        DB::ErrorType: 'static,
    {
        let Some(fundamental_hz) = self.spectrum.mains_hz() else { return Ok(()) };
        let channels = &self.spectrum.channels;
        let enough = (channels.len() as f64 * MAINS_SHARE_MIN).max(1.0);
        let lines = channels.iter().flat_map(|channel| &channel.mains.lines);
        let present: Vec<f64> = lines
            .filter(|line| line.present && line.hz % fundamental_hz == 0.0)
            .map(|line| line.hz)
            .collect();
        let style = BLACK.mix(0.35).stroke_width(1);
        let marked = (1..=16).map(|nth| fundamental_hz * f64::from(nth));
        let marked: Vec<f64> =
            marked.filter(|hz| present.iter().filter(|one| *one == hz).count() as f64 >= enough).collect();
        let marks = marked.iter().map(|&hz| DashedPathElement::new([(hz, least), (hz, most)], 4, 4, style));
        chart
            .draw_series(marks)?
            .label(match marked.len() {
                0 | 1 => format!("mains, {fundamental_hz:.0} Hz"),
                _ => format!("mains, {fundamental_hz:.0} Hz and harmonics"),
            })
            .legend(move |(x, y)| DashedPathElement::new([(x, y), (x + 18, y)], 4, 4, style));
        Ok(())
    }

    /// A level line over the band of the noise floor.
    fn paint_floor<'b, DB: DrawingBackend + 'b>(&self, chart: &mut Chart<'b, DB, LogCoord<f64>>) -> Painted
    where
        DB::ErrorType: 'static,
    {
        let live = self.spectrum.live();
        let noise = |i: &usize| self.spectrum.channels[*i].noise;
        let Some(density) =
            efference::spectrum::quantile(live.iter().map(|i| noise(i).density).collect(), 0.5)
        else {
            return Ok(());
        };
        let (low_hz, high_hz) = self.spectrum.floor_band_hz;
        let rms = (density * (high_hz - low_hz)).sqrt();
        let unit = self.spectrum.unit;
        let line =
            std::iter::once(PathElement::new([(low_hz, density), (high_hz, density)], FLOOR.stroke_width(4)));
        let of = if live.len() > 1 { "median noise floor" } else { "noise floor" };
        chart
            .draw_series(line)?
            .label(format!("{of}, {low_hz:.0} to {high_hz:.0} Hz: {} {unit} RMS", figure(rms)))
            .legend(|(x, y)| PathElement::new([(x, y), (x + 18, y)], FLOOR.stroke_width(4)));
        Ok(())
    }

    /// Noise and mains of every channel, on a logarithmic axis.
    fn paint_channels<DB: DrawingBackend>(&self, area: &DrawingArea<DB, Shift>) -> Painted
    where
        DB::ErrorType: 'static,
    {
        let Spectrum { channels, unit, .. } = self.spectrum;
        let first = channels.first().map_or(0, |channel| channel.channel) as f64;
        let last = channels.last().map_or(0, |channel| channel.channel) as f64;
        let live = || channels.iter().filter(|channel| !channel.has(Flag::Flat));
        let noise: Vec<(f64, f64)> = live().map(|c| (c.channel as f64, c.noise.rms)).collect();
        let with_mains = live().filter(|channel| channel.has(Flag::Mains));
        let mains: Vec<(f64, f64)> = with_mains.map(|c| (c.channel as f64, c.mains.rms)).collect();
        let (least, most) = decades(noise.iter().chain(&mains).map(|(_, rms)| *rms), LEGEND_ROOM);
        let flat = channels.iter().filter(|channel| channel.has(Flag::Flat));
        // A row of its own, under all others.
        let flat: Vec<(f64, f64)> = flat.map(|c| (c.channel as f64, least)).collect();
        let least = if flat.is_empty() { least } else { least / FLAT_ROOM };
        // Marks at powers of two where there would be one power of ten or none.
        let base = if most / least < 100.0 { 2.0 } else { 10.0 };
        let mut chart = ChartBuilder::on(area)
            .margin(10)
            .margin_right(MARGIN_RIGHT)
            .x_label_area_size(40)
            .y_label_area_size(84)
            .build_cartesian_2d(first - 1.0..last + 1.0, (least..most).log_scale().base(base))?;
        paint_axes(&mut chart, "channel", &format!("{unit} RMS"))?;
        draw_points(&mut chart, &noise, "noise floor", TRUE)?;
        draw_points(&mut chart, &mains, "mains, where present", DECODED)?;
        if !flat.is_empty() {
            let cross = |at: (f64, f64)| Cross::new(at, 4, BLACK.stroke_width(1));
            chart
                .draw_series(flat.into_iter().map(cross))?
                .label("flat")
                .legend(|(x, y)| Cross::new((x + 9, y), 4, BLACK.stroke_width(1)));
        }
        paint_legend(&mut chart)
    }
}

/// A plane with a logarithmic upright axis.
type Chart<'a, DB, X = RangedCoordf64> = ChartContext<'a, DB, Cartesian2d<X, LogCoord<f64>>>;

fn paint_axes<DB: DrawingBackend, X>(chart: &mut Chart<'_, DB, X>, x: &str, y: &str) -> Painted
where
    DB::ErrorType: 'static,
    X: Ranged<ValueType = f64> + ValueFormatter<f64>,
{
    chart
        .configure_mesh()
        .light_line_style(TRANSPARENT)
        .x_labels(12)
        .y_labels(8)
        .x_label_formatter(&tick)
        .y_label_formatter(&tick)
        .x_desc(x)
        .y_desc(y)
        .label_style(text(15))
        .axis_desc_style(text(16))
        .draw()?;
    Ok(())
}

fn paint_legend<'a, DB: DrawingBackend + 'a, X>(chart: &mut Chart<'a, DB, X>) -> Painted
where
    DB::ErrorType: 'static,
    X: Ranged<ValueType = f64>,
{
    chart
        .configure_series_labels()
        .position(SeriesLabelPosition::UpperRight)
        .background_style(WHITE.mix(0.85))
        .border_style(BLACK.mix(0.3))
        .label_font(text(15))
        .draw()?;
    Ok(())
}

fn draw_line<'a, DB: DrawingBackend + 'a>(
    chart: &mut Chart<'a, DB, LogCoord<f64>>,
    points: &[(f64, f64)],
    name: &str,
    colour: RGBColor,
) -> Painted
where
    DB::ErrorType: 'static,
{
    chart
        .draw_series(segments(points, colour))?
        .label(name)
        .legend(move |(x, y)| PathElement::new(vec![(x, y), (x + 18, y)], colour.stroke_width(3)));
    Ok(())
}

fn draw_points<'a, DB: DrawingBackend + 'a>(
    chart: &mut Chart<'a, DB>,
    points: &[(f64, f64)],
    name: &str,
    colour: RGBColor,
) -> Painted
where
    DB::ErrorType: 'static,
{
    if !points.is_empty() {
        chart
            .draw_series(points.iter().map(|&at| Circle::new(at, 2, colour.filled())))?
            .label(name)
            .legend(move |(x, y)| Circle::new((x + 9, y), 4, colour.filled()));
    }
    Ok(())
}

/// A density's points, without that of 0 Hz: bin by bin where there is room, the mean of neighbours where many
/// fall on one column.
fn curve(density: &[f32], resolution_hz: f64) -> Vec<(f64, f64)> {
    let mut points: Vec<(f64, f64)> = Vec::new();
    let n_bins = density.len();
    let step = (n_bins.max(2) as f64).powf(1.0 / COLUMNS);
    let mut from = 1;
    while from < n_bins {
        let to = ((from as f64 * step) as usize).clamp(from + 1, n_bins);
        let mean = density[from..to].iter().map(|&x| f64::from(x)).sum::<f64>() / (to - from) as f64;
        if mean > 0.0 {
            let middle = (from + to - 1) as f64 / 2.0;
            points.push((middle * resolution_hz, mean));
        }
        from = to;
    }
    points
}

/// Whole decades round `values`, and `room` of the span more above them for the legend; never empty.
fn decades(values: impl Iterator<Item = f64>, room: f64) -> (f64, f64) {
    let positive = values.filter(|&value| value > 0.0);
    let (least, most) =
        positive.fold((f64::INFINITY, 0.0_f64), |(least, most), value| (least.min(value), most.max(value)));
    if most == 0.0 {
        return (0.1, 1.0);
    }
    let (low, high) = (least.log10() - 0.1, most.log10() + 0.1);
    (10f64.powf(low), 10f64.powf(high + room * (high - low).max(0.5)))
}

/// A label of an axis, of no more digits than it needs.
fn tick(value: &f64) -> String {
    match value.abs() {
        0.0 => "0".to_string(),
        size if !(1e-4..1e6).contains(&size) => format!("{value:e}"),
        _ => format!("{}", (value * 1e6).round() / 1e6),
    }
}

/// Of a title that may be a long address, so that it fits the picture's width.
fn title_size(title: &str) -> i32 {
    (1900 / title.chars().count().max(1)).clamp(12, 26) as i32
}

/// A name that a legend has room for.
fn short(name: &str) -> String {
    if name.chars().count() <= NAME_MAX {
        name.to_string()
    } else {
        name.chars().take(NAME_MAX).chain(['…']).collect()
    }
}

const TITLE_HEIGHT: u32 = 40;
const DENSITIES_HEIGHT: u32 = 560;
const CHANNELS_HEIGHT: u32 = 300;
/// Half of an axis's last label reaches past the axis.
const MARGIN_RIGHT: u32 = 24;
/// Times the least value, for the row of flat channels.
const FLAT_ROOM: f64 = 1.3;
/// Of the values' span, added above them.
const LEGEND_ROOM: f64 = 0.25;
/// Points of a curve at most: about one a pixel's column.
const COLUMNS: f64 = 900.0;
/// The worst channel, and the next (Okabe & Ito 2008).
const WORST: [RGBColor; 2] = [DECODED, RGBColor(204, 121, 167)];
const FLOOR: RGBColor = RGBColor(0, 158, 115);
/// Of the channels, for a line to be marked.
const MAINS_SHARE_MIN: f64 = 0.1;
const NAME_MAX: usize = 12;
