//! The file that is packed: its samples, and what stands round them.
//!
//! In: a WAV file, or flat int16 with its sidecar. Out: where the samples lie and what they are. Guarantees: before,
//! samples and after, one behind the other, are the file.

use super::header::Envelope;
use crate::error::Error;
use crate::recording::mapping::SampleType;
use crate::recording::sidecar;
use std::ops::Range;
use std::path::Path;

/// A file whose samples were found.
pub(super) struct Original {
    pub(super) bytes: Vec<u8>,
    /// Of `bytes`: int16, little-endian, frame by frame.
    pub(super) samples: Range<usize>,
    pub(super) n_channels: usize,
    pub(super) sample_rate_hz: f64,
    pub(super) uv_per_count: f32,
}

impl Original {
    /// Reads the file at `path`.
    ///
    /// # Errors
    /// If it can't be read, has samples of another kind, or isn't what its header or sidecar says.
    pub(super) fn read(path: &Path) -> Result<Self, Error> {
        let is_wav = path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("wav"));
        let flat = if is_wav { None } else { Some(sidecar::read(path)?) };
        let bytes = std::fs::read(path).map_err(|error| Error::unreadable(path, &error))?;
        let place = path.display().to_string();
        let Some(flat) = flat else {
            return wav(bytes, &place);
        };
        if flat.sample_type != SampleType::Int16 {
            return Err(Error::input(place, "its samples are float32")
                .field("sample_type")
                .legal("int16")
                .hint("the recording in the counts of its converter"));
        }
        let n_frames = bytes.len() / (2 * flat.n_channels);
        Ok(Original {
            samples: 0..n_frames * 2 * flat.n_channels,
            bytes,
            n_channels: flat.n_channels,
            sample_rate_hz: flat.sample_rate.hz(),
            uv_per_count: flat.uv_per_count.unwrap_or(0.0),
        })
    }

    /// What stands round the samples.
    pub(super) fn envelope(&self) -> Envelope {
        let (before, after) = (&self.bytes[..self.samples.start], &self.bytes[self.samples.end..]);
        let usual = wav_header(self.n_channels, self.sample_rate_hz, self.samples.len() as u64);
        match after.is_empty() && usual.is_some_and(|usual| usual == before) {
            true => Envelope::Wav,
            false => Envelope::Bytes { before: before.to_vec(), after: after.to_vec() },
        }
    }
}

fn wav(bytes: Vec<u8>, place: &str) -> Result<Original, Error> {
    let refuse = |found: &str| {
        Err(Error::input(place, found)
            .legal("a WAV file of 16-bit integers")
            .hint("copy the recording again, if it was one"))
    };
    if bytes.get(..4) != Some(b"RIFF") || bytes.get(8..12) != Some(b"WAVE") {
        return refuse("it doesn't begin as a WAV file does");
    }
    let (mut at, mut format) = (12, None);
    while let Some((name, size)) = bytes.get(at..at + 8).and_then(|head| head.split_first_chunk::<4>()) {
        let size = size.first_chunk().map_or(0, |size| u32::from_le_bytes(*size)) as usize;
        let start = at + 8;
        match name {
            b"fmt " => format = bytes.get(start..start + 16),
            b"data" => {
                let Some(&[_, _, channels, channels_high, a, b, c, d, _, _, _, _, _, _, 16, 0]) = format
                else {
                    return refuse("its samples aren't of 16 bits");
                };
                let n_channels = usize::from(u16::from_le_bytes([channels, channels_high]));
                let sample_rate_hz = f64::from(u32::from_le_bytes([a, b, c, d]));
                if n_channels == 0 || start + size > bytes.len() {
                    return refuse("it is cut short");
                }
                let samples = start..start + size / (2 * n_channels) * (2 * n_channels);
                return Ok(Original { bytes, samples, n_channels, sample_rate_hz, uv_per_count: 0.0 });
            }
            _ => {}
        }
        // Chunks begin at even places.
        at = start + size.next_multiple_of(2);
    }
    refuse("it has no samples")
}

/// The 44 bytes before samples of 16 bits; `None` where they can't say it.
pub(super) fn wav_header(n_channels: usize, sample_rate_hz: f64, n_bytes: u64) -> Option<Vec<u8>> {
    let rate = sample_rate_hz as u32;
    let (channels, size) = (u16::try_from(n_channels).ok()?, u32::try_from(n_bytes).ok()?);
    let frame_bytes = channels.checked_mul(2)?;
    if f64::from(rate) != sample_rate_hz {
        return None;
    }
    let mut header = b"RIFF".to_vec();
    header.extend(size.checked_add(36)?.to_le_bytes());
    header.extend(b"WAVEfmt \x10\0\0\0\x01\0");
    header.extend(channels.to_le_bytes());
    header.extend(rate.to_le_bytes());
    header.extend(rate.checked_mul(u32::from(frame_bytes))?.to_le_bytes());
    header.extend(frame_bytes.to_le_bytes());
    header.extend(b"\x10\0data");
    header.extend(size.to_le_bytes());
    Some(header)
}
