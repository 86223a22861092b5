//! `efference inspect`: what a recording holds, and on request its spectrum, as tables for people or one JSON
//! object for scripts.

use crate::cli::source::SourceArgs;
use crate::cli::spectrum::{self, SpectrumArgs};
use crate::cli::{say, say_json};
use comfy_table::presets::NOTHING;
use comfy_table::{Cell, ColumnConstraint, ContentArrangement, Table, Width};
use efference::Error;
use efference::recording::About;

/// Say what a recording holds: kind, channels, rate, length, units, gaps, what is missing; or its spectrum.
#[derive(clap::Args)]
#[command(after_help = "Examples:
  efference inspect m1_reaching.mat
  efference inspect --json neuralink-n1/
  efference inspect session.mat --mapping session.toml
  efference inspect sim:neuralink-n1,seconds=10 --spectrum --plot spectrum.png
  efference inspect neuralink-n1/ --spectrum --channels 0..32 --json

--spectrum computes Welch's power spectral density of each channel (Hann window of a second, half overlapping) and
from it the mains' lines, the noise floor, and the power in the bands of physiology. Flags: `flat` (no sample
differs), `clipped?` (samples pile up at an end of their range), `noisy` (under its spikes, 3 times the noise of the
median channel or more), `mains` (50 or 60 Hz, or two of their harmonics, stand higher than chance would have it).")]
pub(crate) struct InspectArgs {
    #[command(flatten)]
    source: SourceArgs,
    #[command(flatten)]
    spectrum: SpectrumArgs,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

/// Opens the recording and prints what it holds.
pub(crate) fn run(args: &InspectArgs) -> Result<(), Error> {
    if args.spectrum.spectrum {
        return spectrum::run(&args.source, &args.spectrum, args.json);
    }
    let about = args.source.open()?.about;
    match args.json {
        true => say_json(&about),
        false => say(table(&about)),
    }
}

fn table(about: &About) -> String {
    let rows = [
        ("recording", about.path.clone()),
        ("format", about.format.clone()),
        ("made", if about.synthetic { "SYNTHETIC" } else { "recorded" }.to_string()),
        ("kind", about.kind.clone()),
        ("channels", about.n_channels.to_string()),
        ("rate", format!("{} Hz", about.sample_rate_hz)),
        ("length", format!("{} frames, {:.2} s", about.n_frames, about.seconds)),
        ("units", about.units.clone()),
        ("trials", if about.n_trials == 0 { "none".to_string() } else { about.n_trials.to_string() }),
        ("kinematics", about.kinematics.clone().unwrap_or_else(|| "none".to_string())),
        ("gaps", gaps(about)),
        ("mapping", about.mapping.clone().unwrap_or_else(|| "as given, or none needed".to_string())),
        ("silent channels", listed(&about.silent_channels)),
        ("missing", lines(&about.missing)),
        ("notes", lines(&about.notes)),
    ];
    let mut table = Table::new();
    table.load_style(NOTHING).set_content_arrangement(ContentArrangement::Dynamic);
    for (name, value) in rows {
        table.add_row([Cell::new(name), Cell::new(value)]);
    }
    if let Some(names) = table.column_mut(0) {
        names.set_padding((0, 1)).set_constraint(ColumnConstraint::LowerBoundary(Width::Fixed(16)));
    }
    // The table pads every line to its width; a person's terminal and a diff want none of it.
    table.to_string().lines().map(str::trim_end).collect::<Vec<_>>().join("\n")
}

fn gaps(about: &About) -> String {
    let lost: u64 = about.gaps.iter().map(|gap| gap.n_frames).sum();
    match about.gaps.len() {
        0 => "none".to_string(),
        n => format!("{n}, {lost} frames lost"),
    }
}

fn listed(names: &[String]) -> String {
    match names.len() {
        0 => "none".to_string(),
        n if n > LISTED_MAX => format!("{n}: {}, …", names[..LISTED_MAX].join(", ")),
        n => format!("{n}: {}", names.join(", ")),
    }
}

fn lines(sentences: &[String]) -> String {
    if sentences.is_empty() { "none".to_string() } else { sentences.join("\n") }
}

/// Names that the table lists; `--json` has them all.
const LISTED_MAX: usize = 12;

#[cfg(test)]
mod tests {
    use super::*;
    use efference::recording::Gap;

    #[test]
    fn the_table_says_what_is_synthetic_lost_and_missing() {
        let about = About {
            path: "a.i16".to_string(),
            format: "flat".to_string(),
            kind: "broadband".to_string(),
            n_channels: 32,
            sample_rate_hz: 30_000.0,
            n_frames: 300_000,
            seconds: 10.0,
            units: "counts of 0.195 µV".to_string(),
            gaps: vec![Gap { first_frame: 7, n_frames: 3 }, Gap { first_frame: 90, n_frames: 2 }],
            n_trials: 0,
            kinematics: None,
            silent_channels: (0..20).map(|channel| format!("ch{channel}")).collect(),
            synthetic: true,
            hybrid: false,
            mapping: None,
            missing: vec!["Kinematics.".to_string()],
            notes: Vec::new(),
        };
        let table = table(&about);
        let row =
            |name: &str| table.lines().find(|line| line.starts_with(name)).unwrap_or_default().to_string();
        assert!(row("made").ends_with("SYNTHETIC"), "{table}");
        assert!(row("gaps").ends_with("2, 5 frames lost"), "{table}");
        assert!(row("missing").ends_with("Kinematics."), "{table}");
        assert!(
            row("silent channels")
                .ends_with("20: ch0, ch1, ch2, ch3, ch4, ch5, ch6, ch7, ch8, ch9, ch10, ch11, …")
        );
    }
}
