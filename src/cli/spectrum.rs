//! `efference inspect --spectrum`: mains, noise and bands of each channel; table, JSON and picture out.

use crate::cli::bins::BinRange;
use crate::cli::source::SourceArgs;
use crate::cli::table::{self, figure};
use crate::cli::{plot, progress, say, say_json};
use efference::recording::About;
use efference::sinks::PendingFile;
use efference::sources::{ReadOutcome, SampleSource};
use efference::spectrum::{Across, ChannelSpectrum, Collector, Flag, Plan, Spectrum, quantile};
use efference::{Error, SampleIndex};
use std::path::PathBuf;

/// Arguments of the spectrum.
#[derive(clap::Args)]
pub(crate) struct SpectrumArgs {
    /// Compute the spectrum of each channel, to judge electrodes and their surroundings by
    #[arg(long)]
    pub(crate) spectrum: bool,
    /// Seconds from the recording's beginning that the spectrum is of [default: 10]
    #[arg(long, value_name = "N", requires = "spectrum", allow_negative_numbers = true)]
    seconds: Option<f64>,
    /// Channels that the spectrum is of, half open: A..B, A.. or ..B
    #[arg(long, value_name = "A..B", requires = "spectrum")]
    channels: Option<BinRange>,
    /// Draw the spectrum (.png or .svg)
    #[arg(long, value_name = "FILE", requires = "spectrum")]
    plot: Option<PathBuf>,
}

/// Computes and tells.
pub(crate) fn run(source: &SourceArgs, args: &SpectrumArgs, as_json: bool) -> Result<(), Error> {
    if let Some(path) = &args.plot {
        plot::check_path(path)?;
    }
    let seconds = args.seconds.unwrap_or(SECONDS);
    if !(seconds > 0.0 && seconds <= SECONDS_MAX) {
        return Err(Error::usage("inspect", format!("{seconds} s"))
            .field("--seconds")
            .legal(format!("above 0, to {SECONDS_MAX}")));
    }
    // It begins before the work, so that a place that can't be written to is known at once.
    let picture = args.plot.as_deref().map(PendingFile::create).transpose()?;
    let mut recording = source.open()?;
    let place = source.name();
    let info = recording.source.info().clone();
    let channels =
        args.channels.unwrap_or_default().within_named(info.n_channels() as u64, &place, "channels")?;
    let asked = (seconds * info.sample_rate.hz()).round() as u64;
    let n_frames = recording.source.n_frames().map_or(asked, |n| n.min(asked));
    let plan = Plan::new(&info, channels.start as usize..channels.end as usize, n_frames, &place)?;
    let spectrum = compute(&mut *recording.source, plan, &place)?;
    let report = Report { about: &recording.about, name: place, across: Across::of(&spectrum), spectrum };
    if let Some(picture) = picture {
        plot::spectrum(picture, &report.title(), &report.spectrum, &report.across)?.finish()?;
    }
    match as_json {
        true => say_json(&report.json()),
        false => say(report.text(args)),
    }
}

fn compute(source: &mut dyn SampleSource, plan: Plan, place: &str) -> Result<Spectrum, Error> {
    let bar = progress::bar("spectrum", plan.n_frames);
    let mut collector = Collector::new(source.info(), plan);
    let mut block = source.new_block();
    while !collector.is_done() && source.read(&mut block)? == ReadOutcome::Block {
        collector.observe(&block);
        bar.set_position(block.end_sample().0);
    }
    bar.finish_and_clear();
    collector.finish(place)
}

/// What `inspect --json` says, and the spectrum.
#[derive(serde::Serialize)]
struct Json<'a> {
    #[serde(flatten)]
    about: &'a About,
    spectrum: JsonSpectrum<'a>,
}

/// Densities are in `unit`² / Hz, one a bin; bin k stands for k × `resolution_hz`.
#[derive(serde::Serialize)]
struct JsonSpectrum<'a> {
    unit: &'static str,
    seconds: f64,
    frames: u64,
    segment_frames: usize,
    segments: u64,
    resolution_hz: f64,
    bins: usize,
    channels_asked: usize,
    channels_computed: usize,
    floor_band_hz: (f64, f64),
    mains_hz: Option<f64>,
    density_5_percent: &'a [f32],
    density_median: &'a [f32],
    density_95_percent: &'a [f32],
    density_of_each_channel: String,
    channels: Vec<JsonChannel<'a>>,
}

#[derive(serde::Serialize)]
struct JsonChannel<'a> {
    #[serde(flatten)]
    channel: &'a ChannelSpectrum,
    #[serde(skip_serializing_if = "Option::is_none")]
    density: Option<&'a [f32]>,
}

/// What is said of a spectrum.
struct Report<'a> {
    about: &'a About,
    name: String,
    spectrum: Spectrum,
    across: Across,
}

impl Report<'_> {
    fn title(&self) -> String {
        let made = if self.about.synthetic { "SYNTHETIC" } else { "recorded" };
        format!(
            "Spectrum of {} ({made}), {}, {} s",
            self.name,
            self.of_channels(),
            figure(self.spectrum.seconds)
        )
    }

    fn of_channels(&self) -> String {
        let plan = &self.spectrum.plan;
        match (plan.channels.len(), plan.n_asked) {
            (1, 1) => "1 channel".to_string(),
            (n, asked) if n == asked => format!("{n} channels"),
            (n, asked) => format!("{n} of {asked} channels, evenly chosen"),
        }
    }

    fn json(&self) -> Json<'_> {
        let Spectrum { densities, plan, channels, .. } = &self.spectrum;
        let of_each = channels.len() <= LISTED_DENSITIES_MAX;
        let listed =
            |(i, channel)| JsonChannel { channel, density: of_each.then(|| self.spectrum.density(i)) };
        let spectrum = JsonSpectrum {
            unit: self.spectrum.unit,
            seconds: self.spectrum.seconds,
            frames: self.spectrum.n_frames,
            segment_frames: plan.segment_frames,
            segments: densities.n_segments,
            resolution_hz: densities.resolution_hz,
            bins: densities.n_bins,
            channels_asked: plan.n_asked,
            channels_computed: plan.channels.len(),
            floor_band_hz: self.spectrum.floor_band_hz,
            mains_hz: self.spectrum.mains_hz(),
            density_5_percent: &self.across.low,
            density_median: &self.across.median,
            density_95_percent: &self.across.high,
            density_of_each_channel: match of_each {
                true => "listed".to_string(),
                false => format!("left out: choose at most {LISTED_DENSITIES_MAX} by --channels"),
            },
            channels: channels.iter().enumerate().map(listed).collect(),
        };
        Json { about: self.about, spectrum }
    }

    fn text(&self, args: &SpectrumArgs) -> String {
        let Spectrum { densities, plan, .. } = &self.spectrum;
        let mut lines = vec![self.title()];
        lines.push(format!(
            "{} segments of {} frames: a bin every {} Hz",
            densities.n_segments,
            plan.segment_frames,
            figure(densities.resolution_hz)
        ));
        let whole = SampleIndex(self.about.n_frames);
        if plan.n_frames < whole.0 {
            lines.push(format!(
                "The first {} of {} s; --seconds takes more",
                figure(self.spectrum.seconds),
                figure(self.about.seconds)
            ));
        }
        if plan.shortened {
            lines.push(
                "Segments are shorter than a second, since the stretch is: bins are far apart".to_string(),
            );
        }
        if !self.spectrum.live().is_empty() {
            lines.push(self.medians());
            lines.push(self.mains());
        }
        lines.extend(self.flat());
        if let Some(worst) = self.worst() {
            lines.push(worst);
        }
        lines.extend(args.plot.as_ref().map(|path| format!("picture: {}", path.display())));
        lines.join("\n")
    }

    /// A row a figure: median over the live channels, and how far they spread.
    fn medians(&self) -> String {
        let live: Vec<&ChannelSpectrum> =
            self.spectrum.live().into_iter().map(|i| &self.spectrum.channels[i]).collect();
        let unit = self.spectrum.unit;
        let n_live = format!("{} live channels", live.len());
        let mut table = table::of(&[
            if live.len() == 1 { "1 live channel" } else { &n_live },
            "unit",
            "5 %",
            "median",
            "95 %",
        ]);
        let mut row = |name: String, unit: &str, of: &dyn Fn(&ChannelSpectrum) -> Option<f64>| {
            let values: Vec<f64> = live.iter().filter_map(|channel| of(channel)).collect();
            let cells = [0.05, 0.5, 0.95].map(|share| quantile(values.clone(), share));
            if let [Some(low), Some(median), Some(high)] = cells {
                table.add_row([name, unit.to_string(), figure(low), figure(median), figure(high)]);
            }
        };
        let (low_hz, high_hz) = self.spectrum.floor_band_hz;
        let rms = format!("{unit} RMS");
        row(format!("noise floor, {low_hz:.0} to {high_hz:.0} Hz"), &rms, &|c| Some(c.noise.rms));
        let (density_unit, density_scale) = density_unit(unit);
        row("noise density there".to_string(), density_unit, &|c| {
            Some(c.noise.density.sqrt() * density_scale)
        });
        row("mains, all lines present".to_string(), &rms, &|c| Some(c.mains.rms));
        let bands = live.first().map_or(&[][..], |channel| &channel.bands);
        for (nth, band) in bands.iter().enumerate() {
            let name = format!("{}, {:.0} to {:.0} Hz", band.name, band.low_hz, band.high_hz);
            row(name, &rms, &|c| c.bands.get(nth).map(|band| band.rms));
        }
        row("slope, 2 to 40 Hz".to_string(), "exponent", &|c| c.slope);
        table.to_string()
    }

    /// Which mains, on how many channels, by which lines.
    fn mains(&self) -> String {
        let channels = &self.spectrum.channels;
        let Some(hz) = self.spectrum.mains_hz() else {
            let looked = channels.iter().any(|channel| !channel.mains.lines.is_empty());
            let found = if looked { "none found" } else { "not looked for, since bins are too far apart" };
            return format!("mains: {found}");
        };
        let having = channels.iter().filter(|channel| channel.mains.fundamental_hz == Some(hz)).count();
        let lines = channels.iter().flat_map(|channel| &channel.mains.lines);
        let mut present: Vec<(f64, usize)> = Vec::new();
        for line in lines.filter(|line| line.present && line.hz % hz == 0.0) {
            match present.iter_mut().find(|(hz, _)| *hz == line.hz) {
                Some((_, n)) => *n += 1,
                None => present.push((line.hz, 1)),
            }
        }
        present.sort_by(|a, b| a.0.total_cmp(&b.0));
        let lines: Vec<String> = present.iter().map(|(hz, n)| format!("{hz:.0} Hz ({n})")).collect();
        let n_live = self.spectrum.live().len();
        format!("mains: {hz:.0} Hz on {having} of {n_live} channels; lines (channels): {}", lines.join(", "))
    }

    fn flat(&self) -> Option<String> {
        let flat = self.spectrum.channels.iter().filter(|channel| channel.has(Flag::Flat));
        let names: Vec<&str> = flat.map(|channel| channel.name.as_str()).collect();
        let more = if names.len() > FLAT_LISTED_MAX { ", …" } else { "" };
        let listed = names[..names.len().min(FLAT_LISTED_MAX)].join(", ");
        (!names.is_empty()).then(|| format!("flat: {} channels: {listed}{more}", names.len()))
    }

    /// The channels that most need a look, where there is a choice.
    fn worst(&self) -> Option<String> {
        let worst = self.spectrum.worst();
        let unit = self.spectrum.unit;
        let (density_unit, density_scale) = density_unit(unit);
        let troubled = worst.iter().any(|&i| !self.spectrum.channels[i].flags.is_empty());
        let mut table = table::of(&[
            if troubled { "worst channels" } else { "loudest" },
            &format!("noise floor, {unit} RMS"),
            &format!("under spikes, {density_unit}"),
            &format!("mains, {unit} RMS"),
            "over floor, dB",
            "flags",
        ]);
        for &i in worst.iter().take(WORST_LISTED_MAX) {
            let channel = &self.spectrum.channels[i];
            let fundamental = channel.mains.fundamental_hz.or(self.spectrum.mains_hz());
            let line = channel.mains.lines.iter().find(|line| Some(line.hz) == fundamental);
            let flags: Vec<&str> = channel.flags.iter().map(|flag| flag.name()).collect();
            table.add_row([
                channel.name.clone(),
                figure(channel.noise.rms),
                figure(channel.noise.low_density.sqrt() * density_scale),
                figure(channel.mains.rms),
                line.map_or_else(String::new, |line| format!("{:.1}", line.over_floor_db)),
                flags.join(", "),
            ]);
        }
        (!worst.is_empty()).then(|| table.to_string())
    }
}

/// The unit of √density, and how many of it √(unit²/Hz) is.
fn density_unit(unit: &str) -> (&'static str, f64) {
    if unit == "µV" { ("nV/√Hz", 1e3) } else { ("counts/√Hz", 1.0) }
}

/// Enough for 19 segments of a second.
const SECONDS: f64 = 10.0;
const SECONDS_MAX: f64 = 86_400.0;
/// JSON lists the density of each channel of so many at most: a channel of 30 kHz has 15,001 bins.
const LISTED_DENSITIES_MAX: usize = 32;
const WORST_LISTED_MAX: usize = 8;
const FLAT_LISTED_MAX: usize = 12;
