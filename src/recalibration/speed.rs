//! How fast a user goes, by how far the target is.
//!
//! In: distances, and what was decoded along the way then, of a decoder that is fresh. Out: the speed that was intended at a
//! distance. A decoder that explains a share of the variance says, on average, that share of what was intended: its noise is
//! no movement. So the mean over many bins over that share is what was intended. Frozen after [`SEEN`] bins: a profile that
//! followed decoders that follow it would shrink with each.

/// Speeds by distance.
#[derive(Clone, Debug, PartialEq)]
pub struct SpeedProfile {
    explained: f64,
    /// The unit of distance: the first target's radius.
    unit: Option<f64>,
    sums: [f64; N],
    counts: [u32; N],
    seen: u32,
}

impl SpeedProfile {
    /// Nothing is known yet; `explained` is the decoder's share of the velocity's variance.
    pub fn new(explained: f64) -> Self {
        let explained = if explained.is_finite() { explained.clamp(EXPLAINED_MIN, 1.0) } else { 1.0 };
        SpeedProfile { explained, unit: None, sums: [0.0; N], counts: [0; N], seen: 0 }
    }

    /// At this distance so much was decoded `along` the way to a target of this radius.
    pub fn see(&mut self, far: f64, radius: f64, along: f64) {
        if self.seen >= SEEN || !along.is_finite() || radius.is_nan() || radius <= 0.0 {
            return;
        }
        let unit = *self.unit.get_or_insert(radius);
        let at = place(far / unit);
        self.sums[at] += along / self.explained;
        self.counts[at] += 1;
        self.seen += 1;
    }

    /// The speed that is intended at this distance; `None` until enough was seen. 0 on the target.
    pub fn at(&self, far: f64, radius: f64) -> Option<f64> {
        let unit = self.unit.filter(|_| self.seen >= SEEN)?;
        if far <= radius * 0.5 {
            return Some(0.0);
        }
        // The nearest that was seen often enough stands for those that weren't.
        let wanted = place(far / unit);
        let known = (0..N).filter(|&at| self.counts[at] >= COUNT_MIN);
        let at = known.min_by_key(|at| at.abs_diff(wanted))?;
        Some((self.sums[at] / f64::from(self.counts[at])).max(0.0))
    }
}

/// Two to each doubling of the distance, from half a radius on.
fn place(far: f64) -> usize {
    ((2.0 * far.log2() + 2.0).round().max(0.0) as usize).min(N - 1)
}

const N: usize = 18;
/// Bins after which it stands.
const SEEN: u32 = 1000;
/// Bins at a distance that say something.
const COUNT_MIN: u32 = 20;
/// A decoder that explains less isn't driven with.
const EXPLAINED_MIN: f64 = 0.1;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mean_over_noise_and_shrinkage_is_what_was_intended() {
        let mut profile = SpeedProfile::new(0.5);
        assert_eq!(profile.at(1.0, 0.01), None);
        for n in 0..SEEN {
            let far = [0.02, 0.16][n as usize % 2];
            let noise = if n % 4 < 2 { 0.3 } else { -0.3 };
            profile.see(far, 0.01, 0.5 * far * 2.0 + noise);
        }
        let near = profile.at(0.02, 0.01).expect("known");
        assert!((near - 0.04).abs() < 1e-9, "{near}");
        assert!((profile.at(0.16, 0.01).expect("known") - 0.32).abs() < 1e-9);
        assert_eq!(profile.at(50.0, 0.01), profile.at(0.16, 0.01), "the nearest that is known");
        assert_eq!(profile.at(0.004, 0.01), Some(0.0), "on the target one rests");
        let before = profile.clone();
        profile.see(0.02, 0.01, 99.0);
        profile.see(0.02, 0.01, f64::NAN);
        assert_eq!(profile, before, "it stands");
    }

    #[test]
    fn what_is_no_number_says_nothing() {
        let mut profile = SpeedProfile::new(f64::NAN);
        for _ in 0..SEEN {
            profile.see(0.1, 0.01, f64::NAN);
            profile.see(0.1, 0.0, 1.0);
        }
        assert_eq!(profile.at(0.1, 0.01), None);
    }
}
