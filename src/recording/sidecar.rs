//! Sidecars: the file that says what flat binary holds. `easy.i16` has `easy.toml` or `easy.json` beside it.
//!
//! The TOML form is the section `[flat]` of a [`Mapping`], with its names and checks. The JSON form has the
//! keys that SpikeInterface scripts write: `sampling_rate` (Hz), `channels` (how many), `dtype` ("int16 …" or
//! "float32 …", little-endian), and optionally `uV_per_bit`, `samples` (frames), `synthetic` or
//! `spikeinterface` (made by its generator), `hybrid` (spikes were added, each to one electrode; of any value); other
//! keys are left alone.

use super::files::read_text;
use super::mapping::{FlatMapping, Mapping, SampleType};
use crate::block::CHANNELS_MAX;
use crate::error::Error;
use crate::time::SampleRate;
use serde::de::IgnoredAny;
use std::path::{Path, PathBuf};

/// The sidecar beside `data`, where there is one.
pub(super) fn find(data: &Path) -> Option<PathBuf> {
    ["toml", "json"].map(|extension| data.with_extension(extension)).into_iter().find(|path| path.is_file())
}

/// What the sidecar beside `data` says.
///
/// # Errors
/// If there is none, or it doesn't describe flat binary.
pub(super) fn read(data: &Path) -> Result<FlatMapping, Error> {
    let Some(path) = find(data) else {
        return Err(Error::input(data.display().to_string(), "flat binary has no sidecar beside it")
            .field("sidecar")
            .legal("a .toml or .json file of the same name")
            .hint("write one: [flat] sample_rate_hz, n_channels, sample_type"));
    };
    let place = path.display().to_string();
    let text = read_text(&path, SIDECAR_BYTES_MAX)?;
    if path.extension().is_some_and(|extension| extension == "json") {
        return parse_json(&text, &place);
    }
    match Mapping::parse(&text, &place)? {
        Mapping::Flat(mapping) => Ok(mapping),
        _ => Err(Error::input(place, "it is a mapping for another format").legal("a sidecar with [flat]")),
    }
}

#[derive(serde::Deserialize)]
struct Json {
    sampling_rate: f64,
    channels: usize,
    dtype: String,
    #[serde(rename = "uV_per_bit")]
    uv_per_bit: Option<f32>,
    samples: Option<u64>,
    synthetic: Option<bool>,
    spikeinterface: Option<IgnoredAny>,
    hybrid: Option<IgnoredAny>,
}

fn parse_json(text: &str, place: &str) -> Result<FlatMapping, Error> {
    let json: Json = serde_json::from_str(text).map_err(|e| {
        Error::input(place, e.to_string())
            .legal("JSON with sampling_rate (number), channels (whole number), dtype (text)")
            .hint("the keys that are documented for sidecars, or a .toml sidecar with [flat]")
    })?;
    let refuse =
        |field: &str, found: String, legal: String| Err(Error::input(place, found).field(field).legal(legal));
    let sample_type = match json.dtype.split_whitespace().next() {
        _ if json.dtype.contains("big") => None,
        Some("int16") => Some(SampleType::Int16),
        Some("float32") => Some(SampleType::Float32),
        _ => None,
    };
    let Some(sample_type) = sample_type else {
        let shown: String = json.dtype.chars().take(60).collect();
        return refuse(
            "dtype",
            format!("its value is {shown:?}"),
            "int16 or float32, little-endian".to_string(),
        );
    };
    if !(1..=CHANNELS_MAX).contains(&json.channels) {
        let legal = format!("1 to {CHANNELS_MAX}");
        return refuse("channels", format!("its value is {}", json.channels), legal);
    }
    if json.uv_per_bit.is_some_and(|uv| !(uv.is_finite() && uv > 0.0)) {
        return refuse("uV_per_bit", "it is not positive".to_string(), "microvolts, above 0".to_string());
    }
    Ok(FlatMapping {
        sample_rate: SampleRate::new(json.sampling_rate, place)?,
        n_channels: json.channels,
        sample_type,
        n_frames: json.samples,
        uv_per_count: json.uv_per_bit,
        channels: Vec::new(),
        synthetic: json.synthetic.unwrap_or(json.spikeinterface.is_some()) || json.hybrid.is_some(),
        hybrid: json.hybrid.is_some(),
    })
}

const SIDECAR_BYTES_MAX: u64 = 64 << 20;

#[cfg(test)]
mod tests {
    use super::*;

    const EASY: &str =
        r#"{"sampling_rate": 30000.0, "channels": 32, "dtype": "int16 little-endian", "uV_per_bit": 0.195}"#;

    #[test]
    fn json_is_read_by_its_own_keys() {
        let flat = parse_json(EASY, "easy.json").expect("legal");
        assert_eq!((flat.n_channels, flat.uv_per_count, flat.synthetic), (32, Some(0.195), false));
        let made = EASY.replace('}', r#", "spikeinterface": "0.105.3"}"#);
        assert!(parse_json(&made, "easy.json").expect("legal").synthetic);
        let made = EASY.replace('}', r#", "hybrid": {"seed": 1}, "synthetic": false}"#);
        let flat = parse_json(&made, "easy.json").expect("legal");
        assert!(flat.hybrid && flat.synthetic);
    }

    #[test]
    fn what_json_lacks_or_has_wrong_is_named() {
        for (from, to, named) in [
            ("\"channels\": 32", "\"channels\": 0", "channels"),
            ("\"channels\": 32,", "", "channels"),
            ("int16", "int24", "dtype"),
            ("little", "big", "dtype"),
            ("0.195", "-1", "uV_per_bit"),
            ("30000.0", "0", "sample_rate_hz"),
        ] {
            let error = parse_json(&EASY.replace(from, to), "easy.json").expect_err(to).to_string();
            assert!(error.contains(named) && error.contains("easy.json"), "{error}");
        }
    }
}
