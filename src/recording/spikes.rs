//! Known spike times of a synthetic recording, to score detection against.
//!
//! In: a CSV file with the header `sample,unit,peak_channel`. Out: one [`Spike`] a line, in the file's order. Beside
//! it, from the JSON sidecar of the recording: how far each unit stands out of the noise.

use super::files::read_text;
use super::sidecar;
use crate::error::Error;
use crate::time::SampleIndex;
use std::collections::BTreeMap;
use std::path::Path;

/// One spike of a known unit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Spike {
    /// When it peaks.
    pub sample: SampleIndex,
    /// The unit that fired.
    pub unit: u32,
    /// The channel on which the unit is largest.
    pub peak_channel: u32,
}

/// The spikes in the file at `path`.
///
/// # Errors
/// If it can't be read, its header is another, or a line isn't three whole numbers.
pub fn read(path: &Path) -> Result<Vec<Spike>, Error> {
    parse(&read_text(path, SPIKES_BYTES_MAX)?, &path.display().to_string())
}

/// The spikes as such a file's text.
pub fn to_csv(spikes: &[Spike]) -> String {
    let line = |spike: &Spike| format!("{},{},{}\n", spike.sample.0, spike.unit, spike.peak_channel);
    format!("{HEADER}\n") + &spikes.iter().map(line).collect::<String>()
}

/// The signal-to-noise ratio of each unit, as the JSON sidecar of the recording at `path` gives it under
/// `units.NUMBER.snr`; none where it doesn't.
///
/// # Errors
/// If that file can't be read or isn't JSON.
pub fn signal_to_noise(path: &Path) -> Result<BTreeMap<u32, f64>, Error> {
    let is_json = |path: &std::path::PathBuf| path.extension().is_some_and(|extension| extension == "json");
    let Some(path) = sidecar::find(path).filter(is_json) else { return Ok(BTreeMap::new()) };
    let text = read_text(&path, SPIKES_BYTES_MAX)?;
    let sidecar: serde_json::Value = serde_json::from_str(&text)
        .map_err(|e| Error::input(path.display().to_string(), e.to_string()).legal("JSON"))?;
    let units = sidecar.get("units").and_then(|units| units.as_object()).into_iter().flatten();
    let snr = |(unit, about): (&String, &serde_json::Value)| {
        Some((unit.parse().ok()?, about.get("snr")?.as_f64()?))
    };
    Ok(units.filter_map(snr).collect())
}

fn parse(text: &str, place: &str) -> Result<Vec<Spike>, Error> {
    let mut lines = text.lines();
    if lines.next() != Some(HEADER) {
        return Err(Error::input(place, "its first line is another").field("line 1").legal(HEADER));
    }
    lines
        .enumerate()
        .map(|(index, line)| {
            spike(line).ok_or_else(|| {
                let shown: String = line.chars().take(60).collect();
                Error::input(place, format!("it reads {shown:?}"))
                    .field(format!("line {}", index + 2))
                    .legal("three whole numbers: sample, unit, peak channel")
                    .hint("copy the file again if this is its last line")
            })
        })
        .collect()
}

fn spike(line: &str) -> Option<Spike> {
    let mut numbers = line.split(',');
    let spike = Spike {
        sample: SampleIndex(numbers.next()?.parse().ok()?),
        unit: numbers.next()?.parse().ok()?,
        peak_channel: numbers.next()?.parse().ok()?,
    };
    numbers.next().is_none().then_some(spike)
}

const HEADER: &str = "sample,unit,peak_channel";
const SPIKES_BYTES_MAX: u64 = 1 << 30;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_a_spike_and_a_wrong_one_is_named() {
        let spikes = parse("sample,unit,peak_channel\n243,2,16\n", "a.csv").expect("legal");
        assert_eq!(spikes, [Spike { sample: SampleIndex(243), unit: 2, peak_channel: 16 }]);
        assert_eq!(parse(&to_csv(&spikes), "a.csv").expect("legal"), spikes);
        for bad in ["1,2", "1,2,3,4", "1,2,", "-1,2,3", "1.5,2,3"] {
            let error = parse(&format!("sample,unit,peak_channel\n1,1,1\n{bad}"), "a.csv").expect_err(bad);
            assert!(error.to_string().starts_with("a.csv, field `line 3`"), "{error}");
        }
    }
}
