//! Flat binary: int16 or float32, little-endian, frame by frame, memory-mapped.
//!
//! In: the file and what its sidecar or mapping says of it. Out: broadband of the same type. The file is
//! mapped, not read, so that recordings longer than memory replay; [`super::mapped`] says what that asks.

use super::mapped::MappedFile;
use super::mapping::{FlatMapping, SampleType};
use super::{About, Recording, Truth, channel_name};
use crate::block::{BLOCK_FRAMES_MAX, Block, BlockHeader, Payload, StreamInfo, StreamKind};
use crate::error::Error;
use crate::sources::{ReadOutcome, SampleSource};
use crate::time::SampleIndex;
use std::path::Path;

/// The recording at `path` as `mapping` describes it.
///
/// # Errors
/// If the file is empty, doesn't hold whole frames, or has another number of them than `mapping` says.
pub(super) fn open(path: &Path, mapping: &FlatMapping) -> Result<Recording, Error> {
    let place = path.display().to_string();
    let file = MappedFile::open(path)?;
    let n_bytes = file.bytes().len();
    let frame_bytes = mapping.n_channels * sample_bytes(mapping.sample_type);
    let cut = |found: String, legal: String| {
        Error::input(&place, found)
            .field("length")
            .legal(legal)
            .hint("copy the recording again, or correct the sidecar")
    };
    if !n_bytes.is_multiple_of(frame_bytes) {
        return Err(cut(
            format!("its {n_bytes} bytes are not whole frames: it is cut short or the sidecar is wrong"),
            format!("a multiple of {frame_bytes} bytes ({} channels)", mapping.n_channels),
        ));
    }
    let n_frames = (n_bytes / frame_bytes) as u64;
    if let Some(expected) = mapping.n_frames.filter(|&expected| expected != n_frames) {
        return Err(cut(
            format!("it has {n_frames} frames"),
            format!("{expected} frames, as the sidecar says"),
        ));
    }

    let info = StreamInfo {
        kind: StreamKind::Broadband,
        sample_rate: mapping.sample_rate,
        uv_per_count: mapping.uv_per_count,
        channels: match mapping.channels.is_empty() {
            true => (0..mapping.n_channels).map(channel_name).collect(),
            false => mapping.channels.clone(),
        },
        synthetic: mapping.synthetic,
    };
    let mut about = About::new(&place, "flat", &info, n_frames);
    let scanned = &file.bytes()[..n_bytes.min(SCAN_BYTES_MAX / frame_bytes * frame_bytes)];
    about.silent_channels =
        flat_channels(scanned, mapping).map(|channel| info.channels[channel].clone()).collect();
    about.hybrid = mapping.hybrid;
    if mapping.hybrid {
        about.notes.push(HYBRID.to_string());
    }
    about.missing.push("Kinematics.".to_string());
    if mapping.uv_per_count.is_none() {
        about
            .missing
            .push("Microvolts per count: thresholds are relative to each channel's noise.".to_string());
    }
    if scanned.len() < n_bytes {
        let n = scanned.len() / frame_bytes;
        about.notes.push(format!("Silent channels were looked for in the first {n} frames."));
    }
    let source =
        Box::new(FlatSource { place, info, file, sample_type: mapping.sample_type, n_frames, next: 0 });
    Ok(Recording { about, truth: Truth::None, source })
}

struct FlatSource {
    place: String,
    info: StreamInfo,
    file: MappedFile,
    sample_type: SampleType,
    n_frames: u64,
    next: u64,
}

impl SampleSource for FlatSource {
    fn info(&self) -> &StreamInfo {
        &self.info
    }

    fn n_frames(&self) -> Option<u64> {
        Some(self.n_frames)
    }

    fn new_block(&self) -> Block {
        match self.sample_type {
            SampleType::Int16 => Block::int16(self.info.n_channels()),
            SampleType::Float32 => Block::float32(self.info.n_channels()),
        }
    }

    fn read(&mut self, block: &mut Block) -> Result<ReadOutcome, Error> {
        let n = (self.n_frames - self.next).min(BLOCK_FRAMES_MAX as u64) as usize;
        if n == 0 {
            return Ok(ReadOutcome::End);
        }
        let n_channels = self.info.n_channels();
        let (start, len) = (self.next as usize * n_channels, n * n_channels);
        let width = sample_bytes(self.sample_type);
        let bytes = &self.file.bytes()[start * width..(start + len) * width];
        match &mut block.payload {
            Payload::Int16(samples) => {
                let (words, _) = bytes.as_chunks::<2>();
                for (sample, word) in samples.iter_mut().zip(words) {
                    *sample = i16::from_le_bytes(*word);
                }
            }
            Payload::Float32(samples) => {
                let (words, _) = bytes.as_chunks::<4>();
                for (sample, word) in samples.iter_mut().zip(words) {
                    *sample = f32::from_le_bytes(*word);
                }
                if let Some(bad) = samples[..len].iter().position(|sample| !sample.is_finite()) {
                    return Err(self.not_finite(samples[bad], start + bad));
                }
            }
            Payload::Counts(_) | Payload::Crossings(_) => {
                panic!("the block was made by another source's new_block")
            }
        }
        block.header = BlockHeader {
            first_sample: SampleIndex(self.next),
            n_frames: n as u32,
            lost_frames: 0,
            starts_segment: self.next == 0,
            ..BlockHeader::default()
        };
        self.next += n as u64;
        Ok(ReadOutcome::Block)
    }
}

impl FlatSource {
    fn not_finite(&self, value: f32, at: usize) -> Error {
        let (frame, channel) = (at / self.info.n_channels(), at % self.info.n_channels());
        Error::input(&self.place, format!("channel {} has {value}", self.info.channels[channel]))
            .field(format!("frame {frame}"))
            .legal("finite samples")
            .hint("cut the frame out, or write the last good value there")
    }
}

/// The channels of `bytes` (whole frames) that never change.
fn flat_channels(bytes: &[u8], mapping: &FlatMapping) -> impl Iterator<Item = usize> + use<> {
    let width = sample_bytes(mapping.sample_type);
    let frame_bytes = mapping.n_channels * width;
    let mut flat: Vec<usize> = (0..mapping.n_channels).collect();
    let mut frames = bytes.chunks_exact(frame_bytes);
    let first = frames.next().unwrap_or_default();
    for frame in frames {
        if flat.is_empty() {
            break;
        }
        flat.retain(|&channel| {
            let sample = channel * width..(channel + 1) * width;
            frame[sample.clone()] == first[sample]
        });
    }
    flat.into_iter()
}

fn sample_bytes(sample_type: SampleType) -> usize {
    match sample_type {
        SampleType::Int16 => 2,
        SampleType::Float32 => 4,
    }
}

/// What a person is to know before anything else.
const HYBRID: &str = "Hybrid: synthetic spikes were added to a background, each to one electrode alone.";
/// How far silent channels are looked for; one that is flat would otherwise have the whole file read.
const SCAN_BYTES_MAX: usize = 1 << 30;
