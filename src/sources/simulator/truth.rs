//! What a simulated recording was made of: what a decoder, a detector or a link should have found.
//!
//! In: a `sim:` address. Out: [`GroundTruth`]. Guarantees that it is the truth of the recording that
//! [`open`](super::open) gives for the same address, of whatever kind: spikes don't depend on it.

use super::artefacts::{Artefact, Artefacts};
use super::intended::Intended;
use super::losses::LostElectrode;
use super::neurons::Neuron;
use super::population::TICK_US;
use super::script::script;
use super::{Body, Settings, broadband};
use crate::block::StreamKind;
use crate::error::Error;

/// Everything about a simulated recording that its samples don't say. The movement is the recording's own
/// [`Truth`](crate::recording::Truth).
#[derive(Clone, Debug, PartialEq)]
pub struct GroundTruth {
    /// Every neuron, in the order of electrodes.
    pub neurons: Vec<Neuron>,
    /// Whether each electrode is alive when the recording begins.
    pub alive: Vec<bool>,
    /// Which electrodes are lost on schedule, and when.
    pub losses: Vec<LostElectrode>,
    /// Motion and stimulation that broadband hears, by their beginning.
    pub artefacts: Vec<Artefact>,
    /// Every spike within the recording, by time, also of neurons whose electrode is lost.
    pub spikes: Vec<TrueSpike>,
    /// Intended velocity, `[x, y]` in m/s, a millisecond each; the hand follows it after
    /// [`Tissue::lag_max_ms`](super::Tissue::lag_max_ms).
    pub intended: Vec<[f64; 2]>,
}

/// A spike.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct TrueSpike {
    /// When its waveform begins, µs since the stream began.
    pub at_us: u64,
    /// Which of [`GroundTruth::neurons`] it is of.
    pub neuron: u32,
}

impl GroundTruth {
    /// Whether `electrode` is alive in millisecond `ms` of the stream.
    ///
    /// # Panics
    /// If there is no such electrode.
    pub fn is_alive(&self, electrode: usize, ms: u64) -> bool {
        let is_lost = |lost: &LostElectrode| {
            lost.electrode == electrode && lost.from_ms <= ms && lost.until_ms.is_none_or(|until| ms < until)
        };
        self.alive[electrode] && !self.losses.iter().any(is_lost)
    }
}

/// The truth of the recording that `address` describes; it takes the time of simulating its counts.
///
/// # Errors
/// If the address is not legal.
///
/// ```
/// use efference::sources::simulator::ground_truth;
/// let truth = ground_truth("sim:neuralink-n1,electrodes=64,seconds=2,lose=0.5@1").unwrap();
/// let electrode = truth.losses[0].electrode;
/// assert!(truth.is_alive(electrode, 999) && !truth.is_alive(electrode, 1_000));
/// assert!(truth.spikes.is_sorted() && truth.spikes.iter().all(|spike| spike.at_us < 2_000_000));
/// ```
pub fn ground_truth(address: &str) -> Result<GroundTruth, Error> {
    let settings = Settings::parse(address)?;
    let (_, fractions) = script(&settings);
    let end_us = (settings.n_frames() as f64 * 1e6 / settings.frames_hz()) as u64;
    // Without broadband's noise, which takes the most time and says nothing here.
    let counts = Settings { kind: StreamKind::Counts, width_ms: 1, ..settings.clone() };
    let Body { alive, lost_plan, neurons, mut population, .. } = Body::new(&counts)?;
    let (mut intended, mut spikes) = (Intended::new(), Vec::new());
    for (tick, &velocity) in (0..end_us.div_ceil(TICK_US)).zip(&fractions) {
        intended.push(velocity);
        population.tick(tick, &intended, |neuron, at_us| {
            spikes.push(TrueSpike { at_us, neuron: neuron as u32 });
        });
    }
    spikes.retain(|spike| spike.at_us < end_us);
    spikes.sort_unstable();
    let mut artefacts = Vec::new();
    if settings.kind == StreamKind::Broadband {
        let n_groups = settings.electrodes.div_ceil(settings.profile.electrodes_per_group.value as usize);
        for line in broadband::artefacts(&settings, n_groups).into_iter().flatten() {
            artefacts.extend(until(line, end_us));
        }
        artefacts.sort_by_key(|artefact| artefact.from_us);
    }
    let speed = settings.tissue.speed_full;
    let intended = fractions.iter().map(|v| v.map(|v| v * speed)).collect();
    Ok(GroundTruth { neurons, alive, losses: lost_plan, artefacts, spikes, intended })
}

/// Those that begin before `end_us`.
fn until(mut artefacts: Artefacts, end_us: u64) -> Vec<Artefact> {
    let mut found = Vec::new();
    while artefacts.current().from_us < end_us {
        found.push(artefacts.current());
        artefacts.draw_next();
    }
    found
}
