//! To what movement the high gamma of each source and of each electrode is tuned.
//!
//! In: a lattice of sources, the intended velocity. Out: the gain of each source's high gamma; the ground truth of each
//! electrode. Guarantees that preferred directions turn smoothly from place to place, and that the power of an
//! electrode is tuned exactly as its [`Site`] says as long as no source is silent.
//!
//! An electrode hears independent sources with weights w whose squares add to 1, so that its power is Σ w² · power of
//! the source: a sum of cosines of one velocity, which is a cosine again, with depth and direction of Σ w² · (tuning of
//! the source).

use super::lattice::{Lattice, Place};
use super::settings::Potential;
use rand_distr::{Distribution, StandardNormal};
use rand_xoshiro::Xoshiro256PlusPlus;

/// An electrode in a field, as the simulator made it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Site {
    /// Its channel.
    pub electrode: usize,
    /// Where it lies: along a row and across rows, mm from the first.
    pub place_mm: [f64; 2],
    /// Whether its high gamma is tuned to velocity at all.
    pub tuned: bool,
    /// Share of its high gamma's power at rest that full speed in its preferred direction adds, beyond `gain`.
    pub depth: f64,
    /// Preferred direction, radians from the x axis.
    pub preferred: f64,
    /// Share of its high gamma's power at rest that full speed adds in any direction.
    pub gain: f64,
}

impl Site {
    pub(super) fn new(electrode: usize, place_mm: [f64; 2], place: &Place, tuning: &[Tuning]) -> Self {
        let sum = |of: fn(&Tuning) -> f32| -> f64 {
            let part = |n: usize| {
                f64::from(place.weights[n]).powi(2) * f64::from(of(&tuning[place.nodes[n] as usize]))
            };
            (0..4).map(part).sum()
        };
        let (x, y) = (sum(|t| t.x), sum(|t| t.y));
        Site {
            electrode,
            place_mm,
            tuned: x.hypot(y) > 0.0,
            depth: x.hypot(y),
            preferred: y.atan2(x),
            gain: sum(|t| t.speed),
        }
    }
}

/// To what a source is tuned, and how loud that makes it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Tuning {
    /// Depth times the preferred direction.
    x: f32,
    y: f32,
    speed: f32,
    gain: f32,
}

impl Tuning {
    /// Takes the velocity, in fractions of full speed.
    #[inline]
    pub(super) fn follow(&mut self, [x, y]: [f32; 2]) {
        let power = 1.0 + self.x * x + self.y * y + self.speed * (x * x + y * y).sqrt();
        self.gain = power.max(0.0).sqrt();
    }

    /// By what the amplitude of its high gamma at rest is multiplied.
    #[inline]
    pub(super) fn gain(&self) -> f32 {
        self.gain
    }
}

/// The tuning of every source of `lattice`: smooth maps of direction and of where there is any.
pub(super) fn draw(lattice: &Lattice, potential: &Potential, rng: &mut Xoshiro256PlusPlus) -> Vec<Tuning> {
    let maps: [Waves; 3] = std::array::from_fn(|_| Waves::draw(rng));
    let at = |map: usize, node: usize| maps[map].at(lattice.node_mm(node));
    let n = lattice.n_nodes();
    let mut ranked: Vec<usize> = (0..n).collect();
    ranked.sort_by(|&a, &b| at(2, a).total_cmp(&at(2, b)));
    let mut tuned = vec![false; n];
    let n_tuned = (potential.tuned * n as f64).round() as usize;
    ranked[..n_tuned].iter().for_each(|&node| tuned[node] = true);
    (0..n)
        .map(|node| {
            let live = if tuned[node] { 1.0 } else { 0.0 };
            let preferred = at(1, node).atan2(at(0, node));
            let depth = potential.gamma_depth * live;
            Tuning {
                x: (depth * preferred.cos()) as f32,
                y: (depth * preferred.sin()) as f32,
                speed: (potential.gamma_gain * live) as f32,
                gain: 1.0,
            }
        })
        .collect()
}

/// A smooth random map of the plane: plane waves of one length in all directions.
struct Waves([[f64; 4]; N_WAVES]);

impl Waves {
    fn draw(rng: &mut Xoshiro256PlusPlus) -> Self {
        let mut normal = || -> f64 { StandardNormal.sample(rng) };
        let steepness = std::f64::consts::TAU / MAP_MM;
        Waves(std::array::from_fn(|_| {
            let (x, y) = (normal(), normal());
            let length = x.hypot(y).max(f64::MIN_POSITIVE);
            [x / length * steepness, y / length * steepness, normal(), normal()]
        }))
    }

    fn at(&self, [x, y]: [f64; 2]) -> f64 {
        self.0
            .iter()
            .map(|[kx, ky, cos, sin]| cos * (kx * x + ky * y).cos() + sin * (kx * x + ky * y).sin())
            .sum()
    }
}

/// Length of the waves of a map; chosen: neighbours at 0.44 mm differ by a few degrees, and an array of 13 mm holds
/// all directions.
const MAP_MM: f64 = 10.0;
const N_WAVES: usize = 12;
