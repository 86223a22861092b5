//! What to simulate: a profile, the tissue round it, and the task.
//!
//! In: a [`Profile`] and changes to its defaults, as fields or as the text of an address (see
//! [`Settings::parse`]). Out: [`Settings`]. Guarantees that what [`Settings::check`] let through can be
//! built; address text of any content gives settings or an error, never a panic.

use super::task::Task;
use crate::block::{BLOCK_FRAMES_MAX, CHANNELS_MAX, StreamKind};
use crate::device::{Profile, Signal};
use crate::error::{Error, nearest};

/// What to simulate. Built by [`Settings::new`] or [`Settings::parse`], changed field by field.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    /// The device: bits, microvolt per count and groups are taken from it.
    pub profile: Profile,
    /// Broadband samples, or counts of spikes without synthesising broadband.
    pub kind: StreamKind,
    /// Electrodes, one channel each.
    pub electrodes: usize,
    /// Frames a second of broadband.
    pub sample_rate_hz: f64,
    /// Width of a frame of counts, in ms.
    pub width_ms: u32,
    /// Frames of a block; `None` for about a millisecond.
    pub block_frames: Option<usize>,
    /// Length of a recording in seconds; a closed loop has no end.
    pub seconds: f64,
    /// Every random draw comes from it.
    pub seed: u64,
    /// What the subject of a recording does.
    pub task: Task,
    /// Neurons and noise.
    pub tissue: Tissue,
}

/// Neurons and noise. Amplitudes are those of the broadband signal, before any filter.
#[derive(Clone, Debug, PartialEq)]
pub struct Tissue {
    /// Standard deviation of each electrode's own white noise, µV.
    pub noise_uv: f64,
    /// Standard deviation of the white noise that a group of electrodes shares, µV.
    pub common_uv: f64,
    /// Standard deviation of the slow drift below about 5 Hz that a group shares, µV.
    pub drift_uv: f64,
    /// Amplitude of the mains hum, µV.
    pub mains_uv: f64,
    /// Frequency of the mains hum, Hz.
    pub mains_hz: f64,
    /// Median trough of a neuron's waveform, in standard deviations of the white noise (log-normal).
    pub snr: f64,
    /// Median rate of a neuron at rest, spikes a second (log-normal).
    pub rate_hz: f64,
    /// Mean modulation depth: how much of its rate at rest a neuron gains at full speed in its preferred
    /// direction.
    pub modulation: f64,
    /// Longest lead of a neuron over the movement, ms.
    pub lag_max_ms: u32,
    /// Fraction of electrodes that are dead: flat, without neurons.
    pub dead: f64,
    /// Fraction of the live electrodes that hear no neuron.
    pub empty: f64,
    /// Fraction of the live electrodes that hear two neurons; the rest hear one.
    pub double: f64,
    /// Speed at which a neuron is fully modulated, m/s.
    pub speed_full: f64,
}

impl Default for Tissue {
    fn default() -> Self {
        Tissue {
            noise_uv: 8.0,
            common_uv: 4.0,
            drift_uv: 20.0,
            mains_uv: 5.0,
            mains_hz: 50.0,
            snr: 6.0,
            rate_hz: 6.0,
            modulation: 0.8,
            lag_max_ms: 100,
            dead: 0.03,
            empty: 0.25,
            double: 0.2,
            speed_full: 0.3,
        }
    }
}

impl Settings {
    /// The defaults for `profile`: its electrodes and rate, broadband, 60 s, seed 1.
    pub fn new(profile: Profile) -> Self {
        Settings {
            kind: StreamKind::Broadband,
            electrodes: profile.electrodes.value as usize,
            sample_rate_hz: profile.sample_rate_hz.value,
            profile,
            width_ms: 1,
            block_frames: None,
            seconds: 60.0,
            seed: 1,
            task: Task::Random,
            tissue: Tissue::default(),
        }
    }

    /// Settings from an address: `sim:PROFILE[@RATE][,key=value]*`.
    ///
    /// RATE is in Hz. The keys are `kind` (`broadband` or `counts`), `task` (`random`, `center-out` or
    /// `rest`), `seed`, `electrodes`, `seconds`, `width_ms`, and the fields of [`Tissue`] by name.
    ///
    /// # Errors
    /// If the profile or a key is unknown, a key stands twice, or a value is not legal.
    ///
    /// ```
    /// use efference::sources::simulator::Settings;
    /// let settings = Settings::parse("sim:neuralink-n1@20000,electrodes=64,seed=7").unwrap();
    /// assert_eq!((settings.electrodes, settings.sample_rate_hz, settings.seed), (64, 20_000.0, 7));
    /// let message = Settings::parse("sim:neuralink-n1,sede=7").unwrap_err().to_string();
    /// assert!(message.contains("Try: seed."), "{message}");
    /// ```
    pub fn parse(address: &str) -> Result<Settings, Error> {
        let usage = |found: String| Error::usage(address, found).legal(ADDRESS_FORM);
        let Some(rest) = address.strip_prefix(ADDRESS_PREFIX) else {
            return Err(usage(format!("it doesn't start with `{ADDRESS_PREFIX}`")));
        };
        let mut pieces = rest.split(',');
        let head = pieces.next().unwrap_or_default();
        let (name, rate) = match head.split_once('@') {
            Some((name, rate)) => (name, Some(rate)),
            None => (head, None),
        };
        let mut settings = Settings::new(Profile::named(name)?);
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
            if settings.kind == StreamKind::Counts {
                return Err(Error::usage(address, "a rate beside kind=counts")
                    .field("sample_rate_hz")
                    .legal("a rate for broadband alone")
                    .hint("width_ms=20, which sets the width of a frame of counts"));
            }
            settings.sample_rate_hz = number(address, "sample_rate_hz", rate)?;
        }
        settings.check(address)?;
        Ok(settings)
    }

    /// Checks every field; `place` names the settings in errors.
    ///
    /// # Errors
    /// If a field is outside its range, or fields contradict each other.
    pub fn check(&self, place: &str) -> Result<(), Error> {
        for n in &NUMBERS {
            let value = (n.get)(self);
            if !(n.min..=n.max).contains(&value) {
                return Err(Error::usage(place, format!("a value of {value}"))
                    .field(n.key)
                    .legal(format!("{} to {}", n.min, n.max)));
            }
        }
        if let Some(frames) = self.block_frames
            && !(1..=BLOCK_FRAMES_MAX).contains(&frames)
        {
            return Err(Error::usage(place, format!("blocks of {frames} frames"))
                .field("block_frames")
                .legal(format!("1 to {BLOCK_FRAMES_MAX}")));
        }
        if !1_000_000u32.is_multiple_of(self.width_ms) {
            return Err(Error::usage(place, format!("a width of {} ms", self.width_ms))
                .field("width_ms")
                .legal(
                    "a width whose rate is whole in mHz: 1, 2, 4, 5, 8, 10, 16, 20, 25, 32, 40, 50, 100",
                ));
        }
        if self.tissue.empty + self.tissue.double > 1.0 {
            return Err(Error::usage(place, "empty and double add to more than 1")
                .field("empty")
                .legal("fractions of the live electrodes that add to at most 1"));
        }
        if self.n_frames() == 0 {
            return Err(Error::usage(place, format!("{} s hold no whole frame", self.seconds))
                .field("seconds")
                .legal("at least the width of one frame"));
        }
        if self.profile.signal != Signal::Spikes {
            return Err(Error::usage(place, format!("`{}` hears field potentials", self.profile.name))
                .field("profile")
                .legal("a profile whose signal is spikes"));
        }
        Ok(())
    }

    /// Frames a second of the stream: of broadband, or of counts.
    pub fn frames_hz(&self) -> f64 {
        match self.kind {
            StreamKind::Broadband => self.sample_rate_hz,
            StreamKind::Counts => 1e3 / f64::from(self.width_ms),
        }
    }

    /// Frames of a recording.
    pub fn n_frames(&self) -> u64 {
        // The small part forgives 0.3 s / 0.1 s = 2.9999…
        (self.seconds * self.frames_hz() + 1e-6).floor() as u64
    }

    fn set(&mut self, address: &str, key: &str, value: &str) -> Result<(), Error> {
        let choice = |legal: &str, words: &[&'static str]| {
            let error = Error::usage(address, format!("`{value}`")).field(key).legal(legal);
            Err(match nearest(value, words.iter().copied()) {
                Some(near) => error.hint(near),
                None => error,
            })
        };
        match key {
            "kind" => {
                self.kind = match value {
                    "broadband" => StreamKind::Broadband,
                    "counts" => StreamKind::Counts,
                    _ => return choice("broadband or counts", &["broadband", "counts"]),
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
            _ => {
                let Some(n) = NUMBERS.iter().find(|n| n.in_address && n.key == key) else {
                    return Err(unknown_key(address, key));
                };
                let value = number(address, key, value)?;
                if n.whole && value.fract() != 0.0 {
                    return Err(Error::usage(address, format!("a value of {value}"))
                        .field(key)
                        .legal(format!("a whole number, {} to {}", n.min, n.max)));
                }
                (n.set)(self, value);
            }
        }
        Ok(())
    }
}

fn unknown_key(address: &str, key: &str) -> Error {
    let numbers = NUMBERS.iter().filter(|n| n.in_address).map(|n| n.key);
    let keys: Vec<&str> = ["kind", "task", "seed"].into_iter().chain(numbers).collect();
    let error = Error::usage(address, format!("the key `{key}` is unknown")).legal(keys.join(", "));
    match nearest(key, keys) {
        Some(near) => error.hint(near),
        None => error,
    }
}

fn number(address: &str, key: &str, value: &str) -> Result<f64, Error> {
    value.trim().parse().map_err(|_| {
        Error::usage(address, format!("`{value}` is not a number")).field(key).legal("a number, such as 20")
    })
}

/// What an address starts with.
pub const ADDRESS_PREFIX: &str = "sim:";

const ADDRESS_FORM: &str = "sim:PROFILE[@RATE][,key=value]*, such as sim:neuralink-n1@20000,electrodes=64";

/// A field that is a number: its legal range, and how to reach it.
struct Number {
    key: &'static str,
    min: f64,
    max: f64,
    whole: bool,
    in_address: bool,
    get: fn(&Settings) -> f64,
    set: fn(&mut Settings, f64),
}

macro_rules! number {
    ($key:literal, $min:expr, $max:expr, $($field:ident).+) => {
        Number {
            key: $key,
            min: $min,
            max: $max,
            whole: false,
            in_address: true,
            get: |s| s.$($field).+,
            set: |s, v| s.$($field).+ = v,
        }
    };
    ($key:literal, $min:expr, $max:expr, $($field:ident).+ as $whole:ty) => {
        Number {
            key: $key,
            min: $min,
            max: $max,
            whole: true,
            in_address: true,
            get: |s| s.$($field).+ as f64,
            set: |s, v| s.$($field).+ = v as $whole,
        }
    };
}

/// Four hours: their kinematics at 1 kHz take 0.5 GB.
const SECONDS_MAX: f64 = 14_400.0;
/// A spike's trough is 0.2 ms wide: below this rate it falls between two frames.
const SAMPLE_RATE_MIN_HZ: f64 = 5_000.0;
const SAMPLE_RATE_MAX_HZ: f64 = 100_000.0;

const NUMBERS: [Number; 18] = [
    number!("electrodes", 1.0, CHANNELS_MAX as f64, electrodes as usize),
    number!("seconds", 1e-3, SECONDS_MAX, seconds),
    number!("width_ms", 1.0, 1e3, width_ms as u32),
    number!("noise_uv", 0.0, 1e3, tissue.noise_uv),
    number!("common_uv", 0.0, 1e3, tissue.common_uv),
    number!("drift_uv", 0.0, 1e4, tissue.drift_uv),
    number!("mains_uv", 0.0, 1e4, tissue.mains_uv),
    number!("mains_hz", 45.0, 65.0, tissue.mains_hz),
    number!("snr", 0.1, 100.0, tissue.snr),
    number!("rate_hz", 0.1, 100.0, tissue.rate_hz),
    number!("modulation", 0.0, 10.0, tissue.modulation),
    number!("lag_max_ms", 0.0, super::intents::LAG_MAX_MS as f64, tissue.lag_max_ms as u32),
    number!("dead", 0.0, 1.0, tissue.dead),
    number!("empty", 0.0, 1.0, tissue.empty),
    number!("double", 0.0, 1.0, tissue.double),
    number!("speed_full", 1e-3, 1e3, tissue.speed_full),
    Number {
        in_address: false, // It stands after the profile: `@RATE`.
        ..number!("sample_rate_hz", SAMPLE_RATE_MIN_HZ, SAMPLE_RATE_MAX_HZ, sample_rate_hz)
    },
    Number {
        in_address: false, // It is the device's.
        ..number!("bits", 2.0, 16.0, profile.bits.value as u32)
    },
];

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
            Settings::parse("sim:blackrock-utah@24000,kind=broadband,seconds=0.5,snr=9").expect("legal");
        let mut expected = Settings::new(Profile::named("blackrock-utah").expect("shipped"));
        expected.sample_rate_hz = 24_000.0;
        expected.seconds = 0.5;
        expected.tissue.snr = 9.0;
        assert_eq!(parsed, expected);
    }

    #[test]
    fn bad_addresses_name_the_field_and_the_nearest_word() {
        for (address, wanted) in [
            ("neuralink-n1", "doesn't start with `sim:`"),
            ("sim:neuralink", "Try: neuralink-n1"),
            ("sim:neuralink-n1,electrode=3", "Try: electrodes"),
            ("sim:neuralink-n1,electrodes=0", "field `electrodes`: a value of 0. Legal: 1 to 65536"),
            ("sim:neuralink-n1,electrodes=65537", "Legal: 1 to 65536"),
            ("sim:neuralink-n1,electrodes=1.5", "a whole number"),
            ("sim:neuralink-n1,electrodes=many", "`many` is not a number"),
            ("sim:neuralink-n1,seconds=0", "field `seconds`"),
            ("sim:neuralink-n1,seconds=NaN", "field `seconds`"),
            ("sim:neuralink-n1,seconds=0.01,kind=counts,width_ms=20", "hold no whole frame"),
            ("sim:neuralink-n1,width_ms=3", "whole in mHz"),
            ("sim:neuralink-n1@0", "field `sample_rate_hz`"),
            ("sim:neuralink-n1@1e9", "Legal: 5000 to 100000"),
            ("sim:neuralink-n1@20000,kind=counts", "width_ms"),
            ("sim:neuralink-n1,kind=count", "Try: counts"),
            ("sim:neuralink-n1,task=centre-out", "Try: center-out"),
            ("sim:neuralink-n1,seed=-1", "field `seed`"),
            ("sim:neuralink-n1,seed=1,seed=2", "twice"),
            ("sim:neuralink-n1,empty=0.7,double=0.7", "add to more than 1"),
            ("sim:neuralink-n1,", "is not key=value"),
            ("sim:neuralink-n1,bits=4", "`bits` is unknown"),
        ] {
            let message = message(address);
            assert!(message.contains(wanted), "{address} gave: {message}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { rng_seed: proptest::test_runner::RngSeed::Fixed(1), ..ProptestConfig::default() })]

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
