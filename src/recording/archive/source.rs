//! An archive as a recording: decoded chunk by chunk while it is read.
//!
//! In: an archive, and the sidecar of the file that was packed where it stands beside it. Out: int16 broadband, the
//! samples that the packed file gives. Guarantee: a damaged chunk is an error that names it; what came before is good.

use super::header::Header;
use super::{Envelope, damaged, decode_chunk};
use crate::block::{BLOCK_FRAMES_MAX, Block, BlockHeader, Payload, StreamInfo, StreamKind};
use crate::error::Error;
use crate::recording::mapped::MappedFile;
use crate::recording::{About, Recording, Truth, channel_name, check_n_channels, sidecar};
use crate::sources::{ReadOutcome, SampleSource};
use crate::time::{SampleIndex, SampleRate};
use efference_wire::codec::raw::Converter;
use std::ops::Range;
use std::path::Path;

/// The recording in the archive at `path`.
///
/// # Errors
/// If it is no archive, is empty, its first chunk is damaged, or its sidecar is of another one.
pub(in crate::recording) fn open(path: &Path) -> Result<Recording, Error> {
    let place = path.display().to_string();
    let file = MappedFile::open(path)?;
    let (header, rest) = Header::parse(file.bytes(), &place)?;
    check_n_channels(header.n_channels, &place)?;
    if header.n_frames == 0 {
        return Err(Error::input(&place, "it holds no frame").legal("one frame or more"));
    }
    let chunks = chunks_of(&header, file.bytes().len() - rest.len(), file.bytes().len(), &place)?;
    let is_n1 = header.converter == Converter::NeuralinkN1;
    let info = info_of(path, &header, &place)?;
    let mut source = ArchiveSource {
        codes: Vec::with_capacity(header.frames_of(0) * header.n_channels),
        place,
        file,
        header,
        chunks,
        info: info.info,
        chunk: None,
        next: 0,
    };
    source.decode(0)?;
    let mut about = About::new(&source.place, "archive", &source.info, source.header.n_frames);
    about.silent_channels =
        source.constant_channels().map(|channel| source.info.channels[channel].clone()).collect();
    about.hybrid = info.hybrid;
    about.missing.push("Kinematics.".to_string());
    if source.info.uv_per_count.is_none() {
        about
            .missing
            .push("Microvolts per count: thresholds are relative to each channel's noise.".to_string());
    }
    if is_n1 {
        about.notes.push("10-bit codes: the N1 lattice is undone, exactly on every sample.".to_string());
    }
    if source.chunks.len() > 1 {
        let n = source.header.frames_of(0);
        about.notes.push(format!("Silent channels were looked for in the first {n} frames."));
    }
    Ok(Recording { about, truth: Truth::None, source: Box::new(source) })
}

struct ArchiveSource {
    place: String,
    file: MappedFile,
    header: Header,
    /// Where each lies in the file.
    chunks: Vec<Range<usize>>,
    info: StreamInfo,
    /// The one whose samples are here, frame by frame.
    chunk: Option<usize>,
    codes: Vec<i16>,
    next: u64,
}

impl ArchiveSource {
    fn decode(&mut self, at: usize) -> Result<(), Error> {
        if self.chunk == Some(at) {
            return Ok(());
        }
        self.chunk = None;
        self.codes.clear();
        self.codes.resize(self.header.frames_of(at) * self.header.n_channels, 0);
        let bytes = &self.file.bytes()[self.chunks[at].clone()];
        if decode_chunk(&self.header, bytes, &mut self.codes).is_none() {
            let chunk = format!("chunk {} of {}", at + 1, self.chunks.len());
            return Err(damaged(&self.place, &chunk, "its checksum is another")
                .hint("`efference unpack --salvage`, which restores what is whole"));
        }
        self.chunk = Some(at);
        Ok(())
    }

    /// Channels of which no sample of the chunk differs from the first.
    fn constant_channels(&self) -> impl Iterator<Item = usize> + '_ {
        let n = self.header.n_channels;
        let is_constant = move |channel: &usize| {
            let mut column = self.codes.iter().skip(*channel).step_by(n);
            let first = column.next();
            column.all(|code| Some(code) == first)
        };
        (0..n).filter(is_constant)
    }
}

impl SampleSource for ArchiveSource {
    fn info(&self) -> &StreamInfo {
        &self.info
    }

    fn n_frames(&self) -> Option<u64> {
        Some(self.header.n_frames)
    }

    fn read(&mut self, block: &mut Block) -> Result<ReadOutcome, Error> {
        if self.next == self.header.n_frames {
            return Ok(ReadOutcome::End);
        }
        let per_chunk = self.header.chunk_frames as u64;
        self.decode((self.next / per_chunk) as usize)?;
        let (from, n_channels) = ((self.next % per_chunk) as usize, self.header.n_channels);
        let n = (self.codes.len() / n_channels - from).min(BLOCK_FRAMES_MAX);
        let Payload::Int16(samples) = &mut block.payload else {
            panic!("the block was made by another source's new_block")
        };
        samples[..n * n_channels].copy_from_slice(&self.codes[from * n_channels..][..n * n_channels]);
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

/// Where the chunks lie in a file of `n_bytes`, the first at `from`.
fn chunks_of(header: &Header, from: usize, n_bytes: usize, place: &str) -> Result<Vec<Range<usize>>, Error> {
    let mut at = from;
    let mut chunks = Vec::with_capacity(header.chunk_bytes.len());
    for &length in &header.chunk_bytes {
        let end = usize::try_from(length).ok().and_then(|length| at.checked_add(length));
        let end = end.filter(|end| *end <= n_bytes).ok_or_else(|| {
            damaged(place, "length", "it is cut short").hint("`efference unpack --salvage`, or copy it again")
        })?;
        chunks.push(at..end);
        at = end;
    }
    match at == n_bytes {
        true => Ok(chunks),
        false => Err(damaged(place, "length", "bytes follow its last chunk")),
    }
}

struct Info {
    info: StreamInfo,
    hybrid: bool,
}

/// What header, name and sidecar say of the stream, as they do of the file that was packed.
fn info_of(path: &Path, header: &Header, place: &str) -> Result<Info, Error> {
    let n = header.n_channels;
    let flat = sidecar::find(path).map(|_| sidecar::read(path)).transpose()?;
    if let Some(flat) = flat.as_ref().filter(|flat| flat.n_channels != n) {
        return Err(Error::input(place, format!("{n} channels, and its sidecar has {}", flat.n_channels))
            .field("channels")
            .legal("the sidecar of the recording that was packed, or none"));
    }
    let is_wav = matches!(&header.envelope, Envelope::Wav)
        || matches!(&header.envelope, Envelope::Bytes { before, .. } if before.starts_with(b"RIFF"));
    let stem = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    let channels = match flat.as_ref().map(|flat| flat.channels.clone()) {
        Some(names) if !names.is_empty() => names,
        None if is_wav && n == 1 => vec![stem],
        _ => (0..n).map(channel_name).collect(),
    };
    let known = header.uv_per_count.is_finite() && header.uv_per_count > 0.0;
    let info = StreamInfo {
        kind: StreamKind::Broadband,
        sample_rate: SampleRate::new(header.sample_rate_hz, place)?,
        uv_per_count: known.then_some(header.uv_per_count),
        channels,
        synthetic: flat.as_ref().is_some_and(|flat| flat.synthetic),
    };
    Ok(Info { info, hybrid: flat.is_some_and(|flat| flat.hybrid) })
}
