//! Settings: TOML text in, checked values out.
//!
//! The same tables stand in a file given to `train --config` and in a model's `model.toml`. Unknown keys
//! are refused with the nearest legal one; values out of range are refused with the range. A `Config` that
//! exists is legal but for what depends on a stream's rate, which [`Config::check_for`] looks at.

mod bins;
mod cursor;
mod decoder;
mod front_end;
mod live;
mod safety;

pub use bins::{BinsConfig, Features};
pub use cursor::CursorConfig;
pub use decoder::{CascadeKind, DecoderConfig, DecoderKind, NormaliserKind, RidgeShape};
pub use front_end::{FIELD_BAND_HZ, FrontEndConfig, Reference, SPIKE_BAND_HZ};
pub use live::{LiveConfig, RING_BLOCKS_MAX, SHARDS_MAX};
pub use safety::SafetyConfig;

use crate::binning::BinSchedule;
use crate::block::{StreamInfo, StreamKind};
use crate::detect::{DetectorKind, NoiseRule, adaptive};
use crate::error::{Error, ErrorKind};
use crate::filter::{design, regression_reference};
use serde::{Deserialize, Serialize};

/// All settings that turn a stream into features and features into intents.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Config {
    /// Broadband to crossings and power; unused for streams of counts.
    pub front_end: FrontEndConfig,
    /// Crossings and power to features.
    pub bins: BinsConfig,
    /// Features to intents.
    pub decoder: DecoderConfig,
    /// Decoded velocity to the cursor's.
    #[serde(skip_serializing_if = "CursorConfig::is_default")]
    pub cursor: CursorConfig,
    /// What never reaches a sink.
    #[serde(skip_serializing_if = "SafetyConfig::is_default")]
    pub safety: SafetyConfig,
}

impl Config {
    /// Reads the tables `[front_end]`, `[bins]`, `[decoder]`, `[cursor]` and `[safety]`; what isn't given has its default.
    /// `place` names the text in errors.
    ///
    /// # Errors
    /// Text that isn't TOML, unknown keys, values of another type or out of range.
    ///
    /// ```
    /// use efference::config::Config;
    /// let config = Config::parse("[bins]\nwidth_ms = 50", "doc").unwrap();
    /// assert_eq!(config.bins.width_ms, 50.0);
    /// let error = Config::parse("[bins]\nwidht_ms = 50", "doc").unwrap_err();
    /// assert!(error.to_string().contains("`bins.width_ms`"));
    /// ```
    pub fn parse(text: &str, place: &str) -> Result<Self, Error> {
        let table: toml::Table = toml::from_str(text).map_err(|error| not_toml(place, &error))?;
        check_keys(&table, &legal_keys(), place)?;
        let given = |key: &str| {
            table.get("front_end").and_then(toml::Value::as_table).is_some_and(|keys| keys.contains_key(key))
        };
        let (noise, threshold) = (given("noise"), given("threshold"));
        let mut config: Config = table.try_into().map_err(|error| not_toml(place, &error))?;
        let front_end = &mut config.front_end;
        let (noise, threshold) = (noise.then_some(front_end.noise), threshold.then_some(front_end.threshold));
        front_end.set_detector(front_end.detector, noise, threshold);
        config.check(place)?;
        Ok(config)
    }

    /// What a stream usually wants other than the defaults, as table, key and value: of one whose rate is too low for
    /// spikes, the field band's power in bins of 50 ms; of one of power, power.
    ///
    /// ```
    /// use efference::config::Config;
    /// let fields = efference::recording::open("sim:synchron-stentrode,seconds=1", None)?;
    /// assert!(Config::usual_of(fields.source.info()).iter().any(|(_, key, _)| *key == "low_cut_hz"));
    /// let spikes = efference::recording::open("sim:blackrock-utah,seconds=1", None)?;
    /// assert!(Config::usual_of(spikes.source.info()).is_empty());
    /// # Ok::<(), efference::Error>(())
    /// ```
    pub fn usual_of(info: &StreamInfo) -> Vec<(&'static str, &'static str, toml::Value)> {
        let power = ("bins", "features", toml::Value::from("power"));
        match info.kind {
            StreamKind::Broadband if info.sample_rate.hz() <= 2.0 * SPIKE_BAND_HZ[1] => vec![
                ("front_end", "low_cut_hz", FIELD_BAND_HZ[0].into()),
                ("front_end", "high_cut_hz", FIELD_BAND_HZ[1].into()),
                ("bins", "width_ms", FIELD_WIDTH_MS.into()),
                power,
            ],
            StreamKind::Power(_) => vec![power],
            StreamKind::Broadband | StreamKind::Counts | StreamKind::Crossings => Vec::new(),
        }
    }

    /// Refuses values out of range.
    ///
    /// # Errors
    /// Naming the first key with what is legal.
    pub fn check(&self, place: &str) -> Result<(), Error> {
        let FrontEndConfig { low_cut_hz, notch_hz, notch_quality, noise_seconds, threshold, .. } =
            self.front_end;
        in_range(place, "front_end.low_cut_hz", low_cut_hz, 0.1, 100_000.0)?;
        in_range(place, "front_end.order", self.front_end.order as f64, 1.0, design::ORDER_MAX as f64)?;
        in_range(place, "front_end.notch_hz", notch_hz, 0.0, 100_000.0)?;
        in_range(place, "front_end.notch_quality", notch_quality, 0.1, 1000.0)?;
        in_range(place, "front_end.noise_seconds", noise_seconds, 0.1, NOISE_SECONDS_MAX)?;
        in_range(place, "front_end.threshold", threshold, -100.0, -0.1)?;
        if (self.front_end.detector, self.front_end.noise) == (DetectorKind::Negative, NoiseRule::Mean) {
            return Err(Error::usage(place, "the mean, of a signal that has none")
                .field("front_end.noise")
                .legal("rms, mad; mean where front_end.detector is absolute or neo"));
        }
        in_range(place, "front_end.refractory_ms", self.front_end.refractory_ms, 0.0, 100.0)?;
        in_range(place, "front_end.high_cut_hz", self.front_end.high_cut_hz, 0.0, 500_000.0)?;
        in_range(place, "front_end.ring_guard", self.front_end.ring_guard, 0.0, 1.0)?;
        in_range(place, "front_end.ring_guard_ms", self.front_end.ring_guard_ms, 0.0, 100.0)?;
        let adapt = self.front_end.adapt_seconds;
        if adapt != 0.0 {
            if self.front_end.detector == DetectorKind::Neo {
                return Err(Error::usage(
                    place,
                    format!("{adapt}, of energies, which no running noise is known of"),
                )
                .field("front_end.adapt_seconds")
                .legal("0 where front_end.detector is neo"));
            }
            let (low, high) = (adaptive::TIME_CONSTANT_S_MIN, adaptive::TIME_CONSTANT_S_MAX);
            in_range(place, "front_end.adapt_seconds", adapt, low, high)
                .map_err(|e| e.hint("0: thresholds stay"))?;
        }
        in_range(place, "front_end.artefact_uv", self.front_end.artefact_uv, 0.0, 1e6)?;
        in_range(place, "front_end.artefact_ms", self.front_end.artefact_ms, 0.0, 1000.0)?;
        in_range(place, "front_end.lrr_ridge", self.front_end.lrr_ridge, 1e-6, 1e3)?;
        let FrontEndConfig { reference, car_group, .. } = self.front_end;
        if reference == Reference::Lrr && !regression_reference::is_group(car_group) {
            return Err(Error::usage(place, format!("reference = \"lrr\" over groups of {car_group}"))
                .field("front_end.car_group")
                .legal("2, 4, 8, 16, 32 or 64 with reference = \"lrr\": groups of which a tile of 64 holds a whole number")
                .hint("car_group = 64, or reference = \"car\", which takes groups of any size"));
        }
        in_range(place, "bins.width_ms", self.bins.width_ms, 0.0, WIDTH_MS_MAX)?;
        let bins = |key, bins: usize, low| in_range(place, key, bins as f64, low, LAGS_MAX as f64);
        bins("decoder.lags", self.decoder.lags, 1.0)?;
        bins("decoder.lead_bins", self.decoder.lead_bins, 0.0)?;
        bins("decoder.trail_bins", self.decoder.trail_bins, 0.0)?;
        in_range(place, "decoder.folds", self.decoder.folds as f64, 2.0, 20.0)?;
        in_range(place, "decoder.min_events", self.decoder.min_events, 0.0, 1e12)?;
        for (key, values, high) in [
            ("decoder.ridge", &self.decoder.ridge, 1e12),
            ("decoder.shrinkage", &self.decoder.shrinkage, 1.0),
        ] {
            if values.is_empty() {
                return Err(Error::usage(place, "an empty list").field(key).legal("at least one value"));
            }
            for &value in values {
                in_range(place, key, value, 0.0, high)?;
            }
        }
        self.check_outlet(place)
    }

    /// What comes after the decoder.
    fn check_outlet(&self, place: &str) -> Result<(), Error> {
        let cursor = &self.cursor;
        if cursor.curve != 1.0 && cursor.curve_speed == 0.0 {
            return Err(Error::usage(place, "a curve of speed that leaves no speed as it is")
                .field("cursor.curve_speed")
                .legal("above 0 where cursor.curve isn't 1"));
        }
        let safety = &self.safety;
        for (key, value, low, high) in [
            ("cursor.gain", cursor.gain, 0.0, 100.0),
            ("cursor.smoothing_ms", cursor.smoothing_ms, 0.0, 10_000.0),
            ("cursor.curve", cursor.curve, 0.1, 4.0),
            ("cursor.curve_speed", cursor.curve_speed, 0.0, 1e9),
            ("cursor.speed_cap", cursor.speed_cap, 0.0, 1e9),
            ("cursor.bias_seconds", cursor.bias_seconds, 0.0, 1e5),
            ("cursor.bias_speed", cursor.bias_speed, 0.0, 1e9),
            ("cursor.magnet_per_s", cursor.magnet_per_s, 0.0, 100.0),
            ("cursor.magnet_radius", cursor.magnet_radius, 0.0, 1e9),
            ("safety.stale_ms", safety.stale_ms, 1.0, 10_000.0),
            ("safety.speed_max", safety.speed_max, 0.0, 1e12),
            ("safety.click_confidence", safety.click_confidence, 0.5, 1.0),
            ("safety.release_confidence", safety.release_confidence, 0.0, safety.click_confidence),
            ("safety.disconnect_ms", safety.disconnect_ms, safety.stale_ms, 1e6),
            ("safety.resume_hold_ms", safety.resume_hold_ms, 0.0, 60_000.0),
            ("safety.still_share", safety.still_share, 0.0, 1.0),
        ] {
            in_range(place, key, value, low, high)?;
        }
        Ok(())
    }

    /// Settles what depends on the stream: `bins.width_ms = 0` becomes `width_ms`, the recording's own.
    ///
    /// # Errors
    /// Band edges outside the stream's, features that a stream of counts doesn't have, bins shorter than a
    /// frame.
    pub fn check_for(mut self, info: &StreamInfo, width_ms: f64, place: &str) -> Result<Self, Error> {
        if self.bins.width_ms == 0.0 {
            self.bins.width_ms = width_ms;
        }
        in_range(place, "bins.width_ms", self.bins.width_ms, 0.0, WIDTH_MS_MAX)?;
        BinSchedule::new(info.sample_rate, self.bins.width_ms)?;
        match info.kind {
            StreamKind::Broadband => {
                self.front_end.sections(info.sample_rate)?;
            }
            StreamKind::Counts | StreamKind::Crossings if self.bins.features.has_power() => {
                return Err(Error::usage(place, "power, of a stream that has counts only")
                    .field("bins.features")
                    .legal("\"counts\" for this recording"));
            }
            StreamKind::Power(_) if self.bins.features != Features::Power => {
                return Err(Error::usage(place, "crossings, of a stream that has power only")
                    .field("bins.features")
                    .legal("\"power\" for this stream"));
            }
            StreamKind::Counts | StreamKind::Crossings | StreamKind::Power(_) => {}
        }
        Ok(self)
    }
}

/// Refuses keys of `table` that are not in `legal` (dotted: `bins.width_ms`), naming the nearest legal one.
///
/// # Errors
/// [`ErrorKind::Usage`], with the legal keys of that table.
pub fn check_keys(table: &toml::Table, legal: &[String], place: &str) -> Result<(), Error> {
    check_keys_under("", table, legal, place)
}

fn check_keys_under(prefix: &str, table: &toml::Table, legal: &[String], place: &str) -> Result<(), Error> {
    for (key, value) in table {
        let path = format!("{prefix}{key}");
        let below = format!("{path}.");
        if let (toml::Value::Table(inner), true) = (value, legal.iter().any(|l| l.starts_with(&below))) {
            check_keys_under(&below, inner, legal, place)?;
        } else if !legal.contains(&path) {
            let here: Vec<&str> =
                legal.iter().map(String::as_str).filter(|l| l.starts_with(prefix)).collect();
            let error = Error::usage(place, "the key is unknown").field(&path).legal(here.join(", "));
            return Err(error.hint("leave it out").suggest(&path, here));
        }
    }
    Ok(())
}

fn legal_keys() -> Vec<String> {
    // Keys that are left out of a table of defaults are legal too.
    let full = Config {
        front_end: FrontEndConfig { reference: Reference::Lrr, lrr_ridge: 1.0, ..Default::default() },
        decoder: DecoderConfig {
            normaliser: Some(NormaliserKind::Zscore),
            cascade: CascadeKind::Full,
            ..Default::default()
        },
        cursor: CursorConfig { gain: 2.0, ..Default::default() },
        safety: SafetyConfig { speed_max: 1.0, ..Default::default() },
        ..Default::default()
    };
    let table = toml::Table::try_from(full).expect("settings are a table");
    let mut keys = Vec::new();
    for (section, values) in &table {
        keys.extend(values.as_table().into_iter().flatten().map(|(key, _)| format!("{section}.{key}")));
    }
    keys
}

fn in_range(place: &str, key: &str, value: f64, low: f64, high: f64) -> Result<(), Error> {
    if (low..=high).contains(&value) {
        return Ok(());
    }
    Err(Error::usage(place, format!("{value}")).field(key).legal(format!("{low} to {high}")))
}

/// A TOML error as ours: the place, the line and what was expected.
pub fn not_toml(place: &str, error: &toml::de::Error) -> Error {
    let text = error.to_string();
    let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
    Error::new(ErrorKind::Usage, place, text)
}

/// Bins of power in the field band: shorter ones hold too few of its waves.
const FIELD_WIDTH_MS: f64 = 50.0;
/// Bins of history that a decoder sees at most.
pub const LAGS_MAX: usize = 100;
/// The widest bin, ms.
pub const WIDTH_MS_MAX: f64 = 60_000.0;
/// Noise is measured on at most ten minutes.
const NOISE_SECONDS_MAX: f64 = 600.0;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_key_names_the_nearest() {
        let error = Config::parse("[front_end]\nlow_cut_khz = 0.3", "c.toml").expect_err("unknown key");
        assert!(error.to_string().contains("Try: `front_end.low_cut_hz`"), "{error}");
        let error = Config::parse("[bin]\nwidth_ms = 20", "c.toml").expect_err("unknown table");
        assert!(error.to_string().contains("field `bin`"), "{error}");
    }

    #[test]
    fn a_value_out_of_range_names_the_range() {
        let error = Config::parse("[front_end]\nthreshold = 4.5", "c.toml").expect_err("a positive one");
        let text = error.to_string();
        assert!(text.contains("front_end.threshold") && text.contains("-100 to -0.1"), "{text}");
        assert_eq!(error.kind(), ErrorKind::Usage);
    }

    #[test]
    fn thresholds_stay_or_follow_within_the_range() {
        for (seconds, legal) in [(0.0, true), (20.0, true), (0.01, false), (-1.0, false), (1e5, false)] {
            let text = format!("[front_end]\nadapt_seconds = {seconds}\nartefact_uv = 1000");
            assert_eq!(Config::parse(&text, "c.toml").is_ok(), legal, "{seconds}");
        }
    }

    #[test]
    fn a_regression_reference_wants_groups_that_a_tile_holds() {
        let parse = |text: &str| Config::parse(&format!("[front_end]\n{text}"), "test");
        let config = parse("reference = \"lrr\"\ncar_group = 32\nlrr_ridge = 0.1").expect("legal");
        let text = toml::to_string(&config).expect("settings can be written");
        assert_eq!(Config::parse(&text, "test").expect("legal"), config);
        for group in [0, 1, 48, 128] {
            let error =
                parse(&format!("reference = \"lrr\"\ncar_group = {group}")).expect_err("no such group");
            assert!(error.to_string().contains("`front_end.car_group`"), "{error}");
            parse(&format!("car_group = {group}")).expect("a common average takes any");
        }
        let text = toml::to_string(&Config::default()).expect("settings can be written");
        assert!(!text.contains("lrr") && !text.contains("reference"), "{text}");
    }

    #[test]
    fn what_is_written_reads_back() {
        let mut config = Config::default();
        for detector in DetectorKind::ALL {
            config.front_end.detector = detector;
            let text = toml::to_string(&config).expect("settings can be written");
            assert_eq!(Config::parse(&text, "test").expect("legal"), config);
        }
    }

    #[test]
    fn cursor_and_safety_are_read_held_to_their_ranges_and_left_out_where_unasked() {
        let config = Config::parse("[cursor]\ngain = 1.5\n[safety]\nspeed_max = 2.0", "test").expect("legal");
        assert_eq!((config.cursor.gain, config.safety.speed_max), (1.5, 2.0));
        let text = toml::to_string(&config).expect("settings can be written");
        assert_eq!(Config::parse(&text, "test").expect("legal"), config);
        let text = toml::to_string(&Config::default()).expect("settings can be written");
        assert!(!text.contains("safety") && !text.contains("cursor"), "{text}");
        for (bad, key) in [
            ("[cursor]\ncurve = 1.5", "cursor.curve_speed"),
            ("[safety]\nstale_ms = 0", "safety.stale_ms"),
            ("[safety]\ndisconnect_ms = 50", "safety.disconnect_ms"),
            ("[safety]\nrelease_confidence = 0.95", "safety.release_confidence"),
        ] {
            let error = Config::parse(bad, "test").expect_err(bad);
            assert!(error.to_string().contains(key), "{error}");
        }
    }

    #[test]
    fn a_detector_brings_its_usual_noise_and_threshold() {
        let front_end =
            |text: &str| Config::parse(&format!("[front_end]\n{text}"), "test").map(|c| c.front_end);
        assert_eq!(front_end("").expect("legal"), FrontEndConfig::default());
        let neo = front_end("detector = \"neo\"").expect("legal");
        assert_eq!(neo.noise, NoiseRule::Mean);
        assert_eq!(neo.threshold, DetectorKind::Neo.usual_threshold(NoiseRule::Mean));
        let neo = front_end("detector = \"neo\"\nnoise = \"mad\"\nthreshold = -7").expect("legal");
        assert_eq!((neo.noise, neo.threshold), (NoiseRule::Mad, -7.0));
        let error = front_end("noise = \"mean\"").expect_err("it has no mean").to_string();
        assert!(error.contains("front_end.noise"), "{error}");
    }
}
