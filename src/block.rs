//! What travels: a stream's description, blocks of frames, and tiles of channels.
//!
//! A source fills a [`Block`] with consecutive frames, frame by frame (all channels of frame 0, then of
//! frame 1 …). The front end cuts it into [`Tile`]s, a fixed number of neighbouring channels wide, whose
//! channels are the SIMD lanes. Where a device sends events alone, a block holds those, sorted, in place of samples.
//! All take their memory once.

use crate::time::{SampleIndex, SampleRate};
use sha2::{Digest, Sha256};

/// Frames that a block holds at most.
pub const BLOCK_FRAMES_MAX: usize = 64;
/// Channels of a tile: one common average reference group of a usual rig, and whole SIMD registers.
pub const TILE_CHANNELS: usize = 64;
/// Channels that a stream has at most.
pub const CHANNELS_MAX: usize = 65_536;
/// Crossings that a block holds at most: two of every channel in one frame.
pub const EVENTS_MAX: usize = 2 * CHANNELS_MAX;
/// A [`Crossing`] has 16 bits for either.
const _: () = assert!(BLOCK_FRAMES_MAX <= 1 << 16 && CHANNELS_MAX <= 1 << 16);

/// Where a stream enters the pipeline.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StreamKind {
    /// Samples of the raw signal: starts at `filter`.
    Broadband,
    /// Crossings counted by the device or by an earlier program: starts at `binning`.
    Counts,
    /// Crossings one by one, found by the device: starts at `binning`, and costs by their number.
    Crossings,
    /// Power in a band, measured by the device in bins of its own: starts at `binning`. A block holds levels,
    /// `8 · log2` of the mean square in counts², in the place of counts.
    Power(PowerBand),
}

/// In which band a device measures power.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PowerBand {
    /// That of spikes, 250 Hz to 5 kHz.
    Spikes,
    /// That of field potentials, 70 to 150 Hz.
    Field,
}

impl StreamKind {
    /// The word that stands in files and tables.
    pub fn name(self) -> &'static str {
        match self {
            StreamKind::Broadband => "broadband",
            StreamKind::Counts => "counts",
            StreamKind::Crossings => "crossings",
            StreamKind::Power(PowerBand::Spikes) => "spike-band-power",
            StreamKind::Power(PowerBand::Field) => "band-power",
        }
    }
}

/// What a stream holds; constant for as long as it runs.
#[derive(Clone, Debug, PartialEq)]
pub struct StreamInfo {
    /// Where it enters the pipeline.
    pub kind: StreamKind,
    /// Frames a second.
    pub sample_rate: SampleRate,
    /// Microvolt of one count of a broadband sample, of one that power was measured on too; `None` where the maker
    /// doesn't say (then the pipeline works in counts) and for streams of counts.
    pub uv_per_count: Option<f32>,
    /// One name per channel; the channel map.
    pub channels: Vec<String>,
    /// Made by a simulator; printed wherever a result of this stream is.
    pub synthetic: bool,
}

impl StreamInfo {
    /// Channels of a frame.
    pub fn n_channels(&self) -> usize {
        self.channels.len()
    }

    /// What a model checks before it decodes this stream: SHA-256 over kind and channel names, in hex.
    pub fn channel_map_hash(&self) -> String {
        let mut hash = Sha256::new();
        hash.update(self.kind.name());
        for name in &self.channels {
            hash.update((name.len() as u64).to_le_bytes());
            hash.update(name);
        }
        hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

/// What is known of a block beside its samples.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BlockHeader {
    /// The number of the block's first frame.
    pub first_sample: SampleIndex,
    /// Frames in the payload, at most [`BLOCK_FRAMES_MAX`].
    pub n_frames: u32,
    /// Frames lost between the block before and this one; `first_sample` has them counted.
    pub lost_frames: u32,
    /// This block starts a segment: what came before (another trial) has nothing to do with it, so
    /// filters, histories and decoders start afresh. Segments start on a bin edge.
    pub starts_segment: bool,
    /// Each count stands for this many frames, itself repeated in each: a device that sends wider bins than frames
    /// spreads its counts evenly over them. 0 and 1 are the usual: a count of its own in each frame.
    pub spread: u16,
    /// Some counts are [`COUNT_UNKNOWN`].
    pub has_unknown: bool,
}

/// In a block of counts that says so ([`BlockHeader::has_unknown`]): what this channel counted is not known.
pub const COUNT_UNKNOWN: u16 = u16::MAX;

/// One threshold crossing of a block. Ordered by frame, then channel.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Crossing {
    /// Counted from the block's first frame.
    pub frame: u16,
    /// Which channel.
    pub channel: u16,
}

/// Samples of a block, frame by frame, or its events.
#[derive(Debug, PartialEq)]
pub enum Payload {
    /// Broadband as the converter gave it, in counts of [`StreamInfo::uv_per_count`].
    Int16(Vec<i16>),
    /// Broadband as floats, in counts of [`StreamInfo::uv_per_count`].
    Float32(Vec<f32>),
    /// Threshold crossings per frame and channel.
    Counts(Vec<u16>),
    /// Threshold crossings, sorted; a channel may cross more than once in a frame. As many as the block has: room for
    /// more is the vector's capacity, beyond which a source doesn't go.
    Crossings(Vec<Crossing>),
}

impl Clone for Payload {
    /// With the same room, also for crossings.
    fn clone(&self) -> Self {
        match self {
            Payload::Int16(v) => Payload::Int16(v.clone()),
            Payload::Float32(v) => Payload::Float32(v.clone()),
            Payload::Counts(v) => Payload::Counts(v.clone()),
            Payload::Crossings(v) => {
                let mut copy = Vec::with_capacity(v.capacity());
                copy.extend_from_slice(v);
                Payload::Crossings(copy)
            }
        }
    }
}

impl Payload {
    /// How many values it has room for and holds: frames × channels; of crossings, how many it holds.
    pub fn len(&self) -> usize {
        match self {
            Payload::Int16(v) => v.len(),
            Payload::Float32(v) => v.len(),
            Payload::Counts(v) => v.len(),
            Payload::Crossings(v) => v.len(),
        }
    }

    /// No room at all, or no crossing.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// Consecutive frames handed over at once. The memory for [`BLOCK_FRAMES_MAX`] frames is taken when it is
/// built; a source fills the first `header.n_frames` frames in place.
#[derive(Clone, Debug, PartialEq)]
pub struct Block {
    /// What is known beside the samples.
    pub header: BlockHeader,
    /// `BLOCK_FRAMES_MAX × n_channels` values, frame by frame; those past `n_frames` are stale. Of crossings those of
    /// the first `n_frames` frames, and no others.
    pub payload: Payload,
}

impl Block {
    /// An empty block of integer broadband of `n_channels`.
    pub fn int16(n_channels: usize) -> Self {
        Block::of(Payload::Int16(vec![0; BLOCK_FRAMES_MAX * n_channels]))
    }

    /// An empty block of floating-point broadband of `n_channels`.
    pub fn float32(n_channels: usize) -> Self {
        Block::of(Payload::Float32(vec![0.0; BLOCK_FRAMES_MAX * n_channels]))
    }

    /// An empty block of counts of `n_channels`.
    pub fn counts(n_channels: usize) -> Self {
        Block::of(Payload::Counts(vec![0; BLOCK_FRAMES_MAX * n_channels]))
    }

    /// An empty block with room for `n_events_max` crossings.
    ///
    /// # Panics
    /// If that is more than [`EVENTS_MAX`].
    pub fn crossings(n_events_max: usize) -> Self {
        assert!(n_events_max <= EVENTS_MAX, "{n_events_max} crossings; legal: at most {EVENTS_MAX}");
        Block::of(Payload::Crossings(Vec::with_capacity(n_events_max)))
    }

    fn of(payload: Payload) -> Self {
        Block { header: BlockHeader::default(), payload }
    }

    /// The number of the frame after the block's last.
    pub fn end_sample(&self) -> SampleIndex {
        SampleIndex(self.header.first_sample.0 + u64::from(self.header.n_frames))
    }
}

/// Neighbouring channels × frames, in microvolt (or counts where no scale is known), small enough to stay
/// in the first cache. Lanes past the stream's last channel are zero.
#[derive(Clone, Debug)]
pub struct Tile {
    /// `uv[frame][lane]`; lane `l` is channel `index × TILE_CHANNELS + l`.
    pub uv: Box<[[f32; TILE_CHANNELS]; BLOCK_FRAMES_MAX]>,
    /// Frames in use.
    pub n_frames: usize,
    /// Which tile of the stream this is.
    pub index: usize,
}

impl Tile {
    /// An empty tile of silence.
    pub fn new() -> Self {
        Tile { uv: Box::new([[0.0; TILE_CHANNELS]; BLOCK_FRAMES_MAX]), n_frames: 0, index: 0 }
    }

    /// The frames in use.
    pub fn frames(&self) -> &[[f32; TILE_CHANNELS]] {
        &self.uv[..self.n_frames]
    }

    /// The frames in use, to be changed in place.
    pub fn frames_mut(&mut self) -> &mut [[f32; TILE_CHANNELS]] {
        &mut self.uv[..self.n_frames]
    }
}

impl Default for Tile {
    fn default() -> Self {
        Tile::new()
    }
}

/// Tiles that `n_channels` channels need.
pub fn n_tiles(n_channels: usize) -> usize {
    n_channels.div_ceil(TILE_CHANNELS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_map_hash_tells_channels_apart() {
        let info = |channels: &[&str]| StreamInfo {
            kind: StreamKind::Counts,
            sample_rate: SampleRate::new(20.0, "test").expect("a legal rate"),
            uv_per_count: None,
            channels: channels.iter().map(|s| s.to_string()).collect(),
            synthetic: false,
        };
        assert_eq!(info(&["a", "b"]).channel_map_hash(), info(&["a", "b"]).channel_map_hash());
        assert_ne!(info(&["a", "b"]).channel_map_hash(), info(&["b", "a"]).channel_map_hash());
        assert_ne!(info(&["ab", "c"]).channel_map_hash(), info(&["a", "bc"]).channel_map_hash());
        let events = StreamInfo { kind: StreamKind::Crossings, ..info(&["a"]) };
        assert_ne!(
            info(&["a"]).channel_map_hash(),
            events.channel_map_hash(),
            "kinds have maps of their own"
        );
    }

    #[test]
    fn a_copy_has_room_for_as_many_crossings() {
        let copy = Block::crossings(100).clone();
        let Payload::Crossings(events) = copy.payload else { panic!("crossings") };
        assert!(events.is_empty() && events.capacity() >= 100);
    }
}
