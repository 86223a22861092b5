//! Random faults, and what must hold whatever they do.
//!
//! In: a seed. Out: whether the link did what it has to: every ledger balanced, the stream back a second after the last
//! fault, no intent that is not a number, and no frame that is acted on when it is stale.

use crate::faults::{RANDOM_ELECTRODES, Script};
use crate::world::{Scene, World};
use efference::Error;
use efference::HostTime;
use efference::config::{Config, NormaliserKind};
use efference::decode::{Decoder, LinearDecoder, Normaliser, Output, Weights};
use efference::intents::Action;
use efference::pipeline::{Calibration, Event, Pipeline};
use efference::sources::SampleSource;

/// What came of a script.
#[derive(Clone, Debug, PartialEq)]
pub enum Outcome {
    /// Everything held.
    Held {
        /// From the last fault's end to the next whole frame, ms; `None` where no fault ever ended.
        recovered_ms: Option<f64>,
        /// Frames that came.
        frames: u64,
    },
    /// What did not hold.
    Wrong(String),
}

/// Runs the script of this seed on an implant of 64 electrodes for 20 s of simulated time.
///
/// # Errors
/// None of a simulation.
pub fn run(seed: u64) -> Result<Outcome, Error> {
    let script = Script::random(seed);
    let scene = Scene {
        script: script.clone(),
        seed,
        ..Scene::new(&format!("blackrock-utah,electrodes={ELECTRODES},seed={seed}"), SECONDS)
    };
    let mut world = World::new(&scene)?;
    let config = Config::parse("[bins]\nwidth_ms = 20", "scripts")?;
    let mut pipeline =
        Pipeline::from_config(&config, world.info(), &Calibration::default(), Some(decoder()?))?;
    let mut block = world.new_block();
    let end_us = script.last_fault_end();
    let (mut recovered_us, mut frames, mut wrong) = (None, 0, None);
    while world.step()? {
        let (now, heard) = (HostTime { ns: world.now_us() * 1_000 }, world.heard_at());
        while let Some(due) = world.pop(&mut block) {
            frames += u64::from(block.header.n_frames);
            let is_fresh = now.since(due) <= HOLD_NS;
            pipeline.process(&block, |event| {
                let Event::Intent(intent) = event else { return };
                let Action::Move { velocity, .. } = intent.action else { return };
                if !velocity.iter().all(|v| v.is_finite()) {
                    wrong = Some(format!("an intent of {velocity:?} in bin {}", intent.bin));
                }
                // The sinks act on what is fresh by the clock fit; nothing can be if nothing has come.
                if is_fresh && now.since(heard) > HOLD_NS {
                    wrong = Some(format!(
                        "the cursor moved {} ms after the last packet",
                        now.since(heard) / 1_000_000
                    ));
                }
            });
            let is_whole = !block.header.has_unknown && is_fresh;
            if is_whole && recovered_us.is_none() && end_us.is_some_and(|end| world.now_us() >= end) {
                recovered_us = Some(world.now_us());
            }
        }
    }
    let report = world.report();
    let (up, down) = world.ledgers();
    let wrong = wrong.or_else(|| match () {
        () if !report.balanced => Some(format!("the host's ledger is not balanced: {:?}", report.ledger)),
        () if !up.is_balanced() || !down.is_balanced() => {
            Some("the radio's ledger is not balanced".to_string())
        }
        () => match (end_us, recovered_us) {
            (Some(end), Some(at)) if at - end > RECOVERY_US => {
                Some(format!("recovered {} ms after the last fault", (at - end) / 1_000))
            }
            (Some(end), None) if end + RECOVERY_US < (SECONDS * 1e6) as u64 => {
                Some("no whole frame came after the last fault".to_string())
            }
            _ => None,
        },
    });
    let recovered = end_us.zip(recovered_us).map(|(end, at)| (at - end) as f64 / 1e3);
    Ok(wrong.map_or(Outcome::Held { recovered_ms: recovered, frames }, Outcome::Wrong))
}

/// Hears every electrode.
fn decoder() -> Result<Decoder, Error> {
    let n_features = ELECTRODES;
    let readout = (0..2 * 2 * n_features).map(|i| (i * 7919 % 401) as f32 * 1e-4 - 0.02).collect();
    let recurrence = vec![0.5, 0.1, -0.1, 0.5];
    let weights = Weights {
        n_features,
        lags: 2,
        n_states: 2,
        readout,
        recurrence,
        output: Vec::new(),
        offset: vec![0.0; 2],
    };
    let (mean, inverse) = (vec![0.1; n_features], vec![0.8; n_features]);
    let unfit = || Error::usage("scripts", "a decoder of other sizes than its weights");
    let normaliser = Normaliser::from_parts(NormaliserKind::Zscore, mean, inverse).ok_or_else(unfit)?;
    let output = Output::Move { n_axes: 2, has_position: false };
    Ok(Decoder::new(normaliser, LinearDecoder::new(weights, output).ok_or_else(unfit)?))
}

const ELECTRODES: usize = RANDOM_ELECTRODES;
const SECONDS: f64 = 20.0;
const HOLD_NS: u64 = 100_000_000;
/// After a fault's end.
const RECOVERY_US: u64 = 1_000_000;
