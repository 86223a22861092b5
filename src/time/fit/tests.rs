//! A fit against simulated clocks whose truth is known.

use super::*;
use proptest::prelude::*;
use proptest::test_runner::RngSeed;

/// A simulated clock: its offset, its rate, what that does, and one jump.
#[derive(Clone, Debug)]
struct Simulated {
    start_ns: f64,
    rate_ppm: f64,
    wander_ppm_per_s: f64,
    jump_at_s: f64,
    jump_ns: f64,
}

impl Simulated {
    /// What the clock says at `at_ns`, ns of its own.
    fn device_ns(&self, at_ns: f64) -> f64 {
        let at_s = at_ns / 1e9;
        let jump = if at_s >= self.jump_at_s { self.jump_ns } else { 0.0 };
        // The rate swings about its mean, never faster than it may.
        let swing_ns = self.wander_ppm_per_s * 1e3 * (1.0 - (at_s / SWING_S).cos()) * SWING_S * SWING_S;
        self.start_ns + at_ns + self.rate_ppm * 1e3 * at_s + swing_ns + jump
    }

    fn time(&self, at_ns: f64, rate: SampleRate, has_fraction: bool) -> DeviceTime {
        let samples = self.device_ns(at_ns) * rate.hz() / 1e9;
        let fraction = if has_fraction { (samples.fract() * 65_536.0) as u16 } else { 0 };
        DeviceTime { sample: samples as u64, fraction }
    }
}

/// Delays: a floor, and what comes on top of it.
fn delay_ns(floor_ns: f64, spread_ns: f64, random: f64) -> f64 {
    // Mostly near the floor, now and then far off it.
    floor_ns + spread_ns * random * random * random * random
}

#[test]
fn it_knows_nothing_before_an_exchange() {
    let mut fit = ClockFit::new(rate(20_000.0));
    assert_eq!(fit.reading(HostTime { ns: 5 }), None);
    assert_eq!(fit.arrival(DeviceTime::default(), HostTime { ns: 5 }), Fitted::Refused);
    assert_eq!(fit.host_time(DeviceTime::default()), None);
    let before = fit.exchange(HostTime { ns: 10 }, DeviceTime::default(), 0, HostTime { ns: 9 });
    assert_eq!(before, Fitted::Refused, "an answer before its question");
    let held = fit.exchange(HostTime { ns: 10 }, DeviceTime::default(), 1000, HostTime { ns: 100 });
    assert_eq!((held, fit.n_exchanges()), (Fitted::Refused, 0), "held for longer than it took");
}

#[test]
fn one_exchange_is_known_to_half_its_round_trip() {
    let mut fit = ClockFit::new(rate(20_000.0));
    // 1,000.5 samples in the middle of a round trip of 10 ms: 50.025 ms on the device's clock at 105 ms on the host's.
    let device = DeviceTime { sample: 1000, fraction: 32_768 };
    fit.exchange(HostTime { ns: 100_000_000 }, device, 0, HostTime { ns: 110_000_000 });
    let reading = fit.reading(HostTime { ns: 105_000_000 }).expect("an exchange");
    assert!((reading.sample - 1000.5).abs() < 0.01, "{reading:?}");
    assert!((reading.uncertainty_ns - 5e6).abs() < 5e3, "half of 10 ms and the drift: {reading:?}");
    assert!((reading.uncertainty_samples - 100.0).abs() < 0.1 && reading.rate_uncertainty_ppm <= 250.1);
    let (at, uncertainty_ns) = fit.host_time(device).expect("an exchange");
    assert!(at.ns.abs_diff(105_000_000) < 5_000 && (uncertainty_ns - 5e6).abs() < 1e4);
}

#[test]
fn a_restarted_fit_counts_its_jumps_and_begins_anew() {
    let mut fit = ClockFit::new(rate(1000.0));
    let ask = |fit: &mut ClockFit, at_ms: u64, sample: u64| {
        let device = DeviceTime { sample, fraction: 1 };
        fit.exchange(HostTime { ns: at_ms * MS }, device, 0, HostTime { ns: (at_ms + 2) * MS })
    };
    assert_eq!(ask(&mut fit, 1000, 5001), Fitted::Agrees);
    assert_eq!(ask(&mut fit, 2000, 6001), Fitted::Agrees);
    assert_eq!(ask(&mut fit, 3000, 6501), Fitted::Jumped, "it stood still for half a second");
    let reading = fit.reading(HostTime { ns: 3001 * MS }).expect("begun anew");
    assert!((reading.sample - 6501.0).abs() < 1.1 && fit.n_jumps() == 1, "{reading:?}");
    // Something dated ahead of all that the clock may say.
    let ahead = DeviceTime { sample: 9000, fraction: 0 };
    assert_eq!(fit.arrival(ahead, HostTime { ns: 3500 * MS }), Fitted::Jumped);
    assert_eq!((fit.reading(HostTime { ns: 3500 * MS }), fit.n_jumps()), (None, 2));
    assert_eq!(ask(&mut fit, 4000, 9501), Fitted::Agrees);
    fit.reset();
    assert_eq!((fit.reading(HostTime { ns: 4000 * MS }), fit.n_jumps()), (None, 2));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, max_shrink_iters: 200, rng_seed: RngSeed::Fixed(1), ..ProptestConfig::default() })]

    /// Over two minutes of asking twice a second over a radio with uneven ways: the truth lies within what is stated,
    /// always, and what is stated is worth having.
    #[test]
    fn the_truth_lies_within_the_stated_uncertainty(
        start_s in 0.0f64..1e6,
        rate_ppm in -200.0f64..200.0,
        wander in -1.0f64..1.0,
        floors_ms in (0.5f64..20.0, 0.5f64..20.0),
        spread_ms in 0.0f64..100.0,
        hz in prop::sample::select(vec![1000.0, 19_531.0, 30_000.0]),
        has_fraction: bool,
        jump in (20.0f64..100.0, -1.0f64..1.0),
        random in prop::collection::vec(0.0f64..1.0, 240 * 3),
    ) {
        // Jumps far larger than any uncertainty: those within it are the module's stated exception.
        let jump_ns = if jump.1.abs() < 0.5 { 0.0 } else { jump.1 * 2e9 };
        let clock = Simulated {
            start_ns: start_s * 1e9 + 3e9,
            rate_ppm,
            wander_ppm_per_s: wander * WANDER_MAX_PPM_PER_S * 0.99,
            jump_at_s: jump.0,
            jump_ns,
        };
        let rate = rate(hz);
        let mut fit = ClockFit::new(rate);
        let (mut n_jumps, mut widest_ns) = (0, 0.0f64);
        for (turn, random) in random.chunks_exact(3).enumerate() {
            let sent = 1e9 + turn as f64 * 0.5e9;
            let there = sent + delay_ns(floors_ms.0 * 1e6, spread_ms * 1e6, random[0]);
            let held_us = (random[2] * 3000.0) as u32;
            let handed = there + f64::from(held_us) * 1e3;
            let back = handed + delay_ns(floors_ms.1 * 1e6, spread_ms * 1e6, random[1]);
            let device = clock.time(there, rate, has_fraction);
            let host = |ns: f64| HostTime { ns: ns as u64 };
            // A third of the answers never comes.
            if turn % 3 != 1 {
                n_jumps += u64::from(fit.exchange(host(sent), device, held_us, host(back)) == Fitted::Jumped);
            }
            let written = clock.time(back + 30e6, rate, false);
            n_jumps += u64::from(fit.arrival(written, host(back + 31e6)) == Fitted::Jumped);
            let is_fresh = back + 40e6 > jump.0 * 1e9 && (turn as f64) * 0.5 < jump.0 + 4.0;
            for later_s in [-3.0, 0.0, 0.4, 5.0] {
                let at = back + 40e6 + later_s * 1e9;
                let crosses = (at - jump.0 * 1e9) * (back - jump.0 * 1e9) < 0.0;
                let unseen = jump_ns != 0.0 && (is_fresh || crosses);
                let Some(reading) = fit.reading(host(at)).filter(|_| !unseen && at > 0.0) else { continue };
                let truth = clock.device_ns(at) * rate.hz() / 1e9;
                // An f64 of a million seconds of samples has some 1e-5 of one.
                let off = (reading.sample - truth).abs() - 1e-4;
                prop_assert!(off <= reading.uncertainty_samples, "{off} off: {reading:?} at {at}, {clock:?}");
                let (inverse, uncertainty_ns) = fit.host_time(clock.time(at, rate, true)).expect("a reading");
                let off_ns = (inverse.ns as f64 - at).abs() - 2e9 / hz / 65_536.0 - 2.0;
                prop_assert!(off_ns <= uncertainty_ns, "{off_ns} ns off of {uncertainty_ns}: {clock:?}");
                if turn > 100 && later_s == 0.0 && jump_ns == 0.0 {
                    widest_ns = widest_ns.max(reading.uncertainty_ns);
                    let rate_off = (reading.rate_ppm - clock.rate_ppm).abs();
                    prop_assert!(rate_off <= reading.rate_uncertainty_ppm + 5.0, "{reading:?}: {clock:?}");
                }
            }
        }
        prop_assert_eq!(n_jumps > 0, jump_ns != 0.0);
        // Half of the shortest round trip, a sample where there is no fraction, and some room for luck and for the drift.
        let floor_ns = (floors_ms.0 + floors_ms.1) / 2.0 * 1e6 + 1e9 / hz;
        prop_assert!(widest_ns < floor_ns + 4e6, "{widest_ns} ns where {floor_ns} can be had");
    }
}

fn rate(hz: f64) -> SampleRate {
    SampleRate::new(hz, "test").expect("legal")
}

const MS: u64 = 1_000_000;
/// The swing of the simulated rate takes 2 π times this.
const SWING_S: f64 = 30.0;
