//! The simulator as a recording: an address in, samples and ground truth out.
//!
//! In: a `sim:` address. Out: a [`Recording`] whose subject does a task that was scripted before the first
//! frame; kinematics at 1 kHz, in m and m/s. Guarantees that the address alone decides every sample.

use super::task::Path;
use super::{Body, Settings};
use crate::block::{Block, StreamInfo, StreamKind};
use crate::error::Error;
use crate::recording::{About, Kinematics, Recording, Truth};
use crate::sources::{ReadOutcome, SampleSource};
use crate::time::SampleRate;
use ndarray::Array2;

/// Opens the recording that `address` describes; see [`Settings::parse`].
///
/// # Errors
/// If the address is not legal.
///
/// ```
/// use efference::sources::simulator;
/// let recording = simulator::open("sim:blackrock-utah,kind=counts,width_ms=50,seconds=10").unwrap();
/// assert_eq!((recording.about.n_channels, recording.about.n_frames), (96, 200));
/// assert!(recording.about.synthetic);
/// ```
pub fn open(address: &str) -> Result<Recording, Error> {
    record(address, &Settings::parse(address)?)
}

/// The recording of settings that stand for `address`.
pub(super) fn record(address: &str, settings: &Settings) -> Result<Recording, Error> {
    let body = Body::new(settings)?;
    let n_frames = settings.n_frames();
    let (path, intended) = script(settings);
    let n_ms = intended.len();
    let about = about(address, settings, &body, n_frames);
    let truth = Truth::Kinematics(Kinematics {
        axes: vec!["x".into(), "y".into()],
        sample_rate: SampleRate::new(KINEMATICS_HZ, address)?,
        velocity: rows(&path.velocity[..n_ms]),
        position: Some(rows(&path.position[..n_ms])),
        unit: "m".into(),
    });
    Ok(Recording { about, truth, source: Box::new(Script { body, intended, n_frames }) })
}

/// The hand's path, and what the subject intends each millisecond of the recording as a fraction of full speed: what
/// the hand does a lead later.
pub(super) fn script(settings: &Settings) -> (Path, Vec<[f64; 2]>) {
    let n_ms = (settings.n_frames() as f64 * 1e3 / settings.frames_hz()).ceil() as usize;
    let lead_ms = settings.tissue.lag_max_ms as usize;
    let path = Path::new(settings.task, n_ms + lead_ms, settings.seed_of_day());
    let fraction = |v: &[f64; 2]| v.map(|v| v / settings.tissue.speed_full);
    let intended = path.velocity[lead_ms..].iter().map(fraction).collect();
    (path, intended)
}

/// A body that follows a script and ends.
struct Script {
    body: Body,
    intended: Vec<[f64; 2]>,
    n_frames: u64,
}

impl SampleSource for Script {
    fn info(&self) -> &StreamInfo {
        &self.body.info
    }

    fn n_frames(&self) -> Option<u64> {
        Some(self.n_frames)
    }

    fn read(&mut self, block: &mut Block) -> Result<ReadOutcome, Error> {
        let left = self.n_frames - self.body.next_frame;
        if left == 0 {
            return Ok(ReadOutcome::End);
        }
        let intended = &self.intended;
        let intended = |ms: u64| intended.get(ms as usize).copied().unwrap_or_default();
        self.body.read(block, left, intended, |_, _| ())?;
        Ok(ReadOutcome::Block)
    }
}

fn about(address: &str, settings: &Settings, body: &Body, n_frames: u64) -> About {
    let profile = &settings.profile;
    let is_silent = |electrode: usize| match settings.kind {
        StreamKind::Broadband => !body.alive[electrode],
        StreamKind::Counts | StreamKind::Crossings | StreamKind::Power(_) => {
            body.neurons.binary_search_by_key(&electrode, |n| n.electrode).is_err()
        }
    };
    let n_dead = body.alive.iter().filter(|&&alive| !alive).count();
    let unsourced = profile.unsourced();
    let made_of = match body.sites() {
        [] => format!("{} neurons on {} electrodes", body.neurons.len(), settings.electrodes),
        sites => {
            let n_tuned = sites.iter().filter(|site| site.tuned).count();
            format!("Field potentials of {} electrodes, {n_tuned} of them tuned", settings.electrodes)
        }
    };
    let mut notes = vec![
        format!("Synthetic: simulated from seed {}; no brain made these signals.", settings.seed),
        format!("{made_of}, of which {n_dead} are dead; task {}.", settings.task.name()),
    ];
    if settings.day > 0 {
        notes.push(format!("Day {}: the neurons of day 0, drifted or replaced.", settings.day));
    }
    if !body.lost_plan.is_empty() {
        notes.push(format!("{} times an electrode is lost on schedule.", body.lost_plan.len()));
    }
    if !unsourced.is_empty() {
        notes.push(format!(
            "Figures of profile {} that nobody publishes: {}.",
            profile.name,
            unsourced.join(", ")
        ));
    }
    About {
        path: address.into(),
        format: "simulator".into(),
        kind: settings.kind.name().into(),
        n_channels: settings.electrodes,
        sample_rate_hz: body.info.sample_rate.hz(),
        n_frames,
        seconds: n_frames as f64 / body.info.sample_rate.hz(),
        units: match settings.kind {
            StreamKind::Broadband => format!("counts of {} µV", profile.uv_per_count.value),
            StreamKind::Counts => format!("spikes per {} ms", settings.width_ms),
            StreamKind::Crossings | StreamKind::Power(_) => {
                format!("spikes, at frames of {} ms", settings.width_ms)
            }
        },
        gaps: Vec::new(),
        n_trials: 0,
        kinematics: Some(format!("position and velocity of x, y at {KINEMATICS_HZ} Hz")),
        silent_channels: (0..settings.electrodes)
            .filter(|&electrode| is_silent(electrode))
            .map(|electrode| body.info.channels[electrode].clone())
            .collect(),
        synthetic: true,
        hybrid: false,
        mapping: None,
        missing: Vec::new(),
        notes,
    }
}

fn rows(path: &[[f64; 2]]) -> Array2<f64> {
    Array2::from_shape_fn((path.len(), 2), |(row, axis)| path[row][axis])
}

/// One row of kinematics a millisecond, which is how often the neurons' rates change.
const KINEMATICS_HZ: f64 = 1e3;
