//! What the subject meant in the last milliseconds.
//!
//! In: one intended velocity a millisecond, as a fraction of full speed. Out: the same, some milliseconds
//! later, for neurons that answer with a delay. Guarantees that what is not finite counts as rest and that
//! no intended velocity exceeds [`SPEED_MAX`].

/// A ring of intended velocities, one a millisecond.
#[derive(Clone, Debug)]
pub(super) struct Intended {
    ring: [[f32; 2]; RING],
    newest: usize,
}

impl Intended {
    /// Rest since ever.
    pub(super) fn new() -> Self {
        Intended { ring: [[0.0; 2]; RING], newest: 0 }
    }

    /// Appends the intended velocity of the next millisecond, in fractions of full speed.
    pub(super) fn push(&mut self, velocity: [f64; 2]) {
        self.newest = (self.newest + 1) % RING;
        let speed = velocity[0].hypot(velocity[1]);
        let scale = if speed > SPEED_MAX { SPEED_MAX / speed } else { 1.0 };
        self.ring[self.newest] =
            if speed.is_finite() { velocity.map(|v| (v * scale) as f32) } else { [0.0; 2] };
    }

    /// The intended velocity of `delay_ms` before the newest.
    #[inline]
    pub(super) fn before(&self, delay_ms: u8) -> [f32; 2] {
        self.ring[(self.newest + RING - usize::from(delay_ms)) % RING]
    }
}

/// Longest delay that can be asked for, ms.
pub(super) const LAG_MAX_MS: u8 = 250;
const RING: usize = 256;
const _: () = assert!((LAG_MAX_MS as usize) < RING && RING.is_power_of_two());
/// Faster intended velocities are held to this many full speeds.
const SPEED_MAX: f64 = 2.0;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_intended_velocity_is_found_again_after_its_delay() {
        let mut intended = Intended::new();
        for ms in 0..300 {
            intended.push([f64::from(ms) / 300.0, 0.0]);
        }
        assert_eq!(intended.before(0), [(299.0f64 / 300.0) as f32, 0.0]);
        assert_eq!(intended.before(LAG_MAX_MS), [(49.0f64 / 300.0) as f32, 0.0]);
        intended.push([f64::NAN, 1.0]);
        assert_eq!(intended.before(0), [0.0, 0.0]);
        intended.push([30.0, 40.0]);
        let [x, y] = intended.before(0);
        assert!((x - 1.2).abs() < 1e-6 && (y - 1.6).abs() < 1e-6);
    }
}
