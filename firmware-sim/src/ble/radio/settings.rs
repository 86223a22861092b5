//! What the modelled radio does, from TOML or from `key=value,key=value`.
//!
//! ```
//! use firmware_sim::ble::radio::RadioSettings;
//! let settings = RadioSettings::parse("errors=0.1,blackout_at_s=3,blackout_for_s=8", "--radio")?;
//! assert_eq!((settings.errors, settings.buffers), (0.1, 12));
//! # Ok::<(), efference::Error>(())
//! ```

use super::airtime::Phy;
use efference::Error;

/// A radio.
#[derive(Clone, Debug, PartialEq)]
pub struct RadioSettings {
    /// Of the errors.
    pub seed: u64,
    /// Chance that an exchange is lost and has to be repeated.
    pub errors: f64,
    /// The fastest PHY that the controllers have.
    pub phy: Phy,
    /// Bytes of a packet of the link layer at most: 27, or up to 251 with data length extension.
    pub octets: u16,
    /// Packets that a controller holds for its host.
    pub buffers: u8,
    /// Takes the place of the connection interval that the central chooses at first, µs.
    pub interval_us: Option<u64>,
    /// The central grants no other interval than its own.
    pub is_interval_fixed: bool,
    /// Nothing gets through from so many µs after the first connection …
    pub blackout_at_us: Option<u64>,
    /// … for so long …
    pub blackout_for_us: u64,
    /// … and again each time so much later.
    pub blackout_every_us: Option<u64>,
    /// Nothing is heard for so long: the link is lost. In place of what the central asks for, µs.
    pub supervision_us: Option<u64>,
}

impl Default for RadioSettings {
    fn default() -> Self {
        RadioSettings {
            seed: 1,
            errors: 0.0,
            phy: Phy::Le2M,
            octets: OCTETS_MAX,
            buffers: 12,
            interval_us: None,
            is_interval_fixed: false,
            blackout_at_us: None,
            blackout_for_us: 8_000_000,
            blackout_every_us: None,
            supervision_us: None,
        }
    }
}

impl RadioSettings {
    /// From a file's TOML, or from the same keys on one line with commas; `place` is named in errors.
    ///
    /// # Errors
    /// What is not legal.
    pub fn parse(text: &str, place: &str) -> Result<Self, Error> {
        let lines = if text.contains('\n') { text.to_string() } else { text.replace(',', "\n") };
        let table: toml::Table = lines.parse().map_err(|error: toml::de::Error| {
            Error::usage(place, error.message().to_string()).hint("errors=0.1,blackout_at_s=3")
        })?;
        let mut settings = RadioSettings::default();
        for (key, value) in &table {
            let float = value.as_float().or(value.as_integer().map(|whole| whole as f64));
            let within = |low: f64, high: f64| {
                float.filter(|value| (low..=high).contains(value)).ok_or_else(|| {
                    Error::usage(place, value.to_string()).field(key).legal(format!("{low} to {high}"))
                })
            };
            let us = |high_s: f64, unit: f64| within(0.0, high_s * unit).map(|x| (x / unit * 1e6) as u64);
            match key.as_str() {
                "seed" => settings.seed = within(0.0, 9e15)? as u64,
                "errors" => settings.errors = within(0.0, 0.9)?,
                "phy" => settings.phy = if within(1.0, 2.0)? < 2.0 { Phy::Le1M } else { Phy::Le2M },
                "octets" => settings.octets = within(27.0, f64::from(OCTETS_MAX))? as u16,
                "buffers" => settings.buffers = within(1.0, 64.0)? as u8,
                "interval_ms" => {
                    let ms = within(7.5, 4_000.0)?;
                    settings.interval_us = Some((ms / 1.25).round() as u64 * 1_250);
                }
                "interval_fixed" => settings.is_interval_fixed = value.as_bool().unwrap_or(false),
                "blackout_at_s" => settings.blackout_at_us = Some(us(86_400.0, 1.0)?),
                "blackout_for_s" => settings.blackout_for_us = us(86_400.0, 1.0)?,
                // No less than a second, so that there is an end.
                "blackout_every_s" => settings.blackout_every_us = Some(us(86_400.0, 1.0)?.max(1_000_000)),
                "supervision_ms" => settings.supervision_us = Some(us(32.0, 1e3)?.max(100_000)),
                _ => {
                    return Err(Error::usage(place, "a key that nobody knows").field(key).legal(KEYS));
                }
            }
        }
        Ok(settings)
    }

    /// Of a file, or of the argument itself where it has a `=`.
    ///
    /// # Errors
    /// As [`RadioSettings::parse`]; a file that can't be read.
    pub fn of_argument(argument: &str) -> Result<Self, Error> {
        if argument.contains('=') {
            return RadioSettings::parse(argument, "--radio");
        }
        let text = std::fs::read_to_string(argument)
            .map_err(|error| Error::usage("--radio", format!("`{argument}`: {error}")))?;
        RadioSettings::parse(&format!("{text}\n"), argument)
    }
}

/// With data length extension.
pub const OCTETS_MAX: u16 = 251;
const KEYS: &str = "seed, errors, phy, octets, buffers, interval_ms, interval_fixed, blackout_at_s, blackout_for_s, \
                    blackout_every_s, supervision_ms";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_legal_is_named() {
        for (text, part) in [
            ("errors=2", "errors"),
            ("errors=0.5,colour=1", "colour"),
            ("interval_ms=1", "7.5"),
            ("phy", "--radio"),
        ] {
            let error = RadioSettings::parse(text, "--radio").expect_err(text).to_string();
            assert!(error.contains(part), "{error}");
        }
    }

    #[test]
    fn a_file_and_a_line_say_the_same() {
        let line =
            RadioSettings::parse("phy=1,interval_ms=50,interval_fixed=true,supervision_ms=420", "line");
        let file = RadioSettings::parse(
            "phy = 1 # slow\ninterval_ms = 50\ninterval_fixed = true\nsupervision_ms = 420\n",
            "file",
        );
        let settings = line.expect("legal");
        assert_eq!(settings, file.expect("legal"));
        assert_eq!((settings.interval_us, settings.supervision_us), (Some(50_000), Some(420_000)));
        assert!(settings.is_interval_fixed && settings.phy == Phy::Le1M);
    }
}
