//! Archives (`.efa`): whole recordings, lossless, a seventh to a fifth smaller than general compressors make them.
//!
//! In: a WAV file of 16-bit integers or flat int16 with its sidecar. Out: an archive, and from it the same file, byte
//! for byte. Guarantees: lossless; the same bytes on every machine and with any number of threads; damage costs the
//! chunk in which it lies and no other. Each channel is predicted by itself (`predict`), its errors' distribution is a
//! mixture (`mixture`) over the intervals of the converter's codes, and a range coder writes them. Samples on the
//! lattice of Neuralink's N1 (`recording::n1`) are packed as its 10-bit codes, with the widths that its converter has.
//!
//! # Byte format, version 1
//!
//! Numbers are little-endian; a *varint* has seven bits a byte, the lowest first, and the eighth bit set in all bytes
//! but the last.
//!
//! | bytes | what |
//! |---|---|
//! | 4 | `EFA` and the version, 1 |
//! | 1 | converter: 0 the N1's lattice, 2 to 16 the bits of a sample |
//! | varint × 3 | channels; frames; frames of a chunk (the last may have fewer) |
//! | 8, 4 | sample rate in Hz, f64; microvolts of a count, f32, 0 if unknown |
//! | 1 | 1: a usual WAV header of 44 bytes stands before the samples. 0: two varint lengths follow, each with the bytes that stand before and after the samples |
//! | varint each | bytes of each chunk |
//! | 4 | CRC-32 of all before |
//! | … | chunks |
//!
//! A chunk has its channels one after another, each but the last with its length as a varint before it, and a CRC-32 of
//! all that. A channel has its mean in counts (3 bytes, big-endian), the exponent of the power of two by which samples
//! are divided for the predictors (1 byte), and the range coder's bytes. State begins anew with each chunk.

mod channel;
mod header;
mod mixture;
mod original;
mod predict;
mod source;

use super::n1;
use crate::error::Error;
use efference_wire::codec::raw::Converter;
use header::{CHUNK_SAMPLES_MAX, Envelope, Header, Reader, checksum, push_number};
use original::Original;
pub(super) use source::open;
use std::ops::Range;
use std::path::Path;
use std::thread;

/// A recording, packed.
pub struct Packed {
    /// The archive.
    pub bytes: Vec<u8>,
    /// Bytes of the file that was packed.
    pub n_bytes_before: u64,
    /// Channels of a frame.
    pub n_channels: usize,
    /// Frames.
    pub n_frames: u64,
    /// Frames a second.
    pub sample_rate_hz: f64,
    /// Bits of a code: 10 on the N1's lattice, else what the largest sample needs.
    pub code_bits: u32,
    /// Whether the samples lie on the N1's lattice.
    pub is_n1: bool,
    /// Mean over the channels of the entropy of differences from one code to the next, bits a sample: no coder that
    /// sends these with one fixed table a channel takes less.
    pub difference_entropy_bits: f64,
}

impl Packed {
    /// How many times the file is larger than the archive.
    pub fn ratio(&self) -> f64 {
        self.n_bytes_before as f64 / self.bytes.len() as f64
    }

    /// What `ratio` would be of codes of 16 bits at their entropy of differences.
    pub fn difference_entropy_ratio(&self) -> f64 {
        16.0 / self.difference_entropy_bits
    }
}

/// Packs the recording at `path`, on as many threads as there are cores.
///
/// # Errors
/// If it can't be read, isn't a WAV file or flat with a sidecar, or its samples aren't 16-bit integers.
pub fn pack(path: &Path) -> Result<Packed, Error> {
    let original = Original::read(path)?;
    let n_channels = original.n_channels;
    super::check_n_channels(n_channels, &path.display().to_string())?;
    let mut codes: Vec<i16> = original.bytes[original.samples.clone()]
        .as_chunks()
        .0
        .iter()
        .map(|bytes| i16::from_le_bytes(*bytes))
        .collect();
    let converter = undo_lattice(&mut codes);
    let n_frames = codes.len() / n_channels;
    let chunk_frames = ((CHUNK_SECONDS * original.sample_rate_hz) as usize)
        .clamp(CHUNK_FRAMES_MIN, CHUNK_SAMPLES_MAX)
        .min(CHUNK_SAMPLES_MAX / n_channels);

    let n_chunks = n_frames.div_ceil(chunk_frames);
    let channel_of = |job: usize| {
        let (chunk, channel) = (job / n_channels, job % n_channels);
        let frames = chunk * chunk_frames..((chunk + 1) * chunk_frames).min(n_frames);
        column(&codes, n_channels, channel, frames)
    };
    let coded = in_parallel(n_chunks * n_channels, |job| channel::encode(converter, &channel_of(job)));
    let chunks: Vec<Vec<u8>> = coded.chunks(n_channels).map(chunk_of).collect();
    let header = Header {
        converter,
        n_channels,
        n_frames: n_frames as u64,
        chunk_frames,
        sample_rate_hz: original.sample_rate_hz,
        uv_per_count: original.uv_per_count,
        envelope: original.envelope(),
        chunk_bytes: chunks.iter().map(|chunk| chunk.len() as u64).collect(),
    };
    let mut bytes = header.to_bytes();
    chunks.iter().for_each(|chunk| bytes.extend(chunk));

    let entropy = |channel| difference_entropy_bits(&column(&codes, n_channels, channel, 0..n_frames));
    let entropies = in_parallel(n_channels, entropy);
    Ok(Packed {
        bytes,
        n_bytes_before: original.bytes.len() as u64,
        n_channels,
        n_frames: n_frames as u64,
        sample_rate_hz: original.sample_rate_hz,
        code_bits: converter.bits(),
        is_n1: converter == Converter::NeuralinkN1,
        difference_entropy_bits: entropies.iter().sum::<f64>() / n_channels as f64,
    })
}

/// A recording, restored.
pub struct Unpacked {
    /// The file that was packed.
    pub bytes: Vec<u8>,
    /// Frames whose samples are lost and stand as zeros; empty but in `salvage`.
    pub lost_frames: Vec<Range<u64>>,
}

/// The file of which [`pack`] made `bytes`; `place` names them in errors.
///
/// # Errors
/// If the bytes are no archive, of another version, cut short or damaged.
pub fn unpack(bytes: &[u8], place: &str) -> Result<Unpacked, Error> {
    restore(bytes, place, false)
}

/// As [`unpack`], but chunks that are damaged or missing are silent.
///
/// # Errors
/// If the header is damaged.
pub fn salvage(bytes: &[u8], place: &str) -> Result<Unpacked, Error> {
    restore(bytes, place, true)
}

fn restore(bytes: &[u8], place: &str, salvage: bool) -> Result<Unpacked, Error> {
    let (header, mut rest) = Header::parse(bytes, place)?;
    let n_bytes = header.n_frames.saturating_mul(2 * header.n_channels as u64);
    let (before, after) = match &header.envelope {
        Envelope::Bytes { before, after } => (before.clone(), after.as_slice()),
        Envelope::Wav => match original::wav_header(header.n_channels, header.sample_rate_hz, n_bytes) {
            Some(before) => (before, [].as_slice()),
            None => return Err(damaged(place, "header", "no WAV file is as large as it says")),
        },
    };
    let mut restored = Unpacked { bytes: before, lost_frames: Vec::new() };
    let mut codes = Vec::new();
    for (at, &n_bytes) in header.chunk_bytes.iter().enumerate() {
        let n_frames = header.frames_of(at);
        let n_here = usize::try_from(n_bytes).unwrap_or(usize::MAX).min(rest.len());
        let (chunk, after) = rest.split_at(n_here);
        rest = after;
        codes.clear();
        codes.resize(n_frames * header.n_channels, 0);
        let is_whole = chunk.len() as u64 == n_bytes && decode_chunk(&header, chunk, &mut codes).is_some();
        if !is_whole {
            let first = at as u64 * header.chunk_frames as u64;
            if !salvage {
                return Err(damaged(
                    place,
                    &format!("chunk {} of {}", at + 1, header.n_chunks()),
                    "it is cut short, or its checksum is another",
                )
                .hint(format!(
                    "`--salvage`, which loses frames {first} to {}",
                    first + n_frames as u64 - 1
                )));
            }
            codes.fill(0);
            restored.lost_frames.push(first..first + n_frames as u64);
        }
        let is_n1 = header.converter == Converter::NeuralinkN1;
        let sample = |code: &i16| if is_n1 && is_whole { n1::sample(*code) } else { *code };
        restored.bytes.extend(codes.iter().flat_map(|code| sample(code).to_le_bytes()));
    }
    if !rest.is_empty() && !salvage {
        return Err(damaged(place, "length", "bytes follow its last chunk"));
    }
    restored.bytes.extend(after);
    Ok(restored)
}

/// Fills `codes` frame by frame; `None` if the chunk is damaged.
fn decode_chunk(header: &Header, chunk: &[u8], codes: &mut [i16]) -> Option<()> {
    let (channels, sum) = chunk.split_last_chunk()?;
    if u32::from_le_bytes(*sum) != checksum(channels) {
        return None;
    }
    let mut reader = Reader { rest: channels };
    let mut parts = Vec::with_capacity(header.n_channels);
    for _ in 1..header.n_channels {
        let n_bytes = reader.number()?;
        parts.push(reader.bytes(n_bytes)?);
    }
    parts.push(reader.rest);
    let n_frames = codes.len() / header.n_channels;
    let columns = in_parallel(parts.len(), |channel| {
        let mut column = vec![0; n_frames];
        channel::decode(header.converter, parts[channel], &mut column).map(|()| column)
    });
    for (channel, column) in columns.iter().enumerate() {
        let places = codes[channel..].iter_mut().step_by(header.n_channels);
        places.zip(column.as_ref()?).for_each(|(place, code)| *place = *code);
    }
    Some(())
}

/// Puts codes in the place of samples where all lie on the N1's lattice; how wide they are.
fn undo_lattice(samples: &mut [i16]) -> Converter {
    if !samples.is_empty() && samples.iter().all(|&sample| n1::code(sample).is_some()) {
        samples.iter_mut().for_each(|sample| *sample = n1::code(*sample).unwrap_or_default());
        return Converter::NeuralinkN1;
    }
    let bits = |sample: &i16| 17 - (if *sample < 0 { !*sample } else { *sample }).leading_zeros();
    Converter::Uniform { bits: samples.iter().map(bits).max().unwrap_or(2).clamp(2, 16) as u8 }
}

fn column(codes: &[i16], n_channels: usize, channel: usize, frames: Range<usize>) -> Vec<i16> {
    let codes = &codes[frames.start * n_channels..frames.end * n_channels];
    codes.iter().skip(channel).step_by(n_channels).copied().collect()
}

/// The channels with their lengths, and a checksum.
fn chunk_of(channels: &[Vec<u8>]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for (at, channel) in channels.iter().enumerate() {
        if at + 1 < channels.len() {
            push_number(&mut bytes, channel.len() as u64);
        }
        bytes.extend(channel);
    }
    bytes.extend(checksum(&bytes).to_le_bytes());
    bytes
}

fn difference_entropy_bits(codes: &[i16]) -> f64 {
    let mut counts = vec![0_u32; 1 << 17];
    for pair in codes.windows(2) {
        counts[(i32::from(pair[1]) - i32::from(pair[0]) + (1 << 16)) as usize] += 1;
    }
    let n = codes.len().saturating_sub(1).max(1) as f64;
    let bits = |&count: &u32| -f64::from(count) / n * (f64::from(count) / n).log2();
    counts.iter().filter(|count| **count > 0).map(bits).sum()
}

/// `work` of 0..n_jobs in that order, done on all cores.
fn in_parallel<T: Send>(n_jobs: usize, work: impl Fn(usize) -> T + Sync) -> Vec<T> {
    let n_threads = thread::available_parallelism().map_or(1, |n| n.get());
    let n_each = n_jobs.div_ceil(n_threads).max(1);
    let range = |first: usize| first..(first + n_each).min(n_jobs);
    if n_jobs <= n_each {
        return range(0).map(work).collect();
    }
    thread::scope(|scope| {
        let work = &work;
        let started: Vec<_> = (0..n_jobs)
            .step_by(n_each)
            .map(|first| scope.spawn(move || range(first).map(work).collect::<Vec<T>>()))
            .collect();
        started.into_iter().flat_map(|thread| thread.join().expect("packing doesn't panic")).collect()
    })
}

fn damaged(place: &str, field: &str, found: &str) -> Error {
    Error::input(place, found).field(field).legal("an archive as `efference pack` writes it")
}

/// Of a chunk: long enough to learn in, short enough to lose.
const CHUNK_SECONDS: f64 = 10.0;
const CHUNK_FRAMES_MIN: usize = 1_000;

#[cfg(test)]
mod tests;
