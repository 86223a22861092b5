//! The model card: `model.toml` in sentences.

use super::{ModelAbout, OutputAbout};
use crate::score::{PerAxis, Score};
use std::fmt::Write;

/// Markdown.
pub(super) fn text(about: &ModelAbout) -> String {
    let mut card = String::new();
    let decoder = &about.config.decoder;
    let kind = if about.synthetic { "synthetic" } else { "recorded" };
    let says = match &about.output {
        OutputAbout::Movement { axes, unit, position } => {
            let what = if *position { "velocity and position" } else { "velocity" };
            format!("{what} along {} in {unit} (and {unit}/s)", axes.join(", "))
        }
        OutputAbout::Classes { names, window_frames: [from, to] } => format!(
            "one of {} classes ({}) from frames {from} to {to} of a trial",
            names.len(),
            names.join(", ")
        ),
    };
    let stream = &about.stream;
    let bins = &about.provenance.bins;
    let choices = &about.choices;
    let mut line = |text: String| writeln!(card, "{text}").expect("text can be written");
    line(format!("# Model: {} on {} data\n", decoder.kind.name(), kind));
    line(format!("Says {says}, every {} ms.\n", about.config.bins.width_ms));
    line("| | |\n|---|---|".into());
    line(format!(
        "| trained on | `{}`, bins {} to {} (half open), {kind} |",
        about.provenance.data, bins[0], bins[1]
    ));
    line(format!(
        "| stream | {}, {} channels at {} Hz, channel map `{}` |",
        stream.kind,
        stream.n_channels,
        stream.sample_rate_hz,
        &stream.channel_map_sha256[..12.min(stream.channel_map_sha256.len())]
    ));
    line(format!("| normaliser | {} |", decoder.normaliser().name()));
    line(format!(
        "| fitted | {} bins, {} features, {} left out |",
        choices.n_bins,
        choices.n_features,
        choices.left_out.len()
    ));
    let of = match about.held_out_of {
        None => "these bins, fitted on the others".to_string(),
        Some([from, to]) => format!("bins {from} to {to}, fitted on the others of them"),
    };
    line(format!("| score on the last fifth of {of} ({kind}) | {} |", score(&about.held_out)));
    line(format!("| made by | efference {}: `{}` |\n", about.provenance.efference, about.provenance.command));
    line("It decodes this channel map with these settings and no other. A research tool, not a medical device.".into());
    card
}

/// A score in a line.
fn score(score: &Score) -> String {
    let mut parts = Vec::new();
    let mut add = |name: &str, figure: &Option<PerAxis>| {
        if let Some(PerAxis { axes, mean }) = figure {
            let axes: Vec<String> = axes.iter().map(|(axis, value)| format!("{axis} {value:.3}")).collect();
            parts.push(format!("{name} {mean:.3} ({})", axes.join(", ")));
        }
    };
    add("velocity R²", &score.velocity_r2);
    add("position R²", &score.position_r2);
    if let Some(accuracy) = score.accuracy {
        parts.push(format!("accuracy {accuracy:.3}"));
    }
    parts.push(format!("{} scored", score.n_scored));
    parts.join("; ")
}
