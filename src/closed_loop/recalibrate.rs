//! The closed loop over days, with electrodes that are lost on the way, and a decoder that is recalibrated as it is used.
//!
//! In: [`LoopSettings`], and [`Days`]. Out: each day's [`Session`], and every swap of the decoder. There is one block of
//! calibration, on day 0. The tissue of each day is the simulator's (`day=`); the user begins each day rested. What is
//! solved goes live [`SOLVE_SECONDS`] of the stream's time later, since a computer takes its time as well.

use super::calibrate::{self, Calibrated, Order};
use super::rig::Rig;
use super::{CLICK_PATIENCE_MS, ClickBy, Doing, LoopSettings, Method, Moved, Session, Shown, use_it};
use crate::block::StreamKind;
use crate::config::DecoderKind;
use crate::decode::Decoder;
use crate::decode::shadow::{Swap, SwapReason};
use crate::error::Error;
use crate::recalibration::{Place, Recalibration, Rule};
use crate::sources::simulator::Loss;
use crate::tasks::Point;
use crate::tasks::user::User;
use crate::train::{Forgetting, Learnt};
use serde::Serialize;

/// How long, and what happens.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Days {
    /// Days after the first.
    pub after: u32,
    /// The decoder is learnt again from its use.
    pub recalibrates: bool,
    /// Electrodes that are lost on the first day, and come back perhaps, in seconds of use.
    pub losses: Vec<Loss>,
}

/// A day's use.
#[derive(Clone, Debug)]
pub struct Day {
    /// Days since the calibration.
    pub day: u32,
    /// What was done.
    pub session: Session,
    /// Every change of the decoder, in the bins of the day's stream.
    pub swaps: Vec<Swap>,
    /// Channels that the decoder left out at the day's end.
    pub masked: usize,
}

/// All days.
#[derive(Clone, Debug)]
pub struct Kept {
    /// The one block of calibration.
    pub calibrated: Calibrated,
    /// From day 0 on.
    pub days: Vec<Day>,
}

/// What a day was worth.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Window {
    /// From this second of use on.
    pub from: f64,
    /// Until this one.
    pub until: f64,
    /// Clicks on the target, and beside it.
    pub correct: usize,
    /// See `correct`.
    pub incorrect: usize,
}

impl Session {
    /// The clicks of a part of the session.
    pub fn window(&self, from: f64, until: f64) -> Window {
        let count = |wanted: bool| {
            let inside = |&&(at, is_on): &&(f64, bool)| is_on == wanted && (from..until).contains(&at);
            self.clicks.iter().filter(inside).count()
        };
        Window { from, until, correct: count(true), incorrect: count(false) }
    }
}

/// Calibrates on day 0, and lets the user do the task on it and on each day after it.
///
/// # Errors
/// As [`super::run`]; a decoder that can't be learnt again; losses of a stream that is not of counts or crossings, whose
/// calibration has no known length.
pub fn run_days(
    settings: &LoopSettings,
    days: &Days,
    mut tell: impl FnMut(Doing, f64),
) -> Result<Kept, Error> {
    check(settings, days)?;
    let mut config = settings.config.clone();
    let seed = settings.simulator.seed;
    let mut simulator = settings.simulator.clone();
    let calibrating = settings.plan.seconds();
    simulator.losses.extend(days.losses.iter().map(|loss| Loss {
        from_s: loss.from_s + calibrating,
        until_s: loss.until_s.map(|until| until + calibrating),
        ..*loss
    }));
    let mut rig = Rig::simulated(&simulator, &mut config, &mut tell)?;
    let step_seconds = rig.step_seconds();
    let mut user = User::new(settings.user.clone(), step_seconds, seed);
    let cursor = std::mem::take(&mut config.cursor);
    let order = Order { keeps_statistics: days.recalibrates, ..Order::of(settings, &config) };
    let mut calibrated = calibrate::alone(&mut rig, &mut user, &order, &mut tell)?;
    calibrated.config.cursor = cursor;
    let mut keeper = days.recalibrates.then(|| Keeper::new(&calibrated, &rig)).transpose()?;
    let mut done = Vec::new();
    for day in 0..=days.after {
        if day > 0 {
            let mut config = settings.config.clone();
            let mut simulator = settings.simulator.clone();
            simulator.day += day;
            rig = Rig::simulated(&simulator, &mut config, &mut tell)?;
            user = User::new(settings.user.clone(), step_seconds, seed.wrapping_add(u64::from(day) << 40));
        }
        user.get_used_to(cursor, calibrated.answer.clone());
        if let Some(click) = &calibrated.click {
            user.get_used_to_clicks(click.delay_ms, CLICK_PATIENCE_MS);
        }
        keeper.iter_mut().for_each(Keeper::settle);
        let live = keeper.as_ref().map_or(&calibrated.decoder, |keeper| keeper.recalibration.live());
        rig.install(&calibrated.config, Some(live.clone()))?;
        let n_swaps = keeper.as_ref().map_or(0, |keeper| keeper.recalibration.swaps().len());
        let follow = |shown: Shown| match &mut keeper {
            Some(keeper) => {
                rig.mean_click(shown.means_click && settings.click == ClickBy::Decoded);
                keeper.step(&mut rig, shown)
            }
            None => {
                rig.attract(shown.way());
                rig.mean_click(shown.means_click && settings.click == ClickBy::Decoded);
                Ok(rig.step(shown.intended, |_| ())?.map(Moved::by))
            }
        };
        let session = use_it(settings, day, step_seconds, user, follow, &mut tell)?;
        user = User::new(settings.user.clone(), step_seconds, seed);
        let swaps = keeper.as_ref().map_or(Vec::new(), |of| of.recalibration.swaps()[n_swaps..].to_vec());
        let masked = keeper.as_ref().map_or(0, |keeper| keeper.recalibration.masked().len());
        done.push(Day { day, session, swaps, masked });
    }
    Ok(Kept { calibrated, days: done })
}

fn check(settings: &LoopSettings, days: &Days) -> Result<(), Error> {
    if settings.is_ideal {
        return Err(Error::usage("closed loop", "an ideal cursor has no electrodes and no decoder")
            .field("--ideal")
            .legal("a task without --days, --lose and --recalibrate"));
    }
    Loss::check_all(&days.losses, "closed loop")?;
    if !days.losses.is_empty() && settings.simulator.kind == StreamKind::Broadband {
        return Err(Error::usage("closed loop", "electrodes of a broadband stream")
            .field("--lose")
            .legal("a simulator with kind=counts or kind=crossings"));
    }
    if settings.method == Method::Refit {
        return Err(Error::usage("closed loop", "a ReFIT filter over days or losses")
            .field("--decoder")
            .legal("wiener, or kalman without --recalibrate"));
    }
    let kind = settings.config.decoder.kind;
    if days.recalibrates && kind.settled(false) != DecoderKind::Wiener {
        return Err(Error::usage("closed loop", format!("a decoder of kind `{}`", kind.name()))
            .field("--recalibrate")
            .legal("a Wiener filter, which is learnt again from sums"));
    }
    Ok(())
}

/// The decoder, what it has learnt, and what is being solved.
struct Keeper {
    recalibration: Recalibration,
    learnt: Learnt,
    /// A decoder that is being solved, and the steps that it still takes.
    solving: Option<(u64, Option<Decoder>)>,
    solve_steps: u64,
}

impl Keeper {
    fn new(calibrated: &Calibrated, rig: &Rig) -> Result<Self, Error> {
        let unfit = || {
            Error::fit("recalibration", "the decoder and the sums it was fitted from don't belong together")
                .field("--recalibrate")
                .legal("a Wiener filter of velocity")
        };
        let (statistics, strength) = calibrated.statistics.as_ref().ok_or_else(unfit)?;
        let decoder = calibrated.decoder.clone();
        let n_channels = rig.n_channels();
        let learnt = Learnt::new(decoder.clone(), statistics, *strength, n_channels, Forgetting::default())
            .ok_or_else(unfit)?;
        let explained = learnt.explained().ok_or_else(unfit)?;
        let rule = Rule::for_bins(rig.step_seconds());
        let recalibration = Recalibration::new(decoder, n_channels, explained, rule);
        let solve_steps = (SOLVE_SECONDS / rig.step_seconds()).round() as u64;
        Ok(Keeper { recalibration, learnt, solving: None, solve_steps })
    }

    /// A new stream begins: what is being solved is done by then.
    fn settle(&mut self) {
        if let Some((_, decoder)) = self.solving.take() {
            self.recalibration.answer(decoder);
        }
    }

    fn step(&mut self, rig: &mut Rig, shown: Shown) -> Result<Option<Moved>, Error> {
        let mut swap = None;
        if let Some(target) = shown.selected {
            swap = self.recalibration.selected(place(target.center), target.half_width);
        }
        if let Some((steps, _)) = &mut self.solving {
            *steps = steps.saturating_sub(1);
        }
        if let Some((_, decoder)) = self.solving.take_if(|(steps, _)| *steps == 0) {
            swap = self.recalibration.answer(decoder).or(swap);
        }
        if self.solving.is_none()
            && let Some(ask) = self.recalibration.ask()
        {
            self.learnt.learn(&ask.batch, &ask.lost);
            self.solving = Some((self.solve_steps, self.learnt.solve(&ask.lost, ask.is_urgent)));
        }
        if let Some(swap) = swap {
            if swap.reason == SwapReason::Better {
                self.learnt.accept();
            }
            rig.take_over(swap.bin, self.recalibration.live().clone());
        }
        rig.attract(shown.way());
        let recalibration = &mut self.recalibration;
        let intent = rig.step(shown.intended, |bin| recalibration.step(bin, place(shown.cursor)))?;
        Ok(intent.map(Moved::by))
    }
}

fn place(of: Point) -> Place {
    [of[0], of[1], 0.0]
}

/// What solving again takes, in the stream's time: more than it took at 1,024 channels with three lags.
const SOLVE_SECONDS: f64 = 2.0;
