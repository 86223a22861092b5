//! Writing a fault script: a [`Script`] in, TOML out that [`Script::parse`] reads as the same script.

use super::{Directions, Effect, Electrodes, FOREVER, Fault, JitterShape, Script};
use std::fmt::{self, Display, Formatter};

impl Display for Script {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        writeln!(f, "seed = {}", self.seed)?;
        self.faults.iter().try_for_each(|fault| write!(f, "\n{fault}"))
    }
}

impl Display for Fault {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        writeln!(f, "[[fault]]\nkind = \"{}\"", self.effect.kind())?;
        match &self.effect {
            Effect::Battery(_) => {}
            Effect::ClockJump { .. } => writeln!(f, "at_s = {}", seconds(self.from_us))?,
            Effect::Reboot => {
                writeln!(f, "at_s = {}", seconds(self.from_us))?;
                writeln!(f, "down_s = {}", seconds(self.to_us - self.from_us))?;
            }
            _ => {
                writeln!(f, "from_s = {}", seconds(self.from_us))?;
                if self.to_us != FOREVER {
                    writeln!(f, "to_s = {}", seconds(self.to_us))?;
                }
            }
        }
        match self.directions {
            Directions::Both => {}
            Directions::Up => writeln!(f, "direction = \"up\"")?,
            Directions::Down => writeln!(f, "direction = \"down\"")?,
        }
        write!(f, "{}", self.effect)
    }
}

impl Effect {
    /// The word for it in a script.
    pub fn kind(&self) -> &'static str {
        match self {
            Effect::Loss { .. } => "loss",
            Effect::BurstLoss { .. } => "burst-loss",
            Effect::Duplicate { .. } => "duplicate",
            Effect::Reorder { .. } => "reorder",
            Effect::Jitter { .. } => "jitter",
            Effect::BitFlips { .. } => "bit-flips",
            Effect::Truncation { .. } => "truncation",
            Effect::Mtu { .. } => "mtu",
            Effect::Throughput { .. } => "throughput",
            Effect::Stall => "stall",
            Effect::Disconnect => "disconnect",
            Effect::ClockDrift { .. } => "clock-drift",
            Effect::ClockJump { .. } => "clock-jump",
            Effect::Reboot => "reboot",
            Effect::DeadElectrodes(_) => "dead-electrodes",
            Effect::Battery(_) => "battery",
        }
    }
}

/// The keys that only this kind has.
impl Display for Effect {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Effect::Stall | Effect::Disconnect | Effect::Reboot => Ok(()),
            Effect::Loss { probability } | Effect::Truncation { probability } => {
                writeln!(f, "probability = {probability}")
            }
            Effect::BurstLoss { good_to_bad, bad_to_good, loss_in_good, loss_in_bad } => {
                writeln!(f, "good_to_bad = {good_to_bad}\nbad_to_good = {bad_to_good}")?;
                writeln!(f, "loss_in_good = {loss_in_good}\nloss_in_bad = {loss_in_bad}")
            }
            Effect::Duplicate { probability, delay_us } | Effect::Reorder { probability, delay_us } => {
                writeln!(f, "probability = {probability}\ndelay_ms = {}", thousands(*delay_us as i64))
            }
            Effect::Jitter { shape, mean_us } => {
                let shape = match shape {
                    JitterShape::Uniform => "uniform",
                    JitterShape::Exponential => "exponential",
                };
                writeln!(f, "shape = \"{shape}\"\nmean_ms = {}", thousands(*mean_us as i64))
            }
            Effect::BitFlips { probability, bits } => {
                writeln!(f, "probability = {probability}\nbits = {bits}")
            }
            Effect::Mtu { bytes } => writeln!(f, "bytes = {bytes}"),
            Effect::Throughput { bits_per_second } => writeln!(f, "bits_per_second = {bits_per_second}"),
            Effect::ClockDrift { parts_per_billion } => {
                writeln!(f, "ppm = {}", thousands(*parts_per_billion))
            }
            Effect::ClockJump { by_us } => writeln!(f, "by_ms = {}", thousands(*by_us)),
            Effect::DeadElectrodes(Electrodes::Fraction(fraction)) => writeln!(f, "fraction = {fraction}"),
            Effect::DeadElectrodes(Electrodes::Channels(channels)) => writeln!(f, "channels = {channels:?}"),
            Effect::Battery(curve) => {
                let points =
                    curve.points.iter().map(|&(time, level)| format!("[{}, {level}]", seconds(time)));
                writeln!(f, "points = [{}]", points.collect::<Vec<_>>().join(", "))?;
                writeln!(f, "reset_below = {}\nback_from = {}", curve.reset_below, curve.back_from)
            }
        }
    }
}

/// Times in a script are below 10¹² µs, so that the number read is the number written.
fn seconds(us: u64) -> f64 {
    us as f64 / 1e6
}

fn thousands(of: i64) -> f64 {
    of as f64 / 1e3
}
