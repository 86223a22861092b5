//! A recording of movement made from a fixed seed: counts that are tuned to the velocity of a hand.

use super::mat::Array;

/// Bins × what stands in them; the same each time.
pub(crate) struct Movement {
    /// `n_channels` counts of each bin.
    pub(crate) counts: Vec<u8>,
    /// x, y and an unused z of each bin.
    pub(crate) position: Vec<f64>,
    pub(crate) velocity: Vec<f64>,
    pub(crate) n_channels: usize,
}

impl Movement {
    /// A hand that wanders for `n_bins` bins of 50 ms while `n_channels` channels listen.
    pub(crate) fn new(n_channels: usize, n_bins: usize) -> Self {
        let mut seed = SEED;
        let mut random = move || {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (seed >> 33) as f64 / (1u64 << 31) as f64
        };
        let (mut counts, mut position, mut velocity) = (Vec::new(), Vec::new(), Vec::new());
        let (mut at, mut speed) = ([0.0; 2], [0.0; 2]);
        for _ in 0..n_bins {
            for axis in 0..2 {
                speed[axis] = 0.9 * speed[axis] + 0.2 * (random() - 0.5);
                at[axis] = 0.98 * at[axis] + 0.05 * speed[axis];
            }
            velocity.extend([speed[0], speed[1], 0.0]);
            position.extend([at[0], at[1], 0.0]);
            for channel in 0..n_channels {
                let angle = channel as f64 * 2.4;
                let rate = 3.0 + 8.0 * (angle.cos() * speed[0] + angle.sin() * speed[1]);
                counts.push((rate.max(0.0) + 2.0 * random()) as u8);
            }
        }
        Movement { counts, position, velocity, n_channels }
    }

    /// The variables that the mapping `m1-reaching` names.
    pub(crate) fn variables(self) -> Vec<(&'static str, Array)> {
        vec![
            ("spikes", Array::U8 { rows: self.n_channels, values: self.counts }),
            ("handPos", Array::F64 { rows: 3, values: self.position }),
            ("handVel", Array::F64 { rows: 3, values: self.velocity }),
        ]
    }
}

const SEED: u64 = 20_261_122;
