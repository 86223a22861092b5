//! The button of a model: a classifier of rest and click beside the decoder of movement, as tensors of the weights' file.
//!
//! In: a clicker. Out: tensors whose names begin with `click_`, and from those the same clicker. A model without a button has
//! none of them.

use crate::config::NormaliserKind;
use crate::decode::{ClickRule, Clicker, Decoder, LinearDecoder, Normaliser, Output, Weights};
use crate::error::Error;
use safetensors::tensor::Dtype;

/// A tensor: name, type, shape, bytes.
pub(super) type Tensor = (&'static str, Dtype, Vec<usize>, Vec<u8>);

/// The tensors of a clicker.
pub(super) fn to_tensors(clicker: &Clicker) -> Vec<Tensor> {
    let (classes, rule) = (clicker.classes(), clicker.rule());
    let (weights, normaliser) = (classes.linear().weights(), classes.normaliser());
    let (n, f, lags) = (weights.n_states, weights.n_features, weights.lags);
    let f32s = |values: &[f32]| values.iter().flat_map(|v| v.to_le_bytes()).collect::<Vec<u8>>();
    let f64s = |values: &[f64]| values.iter().flat_map(|v| v.to_le_bytes()).collect::<Vec<u8>>();
    let kind = KINDS.iter().position(|kind| *kind == normaliser.kind()).unwrap_or(0);
    let ClickRule { stay, prior, down_above, down_bins, up_below, rest_bins } = rule;
    let rule = [stay, prior, down_above, f64::from(down_bins), up_below, f64::from(rest_bins), kind as f64];
    let mut tensors = vec![
        (READOUT, Dtype::F32, vec![lags, n, f], f32s(&weights.readout)),
        (OFFSET, Dtype::F64, vec![weights.offset.len()], f64s(&weights.offset)),
        (MEAN, Dtype::F32, vec![f], f32s(normaliser.mean())),
        (INVERSE, Dtype::F32, vec![f], f32s(normaliser.inverse_deviation())),
        (RULE, Dtype::F64, vec![rule.len()], f64s(&rule)),
    ];
    if !weights.recurrence.is_empty() {
        tensors.push((RECURRENCE, Dtype::F64, vec![n, n], f64s(&weights.recurrence)));
    }
    if !weights.output.is_empty() {
        tensors.push((OUTPUT, Dtype::F64, vec![weights.offset.len(), n], f64s(&weights.output)));
    }
    tensors
}

/// The clicker that stands in the tensors which `floats` reads; `None` where there is none.
///
/// # Errors
/// Tensors that are missing or don't fit each other.
pub(super) fn from_tensors(
    has: impl Fn(&str) -> bool,
    floats: impl Fn(&str) -> Result<(Vec<usize>, Vec<f64>), Error>,
    damaged: impl Fn(String) -> Error,
) -> Result<Option<Clicker>, Error> {
    if !has(READOUT) {
        return Ok(None);
    }
    let (shape, readout) = floats(READOUT)?;
    let [lags, n_states, n_features] = shape[..] else {
        return Err(damaged(format!("tensor `{READOUT}` has shape {shape:?}")));
    };
    let narrow = |values: Vec<f64>| values.into_iter().map(|value| value as f32).collect::<Vec<f32>>();
    let optional = |name: &str| if has(name) { floats(name).map(|(_, values)| values) } else { Ok(vec![]) };
    let (recurrence, output, offset) = (optional(RECURRENCE)?, optional(OUTPUT)?, floats(OFFSET)?.1);
    let readout = narrow(readout);
    let weights = Weights { n_features, lags, n_states, readout, recurrence, output, offset };
    let rule = floats(RULE)?.1;
    let [stay, prior, down_above, down_bins, up_below, rest_bins, kind] = rule[..] else {
        return Err(damaged(format!("tensor `{RULE}` has {} values", rule.len())));
    };
    let (down_bins, rest_bins) = (down_bins as u32, rest_bins as u32);
    let rule = ClickRule { stay, prior, down_above, down_bins, up_below, rest_bins };
    let kind = *KINDS.get(kind as usize).ok_or_else(|| damaged(format!("tensor `{RULE}` ends in {kind}")))?;
    let (mean, inverse) = (narrow(floats(MEAN)?.1), narrow(floats(INVERSE)?.1));
    let normaliser = Normaliser::from_parts(kind, mean, inverse);
    let classes = normaliser
        .filter(|normaliser| normaliser.n_features() == n_features)
        .zip(LinearDecoder::new(weights, Output::Choose))
        .map(|(normaliser, linear)| Decoder::new(normaliser, linear));
    let clicker = classes.and_then(|classes| Clicker::new(classes, rule));
    clicker.map(Some).ok_or_else(|| damaged("the tensors of its button don't fit each other".into()))
}

const READOUT: &str = "click_readout";
const OFFSET: &str = "click_offset";
const MEAN: &str = "click_normaliser_mean";
const INVERSE: &str = "click_normaliser_inverse_deviation";
const RECURRENCE: &str = "click_recurrence";
const OUTPUT: &str = "click_output";
/// The numbers of a [`ClickRule`] in their order, and which of [`KINDS`] scales the features.
const RULE: &str = "click_rule";
/// By their numbers in files.
const KINDS: [NormaliserKind; 3] =
    [NormaliserKind::Zscore, NormaliserKind::Sqrt, NormaliserKind::FiveQuarters];

#[cfg(test)]
mod tests {
    use super::*;
    use safetensors::tensor::{SafeTensors, TensorView};

    fn clicker() -> Clicker {
        let weights = Weights {
            n_features: 3,
            lags: 1,
            n_states: 2,
            readout: vec![0.0, 0.0, 0.0, 1.5, -0.5, 0.25],
            recurrence: vec![],
            output: vec![],
            offset: vec![0.0, -1.0],
        };
        let normaliser = Normaliser::from_parts(NormaliserKind::Sqrt, vec![0.5; 3], vec![1.25; 3]);
        let linear = LinearDecoder::new(weights, Output::Choose).expect("sizes fit");
        let rule = ClickRule { prior: 0.25, down_bins: 4, ..ClickRule::default() };
        Clicker::new(Decoder::new(normaliser.expect("finite"), linear), rule).expect("two classes")
    }

    fn read(tensors: &[Tensor]) -> Result<Option<Clicker>, Error> {
        let views = tensors.iter().map(|(name, dtype, shape, bytes)| {
            (*name, TensorView::new(*dtype, shape.clone(), bytes).expect("shapes fit"))
        });
        let bytes = safetensors::serialize(views, None).expect("tensors can be written");
        let tensors = SafeTensors::deserialize(&bytes).expect("as written");
        let floats = |name: &str| {
            let tensor = tensors.tensor(name).map_err(|error| Error::model("test", error.to_string()))?;
            let data = tensor.data();
            let values = match tensor.dtype() {
                Dtype::F32 => {
                    data.as_chunks::<4>().0.iter().map(|b| f64::from(f32::from_le_bytes(*b))).collect()
                }
                _ => data.as_chunks::<8>().0.iter().map(|b| f64::from_le_bytes(*b)).collect(),
            };
            Ok((tensor.shape().to_vec(), values))
        };
        from_tensors(|name| tensors.tensor(name).is_ok(), floats, |found| Error::model("test", found))
    }

    #[test]
    fn a_button_is_read_as_it_was_written() {
        assert_eq!(read(&to_tensors(&clicker())).expect("as written"), Some(clicker()));
        assert_eq!(read(&[]).expect("a model without"), None);
    }

    #[test]
    fn a_damaged_button_is_refused() {
        for lost in [OFFSET, MEAN, RULE] {
            let some: Vec<Tensor> =
                to_tensors(&clicker()).into_iter().filter(|(name, ..)| *name != lost).collect();
            assert!(read(&some).is_err(), "without {lost}");
        }
        let mut tensors = to_tensors(&clicker());
        let rule = tensors.iter_mut().find(|(name, ..)| *name == RULE).expect("it has one");
        rule.3[..8].copy_from_slice(&7.0f64.to_le_bytes());
        assert!(read(&tensors).is_err(), "no chance is 7");
    }
}
