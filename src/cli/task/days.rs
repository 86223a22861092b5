//! `efference task … --days D --lose SHARE@S --recalibrate`: what becomes of the scores over days and over a loss.

use super::report::{device, task_name};
use super::{TaskArgs, each_seed};
use crate::cli::{say, say_json, table};
use efference::Error;
use efference::closed_loop::{self, Day, Days, Doing, Kept, LoopSettings, Scores, TaskKind};
use efference::decode::shadow::{Swap, SwapReason};
use efference::sources::simulator::Loss;
use efference::tasks::score::webgrid_bitrate;
use serde_json::{Value, json};

/// A seed, what happened, and each day's scores.
type Done = (u64, Kept, Vec<Scores>);

/// What one seed says of itself: a row of the table.
struct Row {
    name: String,
    /// One for each seed.
    values: Vec<f64>,
}

pub(super) fn run(args: &TaskArgs, settings: &LoopSettings) -> Result<(), Error> {
    if args.plot.is_some() {
        return Err(Error::usage("task", "a picture of several days or of a loss")
            .field("--plot")
            .legal("one session without --days, --lose and --recalibrate")
            .hint("leave it out"));
    }
    let losses =
        args.lose.as_deref().map(|text| Loss::parse_all(text, "task")).transpose()?.unwrap_or_default();
    let days = Days { after: args.days, recalibrates: args.recalibrate, losses };
    let run = |settings: &LoopSettings, tell: &mut dyn FnMut(Doing, f64)| {
        let kept = closed_loop::run_days(settings, &days, tell)?;
        let scores = kept.days.iter().map(|day| day.session.scores(settings.task)).collect();
        Ok((settings.simulator.seed, kept, scores))
    };
    let done: Vec<Done> = each_seed(args.seeds, settings, run)?;
    let rows = rows(settings, &days, &done);
    match args.json {
        true => say_json(&as_json(args, settings, &done, &rows)),
        false => say(text(args, settings, &done, &rows)),
    }
}

/// Bits/s on a grid, else targets a minute.
fn worth(settings: &LoopSettings, scores: &Scores) -> f64 {
    scores.bits_per_second.unwrap_or(scores.hits as f64 * 60.0 / settings.seconds)
}

fn unit(settings: &LoopSettings) -> &'static str {
    match settings.task {
        TaskKind::Webgrid { .. } => "bits/s",
        TaskKind::CenterOut | TaskKind::Pursuit => "targets a minute",
    }
}

fn rows(settings: &LoopSettings, days: &Days, done: &[Done]) -> Vec<Row> {
    let of =
        |name: String, value: &dyn Fn(&Done) -> f64| Row { name, values: done.iter().map(value).collect() };
    let mut rows = Vec::new();
    for day in 0..=days.after as usize {
        rows.push(of(format!("day {day}"), &|done| worth(settings, &done.2[day])));
    }
    if days.after > 0 {
        let share = |done: &Done| worth(settings, &done.2[days.after as usize]) / worth(settings, &done.2[0]);
        rows.push(of("share".into(), &share));
    }
    if let (TaskKind::Webgrid { side }, [loss]) = (settings.task, &days.losses[..]) {
        let bits = |done: &Done, from: f64, until: f64| {
            let window = done.1.days[0].session.window(from, until);
            webgrid_bitrate(side, window.correct as u32, window.incorrect as u32, until - from)
        };
        let (at, end) = (loss.from_s, settings.seconds);
        if at > 0.0 && at < end {
            let soon = (at + SOON_SECONDS).min(end);
            rows.push(of("before the loss".into(), &|done| bits(done, 0.0, at)));
            rows.push(of(format!("within {:.0} s of it", soon - at), &|done| bits(done, at, soon)));
            let share = |done: &Done| bits(done, at, soon) / bits(done, 0.0, at);
            rows.push(of("share then".into(), &share));
            if soon < end {
                rows.push(of("later".into(), &|done| bits(done, soon, end)));
            }
        }
    }
    rows
}

fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let middle = sorted.len() / 2;
    if sorted.len() % 2 == 1 { sorted[middle] } else { (sorted[middle - 1] + sorted[middle]) / 2.0 }
}

fn as_json(args: &TaskArgs, settings: &LoopSettings, done: &[Done], rows: &[Row]) -> Value {
    let medians: serde_json::Map<String, Value> =
        rows.iter().map(|row| (row.name.clone(), median(&row.values).into())).collect();
    let seed = |(seed, kept, scores): &Done| {
        let day = |(day, scores): (&Day, &Scores)| json!({ "day": day.day, "scores": scores, "held_steps": day.session.held_steps, "masked": day.masked, "swaps": day.swaps });
        json!({
            "seed": seed,
            "calibration_seconds": kept.calibrated.seconds,
            "days": kept.days.iter().zip(scores).map(day).collect::<Vec<_>>(),
        })
    };
    json!({
        "synthetic": true,
        "task": task_name(args),
        "user": args.user.display().to_string(),
        "source": args.source,
        "unit": unit(settings),
        "recalibrates": args.recalibrate,
        "lose": args.lose,
        "seconds_a_day": args.seconds,
        "median": medians,
        "seeds": done.iter().map(seed).collect::<Vec<_>>(),
    })
}

fn text(args: &TaskArgs, settings: &LoopSettings, done: &[Done], rows: &[Row]) -> String {
    let title = format!("SYNTHETIC: a simulated user, {}, {}", task_name(args), device(settings));
    let of = if done.len() == 1 {
        format!("seed {}", done[0].0)
    } else {
        format!("median of {} seeds", done.len())
    };
    let mut table = table::of(&[title.as_str(), &format!("{}, {of}", unit(settings))]);
    for row in rows {
        table.add_row(vec![row.name.clone(), format!("{:.3}", median(&row.values))]);
    }
    let n_swaps = |reason: SwapReason| {
        let of_day = |day: &Day| day.swaps.iter().filter(|swap| swap.reason == reason).count();
        let of = |done: &Done| done.1.days.iter().map(of_day).sum::<usize>() as f64;
        median(&done.iter().map(of).collect::<Vec<f64>>())
    };
    let how = match args.recalibrate {
        true => format!(
            "recalibrated as it is used: the decoder changed {} times since another was better, {} times for other electrodes (median)",
            n_swaps(SwapReason::Better),
            n_swaps(SwapReason::Electrodes)
        ),
        false => "never calibrated again".to_string(),
    };
    let mut lines = vec![
        table.to_string(),
        format!(
            "{:.0} s of use a day, simulated, after one calibration of {:.0} s; {how}.",
            args.seconds, done[0].1.calibrated.seconds
        ),
    ];
    if let [(_, kept, _)] = done {
        lines.extend(kept.days.iter().flat_map(|day| day.swaps.iter().map(|swap| told(day.day, swap))));
    }
    lines.join("\n")
}

/// A swap in words.
fn told(day: u32, swap: &Swap) -> String {
    let Swap { bin, live, reason, scores } = swap;
    let why = match reason {
        SwapReason::Better => {
            format!("cosine with what was meant {:.3}, of the one before {:.3}", scores[0], scores[1])
        }
        SwapReason::Electrodes => "electrodes were lost or came back".to_string(),
        SwapReason::RolledBack => "rolled back".to_string(),
    };
    format!("day {day}, bin {bin}: decoder {live}: {why}")
}

/// How soon after a loss a score is asked for.
const SOON_SECONDS: f64 = 60.0;
