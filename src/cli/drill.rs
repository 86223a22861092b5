//! `efference drill`: what becomes of a decoder when something goes wrong on purpose, on a recording.

use crate::cli::bins::BinRange;
use crate::cli::source::SourceArgs;
use crate::cli::{clock, progress, run, say, say_json, table};
use clap::Subcommand;
use efference::Error;
use efference::decode::Decoder;
use efference::model::Model;
use efference::train::{self, Adapting, Dataset};
use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_xoshiro::Xoshiro256PlusPlus;
use serde::Serialize;
use std::path::PathBuf;

/// Lose electrodes on purpose, or let a decoder go on learning, and see what that does to the score.
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  efference train m1_reaching.mat --mapping m1-reaching --decoder wiener --bins 0..10875 --keep-statistics --out m1
  efference drill electrodes --lose 0.15,0.5,0.85 m1_reaching.mat --mapping m1-reaching --model m1 --bins 10875..13205
  efference drill adaptive m1_reaching.mat --mapping m1-reaching --model m1 --bins 10875..13205")]
pub(crate) struct DrillArgs {
    #[command(subcommand)]
    drill: Drill,
}

#[derive(Subcommand)]
enum Drill {
    Electrodes(ElectrodesArgs),
    Adaptive(AdaptiveArgs),
}

/// Silence a share of the channels from the range's first bin on; say R² before, at the loss, masked, and solved again.
#[derive(clap::Args)]
struct ElectrodesArgs {
    #[command(flatten)]
    on: OnArgs,
    /// Shares of the channels that the decoder looks at
    #[arg(long, value_delimiter = ',', value_name = "SHARE,…", default_value = "0.15,0.5,0.85")]
    lose: Vec<f64>,
    /// Draws of which channels, from the seeds 1, 2, …
    #[arg(long, default_value = "20", value_parser = clap::value_parser!(u64).range(1..=1000))]
    draws: u64,
}

/// Let a Wiener filter learn from each batch of bins once it is past; how fast it forgets is chosen on the training bins.
#[derive(clap::Args)]
struct AdaptiveArgs {
    #[command(flatten)]
    on: OnArgs,
    /// Bins between two solutions
    #[arg(long, default_value = "100", value_parser = clap::value_parser!(u64).range(1..=100_000))]
    batch_bins: u64,
}

#[derive(clap::Args)]
struct OnArgs {
    #[command(flatten)]
    source: SourceArgs,
    /// The model folder, trained with --keep-statistics
    #[arg(long, value_name = "DIR")]
    model: PathBuf,
    /// Bins to score, half open: A..B, A.. or ..B
    #[arg(long, value_name = "A..B")]
    bins: Option<BinRange>,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(args: &DrillArgs) -> Result<(), Error> {
    match &args.drill {
        Drill::Electrodes(args) => electrodes(args),
        Drill::Adaptive(args) => adaptive(args),
    }
}

/// A model and the bins that it is tried on.
struct Trial {
    model: Model,
    data: Dataset,
    synthetic: bool,
}

impl OnArgs {
    fn open(&self) -> Result<Trial, Error> {
        let model = Model::load(&self.model)?;
        let mut recording = self.source.open()?;
        let place = self.source.name();
        model.check(&recording, &place)?;
        let config = &model.about.config;
        let range = self.bins.unwrap_or_default().within(run::n_bins(&recording, config)?, &place)?;
        let bar = progress::bar("reading", range.end);
        let mut data =
            train::collect(&mut recording, config, &model.calibration, range.end, |at| bar.set_position(at))?;
        data.rows = range.start as usize..range.end as usize;
        let synthetic = model.about.synthetic || recording.source.info().synthetic;
        Ok(Trial { model, data, synthetic })
    }
}

impl Trial {
    fn velocity_r2(data: &Dataset, decoder: &Decoder) -> Result<f64, Error> {
        let score = data.score(&mut decoder.clone());
        score.velocity_r2.map(|r2| r2.mean).ok_or_else(|| {
            Error::input("the bins", "nothing is known of the movement in them").legal("bins with movement")
        })
    }

    fn kind(&self) -> &'static str {
        if self.synthetic { "synthetic" } else { "recorded" }
    }
}

/// Means over the draws.
#[derive(Serialize)]
struct Loss {
    lose: f64,
    channels_lost: usize,
    /// R² of the decoder that knows nothing of the loss.
    at: f64,
    /// Lost channels count as their means.
    masked: f64,
    /// Solved again for the others.
    after: f64,
    /// `after` over R² with all channels.
    share: f64,
    /// The least and the greatest share of any draw.
    share_range: [f64; 2],
    /// Median time of solving again.
    resolve_ms: f64,
}

fn electrodes(args: &ElectrodesArgs) -> Result<(), Error> {
    if let Some(wrong) = args.lose.iter().find(|share| !(0.0..=1.0).contains(*share)) {
        return Err(Error::usage("--lose", format!("{wrong}"))
            .legal("shares from 0 to 1")
            .hint("0.15,0.5,0.85"));
    }
    let trial = args.on.open()?;
    let basis = Model::load_basis(&args.on.model)?;
    let (decoder, data) = (&trial.model.decoder, &trial.data);
    let before = Trial::velocity_r2(data, decoder)?;
    // Channels; behind the counts of all stands the power of each.
    let n_features = decoder.normaliser().n_features();
    let n_channels =
        if data.kinds.has_counts() && data.kinds.has_power() { n_features / 2 } else { n_features };
    let heard = |channel: usize| {
        (channel..n_features).step_by(n_channels).any(|f| decoder.normaliser().inverse_deviation()[f] != 0.0)
    };
    let channels: Vec<usize> = (0..n_channels).filter(|&channel| heard(channel)).collect();
    let bar = progress::bar("losing electrodes", args.lose.len() as u64 * args.draws);
    let mut losses = Vec::new();
    for &lose in &args.lose {
        let n_lost = (lose * channels.len() as f64).round() as usize;
        let mut draws = Vec::new();
        for seed in 1..=args.draws {
            let mut order = channels.clone();
            order.shuffle(&mut Xoshiro256PlusPlus::seed_from_u64(seed));
            draws.push(one_draw(&trial, &basis, &order[..n_lost], n_channels)?);
            bar.inc(1);
        }
        let n = draws.len() as f64;
        let mean = |of: fn(&Draw) -> f64| draws.iter().map(of).sum::<f64>() / n;
        let mut times: Vec<f64> = draws.iter().map(|draw| draw.resolve_ms).collect();
        times.sort_by(f64::total_cmp);
        let shares = || draws.iter().map(|draw| draw.after / before);
        losses.push(Loss {
            lose,
            channels_lost: n_lost,
            at: mean(|draw| draw.at),
            masked: mean(|draw| draw.masked),
            after: mean(|draw| draw.after),
            share: shares().sum::<f64>() / n,
            share_range: [shares().fold(f64::INFINITY, f64::min), shares().fold(f64::NEG_INFINITY, f64::max)],
            resolve_ms: times[times.len() / 2],
        });
    }
    bar.finish_and_clear();
    let name = trial.model.about.config.decoder.kind.name();
    if args.on.json {
        return say_json(&serde_json::json!({
            "recording": args.on.source.name(),
            "synthetic": trial.synthetic,
            "decoder": name,
            "channels": channels.len(),
            "draws": args.draws,
            "before": before,
            "losses": losses,
        }));
    }
    let mut text =
        table::of(&["lost", "channels", "at", "masked", "solved again", "of before", "least", "most", "ms"]);
    for loss in &losses {
        let mut cells = vec![format!("{:.0} %", 100.0 * loss.lose), loss.channels_lost.to_string()];
        let figures =
            [loss.at, loss.masked, loss.after, loss.share, loss.share_range[0], loss.share_range[1]];
        cells.extend(figures.map(|figure| format!("{figure:.4}")));
        cells.push(table::figure(loss.resolve_ms));
        text.add_row(cells);
    }
    say(format!(
        "{name} on {} ({}): velocity R² {before:.4} with all {} channels; means of {} draws\n{text}",
        args.on.source.name(),
        trial.kind(),
        channels.len(),
        args.draws
    ))
}

struct Draw {
    at: f64,
    masked: f64,
    after: f64,
    resolve_ms: f64,
}

fn one_draw(trial: &Trial, basis: &train::Basis, lost: &[usize], n_channels: usize) -> Result<Draw, Error> {
    let decoder = &trial.model.decoder;
    let mut is_lost = vec![false; n_channels];
    lost.iter().for_each(|&channel| is_lost[channel] = true);
    let mut data = trial.data.clone();
    let start = data.rows.start;
    for (row, mut features) in data.features.rows_mut().into_iter().enumerate() {
        if row >= start {
            features
                .iter_mut()
                .enumerate()
                .filter(|(f, _)| is_lost[f % n_channels])
                .for_each(|(_, x)| *x = 0.0);
        }
    }
    let mut masked = decoder.weights();
    let n = masked.n_features;
    masked
        .readout
        .iter_mut()
        .enumerate()
        .filter(|(i, _)| is_lost[i % n % n_channels])
        .for_each(|(_, w)| *w = 0.0);
    let began = clock::now();
    let solved = basis.resolve(|feature| is_lost[feature % n_channels]);
    let resolve_ms = began.elapsed().as_secs_f64() * 1e3;
    let singular =
        || Error::fit("the channels that remain", "their fit is singular").hint("a larger decoder.ridge");
    let solved = solved.and_then(|weights| decoder.with_weights(weights)).ok_or_else(singular)?;
    let masked = decoder.with_weights(masked).ok_or_else(singular)?;
    Ok(Draw {
        at: Trial::velocity_r2(&data, decoder)?,
        masked: Trial::velocity_r2(&data, &masked)?,
        after: Trial::velocity_r2(&data, &solved)?,
        resolve_ms,
    })
}

fn adaptive(args: &AdaptiveArgs) -> Result<(), Error> {
    let trial = args.on.open()?;
    let no_wiener = || {
        Error::usage(args.on.model.display().to_string(), "it is no Wiener filter")
            .field("--model")
            .legal("a Wiener filter with its statistics")
    };
    let (statistics, strength) = Model::load_basis(&args.on.model)?.wiener.ok_or_else(no_wiener)?;
    let about = &trial.model.about;
    let [from, to] = about.provenance.bins.map(|bin| bin as usize);
    if trial.data.rows.start < to {
        return Err(Error::usage("--bins", format!("they begin at {}", trial.data.rows.start))
            .legal(format!("bins behind those of the training, {from}..{to}")));
    }
    // Chosen on the training bins: fitted on four fifths of them, tried on the last.
    let spinner = progress::spinner("choosing how fast to forget");
    let training = Dataset { rows: from..to, ..trial.data.clone() };
    let (first, last) = training.split_last_fifth();
    let config = efference::config::DecoderConfig { ridge: vec![strength], ..about.config.decoder.clone() };
    let fitted = train::fit(&first, &config)?;
    let basis = train::Basis::of(&first, &config, &fitted.decoder, &fitted.choices)?;
    let (before, _) = basis.wiener.ok_or_else(no_wiener)?;
    let batch_bins = args.batch_bins as usize;
    let mut tried = Vec::new();
    for half_life_bins in HALF_LIVES {
        let adapting = Adapting { half_life_bins, batch_bins };
        let score = train::run_adaptive(&last, &fitted.decoder, &before, strength, adapting)?;
        tried.push((half_life_bins, score.velocity_r2.map_or(f64::NEG_INFINITY, |r2| r2.mean)));
    }
    let best = tried.iter().max_by(|a, b| a.1.total_cmp(&b.1)).map_or(f64::INFINITY, |best| best.0);
    spinner.finish_and_clear();
    let spinner = progress::spinner("learning");
    let unadapted = trial.data.score(&mut trial.model.decoder.clone());
    let adapting = Adapting { half_life_bins: best, batch_bins };
    let score = train::run_adaptive(&trial.data, &trial.model.decoder, &statistics, strength, adapting)?;
    spinner.finish_and_clear();
    let half_life = if best.is_finite() { format!("{best} bins") } else { "never".to_string() };
    if args.on.json {
        let tried: Vec<_> =
            tried.iter().map(|(life, r2)| serde_json::json!([life.to_string(), r2])).collect();
        return say_json(&serde_json::json!({
            "recording": args.on.source.name(),
            "synthetic": trial.synthetic,
            "batch_bins": args.batch_bins,
            "half_life": half_life,
            "tried_on_training_bins": tried,
            "static": unadapted,
            "adaptive": score,
        }));
    }
    say(format!(
        "{} ({}), half life {half_life}, chosen on bins of the training\n{}\n{}",
        args.on.source.name(),
        trial.kind(),
        table::score(&unadapted, "as it was trained"),
        table::score(&score, "learning from bins that are past"),
    ))
}

/// Bins after which what was learnt counts half, to choose from.
const HALF_LIVES: [f64; 4] = [2500.0, 5000.0, 10_000.0, f64::INFINITY];
