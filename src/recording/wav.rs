//! WAV files, one electrode each; several stand side by side as the channels of one stream.
//!
//! In: a file or a folder of files of 16-bit integers, mono, all of one rate. Out: int16 broadband, channels
//! in the order of the file names, as long as the shortest. Without a mapping the files are taken for
//! Neuralink N1 recordings: 19,531 Hz, on the lattice of [`super::n1`], which is undone to 10-bit codes.

use super::mapping::{WavCode, WavMapping};
use super::memory::MemorySource;
use super::{About, Recording, Truth, check_n_channels, files, n1};
use crate::block::{Payload, StreamInfo, StreamKind};
use crate::error::Error;
use crate::time::SampleRate;
use hound::{SampleFormat, WavReader};
use std::fs::File;
use std::io::BufReader;
use std::path::{Path, PathBuf};

/// The recording at `path`.
///
/// # Errors
/// If the folder holds no WAV file, or a file is cut short, of another rate, width or channel count, or (N1)
/// has a sample off the lattice.
pub(super) fn open(path: &Path, mapping: Option<&WavMapping>) -> Result<Recording, Error> {
    let mapping = mapping.unwrap_or(&N1);
    let place = path.display().to_string();
    let paths = wav_files(path)?;
    check_n_channels(paths.len(), &place)?;
    let lengths =
        paths.iter().map(|p| Ok(open_file(p, mapping)?.len())).collect::<Result<Vec<u32>, Error>>()?;
    let n_frames = lengths.iter().copied().min().unwrap_or(0) as usize;
    let longest = lengths.iter().copied().max().unwrap_or(0) as usize;
    if n_frames == 0 {
        return Err(
            Error::input(place, "one of its files has no sample").legal("files of one sample or more")
        );
    }

    let n_channels = paths.len();
    // `open_file` has found these samples' bytes present, so that this takes no more than the files do.
    let mut samples = vec![0_i16; n_channels * n_frames];
    let mut silent_channels = Vec::new();
    for (channel, file) in paths.iter().enumerate() {
        let column = samples[channel..].iter_mut().step_by(n_channels);
        if read_file(file, mapping, column)? {
            silent_channels.push(stem(file));
        }
    }

    let info = StreamInfo {
        kind: StreamKind::Broadband,
        sample_rate: SampleRate::new(f64::from(mapping.sample_rate_hz), &place)?,
        uv_per_count: mapping.uv_per_count,
        channels: paths.iter().map(|path| stem(path)).collect(),
        synthetic: false,
    };
    let mut about = About::new(&place, "wav", &info, n_frames as u64);
    about.silent_channels = silent_channels;
    about.missing.push("Kinematics.".to_string());
    about.missing.push("Electrode positions.".to_string());
    if mapping.uv_per_count.is_none() {
        about
            .missing
            .push("Microvolts per count: thresholds are relative to each channel's noise.".to_string());
    }
    if mapping.code == WavCode::NeuralinkN1 {
        about.notes.push("10-bit codes: the N1 lattice is undone, exactly on every sample.".to_string());
    }
    if n_channels > 1 {
        about.notes.push(format!(
            "{n_channels} files side by side from their starts, cut to the shortest: up to {} frames of a file \
             are left out.",
            longest - n_frames
        ));
    }
    let source = Box::new(MemorySource::new(info, Payload::Int16(samples), n_frames as u64));
    Ok(Recording { about, truth: Truth::None, source })
}

/// `path` itself, or the `.wav` files in it by name.
fn wav_files(path: &Path) -> Result<Vec<PathBuf>, Error> {
    if !path.is_dir() {
        return Ok(vec![path.to_path_buf()]);
    }
    let unreadable = |e: std::io::Error| Error::unreadable(path, &e);
    let mut found = Vec::new();
    for entry in std::fs::read_dir(path).map_err(unreadable)? {
        let file = entry.map_err(unreadable)?.path();
        if file.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("wav")) {
            found.push(file);
        }
    }
    found.sort();
    match found.is_empty() {
        false => Ok(found),
        true => Err(Error::input(path.display().to_string(), "the folder holds no .wav file")
            .legal("a folder of WAV files, one electrode each")
            .hint("for any other recording, name the file itself")),
    }
}

/// Opens a file and checks that it is what the mapping says and that its samples are there.
fn open_file(path: &Path, mapping: &WavMapping) -> Result<WavReader<BufReader<File>>, Error> {
    let n_bytes = files::size(path)?;
    let file = File::open(path).map_err(|e| Error::unreadable(path, &e))?;
    let reader = WavReader::new(BufReader::new(file)).map_err(|e| damaged(path, &e.to_string()))?;
    let spec = reader.spec();
    let refuse = |field: &str, found: String, legal: String, hint: &str| {
        Err(Error::input(path.display().to_string(), found).field(field).legal(legal).hint(hint))
    };
    if spec.sample_format != SampleFormat::Int || spec.bits_per_sample != 16 {
        let format = if spec.sample_format == SampleFormat::Int { "integers" } else { "floats" };
        return refuse(
            "bits per sample",
            format!("its samples are {format} of {} bits", spec.bits_per_sample),
            "integers of 16 bits".to_string(),
            &format!("`sox IN.wav -b 16 -e signed-integer OUT.wav`, then {ANOTHER_RIG}"),
        );
    }
    if spec.channels != 1 {
        return refuse(
            "channels",
            format!("it has {} channels", spec.channels),
            "one channel, one electrode a file".to_string(),
            &format!("`sox IN.wav OUT.wav remix 1` for each channel, then {ANOTHER_RIG}"),
        );
    }
    if spec.sample_rate != mapping.sample_rate_hz {
        return refuse(
            "sample rate",
            format!("it is {} Hz", spec.sample_rate),
            format!("{} Hz, as {}", mapping.sample_rate_hz, expected_by(mapping)),
            ANOTHER_RIG,
        );
    }
    match 2 * u64::from(reader.len()) <= n_bytes {
        true => Ok(reader),
        false => {
            Err(damaged(path, &format!("it announces {} samples and has {n_bytes} bytes", reader.len())))
        }
    }
}

/// Reads as many samples as `column` takes and checks the rest; says whether they are all the same.
fn read_file<'a>(
    path: &Path,
    mapping: &WavMapping,
    mut column: impl Iterator<Item = &'a mut i16>,
) -> Result<bool, Error> {
    let mut first = None;
    let mut constant = true;
    for (index, sample) in open_file(path, mapping)?.into_samples::<i16>().enumerate() {
        let sample = sample.map_err(|e| damaged(path, &e.to_string()))?;
        let value = match mapping.code {
            WavCode::Linear => sample,
            WavCode::NeuralinkN1 => n1::code(sample).ok_or_else(|| {
                Error::input(path.display().to_string(), format!("{sample} is not on the N1 lattice"))
                    .field(format!("sample {index}"))
                    .legal("samples v(c) of a 10-bit code c, as every N1 recording has")
                    .hint(ANOTHER_RIG)
            })?,
        };
        if let Some(slot) = column.next() {
            *slot = value;
            constant &= *first.get_or_insert(value) == value;
        }
    }
    Ok(constant)
}

fn expected_by(mapping: &WavMapping) -> &'static str {
    if mapping == &N1 { "N1 recordings have" } else { "the mapping says" }
}

fn stem(path: &Path) -> String {
    path.file_stem().unwrap_or_default().to_string_lossy().into_owned()
}

fn damaged(path: &Path, what: &str) -> Error {
    Error::input(path.display().to_string(), format!("it is cut short or damaged ({what})"))
        .legal("a whole WAV file of PCM samples")
        .hint("copy the recording again")
}

/// What files are taken for without a mapping.
const N1: WavMapping = WavMapping { sample_rate_hz: 19_531, code: WavCode::NeuralinkN1, uv_per_count: None };
/// What declares any other recorder.
const ANOTHER_RIG: &str =
    "a mapping with `[wav] sample_rate_hz = …, code = \"linear\"`, if another rig recorded it";
