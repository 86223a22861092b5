//! Noise of a colour: the activity of many sources, each independent.
//!
//! In: a density, a standard deviation, one key a frame. Out: one value a source and frame, µV. Guarantees that what
//! a source gives in a frame depends on the seed and the number of the frame alone, and that its standard deviation
//! is the asked one before anything lies between it and the electrode.

use crate::error::Error;
use crate::filter::design::{Section, butterworth_band_pass};
use crate::sources::simulator::lanes::{noise, step};
use rand::Rng;
use rand_xoshiro::Xoshiro256PlusPlus;
use std::f64::consts::TAU;

/// A density, as the filter that makes it of white noise.
#[derive(Clone, Copy, Debug)]
pub(super) struct Colour {
    /// White noise of deviation 1 comes out with deviation 1 of the first two.
    sections: [Section; SECTIONS],
}

impl Colour {
    /// 1 / ((f² + f₁²) (f² + f₀²)).
    pub(super) fn background(rate_hz: f64) -> Self {
        Colour { sections: [pole(CORNER_HZ, rate_hz), pole(KNEE_HZ, rate_hz), PASS] }.normalised(rate_hz)
    }

    /// A band, with flanks of 12 dB an octave.
    ///
    /// # Errors
    /// If half the rate is not above the band.
    pub(super) fn band([low_hz, high_hz]: [f64; 2], rate_hz: f64) -> Result<Self, Error> {
        let sections = butterworth_band_pass(2, low_hz, high_hz, rate_hz)?;
        Ok(Colour { sections: [sections[0], sections[1], PASS] }.normalised(rate_hz))
    }

    /// The same, 6 dB an octave weaker above `cut_hz`; 0 leaves it.
    pub(super) fn weakened_above(mut self, cut_hz: f64, rate_hz: f64) -> Self {
        if cut_hz > 0.0 {
            self.sections[SECTIONS - 1] = pole(cut_hz, rate_hz);
        }
        self
    }

    fn normalised(mut self, rate_hz: f64) -> Self {
        let mut state = [[0.0; 2]; SECTIONS];
        let power: f64 = (0..(rate_hz * IMPULSE_S) as usize)
            .map(|frame| self.filter(&mut state, if frame == 0 { 1.0 } else { 0.0 }).powi(2))
            .sum();
        let gain = 1.0 / power.sqrt();
        self.sections[0].b = self.sections[0].b.map(|b| b * gain);
        self
    }

    /// Transposed direct form II, in doubles: 1 Hz at 100 kHz leaves few bits of singles.
    #[inline]
    fn filter(&self, state: &mut [[f64; 2]; SECTIONS], input: f64) -> f64 {
        let mut x = input;
        for (section, [one, two]) in self.sections.iter().zip(state) {
            let y = section.b[0] * x + *one;
            *one = section.b[1] * x - section.a[0] * y + *two;
            *two = section.b[2] * x - section.a[1] * y;
            x = y;
        }
        x
    }
}

/// Independent sources of one colour.
#[derive(Clone, Debug)]
pub(super) struct Rhythm {
    colour: Colour,
    uv: f64,
    sources: Vec<Source>,
}

#[derive(Clone, Copy, Debug)]
struct Source {
    random: u32,
    filter: [[f64; 2]; SECTIONS],
}

impl Rhythm {
    /// `n` sources with a standard deviation of `uv`.
    pub(super) fn new(colour: Colour, uv: f64, n: usize, rng: &mut Xoshiro256PlusPlus) -> Self {
        let source = |_| Source { random: rng.next_u32().max(1), filter: [[0.0; 2]; SECTIONS] };
        Rhythm { colour, uv, sources: (0..n).map(source).collect() }
    }

    /// The next frame of each source, µV.
    #[inline]
    pub(super) fn advance(&mut self, key: u32) -> impl Iterator<Item = f32> + '_ {
        let (colour, uv) = (&self.colour, self.uv);
        self.sources.iter_mut().map(move |source| {
            let drive = f64::from(noise(step(&mut source.random, key)));
            (colour.filter(&mut source.filter, drive) * uv) as f32
        })
    }
}

/// 1 / (1 + (f / hz)²) of the power. A pole alone falls too slowly near half the rate, where its spectrum folds back:
/// a zero makes it right at a quarter of the rate, and right to 1 % below.
fn pole(hz: f64, rate_hz: f64) -> Section {
    let pole = (-TAU * hz / rate_hz).exp();
    // (1 + c²) / (1 + c)², the zero's share of the power there, is to be this.
    let quarter = 1.0 / (1.0 + (rate_hz / 4.0 / hz).powi(2));
    let share = quarter * (1.0 + pole * pole) / (1.0 - pole).powi(2);
    let zero = (share - (2.0 * share - 1.0).sqrt()) / (1.0 - share);
    let gain = (1.0 - pole) / (1.0 + zero);
    Section { b: [gain, gain * zero, 0.0], a: [-pole, 0.0] }
}

const PASS: Section = Section { b: [1.0, 0.0, 0.0], a: [0.0, 0.0] };
/// Two for the colour, one for what weakens it on its way.
const SECTIONS: usize = 3;
/// Where the exponent of the background goes from 2 to 4.
const KNEE_HZ: f64 = 70.0;
/// Where it goes from 0 to 2.
const CORNER_HZ: f64 = 1.0;
/// After which the response to an impulse is over: 12 times the time constant of 1 Hz.
const IMPULSE_S: f64 = 2.0;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sources::simulator::lanes::{Purpose, generator};

    #[test]
    fn every_colour_has_the_asked_deviation_at_every_rate() {
        for rate_hz in [400.0, 1_000.0, 2_000.0, 30_000.0] {
            for (colour, seconds) in [
                (Colour::background(rate_hz), 400.0),
                (Colour::band([13.0, 30.0], rate_hz).expect("fits"), 60.0),
                (Colour::band([70.0, 150.0], rate_hz).expect("fits"), 60.0),
            ] {
                let mut rng = generator(1, Purpose::Field);
                let n = 8;
                let mut rhythm = Rhythm::new(colour, 20.0, n, &mut rng);
                let frames = (seconds / n as f64 * rate_hz) as usize;
                let mut power = 0.0;
                for _ in 0..frames {
                    let key = rng.next_u32();
                    power += rhythm.advance(key).map(|v| f64::from(v).powi(2)).sum::<f64>();
                }
                let deviation = (power / (frames * n) as f64).sqrt();
                assert!(
                    (deviation / 20.0 - 1.0).abs() < 0.12,
                    "{rate_hz} Hz: {deviation} µV of 20, {colour:?}"
                );
            }
        }
    }

    #[test]
    fn a_pole_falls_as_it_does_in_continuous_time() {
        for (hz, rate_hz) in [(1.0, 1_000.0), (70.0, 2_000.0), (120.0, 2_000.0), (1.0, 30_000.0)] {
            let Section { b, a } = pole(hz, rate_hz);
            for part in [0.0, 0.03, 0.1, 0.2, 0.25] {
                let (sin, cos) = (TAU * part).sin_cos();
                let square = |one: f64| (1.0 + one * cos).powi(2) + (one * sin).powi(2);
                let power = b[0] * b[0] * square(b[1] / b[0]) / square(a[0]);
                let wanted = 1.0 / (1.0 + (part * rate_hz / hz).powi(2));
                assert!((power / wanted - 1.0).abs() < 0.01, "{hz} of {rate_hz} Hz: {power}, {wanted}");
            }
        }
    }

    #[test]
    fn a_vessel_weakens_high_gamma_and_spares_beta() {
        let rate_hz = 2_000.0;
        let kept = |band, seconds: f64| {
            let colour = Colour::band(band, rate_hz).expect("fits").weakened_above(120.0, rate_hz);
            let mut state = [[0.0; 2]; SECTIONS];
            (0..(seconds * rate_hz) as usize)
                .map(|frame| colour.filter(&mut state, if frame == 0 { 1.0 } else { 0.0 }).powi(2))
                .sum::<f64>()
        };
        // 1 / (1 + (f / 120)²) is 0.97 at 20 Hz and 0.56 at 106 Hz.
        assert!((kept([13.0, 30.0], 2.0) - 0.97).abs() < 0.02);
        assert!((kept([70.0, 150.0], 2.0) - 0.57).abs() < 0.04);
    }
}
