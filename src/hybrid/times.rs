//! When an added unit fires: a Poisson process with a refractory period.
//!
//! In: a rate and a generator. Out: frames in order, at least the refractory period apart, and far enough from both
//! ends of the recording that a detector has its filter settled and the whole spike is there.

use crate::time::SampleRate;
use rand::RngExt;
use rand_xoshiro::Xoshiro256PlusPlus;

/// Frames at which a unit of `rate_hz` fires within `n_frames`.
pub(super) fn draw(
    n_frames: usize,
    sample_rate: SampleRate,
    rate_hz: f64,
    rng: &mut Xoshiro256PlusPlus,
) -> Vec<usize> {
    let margin = MARGIN_SECONDS * sample_rate.hz();
    let refractory = REFRACTORY_SECONDS * sample_rate.hz();
    // The wait after the refractory period makes up for it, so that the mean rate is the asked one.
    let wait = sample_rate.hz() / rate_hz - refractory;
    let mut exponential = || -wait * (1.0 - rng.random_range(0.0..1.0_f64)).ln();
    let mut times = Vec::new();
    let mut time = margin + exponential();
    while time < n_frames as f64 - margin {
        times.push(time.round() as usize);
        time += refractory.ceil() + exponential();
    }
    times
}

/// Two spikes of a unit are never closer.
pub(super) const REFRACTORY_SECONDS: f64 = 0.003;
/// Without added spikes at either end.
const MARGIN_SECONDS: f64 = 0.1;

#[cfg(test)]
mod tests {
    use super::*;
    use rand::SeedableRng;

    #[test]
    fn the_mean_rate_is_the_asked_one_and_spikes_keep_apart() {
        let rate = SampleRate::new(20_000.0, "test").expect("legal");
        for rate_hz in [2.0, 50.0, 100.0] {
            let n_frames = 4_000_000;
            let times = draw(n_frames, rate, rate_hz, &mut Xoshiro256PlusPlus::seed_from_u64(1));
            let found = times.len() as f64 / (n_frames as f64 / 20_000.0 - 2.0 * MARGIN_SECONDS);
            assert!((found / rate_hz - 1.0).abs() < 0.1, "{found} for {rate_hz}");
            assert!(times.windows(2).all(|pair| pair[1] - pair[0] >= 59), "3 ms, to a rounding");
            assert!(times[0] >= 2_000 && times[times.len() - 1] <= n_frames - 2_000);
        }
    }
}
