//! Clicking by staying: for who has no click to decode.
//!
//! In: the cursor's place once a step. Out: whether the button goes down now. Guarantees that one stay clicks once: the cursor
//! must leave before it can click again, and at no step that wasn't finite.

/// What counts as staying.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct DwellSettings {
    /// How long.
    pub seconds: f64,
    /// All places of a stay are within so much of their mean, in the workspace's unit.
    pub radius: f64,
    /// Length of a step.
    pub step_seconds: f64,
}

/// Clicks for who stays.
#[derive(Clone, Debug)]
pub struct Dwell {
    radius: f64,
    /// The last places, a ring as long as a stay.
    places: Vec<[f64; 2]>,
    next: usize,
    filled: usize,
    /// Where it clicked last, until the cursor has left.
    clicked_at: Option<[f64; 2]>,
}

impl Dwell {
    /// Of a cursor that wasn't anywhere yet. The memory is taken now.
    pub fn new(settings: DwellSettings) -> Self {
        let steps = (settings.seconds / settings.step_seconds).round().clamp(1.0, STEPS_MAX) as usize;
        let radius = settings.radius;
        Dwell { radius, places: vec![[0.0; 2]; steps], next: 0, filled: 0, clicked_at: None }
    }

    /// The cursor is at `cursor`; whether it clicks.
    pub fn step(&mut self, cursor: [f64; 2]) -> bool {
        if !cursor.iter().all(|at| at.is_finite()) {
            self.filled = 0;
            return false;
        }
        let n = self.places.len();
        self.places[self.next] = cursor;
        self.next = (self.next + 1) % n;
        self.filled = (self.filled + 1).min(n);
        if let Some(at) = self.clicked_at {
            if (cursor[0] - at[0]).hypot(cursor[1] - at[1]) <= self.radius {
                return false;
            }
            // It has left: a stay begins here.
            self.clicked_at = None;
            self.filled = 1;
            self.places[0] = cursor;
            self.next = 1 % n;
        }
        if self.filled < n {
            return false;
        }
        let sum = self.places.iter().fold([0.0; 2], |sum, at| [sum[0] + at[0], sum[1] + at[1]]);
        let mean = sum.map(|sum| sum / n as f64);
        let stays = self.places.iter().all(|at| (at[0] - mean[0]).hypot(at[1] - mean[1]) <= self.radius);
        if stays {
            self.clicked_at = Some(mean);
        }
        stays
    }
}

/// A minute of steps of 1 ms.
const STEPS_MAX: f64 = 60_000.0;

#[cfg(test)]
mod tests {
    use super::*;

    fn dwell() -> Dwell {
        Dwell::new(DwellSettings { seconds: 0.1, radius: 1.0, step_seconds: 0.02 })
    }

    #[test]
    fn a_stay_clicks_once_and_passing_never() {
        let mut dwell = dwell();
        let clicks: Vec<bool> = (0..20).map(|_| dwell.step([5.0, 0.0])).collect();
        assert_eq!(clicks.iter().filter(|click| **click).count(), 1);
        assert!(clicks[4], "after 100 ms");
        // Away and back: once more. Passing at a radius a step: never.
        assert!(!dwell.step([8.0, 0.0]));
        let again = (0..20).filter(|_| dwell.step([5.0, 0.0])).count();
        assert_eq!(again, 1);
        assert!((0..100).all(|step| !dwell.step([20.0 + f64::from(step), 0.0])));
    }

    #[test]
    fn what_is_not_finite_is_no_stay() {
        let mut dwell = dwell();
        (0..4).for_each(|_| assert!(!dwell.step([0.0; 2])));
        assert!(!dwell.step([f64::NAN, 0.0]));
        (0..4).for_each(|_| assert!(!dwell.step([0.0; 2])));
        assert!(dwell.step([0.0; 2]));
    }
}
