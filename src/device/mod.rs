//! Device profiles: what an implant or array delivers and over which link, each figure with its source.
//!
//! In: TOML text, compiled in or a user's own file. Out: a checked [`Profile`]. Guarantees that every figure is
//! within its limits and says where it comes from, or says that it is unsourced.

mod checks;
mod parts;

pub use parts::{Field, Figure, Link, LinkKind, Mode, Signal};

use crate::error::Error;
use serde::Deserialize;
use std::path::Path;

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
    /// Width of the bins that it sends where nobody asks for another, ms.
    pub bin_width_ms: Figure<f64>,
    /// Where its electrodes lie and what they hear of a field; a device has it if it hears field potentials.
    pub field: Option<Field>,
    /// What carries its data.
    pub link: Link,
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
        let Some(shipped) = SHIPPED.iter().find(|shipped| shipped.name == name) else {
            let names: Vec<&str> = Profile::names().collect();
            return Err(Error::usage("device profiles", format!("no profile is named `{name}`"))
                .field("profile")
                .legal(format!("{}, or a file of your own that ends in {FILE_END}", names.join(", ")))
                .suggest(name, names));
        };
        let mut profile = Profile::from_toml(shipped.text, name)?;
        if let Some(electrodes) = shipped.electrodes {
            profile.name = name.into();
            profile.electrodes.value = electrodes;
        }
        Ok(profile)
    }

    /// The profile compiled in under a name, or that of a file: what ends in `.toml` is a path.
    ///
    /// # Errors
    /// As [`Profile::named`] and [`Profile::from_toml`], or if the file can't be read.
    ///
    /// ```
    /// use efference::device::Profile;
    /// assert_eq!(Profile::load("blackrock-utah-256").unwrap().electrodes.value, 256);
    /// assert!(Profile::load("absent.toml").unwrap_err().to_string().contains("absent.toml"));
    /// ```
    pub fn load(name_or_path: &str) -> Result<Profile, Error> {
        if !name_or_path.ends_with(FILE_END) {
            return Profile::named(name_or_path);
        }
        let path = Path::new(name_or_path);
        let text = std::fs::read_to_string(path).map_err(|error| Error::unreadable(path, &error))?;
        Profile::from_toml(&text, name_or_path)
    }

    /// The names of the profiles that are compiled in.
    pub fn names() -> impl Iterator<Item = &'static str> {
        SHIPPED.iter().map(|shipped| shipped.name)
    }

    /// All profiles that are compiled in.
    ///
    /// # Errors
    /// None; a test reads them all.
    pub fn all() -> Result<Vec<Profile>, Error> {
        Profile::names().map(Profile::named).collect()
    }

    /// A profile from TOML text, such as a user's own file; `place` names it in errors.
    ///
    /// # Errors
    /// If a field is missing, unknown, of another type, out of its range, or without a source.
    pub fn from_toml(text: &str, place: &str) -> Result<Profile, Error> {
        let profile: Profile = toml::from_str(text).map_err(|error| {
            let refused =
                Error::input(place, format!("it is no device profile ({})", error.to_string().trim()))
                    .legal("name, summary, signal, link, and a table with value and source for each figure")
                    .hint("start from a copy of a profile that works: src/device/profiles");
            match error.span().and_then(|span| table_at(text, span.start)) {
                Some(table) => refused.field(table),
                None => refused,
            }
        })?;
        profile.check(place)?;
        Ok(profile)
    }

    /// Bits a second of all its samples, headers left out.
    pub fn raw_bits_per_s(&self) -> f64 {
        f64::from(self.electrodes.value) * self.sample_rate_hz.value * f64::from(self.bits.value)
    }

    /// Fields whose figure nobody publishes.
    pub fn unsourced(&self) -> Vec<&'static str> {
        self.sources()
            .into_iter()
            .filter(|(_, source)| parts::is_unsourced(source))
            .map(|(field, _)| field)
            .collect()
    }
}

/// The table of TOML text in which the byte `at` stands; `None` above the first.
fn table_at(text: &str, at: usize) -> Option<&str> {
    let end = text[at..].find('\n').map_or(text.len(), |end| at + end);
    let header = text[..end].lines().rev().find_map(|line| line.strip_prefix('['))?;
    header.split_once(']').map(|(table, _)| table)
}

/// Groups are whole runs of SIMD lanes, so that a run of lanes shares one common signal.
pub const GROUP_STEP: u32 = 16;

/// What the path of a user's own file ends in.
pub const FILE_END: &str = ".toml";

/// A profile that is compiled in.
struct Shipped {
    name: &'static str,
    text: &'static str,
    /// Electrodes, where they are not the text's.
    electrodes: Option<u32>,
}

const fn shipped(name: &'static str, text: &'static str) -> Shipped {
    Shipped { name, text, electrodes: None }
}

const fn utah(name: &'static str, electrodes: u32) -> Shipped {
    Shipped { name, text: UTAH, electrodes: Some(electrodes) }
}

const UTAH: &str = include_str!("profiles/blackrock-utah.toml");

const SHIPPED: [Shipped; 10] = [
    shipped("neuralink-n1", include_str!("profiles/neuralink-n1.toml")),
    shipped("synchron-stentrode", include_str!("profiles/synchron-stentrode.toml")),
    shipped("precision-layer7", include_str!("profiles/precision-layer7.toml")),
    shipped("neucyber-beinao1", include_str!("profiles/neucyber-beinao1.toml")),
    shipped("neucyber-beinao2", include_str!("profiles/neucyber-beinao2.toml")),
    shipped("paradromics-50k", include_str!("profiles/paradromics-50k.toml")),
    shipped("blackrock-utah", UTAH),
    utah("blackrock-utah-128", 128),
    utah("blackrock-utah-192", 192),
    utah("blackrock-utah-256", 256),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_shipped_profile_is_legal_and_named_as_its_file() {
        let all = Profile::all().expect("legal profiles");
        assert!(all.iter().map(|profile| profile.name.as_str()).eq(Profile::names()));
        let electrodes: Vec<u32> = all.iter().map(|profile| profile.electrodes.value).collect();
        assert_eq!(electrodes, [1024, 16, 1024, 128, 1024, 50_000, 96, 128, 192, 256]);
        for profile in all {
            assert_eq!(profile.field.is_some(), profile.signal == Signal::FieldPotential, "{}", profile.name);
            assert!(profile.link.modes.value.iter().any(|&mode| mode != Mode::Raw), "{}", profile.name);
        }
    }

    #[test]
    fn a_device_whose_samples_fit_its_link_says_so_by_its_modes() {
        for profile in Profile::all().expect("legal profiles") {
            let fits = profile.raw_bits_per_s() <= profile.link.budget_bits_per_s.value as f64;
            // What comes first is what it sends unless asked.
            let raw_first = profile.link.modes.value[0] == Mode::Raw;
            assert!(fits || !raw_first, "{}: {} bit/s raw", profile.name, profile.raw_bits_per_s());
        }
    }

    #[test]
    fn a_file_with_a_wrong_field_is_refused_by_name() {
        let refused = |text: &str, from: &str, to: &str| {
            assert!(text.contains(from), "{from}");
            Profile::from_toml(&text.replace(from, to), "own.toml").expect_err("refused").to_string()
        };
        let n1 = SHIPPED[0].text;
        assert!(refused(n1, "bits]", "bitz]").contains("bitz"));
        let message = refused(n1, "value = 1024", "value = 0");
        assert!(
            message.starts_with("own.toml, field `electrodes`: a value of 0. Legal: 1 to 65536"),
            "{message}"
        );
        assert!(refused(n1, "value = 19531.0", "value = nan").contains("sample_rate_hz"));
        assert!(refused(n1, "value = 16\n", "value = 24\n").contains("multiple of 16"));
        assert!(refused(n1, "value = \"ble\"", "value = \"rope\"").contains("`wired`, `ble`, `udp`"));
        assert!(refused(n1, "value = 1000000\n", "value = 10\n").contains("link.budget_bits_per_s"));
        assert!(refused(n1, "\"counts\", \"crossings\"", "\"counts\", \"counts\"").contains("twice"));
        assert!(refused(n1, "source = \"unsourced\"", "source = \" \"").contains("link.modes"));
        assert!(refused(n1, "\"spikes\"", "\"field-potential\"").contains("field `field`"));
        assert!(refused(n1, "[link.kind]", "[link.kinds]").contains("kinds"));
        let message = refused(n1, "value = 10\n", "value = -10\n");
        assert!(message.starts_with("own.toml, field `bits`: "), "{message}");
        let stentrode = SHIPPED[1].text;
        assert!(refused(stentrode, "\"field-potential\"", "\"spikes\"").contains("field `field`"));
        assert!(refused(stentrode, "value = 2.5", "value = 0.0").contains("field.pitch_mm"));
        assert!(refused(stentrode, "value = 2000.0", "value = 300.0").contains("400 to 100000"));
    }

    #[test]
    fn a_users_own_file_is_read_and_named_in_errors() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("own.toml");
        let path = path.to_str().expect("UTF-8");
        let text = SHIPPED[2].text.replace("precision-layer7", "mine").replace("value = 1024", "value = 48");
        std::fs::write(path, &text).expect("written");
        let mine = Profile::load(path).expect("legal");
        assert_eq!((mine.name.as_str(), mine.electrodes.value), ("mine", 48));
        std::fs::write(path, text.replace("value = 48", "value = -1")).expect("written");
        let message = Profile::load(path).expect_err("negative").to_string();
        assert!(message.starts_with(&format!("{path}, field `electrodes`")), "{message}");
    }
}
