//! Where blocks come from: the one trait that recordings, the simulator and devices implement.

pub mod ble;
pub mod injected;
pub mod link;
mod recut;
pub mod simulator;

pub use injected::Injected;
pub use recut::Recut;

use crate::block::{Block, EVENTS_MAX, StreamInfo, StreamKind};
use crate::error::Error;
use crate::live::Clock;
use crate::time::HostTime;

/// What a call of [`SampleSource::read`] brought.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReadOutcome {
    /// The block was filled.
    Block,
    /// The stream is over; the block is untouched.
    End,
}

/// A stream of blocks.
pub trait SampleSource: Send {
    /// What the stream holds.
    fn info(&self) -> &StreamInfo;

    /// Frames of the whole stream, lost ones included, where the end is known.
    fn n_frames(&self) -> Option<u64>;

    /// Fills `block` (made by [`SampleSource::new_block`]) with the next frames.
    ///
    /// # Errors
    /// If the stream turns out to be damaged; what was read before stays good.
    fn read(&mut self, block: &mut Block) -> Result<ReadOutcome, Error>;

    /// The clock that a source's own times are of: a device's, whose blocks come when they come. `None` of a source that
    /// a run paces by its sample rate.
    fn clock(&self) -> Option<Clock> {
        None
    }

    /// When the last frame of the block that was read last ended, by [`SampleSource::clock`].
    fn due(&self) -> Option<HostTime> {
        None
    }

    /// Where everything that a device sent has gone; `None` of a source that isn't at the end of a link.
    fn link_report(&mut self) -> Option<link::LinkReport> {
        None
    }

    /// A block of this source's payload type and width.
    fn new_block(&self) -> Block {
        block_of(self.info())
    }
}

/// A block for a stream.
fn block_of(info: &StreamInfo) -> Block {
    match info.kind {
        StreamKind::Broadband => Block::int16(info.n_channels()),
        StreamKind::Counts | StreamKind::Power(_) => Block::counts(info.n_channels()),
        StreamKind::Crossings => Block::crossings(EVENTS_MAX),
    }
}
