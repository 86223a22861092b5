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
            // It may carry more again, and only trying tells: twice what it takes now, which is a rung or two.
            let twice = per_second(self.taken_bits).saturating_mul(2);
            self.capacity_bps = if self.is_failed { 0 } else { self.capacity_bps.max(twice) };
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
            if self.up_at_us.is_some_and(|up| now_us.saturating_sub(up) >= TRIED_US) {
                // It was not too dear, so the next may be tried soon.
                (self.hold_us, self.up_at_us) = (self.hold_us.min(UP_US), None);
            }
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
                // A population that rests now will move again: more than one only where twice as much would fit. What the
                // radio is only hoped to carry is twice as much already.
                while self.rung > 0 {
                    self.rung -= 1;
                    let fits_again = match self.capacity_bps {
                        0 => u64::from(self.expected(produced_bps, before)) * 2 <= u64::from(limit),
                        _ => fits(self),
                    };
                    if !fits_again {
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
mod tests;
