//! The one recurrence that every decoder of this crate runs as.
//!
//! With x(t) the normalised features of bin t, s(t) the decoder's state and y(t) what it says,
//!
//! > s(t) = M·s(t−1) + Σₗ Wₗ·x(t−l),  y(t) = H·s(t) + h
//!
//! A Wiener filter has M = 0 and H = 1. A Kalman filter s(t) = A·s(t−1), x = C·s with steady-state gain K has
//! M = (1 − KC)·A, W₀ = K and picks y out of its state by H (Wu et al. 2006, eq. 4 to 8, with the gain
//! converged). A linear classifier has M = 0 and one y per class: its score.
//!
//! Features are `f32`, products are summed in [`LANES`] lanes in a fixed order, the state is `f64`: the same
//! bins give the same velocity, position and class to the last bit on every machine (a class's probability takes
//! an `exp`, which platforms round differently).

use super::FullGain;
use crate::intents::{AXES_MAX, Action};
use crate::simd::{Level, dispatch};

/// What y means.
#[derive(Clone, Debug, PartialEq)]
pub enum Output {
    /// Velocity stands in `0..n_axes`, position in `n_axes..2·n_axes` where there is one.
    Move {
        /// Axes, at most [`AXES_MAX`].
        n_axes: usize,
        /// Position stands behind velocity.
        has_position: bool,
    },
    /// One score per class, log posterior up to a constant; the highest is chosen.
    Choose,
}

/// The fitted matrices, row-major.
#[derive(Clone, Debug, PartialEq)]
pub struct Weights {
    /// Features of a bin.
    pub n_features: usize,
    /// Bins of history, the present one included.
    pub lags: usize,
    /// Length of s.
    pub n_states: usize,
    /// W: `lags × n_states × n_features`; lag 0 is the present bin.
    pub readout: Vec<f32>,
    /// M: `n_states × n_states`; empty where it is 0.
    pub recurrence: Vec<f64>,
    /// H: `n_outputs × n_states`; empty where it is 1.
    pub output: Vec<f64>,
    /// h: one per output.
    pub offset: Vec<f64>,
}

impl Weights {
    fn fit_together(&self, output: &Output) -> bool {
        let (n, n_outputs) = (self.n_states, self.offset.len());
        let enough = match *output {
            Output::Move { n_axes, has_position } => {
                (1..=AXES_MAX).contains(&n_axes) && n_outputs == n_axes * (1 + usize::from(has_position))
            }
            Output::Choose => (1..=usize::from(u16::MAX)).contains(&n_outputs),
        };
        let lengths = self.lags > 0
            && self.n_features > 0
            && self.readout.len() == self.lags * n * self.n_features
            && (self.recurrence.is_empty() || self.recurrence.len() == n * n)
            && if self.output.is_empty() { n == n_outputs } else { self.output.len() == n_outputs * n };
        let finite = self.readout.iter().all(|value| value.is_finite())
            && [&self.recurrence, &self.output, &self.offset].into_iter().flatten().all(|v| v.is_finite());
        enough && lengths && finite
    }
}

/// A fitted decoder with its history and state.
#[derive(Clone, Debug, PartialEq)]
pub struct LinearDecoder {
    weights: Weights,
    output: Output,
    /// For each lag and state, whether W has anything there: a blend's Kalman states hear lag 0 alone.
    hears: Vec<bool>,
    /// The last `lags` bins, a ring.
    history: Vec<f32>,
    newest: usize,
    filled: usize,
    state: Vec<f64>,
    next_state: Vec<f64>,
    /// What bins before the present one give to the next state.
    older: Vec<f64>,
    is_prepared: bool,
    said: Vec<f64>,
    level: Level,
    /// `lags × n_states`, a ring: what bins before weights were taken over give to those that come.
    tail: Vec<f64>,
    tail_at: usize,
    /// In place of M, of a Kalman filter whose gain is carried from bin to bin.
    full_gain: Option<FullGain>,
}

impl LinearDecoder {
    /// A decoder at rest; `None` where the sizes don't fit each other or a value isn't finite.
    pub fn new(weights: Weights, output: Output) -> Option<Self> {
        let tail = vec![0.0; weights.lags * weights.n_states];
        weights.fit_together(&output).then(|| LinearDecoder {
            history: vec![0.0; weights.lags * weights.n_features],
            newest: 0,
            filled: 0,
            state: vec![0.0; weights.n_states],
            next_state: vec![0.0; weights.n_states],
            older: vec![0.0; weights.n_states],
            is_prepared: false,
            said: vec![0.0; weights.offset.len()],
            hears: weights
                .readout
                .chunks_exact(weights.n_features)
                .map(|row| row.iter().any(|w| *w != 0.0))
                .collect(),
            weights,
            output,
            level: Level::widest(),
            tail,
            tail_at: 0,
            full_gain: None,
        })
    }

    /// The same with s advanced by `gain` in place of M; `None` where it has another number of states or M is not 0.
    pub fn with_full_gain(mut self, gain: FullGain) -> Option<Self> {
        let fits = gain.n_states() == self.weights.n_states && self.weights.recurrence.is_empty();
        self.full_gain = Some(gain);
        self.reset();
        fits.then_some(self)
    }

    /// Its gain, where that is carried from bin to bin.
    pub fn full_gain(&self) -> Option<&FullGain> {
        self.full_gain.as_ref()
    }

    /// Forgets history and state.
    pub fn reset(&mut self) {
        self.is_prepared = false;
        self.filled = 0;
        self.state.fill(0.0);
        self.tail.fill(0.0);
        if let Some(gain) = &mut self.full_gain {
            gain.reset();
        }
    }

    /// The place for the next bin's normalised features.
    pub fn push(&mut self) -> &mut [f32] {
        let Weights { lags, n_features, .. } = self.weights;
        self.newest = (self.newest + 1) % lags;
        self.filled = (self.filled + 1).min(lags);
        &mut self.history[self.newest * n_features..][..n_features]
    }

    /// Advances by the bin that was pushed last. Bins before the first count as their means.
    pub fn step(&mut self) -> Action {
        if !std::mem::take(&mut self.is_prepared) {
            self.add_older(self.newest, self.filled);
        }
        self.next_state.copy_from_slice(&self.older);
        let n_states = self.weights.n_states;
        self.tail[self.tail_at * n_states..][..n_states].fill(0.0);
        self.tail_at = (self.tail_at + 1) % self.weights.lags;
        let features = &self.history[self.newest * self.weights.n_features..][..self.weights.n_features];
        add_products(self.level, &self.weights.readout, &self.hears, features, &mut self.next_state);
        self.carry_on()
    }

    /// Does what the next [`LinearDecoder::step`] can do without the bin that is to come: the bins before it. Changes no
    /// result, but how soon it is there.
    pub fn prepare(&mut self) {
        if !self.is_prepared {
            let lags = self.weights.lags;
            self.add_older((self.newest + 1) % lags, (self.filled + 1).min(lags));
            self.is_prepared = true;
        }
    }

    /// Σₗ Wₗ·x(t−l) over the lags from 1 on, where bin t stands or will stand in slot `newest`.
    fn add_older(&mut self, newest: usize, filled: usize) {
        let Weights { lags, n_features, n_states, ref readout, .. } = self.weights;
        self.older.copy_from_slice(&self.tail[self.tail_at * n_states..][..n_states]);
        for lag in 1..filled {
            let slot = (newest + lags - lag) % lags;
            let features = &self.history[slot * n_features..][..n_features];
            let rows = &readout[lag * n_states * n_features..];
            let hears = &self.hears[lag * n_states..];
            add_products(self.level, rows, hears, features, &mut self.older);
        }
    }

    /// Goes on where `before` stands, another decoder of the same shape, which is left as it was but for its state. Bins so
    /// far count with the weights that they were heard with.
    pub(super) fn continue_from(&mut self, before: &mut LinearDecoder) {
        let Weights { lags, n_features, n_states, .. } = self.weights;
        for ahead in 1..lags {
            let at = (before.tail_at + ahead - 1) % lags;
            for lag in ahead..lags.min(before.filled + ahead) {
                let slot = (before.newest + lags + ahead - lag) % lags;
                let features = &before.history[slot * n_features..][..n_features];
                let rows = &before.weights.readout[lag * n_states * n_features..];
                let hears = &before.hears[lag * n_states..];
                add_products(
                    before.level,
                    rows,
                    hears,
                    features,
                    &mut before.tail[at * n_states..][..n_states],
                );
            }
        }
        self.tail.copy_from_slice(&before.tail);
        self.tail_at = before.tail_at;
        self.filled = 0;
        self.is_prepared = false;
        self.state.copy_from_slice(&before.state);
        if let (Some(own), Some(before)) = (&mut self.full_gain, &before.full_gain) {
            own.continue_from(before);
        }
    }

    /// Sets the states that position is said of one by one, where there are such: yᵢ = sⱼ + hᵢ.
    pub(super) fn place_cursor(&mut self, position: [f64; AXES_MAX]) {
        let Output::Move { n_axes, has_position: true } = self.output else { return };
        let Weights { n_states, ref output, ref offset, .. } = self.weights;
        for (axis, &position) in position.iter().enumerate().take(n_axes) {
            let row = n_axes + axis;
            let mut heard = (0..n_states).filter(|&state| match output.is_empty() {
                true => state == row,
                false => output[row * n_states + state] != 0.0,
            });
            if let (Some(state), None) = (heard.next(), heard.next()) {
                let by = if output.is_empty() { 1.0 } else { output[row * n_states + state] };
                self.state[state] = (position - offset[row]) / by;
            }
        }
    }

    /// Whether the two have the same lags, states, features and outputs, and the same kind of gain.
    pub(super) fn is_alike(&self, other: &LinearDecoder) -> bool {
        let shape = |of: &LinearDecoder| {
            let Weights { n_features, lags, n_states, offset, .. } = &of.weights;
            (*n_features, *lags, *n_states, offset.len(), of.full_gain.is_some())
        };
        shape(self) == shape(other) && self.output == other.output
    }

    /// Advances by a bin whose Σₗ Wₗ·x(t−l) was summed elsewhere: `inputs` writes it, one sum a state.
    pub(super) fn advance(&mut self, inputs: impl FnOnce(&mut [f64])) -> Action {
        inputs(&mut self.next_state);
        self.carry_on()
    }

    /// Adds M·s to what the bins give to the next state, and says what that means.
    fn carry_on(&mut self) -> Action {
        let Weights { n_states, ref recurrence, .. } = self.weights;
        for (row, sum) in recurrence.chunks_exact(n_states).zip(&mut self.next_state) {
            *sum += row.iter().zip(&self.state).map(|(m, s)| m * s).sum::<f64>();
        }
        if let Some(gain) = &mut self.full_gain {
            gain.step(&self.state, &mut self.next_state);
        }
        std::mem::swap(&mut self.state, &mut self.next_state);
        self.say();
        self.action()
    }

    /// The fitted matrices.
    pub fn weights(&self) -> &Weights {
        &self.weights
    }

    /// The state that stands last.
    pub(super) fn last_state(&self) -> Option<f64> {
        self.state.last().copied()
    }

    /// For each lag and state, whether W has anything there.
    pub(super) fn hears(&self) -> &[bool] {
        &self.hears
    }

    /// What y means.
    pub fn output(&self) -> &Output {
        &self.output
    }

    /// Features of a bin.
    pub fn n_features(&self) -> usize {
        self.weights.n_features
    }

    /// y = H·s + h
    fn say(&mut self) {
        let Weights { n_states, ref output, ref offset, .. } = self.weights;
        self.said.copy_from_slice(offset);
        if output.is_empty() {
            self.said.iter_mut().zip(&self.state).for_each(|(y, s)| *y += s);
        } else {
            for (row, y) in output.chunks_exact(n_states).zip(&mut self.said) {
                *y += row.iter().zip(&self.state).map(|(h, s)| h * s).sum::<f64>();
            }
        }
    }

    /// What it said last.
    pub(super) fn action(&self) -> Action {
        let y = &self.said;
        match self.output {
            Output::Move { n_axes, has_position } => Action::Move {
                n_axes,
                velocity: axes(&y[..n_axes]),
                position: has_position.then(|| axes(&y[n_axes..2 * n_axes])),
            },
            Output::Choose => {
                let mut class = 0;
                for (i, score) in y.iter().enumerate() {
                    if *score > y[class] {
                        class = i;
                    }
                }
                let total: f64 = y.iter().map(|score| (score - y[class]).exp()).sum();
                Action::Choose { class: class as u16, probability: (1.0 / total) as f32 }
            }
        }
    }
}

fn axes(values: &[f64]) -> [f32; AXES_MAX] {
    let mut into = [0.0; AXES_MAX];
    for (into, &value) in into.iter_mut().zip(values) {
        *into = value as f32;
    }
    into
}

dispatch! {
    fn add_products(rows: &[f32], hears: &[bool], features: &[f32], sums: &mut [f64]) = add_dots;
}

/// Adds each row's product with the features to its sum; rows that don't hear are passed by.
#[inline(always)]
fn add_dots(rows: &[f32], hears: &[bool], features: &[f32], sums: &mut [f64]) {
    let n = features.len();
    let mut pending: [usize; TOGETHER] = [0; TOGETHER];
    let mut n_pending = 0;
    for (row, _) in hears.iter().enumerate().take(sums.len()).filter(|(_, hears)| **hears) {
        pending[n_pending] = row;
        n_pending += 1;
        if n_pending == TOGETHER {
            let dots = dots(pending.map(|row| &rows[row * n..(row + 1) * n]), features);
            pending.iter().zip(dots).for_each(|(&row, dot)| sums[row] += f64::from(dot));
            n_pending = 0;
        }
    }
    for &row in &pending[..n_pending] {
        sums[row] += f64::from(dots([&rows[row * n..(row + 1) * n]], features)[0]);
    }
}

/// Σ a·b for some rows a at once, in [`LANES`] running sums each, added up pairwise: the order depends on the length
/// alone. Rows at once spare loads of b.
#[inline(always)]
fn dots<const R: usize>(rows: [&[f32]; R], b: &[f32]) -> [f32; R] {
    let mut sums = [[0.0f32; LANES]; R];
    let (whole, rest) = b.as_chunks::<LANES>();
    for (k, b) in whole.iter().enumerate() {
        let rows: [&[f32; LANES]; R] = rows.map(|row| &row.as_chunks::<LANES>().0[k]);
        for lane in 0..LANES {
            for r in 0..R {
                sums[r][lane] += rows[r][lane] * b[lane];
            }
        }
    }
    let at = whole.len() * LANES;
    for (sums, row) in sums.iter_mut().zip(rows) {
        for (lane, (a, b)) in row[at..].iter().zip(rest).enumerate() {
            sums[lane] += a * b;
        }
        let mut width = LANES / 2;
        while width > 0 {
            for lane in 0..width {
                sums[lane] += sums[lane + width];
            }
            width /= 2;
        }
    }
    sums.map(|sums| sums[0])
}

/// Rows whose products are taken at once.
const TOGETHER: usize = 4;
/// Running sums of a product; one AVX-512 register.
const LANES: usize = 16;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn velocity(action: Action) -> [f32; AXES_MAX] {
        match action {
            Action::Move { velocity, .. } => velocity,
            Action::Choose { .. } => panic!("a decoder of movement moves"),
        }
    }

    fn plain(n_features: usize, lags: usize, readout: Vec<f32>, offset: Vec<f64>) -> Weights {
        let n_states = offset.len();
        Weights { n_features, lags, n_states, readout, recurrence: vec![], output: vec![], offset }
    }

    const ONE_AXIS: Output = Output::Move { n_axes: 1, has_position: false };

    #[test]
    fn lag_l_weighs_the_bin_l_before() {
        let weights = plain(1, 3, vec![1.0, 10.0, 100.0], vec![0.5]);
        let mut decoder = LinearDecoder::new(weights, ONE_AXIS).expect("sizes fit");
        let mut step = |x: f32| {
            decoder.push()[0] = x;
            velocity(decoder.step())[0]
        };
        assert_eq!([step(1.0), step(2.0), step(3.0), step(4.0)], [1.5, 12.5, 123.5, 234.5]);
        decoder.reset();
        decoder.push()[0] = 7.0;
        assert_eq!(velocity(decoder.step())[0], 7.5, "nothing of before is left");
    }

    #[test]
    fn the_state_carries_on_and_the_output_picks() {
        // State 0 integrates x, state 1 is x; velocity is x, position twice the integral.
        let weights = Weights {
            recurrence: vec![1.0, 0.0, 0.0, 0.0],
            output: vec![0.0, 1.0, 2.0, 0.0],
            n_states: 2,
            ..plain(1, 1, vec![1.0, 1.0], vec![0.0, 0.25])
        };
        let output = Output::Move { n_axes: 1, has_position: true };
        let mut decoder = LinearDecoder::new(weights, output).expect("sizes fit");
        let mut last = None;
        for x in [1.0, 2.0, 3.0] {
            decoder.push()[0] = x;
            last = Some(decoder.step());
        }
        let Some(Action::Move { velocity, position: Some(position), .. }) = last else { panic!("it moves") };
        assert_eq!((velocity[0], position[0]), (3.0, 12.25));
    }

    #[test]
    fn the_highest_score_is_chosen_with_its_softmax() {
        let weights = plain(1, 1, vec![0.0; 3], vec![0.0, 2.0, 0.0]);
        let mut decoder = LinearDecoder::new(weights, Output::Choose).expect("sizes fit");
        decoder.push()[0] = 1.0;
        let Action::Choose { class, probability } = decoder.step() else { panic!("it chooses") };
        assert_eq!(class, 1);
        assert!((f64::from(probability) - 2f64.exp() / (2.0 + 2f64.exp())).abs() < 1e-6);
    }

    #[test]
    fn sizes_that_do_not_fit_are_refused() {
        let short = plain(3, 1, vec![0.0; 5], vec![0.0; 2]);
        assert!(LinearDecoder::new(short, Output::Choose).is_none());
        let not_a_number = plain(1, 1, vec![f32::NAN], vec![0.0]);
        assert!(LinearDecoder::new(not_a_number, Output::Choose).is_none());
    }

    proptest! {
        #[test]
        fn lanes_sum_as_one_long_sum(values in prop::collection::vec((-9.0f32..9.0, -9.0f32..9.0), 0..100)) {
            let (a, b): (Vec<f32>, Vec<f32>) = values.into_iter().unzip();
            let exact: f64 = a.iter().zip(&b).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum();
            let size: f64 = a.iter().zip(&b).map(|(a, b)| (f64::from(*a) * f64::from(*b)).abs()).sum();
            prop_assert!((f64::from(dots([&a], &b)[0]) - exact).abs() <= 1e-6 * (1.0 + size));
        }
    }
}
