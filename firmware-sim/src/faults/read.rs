//! Reading a fault script: TOML text in, a checked [`Script`] out, or an error that names file, fault, key and what
//! would be legal.

use super::{
    BATTERY_POINTS_MAX, BITS_PER_SECOND_MAX, BITS_PER_SECOND_MIN, BURST_PACKETS_MAX, BatteryCurve,
    CHANNEL_MAX, DELAY_MS_MAX, DRIFT_PPM_MAX, Directions, Effect, Electrodes, FAULTS_MAX, FLIPS_MAX, FOREVER,
    Fault, JUMP_MS_MAX, JitterShape, MTU_MAX, MTU_MIN, REBOOT_S_MAX, SEED_MAX, Script, TIME_S_MAX,
};
use efference::Error;
use std::path::Path;
use toml::{Table, Value};

impl Script {
    /// Reads `seed` and the tables `[[fault]]`. `place` names the text in errors.
    ///
    /// # Errors
    /// Text that isn't TOML, keys that are unknown or missing, values of another type or out of range, and faults
    /// that contradict each other.
    ///
    /// ```
    /// use firmware_sim::faults::Script;
    /// let script = Script::parse("[[fault]]\nkind = \"stall\"\nfrom_s = 2\nto_s = 3", "doc").unwrap();
    /// assert_eq!(script.last_fault_end(), Some(3_000_000));
    /// let error = Script::parse("[[fault]]\nkind = \"loss\"\nprobability = 5", "f.toml").unwrap_err();
    /// assert_eq!(error.to_string(), "f.toml, fault 1 (loss), field `probability`: 5. Legal: 0 to 1.");
    /// ```
    pub fn parse(text: &str, place: &str) -> Result<Self, Error> {
        let table: Table = toml::from_str(text).map_err(|error| {
            let words: Vec<&str> = error.message().split_whitespace().collect();
            let line = error.span().map_or(1, |span| 1 + text[..span.start].matches('\n').count());
            Error::usage(format!("{place}, line {line}"), words.join(" ")).legal("TOML")
        })?;
        let top = Keys { place: place.to_string(), table: &table };
        top.refuse_unknown(&["seed", "fault"])?;
        let seed = match table.get("seed") {
            None => 1,
            Some(Value::Integer(seed)) if *seed >= 0 => *seed as u64,
            Some(other) => {
                return Err(top.bad("seed", other, format!("a whole number from 0 to {SEED_MAX}")));
            }
        };
        let given = match table.get("fault") {
            None => &[][..],
            Some(Value::Array(given)) => given,
            Some(other) => return Err(top.bad("fault", other, "tables that begin with [[fault]]")),
        };
        if given.len() > FAULTS_MAX {
            let found = format!("{} faults", given.len());
            return Err(Error::usage(place, found).field("fault").legal(format!("at most {FAULTS_MAX}")));
        }
        let mut faults: Vec<Fault> = Vec::with_capacity(given.len());
        for (at, value) in given.iter().enumerate() {
            let Value::Table(table) = value else {
                return Err(top.bad("fault", value, "tables that begin with [[fault]]"));
            };
            let keys = Keys { place: format!("{place}, fault {}", at + 1), table };
            let (keys, fault) = keys.fault()?;
            refuse_contradiction(&faults, &fault, &keys.place)?;
            faults.push(fault);
        }
        Ok(Script { seed, faults })
    }

    /// Reads a script's file.
    ///
    /// # Errors
    /// A file that can't be read, and those of [`Script::parse`].
    pub fn read(path: &Path) -> Result<Self, Error> {
        let text = std::fs::read_to_string(path).map_err(|error| Error::unreadable(path, &error))?;
        Script::parse(&text, &path.display().to_string())
    }
}

/// Two that can't both hold.
fn refuse_contradiction(before: &[Fault], fault: &Fault, place: &str) -> Result<(), Error> {
    let same =
        |other: &&Fault| std::mem::discriminant(&other.effect) == std::mem::discriminant(&fault.effect);
    let meets = |other: &&Fault| other.from_us < fault.to_us && fault.from_us < other.to_us;
    let mut alike = before.iter().filter(same);
    match fault.effect {
        Effect::ClockDrift { .. } if alike.any(|other| meets(&other)) => {
            Err(Error::usage(place, "the clock drifts at another rate at the same time")
                .field("from_s")
                .legal("one clock-drift at a time"))
        }
        Effect::Battery(_) if alike.next().is_some() => {
            Err(Error::usage(place, "a second battery").field("kind").legal("one battery in a script"))
        }
        _ => Ok(()),
    }
}

/// One table of the file, and how errors call it.
struct Keys<'a> {
    place: String,
    table: &'a Table,
}

impl<'a> Keys<'a> {
    fn fault(self) -> Result<(Self, Fault), Error> {
        let names = || KINDS.map(|(kind, _)| kind);
        let legal = || names().join(", ");
        let kind = match self.table.get("kind") {
            Some(Value::String(kind)) => kind.as_str(),
            Some(other) => return Err(self.bad("kind", other, legal())),
            None => return Err(self.missing("kind").legal(legal())),
        };
        let Some((_, keys)) = KINDS.iter().find(|(name, _)| *name == kind) else {
            return Err(self.bad("kind", kind, legal()).suggest(kind, names()));
        };
        let here = Keys { place: format!("{} ({kind})", self.place), table: self.table };
        let mut known = vec!["kind"];
        known.extend_from_slice(keys);
        here.refuse_unknown(&known)?;
        let fault = here.of_kind(kind, keys)?;
        Ok((here, fault))
    }

    fn of_kind(&self, kind: &str, keys: &[&str]) -> Result<Fault, Error> {
        if kind == "battery" {
            return Ok(Fault::battery(self.battery()?));
        }
        let (from_us, to_us) = match kind {
            "clock-jump" => (self.time("at_s", None)?, None),
            "reboot" => {
                let at = self.time("at_s", None)?;
                (at, Some(at + scaled(self.number("down_s", 0.001, REBOOT_S_MAX, Some(0.5))?, 1e6)))
            }
            _ => self.window()?,
        };
        let to_us = to_us.unwrap_or(from_us);
        let directions = match keys.contains(&"direction") {
            true => self.word("direction", &DIRECTIONS, Directions::Both)?,
            false => Directions::Both,
        };
        Ok(Fault { from_us, to_us, directions, effect: self.effect(kind)? })
    }

    fn effect(&self, kind: &str) -> Result<Effect, Error> {
        let probability = || self.number("probability", 0.0, 1.0, None);
        let delay_us = |key, default| Ok(scaled(self.number(key, 0.001, DELAY_MS_MAX, default)?, 1e3));
        Ok(match kind {
            "loss" => Effect::Loss { probability: probability()? },
            "burst-loss" => self.burst_loss()?,
            "duplicate" => {
                Effect::Duplicate { probability: probability()?, delay_us: delay_us("delay_ms", Some(1.0))? }
            }
            "reorder" => {
                Effect::Reorder { probability: probability()?, delay_us: delay_us("delay_ms", None)? }
            }
            "jitter" => Effect::Jitter {
                shape: self.word("shape", &SHAPES, JitterShape::Exponential)?,
                mean_us: delay_us("mean_ms", None)?,
            },
            "bit-flips" => Effect::BitFlips {
                probability: probability()?,
                bits: self.whole("bits", 1, u64::from(FLIPS_MAX), Some(1))? as u32,
            },
            "truncation" => Effect::Truncation { probability: probability()? },
            "mtu" => {
                Effect::Mtu { bytes: self.whole("bytes", MTU_MIN as u64, MTU_MAX as u64, None)? as usize }
            }
            "throughput" => Effect::Throughput {
                bits_per_second: self.whole(
                    "bits_per_second",
                    BITS_PER_SECOND_MIN,
                    BITS_PER_SECOND_MAX,
                    None,
                )?,
            },
            "stall" => Effect::Stall,
            "disconnect" => Effect::Disconnect,
            "clock-drift" => {
                let ppm = self.number("ppm", -DRIFT_PPM_MAX, DRIFT_PPM_MAX, None)?;
                Effect::ClockDrift { parts_per_billion: (ppm * 1e3).round() as i64 }
            }
            "clock-jump" => {
                let by_ms = self.number("by_ms", -JUMP_MS_MAX, JUMP_MS_MAX, None)?;
                Effect::ClockJump { by_us: (by_ms * 1e3).round() as i64 }
            }
            "reboot" => Effect::Reboot,
            _ => Effect::DeadElectrodes(self.electrodes()?),
        })
    }

    fn burst_loss(&self) -> Result<Effect, Error> {
        let given = |keys: &[&'static str]| keys.iter().copied().find(|key| self.table.contains_key(*key));
        let chain = given(&["good_to_bad", "bad_to_good"]);
        if let (Some(means), Some(_)) = (given(&["mean_burst", "mean_gap"]), chain) {
            return Err(Error::usage(&self.place, "the chain is given twice")
                .field(means)
                .legal("good_to_bad and bad_to_good, or mean_burst and mean_gap"));
        }
        let inverse = |key| self.number(key, 1.0, BURST_PACKETS_MAX, None).map(|packets| 1.0 / packets);
        let step = |key| self.number(key, 1.0 / BURST_PACKETS_MAX, 1.0, None);
        let (good_to_bad, bad_to_good) = match chain {
            Some(_) => (step("good_to_bad")?, step("bad_to_good")?),
            None => (inverse("mean_gap")?, inverse("mean_burst")?),
        };
        Ok(Effect::BurstLoss {
            good_to_bad,
            bad_to_good,
            loss_in_good: self.number("loss_in_good", 0.0, 1.0, Some(0.0))?,
            loss_in_bad: self.number("loss_in_bad", 0.0, 1.0, Some(1.0))?,
        })
    }

    fn electrodes(&self) -> Result<Electrodes, Error> {
        let legal = format!("a list of channels from 0 to {CHANNEL_MAX}");
        match (self.table.get("fraction"), self.table.get("channels")) {
            (Some(_), None) => Ok(Electrodes::Fraction(self.number("fraction", 1e-6, 1.0, None)?)),
            (None, Some(Value::Array(given))) if !given.is_empty() => {
                let mut channels = Vec::with_capacity(given.len());
                for value in given {
                    match value {
                        Value::Integer(c) if (0..=CHANNEL_MAX as i64).contains(c) => {
                            channels.push(*c as usize)
                        }
                        other => return Err(self.bad("channels", other, legal)),
                    }
                }
                channels.sort_unstable();
                channels.dedup();
                Ok(Electrodes::Channels(channels))
            }
            (None, Some(other)) => Err(self.bad("channels", other, legal)),
            (Some(_), Some(_)) => Err(Error::usage(&self.place, "which electrodes is said twice")
                .field("fraction")
                .legal(EITHER)),
            (None, None) => Err(self.missing("fraction").legal(EITHER)),
        }
    }

    fn battery(&self) -> Result<BatteryCurve, Error> {
        let legal = format!("2 to {BATTERY_POINTS_MAX} pairs [time_s, level], times ascending, level 0 to 1");
        let reset_below = self.number("reset_below", 0.0, 1.0, Some(0.05))?;
        let default = Some((reset_below + 0.05).min(1.0));
        let back_from = self.number("back_from", reset_below, 1.0, default)?;
        let given = match self.table.get("points") {
            Some(Value::Array(given)) => given,
            Some(other) => return Err(self.bad("points", other, legal)),
            None => return Err(self.missing("points").legal(legal)),
        };
        if !(2..=BATTERY_POINTS_MAX).contains(&given.len()) {
            return Err(Error::usage(&self.place, format!("{} points", given.len()))
                .field("points")
                .legal(legal));
        }
        let mut points: Vec<(u64, f64)> = Vec::with_capacity(given.len());
        for value in given {
            let pair = value.as_array().map(|pair| pair.iter().map(float).collect::<Vec<_>>());
            let last = points.last().map(|&(time, _)| time);
            match pair.as_deref() {
                Some(&[Some(time), Some(level)])
                    if (0.0..=TIME_S_MAX).contains(&time)
                        && (0.0..=1.0).contains(&level)
                        && last.is_none_or(|last| last < scaled(time, 1e6)) =>
                {
                    points.push((scaled(time, 1e6), level));
                }
                _ => return Err(self.bad("points", value, legal)),
            }
        }
        Ok(BatteryCurve { points, reset_below, back_from })
    }

    /// `from_s`, default 0, and `to_s`, default never.
    fn window(&self) -> Result<(u64, Option<u64>), Error> {
        let from = self.time("from_s", Some(0.0))?;
        let Some(found) = self.table.get("to_s") else { return Ok((from, Some(FOREVER))) };
        let to = self.time("to_s", None)?;
        if to <= from {
            let legal = format!("more than from_s, which is {}", from as f64 / 1e6);
            return Err(self.bad("to_s", found, legal));
        }
        Ok((from, Some(to)))
    }

    fn time(&self, key: &str, default: Option<f64>) -> Result<u64, Error> {
        Ok(scaled(self.number(key, 0.0, TIME_S_MAX, default)?, 1e6))
    }

    fn number(&self, key: &str, low: f64, high: f64, default: Option<f64>) -> Result<f64, Error> {
        let legal = || format!("{low} to {high}");
        match (self.table.get(key), default) {
            (Some(found), _) => {
                let value = float(found).filter(|value| (low..=high).contains(value));
                value.ok_or_else(|| self.bad(key, found, legal()))
            }
            (None, Some(default)) => Ok(default),
            (None, None) => Err(self.missing(key).legal(legal())),
        }
    }

    fn whole(&self, key: &str, low: u64, high: u64, default: Option<u64>) -> Result<u64, Error> {
        let value = self.number(key, low as f64, high as f64, default.map(|value| value as f64))?;
        match (value.fract() == 0.0, self.table.get(key)) {
            (false, Some(found)) => Err(self.bad(key, found, format!("a whole number, {low} to {high}"))),
            _ => Ok(value as u64),
        }
    }

    fn word<T: Copy>(&self, key: &str, words: &[(&'static str, T)], default: T) -> Result<T, Error> {
        let names = || words.iter().map(|(name, _)| *name);
        let Some(found) = self.table.get(key) else { return Ok(default) };
        let Value::String(word) = found else {
            return Err(self.bad(key, found, names().collect::<Vec<_>>().join(", ")));
        };
        let known = words.iter().find(|(name, _)| name == word);
        known
            .map(|&(_, value)| value)
            .ok_or_else(|| self.bad(key, word, names().collect::<Vec<_>>().join(", ")).suggest(word, names()))
    }

    fn refuse_unknown(&self, known: &[&'static str]) -> Result<(), Error> {
        match self.table.keys().find(|key| !known.contains(&key.as_str())) {
            None => Ok(()),
            Some(key) => Err(Error::usage(&self.place, "the key is unknown")
                .field(key)
                .legal(known.join(", "))
                .hint("leave it out")
                .suggest(key, known.iter().copied())),
        }
    }

    fn bad(&self, key: &str, found: impl std::fmt::Display, legal: impl Into<String>) -> Error {
        Error::usage(&self.place, found.to_string()).field(key).legal(legal)
    }

    fn missing(&self, key: &str) -> Error {
        Error::usage(&self.place, "the key is missing").field(key)
    }
}

fn float(value: &Value) -> Option<f64> {
    value.as_float().or_else(|| value.as_integer().map(|whole| whole as f64))
}

/// A positive number in smaller units, rounded to a whole one.
fn scaled(value: f64, units: f64) -> u64 {
    (value * units).round() as u64
}

const EITHER: &str = "either fraction or channels";
const DIRECTIONS: [(&str, Directions); 3] =
    [("up", Directions::Up), ("down", Directions::Down), ("both", Directions::Both)];
const SHAPES: [(&str, JitterShape); 2] =
    [("uniform", JitterShape::Uniform), ("exponential", JitterShape::Exponential)];
/// Every kind of fault with the keys that it knows.
const KINDS: [(&str, &[&str]); 16] = [
    ("loss", &["from_s", "to_s", "direction", "probability"]),
    (
        "burst-loss",
        &[
            "from_s",
            "to_s",
            "direction",
            "mean_burst",
            "mean_gap",
            "good_to_bad",
            "bad_to_good",
            "loss_in_good",
            "loss_in_bad",
        ],
    ),
    ("duplicate", &["from_s", "to_s", "direction", "probability", "delay_ms"]),
    ("reorder", &["from_s", "to_s", "direction", "probability", "delay_ms"]),
    ("jitter", &["from_s", "to_s", "direction", "shape", "mean_ms"]),
    ("bit-flips", &["from_s", "to_s", "direction", "probability", "bits"]),
    ("truncation", &["from_s", "to_s", "direction", "probability"]),
    ("mtu", &["from_s", "to_s", "direction", "bytes"]),
    ("throughput", &["from_s", "to_s", "direction", "bits_per_second"]),
    ("stall", &["from_s", "to_s", "direction"]),
    ("disconnect", &["from_s", "to_s"]),
    ("clock-drift", &["from_s", "to_s", "ppm"]),
    ("clock-jump", &["at_s", "by_ms"]),
    ("reboot", &["at_s", "down_s"]),
    ("dead-electrodes", &["from_s", "to_s", "fraction", "channels"]),
    ("battery", &["points", "reset_below", "back_from"]),
];

#[cfg(test)]
mod tests {
    use super::KINDS;

    #[test]
    fn the_readme_names_every_kind_and_key() {
        let readme = include_str!("../../faults/README.md");
        for (kind, keys) in KINDS {
            let row = readme.lines().find(|line| line.starts_with(&format!("| `{kind}` |"))).expect(kind);
            for &key in keys {
                let is_window = ["from_s", "to_s"].contains(&key) && row.contains("| window");
                assert!(is_window || row.contains(&format!("`{key}`")), "{kind} has {key}: {row}");
            }
        }
    }
}
