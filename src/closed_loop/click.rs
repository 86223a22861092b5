//! A button from the same calibration: while the cursor moves by itself it stops at targets, and the user is asked to click.
//!
//! In: the bins of the calibration, with what was asked for in them. Out: a [`Clicker`], and how it did on the last fifth of
//! the bins with requests when it was fitted on those before: how late the button goes down, how often not at all, and how often
//! when nobody asked. The classes are told apart by an LDA (Kim et al. 2011, IEEE TNSRE 19:193) and made steady by a hidden
//! Markov model ([`crate::decode::click`]). Since a user rests while it clicks, that it rests is a part of what is learnt.

use super::collected::Collected;
use crate::config::{DecoderConfig, DecoderKind, Features};
use crate::decode::click::{Button, ClickDecoder};
use crate::decode::{ClickRule, Clicker};
use crate::error::Error;
use crate::train::{self, Dataset, Targets};
use serde::Serialize;

/// How a button did on bins that it wasn't fitted on.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct ClickAbout {
    /// Clicks that were asked for in those bins.
    pub n_asked: usize,
    /// From the request to the button, median, ms.
    pub delay_ms: f64,
    /// Share of these requests that the button didn't go down for.
    pub missed: f64,
    /// Presses that nobody asked for, a minute.
    pub unasked_per_minute: f64,
}

/// Fits a button.
///
/// # Errors
/// Too few clicks, or ones that can't be told from rest: a button that would go down by itself or never.
pub(super) fn fit(
    collected: &Collected,
    kinds: Features,
    step_seconds: f64,
) -> Result<(Clicker, ClickAbout), Error> {
    let data = collected.click_dataset(kinds, step_seconds);
    let config = DecoderConfig {
        kind: DecoderKind::Lda,
        shrinkage: vec![SHRINKAGE],
        folds: FOLDS,
        ..DecoderConfig::default()
    };
    let asked = collected.asked();
    let end = asked.last().map_or(0, |last| last + bins(CUE_SECONDS + LATE_SECONDS, step_seconds));
    let (earlier, later) = Dataset { rows: 0..end.min(data.rows.end), ..data.clone() }.split_last_fifth();
    let clicker = button(&earlier, &config)?;
    let about = judge(&clicker, &later, asked, step_seconds);
    let refuse = |what: String| {
        let legal = "clicks that can be told from rest in most cases, and rest that presses nothing";
        Err(Error::fit("calibration of clicks", what)
            .legal(legal)
            .hint("calibrate again, or click by --click dwell"))
    };
    match about {
        None => refuse("no click was asked for in the last fifth".into()),
        Some(ClickAbout { missed, .. }) if missed > MISSED_MAX => {
            refuse(format!("{:.0} % of the clicks were missed", 100.0 * missed))
        }
        Some(ClickAbout { unasked_per_minute, .. }) if unasked_per_minute > UNASKED_MAX => {
            refuse(format!("{unasked_per_minute:.0} clicks a minute that nobody meant"))
        }
        Some(about) => Ok((button(&data, &config)?, about)),
    }
}

fn button(data: &Dataset, config: &DecoderConfig) -> Result<Clicker, Error> {
    let Targets::Classes { labels, .. } = &data.targets else {
        return Err(Error::fit("calibration of clicks", "no clicks were collected"));
    };
    let rows = data.fit_rows();
    let n_clicks = rows.iter().filter(|&&row| labels[row] == 1).count();
    let decoder = train::fit(data, config)?.decoder;
    let rule = ClickRule { prior: n_clicks as f64 / rows.len() as f64, ..RULE };
    Clicker::new(decoder, rule).ok_or_else(|| {
        Error::fit("calibration of clicks", "the user was never asked to click, or never to rest")
            .hint("calibrate again")
    })
}

/// `asked` are the bins in which a request begins.
fn judge(clicker: &Clicker, later: &Dataset, asked: &[usize], step_seconds: f64) -> Option<ClickAbout> {
    let mut decoder = clicker.classes().clone();
    decoder.reset();
    let mut clicks = ClickDecoder::new(clicker.rule())?;
    // A while before the rows that count makes the state.
    let first = later.rows.start.saturating_sub(HISTORY);
    let presses: Vec<usize> = (first..later.rows.end)
        .filter(|&row| clicks.follow(&decoder.decode(&later.bin(row)).action) == Button::Pressed)
        .collect();
    let within = bins(CUE_SECONDS + LATE_SECONDS, step_seconds);
    let asked: Vec<usize> = asked.iter().copied().filter(|&at| later.rows.contains(&at)).collect();
    let mut delays: Vec<usize> = asked
        .iter()
        .filter_map(|&at| presses.iter().map(|press| press.wrapping_sub(at)).find(|late| *late < within))
        .collect();
    delays.sort_unstable();
    let is_unasked = |press: &&usize| !asked.iter().any(|at| press.wrapping_sub(*at) < within);
    let n_unasked = presses.iter().filter(|press| later.rows.contains(press)).filter(is_unasked).count();
    let minutes = later.rows.len() as f64 * step_seconds / 60.0;
    (!asked.is_empty()).then(|| ClickAbout {
        n_asked: asked.len(),
        delay_ms: delays
            .get(delays.len() / 2)
            .map_or(f64::INFINITY, |bins| *bins as f64 * step_seconds * 1e3),
        missed: 1.0 - delays.len() as f64 / asked.len() as f64,
        unasked_per_minute: n_unasked as f64 / minutes,
    })
}

fn bins(seconds: f64, step_seconds: f64) -> usize {
    (seconds / step_seconds).round() as usize
}

/// The user is asked at every second target: at each, there would be less movement to learn from (on seeds 1 to 4 a Webgrid
/// gives 7.1 bits/s then; 7.4, 7.3 and 7.0 at every second, third and fourth).
pub(super) const CUE_EVERY: usize = 2;
/// How long the user is asked to hold a click.
pub(super) const CUE_SECONDS: f64 = 0.4;
/// A press so long after the request's end is still its own.
const LATE_SECONDS: f64 = 0.2;
/// A click of the task lasts some tenths of a second; the rest as for any. One bin above, other bounds and shrinkages did no
/// better on those seeds.
const RULE: ClickRule =
    ClickRule { stay: 0.98, prior: 0.5, down_above: 0.9, down_bins: 2, up_below: 0.4, rest_bins: 5 };
/// Between the covariance within classes and a scaled identity (Friedman 1989).
const SHRINKAGE: f64 = 0.1;
const FOLDS: usize = 2;
const HISTORY: usize = 50;
/// A button that misses more than this, or presses more by itself, is none.
const MISSED_MAX: f64 = 0.5;
const UNASKED_MAX: f64 = 20.0;
