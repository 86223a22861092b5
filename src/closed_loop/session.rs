//! A calibration by itself, with whoever is before the screen.
//!
//! In: [`CalibrationSettings`], a [`Subject`], and what shows the screen and hears what the user wants. Out: a decoder that may
//! drive, with all that a model needs beside it; nothing where it was cancelled, so that whatever was in use before stays.

use super::calibrate::{self, Calibrated, Order};
use super::rig::{Rig, Tissue};
use super::{Doing, Method};
use crate::block::StreamInfo;
use crate::calibration::{Happens, Plan};
use crate::config::{Config, CursorConfig};
use crate::decode::Decoder;
use crate::error::Error;
use crate::pipeline::Calibration;
use crate::sources::SampleSource;
use crate::sources::simulator::Settings;
use crate::tasks::user::{User, UserSettings};
use crate::tasks::{Point, Target};
use serde::{Deserialize, Serialize};

/// What is calibrated.
#[derive(Clone, Debug)]
pub struct CalibrationSettings {
    /// Bins, decoder, cursor and safety.
    pub config: Config,
    /// How long each phase takes.
    pub plan: Plan,
    /// The cursor stops at targets and asks for clicks, from which a button is learnt.
    pub clicks: bool,
    /// Sums are kept, from which the decoder can be solved again.
    pub keeps_statistics: bool,
    /// Decides where targets are.
    pub seed: u64,
}

/// Who looks at the screen.
pub enum Subject {
    /// A simulated user with simulated tissue.
    Simulated(Box<Settings>, Box<UserSettings>),
    /// A person, whose implant this is the stream of.
    Person(Box<dyn SampleSource>),
}

/// What is to be shown until the next bin. As JSON it is what a screen elsewhere gets.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct View {
    /// What is going on.
    pub doing: Doing,
    /// Left of the user's time, s.
    pub seconds_left: f64,
    /// m, the workspace's middle is 0.
    pub cursor: Point,
    /// How fast it goes by itself, while the user observes, m/s.
    pub velocity: Point,
    /// Where it is to go, while the user moves it.
    pub target: Option<Target>,
    /// The user is to click now.
    pub asks_for_click: bool,
    /// That were shown so far.
    pub n_targets: usize,
    /// Why the last fit can't be used: [`Happens::Retry`] or [`Happens::Cancel`] is waited for.
    pub problem: Option<String>,
    /// Length of a bin, s.
    pub step_seconds: f64,
}

/// Called before each bin: shows it, and says what the user wants, if anything: pause, resume, cancel, retry.
pub type Attend<'a> = &'a mut dyn FnMut(&View) -> Option<Happens<Decoder>>;

/// What a calibration came to, with the stream and the front end that it belongs to; nothing where it was cancelled.
///
/// # Errors
/// Settings that don't fit the stream, a stream that ends or is damaged, a calibration that a cursor can't be driven with.
pub fn calibrate(
    settings: &CalibrationSettings,
    subject: Subject,
    attend: Attend<'_>,
) -> Result<Option<(Calibrated, StreamInfo, Calibration)>, Error> {
    let mut config = settings.config.clone();
    let (tissue, user) = match subject {
        Subject::Simulated(simulator, user) => (Tissue::simulated(&simulator)?, Some(user)),
        Subject::Person(source) => (Tissue::Live(source), None),
    };
    let mut tell = |_: Doing, _: f64| ();
    let mut rig = Rig::new(tissue, &mut config, &mut tell)?;
    let mut user = user.map(|user| User::new(*user, rig.step_seconds(), settings.seed));
    // Calibration is of the decoder alone; the cursor's dynamics come after it.
    let cursor: CursorConfig = std::mem::take(&mut config.cursor);
    let order = Order {
        config: &config,
        plan: &settings.plan,
        method: Method::Meant,
        clicks: settings.clicks,
        keeps_statistics: settings.keeps_statistics,
        judges: true,
        seed: settings.seed,
    };
    let calibrated = calibrate::calibrate(&mut rig, user.as_mut(), &order, attend)?;
    Ok(calibrated.map(|mut calibrated| {
        calibrated.config.cursor = cursor;
        (calibrated, rig.info().clone(), rig.calibration().clone())
    }))
}
