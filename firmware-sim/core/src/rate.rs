//! What to give up when the radio carries less than the electrodes say.
//!
//! In: bits that the data took, bits that the radio took and that wait for it, the budget, and the time. Out: a [`Setting`]
//! whenever another one fits better. Order of giving up: bin width first (a cursor hardly feels 40 ms), then precision,
//! then the channels that fire least. Guarantees: a second of more than the limit's worth may wait as long as it waits no
//! longer than [`WAIT_US`] (a population that moves fires in bursts, and the next moment has room again), then it gives way;
//! never up again before [`UP_US`] have passed in which the better setting would have fitted. What a better setting costs is only guessed, and
//! guessed low; one that turns out too dear is tried again after twice the time, up to [`UP_MAX_US`], so that it neither
//! flaps nor stays below what fits. A radio that all but failed is tried again as soon as it takes each bin at once, since its
//! queue has then room again: what such a radio carries late is worth little, and it may be back at any moment.

/// What is sent of what was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Setting {
    /// Bins are so many times as wide as asked.
    pub widening: u8,
    /// Higher counts are sent as this.
    pub count_max: u16,
    /// Channels of lower rate levels, of bins as they were asked for, are not sent.
    pub level_min: u8,
}

impl Setting {
    /// Nothing is given up.
    pub const ALL: Setting = Setting { widening: 1, count_max: COUNT_MAX, level_min: 0 };
}

/// Chooses settings.
#[derive(Clone, Copy, Debug)]
pub struct RateControl {
    /// Rung of the ladder.
    rung: u8,
    budget_bps: u32,
    /// What the radio was seen to carry when it was full; 0 unknown.
    capacity_bps: u32,
    /// Since when the bits below are counted.
    since_us: u64,
    produced_bits: u64,
    taken_bits: u64,
    /// What waited when it was last looked at.
    waiting_bits: u32,
    /// Since when the next better rung would fit.
    fits_since_us: Option<u64>,
    /// For how long it must, and when it was last gone up.
    hold_us: u64,
    up_at_us: Option<u64>,
    /// The radio had more to take than it took, all the time since `since_us`.
    was_full: bool,
    /// Nothing waited at the end of any bin since then.
    was_clear: bool,
    /// It last gave way to a radio that all but failed.
    is_failed: bool,
}

impl RateControl {
    /// With `budget_bps` bits a second, 0 for no limit.
    #[must_use]
    pub const fn new(budget_bps: u32, now_us: u64) -> Self {
        RateControl {
            rung: 0,
            budget_bps,
            capacity_bps: 0,
            since_us: now_us,
            produced_bits: 0,
            taken_bits: 0,
            waiting_bits: 0,
            fits_since_us: None,
            hold_us: UP_US,
            up_at_us: None,
            was_full: true,
            was_clear: true,
            is_failed: false,
        }
    }

    /// What to send now.
    #[must_use]
    pub const fn setting(&self) -> Setting {
        LADDER[self.rung as usize].setting
    }

    /// Bits a second that may be sent: the budget, or what the radio carries if that is less; 0 for no limit.
    #[must_use]
    pub const fn limit_bps(&self) -> u32 {
        match (self.budget_bps, self.capacity_bps) {
            (budget, 0) => budget,
            (0, capacity) => capacity,
            (budget, capacity) => {
                if budget < capacity {
                    budget
                } else {
                    capacity
                }
            }
        }
    }

    /// Another budget, 0 for no limit. What was learnt of the radio is forgotten.
    pub fn set_budget(&mut self, budget_bps: u32, now_us: u64) {
        self.budget_bps = budget_bps;
        self.capacity_bps = 0;
        (self.hold_us, self.up_at_us, self.fits_since_us) = (UP_US, None, None);
        self.is_failed = false;
        self.restart(now_us);
    }

    /// The carrier begins anew: what it took before, and what waited meanwhile, tells nothing of what it takes now.
    pub fn begin_anew(&mut self, now_us: u64) {
        (self.capacity_bps, self.waiting_bits) = (0, 0);
        (self.hold_us, self.up_at_us, self.fits_since_us) = (0, None, None);
        self.is_failed = false;
        self.restart(now_us);
    }

    /// The bits of a second that the data took, headers and seals included.
    pub fn produced(&mut self, bits: u32) {
        self.produced_bits += u64::from(bits);
    }

    /// What the radio took, and whether more was waiting for it then.
    pub fn taken(&mut self, bits: u32, more_waits: bool) {
        self.taken_bits += u64::from(bits);
        self.was_full &= more_waits;
    }

    /// The same data take less from now on: better settings are tried at once.
    pub fn ease(&mut self) {
        self.hold_us = 0;
    }

    /// What the other end says arrives, bits a second, where it says that less than half of all does.
    pub fn arrives(&mut self, bps: u32) {
        self.capacity_bps = bps.max(BPS_MIN);
    }

    /// Looks at what was counted; the new setting if it is another. `waiting_bits` wait for the radio; `is_half_full` where
    /// there is soon no room for more. Call it once a bin.
    pub fn step(&mut self, now_us: u64, waiting_bits: u32, is_half_full: bool) -> Option<Setting> {
        self.was_clear &= waiting_bits == 0;
        let elapsed_us = now_us.saturating_sub(self.since_us);
        if elapsed_us < WINDOW_US {
            return None;
        }
        let per_second = |bits: u64| (bits * 1_000_000 / elapsed_us) as u32;
        let produced_bps = per_second(self.produced_bits);
        if self.taken_bits == 0 {
            // Nothing was taken at all: a stall, of which no throughput can be learnt.
        } else if self.capacity_bps != 0 && per_second(self.taken_bits) / 4 > self.capacity_bps {
            // Far more went than it could carry: it is back.
            self.capacity_bps = per_second(self.taken_bits);
            self.hold_us = 0;
        } else if self.was_full && self.produced_bits > self.taken_bits {
            self.capacity_bps = per_second(self.taken_bits).max(BPS_MIN);
        } else if self.capacity_bps != 0 && self.is_open() {
            // It may carry more again: only trying tells.
            self.capacity_bps = if self.is_failed { 0 } else { self.capacity_bps.saturating_mul(2) };
            if self.budget_bps != 0 && self.capacity_bps > self.budget_bps {
                self.capacity_bps = 0;
            }
        }
        let before = self.rung;
        let limit = match self.limit_bps() {
            0 => u32::MAX,
            limit => limit,
        };
        let waiting_us = u64::from(waiting_bits) * 1_000_000 / u64::from(limit);
        let is_draining = waiting_bits < self.waiting_bits - self.waiting_bits / 12;
        self.waiting_bits = waiting_bits;
        if !is_draining && (waiting_us > WAIT_US || is_half_full) {
            // As many rungs at once as it takes.
            while (self.rung as usize) < LADDER.len() - 1 && self.expected(produced_bps, before) > limit {
                self.rung += 1;
            }
            if self.rung == before && (self.rung as usize) < LADDER.len() - 1 {
                self.rung += 1;
            }
            self.fits_since_us = None;
            if self.capacity_bps != 0 {
                self.is_failed = self.capacity_bps < FAILED_BPS;
            }
            let is_too_dear = self.up_at_us.take().is_some_and(|up| now_us.saturating_sub(up) < TRIED_US);
            self.hold_us = match () {
                // A radio that all but failed may be back at any moment: what is lost by trying is little.
                () if self.is_failed => 0,
                () if is_too_dear => (2 * self.hold_us).clamp(UP_US, UP_MAX_US),
                () => UP_US,
            };
        } else if self.rung > 0 {
            // A twentieth is kept free, for all that isn't data.
            let fits = |control: &Self| {
                control.is_open()
                    && u64::from(control.expected(produced_bps, before)) * 20 <= u64::from(limit) * 19
            };
            self.rung -= 1;
            if !fits(self) {
                self.fits_since_us = None;
                self.rung = before;
            } else if now_us - *self.fits_since_us.get_or_insert(now_us) < self.hold_us {
                self.rung = before;
            } else {
                (self.fits_since_us, self.up_at_us) = (None, Some(now_us));
                // A population that rests now will move again: more than one only where twice as much would fit.
                while self.rung > 0 {
                    self.rung -= 1;
                    if u64::from(self.expected(produced_bps, before)) * 2 > u64::from(limit) {
                        self.rung += 1;
                        break;
                    }
                }
            }
        }
        self.restart(now_us);
        (self.rung != before).then(|| self.setting())
    }

    /// A better setting may be tried: a radio that all but failed doesn't take each bin at once while its own queue is full.
    fn is_open(&self) -> bool {
        !self.is_failed || self.was_clear
    }

    /// Bits a second on this rung where `bps` were seen on rung `from`.
    fn expected(&self, bps: u32, from: u8) -> u32 {
        let cost = |rung: u8| u64::from(LADDER[rung as usize].cost);
        (u64::from(bps) * cost(self.rung) / cost(from)).min(u64::from(u32::MAX)) as u32
    }

    fn restart(&mut self, now_us: u64) {
        self.since_us = now_us;
        self.produced_bits = 0;
        self.taken_bits = 0;
        self.was_full = true;
        self.was_clear = true;
    }
}

/// A rung of the ladder.
struct Rung {
    setting: Setting,
    /// Bits, relative to the first rung's 256: the entropy of Poisson counts of a mean of 0.04 a bin where bins widen,
    /// which is where widening gains least; cautious guesses where channels are left out. How many rungs to take at
    /// once hangs on it, and whether to try a better one.
    cost: u16,
}

const fn rung(widening: u8, count_max: u16, level_min: u8, cost: u16) -> Rung {
    Rung { setting: Setting { widening, count_max, level_min }, cost }
}

const LADDER: [Rung; 13] = [
    rung(1, COUNT_MAX, 0, 256),
    rung(2, COUNT_MAX, 0, 211),
    rung(3, COUNT_MAX, 0, 186),
    rung(4, COUNT_MAX, 0, 168),
    rung(5, COUNT_MAX, 0, 155),
    rung(5, 3, 0, 145),
    rung(5, 1, 0, 110),
    rung(5, 1, 4, 88),
    rung(5, 1, 6, 74),
    rung(5, 1, 8, 62),
    rung(5, 1, 10, 48),
    rung(5, 1, 12, 32),
    rung(5, 1, 14, 16),
];

/// Nothing is cut off.
pub const COUNT_MAX: u16 = 65_534;
/// How long bits are counted before they are judged.
const WINDOW_US: u64 = 250_000;
/// What waits longer than this makes it give way.
pub const WAIT_US: u64 = 60_000;
/// For so long the better setting must fit.
pub const UP_US: u64 = 3_000_000;
/// For so long where it didn't, again and again.
pub const UP_MAX_US: u64 = 60_000_000;
/// A better setting that lasted for so long was not too dear.
const TRIED_US: u64 = 5_000_000;
/// A radio that carries less than this has all but failed.
const FAILED_BPS: u32 = 10_000;
/// A radio that carries less than this is no radio.
const BPS_MIN: u32 = 1_000;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use proptest::test_runner::RngSeed;

    /// Data of `full_bps` on the first rung, for `seconds`; what was produced a second and how long it waits, µs, each 20 ms.
    fn run(
        control: &mut RateControl,
        from_us: u64,
        seconds: u64,
        full_bps: u64,
        carries_bps: u64,
    ) -> std::vec::Vec<(u64, u64)> {
        let mut produced = std::vec::Vec::new();
        let mut backlog = 0u64;
        let sends_bps = match control.budget_bps {
            0 => carries_bps,
            budget => carries_bps.min(u64::from(budget)),
        };
        for tick in 0..seconds * 50 {
            let now = from_us + (tick + 1) * 20_000;
            let rung = LADDER.iter().position(|rung| rung.setting == control.setting()).expect("a rung");
            // Other costs than the ladder's own, so that its guesses are put to the test.
            let bits = full_bps / 50 * u64::from(LADDER[rung].cost) / 256 * 9 / 10 + full_bps / 500;
            control.produced(bits as u32);
            backlog += bits;
            let takes = backlog.min(sends_bps / 50);
            backlog = (backlog - takes).min(sends_bps / 5);
            control.taken(takes as u32, backlog > 0);
            control.step(now, backlog as u32, false);
            produced.push((bits * 50, backlog * 1_000_000 / sends_bps));
        }
        produced
    }

    #[test]
    fn what_fits_stays_as_asked() {
        let mut control = RateControl::new(1_300_000, 0);
        run(&mut control, 0, 60, 1_250_000, 2_000_000);
        assert_eq!(control.setting(), Setting::ALL);
        let mut control = RateControl::new(0, 0);
        run(&mut control, 0, 60, 1_250_000_000, 2_000_000_000);
        assert_eq!(control.setting(), Setting::ALL, "no budget is no limit");
    }

    #[test]
    fn what_does_not_fit_widens_bins_first_and_comes_back() {
        let mut control = RateControl::new(1_300_000, 0);
        let produced = run(&mut control, 0, 20, 1_500_000, 5_000_000);
        assert!(produced[30..].iter().all(|&(bps, _)| bps <= 1_300_000), "{:?}", &produced[..40]);
        assert!(produced.iter().all(|&(_, us)| us <= WAIT_US + WINDOW_US / 5), "{:?}", &produced[..40]);
        assert_eq!((control.setting().count_max, control.setting().level_min), (COUNT_MAX, 0));
        assert_eq!(control.setting().widening, 2);
        run(&mut control, 20_000_000, 20, 900_000, 5_000_000);
        assert_eq!(control.setting(), Setting::ALL);
    }

    #[test]
    fn a_radio_that_collapses_is_followed_down_and_up() {
        let mut control = RateControl::new(0, 0);
        run(&mut control, 0, 5, 800_000, 2_000_000);
        assert_eq!(control.setting(), Setting::ALL);
        let produced = run(&mut control, 5_000_000, 20, 800_000, 200_000);
        assert!(control.setting() != Setting::ALL);
        let over = produced[50..].iter().filter(|&&(bps, _)| bps > 200_000).count();
        assert!(over < produced.len() / 5, "{over} of {} ticks above what it carries", produced.len());
        run(&mut control, 25_000_000, 120, 800_000, 2_000_000);
        assert_eq!(control.setting(), Setting::ALL);
    }

    /// As [`run`], but bins as wide as the setting says, and a radio whose controller has a queue of `QUEUE_BITS` of its own,
    /// with `queued` in it. How often the setting changed.
    fn run_queued(
        control: &mut RateControl,
        queued: &mut u64,
        from_us: u64,
        ticks: u64,
        full_bps: u64,
        carries_bps: u64,
    ) -> u32 {
        let (mut backlog, mut n_summed, mut n_changes) = (0u64, 0, 0);
        for tick in 0..ticks {
            let now = from_us + (tick + 1) * 20_000;
            *queued = queued.saturating_sub(carries_bps / 50);
            let rung = LADDER.iter().position(|rung| rung.setting == control.setting()).expect("a rung");
            n_summed += 1;
            if n_summed >= LADDER[rung].setting.widening {
                let waiting = backlog;
                let bits = u64::from(n_summed) * full_bps / 50 * u64::from(LADDER[rung].cost) / 256;
                control.produced(bits as u32);
                backlog = (backlog + bits).min(100_000);
                n_changes += u32::from(control.step(now, waiting as u32, waiting > 50_000).is_some());
                n_summed = 0;
            }
            let taken = backlog.min(QUEUE_BITS.saturating_sub(*queued));
            if taken > 0 {
                (backlog, *queued) = (backlog - taken, *queued + taken);
                control.taken(taken as u32, backlog > 0);
            }
        }
        n_changes
    }

    const QUEUE_BITS: u64 = 10_000;

    #[test]
    fn a_radio_that_all_but_failed_is_followed_up_at_once() {
        // What 64 electrodes say, over a radio that fails for so long as in two random scripts that came back late.
        for (fails_bps, fails_ticks) in [(1_188, 159), (3_484, 400), (2_000, 1_000)] {
            let (mut control, mut queued) = (RateControl::new(0, 0), 0);
            run_queued(&mut control, &mut queued, 0, 250, 6_000, 1_000_000);
            assert_eq!(control.setting(), Setting::ALL);
            run_queued(&mut control, &mut queued, 5_000_000, fails_ticks, 6_000, fails_bps);
            assert!(control.setting() != Setting::ALL, "{fails_bps}");
            let back_us = 5_000_000 + fails_ticks * 20_000;
            run_queued(&mut control, &mut queued, back_us, 45, 6_000, 1_000_000);
            assert_eq!(control.setting(), Setting::ALL, "{fails_bps} bits a second, then all again");
        }
    }

    #[test]
    fn a_radio_that_stays_slow_is_not_tried_all_the_time() {
        for carries_bps in [1_200, 2_500, 4_500] {
            let (mut control, mut queued) = (RateControl::new(0, 0), 0);
            let n_changes = run_queued(&mut control, &mut queued, 0, 250 * 50, 6_000, carries_bps);
            // Each try takes a window of waiting, and one without.
            assert!((1..=500).contains(&n_changes), "{n_changes} in 250 s of {carries_bps} bits a second");
        }
    }

    #[test]
    fn a_carrier_that_begins_anew_is_not_judged_by_its_silence() {
        let mut control = RateControl::new(0, 0);
        run(&mut control, 0, 5, 800_000, 2_000_000);
        // Nothing is taken for 8 s but a packet in its last window.
        for tick in 0..400u64 {
            control.produced(16_000);
            if tick == 399 {
                control.taken(2_000, true);
                assert!(control.setting() != Setting::ALL);
                control.begin_anew(5_000_000 + tick * 20_000);
            }
            control.step(5_000_000 + tick * 20_000, 250_000, true);
        }
        run(&mut control, 13_000_000, 1, 800_000, 2_000_000);
        assert_eq!(control.setting(), Setting::ALL);
    }

    #[test]
    fn it_never_flaps_and_never_stays_above() {
        for (seed, share) in (1..40u64).map(|k| (k, 10 + 7 * k)) {
            let mut control = RateControl::new(1_000_000, 0);
            let full = 10_000 * share;
            let (mut changes, mut last) = (0, control.setting());
            for second in 0..60 {
                let produced = run(&mut control, second * 1_000_000, 1, full, 10_000_000);
                if second > 1 && control.rung as usize != LADDER.len() - 1 {
                    let mean = produced.iter().map(|&(bps, _)| bps).sum::<u64>() / 50;
                    assert!(mean <= 1_100_000, "seed {seed}, second {second}: {mean} bits");
                }
                changes += u32::from(control.setting() != last);
                last = control.setting();
            }
            assert!(changes <= 14, "{changes} changes of data of {full} bits a second");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig {
            rng_seed: RngSeed::Fixed(1),
            failure_persistence: None,
            ..ProptestConfig::with_cases(64)
        })]
        #[test]
        fn it_follows_any_budget_within_a_second_and_comes_back(
            full in 200_000_u64..2_000_000,
            budgets in prop::collection::vec(100_000_u32..3_000_000, 1..6),
        ) {
            let mut control = RateControl::new(0, 0);
            let mut now = 0;
            for budget in budgets {
                control.set_budget(budget, now);
                let produced = run(&mut control, now, 10, full, u64::from(budget));
                now += 10_000_000;
                // No more than two seconds in a row too long in waiting, but on the last rung, below which there is none.
                let mut n_above = 0;
                for &(bps, us) in &produced {
                    n_above = if us > 2 * WAIT_US { n_above + 1 } else { 0 };
                    prop_assert!(n_above <= 100 || control.rung as usize == LADDER.len() - 1, "{} at {}", bps, budget);
                }
            }
            control.set_budget(4_000_000, now);
            run(&mut control, now, 60, full, 4_000_000);
            prop_assert_eq!(control.setting(), Setting::ALL);
        }
    }
}
