//! (A + λ)·w = b for several λ at once, by conjugate gradients in one Krylov space.
//!
//! In: A as a product with [`LANES`] vectors, b one vector a lane. Out: w for every λ and lane. The residuals of all
//! systems are collinear, so that those of the least λ give the steps of the others, and A is multiplied once an
//! iteration however many λ there are (Jegerlehner 1996, hep-lat/9612014; Frommer 2003, Computing 70:87). Vectors
//! are `f32`, their products are summed in `f64`, in the order of the columns.

use super::counts::{LANES, Lanes};

/// What came out.
pub(super) struct Solved {
    /// One for each shift, columns × lanes.
    pub solutions: Vec<Vec<Lanes>>,
    /// Products with A that were taken.
    pub iterations: usize,
    /// The greatest ‖b − (A + λ)w‖ / ‖b‖ of any lane at the least λ, by its recurrence.
    pub residual: f64,
}

/// Solves for every strength in `strengths`, ascending. Stops where every lane's residual at the least is below
/// `residual_max` of its b, or after `iterations_max`; `tick` hears how far the residual fell, 0 to 1.
pub(super) fn solve(
    b: &[Lanes],
    strengths: &[f64],
    residual_max: f64,
    iterations_max: usize,
    mut product: impl FnMut(&[Lanes]) -> Vec<Lanes>,
    mut tick: impl FnMut(f64),
) -> Solved {
    let least = strengths[0];
    let start = dots(b, b);
    let mut r = b.to_vec();
    let mut p = b.to_vec();
    let mut shifts: Vec<Shift> = strengths.iter().map(|strength| Shift::new(strength - least, b)).collect();
    let mut square = start;
    let (mut step_before, mut turn_before) = ([1.0; LANES], [0.0; LANES]);
    let mut iterations = 0;
    let far = |square: &[f64; LANES]| {
        let share = |lane: usize| if start[lane] > 0.0 { (square[lane] / start[lane]).sqrt() } else { 0.0 };
        (0..LANES).map(share).fold(0.0, f64::max)
    };
    while iterations < iterations_max && far(&square) > residual_max {
        let mut q = product(&p);
        add_scaled(&mut q, &[least; LANES], &p);
        let along = dots(&p, &q);
        let step = each(|lane| if along[lane] > 0.0 { square[lane] / along[lane] } else { 0.0 });
        for shift in &mut shifts {
            shift.step(&step, &step_before, &turn_before);
        }
        add_scaled(&mut r, &each(|lane| -step[lane]), &q);
        let next = dots(&r, &r);
        let turn = each(|lane| if square[lane] > 0.0 { next[lane] / square[lane] } else { 0.0 });
        scale_and_add(&mut p, &turn, &[1.0; LANES], &r);
        for shift in &mut shifts {
            shift.turn(&turn, &r);
        }
        (square, step_before, turn_before) = (next, step, turn);
        iterations += 1;
        tick((far(&square).max(residual_max).ln() / residual_max.ln()).clamp(0.0, 1.0));
    }
    Solved {
        solutions: shifts.into_iter().map(|shift| shift.solution).collect(),
        iterations,
        residual: far(&square),
    }
}

/// One λ's system: its residual is ζ times that of the least.
struct Shift {
    by: f64,
    zeta: [f64; LANES],
    zeta_before: [f64; LANES],
    zeta_next: [f64; LANES],
    solution: Vec<Lanes>,
    p: Vec<Lanes>,
}

impl Shift {
    fn new(by: f64, b: &[Lanes]) -> Self {
        let one = [1.0; LANES];
        let solution = vec![Lanes::default(); b.len()];
        Shift { by, zeta: one, zeta_before: one, zeta_next: one, solution, p: b.to_vec() }
    }

    /// w ← w + α_σ·p_σ
    fn step(&mut self, step: &[f64; LANES], step_before: &[f64; LANES], turn_before: &[f64; LANES]) {
        self.zeta_next = each(|lane| {
            let (zeta, before) = (self.zeta[lane], self.zeta_before[lane]);
            let (a, a_before) = (step[lane], step_before[lane]);
            let below = a_before * before * (1.0 + a * self.by) + a * turn_before[lane] * (before - zeta);
            if below != 0.0 { zeta * before * a_before / below } else { 0.0 }
        });
        let own = each(|lane| step[lane] * ratio(self.zeta_next[lane], self.zeta[lane]));
        add_scaled(&mut self.solution, &own, &self.p);
    }

    /// p_σ ← ζ·r + β_σ·p_σ
    fn turn(&mut self, turn: &[f64; LANES], r: &[Lanes]) {
        let own = each(|lane| turn[lane] * ratio(self.zeta_next[lane], self.zeta[lane]).powi(2));
        scale_and_add(&mut self.p, &own, &self.zeta_next, r);
        self.zeta_before = self.zeta;
        self.zeta = self.zeta_next;
    }
}

fn ratio(a: f64, b: f64) -> f64 {
    if b != 0.0 { a / b } else { 0.0 }
}

fn each(of: impl FnMut(usize) -> f64) -> [f64; LANES] {
    std::array::from_fn(of)
}

/// Σ a·b of each lane.
pub(super) fn dots(a: &[Lanes], b: &[Lanes]) -> [f64; LANES] {
    let mut sums = [0.0; LANES];
    for (a, b) in a.iter().zip(b) {
        for (lane, sum) in sums.iter_mut().enumerate() {
            *sum += f64::from(a.0[lane]) * f64::from(b.0[lane]);
        }
    }
    sums
}

/// y ← y + a·x
fn add_scaled(y: &mut [Lanes], a: &[f64; LANES], x: &[Lanes]) {
    let a = a.map(|a| a as f32);
    for (y, x) in y.iter_mut().zip(x) {
        for (lane, a) in a.iter().enumerate() {
            y.0[lane] += a * x.0[lane];
        }
    }
}

/// y ← a·y + b·x
fn scale_and_add(y: &mut [Lanes], a: &[f64; LANES], b: &[f64; LANES], x: &[Lanes]) {
    let (a, b) = (a.map(|a| a as f32), b.map(|b| b as f32));
    for (y, x) in y.iter_mut().zip(x) {
        for lane in 0..LANES {
            y.0[lane] = a[lane] * y.0[lane] + b[lane] * x.0[lane];
        }
    }
}
