//! `efference train`: a recording in, a model folder out.

use crate::cli::bins::BinRange;
use crate::cli::run::{self, LastFifth, Trained};
use crate::cli::source::SourceArgs;
use crate::cli::{say, say_json, table};
use efference::Error;
use efference::block::{StreamInfo, StreamKind};
use efference::config::{CascadeKind, Config, DecoderKind, NormaliserKind, RidgeShape};
use efference::model::Model;
use efference::train::{self, Basis};
use serde_json::json;
use std::path::{Path, PathBuf};

/// Train a linear decoder on bins of a recording; write a model folder.
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  efference train m1_reaching.mat --mapping m1-reaching --decoder wiener --bins 0..10875 --out models/m1
  efference train sim:neuralink-n1,seconds=60 --decoder kalman --out models/simulated

Without --bins, all bins but the last fifth are fitted and the last fifth is scored. With --bins, all of the
range is fitted, and the score of its last fifth comes from a fit on the rest of it.")]
pub(crate) struct TrainArgs {
    #[command(flatten)]
    source: SourceArgs,
    /// The family of decoders [default: auto]
    #[arg(long, value_enum)]
    decoder: Option<DecoderKind>,
    /// Bins to fit, half open: A..B, A.. or ..B
    #[arg(long, value_name = "A..B")]
    bins: Option<BinRange>,
    /// The model folder to write
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// Keep beside the model what it can be solved again from when electrodes are lost, and what a further session is
    /// added to: sums over bins, personal data like the weights
    #[arg(long)]
    keep_statistics: bool,
    /// Fit on the sessions of this model and this one together: a Wiener filter with its statistics
    #[arg(long, value_name = "MODEL")]
    onto: Option<PathBuf>,
    #[command(flatten)]
    settings: SettingsArgs,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

/// Settings that commands share.
#[derive(clap::Args, Default)]
pub(crate) struct SettingsArgs {
    /// Settings in TOML: tables [front_end], [bins] and [decoder]
    #[arg(long, value_name = "FILE.toml")]
    config: Option<PathBuf>,
    /// Bin width [default: the recording's own, or 20 ms]
    #[arg(long, value_name = "MS")]
    bin_width_ms: Option<f64>,
    /// Bins of history that a Wiener filter sees
    #[arg(long, value_parser = clap::value_parser!(u16).range(1..=100))]
    lags: Option<u16>,
    /// How features are scaled [default: as suits the decoder]
    #[arg(long, value_enum)]
    normaliser: Option<NormaliserKind>,
    /// Ridge strengths to choose from by cross-validation
    #[arg(long, value_delimiter = ',', value_name = "λ,…")]
    ridge: Option<Vec<f64>>,
    /// How the ridge penalty is spread over channels and lags
    #[arg(long, value_enum)]
    ridge_shape: Option<RidgeShape>,
    /// What is put right behind a linear decoder of movement [default: none]
    #[arg(long, value_enum)]
    cascade: Option<CascadeKind>,
}

impl SettingsArgs {
    /// A file's settings and no flags.
    pub(crate) fn of_file(config: Option<PathBuf>) -> Self {
        SettingsArgs { config, ..SettingsArgs::default() }
    }

    /// The config file's settings, with the flags' in their place. What nobody gave is what `stream` usually wants.
    pub(crate) fn config(
        &self,
        decoder: Option<DecoderKind>,
        stream: Option<&StreamInfo>,
    ) -> Result<Config, Error> {
        let mut table = match &self.config {
            None => toml::Table::new(),
            Some(path) => {
                let text = std::fs::read_to_string(path).map_err(|error| Error::unreadable(path, &error))?;
                let place = path.display().to_string();
                Config::parse(&text, &place)?;
                text.parse().expect("what was parsed parses again")
            }
        };
        let mut set = |section: &str, key: &str, value: Option<toml::Value>| {
            if let Some(value) = value {
                let section = table.entry(section).or_insert_with(|| toml::Table::new().into());
                section.as_table_mut().expect("sections are tables").insert(key.into(), value);
            }
        };
        set("decoder", "kind", decoder.map(|kind| kind.name().into()));
        set("decoder", "lags", self.lags.map(|lags| i64::from(lags).into()));
        set("decoder", "normaliser", self.normaliser.map(|kind| kind.name().into()));
        let list = |values: &Vec<f64>| toml::Value::Array(values.iter().map(|&v| v.into()).collect());
        set("decoder", "ridge", self.ridge.as_ref().map(list));
        let shape = |shape: RidgeShape| toml::Value::try_from(shape).expect("a word");
        set("decoder", "ridge_shape", self.ridge_shape.map(shape));
        set("decoder", "cascade", self.cascade.map(|kind| kind.name().into()));
        set("bins", "width_ms", self.bin_width_ms.map(toml::Value::from));
        // Who names a band has chosen what is measured in it.
        let names_band = table
            .get("front_end")
            .and_then(toml::Value::as_table)
            .is_some_and(|keys| ["low_cut_hz", "high_cut_hz"].iter().any(|key| keys.contains_key(*key)));
        let stream = stream.filter(|info| !names_band || info.kind != StreamKind::Broadband);
        for (section, key, value) in stream.map_or(Vec::new(), Config::usual_of) {
            let section = table.entry(section).or_insert_with(|| toml::Table::new().into());
            let section = section.as_table_mut().expect("sections are tables");
            section.entry(key).or_insert(value);
        }
        // Flags are held to the same ranges as the file.
        Config::parse(&table.to_string(), "settings")
    }
}

pub(crate) fn run(args: &TrainArgs) -> Result<(), Error> {
    // What can't be written is known before the work, not after.
    let folder = Model::begin(&args.out)?;
    let recording = args.source.open()?;
    let config = recording
        .settle(args.settings.config(args.decoder, Some(recording.source.info()))?, &args.source.name())?;
    run::check_kind(&recording, &config)?;
    let n_bins = run::n_bins(&recording, &config)?;
    args.source.say_mapping(&recording);
    if let Some(note) = silent(&recording.about.silent_channels) {
        eprintln!("note: {note}");
    }
    drop(recording);
    let rows = args.bins.unwrap_or_default().within(n_bins, &args.source.name())?;
    let command = command(args, &config);
    let last_fifth = if args.bins.is_none() { LastFifth::HeldOut } else { LastFifth::FittedToo };
    let mut trained = run::train(&args.source, &config, rows, last_fifth, command)?;
    let basis = match &args.onto {
        None if args.keep_statistics => Some(trained.basis()?),
        None => None,
        Some(before) => Some(onto(before, &mut trained)?),
    };
    trained.model.write_with(folder, basis.as_ref().filter(|_| args.keep_statistics))?;
    match args.json {
        true => say_json(&summary(args, &trained)),
        false => say(text(args, &trained)),
    }
}

/// Makes the model one of the sessions of `before` and its own together; the score stays that of its own alone.
fn onto(before: &Path, trained: &mut Trained) -> Result<Basis, Error> {
    let (old, place) = (Model::load(before)?, before.display().to_string());
    let Some((statistics, _)) = Model::load_basis(before)?.wiener else {
        return Err(Error::usage("--onto", format!("`{place}` is no Wiener filter")).legal("a Wiener filter"));
    };
    let (about, of) = (&mut trained.model.about, &old.about);
    let same = about.stream == of.stream
        && about.config.bins == of.config.bins
        && about.config.front_end == of.config.front_end
        && about.output == of.output;
    if !same || about.config.decoder.kind.settled(false) != of.config.decoder.kind.settled(false) {
        return Err(Error::model(&place, "its stream, bins, front end or decoder are others")
            .field("--onto")
            .legal("a Wiener filter for this stream with these settings")
            .hint("the --config that the model was trained with"));
    }
    let (fitted, basis) = train::fit_onto(&trained.data, &of.config.decoder, &old.decoder, &statistics)?;
    about.config.decoder = of.config.decoder.clone();
    about.provenance.data = format!("{} and {}", of.provenance.data, about.provenance.data);
    about.provenance.data_sha256 = None;
    about.synthetic |= of.synthetic;
    about.choices = fitted.choices;
    trained.model.decoder = fitted.decoder;
    Ok(basis)
}

fn silent(channels: &[String]) -> Option<String> {
    let names: Vec<&str> = channels.iter().take(NAMES_MAX).map(String::as_str).collect();
    let more = channels.len().saturating_sub(NAMES_MAX);
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    (!names.is_empty()).then(|| format!("silent channels are left out: {}{more}", names.join(", ")))
}

/// The command that makes the model again, without the folders of this machine.
fn command(args: &TrainArgs, config: &Config) -> String {
    let mut command = format!("efference train {}", quoted(&args.source.name()));
    if let Some(mapping) = &args.source.mapping {
        command += &format!(" --mapping {}", quoted(mapping.rsplit('/').next().unwrap_or(mapping)));
    }
    command += &format!(" --decoder {}", config.decoder.kind.name());
    if let Some(bins) = args.bins {
        command += &format!(" --bins {bins}");
    }
    let SettingsArgs { config: file, bin_width_ms, lags, normaliser, ridge, ridge_shape, cascade } =
        &args.settings;
    if let Some(name) = file.as_ref().and_then(|file| file.file_name()) {
        command += &format!(" --config {}", quoted(&name.to_string_lossy()));
    }
    if let Some(width) = bin_width_ms {
        command += &format!(" --bin-width-ms {width}");
    }
    if let Some(lags) = lags {
        command += &format!(" --lags {lags}");
    }
    if let Some(kind) = normaliser {
        command += &format!(" --normaliser {}", kind.name());
    }
    if let Some(strengths) = ridge {
        let strengths: Vec<String> = strengths.iter().map(f64::to_string).collect();
        command += &format!(" --ridge {}", strengths.join(","));
    }
    if let Some(shape) = ridge_shape {
        command += match shape {
            RidgeShape::Plain => " --ridge-shape plain",
            RidgeShape::Decaying => " --ridge-shape decaying",
        };
    }
    if let Some(kind) = cascade {
        command += &format!(" --cascade {}", kind.name());
    }
    if args.keep_statistics {
        command += " --keep-statistics";
    }
    if args.onto.is_some() {
        command += " --onto BEFORE";
    }
    command + " --out MODEL"
}

/// A word of a command as a shell takes it.
fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_alphanumeric() || "-_./:=,@+".contains(c);
    if word.chars().all(plain) { word.to_string() } else { format!("'{}'", word.replace('\'', r"'\''")) }
}

fn summary(args: &TrainArgs, trained: &Trained) -> serde_json::Value {
    let about = &trained.model.about;
    json!({
        "model": args.out.display().to_string(),
        "decoder": about.config.decoder.kind.name(),
        "synthetic": about.synthetic,
        "data": about.provenance.data,
        "bins": about.provenance.bins,
        "score": about.held_out,
        "choices": about.choices,
        "seconds": trained.seconds,
    })
}

fn text(args: &TrainArgs, trained: &Trained) -> String {
    let about = &trained.model.about;
    let [from, to] = about.provenance.bins;
    let kind = if about.synthetic { "synthetic" } else { "recorded" };
    let held_out =
        if args.bins.is_some() { "last fifth, fitted on the rest" } else { "last fifth, held out" };
    format!(
        "{} on {} ({kind}), bins {from}..{to}: {} features, {} left out, {:.1} s\n{}\nmodel: {}",
        about.config.decoder.kind.name(),
        about.provenance.data,
        about.choices.n_features,
        about.choices.left_out.len(),
        trained.seconds,
        table::score(&about.held_out, held_out),
        args.out.display(),
    )
}

/// Names of channels that a note lists.
const NAMES_MAX: usize = 8;
