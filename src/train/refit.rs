//! ReFIT: a Kalman filter that is fitted on what the user meant, and that knows where the cursor is (Gilja et al. 2012,
//! Nature Neuroscience 15:1752, online methods).
//!
//! In: bins in which a cursor was moved to targets. Out: a filter that runs as the same recurrence as all others. Two changes
//! to the plain velocity filter:
//!
//! 1. What is fitted is not how the cursor went but how it was meant to go: as fast as it did, straight at the target; and
//!    not at all within it.
//! 2. The state holds the position too, since channels are tuned to it, but takes it as known: it is what the cursor did, on
//!    the screen, and no channel moves it. With K of the velocity alone,
//!
//! > p(t) = p(t−1) + Δ·v(t−1),  v⁻ = A·v(t−1),  v(t) = v⁻ + K·(x(t) − C_v·v⁻ − C_p·p(t))
//!
//! Where something else than the decoder moves the cursor (a border, a mouse), tell it by
//! [`crate::decode::Decoder::place_cursor`].

use super::dataset::{Dataset, Movement};
use super::gain::steady_state;
use super::kalman::{least_squares, shrunk_covariance};
use super::ridge::solve_positive;
use crate::decode::{Normaliser, Weights};
use crate::error::Error;
use crate::intents::AXES_MAX;
use faer::Mat;
use ndarray::Array2;

/// How the user meant to go, in place of how the cursor went: `velocity`'s size towards `target`, 0 within `radius` of it.
/// Values along axes that aren't in use are 0.
pub fn intended_velocity(
    cursor: [f64; AXES_MAX],
    velocity: [f64; AXES_MAX],
    target: [f64; AXES_MAX],
    radius: f64,
) -> [f64; AXES_MAX] {
    let size = |of: &[f64; AXES_MAX]| of.iter().map(|x| x * x).sum::<f64>().sqrt();
    let way: [f64; AXES_MAX] = std::array::from_fn(|axis| target[axis] - cursor[axis]);
    let far = size(&way);
    if far <= radius || far == 0.0 { [0.0; AXES_MAX] } else { way.map(|x| x / far * size(&velocity)) }
}

/// The movement of a session as it was meant: `targets` are bins × axes, in the unit of position.
///
/// # Errors
/// A movement without positions; targets of other bins or axes.
pub fn intended(movement: &Movement, targets: &Array2<f64>, radius: f64) -> Result<Movement, Error> {
    let place = "what was meant";
    let position =
        movement.position.as_ref().filter(|position| position.dim() == targets.dim()).ok_or_else(|| {
            Error::fit(place, "positions and targets are not of the same bins and axes")
                .legal("a position and a target for every bin")
        })?;
    let mut velocity = movement.velocity.clone();
    for (bin, mut into) in velocity.rows_mut().into_iter().enumerate() {
        let of = |from: &Array2<f64>| -> [f64; AXES_MAX] {
            std::array::from_fn(|axis| if axis < from.ncols() { from[(bin, axis)] } else { 0.0 })
        };
        let meant = intended_velocity(of(position), of(&movement.velocity), of(targets), radius);
        into.iter_mut().zip(meant).for_each(|(into, meant)| *into = meant);
    }
    Ok(Movement { velocity, ..movement.clone() })
}

/// Fits on the dataset's rows; `meant` is the movement as it was meant, `bin_seconds` a bin's width. Weights over all
/// features that `normaliser` scales, with velocity and position as outputs.
///
/// # Errors
/// No position, too few bins, a fit that is singular.
pub fn fit_refit(
    data: &Dataset,
    meant: &Movement,
    normaliser: &Normaliser,
    bin_seconds: f64,
    ridge: f64,
) -> Result<Weights, Error> {
    let place = "fit of ReFIT";
    let n_axes = meant.axes.len();
    let position = meant.position.as_ref().ok_or_else(|| {
        Error::fit(place, "the movement has no position").legal("where the cursor was, in every bin")
    })?;
    let n_features = normaliser.n_features();
    let kept: Vec<usize> = (0..n_features).filter(|&f| normaliser.inverse_deviation()[f] != 0.0).collect();
    let x = data.normalised(normaliser, &kept);
    let history = data.history();
    let rows: Vec<usize> = data.fit_rows().into_iter().filter(|&row| history[row] > 0).collect();
    if rows.len() < 2 * (kept.len() + 2 * n_axes).max(20) {
        return Err(Error::fit(place, format!("{} bins for {} channels", rows.len(), kept.len()))
            .field("bins")
            .legal("twice as many bins as channels")
            .hint("a longer session"));
    }
    let n = rows.len();
    let now = Mat::from_fn(n, n_axes, |i, axis| meant.velocity[(rows[i], axis)]);
    let before = Mat::from_fn(n, n_axes, |i, axis| meant.velocity[(rows[i] - 1, axis)]);
    let observed = Mat::from_fn(n, kept.len(), |i, j| f64::from(x[(rows[i], j)]));
    // Velocity, position, and a constant: positions have an origin that means nothing.
    let known = Mat::from_fn(n, 2 * n_axes + 1, |i, j| match j {
        j if j < n_axes => now[(i, j)],
        j if j < 2 * n_axes => position[(rows[i], j - n_axes)],
        _ => 1.0,
    });
    let fit = || {
        let a = least_squares(before.as_ref(), now.as_ref(), TINY)?.transpose().to_owned();
        let left = &now - &before * a.transpose();
        let w = left.transpose() * &left * faer::Scale(1.0 / n as f64);
        let c = least_squares(known.as_ref(), observed.as_ref(), ridge)?;
        let left = &observed - &known * &c;
        let q = shrunk_covariance(left.as_ref());
        let c = c.transpose().to_owned();
        let c_velocity = c.subcols(0, n_axes).to_owned();
        let n_matrix = solve_positive(q.as_ref(), c_velocity.as_ref())?.transpose().to_owned();
        let g = &n_matrix * &c_velocity;
        let p = steady_state(a.as_ref(), w.as_ref(), g.as_ref())?;
        Some((a, &p * n_matrix, c))
    };
    let (a, k, c) = fit().ok_or_else(|| {
        Error::fit(place, "it is singular, or its gain doesn't converge")
            .legal("movement that changes, channels that are not copies of one another")
    })?;
    Ok(weights(&a, &k, &c, bin_seconds, n_axes, &kept, n_features))
}

/// The recurrence over s = (v, p + p₀). The constant u of what is observed is that of positions around another origin,
/// C_p·p₀ = u: features have mean 0, so that u = −C_p·p̄ but for the mean velocity.
fn weights(
    a: &Mat<f64>,
    k: &Mat<f64>,
    c: &Mat<f64>,
    bin_seconds: f64,
    n_axes: usize,
    kept: &[usize],
    n_features: usize,
) -> Weights {
    let n_states = 2 * n_axes;
    // v(t) = (1 − K·C_v)·A·v − K·C_p·(p + Δ·v) + K·x, and p(t) = p + Δ·v.
    let kc = k * c;
    let mut recurrence = vec![0.0; n_states * n_states];
    for i in 0..n_axes {
        for j in 0..n_axes {
            let heard: f64 = (0..n_axes).map(|l| kc[(i, l)] * a[(l, j)]).sum();
            recurrence[i * n_states + j] = a[(i, j)] - heard - kc[(i, n_axes + j)] * bin_seconds;
            recurrence[i * n_states + n_axes + j] = -kc[(i, n_axes + j)];
        }
        recurrence[(n_axes + i) * n_states + i] = bin_seconds;
        recurrence[(n_axes + i) * n_states + n_axes + i] = 1.0;
    }
    let mut readout = vec![0.0; n_states * n_features];
    for axis in 0..n_axes {
        for (at, &feature) in kept.iter().enumerate() {
            readout[axis * n_features + feature] = k[(axis, at)] as f32;
        }
    }
    let u = c.col(2 * n_axes);
    let c_position = c.subcols(n_axes, n_axes).to_owned();
    let u = Mat::from_fn(c.nrows(), 1, |i, _| u[i]);
    let origin = least_squares(c_position.as_ref(), u.as_ref(), TINY);
    let origin: Vec<f64> = (0..n_axes).map(|axis| origin.as_ref().map_or(0.0, |o| o[(axis, 0)])).collect();
    let mut output = vec![0.0; n_states * n_states];
    (0..n_states).for_each(|i| output[i * n_states + i] = 1.0);
    let mut offset = vec![0.0; n_states];
    // The state's position is p + p₀, so that what is said is that less p₀.
    (0..n_axes).for_each(|axis| offset[n_axes + axis] = -origin[axis]);
    Weights { n_features, lags: 1, n_states, readout, recurrence, output, offset }
}

/// Regularises what is regular anyway.
const TINY: f64 = 1e-9;

#[cfg(test)]
mod tests {
    use super::super::dataset::Targets;
    use super::super::slow;
    use super::*;
    use crate::config::{Features, NormaliserKind};
    use crate::decode::{Decoder, LinearDecoder, Output};
    use crate::intents::Action;

    #[test]
    fn the_way_is_turned_and_the_speed_kept() {
        let meant = intended_velocity([1.0, 1.0, 0.0], [3.0, -4.0, 0.0], [1.0, 9.0, 0.0], 0.5);
        assert_eq!(meant, [0.0, 5.0, 0.0]);
        assert_eq!(
            intended_velocity([1.0, 1.0, 0.0], [3.0, 4.0, 0.0], [1.2, 1.0, 0.0], 0.5),
            [0.0; AXES_MAX]
        );
        assert_eq!(intended_velocity([1.0; 3], [3.0; 3], [1.0; 3], 0.0), [0.0; AXES_MAX], "no way is no way");
    }

    /// A cursor that goes from target to target with errors, and channels tuned to what was meant and to where it is.
    fn session(n: usize) -> (Dataset, Movement, Array2<f64>) {
        let mut noise = slow::noise(8);
        let zeros = || Array2::<f64>::zeros((n, 2));
        let (mut position, mut velocity, mut targets) = (zeros(), zeros(), zeros());
        let mut features = Array2::<f32>::zeros((n, 12));
        let (mut at, mut target) = ([0.0; 2], [3.0, 1.0]);
        for bin in 0..n {
            if bin % 60 == 0 {
                target = [4.0 * noise(), 4.0 * noise()];
            }
            let way: Vec<f64> = (0..2).map(|axis| target[axis] - at[axis]).collect();
            let far = (way[0] * way[0] + way[1] * way[1]).sqrt().max(1e-9);
            let speed = if far > 0.4 { 2.0 } else { 0.0 };
            for axis in 0..2 {
                let meant = speed * way[axis] / far;
                velocity[(bin, axis)] = meant + 1.2 * noise();
                position[(bin, axis)] = at[axis];
                targets[(bin, axis)] = target[axis];
                at[axis] += 0.05 * velocity[(bin, axis)];
            }
            for channel in 0..12 {
                let angle = channel as f64 * 0.7;
                let along = |x: f64, y: f64| angle.cos() * x + angle.sin() * y;
                let tuned = along(speed * way[0] / far, speed * way[1] / far);
                let placed = 0.4 * along(position[(bin, 1)], position[(bin, 0)]);
                features[(bin, channel)] = (3.0 + tuned + placed + 1.5 * noise()) as f32;
            }
        }
        let axes = vec!["x".to_string(), "y".to_string()];
        let movement = Movement { axes, unit: "cm".into(), velocity, position: Some(position) };
        let data = Dataset {
            features: features.into_shared(),
            kinds: Features::Counts,
            starts_segment: (0..n).map(|bin| bin == 0).collect(),
            whole: vec![true; n],
            received: vec![true; n],
            targets: Targets::Movement(movement.clone()),
            rows: 0..n,
        };
        (data, movement, targets)
    }

    #[test]
    fn the_recurrence_is_the_filter_with_a_known_position() {
        let (data, movement, targets) = session(1200);
        let meant = intended(&movement, &targets, 0.4).expect("of the same bins");
        let normaliser = Normaliser::fit(NormaliserKind::Zscore, data.features.view(), &[true; 12]);
        let weights = fit_refit(&data, &meant, &normaliser, 0.05, 1.0).expect("regular");
        let output = Output::Move { n_axes: 2, has_position: true };
        let linear = LinearDecoder::new(weights.clone(), output).expect("sizes fit");
        let mut decoder = Decoder::new(normaliser, linear);
        // The decoder is told where the cursor is, as on a screen.
        let position = movement.position.as_ref().expect("it has positions");
        let (mut along, mut size, mut still) = (0.0, 0.0, 0.0);
        for bin in 0..1200 {
            if bin > 0 {
                decoder.place_cursor([position[(bin - 1, 0)], position[(bin - 1, 1)], 0.0]);
            }
            let Action::Move { velocity, .. } = decoder.decode(&data.bin(bin)).action else {
                panic!("it moves")
            };
            for (axis, v) in velocity.iter().take(2).map(|v| f64::from(*v)).enumerate() {
                let m = meant.velocity[(bin, axis)];
                along += m * v;
                size += m * m;
                still += (m - v).powi(2);
            }
        }
        assert!(along / size > 0.6, "it goes where it was meant to: {}", along / size);
        assert!(still < 0.6 * size, "and not elsewhere: {}", still / size);
    }

    #[test]
    fn what_it_cannot_be_fitted_on_is_said() {
        let (data, movement, targets) = session(100);
        let normaliser = Normaliser::fit(NormaliserKind::Zscore, data.features.view(), &[true; 12]);
        let without = Movement { position: None, ..movement.clone() };
        assert!(intended(&without, &targets, 0.4).is_err());
        assert!(fit_refit(&data, &without, &normaliser, 0.05, 1.0).is_err());
        let few = Dataset { rows: 0..20, ..data };
        assert!(fit_refit(&few, &movement, &normaliser, 0.05, 1.0).is_err());
    }
}
