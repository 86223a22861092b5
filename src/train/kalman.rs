//! Kalman filter with steady-state gain.
//!
//! > s(t) = A·s(t−1) + w, w ~ N(0, W);  x(t) = C·s(t) + D·x(t−1) + q, q ~ N(0, Q)
//!
//! Wu et al. (2006) with two additions, both switched off by `lead_bins = trail_bins = 0, whiten = false`. The
//! state holds velocity from `lead_bins` ahead to `trail_bins` behind (and position at the lead), since activity
//! leads movement by an amount that differs from channel to channel: C picks each channel's own. And D, what
//! a channel did one bin before, takes up the part of its noise that is not white, which would otherwise make
//! the filter believe its observations too much (Gibson et al. 1991, coloured noise by differencing).
//!
//! A, W, C, D and Q are least squares (C and D with a ridge); the gain is at its fixed point. The
//! result runs as s(t) = (1 − PG)A·s(t−1) + PN·x(t) − PND·x(t−1) with N = CᵀQ⁻¹ and G = NC.

use super::cross_validation::{folds, least_loss};
use super::dataset::{Dataset, Movement};
use super::gain::KalmanParameters;
use super::ridge::{self, gram_of, solve_positive};
use crate::config::DecoderConfig;
use crate::decode::Weights;
use crate::error::Error;
use faer::{Mat, MatRef};
use ndarray::{Array2, ArrayView2};

/// A fitted filter over the kept features.
pub(super) struct Kalman {
    pub weights: Weights,
    pub parameters: KalmanParameters,
    /// The chosen ridge strength of C and D.
    pub strength: f64,
}

/// Fits on the dataset's rows; `x` are the kept features, normalised.
pub(super) fn fit(
    data: &Dataset,
    movement: &Movement,
    x: &Array2<f32>,
    with_position: bool,
    config: &DecoderConfig,
) -> Result<Kalman, Error> {
    let place = "fit of the Kalman filter";
    if with_position && movement.position.is_none() {
        return Err(Error::fit(place, "the recording has no position for its state")
            .field("decoder.kind")
            .legal("`velocity-kalman` or `wiener` for this recording"));
    }
    let rows = windows(data, config);
    if rows.len() < ROWS_PER_FOLD_MIN * config.folds {
        return Err(Error::fit(place, format!("{} bins with their neighbours", rows.len()))
            .field("bins")
            .legal(format!("at least {}", ROWS_PER_FOLD_MIN * config.folds))
            .hint("a wider --bins A..B, or smaller decoder.lead_bins and decoder.trail_bins"));
    }
    let n_known = x.ncols() * if config.whiten { 2 } else { 1 };
    ridge::check_size(rows.len(), n_known, 1, place)?;
    let problem = Problem::new(movement, x, rows, with_position, config);
    let all: Vec<usize> = (0..problem.rows.len()).collect();
    let strength = if let [only] = config.ridge[..] {
        only
    } else {
        let parts = folds(all.len(), config.folds);
        // States of rows within reach of a fold hold that fold's velocities.
        let reach = config.lead_bins + config.trail_bins + 1;
        let chosen = least_loss(&config.ridge, START_SHARE * all.len() as f64, |strength| {
            let losses = parts.iter().map(|part| {
                let near = part.start.saturating_sub(reach)..part.end + reach;
                let rest: Vec<usize> = all.iter().copied().filter(|at| !near.contains(at)).collect();
                let Some(fitted) = problem.solve(&rest, strength) else { return f64::INFINITY };
                problem.loss(&fitted, &all[part.clone()])
            });
            losses.sum()
        });
        chosen.ok_or_else(|| singular(place))?
    };
    let parameters = problem.parameters(&all, strength).ok_or_else(|| singular(place))?;
    let features: Vec<usize> = (0..x.ncols()).collect();
    let weights = parameters.steady(&features).ok_or_else(|| singular(place))?;
    Ok(Kalman { weights, parameters, strength })
}

/// Where the search for a strength starts, as a share of the rows.
const START_SHARE: f64 = 0.03;
/// Bins per fold that a fit needs at the very least: those to warm up on, and as many to score.
const ROWS_PER_FOLD_MIN: usize = 2 * WARM_UP_BINS;

fn singular(place: &str) -> Error {
    Error::fit(place, "it is singular, or its gain doesn't converge, at every ridge strength")
        .field("decoder.ridge")
        .legal("movement that changes, channels that are not copies of one another")
        .hint("a wider --bins A..B, decoder.ridge = [1000, 10000], or decoder.min_events above 100")
}

/// Rows whose neighbours from one before the trail to the lead are in the same segment, in range and whole.
fn windows(data: &Dataset, config: &DecoderConfig) -> Vec<usize> {
    let history = data.history();
    let end = data.rows.end.min(data.targets.n_bins());
    let usable = |&row: &usize| {
        let ahead = row + config.lead_bins;
        let reach = config.lead_bins + config.trail_bins + 1;
        ahead < end
            && history[ahead] >= reach
            && row > data.rows.start + config.trail_bins
            && data.whole[row - 1]
            && data.whole[row]
    };
    (data.rows.start..end).filter(usable).collect()
}

/// The least-squares problem over usable rows.
struct Problem<'a> {
    movement: &'a Movement,
    x: ArrayView2<'a, f32>,
    rows: Vec<usize>,
    lead: usize,
    n_axes: usize,
    with_position: bool,
    whiten: bool,
    /// States of each usable row and of the row before it, rows × states, scaled and centred.
    state: Mat<f64>,
    state_before: Mat<f64>,
    /// Mean and scale of velocity, per axis; scale is one for all.
    velocity_mean: Vec<f64>,
    velocity_scale: f64,
}

impl<'a> Problem<'a> {
    fn new(
        movement: &'a Movement,
        x: &'a Array2<f32>,
        rows: Vec<usize>,
        with_position: bool,
        config: &DecoderConfig,
    ) -> Self {
        let n_axes = movement.axes.len();
        let (lead, trail) = (config.lead_bins, config.trail_bins);
        let mean = |of: &Array2<f64>, axis: usize| {
            rows.iter().map(|&row| of[(row, axis)]).sum::<f64>() / rows.len() as f64
        };
        let deviation = |of: &Array2<f64>, axis: usize, mean: f64| {
            let square = rows.iter().map(|&row| (of[(row, axis)] - mean).powi(2)).sum::<f64>();
            (square / rows.len() as f64).sqrt()
        };
        let velocity_mean: Vec<f64> = (0..n_axes).map(|axis| mean(&movement.velocity, axis)).collect();
        let squares: f64 =
            (0..n_axes).map(|axis| deviation(&movement.velocity, axis, velocity_mean[axis]).powi(2)).sum();
        let velocity_scale = (squares / n_axes as f64).sqrt();
        let position = movement.position.as_ref().filter(|_| with_position).map(|position| {
            let scaled: Vec<(f64, f64)> = (0..n_axes)
                .map(|axis| {
                    let mean = mean(position, axis);
                    (mean, deviation(position, axis, mean))
                })
                .collect();
            (position, scaled)
        });
        let n_velocity = n_axes * (lead + trail + 1);
        let n_states = n_velocity + if with_position { n_axes } else { 0 };
        // States run from the bin furthest ahead to the one furthest behind, all axes of a bin together.
        let entry = |row: usize, state: usize| {
            let axis = state % n_axes;
            match &position {
                Some((position, scaled)) if state >= n_velocity => {
                    (position[(row + lead, axis)] - scaled[axis].0) / scaled[axis].1
                }
                _ => {
                    let at = row + lead - state / n_axes;
                    (movement.velocity[(at, axis)] - velocity_mean[axis]) / velocity_scale
                }
            }
        };
        let state = Mat::from_fn(rows.len(), n_states, |at, state| entry(rows[at], state));
        let state_before = Mat::from_fn(rows.len(), n_states, |at, state| entry(rows[at] - 1, state));
        Problem {
            movement,
            x: x.view(),
            rows,
            lead,
            n_axes,
            with_position,
            whiten: config.whiten,
            state,
            state_before,
            velocity_mean,
            velocity_scale,
        }
    }

    /// Fits on the rows `at`.
    fn solve(&self, at: &[usize], strength: f64) -> Option<Weights> {
        let features: Vec<usize> = (0..self.x.ncols()).collect();
        self.parameters(at, strength)?.steady(&features)
    }

    /// The matrices that fit the rows `at`.
    fn parameters(&self, at: &[usize], strength: f64) -> Option<KalmanParameters> {
        let take = |of: MatRef<'_, f64>| Mat::from_fn(at.len(), of.ncols(), |i, j| of[(at[i], j)]);
        let (now, before) = (take(self.state.as_ref()), take(self.state_before.as_ref()));
        let (n_states, n_features) = (now.ncols(), self.x.ncols());
        // A and W.
        let a = least_squares(before.as_ref(), now.as_ref(), A_JITTER)?.transpose().to_owned();
        let left = &now - &before * a.transpose();
        let w = left.transpose() * &left * faer::Scale(1.0 / at.len() as f64);
        // C and D together: what explains x(t) is the state and x(t−1).
        let feature = |i: usize, back: usize, j: usize| f64::from(self.x[(self.rows[at[i]] - back, j)]);
        let z = Mat::from_fn(at.len(), n_features, |i, j| feature(i, 0, j));
        let n_known = n_states + if self.whiten { n_features } else { 0 };
        let known = Mat::from_fn(at.len(), n_known, |i, j| match j.checked_sub(n_states) {
            None => now[(i, j)],
            Some(j) => feature(i, 1, j),
        });
        let cd = least_squares(known.as_ref(), z.as_ref(), strength)?;
        let left = &z - &known * &cd;
        let q = shrunk_covariance(left.as_ref());
        let c = cd.subrows(0, n_states).transpose().to_owned();
        let d = self.whiten.then(|| cd.subrows(n_states, n_features).transpose().to_owned());
        let (output, offset) = self.output(at, now.as_ref())?;
        Some(KalmanParameters { transition: a, drift: w, tuning: c, whitening: d, noise: q, output, offset })
    }

    /// H and h: velocity is a state; position at the lead minus the way until then, which least squares knows.
    fn output(&self, at: &[usize], now: MatRef<'_, f64>) -> Option<(Vec<f64>, Vec<f64>)> {
        let n_states = now.ncols();
        let mut output = vec![0.0; self.n_axes * n_states];
        for axis in 0..self.n_axes {
            output[axis * n_states + self.lead * self.n_axes + axis] = self.velocity_scale;
        }
        let mut offset = self.velocity_mean.clone();
        if let (true, Some(position)) = (self.with_position, &self.movement.position) {
            let truth = Mat::from_fn(at.len(), self.n_axes, |i, axis| position[(self.rows[at[i]], axis)]);
            let mean = |axis: usize| truth.col(axis).iter().sum::<f64>() / at.len() as f64;
            let means: Vec<f64> = (0..self.n_axes).map(mean).collect();
            let centred = Mat::from_fn(at.len(), self.n_axes, |i, axis| truth[(i, axis)] - means[axis]);
            let from_state = least_squares(now, centred.as_ref(), A_JITTER)?;
            for axis in 0..self.n_axes {
                output.extend((0..n_states).map(|state| from_state[(state, axis)]));
            }
            offset.extend(means);
        }
        Some((output, offset))
    }

    /// Squared error of velocity over the rows `at` (consecutive), in units of its variance. The filter warms
    /// up on the first bins, which are not counted.
    fn loss(&self, fitted: &Weights, at: &[usize]) -> f64 {
        let Weights { n_states, n_features, ref readout, ref recurrence, ref output, ref offset, lags } =
            *fitted;
        let matrix =
            |values: &[f32]| Mat::from_fn(n_states, n_features, |i, j| f64::from(values[i * n_features + j]));
        let gains: Vec<Mat<f64>> = readout.chunks_exact(n_states * n_features).map(matrix).collect();
        let m = Mat::from_fn(n_states, n_states, |i, j| recurrence[i * n_states + j]);
        let x = |back: usize| {
            Mat::from_fn(n_features, at.len(), |j, i| f64::from(self.x[(self.rows[at[i]] - back, j)]))
        };
        let mut driven = &gains[0] * x(0);
        if lags == 2 {
            driven += &gains[1] * x(1);
        }
        let mut state = faer::Col::<f64>::zeros(n_states);
        let mut loss = 0.0;
        for (i, &at) in at.iter().enumerate() {
            state = &m * &state + driven.col(i);
            if i < WARM_UP_BINS {
                continue;
            }
            for axis in 0..self.n_axes {
                let row = &output[axis * n_states..][..n_states];
                let said: f64 = offset[axis] + row.iter().zip(state.iter()).map(|(h, s)| h * s).sum::<f64>();
                let truth = self.movement.velocity[(self.rows[at], axis)];
                loss += ((said - truth) / self.velocity_scale).powi(2);
            }
        }
        loss
    }
}

/// Bins after which a filter has forgotten that it started from nothing.
const WARM_UP_BINS: usize = 20;
/// Regularises A, whose states are shifted copies of one another: as good as none.
const A_JITTER: f64 = 1e-9;

/// B with least ‖Y − XB‖² + ridge·‖B‖².
pub(super) fn least_squares(x: MatRef<'_, f64>, y: MatRef<'_, f64>, ridge: f64) -> Option<Mat<f64>> {
    let mut gram = gram_of(x);
    for i in 0..gram.ncols() {
        gram[(i, i)] += ridge;
    }
    solve_positive(gram.as_ref(), (x.transpose() * y).as_ref())
}

/// Covariance of zero-mean rows, its off-diagonal shrunk by columns / (columns + rows): with fewer rows than
/// columns the plain one is singular, with many the shrinkage vanishes.
pub(super) fn shrunk_covariance(x: MatRef<'_, f64>) -> Mat<f64> {
    let (n, p) = (x.nrows() as f64, x.ncols() as f64);
    let keep = n / (n + p);
    let gram = gram_of(x);
    Mat::from_fn(x.ncols(), x.ncols(), |i, j| {
        let value = gram[(i.max(j), i.min(j))] / n;
        if i == j { value + Q_FLOOR } else { value * keep }
    })
}

/// Variance, in units of a z-scored feature's, below which no residual is believed.
const Q_FLOOR: f64 = 1e-6;

#[cfg(test)]
mod tests {
    use super::super::dataset::Targets;
    use super::super::gain::steady_state;
    use super::super::slow;
    use super::*;
    use crate::config::Features;

    fn matrix(rows: usize, columns: usize, size: f64, noise: &mut impl FnMut() -> f64) -> Mat<f64> {
        Mat::from_fn(rows, columns, |_, _| size * noise())
    }

    fn covariance(n: usize, noise: &mut impl FnMut() -> f64) -> Mat<f64> {
        let root = matrix(n, n, 1.0, noise);
        &root * root.transpose() + Mat::<f64>::identity(n, n) * faer::Scale(0.3)
    }

    /// The filter of the textbook, its covariance carried from bin to bin.
    struct Textbook {
        a: Mat<f64>,
        w: Mat<f64>,
        c: Mat<f64>,
        q: Mat<f64>,
        s: Mat<f64>,
        p: Mat<f64>,
    }

    impl Textbook {
        /// Takes one observation, a column; K = P⁻Cᵀ(CP⁻Cᵀ + Q)⁻¹.
        fn step(&mut self, x: &Mat<f64>) {
            let prior = &self.a * &self.p * self.a.transpose() + &self.w;
            let innovation = &self.c * &prior * self.c.transpose() + &self.q;
            let gain = slow::solve(&innovation, &(&self.c * &prior)).transpose().to_owned();
            let ahead = &self.a * &self.s;
            self.s = &ahead + &gain * (x - &self.c * &ahead);
            self.p = &prior - &gain * &self.c * &prior;
        }
    }

    #[test]
    fn the_steady_gain_is_where_the_textbook_filter_ends() {
        let (n, p) = (4, 7);
        let mut noise = slow::noise(1);
        let a = matrix(n, n, 0.4, &mut noise) + Mat::<f64>::identity(n, n) * faer::Scale(0.5);
        let (w, q) = (covariance(n, &mut noise), covariance(p, &mut noise));
        let c = matrix(p, n, 1.0, &mut noise);
        let n_matrix = slow::solve(&q, &c).transpose().to_owned();
        let g = &n_matrix * &c;
        let steady = steady_state(a.as_ref(), w.as_ref(), g.as_ref()).expect("it converges");

        let (s, start) = (Mat::zeros(n, 1), w.clone());
        let mut textbook = Textbook { a: a.clone(), w, c, q, s, p: start };
        let gain = &steady * &n_matrix;
        let recurrence = (Mat::<f64>::identity(n, n) - &steady * &g) * &a;
        let mut state = Mat::<f64>::zeros(n, 1);
        for bin in 0..400 {
            let x = matrix(p, 1, 3.0, &mut noise);
            textbook.step(&x);
            state = &recurrence * &state + &gain * &x;
            assert!(bin < 200 || slow::difference(&state, &textbook.s) < 1e-9, "bin {bin}");
        }
        assert!(slow::difference(&steady, &textbook.p) < 1e-10);
    }

    /// One state is heard and fades fast; the other nobody hears, so that W/(1 − λ²) is all that is known of it.
    #[test]
    fn a_state_that_fades_slowly_and_is_not_heard_has_a_gain_and_one_that_stays_has_none() {
        let diagonal = |x: f64, y: f64| Mat::from_fn(2, 2, |i, j| if i != j { 0.0 } else { [x, y][i] });
        let (w, g) = (diagonal(1.0, 0.01), diagonal(3.0, 0.0));
        for fading in [0.99, 0.9966, 0.9999, 0.999_999] {
            let p =
                steady_state(diagonal(0.9, fading).as_ref(), w.as_ref(), g.as_ref()).expect("it converges");
            let expected = 0.01 / (1.0 - fading * fading);
            assert!((p[(1, 1)] / expected - 1.0).abs() < 1e-9, "λ = {fading}: {} for {expected}", p[(1, 1)]);
        }
        for staying in [1.0, 1.001] {
            assert!(steady_state(diagonal(0.9, staying).as_ref(), w.as_ref(), g.as_ref()).is_none());
        }
    }

    /// A recording of two axes and four channels, 600 bins.
    fn recording() -> (Dataset, Movement, Array2<f32>) {
        let mut noise = slow::noise(2);
        let (mut velocity, mut x) = (Array2::zeros((600, 2)), Array2::<f32>::zeros((600, 4)));
        for bin in 1..600 {
            for axis in 0..2 {
                velocity[(bin, axis)] = 0.9 * velocity[(bin - 1, axis)] + 0.3 * noise() + 0.01;
            }
            for channel in 0..4 {
                let tuned = velocity[(bin, channel % 2)] * if channel < 2 { 1.0 } else { -0.7 };
                x[(bin, channel)] = (tuned + 0.5 * noise()) as f32;
            }
        }
        let axes = vec!["x".to_string(), "y".to_string()];
        let movement = Movement { axes, unit: "m".into(), velocity, position: None };
        let data = Dataset {
            features: x.clone().into_shared(),
            kinds: Features::Counts,
            starts_segment: (0..600).map(|bin| bin == 0).collect(),
            whole: vec![true; 600],
            received: vec![true; 600],
            targets: Targets::Movement(movement.clone()),
            rows: 0..600,
        };
        (data, movement, x)
    }

    #[test]
    fn a_plain_fit_decodes_as_the_textbook_filter_with_the_same_matrices() {
        let (data, movement, x) = recording();
        let (strength, n, p) = (2.0, 2, 4);
        let config = DecoderConfig {
            lead_bins: 0,
            trail_bins: 0,
            whiten: false,
            ridge: vec![strength],
            ..DecoderConfig::default()
        };
        let weights = fit(&data, &movement, &x, false, &config).expect("regular").weights;
        assert_eq!((weights.lags, weights.n_states), (1, n));

        // Wu et al. (2006), from the first row that has one before it.
        let rows: Vec<usize> = windows(&data, &config);
        assert_eq!(rows, (1..600).collect::<Vec<_>>());
        let mean = |axis| rows.iter().map(|&row| movement.velocity[(row, axis)]).sum::<f64>() / 599.0;
        let means = [mean(0), mean(1)];
        let centred = |row: usize, axis: usize| movement.velocity[(row, axis)] - means[axis];
        let squares: f64 = rows.iter().map(|&row| centred(row, 0).powi(2) + centred(row, 1).powi(2)).sum();
        let scale = (squares / 599.0 / 2.0).sqrt();
        let now = Mat::from_fn(599, n, |i, axis| centred(rows[i], axis) / scale);
        let before = Mat::from_fn(599, n, |i, axis| centred(rows[i] - 1, axis) / scale);
        let z = Mat::from_fn(599, p, |i, channel| f64::from(x[(rows[i], channel)]));
        let a =
            slow::solve(&(before.transpose() * &before), &(before.transpose() * &now)).transpose().to_owned();
        let left = &now - &before * a.transpose();
        let w = left.transpose() * &left * faer::Scale(1.0 / 599.0);
        let mut gram = now.transpose() * &now;
        (0..n).for_each(|i| gram[(i, i)] += strength);
        let c = slow::solve(&gram, &(now.transpose() * &z)).transpose().to_owned();
        let left = &z - &now * c.transpose();
        let q = left.transpose() * &left * faer::Scale(1.0 / 599.0);
        let keep = 599.0 / (599.0 + p as f64);
        let q = Mat::from_fn(p, p, |i, j| if i == j { q[(i, j)] + Q_FLOOR } else { q[(i, j)] * keep });

        let mut textbook = Textbook { a, w: w.clone(), c, q, s: Mat::zeros(n, 1), p: w };
        let mut state = vec![0.0; n];
        for bin in 0..600 {
            let observed = Mat::from_fn(p, 1, |channel, _| f64::from(x[(bin, channel)]));
            textbook.step(&observed);
            let dot = |values: &[f64], by: &[f64]| values.iter().zip(by).map(|(v, b)| v * b).sum::<f64>();
            let gains: Vec<f64> = weights.readout.iter().map(|&gain| f64::from(gain)).collect();
            let seen: Vec<f64> = (0..p).map(|channel| observed[(channel, 0)]).collect();
            let next =
                |i: usize| dot(&weights.recurrence[i * n..][..n], &state) + dot(&gains[i * p..][..p], &seen);
            state = (0..n).map(next).collect();
            for (axis, mean) in means.iter().enumerate() {
                let said = dot(&weights.output[axis * n..][..n], &state) + weights.offset[axis];
                let expected = textbook.s[(axis, 0)] * scale + mean;
                assert!(bin < 50 || (said - expected).abs() < 1e-6, "bin {bin}: {said} for {expected}");
            }
        }
    }

    #[test]
    fn no_row_reaches_across_a_segment_a_loss_or_the_range() {
        let (mut data, ..) = recording();
        data.starts_segment[300] = true;
        data.whole[100] = false;
        data.rows = 20..500;
        let config = DecoderConfig { lead_bins: 3, trail_bins: 2, ..DecoderConfig::default() };
        let rows = windows(&data, &config);
        // One more before the trail, for the state before.
        let fits = |row: &usize| {
            let reach = row - 3..=row + 3;
            let crosses = *reach.start() < 300 && *reach.end() >= 300;
            !crosses && *reach.start() >= 20 && *reach.end() < 500 && *row != 100 && *row != 101
        };
        assert_eq!(rows, (20..500).filter(fits).collect::<Vec<_>>());
    }
}
