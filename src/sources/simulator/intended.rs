//! What the subject meant in the last milliseconds.
//!
//! In: one intended velocity a millisecond, as a fraction of full speed, and whether a click is meant. Out: the same, some milliseconds
//! later, for neurons that answer with a delay. Guarantees that what is not finite counts as rest and that
//! no intended velocity exceeds [`SPEED_MAX`].

/// A ring of intended velocities, one a millisecond.
#[derive(Clone, Debug)]
pub(super) struct Intended {
    ring: [[f32; 2]; RING],
    /// 1 where a click was meant.
    clicks: [f32; RING],
    n_clicks: u32,
    is_clicking: bool,
    newest: usize,
}

impl Intended {
    /// Rest since ever.
    pub(super) fn new() -> Self {
        Intended { ring: [[0.0; 2]; RING], clicks: [0.0; RING], n_clicks: 0, is_clicking: false, newest: 0 }
    }

    /// Appends the intended velocity of the next millisecond, in fractions of full speed.
    pub(super) fn push(&mut self, velocity: [f64; 2]) {
        self.newest = (self.newest + 1) % RING;
        let speed = velocity[0].hypot(velocity[1]);
        let scale = if speed > SPEED_MAX { SPEED_MAX / speed } else { 1.0 };
        self.ring[self.newest] =
            if speed.is_finite() { velocity.map(|v| (v * scale) as f32) } else { [0.0; 2] };
        let click = &mut self.clicks[self.newest];
        self.n_clicks = self.n_clicks + u32::from(self.is_clicking) - u32::from(*click > 0.0);
        *click = f32::from(u8::from(self.is_clicking));
    }

    /// A click is meant from the next millisecond on, or none.
    pub(super) fn set_click(&mut self, is_clicking: bool) {
        self.is_clicking = is_clicking;
    }

    /// A click was meant in any of the milliseconds that can be asked for.
    #[inline]
    pub(super) fn has_clicks(&self) -> bool {
        self.n_clicks > 0
    }

    /// 1 where a click was meant `delay_ms` before the newest, else 0.
    #[inline]
    pub(super) fn click_before(&self, delay_ms: u8) -> f32 {
        self.clicks[(self.newest + RING - usize::from(delay_ms)) % RING]
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

    #[test]
    fn a_click_is_found_again_and_forgotten() {
        let mut intended = Intended::new();
        for ms in 0..1_000 {
            intended.set_click((100..140).contains(&ms));
            intended.push([0.0; 2]);
            for delay in [0u8, 150, LAG_MAX_MS] {
                let meant = (100..140).contains(&(ms - i32::from(delay)));
                assert_eq!(intended.click_before(delay) > 0.0, meant, "{ms}, {delay}");
            }
            assert_eq!(intended.has_clicks(), (100..140 + RING as i32 - 1).contains(&ms), "{ms}");
        }
    }
}
