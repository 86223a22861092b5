//! Pictures: what was decoded beside what was true, and spectra, as PNG or SVG.

mod classes;
mod cursor;
mod live;
mod movement;
mod spectrum;

pub(crate) use cursor::CursorPicture;
pub(crate) use movement::{Path2d, Trace};

use crate::cli::run::Replayed;
use efference::Error;
use efference::live::Report;
use efference::model::{Model, OutputAbout};
use efference::sinks::PendingFile;
use efference::spectrum::{Across, Spectrum};
use efference::train::Targets;
use plotters::coord::Shift;
use plotters::prelude::*;
use std::path::Path;
use std::sync::Once;

/// Colours of what was true and what was decoded, which every kind of sight tells apart (Okabe & Ito 2008).
pub(crate) const TRUE: RGBColor = RGBColor(0, 114, 178);
pub(crate) const DECODED: RGBColor = RGBColor(213, 94, 0);
/// Width of every picture, in pixels.
pub(crate) const WIDTH: u32 = 1200;

type Png<'a> = DrawingArea<BitMapBackend<'a>, Shift>;
type Svg<'a> = DrawingArea<SVGBackend<'a>, Shift>;
/// Painting fails with whatever the backend says.
pub(crate) type Painted = Result<(), Box<dyn std::error::Error>>;

/// Refuses a path that names no picture format or can't be written, before any work is done.
pub(crate) fn check_path(path: &Path) -> Result<(), Error> {
    check_path_of("--plot", path)
}

/// The same for the path that another `flag` gives.
pub(crate) fn check_path_of(flag: &str, path: &Path) -> Result<(), Error> {
    match path.extension().and_then(|ending| ending.to_str()) {
        Some("png" | "svg") => PendingFile::check(path),
        _ => Err(Error::usage(path.display().to_string(), "its ending names no picture format")
            .field(flag)
            .legal("a path that ends in .png or .svg")),
    }
}

/// Draws a replay: traces and path of a movement, or the confusion of classes. The picture is yet to be finished.
pub(crate) fn replay(
    into: PendingFile,
    title: &str,
    model: &Model,
    replayed: &Replayed,
) -> Result<PendingFile, Error> {
    match &model.about.output {
        OutputAbout::Classes { names, .. } => {
            let labels = match &replayed.truth {
                Some(Targets::Classes { labels, .. }) => labels.as_slice(),
                _ => &[],
            };
            let confusion = classes::Confusion::new(title, names, labels, &replayed.intents);
            let height = confusion.height();
            draw(into, height, |area| confusion.paint(area), |area| confusion.paint(area))
        }
        OutputAbout::Movement { axes, unit, .. } => {
            let truth = match &replayed.truth {
                Some(Targets::Movement(movement)) => Some(movement),
                _ => None,
            };
            let width_ms = model.about.config.bins.width_ms;
            let shown = movement::Shown::new(title, axes, unit, width_ms, truth, replayed);
            let height = shown.height();
            draw(into, height, |area| shown.paint(area), |area| shown.paint(area))
        }
    }
}

/// Draws the report of a live run. The picture is yet to be finished.
pub(crate) fn live(into: PendingFile, source: &str, report: &Report) -> Result<PendingFile, Error> {
    let picture = live::LivePicture::new(source, report);
    draw(into, picture.height(), |area| picture.paint(area), |area| picture.paint(area))
}

/// Draws a session at the cursor. The picture is yet to be finished.
pub(crate) fn cursor(into: PendingFile, picture: &CursorPicture) -> Result<PendingFile, Error> {
    draw(into, cursor::HEIGHT, |area| picture.paint(area), |area| picture.paint(area))
}

/// Draws a spectrum. The picture is yet to be finished.
pub(crate) fn spectrum(
    into: PendingFile,
    title: &str,
    spectrum: &Spectrum,
    across: &Across,
) -> Result<PendingFile, Error> {
    let picture = spectrum::SpectrumPicture::new(title, spectrum, across);
    draw(into, picture.height(), |area| picture.paint(area), |area| picture.paint(area))
}

/// Draws a picture `height` pixels high with whichever of the two (the same painter twice) the path's ending
/// asks for. It is yet to be finished.
pub(crate) fn draw(
    mut into: PendingFile,
    height: u32,
    png: impl FnOnce(&Png<'_>) -> Painted,
    svg: impl FnOnce(&Svg<'_>) -> Painted,
) -> Result<PendingFile, Error> {
    static REGISTERED: Once = Once::new();
    REGISTERED.call_once(|| {
        let registered =
            plotters::style::register_font(FONT, FontStyle::Normal, epaint_default_fonts::UBUNTU_LIGHT);
        assert!(registered.is_ok(), "the font that we ship is a font");
    });
    let path = into.place().to_path_buf();
    let failed =
        |error: Box<dyn std::error::Error>| Error::output(path.display().to_string(), error.to_string());
    if path.extension().is_some_and(|ending| ending == "svg") {
        let mut text = String::new();
        {
            let area = SVGBackend::with_string(&mut text, (WIDTH, height)).into_drawing_area();
            area.fill(&WHITE).map_err(|error| failed(error.into()))?;
            svg(&area).map_err(failed)?;
            area.present().map_err(|error| failed(error.into()))?;
        }
        into.write(text.as_bytes())?;
    } else {
        let mut pixels = vec![0; (WIDTH * height * 3) as usize];
        {
            let area = BitMapBackend::with_buffer(&mut pixels, (WIDTH, height)).into_drawing_area();
            area.fill(&WHITE).map_err(|error| failed(error.into()))?;
            png(&area).map_err(failed)?;
            area.present().map_err(|error| failed(error.into()))?;
        }
        into.write(&encoded(&pixels, height).map_err(|error| failed(error.into()))?)?;
    }
    Ok(into)
}

/// A style of text `size` pixels high.
pub(crate) fn text(size: i32) -> TextStyle<'static> {
    (FONT, size).into_font().color(&BLACK)
}

fn encoded(pixels: &[u8], height: u32) -> Result<Vec<u8>, png::EncodingError> {
    let mut bytes = Vec::new();
    let mut encoder = png::Encoder::new(&mut bytes, WIDTH, height);
    encoder.set_color(png::ColorType::Rgb);
    encoder.set_depth(png::BitDepth::Eight);
    encoder.write_header()?.write_image_data(pixels)?;
    Ok(bytes)
}

/// The shipped font's name; a picture must not depend on what fonts the machine has.
const FONT: &str = "efference";
