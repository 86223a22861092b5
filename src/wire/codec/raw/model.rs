//! What both sides of a channel know: the prediction, its spread, and thus the interval of every code.
//!
//! In: the codes of one channel, one after another. Out: for each next code its interval of probability. Guarantees:
//! intervals of all codes of the converter fill 0..TOTAL without a gap, each at least one wide.

use super::converter::Steps;
use super::predictor::{N_TAPS, Predictor};
use super::range::{RangeDecoder, RangeEncoder, TOTAL, TOTAL_BITS};
use super::spread::{Scale, Spread};

/// State of one channel, the same on both sides.
#[derive(Clone, Copy, Debug)]
pub(super) struct Model {
    pub(super) predictor: Predictor,
    pub(super) spread: Spread,
}

impl Model {
    pub(super) fn new() -> Self {
        Model { predictor: Predictor::new(), spread: Spread::new() }
    }

    /// What a key frame carries of the state, rounded.
    pub(super) fn snapshot(&self) -> [u8; SNAPSHOT_BYTES] {
        let mut bytes = [0; SNAPSHOT_BYTES];
        let (spread, predictor) = bytes.split_at_mut(2);
        spread.copy_from_slice(&self.spread.snapshot());
        predictor.copy_from_slice(&self.predictor.snapshot());
        bytes
    }

    /// The state after a key frame's `first` sample, any bytes before it.
    pub(super) fn restore<S: Steps>(snapshot: &[u8; SNAPSHOT_BYTES], steps: S, first: i16) -> Self {
        let [fast, slow, predictor @ ..] = snapshot;
        let first = steps.middle(i32::from(first));
        Model { predictor: Predictor::restore(predictor, first), spread: Spread::restore(&[*fast, *slow]) }
    }

    #[inline(always)]
    pub(super) fn encode<S: Steps>(&mut self, steps: S, sample: i16, coder: &mut RangeEncoder) {
        let (expected, code) = (self.expect(steps), i32::from(sample));
        coder.encode(expected.below(steps, code), expected.below(steps, code + 1));
        self.learn(steps, code, expected.level);
    }

    #[inline(always)]
    pub(super) fn decode<S: Steps>(&mut self, steps: S, coder: &mut RangeDecoder) -> i16 {
        let expected = self.expect(steps);
        let position = coder.position();
        let (code, low, high) = expected.find(steps, position);
        coder.narrow(low, high);
        self.learn(steps, code, expected.level);
        code as i16
    }

    /// Takes in a sample that was sent as it is.
    pub(super) fn pass<S: Steps>(&mut self, steps: S, sample: i16) {
        let level = self.predictor.predict();
        self.learn(steps, i32::from(sample), level);
    }

    #[inline(always)]
    fn expect<S: Steps>(&self, steps: S) -> Expected {
        Expected { level: self.predictor.predict(), scale: self.spread.scale(steps.fine_bits()) }
    }

    #[inline(always)]
    fn learn<S: Steps>(&mut self, steps: S, code: i32, predicted: i32) {
        let level = steps.middle(code);
        self.spread.learn(2 * (i32::from(level) - predicted));
        self.predictor.learn(level, predicted);
    }
}

/// The distribution of the next sample.
struct Expected {
    level: i32,
    scale: Scale,
}

impl Expected {
    /// The share of TOTAL below the lower edge of `code`. One of it is set aside for every code, however far.
    #[inline(always)]
    fn below<S: Steps>(&self, steps: S, code: i32) -> u32 {
        let half = 1 << (steps.bits() - 1);
        let share = self.scale.below(steps.edge(code) - 2 * self.level);
        let inner = share - (share >> (TOTAL_BITS - steps.bits())) + (code + half) as u32;
        match code {
            _ if code == -half => 0,
            _ if code == half => TOTAL,
            _ => inner,
        }
    }

    /// The code in whose interval `position` lies, and the interval.
    #[inline(always)]
    fn find<S: Steps>(&self, steps: S, position: u32) -> (i32, u32, u32) {
        let half = 1 << (steps.bits() - 1);
        let level = 2 * self.level + self.scale.distance(position);
        let mut code = steps.near(level).clamp(-half, half - 1);
        let (mut low, mut high) = (self.below(steps, code), self.below(steps, code + 1));
        let mut n_steps = 0;
        while position < low || position >= high {
            n_steps += 1;
            if n_steps > NEAR_STEPS {
                return self.find_far(steps, position);
            }
            if position < low {
                code -= 1;
                (low, high) = (self.below(steps, code), low);
            } else {
                code += 1;
                (low, high) = (high, self.below(steps, code + 1));
            }
        }
        (code, low, high)
    }

    /// As `find`, in as many steps as a sample has bits.
    #[cold]
    fn find_far<S: Steps>(&self, steps: S, position: u32) -> (i32, u32, u32) {
        let half = 1 << (steps.bits() - 1);
        let (mut code, mut end) = (-half, half);
        while end - code > 1 {
            let middle = (code + end) >> 1;
            match self.below(steps, middle) <= position {
                true => code = middle,
                false => end = middle,
            }
        }
        (code, self.below(steps, code), self.below(steps, code + 1))
    }
}

/// Codes tried round the guess before the search halves its way to the right one.
const NEAR_STEPS: u32 = 6;

/// Of a key frame.
pub(super) const SNAPSHOT_BYTES: usize = 3 + N_TAPS;
