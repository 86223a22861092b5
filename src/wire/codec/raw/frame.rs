//! Frames: the samples of one channel, some milliseconds of them, and what tells a receiver whether it can use them.
//!
//! In: samples. Out: a header of two bytes and what the model made of the samples, or the samples as they are where
//! that is shorter; and back. Guarantees: either side's state moves by whole frames; what can't be encoded or decoded
//! moves nothing, but that a decoder that missed a frame waits for the next key frame. Damage to the bytes is for
//! the link's own check to find: a decoder gives no panic on it, but samples that are wrong.

use super::converter::{BITS_MAX, BITS_MIN, Converter, NeuralinkN1, Steps, Uniform};
use super::model::{Model, SNAPSHOT_BYTES};
use super::range::{RangeDecoder, RangeEncoder};
use core::fmt;

/// Most samples of a frame.
pub const FRAME_MAX: usize = 1024;

/// Samples of a live frame at this rate (1/1,000 a second), unless it says otherwise: 10 ms, 1 to 300.
///
/// ```
/// assert_eq!(efference_wire::codec::raw::usual_frames(19_531_000), 195);
/// ```
pub const fn usual_frames(rate_millihertz: u32) -> u16 {
    match rate_millihertz / 100_000 {
        0 => 1,
        n if n > 300 => 300,
        n => n as u16,
    }
}

/// Most bytes that a frame of `n_samples` of `bits` (2 to 16) takes.
pub const fn bound_bytes(n_samples: usize, bits: u32) -> usize {
    HEADER_MAX + (n_samples * bits as usize).div_ceil(8)
}

/// The sending side of one channel.
#[derive(Clone, Copy, Debug)]
pub struct Encoder {
    converter: Converter,
    n_usual: u16,
    counter: u16,
    is_started: bool,
    model: Model,
}

impl Encoder {
    /// For a channel of `converter`, sent `n_usual` samples at a time as a rule (other frames cost two bytes more).
    pub fn new(converter: Converter, n_usual: u16) -> Self {
        Encoder { converter, n_usual, counter: 0, is_started: false, model: Model::new() }
    }

    /// Writes a frame of 1 to [`FRAME_MAX`] `samples` at the start of `out`; returns how many bytes. With `key` (and
    /// in the first frame anyway) a receiver can begin here, for about 20 bytes.
    ///
    /// # Errors
    /// If the frame doesn't fit into `out`, which [`bound_bytes`] bytes always hold, or there are too many samples,
    /// none, or one that is no code of the converter. The next frame is then as if this one had not been tried.
    pub fn encode(&mut self, samples: &[i16], key: bool, out: &mut [u8]) -> Result<usize, NotEncoded> {
        let n_bytes = match self.converter {
            Converter::NeuralinkN1 => self.encode_with(NeuralinkN1, samples, key, out),
            Converter::Uniform { .. } => {
                self.encode_with(Uniform { bits: self.converter.bits() }, samples, key, out)
            }
        }?;
        self.counter = (self.counter + 1) & COUNTER_MASK;
        self.is_started = true;
        Ok(n_bytes)
    }

    fn encode_with<S: Steps>(
        &mut self,
        steps: S,
        samples: &[i16],
        key: bool,
        out: &mut [u8],
    ) -> Result<usize, NotEncoded> {
        if samples.is_empty() || samples.len() > FRAME_MAX {
            return Err(NotEncoded::Length);
        }
        let half = 1 << (steps.bits() - 1);
        if !samples.iter().all(|&sample| (-half..half).contains(&i32::from(sample))) {
            return Err(NotEncoded::OutOfRange);
        }
        let (is_key, n_samples) = (key || !self.is_started, samples.len() as u16);
        let flag = |is_set: bool, flag: u16| if is_set { flag } else { 0 };
        let flags = flag(is_key, KEY) | flag(n_samples != self.n_usual, COUNTED);
        let n_head = if flags & COUNTED == 0 { 2 } else { 4 };
        let verbatim_bytes = n_head + (samples.len() * steps.bits() as usize).div_ceil(8);

        let mut model = self.model;
        let modelled = match out.get_mut(n_head..) {
            Some(rest) => {
                let n_bytes = rest.len().min(verbatim_bytes - n_head);
                encode_modelled(&mut model, steps, samples, is_key, &mut rest[..n_bytes])
            }
            None => None,
        };
        let (n_bytes, flags) = match modelled {
            Some(n_bytes) => (n_head + n_bytes, flags),
            None if verbatim_bytes <= out.len() => {
                model = if is_key { Model::new() } else { self.model };
                samples.iter().for_each(|&sample| model.pass(steps, sample));
                pack(samples, steps.bits(), &mut out[n_head..verbatim_bytes]);
                (verbatim_bytes, flags | VERBATIM)
            }
            None => return Err(NotEncoded::Full),
        };
        self.model = model;
        out[..2].copy_from_slice(&(flags | self.counter).to_be_bytes());
        if n_head == 4 {
            out[2..4].copy_from_slice(&n_samples.to_be_bytes());
        }
        Ok(n_bytes)
    }
}

/// How many bytes the samples take after the header, where they fit into `out`.
fn encode_modelled<S: Steps>(
    model: &mut Model,
    steps: S,
    samples: &[i16],
    is_key: bool,
    out: &mut [u8],
) -> Option<usize> {
    let (mut n_snapshot, mut samples) = (0, samples);
    if is_key {
        let (first, rest) = samples.split_first()?;
        let place = out.get_mut(..SNAPSHOT_BYTES + 2)?;
        let snapshot = model.snapshot();
        place[..SNAPSHOT_BYTES].copy_from_slice(&snapshot);
        place[SNAPSHOT_BYTES..].copy_from_slice(&first.to_be_bytes());
        *model = Model::restore(&snapshot, steps, *first);
        (n_snapshot, samples) = (SNAPSHOT_BYTES + 2, rest);
    }
    let mut coder = RangeEncoder::new(&mut out[n_snapshot..]);
    // A copy on the stack, so that the compiler keeps it in registers.
    let mut local = *model;
    for &sample in samples {
        local.encode(steps, sample, &mut coder);
    }
    *model = local;
    Some(n_snapshot + coder.finish()?)
}

/// The receiving side of one channel.
#[derive(Clone, Copy, Debug)]
pub struct Decoder {
    converter: Converter,
    n_usual: u16,
    /// Of the next frame; `None` until a key frame comes.
    expected: Option<u16>,
    model: Model,
}

impl Decoder {
    /// For what an [`Encoder`] of the same converter and usual length sends.
    pub fn new(converter: Converter, n_usual: u16) -> Self {
        Decoder { converter, n_usual, expected: None, model: Model::new() }
    }

    /// A frame is known to be lost: waits for a key frame.
    pub fn lose(&mut self) {
        self.expected = None;
    }

    /// Decodes one frame into the start of `out` and returns how many samples it holds.
    ///
    /// # Errors
    /// If a frame before it is missing (and no key frame came since), it came already, it is no frame, or it
    /// doesn't fit into `out`, which [`FRAME_MAX`] samples always hold. `out` then holds nothing of use.
    pub fn decode(&mut self, bytes: &[u8], out: &mut [i16]) -> Result<usize, RawError> {
        match self.converter {
            Converter::NeuralinkN1 => self.decode_with(NeuralinkN1, bytes, out),
            Converter::Uniform { .. } => {
                self.decode_with(Uniform { bits: self.converter.bits() }, bytes, out)
            }
        }
    }

    fn decode_with<S: Steps>(&mut self, steps: S, bytes: &[u8], out: &mut [i16]) -> Result<usize, RawError> {
        let frame = Frame::parse(bytes, self.n_usual, steps.bits()).ok_or(RawError::Damaged)?;
        self.check_counter(&frame)?;
        let Some(out) = out.get_mut(..frame.n_samples) else {
            return Err(RawError::NoRoom { n_samples: frame.n_samples });
        };

        let mut model = self.model;
        if frame.is_verbatim {
            unpack(frame.rest, steps.bits(), out);
            if frame.is_key {
                model = Model::new();
            }
            out.iter().for_each(|&sample| model.pass(steps, sample));
        } else {
            let (mut rest, mut n_known) = (frame.rest, 0);
            if frame.is_key {
                let (snapshot, after) = rest.split_first_chunk().ok_or(RawError::Damaged)?;
                let (first, after) = after.split_first_chunk().ok_or(RawError::Damaged)?;
                out[0] = i16::from_be_bytes(*first);
                let half = 1 << (steps.bits() - 1);
                if !(-half..half).contains(&i32::from(out[0])) {
                    return Err(RawError::Damaged);
                }
                model = Model::restore(snapshot, steps, out[0]);
                (rest, n_known) = (after, 1);
            }
            let mut coder = RangeDecoder::new(rest);
            for sample in &mut out[n_known..] {
                *sample = model.decode(steps, &mut coder);
            }
        }
        self.model = model;
        self.expected = Some((frame.counter + 1) & COUNTER_MASK);
        Ok(frame.n_samples)
    }

    /// Whether the frame is the next one, or a key.
    fn check_counter(&mut self, frame: &Frame) -> Result<(), RawError> {
        let Some(expected) = self.expected else {
            return if frame.is_key { Ok(()) } else { Err(RawError::NoKey) };
        };
        let n_lost = frame.counter.wrapping_sub(expected) & COUNTER_MASK;
        if n_lost > COUNTER_MASK - LATE_MAX {
            return Err(RawError::Late);
        }
        if n_lost > 0 && !frame.is_key {
            self.expected = None;
            return Err(RawError::Missed { n_frames: n_lost });
        }
        Ok(())
    }
}

/// The parts of a frame.
struct Frame<'a> {
    is_key: bool,
    is_verbatim: bool,
    counter: u16,
    n_samples: usize,
    rest: &'a [u8],
}

impl<'a> Frame<'a> {
    /// `None` if the bytes can't be a frame's.
    fn parse(bytes: &'a [u8], n_usual: u16, bits: u32) -> Option<Self> {
        let (head, mut rest) = bytes.split_first_chunk()?;
        let head = u16::from_be_bytes(*head);
        let mut n_samples = n_usual;
        if head & COUNTED != 0 {
            let (count, after) = rest.split_first_chunk()?;
            (n_samples, rest) = (u16::from_be_bytes(*count), after);
        }
        let n_samples = usize::from(n_samples);
        let n_packed = (n_samples * bits as usize).div_ceil(8);
        let is_verbatim = head & VERBATIM != 0;
        let has_length = if is_verbatim { rest.len() == n_packed } else { rest.len() <= n_packed };
        let is_frame = (1..=FRAME_MAX).contains(&n_samples) && has_length;
        let (is_key, counter) = (head & KEY != 0, head & COUNTER_MASK);
        is_frame.then_some(Frame { is_key, is_verbatim, counter, n_samples, rest })
    }
}

/// Why a frame was not encoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotEncoded {
    /// It doesn't fit into the bytes given: fewer samples, or more bytes.
    Full,
    /// No sample, or more than [`FRAME_MAX`].
    Length,
    /// A sample outside of the converter's bits.
    OutOfRange,
}

impl fmt::Display for NotEncoded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            NotEncoded::Full => "the frame doesn't fit into the bytes given",
            NotEncoded::Length => "a frame has 1 to 1024 samples",
            NotEncoded::OutOfRange => "a sample has more bits than the converter",
        })
    }
}

impl core::error::Error for NotEncoded {}

/// Why a frame was not decoded. None of these ends the stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RawError {
    /// Frames before it are missing: nothing can be decoded until a key frame.
    Missed {
        /// How many, unless more than 8,191.
        n_frames: u16,
    },
    /// As before, no key frame came yet.
    NoKey,
    /// It came already, or was overtaken by a later one. The next frames can be decoded.
    Late,
    /// These bytes are no frame.
    Damaged,
    /// The samples don't fit into the place given.
    NoRoom {
        /// Samples of the frame.
        n_samples: usize,
    },
}

impl fmt::Display for RawError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            RawError::Missed { n_frames } => write!(f, "{n_frames} frames are missing before this one"),
            RawError::NoKey => f.write_str("no key frame came yet"),
            RawError::Late => f.write_str("the frame came already or too late"),
            RawError::Damaged => f.write_str("the bytes are no frame"),
            RawError::NoRoom { n_samples } => write!(f, "the frame has {n_samples} samples, too many here"),
        }
    }
}

impl core::error::Error for RawError {}

/// The lower `bits` of each sample, the highest first. `out` is as long as they are.
fn pack(samples: &[i16], bits: u32, out: &mut [u8]) {
    let (mut held, mut n_held, mut at) = (0_u32, 0, 0);
    for &sample in samples {
        held = held << bits | u32::from(sample as u16) & ((1 << bits) - 1);
        n_held += bits;
        while n_held >= 8 {
            n_held -= 8;
            out[at] = (held >> n_held) as u8;
            at += 1;
        }
    }
    if n_held > 0 {
        out[at] = (held << (8 - n_held)) as u8;
    }
}

/// The inverse of `pack`.
fn unpack(bytes: &[u8], bits: u32, out: &mut [i16]) {
    let (mut held, mut n_held, mut bytes) = (0_u32, 0, bytes.iter());
    for sample in out {
        while n_held < bits {
            held = held << 8 | u32::from(*bytes.next().unwrap_or(&0));
            n_held += 8;
        }
        n_held -= bits;
        let unsigned = (held >> n_held) & ((1 << bits) - 1);
        *sample = ((unsigned << (32 - bits)) as i32 >> (32 - bits)) as i16;
    }
}

/// Flags of the header's first byte; the rest counts frames.
const KEY: u16 = 1 << 15;
const VERBATIM: u16 = 1 << 14;
const COUNTED: u16 = 1 << 13;
const COUNTER_MASK: u16 = COUNTED - 1;
/// Frames that may come late; one that seems later than that comes after a long gap.
const LATE_MAX: u16 = 64;
const HEADER_MAX: usize = 4;

const _: () = assert!(BITS_MIN >= 1 && BITS_MAX <= 16 && FRAME_MAX <= u16::MAX as usize);
/// What an implant has to hold for a channel.
pub(super) const STATE_BYTES_MAX: usize = 512;
const _: () = assert!(size_of::<Encoder>() <= STATE_BYTES_MAX && size_of::<Decoder>() <= STATE_BYTES_MAX);
