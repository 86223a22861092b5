//! A model folder: a decoder and the front end that it was trained with, which are one thing.
//!
//! `model.toml` holds settings, stream, provenance and scores in words; `weights.safetensors` the numbers;
//! `README.md` the model card. The weights carry the settings that they depend on in their own header, so that
//! a `model.toml` that was changed by hand is noticed.

mod card;

use crate::block::{StreamInfo, StreamKind};
use crate::config::{Config, NormaliserKind, not_toml};
use crate::decode::{Decoder, LinearDecoder, Normaliser, Output, Weights};
use crate::error::Error;
use crate::score::Score;
use crate::sinks::PendingDir;
use crate::time::SampleRate;
use crate::train::Choices;
use safetensors::tensor::{Dtype, SafeTensors, TensorView};
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use std::path::Path;

/// A trained model.
#[derive(Clone, Debug)]
pub struct Model {
    /// All that is said in words.
    pub about: ModelAbout,
    /// One per channel in the stream's unit, −∞ for flat ones; empty for streams of counts.
    pub thresholds: Vec<f32>,
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
    /// `broadband` or `counts`.
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
    /// Refuses a folder that [`Model::save`] couldn't write, before anything is fitted for it.
    ///
    /// # Errors
    /// If something else stands there or it can't be written.
    pub fn check_place(folder: &Path) -> Result<(), Error> {
        PendingDir::check(folder, ABOUT_FILE)
    }

    /// Writes the folder, whole or not at all.
    ///
    /// # Errors
    /// If something else stands there or it can't be written.
    pub fn save(&self, folder: &Path) -> Result<(), Error> {
        let pending = PendingDir::create(folder, ABOUT_FILE)?;
        let about = toml::to_string(&self.about).expect("a model's words are a table");
        pending.write(ABOUT_FILE, about.as_bytes())?;
        pending.write(WEIGHTS_FILE, &self.weights_file())?;
        pending.write("README.md", card::text(&self.about).as_bytes())?;
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
        // The tables are those of a config file, and are held to the same ranges.
        Config::parse(&toml::to_string(&about.config).expect("settings are a table"), &place)?;
        let bytes = read(WEIGHTS_FILE)?;
        Self::from_weights(about, &bytes, &folder.join(WEIGHTS_FILE).display().to_string())
    }

    /// Refuses a stream that the model wasn't trained for.
    ///
    /// # Errors
    /// Another kind, rate, scale or channel map; another bin width where the stream's frames are bins.
    pub fn check_stream(
        &self,
        info: &StreamInfo,
        bin_width_ms: Option<f64>,
        place: &str,
    ) -> Result<(), Error> {
        let (model, stream) = (&self.about.stream, StreamAbout::of(info));
        let refuse = |field: &str, found: String, wanted: String, hint: &str| {
            Err(Error::model(place, found).field(field).legal(format!("{wanted}, as in training")).hint(hint))
        };
        if model.kind != stream.kind {
            return refuse("kind", stream.kind, model.kind.clone(), "another model");
        }
        if model.n_channels != stream.n_channels {
            let channels = |n: usize| format!("{n} channels");
            let hint = "a model for this array, or the recording that the model was trained for";
            return refuse("channels", channels(stream.n_channels), channels(model.n_channels), hint);
        }
        if model.channel_map_sha256 != stream.channel_map_sha256 {
            let short = |hash: &str| format!("channel map {}…", &hash[..hash.len().min(12)]);
            let (found, wanted) = (short(&stream.channel_map_sha256), short(&model.channel_map_sha256));
            return refuse("channel_map_sha256", found, wanted, "train a model for this channel map");
        }
        let width = self.about.config.bins.width_ms;
        if let Some(own) = bin_width_ms.filter(|own| (own - width).abs() > WIDTH_TOLERANCE_MS) {
            let ms = |width: f64| format!("bins of {width} ms");
            return refuse("bins.width_ms", ms(own), ms(width), "train a model for bins of this width");
        }
        let broadband = info.kind == StreamKind::Broadband;
        if broadband && model.sample_rate_hz != stream.sample_rate_hz {
            let hz = |rate: f64| format!("{rate} Hz");
            let (found, wanted) = (hz(stream.sample_rate_hz), hz(model.sample_rate_hz));
            return refuse("sample_rate_hz", found, wanted, "train a model at this rate");
        }
        if broadband && model.uv_per_count != stream.uv_per_count {
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

    /// Names of the classes that it chooses among; empty where it moves.
    pub fn classes(&self) -> &[String] {
        match &self.about.output {
            OutputAbout::Classes { names } => names,
            OutputAbout::Movement { .. } => &[],
        }
    }

    fn weights_file(&self) -> Vec<u8> {
        let weights = self.decoder.linear().weights();
        let normaliser = self.decoder.normaliser();
        let n_outputs = weights.offset.len();
        let (n, f, lags) = (weights.n_states, weights.n_features, weights.lags);
        let f32s = |values: &[f32]| values.iter().flat_map(|v| v.to_le_bytes()).collect::<Vec<u8>>();
        let f64s = |values: &[f64]| values.iter().flat_map(|v| v.to_le_bytes()).collect::<Vec<u8>>();
        let mut tensors = vec![
            ("readout", Dtype::F32, vec![lags, n, f], f32s(&weights.readout)),
            ("offset", Dtype::F64, vec![n_outputs], f64s(&weights.offset)),
            ("normaliser_mean", Dtype::F32, vec![f], f32s(normaliser.mean())),
            ("normaliser_inverse_deviation", Dtype::F32, vec![f], f32s(normaliser.inverse_deviation())),
        ];
        if !weights.recurrence.is_empty() {
            tensors.push(("recurrence", Dtype::F64, vec![n, n], f64s(&weights.recurrence)));
        }
        if !weights.output.is_empty() {
            tensors.push(("output", Dtype::F64, vec![n_outputs, n], f64s(&weights.output)));
        }
        if !self.thresholds.is_empty() {
            tensors.push(("thresholds", Dtype::F32, vec![self.thresholds.len()], f32s(&self.thresholds)));
        }
        let views = tensors.iter().map(|(name, dtype, shape, bytes)| {
            (*name, TensorView::new(*dtype, shape.clone(), bytes).expect("shapes fit their bytes"))
        });
        // One entry: the order of several would differ from run to run, and a model made again has the
        // same bytes.
        let header = HashMap::from([(TRAINED_WITH.to_string(), trained_with(&self.about))]);
        safetensors::serialize(views, Some(header)).expect("tensors can be written")
    }

    fn from_weights(about: ModelAbout, bytes: &[u8], place: &str) -> Result<Self, Error> {
        let damaged = |found: String| {
            Error::model(place, found)
                .legal("the weights that `train` wrote with this model.toml")
                .hint("train it again")
        };
        let (_, header) =
            SafeTensors::read_metadata(bytes).map_err(|error| damaged(format!("it is damaged ({error})")))?;
        let tensors =
            SafeTensors::deserialize(bytes).map_err(|error| damaged(format!("it is damaged ({error})")))?;
        let weights_say = header.metadata().as_ref().and_then(|map| map.get(TRAINED_WITH)).cloned();
        let weights_say = weights_say.ok_or_else(|| damaged("its header lacks the settings".into()))?;
        compare_settings(&weights_say, &trained_with(&about), place)?;
        let floats = |name: &str| -> Result<(Vec<usize>, Vec<f64>), Error> {
            let tensor = tensors.tensor(name).map_err(|_| damaged(format!("it has no tensor `{name}`")))?;
            let values = match tensor.dtype() {
                Dtype::F32 => tensor
                    .data()
                    .as_chunks::<4>()
                    .0
                    .iter()
                    .map(|b| f64::from(f32::from_le_bytes(*b)))
                    .collect(),
                Dtype::F64 => {
                    tensor.data().as_chunks::<8>().0.iter().map(|b| f64::from_le_bytes(*b)).collect()
                }
                other => return Err(damaged(format!("tensor `{name}` is of {other:?}"))),
            };
            Ok((tensor.shape().to_vec(), values))
        };
        let optional =
            |name: &str| if tensors.tensor(name).is_ok() { floats(name) } else { Ok((vec![], vec![])) };
        let narrow = |values: Vec<f64>| values.into_iter().map(|value| value as f32).collect::<Vec<f32>>();
        let (shape, readout) = floats("readout")?;
        let [lags, n_states, n_features] = shape[..] else {
            return Err(damaged(format!("tensor `readout` has shape {shape:?}")));
        };
        let weights = Weights {
            n_features,
            lags,
            n_states,
            readout: narrow(readout),
            recurrence: optional("recurrence")?.1,
            output: optional("output")?.1,
            offset: floats("offset")?.1,
        };
        let output = match &about.output {
            OutputAbout::Movement { axes, position, .. } => {
                Output::Move { n_axes: axes.len(), has_position: *position }
            }
            OutputAbout::Classes { .. } => Output::Choose,
        };
        let kind: NormaliserKind = about.config.decoder.normaliser();
        let inverse = narrow(floats("normaliser_inverse_deviation")?.1);
        let normaliser = Normaliser::from_parts(kind, narrow(floats("normaliser_mean")?.1), inverse)
            .filter(|normaliser| normaliser.n_features() == n_features)
            .ok_or_else(|| damaged("its normaliser has another width than its decoder".into()))?;
        let linear = LinearDecoder::new(weights, output)
            .ok_or_else(|| damaged("its tensors don't fit each other or are not finite".into()))?;
        if let OutputAbout::Classes { names } = &about.output
            && names.len() != linear.weights().offset.len()
        {
            return Err(damaged(format!(
                "{} scores for {} classes",
                linear.weights().offset.len(),
                names.len()
            )));
        }
        let thresholds = narrow(optional("thresholds")?.1);
        let wanted =
            if about.stream.kind == StreamKind::Broadband.name() { about.stream.n_channels } else { 0 };
        if thresholds.len() != wanted {
            return Err(damaged(format!("{} thresholds for {wanted} channels", thresholds.len())));
        }
        SampleRate::new(about.stream.sample_rate_hz, place)?;
        Ok(Model { about, thresholds, decoder: Decoder::new(normaliser, linear) })
    }
}

/// The stream and the settings of the training, a line each: `key = value`.
fn trained_with(about: &ModelAbout) -> String {
    let Config { front_end, bins, decoder } = &about.config;
    let mut table = toml::Table::new();
    let mut add = |section: &str, settings: Result<toml::Table, toml::ser::Error>| {
        let settings = settings.expect("settings are a table").into_iter();
        table.extend(settings.map(|(key, value)| (format!("{section}.{key}"), value)));
    };
    add("stream", toml::Table::try_from(&about.stream));
    add("bins", toml::Table::try_from(bins));
    add("decoder", toml::Table::try_from(decoder));
    if about.stream.kind == StreamKind::Broadband.name() {
        add("front_end", toml::Table::try_from(front_end));
    }
    table.insert("decoder.normaliser".into(), decoder.normaliser().name().into());
    table.into_iter().map(|(key, value)| format!("{key} = {value}\n")).collect()
}

/// Names the first setting in which `model.toml` differs from the weights.
fn compare_settings(weights: &str, model: &str, place: &str) -> Result<(), Error> {
    let only_in =
        |a: &str, b: &str| a.lines().find(|line| !b.lines().any(|other| other == *line)).map(str::to_string);
    let Some(differs) = only_in(model, weights).or_else(|| only_in(weights, model)) else {
        return Ok(());
    };
    let key = differs.split(" = ").next().unwrap_or_default();
    let said = |text: &str| match text.lines().find(|line| line.split(" = ").next() == Some(key)) {
        Some(line) => format!("`{line}`"),
        None => format!("no `{key}`"),
    };
    let found = format!("model.toml says {}, the weights were trained with {}", said(model), said(weights));
    Err(Error::model(place, found)
        .field(key)
        .legal("the settings of the training; a model and its front end are one thing")
        .hint("undo the change in model.toml, or train a model with it"))
}

/// The layout of a model folder that this version reads and writes.
pub const FORMAT: u32 = 1;
const ABOUT_FILE: &str = "model.toml";
const WEIGHTS_FILE: &str = "weights.safetensors";
const TRAINED_WITH: &str = "trained_with";
/// Bin widths are rounded to a microsecond.
const WIDTH_TOLERANCE_MS: f64 = 1e-3;
