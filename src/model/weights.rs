//! `weights.safetensors`: the numbers of a model, and in its header the settings that they depend on.

use super::{Model, ModelAbout, OutputAbout, button};
use crate::block::StreamKind;
use crate::config::{Config, DecoderKind, NormaliserKind, Reference};
use crate::decode::{Cascade, Decoder, FullGain, LinearDecoder, Normaliser, Output, Weights};
use crate::error::Error;
use crate::filter::RegressionWeights;
use crate::pipeline::Calibration;
use crate::time::SampleRate;
use safetensors::tensor::{Dtype, SafeTensors, TensorView};
use std::collections::HashMap;

/// The file's bytes.
pub(super) fn to_bytes(model: &Model) -> Vec<u8> {
    let weights = &model.decoder.weights();
    let normaliser = model.decoder.normaliser();
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
    if let Some(gain) = model.decoder.linear().full_gain() {
        for (name, matrix) in GAIN.into_iter().zip(gain.matrices()) {
            tensors.push((name, Dtype::F64, vec![n, n], f64s(matrix)));
        }
    }
    if let Some(Cascade { at_rest, by_speed, by_activity }) = model.decoder.cascade() {
        tensors.push((CASCADE, Dtype::F64, vec![3], f64s(&[at_rest, by_speed, by_activity])));
    }
    tensors.extend(model.decoder.clicker().map(button::to_tensors).unwrap_or_default());
    let thresholds = &model.calibration.thresholds;
    if !thresholds.is_empty() {
        tensors.push(("thresholds", Dtype::F32, vec![thresholds.len()], f32s(thresholds)));
    }
    if let Some(reference) = &model.calibration.reference {
        let shape = vec![reference.n_channels(), reference.group()];
        tensors.push((REFERENCE, Dtype::F32, shape, f32s(reference.values())));
    }
    let views = tensors.iter().map(|(name, dtype, shape, bytes)| {
        (*name, TensorView::new(*dtype, shape.clone(), bytes).expect("shapes fit their bytes"))
    });
    // One entry: the order of several would differ from run to run, and a model made again has the
    // same bytes.
    let header = HashMap::from([(TRAINED_WITH.to_string(), trained_with(&model.about))]);
    safetensors::serialize(views, Some(header)).expect("tensors can be written")
}

/// A model from its words and the file's bytes.
///
/// # Errors
/// Bytes that are damaged, or that were written with other settings than `about` says.
pub(super) fn from_bytes(about: ModelAbout, bytes: &[u8], place: &str) -> Result<Model, Error> {
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
            Dtype::F32 => {
                tensor.data().as_chunks::<4>().0.iter().map(|b| f64::from(f32::from_le_bytes(*b))).collect()
            }
            Dtype::F64 => tensor.data().as_chunks::<8>().0.iter().map(|b| f64::from_le_bytes(*b)).collect(),
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
    let mut linear = LinearDecoder::new(weights, output);
    if about.config.decoder.kind == DecoderKind::FullKalman {
        let [transition, drift, heard] = GAIN.map(|name| floats(name).map(|(_, values)| values));
        let gain = FullGain::new(transition?, drift?, heard?);
        linear = linear.zip(gain).and_then(|(linear, gain)| linear.with_full_gain(gain));
    }
    let linear =
        linear.ok_or_else(|| damaged("its tensors don't fit each other or are not finite".into()))?;
    if let OutputAbout::Classes { names, .. } = &about.output
        && names.len() != linear.weights().offset.len()
    {
        return Err(damaged(format!("{} scores for {} classes", linear.weights().offset.len(), names.len())));
    }
    let thresholds = narrow(optional("thresholds")?.1);
    let wanted = if about.stream.kind == StreamKind::Broadband.name() { about.stream.n_channels } else { 0 };
    if thresholds.len() != wanted {
        return Err(damaged(format!("{} thresholds for {wanted} channels", thresholds.len())));
    }
    SampleRate::new(about.stream.sample_rate_hz, place)?;
    let front_end = &about.config.front_end;
    let reference = match front_end.reference {
        Reference::Lrr if wanted > 0 => {
            let values = narrow(floats(REFERENCE)?.1);
            let weights = RegressionWeights::from_parts(wanted, front_end.car_group, values);
            Some(weights.ok_or_else(|| damaged(format!("tensor `{REFERENCE}` doesn't fit the settings")))?)
        }
        _ => None,
    };
    let calibration = Calibration { thresholds, reference };
    let mut decoder = Decoder::new(normaliser, linear);
    if let [at_rest, by_speed, by_activity] = optional(CASCADE)?.1[..] {
        let cascade = Cascade { at_rest, by_speed, by_activity };
        let with = decoder.with_cascade(cascade);
        decoder = with.ok_or_else(|| damaged(format!("tensor `{CASCADE}` doesn't fit the decoder")))?;
    }
    let button = button::from_tensors(|name| tensors.tensor(name).is_ok(), floats, damaged)?;
    if let Some(clicker) = button {
        let fits = decoder.with_click(clicker);
        decoder = fits.ok_or_else(|| damaged("its button is of another width than its decoder".into()))?;
    }
    Ok(Model { about, calibration, decoder })
}

/// All that the weights were trained with, a line each: `key = value`.
fn trained_with(about: &ModelAbout) -> String {
    // What comes after the decoder is nobody's training: it may be changed by hand.
    let Config { front_end, bins, decoder, cursor: _, safety: _ } = &about.config;
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
    table
        .insert("output".into(), toml::Value::try_from(&about.output).expect("what a model says is a table"));
    table.insert("synthetic".into(), about.synthetic.into());
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

/// A, W and G of a Kalman filter whose gain is carried from bin to bin.
const GAIN: [&str; 3] = ["gain_transition", "gain_drift", "gain_heard"];
/// a, b, c of what stands behind a linear decoder.
const CASCADE: &str = "cascade";
/// The weights of a linear regression reference.
const REFERENCE: &str = "reference";
/// The header's one entry.
const TRAINED_WITH: &str = "trained_with";
