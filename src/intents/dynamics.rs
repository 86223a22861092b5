//! Decoded velocity to the cursor's: bias, gain, smoothing, curve, magnets, cap, in this order.
//!
//! In: a decoded velocity once a bin, and the way to the target that pulls, if any. Out: the cursor's velocity, in the same
//! unit. Guarantees: with the settings as they stand the very bits that came in; never faster than the cap; what is not
//! finite passes through as it is and leaves no trace, so that the stage behind it ([`super::Safety`]) can see it.
//!
//! Bias: a running mean of what is faster than a threshold (Jarosiewicz et al. 2015, Sci Transl Med 7:313ra179). Gain,
//! smoothing of first order and curve: Willett et al. (2019, Sci Rep 9:8881); a curve above 1 makes
//! less of the noise of a cursor that should rest, and leaves a fast one as it is.

use super::AXES_MAX;
use crate::config::CursorConfig;

/// The cursor's dynamics, with their state.
#[derive(Clone, Debug, PartialEq)]
pub struct Dynamics {
    config: CursorConfig,
    seconds: f64,
    bias: [f64; AXES_MAX],
    smooth: [f64; AXES_MAX],
}

impl Dynamics {
    /// At rest, for bins of `seconds`.
    pub fn new(config: CursorConfig, seconds: f64) -> Self {
        Dynamics { config, seconds, bias: [0.0; AXES_MAX], smooth: [0.0; AXES_MAX] }
    }

    /// The cursor's velocity for a bin; `way` leads from the cursor to the nearest magnetic target.
    pub fn step(&mut self, velocity: [f32; AXES_MAX], way: Option<[f32; AXES_MAX]>) -> [f32; AXES_MAX] {
        if self.config.is_default() || velocity.iter().any(|v| !v.is_finite()) {
            return velocity;
        }
        let CursorConfig { gain, smoothing_ms, curve, curve_speed, speed_cap, .. } = self.config;
        let mut v = velocity.map(f64::from);
        self.take_bias(&mut v);
        v.iter_mut().for_each(|v| *v *= gain);
        if smoothing_ms > 0.0 {
            let pole = (-self.seconds * 1e3 / smoothing_ms).exp();
            for (smooth, v) in self.smooth.iter_mut().zip(&mut v) {
                *smooth = pole * *smooth + (1.0 - pole) * *v;
                *v = *smooth;
            }
        }
        if curve != 1.0 {
            let scale = (norm(&v) / curve_speed).powf(curve - 1.0);
            // At rest a curve below 1 has no end.
            v.iter_mut().for_each(|v| *v *= if scale.is_finite() { scale } else { 0.0 });
        }
        self.pull(&mut v, way);
        let speed = norm(&v);
        if speed_cap > 0.0 && speed > speed_cap {
            v.iter_mut().for_each(|v| *v *= speed_cap / speed);
        }
        v.map(|v| v as f32)
    }

    /// Forgets all bins.
    pub fn reset(&mut self) {
        self.bias = [0.0; AXES_MAX];
        self.smooth = [0.0; AXES_MAX];
    }

    fn take_bias(&mut self, v: &mut [f64; AXES_MAX]) {
        let CursorConfig { bias_seconds, bias_speed, .. } = self.config;
        if bias_seconds <= 0.0 {
            return;
        }
        if norm(v) >= bias_speed {
            let share = (self.seconds / bias_seconds).min(1.0);
            self.bias.iter_mut().zip(&*v).for_each(|(bias, v)| *bias += share * (v - *bias));
        }
        v.iter_mut().zip(self.bias).for_each(|(v, bias)| *v -= bias);
    }

    /// A pull that grows from nothing at the radius, as a spring's does from its middle, and is nothing on the target.
    fn pull(&self, v: &mut [f64; AXES_MAX], way: Option<[f32; AXES_MAX]>) {
        let CursorConfig { magnet_per_s, magnet_radius, .. } = self.config;
        let Some(way) = way.map(|way| way.map(f64::from)).filter(|way| norm(way).is_finite()) else { return };
        let near = 1.0 - norm(&way) / magnet_radius;
        if magnet_per_s > 0.0 && near > 0.0 {
            v.iter_mut().zip(way).for_each(|(v, way)| *v += magnet_per_s * near * way);
        }
    }
}

fn norm(v: &[f64; AXES_MAX]) -> f64 {
    v.iter().map(|v| v * v).sum::<f64>().sqrt()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use proptest::test_runner::RngSeed;

    fn dynamics(config: CursorConfig) -> Dynamics {
        Dynamics::new(config, 0.02)
    }

    #[test]
    fn each_does_what_its_formula_says() {
        let base = CursorConfig::default();
        let once = |config, v: f32| dynamics(config).step([v, 0.0, 0.0], None)[0];
        assert_eq!(once(CursorConfig { gain: 2.0, ..base }, 0.3), 0.6);
        // Half of the reference speed, squared: a quarter of it.
        assert_eq!(once(CursorConfig { curve: 2.0, curve_speed: 1.0, ..base }, 0.5), 0.25);
        assert_eq!(once(CursorConfig { curve: 0.5, curve_speed: 1.0, ..base }, 0.0), 0.0);
        assert_eq!(once(CursorConfig { speed_cap: 0.1, ..base }, -5.0), -0.1);
        let mut smooth = dynamics(CursorConfig { smoothing_ms: 20.0, ..base });
        let first = smooth.step([1.0, 0.0, 0.0], None)[0];
        assert!((first - (1.0 - (-1.0f32).exp())).abs() < 1e-6, "{first}");
        let mut biased = dynamics(CursorConfig { bias_seconds: 1.0, ..base });
        let mut last = 0.0;
        (0..500).for_each(|_| last = biased.step([0.2, 0.0, 0.0], None)[0]);
        assert!(last.abs() < 1e-4, "a constant drift is gone after 10 time constants: {last}");
        // Halfway into the radius: half of the pull.
        let mut magnet = dynamics(CursorConfig { magnet_per_s: 4.0, magnet_radius: 1.0, ..base });
        assert_eq!(magnet.step([0.0; 3], Some([0.5, 0.0, 0.0])), [1.0, 0.0, 0.0]);
        assert_eq!(magnet.step([0.0; 3], Some([2.0, 0.0, 0.0])), [0.0; 3]);
        assert_eq!(magnet.step([0.0; 3], None), [0.0; 3]);
    }

    proptest! {
        #![proptest_config(ProptestConfig { rng_seed: RngSeed::Fixed(1), ..ProptestConfig::default() })]

        #[test]
        fn nothing_is_faster_than_the_cap_and_what_is_not_finite_leaves_no_trace(
            bits in prop::collection::vec(prop::num::f32::ANY, 1..60),
            gain in 0.0..100.0f64, smoothing_ms in 0.0..500.0f64, bias_seconds in 0.0..3.0f64, curve in 0.1..4.0f64,
        ) {
            let config = CursorConfig {
                gain, smoothing_ms, bias_seconds, curve, curve_speed: 0.3, speed_cap: 0.5, ..CursorConfig::default()
            };
            let (mut whole, mut finite) = (dynamics(config), dynamics(config));
            for v in bits {
                let v = [v.clamp(-1e9, 1e9), 0.1, 0.0];
                let out = whole.step(v, Some([v[0], 0.0, 0.0]));
                if v[0].is_finite() {
                    prop_assert!(norm(&out.map(f64::from)) <= 0.5 * (1.0 + 1e-6), "{:?} of {:?}", out, v);
                    prop_assert_eq!(out, finite.step(v, Some([v[0], 0.0, 0.0])));
                } else {
                    prop_assert!(!out[0].is_finite());
                }
            }
        }

        #[test]
        fn unasked_it_gives_the_bits_that_came(bits in prop::num::u32::ANY) {
            let v = [f32::from_bits(bits), 1.0, -0.0];
            let out = dynamics(CursorConfig::default()).step(v, Some([1.0; 3]));
            prop_assert_eq!(out.map(f32::to_bits), v.map(f32::to_bits));
        }
    }
}
