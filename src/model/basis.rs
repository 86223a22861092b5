//! `statistics.safetensors`: what a model is solved again from when electrodes are lost, and what the next session is
//! added to. Beside a model only where it was asked for: it is as large as the model's columns squared.

use crate::error::Error;
use crate::train::wide::WideMatrices;
use crate::train::{Basis, KalmanParameters, Moments, Statistics};
use faer::Mat;
use safetensors::tensor::{Dtype, SafeTensors, TensorView};
use sha2::{Digest, Sha256};
use std::collections::HashMap;

/// The file's bytes, beside these weights.
pub(super) fn to_bytes(basis: &Basis, weights: &[u8]) -> Vec<u8> {
    let mut tensors: Vec<(String, Dtype, Vec<usize>, Vec<u8>)> = Vec::new();
    let mut add = |name: &str, shape: Vec<usize>, values: &[f64]| {
        let bytes = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        tensors.push((name.to_string(), Dtype::F64, shape, bytes));
    };
    let indices = |of: &[usize]| of.iter().map(|&index| index as f64).collect::<Vec<f64>>();
    if let Some((parameters, features, n_features)) = &basis.kalman {
        let KalmanParameters { transition, drift, tuning, whitening, noise, output, offset } = parameters;
        let matrices = [("transition", transition), ("drift", drift), ("tuning", tuning), ("noise", noise)];
        let whitening = whitening.as_ref().map(|whitening| ("whitening", whitening));
        for (name, matrix) in matrices.into_iter().chain(whitening) {
            add(&format!("kalman_{name}"), vec![matrix.nrows(), matrix.ncols()], &rows_of(matrix));
        }
        add("kalman_output", vec![output.len()], output);
        add("kalman_offset", vec![offset.len()], offset);
        add("kalman_features", vec![features.len()], &indices(features));
        add("kalman_n_features", vec![1], &[*n_features as f64]);
    }
    if let Some(WideMatrices { transition, drift, tuning, noise, offset }) = &basis.wide {
        let n_states = offset.len();
        add("wide_transition", vec![n_states, n_states], &rows_of(transition));
        add("wide_drift", vec![n_states, n_states], &rows_of(drift));
        add("wide_tuning", vec![noise.len(), n_states], tuning);
        add("wide_noise", vec![noise.len()], noise);
        add("wide_offset", vec![n_states], offset);
    }
    if let Some((statistics, strength)) = &basis.wiener {
        let Statistics { features, n_features, lags, n_outputs, n_scored, scale, folds } = statistics;
        let about = [*n_features, *lags, *n_outputs, *n_scored, folds.len()].map(|n| n as f64);
        add("wiener_about", vec![6], &[&about[..], &[*strength]].concat());
        add("wiener_features", vec![features.len()], &indices(features));
        add("wiener_scale", vec![scale.len()], scale);
        for (at, fold) in folds.iter().enumerate() {
            add(&format!("wiener_{at}_sum"), vec![fold.sum.len() + 1], &[&[fold.n], &fold.sum[..]].concat());
        }
        for (at, fold) in folds.iter().enumerate() {
            // In f32, a ten millionth of an entry: far below the ridge.
            let lower = (0..fold.sum.len()).flat_map(|j| (j..fold.sum.len()).map(move |i| (i, j)));
            let bytes: Vec<u8> = lower.flat_map(|at| (fold.products[at] as f32).to_le_bytes()).collect();
            tensors.push((format!("wiener_{at}_products"), Dtype::F32, vec![bytes.len() / 4], bytes));
        }
    }
    let views = tensors.iter().map(|(name, dtype, shape, bytes)| {
        (name, TensorView::new(*dtype, shape.clone(), bytes).expect("shapes fit their bytes"))
    });
    let header = HashMap::from([(WEIGHTS.to_string(), hash(weights))]);
    safetensors::serialize(views, Some(header)).expect("tensors can be written")
}

/// What stands in the file's bytes, beside these weights.
///
/// # Errors
/// Bytes that are damaged, or that belong to other weights.
pub(super) fn from_bytes(bytes: &[u8], weights: &[u8], place: &str) -> Result<Basis, Error> {
    let damaged = |found: String| {
        Error::model(place, found)
            .legal("the statistics that `train --keep-statistics` wrote with these weights")
            .hint("train it again with --keep-statistics")
    };
    let broken = |error| damaged(format!("it is damaged ({error})"));
    let (_, header) = SafeTensors::read_metadata(bytes).map_err(broken)?;
    let of = header.metadata().as_ref().and_then(|map| map.get(WEIGHTS)).cloned();
    if of != Some(hash(weights)) {
        return Err(damaged("it belongs to other weights".into()));
    }
    let tensors = SafeTensors::deserialize(bytes).map_err(broken)?;
    let values = |name: &str| -> Result<(Vec<usize>, Vec<f64>), Error> {
        let tensor = tensors.tensor(name).map_err(|_| damaged(format!("it has no tensor `{name}`")))?;
        let data = tensor.data();
        let values: Vec<f64> = match tensor.dtype() {
            Dtype::F32 => data.as_chunks::<4>().0.iter().map(|b| f64::from(f32::from_le_bytes(*b))).collect(),
            _ => data.as_chunks::<8>().0.iter().map(|b| f64::from_le_bytes(*b)).collect(),
        };
        match values.iter().all(|value| value.is_finite()) {
            true => Ok((tensor.shape().to_vec(), values)),
            false => Err(damaged(format!("tensor `{name}` has values that are not finite"))),
        }
    };
    let matrix = |name: &str| -> Result<Mat<f64>, Error> {
        let (shape, values) = values(name)?;
        match shape[..] {
            [rows, columns] => Ok(Mat::from_fn(rows, columns, |i, j| values[i * columns + j])),
            _ => Err(damaged(format!("tensor `{name}` has shape {shape:?}"))),
        }
    };
    let indices = |name: &str| -> Result<Vec<usize>, Error> {
        Ok(values(name)?.1.into_iter().map(|index| index as usize).collect())
    };
    let mut basis = Basis::default();
    if tensors.tensor("kalman_transition").is_ok() {
        let has_whitening = tensors.tensor("kalman_whitening").is_ok();
        let parameters = KalmanParameters {
            transition: matrix("kalman_transition")?,
            drift: matrix("kalman_drift")?,
            tuning: matrix("kalman_tuning")?,
            whitening: if has_whitening { Some(matrix("kalman_whitening")?) } else { None },
            noise: matrix("kalman_noise")?,
            output: values("kalman_output")?.1,
            offset: values("kalman_offset")?.1,
        };
        let (features, n_features) = (indices("kalman_features")?, indices("kalman_n_features")?[0]);
        let (n, states) = (parameters.tuning.nrows(), parameters.tuning.ncols());
        let square = |of: &Mat<f64>, n: usize| (of.nrows(), of.ncols()) == (n, n);
        let fits = square(&parameters.transition, states)
            && square(&parameters.drift, states)
            && square(&parameters.noise, n)
            && parameters.whitening.as_ref().is_none_or(|whitening| square(whitening, n))
            && features.len() == n
            && features.iter().all(|feature| *feature < n_features);
        if !fits {
            return Err(damaged("the Kalman filter's matrices don't fit each other".into()));
        }
        basis.kalman = Some((parameters, features, n_features));
    }
    if tensors.tensor("wiener_about").is_ok() {
        let about = values("wiener_about")?.1;
        let [n_features, lags, n_outputs, n_scored, n_folds, strength] = about[..] else {
            return Err(damaged("tensor `wiener_about` has another length".into()));
        };
        let (features, scale) = (indices("wiener_features")?, values("wiener_scale")?.1);
        let (n_features, lags, n_outputs) = (n_features as usize, lags as usize, n_outputs as usize);
        let width = features.len() * lags + n_outputs;
        let fold = |at: usize| -> Result<Moments, Error> {
            let (_, sums) = values(&format!("wiener_{at}_sum"))?;
            let (_, lower) = values(&format!("wiener_{at}_products"))?;
            if sums.len() != width + 1 || lower.len() != width * (width + 1) / 2 {
                return Err(damaged(format!("the sums of fold {at} have another width")));
            }
            let start = |j: usize| j * width - j * j.saturating_sub(1) / 2 - j;
            let products = Mat::from_fn(width, width, |i, j| if i >= j { lower[start(j) + i] } else { 0.0 });
            Ok(Moments { n: sums[0], sum: sums[1..].to_vec(), products })
        };
        if scale.len() != features.len() * lags || features.iter().any(|feature| *feature >= n_features) {
            return Err(damaged("the Wiener filter's columns don't fit each other".into()));
        }
        let folds = (0..n_folds as usize).map(fold).collect::<Result<Vec<_>, _>>()?;
        let n_scored = (n_scored as usize).min(n_outputs);
        let statistics = Statistics { features, n_features, lags, n_outputs, n_scored, scale, folds };
        basis.wiener = Some((statistics, strength));
    }
    if tensors.tensor("wide_transition").is_ok() {
        let wide = WideMatrices {
            transition: matrix("wide_transition")?,
            drift: matrix("wide_drift")?,
            tuning: values("wide_tuning")?.1,
            noise: values("wide_noise")?.1,
            offset: values("wide_offset")?.1,
        };
        let n_states = wide.offset.len();
        let square = |of: &Mat<f64>| (of.nrows(), of.ncols()) == (n_states, n_states);
        let fits = square(&wide.transition)
            && square(&wide.drift)
            && wide.tuning.len() == wide.noise.len() * n_states
            && wide.noise.iter().all(|noise| *noise > 0.0);
        if !fits {
            return Err(damaged("the Kalman filter's matrices don't fit each other".into()));
        }
        basis.wide = Some(wide);
    }
    Ok(basis)
}

/// SHA-256 in hex.
pub(super) fn hash(weights: &[u8]) -> String {
    Sha256::digest(weights).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Row by row.
fn rows_of(of: &Mat<f64>) -> Vec<f64> {
    (0..of.nrows()).flat_map(|i| (0..of.ncols()).map(move |j| of[(i, j)])).collect()
}

/// The header's one entry: the SHA-256 of the weights that the statistics belong to.
const WEIGHTS: &str = "weights_sha256";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_and_belongs_to_its_weights() {
        let width = 5;
        let fold = |by: f64| Moments {
            n: 10.0 * by,
            sum: (0..width).map(|i| i as f64 * by).collect(),
            products: Mat::from_fn(width, width, |i, j| if i >= j { (10 * i + j) as f64 * by } else { 0.0 }),
        };
        let statistics = Statistics {
            features: vec![1, 3],
            n_features: 4,
            lags: 2,
            n_outputs: 1,
            n_scored: 1,
            scale: vec![1.0, 0.5, 0.25, 2.0],
            folds: vec![fold(1.0), fold(2.0)],
        };
        let wide = WideMatrices {
            transition: Mat::from_fn(2, 2, |i, j| (3 * i + j) as f64),
            drift: Mat::identity(2, 2),
            tuning: vec![0.5, -1.0, 0.0, 2.0, 1.0, 1.5],
            noise: vec![1.0, 0.5, 0.75],
            offset: vec![0.25, -0.5],
        };
        let basis =
            Basis { wiener: Some((statistics.clone(), 30.0)), wide: Some(wide.clone()), ..Basis::default() };
        let bytes = to_bytes(&basis, b"weights");
        let read = from_bytes(&bytes, b"weights", "x").expect("as it was written");
        assert_eq!(read.wiener, Some((statistics, 30.0)));
        assert!(read.kalman.is_none() && read.wide == Some(wide));
        let error = from_bytes(&bytes, b"others", "x").expect_err("of other weights").to_string();
        assert!(error.contains("belongs to other weights"), "{error}");
        for cut in [0, 7, bytes.len() / 2, bytes.len() - 1] {
            assert!(from_bytes(&bytes[..cut], b"weights", "x").is_err(), "cut at {cut}");
        }
    }
}
