//! The clock of a device whose oscillator is off and whose stamps may jump: true time in, its time and samples out.
//!
//! In: true time, µs since the start. Out: µs and samples since the device last got power. All is whole numbers;
//! rounding is down and adds up to nothing however long the device runs.

use crate::faults::{Effect, Script};

/// A script's clock. It has two readings: its oscillator, by which it samples and which only drifts, and its stamps,
/// which jump too.
#[derive(Clone, Debug)]
pub struct DeviceClock {
    /// Ascending from 0.
    pieces: Vec<Piece>,
}

/// A time in which nothing changes.
#[derive(Clone, Copy, Debug)]
struct Piece {
    from_us: u64,
    is_on: bool,
    /// The oscillator at `from_us`, in 10⁻⁹ µs.
    ticks: i128,
    parts_per_billion: i64,
    /// Stamps minus oscillator.
    jumped_us: i64,
}

impl DeviceClock {
    /// A clock that reads 0 at time 0.
    pub fn new(script: &Script) -> Self {
        let off = script.off();
        let mut times: Vec<u64> = off.iter().flat_map(|(from, to)| [from, to]).chain([0]).collect();
        for fault in script.faults() {
            match fault.effect {
                Effect::ClockDrift { .. } => times.extend([fault.from_us, fault.to_us]),
                Effect::ClockJump { .. } => times.push(fault.from_us),
                _ => {}
            }
        }
        times.sort_unstable();
        times.dedup();
        let mut pieces: Vec<Piece> = Vec::with_capacity(times.len());
        for from_us in times {
            let is_on = !off.contains(from_us);
            let (mut drift, mut jump) = (0, 0);
            for fault in script.faults() {
                match fault.effect {
                    Effect::ClockDrift { parts_per_billion } if fault.is_active(from_us) => {
                        drift = parts_per_billion
                    }
                    Effect::ClockJump { by_us } if fault.from_us == from_us => jump += by_us,
                    _ => {}
                }
            }
            let (ticks, jumped_us) = match pieces.last() {
                Some(last) if last.is_on => (last.ticks(from_us), last.jumped_us),
                _ => (0, 0),
            };
            // A clock counts from 0: one that is put back further than it ran begins there.
            let jumped_us = (jumped_us + jump).max(-((ticks / TICKS_PER_US) as i64));
            pieces.push(match is_on {
                true => Piece { from_us, is_on, ticks, parts_per_billion: drift, jumped_us },
                false => Piece { from_us, is_on, ticks: 0, parts_per_billion: 0, jumped_us: 0 },
            });
        }
        DeviceClock { pieces }
    }

    /// What the oscillator has counted since the device last got power, µs; 0 while it is off.
    pub fn ticks_us(&self, now_us: u64) -> u64 {
        (self.piece(now_us).ticks(now_us) / TICKS_PER_US) as u64
    }

    /// What the device would stamp, µs: the oscillator and all jumps since the device last got power. A clock that is
    /// put back further than it ran begins at 0.
    pub fn stamp_us(&self, now_us: u64) -> u64 {
        let jumped = i128::from(self.piece(now_us).jumped_us);
        (self.piece(now_us).ticks(now_us) / TICKS_PER_US + jumped).max(0) as u64
    }

    /// Samples taken since the device last got power, at a rate in mHz of its own time.
    pub fn samples_taken(&self, now_us: u64, rate_millihertz: u32) -> u64 {
        samples(self.piece(now_us).ticks(now_us), rate_millihertz)
    }

    /// The sample number that the device would stamp: [`DeviceClock::samples_taken`] with all jumps, as in
    /// [`DeviceClock::stamp_us`].
    pub fn stamp_samples(&self, now_us: u64, rate_millihertz: u32) -> u64 {
        let piece = self.piece(now_us);
        let jumped = i128::from(piece.jumped_us) * TICKS_PER_US;
        samples((piece.ticks(now_us) + jumped).max(0), rate_millihertz)
    }

    fn piece(&self, now_us: u64) -> &Piece {
        // The first piece begins at 0, so that there is one before any time.
        &self.pieces[self.pieces.partition_point(|piece| piece.from_us <= now_us) - 1]
    }
}

impl Piece {
    fn ticks(&self, now_us: u64) -> i128 {
        let passed = i128::from(now_us - self.from_us);
        let rate = TICKS_PER_US + i128::from(self.parts_per_billion);
        if self.is_on { self.ticks + passed * rate } else { 0 }
    }
}

fn samples(ticks: i128, rate_millihertz: u32) -> u64 {
    (ticks * i128::from(rate_millihertz) / (TICKS_PER_US * 1_000_000_000)) as u64
}

/// The oscillator counts in so small steps that a drift in parts per billion is whole.
const TICKS_PER_US: i128 = 1_000_000_000;

#[cfg(test)]
mod tests {
    use super::*;

    fn clock(text: &str) -> DeviceClock {
        DeviceClock::new(&Script::parse(text, "test").expect("a legal script"))
    }

    #[test]
    fn a_good_clock_tells_true_time() {
        let clock = clock("");
        for now in [0, 1, 33, 34, 1_000_000, 1_000_000_000_000] {
            assert_eq!((clock.ticks_us(now), clock.stamp_us(now)), (now, now));
        }
        assert_eq!((clock.samples_taken(33, 30_000_000), clock.samples_taken(34, 30_000_000)), (0, 1));
        assert_eq!(clock.samples_taken(86_400_000_000, 19_531_250), 1_687_500_000, "a day at 19,531.25 Hz");
    }

    #[test]
    fn drift_adds_up_to_the_microsecond() {
        let clock = clock("[[fault]]\nkind = \"clock-drift\"\nfrom_s = 10\nto_s = 3610\nppm = -200");
        assert_eq!(clock.ticks_us(10_000_000), 10_000_000);
        assert_eq!(clock.ticks_us(3_610_000_000), 3_610_000_000 - 720_000, "3,600 s by 200 ppm are 0.72 s");
        assert_eq!(clock.ticks_us(4_000_000_000), 4_000_000_000 - 720_000);
        assert_eq!(clock.samples_taken(3_610_000_000, 1_000_000), 3_609_280);
    }

    #[test]
    fn jumps_move_the_stamps_and_no_sample() {
        let clock = clock(
            "[[fault]]\nkind = \"clock-jump\"\nat_s = 1\nby_ms = 250\n\
             [[fault]]\nkind = \"clock-jump\"\nat_s = 2\nby_ms = -5000",
        );
        assert_eq!(clock.stamp_us(999_999), 999_999);
        assert_eq!((clock.stamp_us(1_000_000), clock.ticks_us(1_000_000)), (1_250_000, 1_000_000));
        assert_eq!(clock.stamp_samples(1_000_000, 1_000_000), 1_250);
        assert_eq!(clock.stamp_us(3_000_000), 1_000_000, "no clock is put back further than to 0");
        assert_eq!(
            (clock.stamp_us(6_000_000), clock.samples_taken(6_000_000, 1_000_000)),
            (4_000_000, 6_000)
        );
    }

    #[test]
    fn a_reboot_starts_at_0() {
        let clock = clock(
            "[[fault]]\nkind = \"clock-jump\"\nat_s = 1\nby_ms = 250\n\
             [[fault]]\nkind = \"clock-drift\"\nfrom_s = 0\nppm = 100\n\
             [[fault]]\nkind = \"reboot\"\nat_s = 5\ndown_s = 2",
        );
        assert_eq!(clock.stamp_us(4_999_999), 4_999_999 + 499 + 250_000);
        for off in [5_000_000, 6_999_999, 7_000_000] {
            assert_eq!((clock.ticks_us(off), clock.stamp_us(off)), (0, 0), "{off}");
        }
        assert_eq!(clock.stamp_us(17_000_000), 10_001_000, "the jump is forgotten, the drift isn't");
    }

    /// Against a sum over each microsecond, for random scripts squeezed into few of them.
    #[test]
    fn any_script_is_as_a_slow_count() {
        for seed in 0..200 {
            let mut script = Script::random(seed);
            for fault in &mut script.faults {
                (fault.from_us, fault.to_us) = (fault.from_us / 10_000, fault.to_us / 10_000);
                match &mut fault.effect {
                    Effect::Battery(curve) => curve.points.iter_mut().for_each(|point| point.0 /= 10_000),
                    Effect::ClockJump { by_us } => *by_us /= 1_000,
                    _ => {}
                }
            }
            let (clock, off) = (DeviceClock::new(&script), script.off());
            let (mut ticks, mut jumped) = (0_i128, 0_i128);
            for now in 0..2_000 {
                for fault in &script.faults {
                    if let (Effect::ClockJump { by_us }, true) = (&fault.effect, fault.from_us == now) {
                        jumped += i128::from(*by_us);
                    }
                }
                jumped = jumped.max(-ticks / TICKS_PER_US);
                if off.contains(now) {
                    (ticks, jumped) = (0, 0);
                }
                assert_eq!(i128::from(clock.ticks_us(now)), ticks / TICKS_PER_US, "seed {seed}, {now} µs");
                assert_eq!(
                    i128::from(clock.stamp_us(now)),
                    (ticks / TICKS_PER_US + jumped).max(0),
                    "seed {seed}"
                );
                if !off.contains(now) {
                    let drifts = script.faults.iter().filter(|fault| fault.is_active(now));
                    let drift = drifts.map(|fault| match fault.effect {
                        Effect::ClockDrift { parts_per_billion } => i128::from(parts_per_billion),
                        _ => 0,
                    });
                    ticks += TICKS_PER_US + drift.sum::<i128>();
                }
            }
        }
    }
}
