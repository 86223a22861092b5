//! The header of an archive: what is needed to restore the file that was packed, and where its chunks lie.
//!
//! In: a [`Header`], or bytes. Out: bytes, or the header and where the chunks begin. Guarantees: bytes that are damaged,
//! cut short or contradict themselves give an [`Error`] that names the field.

use super::damaged;
use crate::block::CHANNELS_MAX;
use crate::error::Error;
use efference_wire::codec::raw::Converter;

/// See the byte format in [`super`].
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Header {
    pub(super) converter: Converter,
    pub(super) n_channels: usize,
    pub(super) n_frames: u64,
    pub(super) chunk_frames: usize,
    pub(super) sample_rate_hz: f64,
    /// Microvolts of a count; 0 where nobody knows.
    pub(super) uv_per_count: f32,
    pub(super) envelope: Envelope,
    /// Bytes of each chunk, its checksum included.
    pub(super) chunk_bytes: Vec<u64>,
}

/// What stands round the samples in the file that was packed.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Envelope {
    /// The 44 bytes that most programs write before samples of 16 bits, which follow from the rest.
    Wav,
    /// These bytes before and after them.
    Bytes { before: Vec<u8>, after: Vec<u8> },
}

impl Header {
    pub(super) fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = MAGIC.to_vec();
        bytes.push(match self.converter {
            Converter::NeuralinkN1 => 0,
            Converter::Uniform { .. } => self.converter.bits() as u8,
        });
        push_number(&mut bytes, self.n_channels as u64);
        push_number(&mut bytes, self.n_frames);
        push_number(&mut bytes, self.chunk_frames as u64);
        bytes.extend(self.sample_rate_hz.to_le_bytes());
        bytes.extend(self.uv_per_count.to_le_bytes());
        match &self.envelope {
            Envelope::Wav => bytes.push(1),
            Envelope::Bytes { before, after } => {
                bytes.push(0);
                for part in [before, after] {
                    push_number(&mut bytes, part.len() as u64);
                    bytes.extend(part);
                }
            }
        }
        for &n_bytes in &self.chunk_bytes {
            push_number(&mut bytes, n_bytes);
        }
        bytes.extend(checksum(&bytes).to_le_bytes());
        bytes
    }

    /// The header at the start of `bytes`, and the chunks' bytes after it.
    pub(super) fn parse<'a>(bytes: &'a [u8], place: &str) -> Result<(Self, &'a [u8]), Error> {
        if bytes.get(..3) != Some(&MAGIC[..3]) {
            return Err(damaged(place, "magic", "it doesn't begin as an archive does"));
        }
        if bytes.get(3) != Some(&MAGIC[3]) {
            return Err(Error::input(place, "it was written by another version")
                .field("version")
                .legal(format!("version {}", MAGIC[3])));
        }
        let mut reader = Reader { rest: &bytes[MAGIC.len()..] };
        let header = reader
            .header()
            .ok_or_else(|| damaged(place, "header", "it is cut short or has values that no archive has"))?;
        let n_bytes = bytes.len() - reader.rest.len();
        match reader.take() {
            Some(sum) if u32::from_le_bytes(sum) == checksum(&bytes[..n_bytes]) => Ok((header, reader.rest)),
            _ => Err(damaged(place, "header", "its checksum is another")),
        }
    }

    pub(super) fn n_chunks(&self) -> u64 {
        self.n_frames.div_ceil(self.chunk_frames as u64)
    }

    /// Frames of the chunk `at`.
    pub(super) fn frames_of(&self, at: usize) -> usize {
        (self.n_frames - at as u64 * self.chunk_frames as u64).min(self.chunk_frames as u64) as usize
    }
}

/// CRC-32, as in gzip.
pub(super) fn checksum(bytes: &[u8]) -> u32 {
    let mut sum = flate2::Crc::new();
    sum.update(bytes);
    sum.sum()
}

/// Seven bits a byte, the lowest first; all but the last have the eighth.
pub(super) fn push_number(bytes: &mut Vec<u8>, mut number: u64) {
    while number >= 128 {
        bytes.push(number as u8 | 128);
        number >>= 7;
    }
    bytes.push(number as u8);
}

/// Takes fields off the front of bytes; `None` where they end.
pub(super) struct Reader<'a> {
    pub(super) rest: &'a [u8],
}

impl<'a> Reader<'a> {
    pub(super) fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (taken, rest) = self.rest.split_first_chunk()?;
        self.rest = rest;
        Some(*taken)
    }

    pub(super) fn number(&mut self) -> Option<u64> {
        let mut number = 0_u64;
        for shift in (0..63).step_by(7) {
            let [byte] = self.take()?;
            number |= u64::from(byte & 127) << shift;
            if byte < 128 {
                return Some(number);
            }
        }
        None
    }

    pub(super) fn bytes(&mut self, n_bytes: u64) -> Option<&'a [u8]> {
        let (taken, rest) = self.rest.split_at_checked(usize::try_from(n_bytes).ok()?)?;
        self.rest = rest;
        Some(taken)
    }

    fn header(&mut self) -> Option<Header> {
        let converter = match self.take()? {
            [0] => Converter::NeuralinkN1,
            [bits @ 2..=16] => Converter::Uniform { bits },
            _ => return None,
        };
        let n_channels = self.number().filter(|n| (1..=CHANNELS_MAX as u64).contains(n))? as usize;
        let n_frames = self.number()?;
        let chunk_frames = self.number().filter(|n| (1..=CHUNK_SAMPLES_MAX as u64).contains(n))? as usize;
        if n_channels * chunk_frames > CHUNK_SAMPLES_MAX {
            return None;
        }
        let sample_rate_hz = f64::from_le_bytes(self.take()?);
        let uv_per_count = f32::from_le_bytes(self.take()?);
        let envelope = match self.take()? {
            [0] => {
                let mut part = || self.number().and_then(|n| self.bytes(n)).map(<[u8]>::to_vec);
                Envelope::Bytes { before: part()?, after: part()? }
            }
            [1] => Envelope::Wav,
            _ => return None,
        };
        let mut header = Header {
            converter,
            n_channels,
            n_frames,
            chunk_frames,
            sample_rate_hz,
            uv_per_count,
            envelope,
            chunk_bytes: Vec::new(),
        };
        for _ in 0..header.n_chunks() {
            header.chunk_bytes.push(self.number()?);
        }
        Some(header)
    }
}

/// Of a chunk of all channels: 256 MiB. Fewer frames are taken for more channels.
pub(super) const CHUNK_SAMPLES_MAX: usize = 1 << 27;
/// With the version.
const MAGIC: [u8; 4] = *b"EFA\x01";
