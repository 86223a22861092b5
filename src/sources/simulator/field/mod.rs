//! Field potentials: what electrodes on the surface of the brain or in its vessels hear.
//!
//! In: one intended velocity a millisecond. Out: 16-bit samples frame by frame, in counts. Guarantees that a sample
//! depends on the seed, the intended velocities before it, its channel and its frame alone, however blocks are cut;
//! that dead and lost electrodes give 0; that nothing is allocated. Leaves out spikes, rhythms other than beta, and waves that
//! travel.
//!
//! sample = rails(round((background + beta + high gamma) of the place + own white noise + mains + artefacts))
//!
//! - **Background**: density ∝ 1 / ((f² + f₁²) (f² + f₀²)), f₀ = 70 Hz: exponent 2 below the knee at f₀ and 4 above it,
//!   as Miller et al. (2009, PLoS Comput Biol 5:e1000609) find on human cortex (4.0 ± 0.1 from 80 to 500 Hz; of
//!   2.0 ± 0.4 below a knee near 70 Hz speaks their arXiv:0712.0846). f₁ = 1 Hz is chosen: it keeps the power finite.
//! - **Beta**, 13–30 Hz, weakens while the subject moves and rebounds after ([`movement`]).
//! - **High gamma**, 70–150 Hz, whose power is 1 + d · s · cos(θ − θ₀) + g · s times that at rest, with intended speed
//!   s as a fraction of full speed and direction θ: cosine tuning of 70–160 Hz to velocity is Anderson et al.'s (2012,
//!   Exp Brain Res, doi 10.1007/s00221-012-3226-1); that speed without direction stands out in populations, Hammer et
//!   al.'s (2016, Cereb Cortex, PMC4869816). Its depths are chosen.
//!
//! All come from sources on a square lattice that electrodes hear by distance ([`lattice`]), so that neighbours hear
//! nearly the same and nearly the same tuning.

mod lattice;
mod movement;
mod rhythm;
mod settings;
#[cfg(test)]
mod tests;
mod tuning;

pub use settings::Potential;
pub(super) use settings::{FIELD_NUMBERS, SAMPLE_RATE_MIN_HZ, check, default_noise_uv, is_of_fields};
pub use tuning::Site;

use super::artefacts::Artefacts;
use super::broadband::artefacts;
use super::intended::Intended;
use super::lanes::{noise, step};
use super::settings::Settings;
use crate::device::Field;
use crate::error::Error;
use lattice::{Lattice, Place};
use movement::Movement;
use rand::{Rng, RngExt};
use rand_xoshiro::Xoshiro256PlusPlus;
use rhythm::{Colour, Rhythm};
use std::f64::consts::TAU;
use tuning::Tuning;

/// Everything that turns intended velocities into samples.
#[derive(Clone, Debug)]
pub(super) struct FieldPotential {
    electrodes: Vec<Electrode>,
    sites: Vec<Site>,
    background: Rhythm,
    beta: Rhythm,
    gamma: Rhythm,
    tuning: Vec<Tuning>,
    movement: Movement,
    /// What the sources of the coarse and of the fine lattice give in the frame at hand, µV.
    coarse_uv: Vec<f32>,
    fine_uv: Vec<f32>,
    /// Milliseconds by which high gamma follows the intended velocity.
    gamma_delay_ms: u8,
    lag_max_ms: u8,
    artefacts: [Option<Artefacts>; 2],
    rate_hz: f64,
    mains_uv: f64,
    mains_cycles_per_frame: f64,
    low: f32,
    high: f32,
    keys: Xoshiro256PlusPlus,
}

#[derive(Clone, Debug)]
struct Electrode {
    coarse: Place,
    fine: Place,
    state: u32,
    /// Standard deviation of its own white noise, counts; 0 if it is dead.
    white: f32,
    /// Counts per µV of mains and artefacts; 0 likewise.
    mains: f32,
    /// Counts per µV of the field; 0 likewise.
    field: f32,
    /// Nothing is heard of it until it comes back.
    lost: bool,
}

impl FieldPotential {
    /// The field round electrodes that lie as `field` says, of which `alive` tells the live ones.
    ///
    /// # Errors
    /// If the sample rate holds no 150 Hz; [`check`] refuses that earlier.
    pub(super) fn new(
        settings: &Settings,
        field: &Field,
        alive: &[bool],
        mut rng: Xoshiro256PlusPlus,
    ) -> Result<Self, Error> {
        let rate_hz = settings.sample_rate_hz;
        let potential = &settings.potential;
        let counts_per_uv = 1.0 / settings.profile.uv_per_count.value;
        let coarse = Lattice::new(COARSE_MM, field, alive.len());
        let fine = Lattice::new(FINE_MM, field, alive.len());
        let tuning = tuning::draw(&fine, potential, &mut rng);
        let colours =
            [Colour::background(rate_hz), Colour::band(BETA_HZ, rate_hz)?, Colour::band(GAMMA_HZ, rate_hz)?];
        let [background, beta, gamma] =
            colours.map(|colour| colour.weakened_above(field.high_cut_hz.value, rate_hz));
        let electrodes: Vec<Electrode> = (0..alive.len())
            .map(|electrode| {
                let coupling = rng.random_range(1.0 - COUPLING_SPREAD..1.0 + COUPLING_SPREAD);
                let live = if alive[electrode] { counts_per_uv } else { 0.0 };
                Electrode {
                    coarse: coarse.place(electrode),
                    fine: fine.place(electrode),
                    state: rng.next_u32().max(1),
                    white: settings.tissue.noise_uv as f32 * live,
                    mains: coupling * live,
                    field: live,
                    lost: false,
                }
            })
            .collect();
        let place_mm = |electrode| lattice::place_mm(field, electrode);
        let sites = electrodes.iter().enumerate().map(|(e, at)| Site::new(e, place_mm(e), &at.fine, &tuning));
        let half = f32::from(2u16.pow(settings.profile.bits.value - 1));
        let lag_max_ms = settings.tissue.lag_max_ms as u8;
        let mut this = FieldPotential {
            sites: sites.collect(),
            background: Rhythm::new(background, potential.background_uv, coarse.n_nodes(), &mut rng),
            beta: Rhythm::new(beta, potential.beta_uv, coarse.n_nodes(), &mut rng),
            gamma: Rhythm::new(gamma, potential.gamma_uv, fine.n_nodes(), &mut rng),
            movement: Movement::new(potential),
            coarse_uv: vec![0.0; coarse.n_nodes()],
            fine_uv: vec![0.0; fine.n_nodes()],
            gamma_delay_ms: lag_max_ms / 2,
            lag_max_ms,
            artefacts: artefacts(settings, 1),
            rate_hz,
            mains_uv: settings.tissue.mains_uv,
            mains_cycles_per_frame: settings.tissue.mains_hz / rate_hz,
            low: -half,
            high: half - 1.0,
            keys: rng,
            electrodes,
            tuning,
        };
        // A stream begins in the midst of life, and not with filters at rest.
        for _ in 0..(rate_hz * WARM_UP_S) as usize {
            this.advance();
        }
        Ok(this)
    }

    /// Ground truth: every electrode, in the order of channels.
    pub(super) fn sites(&self) -> &[Site] {
        &self.sites
    }

    /// Loses an electrode, or has it back.
    pub(super) fn set_lost(&mut self, electrode: usize, lost: bool) {
        self.electrodes[electrode].lost = lost;
    }

    /// Lives through a millisecond whose velocity is the newest of `intended`.
    pub(super) fn tick(&mut self, intended: &Intended) {
        self.movement.tick(speed(intended.before(0)).max(speed(intended.before(self.lag_max_ms))));
        let velocity = intended.before(self.gamma_delay_ms);
        for tuning in &mut self.tuning {
            tuning.follow(velocity);
        }
    }

    /// Fills `out`, one sample a channel, with the frame of number `frame`; every millisecond until then was lived.
    pub(super) fn fill(&mut self, frame: u64, out: &mut [i16]) {
        let key = self.advance();
        // From the frame's number and not from the frame before, so that no phase error grows.
        let cycles = (frame as f64 * self.mains_cycles_per_frame).fract();
        let mut common = (self.mains_uv * (TAU * cycles).sin()) as f32;
        for artefacts in self.artefacts.iter_mut().flatten() {
            artefacts.advance(frame, 1, self.rate_hz, |_, uv, gains| common += uv * gains[0]);
        }
        for (electrode, sample) in self.electrodes.iter_mut().zip(out) {
            let white = noise(step(&mut electrode.state, key)) * electrode.white;
            let field = electrode.coarse.hear(&self.coarse_uv) + electrode.fine.hear(&self.fine_uv);
            let value = white + common * electrode.mains + field * electrode.field;
            let heard = if electrode.lost { 0.0 } else { value.clamp(self.low, self.high) };
            *sample = heard.round_ties_even() as i16;
        }
    }

    /// One frame of every source; gives the frame's key.
    fn advance(&mut self) -> u32 {
        let key = self.keys.next_u32();
        let beta_gain = self.movement.beta_gain();
        let slow = self.background.advance(key).zip(self.beta.advance(key));
        for (uv, (background, beta)) in self.coarse_uv.iter_mut().zip(slow) {
            *uv = background + beta * beta_gain;
        }
        let fast = self.gamma.advance(key).zip(&self.tuning);
        for (uv, (gamma, tuning)) in self.fine_uv.iter_mut().zip(fast) {
            *uv = gamma * tuning.gain();
        }
        key
    }
}

fn speed(velocity: [f32; 2]) -> f32 {
    (velocity[0] * velocity[0] + velocity[1] * velocity[1]).sqrt()
}

/// Distances over which sources of background and beta, and of high gamma, are told apart, mm. Lower frequencies are
/// shared over larger distances, and 30–150 Hz is mostly not at 4 mm (Muller et al. 2016, J Neural Eng 13:056013);
/// the numbers are chosen.
const COARSE_MM: f64 = 4.0;
const FINE_MM: f64 = 1.0;
const BETA_HZ: [f64; 2] = [13.0, 30.0];
const GAMMA_HZ: [f64; 2] = [70.0, 150.0];
/// Electrodes couple to the mains by 1 ± this.
const COUPLING_SPREAD: f32 = 0.1;
/// Six times the time constant of the slowest filter, that of 1 Hz.
const WARM_UP_S: f64 = 1.0;
