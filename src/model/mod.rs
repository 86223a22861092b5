//! A model folder: a decoder and the front end that it was trained with, which are one thing.
//!
//! `model.toml` holds settings, stream, provenance and scores in words; `weights.safetensors` the numbers;
//! `README.md` the model card. The weights carry the settings that they depend on in their own header, so that
//! a `model.toml` that was changed by hand is noticed.

mod basis;
mod button;
mod card;
mod weights;

use crate::block::{StreamInfo, StreamKind};
use crate::config::{Config, Features, not_toml};
use crate::decode::Decoder;
use crate::error::{Error, ErrorKind};
use crate::pipeline::Calibration;
use crate::recording::{Recording, Truth};
use crate::score::Score;
use crate::sinks::PendingDir;
use crate::train::{Basis, Choices};
use serde::{Deserialize, Serialize};
use std::path::Path;

/// A trained model.
#[derive(Clone, Debug)]
pub struct Model {
    /// All that is said in words.
    pub about: ModelAbout,
    /// What the front end was told in training.
    pub calibration: Calibration,
    /// Ready to decode.
    pub decoder: Decoder,
}

/// `model.toml`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ModelAbout {
    /// The layout of the folder; this program reads [`FORMAT`].
    pub format: u32,
    /// Trained on synthetic data.
    pub synthetic: bool,
    /// What it says.
    pub output: OutputAbout,
    /// What it was trained on and how.
    pub provenance: Provenance,
    /// What was chosen while fitting.
    pub choices: Choices,
    /// The stream that it decodes.
    pub stream: StreamAbout,
    /// Settings, as `train --config` takes them.
    pub config: Config,
    /// On the last fifth of the training bins, fitted on those before.
    pub held_out: Score,
    /// Of which bins that is the last fifth, half open, where not of all: those of a calibration in which the cursor moved by
    /// itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub held_out_of: Option<[u64; 2]>,
}

/// What a model says.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum OutputAbout {
    /// Velocity (and position) along axes.
    Movement {
        /// Their names.
        axes: Vec<String>,
        /// Unit of position; velocity is this a second.
        unit: String,
        /// Position is decoded too.
        position: bool,
    },
    /// One of several classes.
    Classes {
        /// Their names.
        names: Vec<String>,
        /// The frames of a trial that it decodes, half open.
        window_frames: [u64; 2],
    },
}

/// What a model was trained on and how.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Provenance {
    /// The version of this program.
    pub efference: String,
    /// The recording's name.
    pub data: String,
    /// SHA-256 of the recording where it is one file, in hex.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub data_sha256: Option<String>,
    /// Bins that were given to the fit, half open.
    pub bins: [u64; 2],
    /// The command that makes it again.
    pub command: String,
}

/// The stream that a model decodes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StreamAbout {
    /// `broadband`, `counts`, `crossings` or `power`.
    pub kind: String,
    /// Channels of a frame.
    pub n_channels: usize,
    /// Frames a second.
    pub sample_rate_hz: f64,
    /// µV of a count of broadband, where it is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uv_per_count: Option<f32>,
    /// SHA-256 over kind and channel names, in hex.
    pub channel_map_sha256: String,
}

impl StreamAbout {
    /// What of `info` a model depends on.
    pub fn of(info: &StreamInfo) -> Self {
        StreamAbout {
            kind: info.kind.name().to_string(),
            n_channels: info.n_channels(),
            sample_rate_hz: info.sample_rate.hz(),
            uv_per_count: info.uv_per_count,
            channel_map_sha256: info.channel_map_hash(),
        }
    }
}

impl Model {
    /// Begins a folder for [`Model::write`] to fill, so that a place that can't be written to is known before
    /// anything is trained.
    ///
    /// # Errors
    /// If something else stands there or the folder above can't be written to.
    pub fn begin(folder: &Path) -> Result<PendingDir, Error> {
        PendingDir::create(folder, &FILES)
    }

    /// Writes the folder, whole or not at all.
    ///
    /// # Errors
    /// If the disk is full or gone.
    pub fn write(&self, pending: PendingDir) -> Result<(), Error> {
        self.write_with(pending, None)
    }

    /// The same, with what the model can be solved again from, where that is given.
    ///
    /// # Errors
    /// If the disk is full or gone.
    pub fn write_with(&self, pending: PendingDir, basis: Option<&Basis>) -> Result<(), Error> {
        let about = toml::to_string(&self.about).expect("a model's words are a table");
        let weights = weights::to_bytes(self);
        pending.write(ABOUT_FILE, about.as_bytes())?;
        pending.write(WEIGHTS_FILE, &weights)?;
        if let Some(basis) = basis {
            pending.write(BASIS_FILE, &basis::to_bytes(basis, &weights))?;
        }
        pending.write(CARD_FILE, card::text(&self.about).as_bytes())?;
        pending.finish()
    }

    /// Reads a folder.
    ///
    /// # Errors
    /// If it isn't one, is damaged or cut short, or its settings are not those that the weights were trained
    /// with.
    pub fn load(folder: &Path) -> Result<Self, Error> {
        let read = |name: &str| {
            let path = folder.join(name);
            std::fs::read(&path).map_err(|error| {
                Error::model(path.display().to_string(), format!("it can't be read ({error})"))
                    .legal("a model folder, as `efference train --out DIR` writes it")
                    .hint("check --model, or train one")
            })
        };
        let place = folder.join(ABOUT_FILE).display().to_string();
        let text = String::from_utf8(read(ABOUT_FILE)?)
            .map_err(|_| Error::model(&place, "it isn't text").legal("TOML, as `train` writes it"))?;
        let about: ModelAbout = toml::from_str(&text).map_err(|error| {
            let error = not_toml(&place, &error).to_string();
            Error::model(&place, error.trim_start_matches(&place).trim_matches([':', '.', ' ']))
                .legal("a model.toml as `train` writes it")
                .hint("train it again")
        })?;
        if about.format != FORMAT {
            return Err(Error::model(&place, format!("format {}", about.format))
                .field("format")
                .legal(format!("{FORMAT}, which this version writes"))
                .hint("train it again"));
        }
        // The tables are those of a config file, and are held to the same keys and ranges.
        let table: toml::Table = text.parse().expect("what was parsed parses again");
        let config = table.get("config").map(toml::Value::to_string).unwrap_or_default();
        let config =
            table.get("config").and_then(toml::Value::as_table).map_or(config, toml::Table::to_string);
        Config::parse(&config, &place).map_err(|error| error.as_kind(ErrorKind::Model))?;
        let bytes = read(WEIGHTS_FILE)?;
        weights::from_bytes(about, &bytes, &folder.join(WEIGHTS_FILE).display().to_string())
    }

    /// Reads what the model in a folder can be solved again from.
    ///
    /// # Errors
    /// If it was trained without, or the file is damaged or belongs to other weights.
    pub fn load_basis(folder: &Path) -> Result<Basis, Error> {
        let path = folder.join(BASIS_FILE);
        let place = path.display().to_string();
        let missing = |error: std::io::Error| {
            Error::model(&place, format!("it can't be read ({error})"))
                .legal("a model that was trained with --keep-statistics")
                .hint("train it again with --keep-statistics")
        };
        let bytes = std::fs::read(&path).map_err(missing)?;
        basis::from_bytes(&bytes, &std::fs::read(folder.join(WEIGHTS_FILE)).map_err(missing)?, &place)
    }

    /// SHA-256 of the weights in a model's folder, in hex: by this a log or statistics know the model that they belong to.
    ///
    /// # Errors
    /// If they can't be read.
    pub fn weights_sha256(folder: &Path) -> Result<String, Error> {
        let path = folder.join(WEIGHTS_FILE);
        let bytes = std::fs::read(&path).map_err(|error| {
            Error::model(path.display().to_string(), format!("it can't be read ({error})"))
                .legal("a model folder, as `efference train --out DIR` writes it")
        })?;
        Ok(basis::hash(&bytes))
    }

    /// Refuses a recording that the model wasn't trained for.
    ///
    /// # Errors
    /// Another kind, rate, scale or channel map; other axes, classes or trials.
    pub fn check(&self, recording: &Recording, place: &str) -> Result<(), Error> {
        self.check_stream(recording.source.info(), place)?;
        self.check_truth(&recording.truth, place)
    }

    /// Refuses a stream that the model wasn't trained for.
    ///
    /// # Errors
    /// Another kind, rate, scale or channel map.
    pub fn check_stream(&self, info: &StreamInfo, place: &str) -> Result<(), Error> {
        let refuse = |field: &str, found: String, wanted: String, hint: &str| {
            refuse(place, field, found, wanted, hint)
        };
        let (model, mut stream) = (&self.about.stream, StreamAbout::of(info));
        let config = &self.about.config;
        if let StreamKind::Power(band) = info.kind
            && model.kind == StreamKind::Broadband.name()
            && config.bins.features == Features::Power
        {
            // What the device measured in place of the model's own front end.
            if config.front_end.device_band() != Some(band) {
                let found = format!("{} of the device's own filter", info.kind.name());
                let wanted =
                    format!("{} to {} Hz", config.front_end.low_cut_hz, config.front_end.high_cut_hz);
                return refuse("front_end", found, wanted, "a model with the device's band and no reference");
            }
            let (bins, frames) = (config.bins.width_ms, 1e3 / info.sample_rate.hz());
            if (bins - frames).abs() > 1e-3 {
                let of = |ms: f64| format!("bins of {ms:.3} ms");
                return refuse("bins.width_ms", of(frames), of(bins), "ask the device for that width");
            }
            let kind = StreamKind::Broadband;
            stream = StreamAbout {
                sample_rate_hz: model.sample_rate_hz,
                ..StreamAbout::of(&StreamInfo { kind, ..info.clone() })
            };
        }
        if model.kind != stream.kind {
            return refuse("kind", stream.kind, model.kind.clone(), "another model");
        }
        if model.n_channels != stream.n_channels {
            let channels = |n: usize| format!("{n} channels");
            let hint = "a model for this array, or the recording that the model was trained for";
            return refuse("channels", channels(stream.n_channels), channels(model.n_channels), hint);
        }
        if model.channel_map_sha256 != stream.channel_map_sha256 {
            let short = |hash: &str| format!("channel map {}…", &hash.get(..12).unwrap_or(hash));
            let (found, wanted) = (short(&stream.channel_map_sha256), short(&model.channel_map_sha256));
            return refuse("channel_map_sha256", found, wanted, "train a model for this channel map");
        }
        if model.sample_rate_hz != stream.sample_rate_hz {
            // Frames of counts are somebody's bins, and go by their width.
            let counts = stream.kind == StreamKind::Counts.name();
            let of = |rate: f64| match counts {
                true => format!("bins of {} ms", (1e6 / rate).round() / 1e3),
                false => format!("{rate} Hz"),
            };
            let field = if counts { "bins.width_ms" } else { "sample_rate_hz" };
            let (found, wanted) = (of(stream.sample_rate_hz), of(model.sample_rate_hz));
            return refuse(field, found, wanted, "train a model for recordings like this");
        }
        if model.uv_per_count != stream.uv_per_count {
            let uv =
                |uv: Option<f32>| uv.map_or("counts of unknown size".into(), |uv| format!("{uv} µV a count"));
            let (found, wanted) = (uv(stream.uv_per_count), uv(model.uv_per_count));
            return refuse(
                "uv_per_count",
                found,
                wanted,
                "mend the recording's scale, or train a model for it",
            );
        }
        Ok(())
    }

    fn check_truth(&self, truth: &Truth, place: &str) -> Result<(), Error> {
        let refuse = |field: &str, found: String, wanted: String, hint: &str| {
            refuse(place, field, found, wanted, hint)
        };
        match (&self.about.output, truth) {
            (OutputAbout::Movement { axes, unit, .. }, Truth::Kinematics(truth)) => {
                if (axes, unit) != (&truth.axes, &truth.unit) {
                    let of = |axes: &[String], unit: &str| format!("axes {} in {unit}", axes.join(", "));
                    let (found, wanted) = (of(&truth.axes, &truth.unit), of(axes, unit));
                    return refuse("axes", found, wanted, "the mapping that the model was trained with");
                }
            }
            (OutputAbout::Classes { names, window_frames }, Truth::Classes(truth)) => {
                let window = [truth.first_frame, truth.first_frame + truth.frames_per_trial];
                if (names, window_frames) != (&truth.names, &window) {
                    let of = |names: &[String], [from, to]: [u64; 2]| {
                        format!("{} classes ({}), frames {from} to {to}", names.len(), names.join(", "))
                    };
                    let (found, wanted) = (of(&truth.names, window), of(names, *window_frames));
                    return refuse("classes", found, wanted, "the mapping that the model was trained with");
                }
            }
            (_, Truth::None) => {}
            (OutputAbout::Movement { .. }, Truth::Classes(_)) => {
                return refuse("output", "classes".into(), "movement".into(), "another model");
            }
            (OutputAbout::Classes { .. }, Truth::Kinematics(_)) => {
                return refuse("output", "movement".into(), "classes".into(), "another model");
            }
        }
        Ok(())
    }

    /// Names of the classes that it chooses among; empty where it moves.
    pub fn classes(&self) -> &[String] {
        match &self.about.output {
            OutputAbout::Classes { names, .. } => names,
            OutputAbout::Movement { .. } => &[],
        }
    }
}

fn refuse(place: &str, field: &str, found: String, wanted: String, hint: &str) -> Result<(), Error> {
    Err(Error::model(place, found).field(field).legal(format!("{wanted}, as in training")).hint(hint))
}

/// The layout of a model folder that this version reads and writes.
pub const FORMAT: u32 = 1;
const ABOUT_FILE: &str = "model.toml";
const WEIGHTS_FILE: &str = "weights.safetensors";
const CARD_FILE: &str = "README.md";
const BASIS_FILE: &str = "statistics.safetensors";
const FILES: [&str; 4] = [ABOUT_FILE, WEIGHTS_FILE, CARD_FILE, BASIS_FILE];
