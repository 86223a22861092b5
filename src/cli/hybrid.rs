//! `efference hybrid`: a recording's electrodes with spikes added whose times are known.

use crate::cli::bins::BinRange;
use crate::cli::source::SourceArgs;
use crate::cli::{say, say_json, table};
use efference::Error;
use efference::hybrid::{self, Hybrid, Settings};
use efference::recording::spikes;
use efference::sinks::PendingDir;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::path::PathBuf;

/// Add spikes at known times to the electrodes of a recording, to score detection on (synthetic).
#[derive(clap::Args)]
#[command(after_help = "\
Example:
  efference hybrid neuralink-n1/ --snr 4,6,8,12 --seed 1 --out my-hybrid
  efference detect my-hybrid/hybrid.i16 --truth my-hybrid/hybrid_spikes.csv --compare --background my-hybrid/background.i16

For each ratio there is a copy of every electrode with one added unit. A ratio is the depth of the added trough
before any filter over median |x| / 0.6745 of the electrode's spike band (250 Hz to 5 kHz, order 2). Shapes are
averages of the recording's own large spikes. Electrodes that are flat, touch a rail, have less than a code of
noise or cross often by themselves are left out.")]
pub(crate) struct HybridArgs {
    #[command(flatten)]
    source: SourceArgs,
    /// Signal-to-noise ratios
    #[arg(long, value_delimiter = ',', default_values_t = [4.0, 6.0, 8.0, 12.0])]
    snr: Vec<f64>,
    /// Spikes a second of each unit
    #[arg(long, value_name = "HZ", default_value_t = 10.0)]
    rate_hz: f64,
    /// The same seed makes the same bytes
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Which of the recording's channels, half open [default: all]
    #[arg(long, value_name = "A..B")]
    channels: Option<BinRange>,
    /// Leave out electrodes that cross -4.5 x noise by themselves more often than this a second
    #[arg(long, value_name = "HZ", default_value_t = 1.0)]
    own_max_hz: f64,
    /// The folder to write: hybrid.i16, hybrid.json, hybrid_spikes.csv, background.i16, background.json
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(args: &HybridArgs) -> Result<(), Error> {
    let folder = PendingDir::create(&args.out, &FILES)?;
    let (recording, place) = (args.source.open()?, args.source.name());
    let n_channels = recording.source.info().n_channels() as u64;
    let channels = args.channels.unwrap_or_default().within_named(n_channels, &place, "channels")?;
    let settings = Settings {
        snr: args.snr.clone(),
        rate_hz: args.rate_hz,
        seed: args.seed,
        channels: channels.start as usize..channels.end as usize,
        own_max_hz: args.own_max_hz,
        rails: rails(&recording.about.format, args.source.mapping.is_some()),
    };
    let made = hybrid::make(recording, &settings, &place)?;
    folder.write(FILES[0], to_json(&sidecar(&made, &settings, &place)).as_bytes())?;
    folder.write(FILES[1], &bytes(&made.samples))?;
    folder.write(FILES[2], spikes::to_csv(&made.spikes).as_bytes())?;
    folder.write(FILES[3], to_json(&background(&made, &place)).as_bytes())?;
    folder.write(FILES[4], &bytes(&made.background))?;
    folder.finish()?;
    match args.json {
        true => say_json(&summary(args, &made, &place)),
        false => say(text(args, &made, &place)),
    }
}

/// N1 recordings are opened as 10-bit codes where no mapping says otherwise.
fn rails(format: &str, is_mapped: bool) -> RangeInclusive<i16> {
    if format == "wav" && !is_mapped { N1_RAILS } else { i16::MIN..=i16::MAX }
}

fn bytes(samples: &[i16]) -> Vec<u8> {
    samples.iter().flat_map(|sample| sample.to_le_bytes()).collect()
}

fn to_json(value: &Value) -> String {
    serde_json::to_string_pretty(value).expect("plain values") + "\n"
}

/// What every reader of flat recordings needs, and all that was done.
fn sidecar(made: &Hybrid, settings: &Settings, place: &str) -> Value {
    let units: BTreeMap<String, &hybrid::Unit> =
        made.units.iter().map(|unit| (unit.peak_channel.to_string(), unit)).collect();
    let mut sidecar = flat(made, made.units.len());
    let left_out: BTreeMap<&String, &String> = made.left_out.iter().map(|(name, why)| (name, why)).collect();
    let about = json!({
        "synthetic": true,
        "hybrid": {
            "background": format!("{place}, {}", if made.background_synthetic { "synthetic" } else { "recorded" }),
            "spikes": "synthetic times, averages of recorded shapes; one unit a channel",
            "snr": "depth of the trough before any filter over median |x| / 0.6745 of 250 to 5000 Hz, order 2",
            "seed": settings.seed,
            "rate_hz": settings.rate_hz,
            "clipped_samples": made.n_clipped,
            "electrodes": made.electrodes,
            "left_out": left_out,
            "templates": made.templates,
        },
        "units": units,
    });
    merge(&mut sidecar, about);
    sidecar
}

fn background(made: &Hybrid, place: &str) -> Value {
    let mut sidecar = flat(made, made.electrodes.len());
    merge(
        &mut sidecar,
        json!({ "synthetic": made.background_synthetic, "background": place, "electrodes": made.electrodes }),
    );
    sidecar
}

fn flat(made: &Hybrid, n_channels: usize) -> Value {
    let mut flat = json!({
        "sampling_rate": made.sample_rate.hz(),
        "channels": n_channels,
        "dtype": "int16 little-endian, sample-major (frame by frame)",
        "samples": made.n_frames,
    });
    if let Some(uv) = made.uv_per_count {
        merge(&mut flat, json!({ "uV_per_bit": uv }));
    }
    flat
}

fn merge(into: &mut Value, other: Value) {
    if let (Some(into), Value::Object(other)) = (into.as_object_mut(), other) {
        into.extend(other);
    }
}

fn summary(args: &HybridArgs, made: &Hybrid, place: &str) -> Value {
    json!({
        "hybrid": args.out.display().to_string(),
        "synthetic": true,
        "background": place,
        "electrodes": made.electrodes.len(),
        "left_out": made.left_out.len(),
        "channels": made.units.len(),
        "spikes": made.spikes.len(),
        "clipped_samples": made.n_clipped,
        "templates": made.templates.len(),
    })
}

fn text(args: &HybridArgs, made: &Hybrid, place: &str) -> String {
    let mut table = table::of(&["template from", "spikes", "trough, codes", "SNR"]);
    for template in &made.templates {
        table.add_row(vec![
            template.electrode.clone(),
            template.n_spikes.to_string(),
            format!("{:.1}", template.trough_codes),
            format!("{:.1}", template.snr),
        ]);
    }
    format!(
        "hybrid (synthetic) of {place}: {} electrodes, {} left out; {} channels, {} added spikes, {} samples clipped\n\
         {table}\nfolder: {}",
        made.electrodes.len(),
        made.left_out.len(),
        made.units.len(),
        made.spikes.len(),
        made.n_clipped,
        args.out.display(),
    )
}

/// The first is the one by which a folder is known as ours.
const FILES: [&str; 5] =
    ["hybrid.json", "hybrid.i16", "hybrid_spikes.csv", "background.json", "background.i16"];
/// Of 10 bits.
const N1_RAILS: RangeInclusive<i16> = -512..=511;
