//! Addresses: settings as one line of text, for a command line or a config.
//!
//! In: `sim:PROFILE[@RATE][,key=value]*`. Out: checked [`Settings`]. Guarantees that text of any content
//! gives settings or an error that names the key, never a panic.

use super::field::{FIELD_NUMBERS, is_of_fields};
use super::losses::Loss;
use super::settings::{NUMBERS, Settings};
use super::task::Task;
use crate::block::StreamKind;
use crate::device::{FILE_END, Profile, Signal};
use crate::error::Error;

impl Settings {
    /// Settings from an address: `sim:PROFILE[@RATE][,key=value]*`.
    ///
    /// PROFILE is a name ([`Profile::names`]) or the path of a file of your own, without commas, that ends in `.toml`.
    /// RATE is in Hz. The keys are `kind` (`broadband`, `counts` or `crossings`), `task` (`random`, `center-out` or
    /// `rest`), `seed`, `day`, `lose` (see [`Loss::parse_all`]), `electrodes`, `seconds`, `width_ms`, and the fields of
    /// [`Tissue`](super::Tissue) by name; for devices that hear field potentials those of
    /// [`Potential`](super::Potential), and of `Tissue` those that speak of no neuron.
    ///
    /// # Errors
    /// If the profile or a key is unknown, a key stands twice, or a value is not legal.
    ///
    /// ```
    /// use efference::sources::simulator::Settings;
    /// let settings = Settings::parse("sim:neuralink-n1@20000,electrodes=64,seed=7").unwrap();
    /// assert_eq!((settings.electrodes, settings.sample_rate_hz, settings.seed), (64, 20_000.0, 7));
    /// let message = Settings::parse("sim:neuralink-n1,sede=7").unwrap_err().to_string();
    /// assert!(message.contains("Try: `seed`"), "{message}");
    /// ```
    pub fn parse(address: &str) -> Result<Settings, Error> {
        let usage = |found: String| Error::usage(address, found).legal(ADDRESS_FORM);
        let Some(rest) = address.strip_prefix(ADDRESS_PREFIX) else {
            return Err(usage(format!("it doesn't start with `{ADDRESS_PREFIX}`")));
        };
        let mut pieces = rest.split(',');
        let head = pieces.next().unwrap_or_default();
        let (name, rate) = match head.rsplit_once('@') {
            // An @ in a path is its own.
            Some((name, rate)) if !rate.ends_with(FILE_END) => (name, Some(rate)),
            _ => (head, None),
        };
        let mut settings = Settings::new(Profile::load(name)?);
        let mut seen = Vec::new();
        for piece in pieces {
            let Some((key, value)) = piece.split_once('=') else {
                return Err(usage(format!("`{piece}` is not key=value")));
            };
            if seen.contains(&key) {
                return Err(usage("it stands twice".into()).field(key));
            }
            seen.push(key);
            settings.set(address, key, value)?;
        }
        if let Some(rate) = rate {
            if settings.kind != StreamKind::Broadband {
                return Err(Error::usage(address, format!("a rate beside kind={}", settings.kind.name()))
                    .field("sample_rate_hz")
                    .legal("a rate for broadband alone")
                    .hint("width_ms=20, which sets the width of a frame of counts or crossings"));
            }
            settings.sample_rate_hz = number(address, "sample_rate_hz", rate)?;
        }
        settings.check(address)?;
        Ok(settings)
    }

    fn set(&mut self, address: &str, key: &str, value: &str) -> Result<(), Error> {
        let numbers = || NUMBERS.iter().chain(&FIELD_NUMBERS).filter(|n| n.in_address);
        let hears_fields = self.profile.signal == Signal::FieldPotential;
        let is_number_of_fields = FIELD_NUMBERS.iter().any(|n| n.key == key);
        let choice = |legal: &str, words: &[&'static str]| {
            let error = Error::usage(address, format!("`{value}`")).field(key).legal(legal);
            Err(error.suggest(value, words.iter().copied()))
        };
        match key {
            "kind" => {
                self.kind = match value {
                    "broadband" => StreamKind::Broadband,
                    "counts" => StreamKind::Counts,
                    "crossings" => StreamKind::Crossings,
                    _ => {
                        let kinds = ["broadband", "counts", "crossings"];
                        return choice("broadband, counts or crossings", &kinds);
                    }
                }
            }
            "task" => {
                self.task = match Task::named(value) {
                    Some(task) => task,
                    None => return choice("random, center-out or rest", &["random", "center-out", "rest"]),
                }
            }
            "seed" => {
                self.seed = match value.parse() {
                    Ok(seed) => seed,
                    Err(_) => return choice("a whole number, 0 to 18446744073709551615", &[]),
                }
            }
            "lose" => self.losses = Loss::parse_all(value, address)?,
            _ => {
                let Some(n) = numbers().find(|n| n.key == key) else {
                    return Err(unknown_key(address, key, hears_fields));
                };
                if if hears_fields { !is_of_fields(key) } else { is_number_of_fields } {
                    let signal = if hears_fields { "field potentials" } else { "spikes" };
                    return Err(Error::usage(address, format!("the profile's device hears {signal}"))
                        .field(key)
                        .legal(keys(hears_fields).join(", ")));
                }
                let value = number(address, key, value)?;
                n.check(value, address)?;
                (n.set)(self, value);
            }
        }
        Ok(())
    }
}

/// The keys that mean something for a device that hears fields, or for one that hears spikes.
fn keys(hears_fields: bool) -> Vec<&'static str> {
    let numbers = NUMBERS.iter().filter(|n| n.in_address).map(|n| n.key);
    let keys = ["kind", "task", "seed", "lose"].into_iter().chain(numbers);
    if !hears_fields {
        return keys.collect();
    }
    keys.chain(FIELD_NUMBERS.iter().map(|n| n.key)).filter(|key| is_of_fields(key)).collect()
}

fn unknown_key(address: &str, key: &str, hears_fields: bool) -> Error {
    let keys = keys(hears_fields);
    let error =
        Error::usage(address, format!("the key `{key}` is unknown")).field(key).legal(keys.join(", "));
    error.suggest(key, keys)
}

fn number(address: &str, key: &str, value: &str) -> Result<f64, Error> {
    value.trim().parse().map_err(|_| {
        Error::usage(address, format!("`{value}` is not a number")).field(key).legal("a number, such as 20")
    })
}

/// What an address starts with.
pub const ADDRESS_PREFIX: &str = "sim:";

const ADDRESS_FORM: &str = "sim:PROFILE[@RATE][,key=value]*, such as sim:neuralink-n1@20000,electrodes=64";

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn message(address: &str) -> String {
        let error = Settings::parse(address).expect_err("refused");
        assert_eq!(error.kind(), crate::ErrorKind::Usage, "{error}");
        error.to_string()
    }

    #[test]
    fn an_address_sets_what_it_names_and_nothing_else() {
        let parsed =
            Settings::parse("sim:blackrock-utah@24000,kind=broadband,seconds=0.5,snr=9,day=3,lose=0.5@2..3")
                .expect("legal");
        let mut expected = Settings::new(Profile::named("blackrock-utah").expect("shipped"));
        expected.sample_rate_hz = 24_000.0;
        expected.seconds = 0.5;
        expected.tissue.snr = 9.0;
        expected.day = 3;
        expected.losses = vec![Loss { fraction: 0.5, from_s: 2.0, until_s: Some(3.0) }];
        assert_eq!(parsed, expected);
    }

    #[test]
    fn a_path_stands_where_a_name_may_and_keeps_its_at() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("own@2.toml");
        let own =
            include_str!("../../device/profiles/neucyber-beinao1.toml").replace("value = 128", "value = 20");
        std::fs::write(&path, own).expect("written");
        let path = path.to_str().expect("UTF-8");
        let settings = Settings::parse(&format!("sim:{path},seed=3")).expect("legal");
        assert_eq!((settings.electrodes, settings.sample_rate_hz, settings.seed), (20, 1_000.0, 3));
        let settings = Settings::parse(&format!("sim:{path}@2000,electrodes=5")).expect("legal");
        assert_eq!((settings.electrodes, settings.sample_rate_hz), (5, 2_000.0));
        let error = Settings::parse("sim:absent.toml,seed=3").expect_err("no such file");
        assert!(error.to_string().starts_with("absent.toml: "), "{error}");
    }

    #[test]
    fn bad_addresses_name_the_field_and_the_nearest_word() {
        for (address, wanted) in [
            (
                "sim:synchron-stentrode,kind=counts",
                "field `kind`: kind=counts, but `synchron-stentrode` hears field",
            ),
            (
                "sim:synchron-stentrode,snr=5",
                "field `snr`: the profile's device hears field potentials. Legal: kind",
            ),
            ("sim:synchron-stentrode,beta_dept=1", "Try: `beta_depth`"),
            ("sim:synchron-stentrode,beta_depth=2", "Legal: 0 to 1"),
            ("sim:synchron-stentrode@300", "Legal: 400 to 100000"),
            ("sim:neuralink-n1,beta_uv=5", "field `beta_uv`: the profile's device hears spikes"),
            ("neuralink-n1", "doesn't start with `sim:`"),
            ("sim:neuralink", "Try: `neuralink-n1`"),
            ("sim:neuralink-n1,electrode=3", "Try: `electrodes`"),
            (
                "sim:neuralink-n1,electrodes=0",
                "field `electrodes`: a value of 0. Legal: a whole number, 1 to 65536",
            ),
            ("sim:neuralink-n1,electrodes=65537", "1 to 65536"),
            ("sim:neuralink-n1,electrodes=1.5", "a whole number"),
            ("sim:neuralink-n1,electrodes=many", "`many` is not a number"),
            ("sim:neuralink-n1,seconds=0", "field `seconds`"),
            ("sim:neuralink-n1,seconds=NaN", "field `seconds`"),
            ("sim:neuralink-n1,seconds=0.01,kind=counts,width_ms=20", "hold no whole frame"),
            ("sim:neuralink-n1,width_ms=3", "whole in mHz"),
            ("sim:neuralink-n1@0", "field `sample_rate_hz`"),
            ("sim:neuralink-n1@1e9", "Legal: 5000 to 100000"),
            ("sim:neuralink-n1@20000,kind=counts", "width_ms"),
            ("sim:neuralink-n1,kind=count", "Try: `counts`"),
            ("sim:neuralink-n1,kind=crossing", "Try: `crossings`"),
            ("sim:neuralink-n1@20000,kind=crossings", "kind=crossings"),
            ("sim:paradromics-50k,kind=crossings,width_ms=2", "at most 1 ms for 50000 electrodes"),
            ("sim:neuralink-n1,task=centre-out", "Try: `center-out`"),
            ("sim:neuralink-n1,seed=-1", "field `seed`"),
            ("sim:neuralink-n1,seed=1,seed=2", "twice"),
            ("sim:neuralink-n1,empty=0.7,double=0.7", "add to more than 1"),
            ("sim:neuralink-n1,day=-1", "field `day`"),
            ("sim:neuralink-n1,day=0.5", "a whole number, 0 to 365"),
            ("sim:neuralink-n1,lose=0.2", "field `lose`"),
            ("sim:neuralink-n1,lose=0.2@4..3", "an end after it"),
            ("sim:neuralink-n1,loose=0.2@4", "Try: `lose`"),
            ("sim:neuralink-n1,amplitude_drift=1", "Legal: 0 to 0.9"),
            ("sim:neuralink-n1,motion_per_min=61", "Legal: 0 to 60"),
            ("sim:neuralink-n1,", "is not key=value"),
            ("sim:neuralink-n1,bits=4", "`bits` is unknown"),
        ] {
            let message = message(address);
            assert!(message.contains(wanted), "{address} gave: {message}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig {
            rng_seed: proptest::test_runner::RngSeed::Fixed(1),
            ..ProptestConfig::default()
        })]

        #[test]
        fn any_text_gives_settings_or_an_error(text in ".{0,60}", key in "[a-z_]{0,12}", value in ".{0,12}") {
            let known = NUMBERS[value.len() % NUMBERS.len()].key;
            for address in [
                text.clone(),
                format!("sim:{text}"),
                format!("sim:neuralink-n1,{text}"),
                format!("sim:neuralink-n1@{value},{key}={value}"),
                format!("sim:neuralink-n1,{known}={value}"),
            ] {
                if let Ok(settings) = Settings::parse(&address) {
                    prop_assert!(settings.check("again").is_ok());
                }
            }
        }
    }
}
