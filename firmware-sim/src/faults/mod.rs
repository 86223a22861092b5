//! What goes wrong and when: a fault script, from TOML to checked types.
//!
//! In: the text of a script ([`Script::parse`]) or a seed ([`Script::random`]). Out: a [`Script`], which
//! [`Radio`](crate::radio::Radio), [`DeviceClock`](crate::clock::DeviceClock) and
//! [`DeviceFaults`](crate::device_faults::DeviceFaults) obey. Times are µs of true time since the start.
//! Guaranteed: a script that exists is legal and contradicts itself nowhere; printed and read again, it is
//! the same script, so that one that a test drew can be replayed from a file.
//!
//! Faults of one kind may overlap, and then both hold: probabilities are drawn one after the other, delays
//! add up, the lowest MTU and throughput count, dead electrodes and outages unite. Two things can't both
//! hold and are refused: two clock drifts at once, and two batteries. Nothing outlasts its fault: a packet that is
//! held back comes at the fault's end at the latest.

mod random;
mod read;
mod spans;
mod write;

pub use random::{RANDOM_ELECTRODES, RANDOM_END_S, RANDOM_FAULTS_MAX, RANDOM_START_S};
pub(crate) use spans::Spans;

use std::fmt;

/// Faults in the order of the file, and the seed of all that is drawn.
#[derive(Clone, Debug, PartialEq)]
pub struct Script {
    pub(crate) seed: u64,
    pub(crate) faults: Vec<Fault>,
}

/// One fault: what, when, which way.
#[derive(Clone, Debug, PartialEq)]
pub struct Fault {
    /// When it starts, µs; the instant of a clock jump or a reboot.
    pub from_us: u64,
    /// When it is over, µs, exclusive; [`FOREVER`] where it stays. A clock jump is over at once.
    pub to_us: u64,
    /// Which packets it hits; [`Directions::Both`] for faults that aren't about packets.
    pub directions: Directions,
    /// What happens.
    pub effect: Effect,
}

/// What a fault does. Probabilities are per packet.
#[derive(Clone, Debug, PartialEq)]
pub enum Effect {
    /// Each packet is lost by itself.
    Loss {
        /// 0 to 1.
        probability: f64,
    },
    /// Packets are lost by a chain of two states, good and bad, that steps once a packet (Gilbert 1960, Elliott
    /// 1963). The first state is drawn from the chain's stationary distribution.
    BurstLoss {
        /// From good to bad, above 0 to 1; the mean gap is its inverse, in packets.
        good_to_bad: f64,
        /// From bad to good, above 0 to 1; the mean burst is its inverse, in packets.
        bad_to_good: f64,
        /// Loss in the good state, 0 to 1; Gilbert's chain has 0.
        loss_in_good: f64,
        /// Loss in the bad state, 0 to 1.
        loss_in_bad: f64,
    },
    /// A packet comes a second time. The copy takes no air time and is never copied again.
    Duplicate {
        /// 0 to 1.
        probability: f64,
        /// After the packet itself, µs; less where the fault is over sooner.
        delay_us: u64,
    },
    /// A packet is held back while later ones pass it.
    Reorder {
        /// 0 to 1.
        probability: f64,
        /// How long it is held, µs; less where the fault is over sooner.
        delay_us: u64,
    },
    /// Packets take longer, each by a delay of its own. Order is kept: a packet waits for the one before it.
    Jitter {
        /// Distribution of the delay.
        shape: JitterShape,
        /// Mean delay before waiting for others, µs.
        mean_us: u64,
    },
    /// Bits are inverted.
    BitFlips {
        /// 0 to 1.
        probability: f64,
        /// Positions drawn in a damaged packet, 1 to 64; two draws of one position undo each other.
        bits: u32,
    },
    /// The end of the packet is missing: its new length is uniform from 0 to one byte less than it had.
    Truncation {
        /// 0 to 1.
        probability: f64,
    },
    /// The longest packet that the radio takes is shorter.
    Mtu {
        /// Bytes, [`MTU_MIN`] to [`MTU_MAX`].
        bytes: usize,
    },
    /// The radio is slower.
    Throughput {
        /// At most so many, each way.
        bits_per_second: u64,
    },
    /// Nothing passes, and the link looks up. What is sent waits in the queue.
    Stall,
    /// The link is down, and both ends see that. What is on its way is lost; sending is refused.
    Disconnect,
    /// The device's clock runs fast (above 0) or slow.
    ClockDrift {
        /// Parts per 10⁹, −200,000 to 200,000.
        parts_per_billion: i64,
    },
    /// The device's stamps jump, and its sampling doesn't.
    ClockJump {
        /// Forward (above 0) or back, µs.
        by_us: i64,
    },
    /// The device loses power for the fault's time and starts again with its clock at 0.
    Reboot,
    /// Electrodes give nothing.
    DeadElectrodes(Electrodes),
    /// The battery's level over time; below a level the device is off until there is enough again.
    Battery(BatteryCurve),
}

/// The distribution of a delay.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JitterShape {
    /// Any delay from 0 to twice the mean.
    Uniform,
    /// Many short and few long ones; cut at [`JITTER_MEANS_MAX`] means.
    Exponential,
}

/// Which electrodes die.
#[derive(Clone, Debug, PartialEq)]
pub enum Electrodes {
    /// So large a share of all, above 0 to 1, rounded to whole electrodes; which ones, the seed draws.
    Fraction(f64),
    /// These channels, from 0, ascending.
    Channels(Vec<usize>),
}

/// The battery's level, 0 to 1, over time.
#[derive(Clone, Debug, PartialEq)]
pub struct BatteryCurve {
    /// Time in µs, ascending, and level; straight between them, level before the first and after the last.
    pub points: Vec<(u64, f64)>,
    /// Under this the device goes off.
    pub reset_below: f64,
    /// From this on it starts again; at least `reset_below`.
    pub back_from: f64,
}

/// The way of one packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Direction {
    /// From the device to the host.
    Up,
    /// From the host to the device.
    Down,
}

/// The ways that a fault hits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Directions {
    /// Packets of the device.
    Up,
    /// Packets of the host.
    Down,
    /// Both, each with draws of its own.
    Both,
}

impl Directions {
    /// Whether packets going `direction` are hit.
    pub fn contains(self, direction: Direction) -> bool {
        match self {
            Directions::Both => true,
            Directions::Up => direction == Direction::Up,
            Directions::Down => direction == Direction::Down,
        }
    }
}

impl Script {
    /// No faults.
    pub fn clean() -> Self {
        Script { seed: 1, faults: Vec::new() }
    }

    /// All randomness of the radio and of the device's faults comes from it; at most [`SEED_MAX`].
    pub fn seed(&self) -> u64 {
        self.seed
    }

    /// The same faults with other draws; of a seed over [`SEED_MAX`] the highest bit is dropped.
    #[must_use]
    pub fn with_seed(mut self, seed: u64) -> Self {
        self.seed = seed & SEED_MAX;
        self
    }

    /// The faults in the order of the file. Each draws from a generator of its own, so that one more at the end
    /// changes no draw of the others.
    pub fn faults(&self) -> &[Fault] {
        &self.faults
    }

    /// When the last fault is over and recovery can be judged, µs; 0 without faults, `None` where one stays for
    /// ever. What electrodes or batteries did is over when the electrodes live and the device is on again.
    pub fn last_fault_end(&self) -> Option<u64> {
        let last = self.faults.iter().map(|fault| fault.to_us).max().unwrap_or(0);
        (last != FOREVER).then_some(last)
    }

    /// When the device is without power, be it a reboot or a battery.
    pub(crate) fn off(&self) -> Spans {
        let outages = self.faults.iter().flat_map(|fault| match &fault.effect {
            Effect::Reboot => vec![(fault.from_us, fault.to_us)],
            Effect::Battery(curve) => curve.outages(),
            _ => Vec::new(),
        });
        Spans::new(outages)
    }

    /// When the link is down, be it cut or the device off.
    pub(crate) fn link_down(&self) -> Spans {
        let cut = self.faults.iter().filter(|fault| fault.effect == Effect::Disconnect);
        Spans::new(cut.map(|fault| (fault.from_us, fault.to_us)).chain(self.off().iter()))
    }
}

impl Fault {
    /// A battery's: over when the device is on for good, or where the curve ends if it never goes off.
    fn battery(curve: BatteryCurve) -> Self {
        let end = curve.points.last().map_or(0, |&(time, _)| time);
        let to_us = curve.outages().last().map_or(end, |&(_, to)| to);
        Fault { from_us: 0, to_us, directions: Directions::Both, effect: Effect::Battery(curve) }
    }

    /// Whether the fault holds at that time.
    pub fn is_active(&self, now_us: u64) -> bool {
        (self.from_us..self.to_us).contains(&now_us)
    }
}

impl BatteryCurve {
    /// The level at that time, 0 to 1.
    pub fn level(&self, now_us: u64) -> f64 {
        let after = self.points.partition_point(|&(time, _)| time <= now_us);
        match (after.checked_sub(1).map(|before| self.points[before]), self.points.get(after)) {
            (Some((from, low)), Some(&(to, high))) => {
                low + (high - low) * ((now_us - from) as f64 / (to - from) as f64)
            }
            (Some((_, level)), None) | (None, Some(&(_, level))) => level,
            (None, None) => 1.0,
        }
    }

    /// When the device is off, µs: from the first instant under `reset_below` to the first from `back_from` on.
    pub(crate) fn outages(&self) -> Vec<(u64, u64)> {
        let mut outages = Vec::new();
        let mut now_us = 0;
        while let Some(from) = self.first(now_us, |level| level < self.reset_below) {
            now_us = self.first(from, |level| level >= self.back_from).unwrap_or(FOREVER);
            outages.push((from, now_us));
            if now_us == FOREVER {
                break;
            }
        }
        outages
    }

    /// The first µs from `start_us` on at which the level is as wanted. Between two points the level goes one way, so
    /// that halving finds it.
    fn first(&self, start_us: u64, wanted: impl Fn(f64) -> bool) -> Option<u64> {
        if wanted(self.level(start_us)) {
            return Some(start_us);
        }
        let mut no = start_us;
        let later = self.points.iter().map(|&(time, _)| time).filter(|&time| time > start_us);
        for mut yes in later {
            if !wanted(self.level(yes)) {
                no = yes;
                continue;
            }
            while yes - no > 1 {
                let middle = no + (yes - no) / 2;
                match wanted(self.level(middle)) {
                    true => yes = middle,
                    false => no = middle,
                }
            }
            return Some(yes);
        }
        None
    }
}

impl fmt::Display for Direction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Direction::Up => "up",
            Direction::Down => "down",
        })
    }
}

/// The end of a fault that stays.
pub const FOREVER: u64 = u64::MAX;
/// The largest seed: TOML's largest number.
pub const SEED_MAX: u64 = i64::MAX as u64;
/// The shortest packet limit, bytes: what Bluetooth LE carries before its ends agree on more.
pub const MTU_MIN: usize = 20;
/// The longest, bytes: the wire's.
pub const MTU_MAX: usize = 512;
/// Faults of one script.
pub const FAULTS_MAX: usize = 64;
/// The latest time in a script, s: eleven days.
pub const TIME_S_MAX: f64 = 1e6;
/// The fastest that a clock may drift, parts per million.
pub const DRIFT_PPM_MAX: f64 = 200.0;
/// The furthest jump of a clock, ms: an hour.
pub const JUMP_MS_MAX: f64 = 3_600_000.0;
/// The longest that a reboot takes, s.
pub const REBOOT_S_MAX: f64 = 3_600.0;
/// The longest single delay, ms.
pub const DELAY_MS_MAX: f64 = 10_000.0;
/// The slowest radio, bits/s.
pub const BITS_PER_SECOND_MIN: u64 = 100;
/// The fastest, bits/s.
pub const BITS_PER_SECOND_MAX: u64 = 10_000_000_000;
/// The longest mean burst or gap, packets.
pub const BURST_PACKETS_MAX: f64 = 1e6;
/// Bits inverted in one packet.
pub const FLIPS_MAX: u32 = 64;
/// The longest exponential jitter, in means.
pub const JITTER_MEANS_MAX: u64 = 10;
/// The highest channel that a script may name: one less than the electrodes of the largest device, and some.
pub const CHANNEL_MAX: usize = 65_535;
/// Points of a battery's curve.
pub const BATTERY_POINTS_MAX: usize = 1_000;

#[cfg(test)]
mod tests;
