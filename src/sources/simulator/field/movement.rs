//! Beta over a movement: it falls when one is intended, stays low while it lasts, and rebounds after it.
//!
//! In: the speed, a millisecond at a time, the greater of the intended one and that of the movement that follows.
//! Out: the gain of beta. Guarantees a gain of 1 at long rest and of √(1 − depth) in long movement, and never a NaN.
//!
//! Power = 1 − depth · a + rebound · max(0, b − a) / peak, where a follows "moves" (0 or 1, less at slow speeds) with
//! a short time constant and b with a long one. Pfurtscheller et al. (1997, Electroencephalogr Clin Neurophysiol
//! 102:316) saw desynchronisation before movement, and within the first second after it a power of 12–26 Hz that was
//! 232 ± 82 % above rest for brisk movements. Their desynchronisation began about 1 s before movement; here it begins
//! with the intent, which in a closed loop is all that is known.

use super::settings::Potential;

/// What movement has done to beta.
#[derive(Clone, Debug)]
pub(super) struct Movement {
    depth: f32,
    rebound: f32,
    active: f32,
    tired: f32,
    gain: f32,
}

impl Movement {
    /// At rest since ever.
    pub(super) fn new(potential: &Potential) -> Self {
        Movement {
            depth: potential.beta_depth as f32,
            rebound: potential.beta_rebound as f32,
            active: 0.0,
            tired: 0.0,
            gain: 1.0,
        }
    }

    /// Lives through a millisecond of `speed`, a fraction of full speed.
    pub(super) fn tick(&mut self, speed: f32) {
        let moves = (speed / SPEED_OF_MOVEMENT).min(1.0);
        self.active += (moves - self.active) * (1.0 / ACTIVE_MS);
        self.tired += (self.active - self.tired) * (1.0 / TIRED_MS);
        let after = (self.tired - self.active).max(0.0) * (1.0 / REBOUND_PEAK);
        self.gain = (1.0 - self.depth * self.active + self.rebound * after).sqrt();
    }

    /// By what the amplitude of beta at rest is multiplied.
    pub(super) fn beta_gain(&self) -> f32 {
        self.gain
    }
}

/// From this share of full speed on, a movement is one; chosen.
const SPEED_OF_MOVEMENT: f32 = 0.05;
/// Time constants, chosen for a rebound that is greatest 0.4 s after a long movement.
const ACTIVE_MS: f32 = 200.0;
const TIRED_MS: f32 = 1_000.0;
/// What is the greatest difference after a long movement: r (e^(−t/T) − e^(−t/A)) with T and A the time constants,
/// r = T / (T − A), and t = ln(T / A) · A · T / (T − A).
const REBOUND_PEAK: f32 = 0.668_74;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn power_falls_by_the_depth_and_rebounds_by_the_asked_share_within_a_second() {
        let potential = Potential { beta_depth: 0.7, beta_rebound: 2.0, ..Potential::default() };
        let mut movement = Movement::new(&potential);
        let mut live = |ms: usize, speed: f32| -> Vec<f32> {
            let tick = |_| {
                movement.tick(speed);
                movement.beta_gain().powi(2)
            };
            (0..ms).map(tick).collect()
        };
        assert!(live(3_000, 0.0).iter().all(|&power| power == 1.0));
        let moving = live(10_000, 0.5);
        assert!(moving.windows(2).all(|pair| pair[1] <= pair[0] + 1e-6), "it only falls");
        assert!(moving[200] < 0.6, "most of it within 0.2 s");
        assert!((moving[9_999] - 0.3).abs() < 1e-3);
        let after = live(20_000, 0.0);
        let (at, peak) =
            after.iter().enumerate().fold((0, 0.0), |best, (at, &p)| if p > best.1 { (at, p) } else { best });
        assert!((300..1_000).contains(&at), "{at} ms");
        // A little of the desynchronisation is left at the peak: a = e^(−0.402 / 0.2) = 0.134.
        assert!((peak - (3.0 - 0.7 * 0.134)).abs() < 0.02, "{peak}");
        assert!((after[19_999] - 1.0).abs() < 1e-3);
    }
}
