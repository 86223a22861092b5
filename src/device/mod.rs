//! Device profiles: what an implant or array delivers, each figure with its source.
//!
//! In: TOML text, three of them compiled in. Out: a checked [`Profile`]. Guarantees that every figure is
//! within the limits below and says where it comes from, or says that it is unsourced.

use crate::block::CHANNELS_MAX;
use crate::error::Error;
use serde::Deserialize;

/// What a device delivers.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Profile {
    /// The word that stands in addresses and configs.
    pub name: String,
    /// One line for a person.
    pub summary: String,
    /// What its electrodes hear.
    pub signal: Signal,
    /// Electrodes, one channel each.
    pub electrodes: Figure<u32>,
    /// Frames a second of its broadband stream.
    pub sample_rate_hz: Figure<f64>,
    /// Bits of a sample, sign included.
    pub bits: Figure<u32>,
    /// Microvolt of one count.
    pub uv_per_count: Figure<f32>,
    /// Neighbouring electrodes that share a thread, a bank or a shank, and with it their common noise; a
    /// multiple of [`GROUP_STEP`].
    pub electrodes_per_group: Figure<u32>,
}

/// What electrodes hear.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Signal {
    /// Spikes of single neurons.
    Spikes,
    /// Field potentials alone.
    FieldPotential,
}

/// A value and where it comes from.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Figure<T> {
    /// The value.
    pub value: T,
    /// Where it comes from; starts with `unsourced` where nobody says.
    pub source: String,
}

impl<T> Figure<T> {
    /// Somebody publishes this value.
    pub fn is_sourced(&self) -> bool {
        !self.source.starts_with(UNSOURCED)
    }
}

impl Profile {
    /// The profile compiled in under `name`.
    ///
    /// # Errors
    /// If there is none; the message lists all and suggests the nearest.
    ///
    /// ```
    /// use efference::device::Profile;
    /// let n1 = Profile::named("neuralink-n1").unwrap();
    /// assert_eq!(n1.electrodes.value, 1024);
    /// assert!(!n1.uv_per_count.is_sourced());
    /// let message = Profile::named("neuralink-n2").unwrap_err().to_string();
    /// assert!(message.contains("Try: `neuralink-n1`"));
    /// ```
    pub fn named(name: &str) -> Result<Profile, Error> {
        let Some((_, text)) = SHIPPED.iter().find(|(shipped, _)| *shipped == name) else {
            let names: Vec<&str> = Profile::names().collect();
            return Err(Error::usage("device profiles", format!("no profile is named `{name}`"))
                .field("profile")
                .legal(names.join(", "))
                .suggest(name, names));
        };
        Profile::from_toml(text, name)
    }

    /// The names of the profiles that are compiled in.
    pub fn names() -> impl Iterator<Item = &'static str> {
        SHIPPED.iter().map(|(name, _)| *name)
    }

    /// A profile from TOML text, such as a user's own file; `place` names it in errors.
    ///
    /// # Errors
    /// If a field is missing, unknown, of another type, out of its range, or without a source.
    pub fn from_toml(text: &str, place: &str) -> Result<Profile, Error> {
        let profile: Profile = toml::from_str(text).map_err(|error| {
            Error::input(place, format!("it is no device profile ({})", error.to_string().trim()))
                .legal("name, summary, signal, and a table with value and source for each figure")
                .hint("start from a copy of a profile that works")
        })?;
        profile.check(place)?;
        Ok(profile)
    }

    fn check(&self, place: &str) -> Result<(), Error> {
        let figures = [
            (
                "electrodes",
                f64::from(self.electrodes.value),
                1.0,
                CHANNELS_MAX as f64,
                &self.electrodes.source,
            ),
            ("sample_rate_hz", self.sample_rate_hz.value, 100.0, 1e5, &self.sample_rate_hz.source),
            ("bits", f64::from(self.bits.value), 2.0, 16.0, &self.bits.source),
            ("uv_per_count", f64::from(self.uv_per_count.value), 1e-3, 1e3, &self.uv_per_count.source),
            (
                "electrodes_per_group",
                f64::from(self.electrodes_per_group.value),
                f64::from(GROUP_STEP),
                CHANNELS_MAX as f64,
                &self.electrodes_per_group.source,
            ),
        ];
        for (field, value, min, max, source) in figures {
            if !(min..=max).contains(&value) {
                return Err(Error::input(place, format!("a value of {value}"))
                    .field(field)
                    .legal(format!("{min} to {max}")));
            }
            if source.trim().is_empty() {
                return Err(Error::input(place, "its source is empty")
                    .field(field)
                    .legal(format!("where the value is published, or `{UNSOURCED}`")));
            }
        }
        let group = self.electrodes_per_group.value;
        if !group.is_multiple_of(GROUP_STEP) {
            return Err(Error::input(place, format!("groups of {group} electrodes"))
                .field("electrodes_per_group")
                .legal(format!("a multiple of {GROUP_STEP}")));
        }
        Ok(())
    }
}

/// Groups are whole runs of SIMD lanes, so that a run of lanes shares one common signal.
pub const GROUP_STEP: u32 = 16;

const UNSOURCED: &str = "unsourced";

const SHIPPED: [(&str, &str); 3] = [
    ("neuralink-n1", include_str!("profiles/neuralink-n1.toml")),
    ("blackrock-utah", include_str!("profiles/blackrock-utah.toml")),
    ("paradromics-50k", include_str!("profiles/paradromics-50k.toml")),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_shipped_profile_is_legal_and_named_as_its_file() {
        for name in Profile::names() {
            assert_eq!(Profile::named(name).expect("a legal profile").name, name);
        }
    }

    #[test]
    fn a_file_with_a_wrong_field_is_refused_by_name() {
        let text = SHIPPED[0].1;
        let refused = |from: &str, to: &str| {
            assert!(text.contains(from));
            Profile::from_toml(&text.replace(from, to), "own.toml").expect_err("refused").to_string()
        };
        assert!(refused("bits", "bitz").contains("bitz"));
        let message = refused("value = 1024", "value = 0");
        assert!(
            message.starts_with("own.toml, field `electrodes`: a value of 0. Legal: 1 to 65536"),
            "{message}"
        );
        assert!(refused("value = 19531.0", "value = nan").contains("sample_rate_hz"));
        assert!(refused("value = 16\n", "value = 24\n").contains("multiple of 16"));
    }
}
