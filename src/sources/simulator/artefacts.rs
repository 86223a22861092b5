//! Artefacts that all electrodes hear: the cable moves, or something stimulates.
//!
//! In: how often, how large, a seed. Out: when each comes, and its trace, µV, frame by frame, louder in some groups of
//! electrodes than in others. Guarantees that a value depends on the seed and the frame alone, however blocks are cut,
//! and that nothing is allocated while they are added.
//!
//! Times between artefacts are exponential. Motion: a swing of 2 to 10 Hz, 0.3 to 1.5 s long, with a short crackle in
//! the spike band where it is fastest. Stimulation: a train of 20 to 100 biphasic pulses of 0.2 ms a phase, 100 a second,
//! each with a tail of a millisecond. The shapes are chosen to hit what front ends guard against, not measured.

use super::lanes::{Purpose, generator};
use rand::RngExt;
use rand_xoshiro::Xoshiro256PlusPlus;
use std::f64::consts::{PI, TAU};

/// What an artefact comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ArtefactKind {
    /// Cable or head moved.
    Motion,
    /// Current was given to the tissue.
    Stimulation,
}

/// Ground truth: when all electrodes hear something that is not the brain.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Artefact {
    /// What it comes from.
    pub kind: ArtefactKind,
    /// Its first instant, µs since the stream began.
    pub from_us: u64,
    /// The first instant after it.
    pub until_us: u64,
}

/// Artefacts of one kind, one after another.
#[derive(Clone, Debug)]
pub(super) struct Artefacts {
    current: Artefact,
    hz: f64,
    uv: f64,
    mean_gap_us: f64,
    rng: Xoshiro256PlusPlus,
    /// How loud each group hears the current one.
    gains: Vec<f32>,
}

impl Artefacts {
    /// `per_minute` of them; `None` for none.
    pub(super) fn new(
        kind: ArtefactKind,
        per_minute: f64,
        uv: f64,
        n_groups: usize,
        seed: u64,
    ) -> Option<Self> {
        let purpose = match kind {
            ArtefactKind::Motion => Purpose::Motion,
            ArtefactKind::Stimulation => Purpose::Stimulation,
        };
        let mut artefacts = Artefacts {
            current: Artefact { kind, from_us: 0, until_us: 0 },
            hz: 0.0,
            uv,
            mean_gap_us: 60e6 / per_minute,
            rng: generator(seed, purpose),
            gains: vec![0.0; n_groups],
        };
        (per_minute > 0.0).then(|| {
            artefacts.draw_next();
            artefacts
        })
    }

    /// The one that is heard now or comes next.
    pub(super) fn current(&self) -> Artefact {
        self.current
    }

    /// Goes on to the one after the current one.
    pub(super) fn draw_next(&mut self) {
        let survival: f64 = 1.0 - self.rng.random::<f64>();
        let from_us = self.current.until_us + 1 + (-survival.ln() * self.mean_gap_us) as u64;
        let length_us = match self.current.kind {
            ArtefactKind::Motion => self.rng.random_range(300_000..=1_500_000),
            ArtefactKind::Stimulation => self.rng.random_range(20..=100) * PULSE_US,
        };
        self.hz = self.rng.random_range(2.0..10.0);
        for gain in &mut self.gains {
            *gain = self.rng.random_range(0.3..1.0);
        }
        self.current = Artefact { from_us, until_us: from_us + length_us, ..self.current };
    }

    /// Calls `add` with each frame of `n_frames` from `first` on that hears something, its value in µV and the gain of
    /// each group; `hz` is the sample rate.
    pub(super) fn advance(
        &mut self,
        first: u64,
        n_frames: usize,
        hz: f64,
        mut add: impl FnMut(usize, f32, &[f32]),
    ) {
        let us = |frame: usize| (first + frame as u64) as f64 * 1e6 / hz;
        let mut frame = 0;
        while frame < n_frames {
            if us(frame) >= self.current.until_us as f64 {
                self.draw_next();
                continue;
            }
            if us(n_frames - 1) < self.current.from_us as f64 {
                return;
            }
            if us(frame) >= self.current.from_us as f64 {
                let value = self.value(us(frame) - self.current.from_us as f64);
                add(frame, value as f32, &self.gains);
            }
            frame += 1;
        }
    }

    /// µV at `since_us` of the current one.
    fn value(&self, since_us: f64) -> f64 {
        match self.current.kind {
            ArtefactKind::Motion => {
                let length_us = (self.current.until_us - self.current.from_us) as f64;
                let envelope = (PI * since_us / length_us).sin().powi(2);
                let seconds = since_us * 1e-6;
                let swing = (TAU * self.hz * seconds).sin();
                // The middle twentieth of the time.
                let crackle = envelope.powi(160) * (TAU * CRACKLE_HZ * seconds).sin();
                self.uv * (envelope * swing + CRACKLE_PART * crackle)
            }
            ArtefactKind::Stimulation => {
                let within_us = since_us % PULSE_US as f64;
                if within_us < PHASE_US {
                    -self.uv
                } else if within_us < 2.0 * PHASE_US {
                    self.uv
                } else {
                    -self.uv * TAIL_PART * (-(within_us - 2.0 * PHASE_US) / TAIL_US).exp()
                }
            }
        }
    }
}

/// From pulse to pulse.
const PULSE_US: u64 = 10_000;
const PHASE_US: f64 = 200.0;
const TAIL_US: f64 = 1_000.0;
const TAIL_PART: f64 = 0.2;
const CRACKLE_HZ: f64 = 700.0;
const CRACKLE_PART: f64 = 0.3;

#[cfg(test)]
mod tests {
    use super::*;

    /// Frames and values over ten minutes at 10 kHz, in blocks of `cut` frames.
    fn heard(kind: ArtefactKind, cut: usize) -> Vec<(u64, f32, f32)> {
        let mut artefacts = Artefacts::new(kind, 6.0, 1_000.0, 2, 5).expect("there are some");
        let mut heard = Vec::new();
        for block in 0..6_000_000 / cut as u64 {
            let first = block * cut as u64;
            artefacts.advance(first, cut, 1e4, |frame, uv, gains| {
                heard.push((first + frame as u64, uv, gains[1]));
            });
        }
        heard
    }

    #[test]
    fn artefacts_come_as_often_as_asked_and_say_when() {
        for kind in [ArtefactKind::Motion, ArtefactKind::Stimulation] {
            let heard = heard(kind, 20);
            assert_eq!(heard, tests::heard(kind, 64)[..], "{kind:?} in other blocks");
            let mut told = Artefacts::new(kind, 6.0, 1_000.0, 2, 5).expect("there are some");
            let (mut n, mut frames) = (0, 0);
            while told.current().until_us < 600_000_000 {
                let Artefact { from_us, until_us, .. } = told.current();
                frames += until_us.div_ceil(100) - from_us.div_ceil(100);
                n += 1;
                told.draw_next();
            }
            // 60 less the time that they take; five deviations.
            assert!((25..=95).contains(&n), "{n} of {kind:?}");
            let whole = heard.iter().filter(|(frame, ..)| frame * 100 < told.current().from_us).count();
            assert_eq!(whole as u64, frames, "{kind:?}");
            let peak = heard.iter().map(|(_, uv, _)| uv.abs()).fold(0.0, f32::max);
            assert!((900.0..1_350.0).contains(&peak), "{peak} µV");
            assert!(heard.iter().all(|(_, _, gain)| (0.3..1.0).contains(gain)));
        }
        assert!(Artefacts::new(ArtefactKind::Motion, 0.0, 1_000.0, 2, 5).is_none());
    }
}
