//! Settings: TOML text in, checked values out.
//!
//! The same tables stand in a file given to `train --config` and in a model's `model.toml`. Unknown keys
//! are refused with the nearest legal one; values out of range are refused with the range. A `Config` that
//! exists is legal but for what depends on a stream's rate, which [`Config::check_for`] looks at.

use crate::binning::BinSchedule;
use crate::block::{StreamInfo, StreamKind};
use crate::detect::NoiseRule;
use crate::error::{Error, ErrorKind, nearest};
use crate::filter::design::{self, Section};
use crate::time::SampleRate;
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
}

/// Broadband to crossings and power. The defaults are those of a usual rig: 250 Hz to 5 kHz, −4.5 times the
/// noise; no reference, which a rig with common noise wants (64).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct FrontEndConfig {
    /// Channels of a common average reference group; 0 for none.
    pub car_group: usize,
    /// Lower edge of the spike band, Hz.
    pub low_cut_hz: f64,
    /// Upper edge of the spike band, Hz; 0 for a high-pass.
    pub high_cut_hz: f64,
    /// Order of the Butterworth filter (SciPy's `N`; a band-pass has 2·order poles).
    pub order: usize,
    /// Mains line to notch out, Hz; 0 for none.
    pub notch_hz: f64,
    /// Quality of the notch: centre over −3 dB width.
    pub notch_quality: f64,
    /// How a channel's noise is measured.
    pub noise: NoiseRule,
    /// Seconds from the start in which noise is measured.
    pub noise_seconds: f64,
    /// The threshold, as a multiple of the noise.
    pub threshold: f64,
    /// Time after a crossing in which none is counted, ms.
    pub refractory_ms: f64,
    /// A causal filter rings after a large spike: for `ring_guard_ms` after a crossing, only what goes below
    /// this share of its trough counts. 0 for no guard.
    pub ring_guard: f64,
    /// How long that lasts, ms.
    pub ring_guard_ms: f64,
}

impl Default for FrontEndConfig {
    fn default() -> Self {
        FrontEndConfig {
            car_group: 0,
            low_cut_hz: 250.0,
            high_cut_hz: 5000.0,
            order: 2,
            notch_hz: 0.0,
            notch_quality: 30.0,
            noise: NoiseRule::Mad,
            noise_seconds: 5.0,
            threshold: -4.5,
            refractory_ms: 0.5,
            ring_guard: 0.3,
            ring_guard_ms: 4.0,
        }
    }
}

/// Crossings and power to features.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct BinsConfig {
    /// Bin width, ms. 0 asks for the recording's own (`Recording::bin_width_ms`).
    pub width_ms: f64,
    /// What is measured per channel and bin.
    pub features: Features,
}

impl Default for BinsConfig {
    fn default() -> Self {
        BinsConfig { width_ms: 0.0, features: Features::Counts }
    }
}

/// What is measured per channel and bin.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Features {
    /// Threshold crossings.
    Counts,
    /// Mean square in the spike band, µV².
    Power,
    /// Both: all channels' counts, then all channels' power.
    CountsAndPower,
}

impl Features {
    /// Features of a bin over `n_channels`.
    pub fn width(self, n_channels: usize) -> usize {
        match self {
            Features::Counts | Features::Power => n_channels,
            Features::CountsAndPower => 2 * n_channels,
        }
    }

    /// Crossings are among them.
    pub fn has_counts(self) -> bool {
        self != Features::Power
    }

    /// Spike-band power is among them.
    pub fn has_power(self) -> bool {
        self != Features::Counts
    }
}

/// Features to intents.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct DecoderConfig {
    /// Which family is fitted.
    pub kind: DecoderKind,
    /// Bins of history that a Wiener filter sees, the present one included.
    pub lags: usize,
    /// How features are scaled; by default as suits the kind.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub normaliser: Option<NormaliserKind>,
    /// Ridge strengths to choose from by cross-validation inside the training part.
    pub ridge: Vec<f64>,
    /// How the ridge penalty is spread over channels and lags.
    pub ridge_shape: RidgeShape,
    /// Contiguous folds of that cross-validation.
    pub folds: usize,
    /// Channels with fewer events than this in the training part are left out (decoders of movement).
    pub min_events: f64,
    /// Kalman filter: the state holds velocity up to this many bins ahead; activity leads movement.
    pub lead_bins: usize,
    /// Kalman filter: and down to this many bins behind.
    pub trail_bins: usize,
    /// Kalman filter: what a channel did one bin before predicts what it does now, beside the state.
    pub whiten: bool,
    /// LDA: shrinkages to choose from by cross-validation inside the training part.
    pub shrinkage: Vec<f64>,
}

impl Default for DecoderConfig {
    fn default() -> Self {
        DecoderConfig {
            kind: DecoderKind::Wiener,
            lags: 15,
            normaliser: None,
            // Steps of about 1.6: the optimum is narrow enough for a decade's step to cost 0.005 R².
            ridge: vec![
                0.1, 0.3, 1.0, 3.0, 10.0, 20.0, 30.0, 50.0, 80.0, 120.0, 200.0, 300.0, 500.0, 800.0, 1200.0,
                2000.0, 3000.0, 5000.0, 8000.0, 12000.0, 20000.0, 30000.0,
            ],
            ridge_shape: RidgeShape::Decaying,
            folds: 5,
            min_events: 100.0,
            lead_bins: 5,
            trail_bins: 6,
            whiten: true,
            shrinkage: vec![
                0.0, 0.01, 0.02, 0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0,
            ],
        }
    }
}

impl DecoderConfig {
    /// The normaliser asked for, or the one that suits the kind.
    pub fn normaliser(&self) -> NormaliserKind {
        self.normaliser.unwrap_or(match self.kind {
            DecoderKind::Blend => NormaliserKind::FiveQuarters,
            DecoderKind::Lda | DecoderKind::Logistic => NormaliserKind::Sqrt,
            _ => NormaliserKind::Zscore,
        })
    }
}

/// The families of decoders.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum DecoderKind {
    /// Wiener filter: linear regression of velocity and position on the features' history.
    Wiener,
    /// Kalman filter over position and velocity, steady-state gain.
    Kalman,
    /// Kalman filter over velocity alone, steady-state gain.
    VelocityKalman,
    /// Mean of a Wiener filter and a Kalman filter: their errors differ.
    Blend,
    /// Linear discriminant analysis with shrinkage, for classes.
    Lda,
    /// Multinomial logistic regression, for classes.
    Logistic,
}

impl DecoderKind {
    /// The word that stands in files and on the command line.
    pub fn name(self) -> &'static str {
        match self {
            DecoderKind::Wiener => "wiener",
            DecoderKind::Kalman => "kalman",
            DecoderKind::VelocityKalman => "velocity-kalman",
            DecoderKind::Blend => "blend",
            DecoderKind::Lda => "lda",
            DecoderKind::Logistic => "logistic",
        }
    }

    /// It chooses among classes instead of moving.
    pub fn is_classifier(self) -> bool {
        matches!(self, DecoderKind::Lda | DecoderKind::Logistic)
    }
}

/// How the ridge penalty is spread over channels and lags.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum RidgeShape {
    /// The same for each z-scored feature and lag.
    Plain,
    /// Grows with the lag (e-fold in 5 bins) and falls with the channel's deviation: old bins and channels
    /// with few events have little to say.
    Decaying,
}

/// How features are scaled before they are decoded: f(x), then to mean 0 and standard deviation 1 over the
/// training part.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum NormaliserKind {
    /// f(x) = x
    Zscore,
    /// f(x) = √(x + 3/8)
    Sqrt,
    /// f(x) = x^(5/4)
    FiveQuarters,
}

impl NormaliserKind {
    /// The word that stands in files and on the command line.
    pub fn name(self) -> &'static str {
        match self {
            NormaliserKind::Zscore => "zscore",
            NormaliserKind::Sqrt => "sqrt",
            NormaliserKind::FiveQuarters => "five-quarters",
        }
    }
}

impl Config {
    /// Reads the tables `[front_end]`, `[bins]` and `[decoder]`; what isn't given has its default.
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
        let config: Config = table.try_into().map_err(|error| not_toml(place, &error))?;
        config.check(place)?;
        Ok(config)
    }

    fn check(&self, place: &str) -> Result<(), Error> {
        let FrontEndConfig { low_cut_hz, notch_hz, notch_quality, noise_seconds, threshold, .. } =
            self.front_end;
        in_range(place, "front_end.low_cut_hz", low_cut_hz, 0.1, 100_000.0)?;
        in_range(place, "front_end.order", self.front_end.order as f64, 1.0, design::ORDER_MAX as f64)?;
        in_range(place, "front_end.notch_hz", notch_hz, 0.0, 100_000.0)?;
        in_range(place, "front_end.notch_quality", notch_quality, 0.1, 1000.0)?;
        in_range(place, "front_end.noise_seconds", noise_seconds, 0.1, NOISE_SECONDS_MAX)?;
        in_range(place, "front_end.threshold", threshold, -100.0, -0.1)?;
        in_range(place, "front_end.refractory_ms", self.front_end.refractory_ms, 0.0, 100.0)?;
        in_range(place, "front_end.high_cut_hz", self.front_end.high_cut_hz, 0.0, 500_000.0)?;
        in_range(place, "front_end.ring_guard", self.front_end.ring_guard, 0.0, 1.0)?;
        in_range(place, "front_end.ring_guard_ms", self.front_end.ring_guard_ms, 0.0, 100.0)?;
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
        BinSchedule::new(info.sample_rate, self.bins.width_ms)?;
        match info.kind {
            StreamKind::Broadband => {
                self.front_end.sections(info.sample_rate)?;
            }
            StreamKind::Counts if self.bins.features.has_power() => {
                return Err(Error::usage(place, "power, of a stream that has counts only")
                    .field("bins.features")
                    .legal("\"counts\" for this recording"));
            }
            StreamKind::Counts => {}
        }
        Ok(self)
    }
}

impl FrontEndConfig {
    /// The filter as second-order sections: notch first, then the band-pass (or high-pass).
    ///
    /// # Errors
    /// Edges outside 0 to half the rate, or in the wrong order.
    pub fn sections(&self, rate: SampleRate) -> Result<Vec<Section>, Error> {
        let mut sections = Vec::new();
        if self.notch_hz > 0.0 {
            sections.push(design::notch(self.notch_hz, self.notch_quality, rate.hz())?);
        }
        sections.extend(if self.high_cut_hz > 0.0 {
            design::butterworth_band_pass(self.order, self.low_cut_hz, self.high_cut_hz, rate.hz())?
        } else {
            design::butterworth_high_pass(self.order, self.low_cut_hz, rate.hz())?
        });
        Ok(sections)
    }

    /// The refractory period in whole frames, rounded to the nearest.
    pub fn refractory_frames(&self, rate: SampleRate) -> u32 {
        (self.refractory_ms * 1e-3 * rate.hz()).round() as u32
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
            let error = Error::usage(place, "an unknown key").field(&path).legal(here.join(", "));
            return Err(match nearest(&path, here.iter().copied()) {
                Some(near) => error.hint(format!("did you mean `{near}`?")),
                None => error.hint("remove it"),
            });
        }
    }
    Ok(())
}

fn legal_keys() -> Vec<String> {
    let full = Config {
        decoder: DecoderConfig { normaliser: Some(NormaliserKind::Zscore), ..Default::default() },
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

/// Bins of history that a decoder sees at most.
pub const LAGS_MAX: usize = 100;
/// The widest bin, ms.
pub const WIDTH_MS_MAX: f64 = 10_000.0;
/// Noise is measured on at most ten minutes.
const NOISE_SECONDS_MAX: f64 = 600.0;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_key_names_the_nearest() {
        let error = Config::parse("[front_end]\nlow_cut_khz = 0.3", "c.toml").expect_err("unknown key");
        assert!(error.to_string().contains("did you mean `front_end.low_cut_hz`?"), "{error}");
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
    fn what_is_written_reads_back() {
        let config = Config::default();
        let text = toml::to_string(&config).expect("settings can be written");
        assert_eq!(Config::parse(&text, "test").expect("legal"), config);
    }
}
