//! `Pipeline::process`: the one way through, live and in replay, and the only place that knows all stages.
//!
//! In: blocks of broadband, counts or crossings. Out, through one closure: filtered tiles, crossings, bins, intents, and
//! the end of each stage's work (so that the caller can read a clock; none is read here).
//!
//! The same stream cut into any blocks gives the same bins and intents, bit for bit. All memory is taken
//! when the pipeline is built.

mod calibration;
mod front_end;
mod joint;
mod outlet;
mod prepared;
mod shard;
mod watch;

pub use calibration::Calibration;
pub use front_end::FrontEnd;
pub use joint::Joint;
pub use shard::Shard;

use crate::binning::{Bin, BinSchedule};
use crate::block::{Block, StreamInfo, StreamKind, Tile};
use crate::config::Config;
use crate::decode::Decoder;
use crate::detect::Fault;
use crate::error::Error;
use crate::intents::{AXES_MAX, Hold, Intent};
use crate::simd::Level;
use crate::time::SampleIndex;
use outlet::Outlet;

/// The stages whose work is told apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// Reference, notch, band-pass.
    Filter,
    /// Crossings and power.
    Detect,
    /// Features of a bin.
    Binning,
    /// Normaliser and decoder.
    Decode,
}

impl Stage {
    /// All of them, in the order of the flow.
    pub const ALL: [Stage; 4] = [Stage::Filter, Stage::Detect, Stage::Binning, Stage::Decode];

    /// The word that stands in tables and files.
    pub fn name(self) -> &'static str {
        match self {
            Stage::Filter => "filter",
            Stage::Detect => "detect",
            Stage::Binning => "binning",
            Stage::Decode => "decode",
        }
    }
}

/// What `process` tells its caller.
#[derive(Debug)]
pub enum Event<'a> {
    /// A tile in the spike band.
    Filtered(&'a Tile),
    /// A threshold crossing; only where the pipeline was told to list them.
    Crossing {
        /// Which channel.
        channel: usize,
        /// At which frame; NEO, which needs the one after, counts it in that one's bin.
        at: SampleIndex,
    },
    /// An electrode has got a fault and is masked, or has recovered (`None`); told before the bin that ends then.
    Fault {
        /// Which channel.
        channel: usize,
        /// From which frame on.
        at: SampleIndex,
        /// What it has.
        fault: Option<Fault>,
    },
    /// A bin is complete.
    Bin(&'a Bin),
    /// An intent was decoded.
    Intent(&'a Intent),
    /// All work since the event before was this stage's.
    Done(Stage),
}

/// What someone says about stopping.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Said {
    /// Everything stops at once, until someone holds to resume.
    Panic,
    /// Someone holds the way to resume from now on, or has let go of it.
    Hold(bool),
}

/// Where every frame of a stream went. Balanced: received + lost is the number of the next frame, whatever the
/// blocks, gaps and repetitions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct Ledger {
    /// Frames that were processed.
    pub received_frames: u64,
    /// Frames that never came.
    pub lost_frames: u64,
    /// Frames that came again and were passed over.
    pub repeated_frames: u64,
    /// Gaps too long to bridge, after which everything started afresh.
    pub restarts: u64,
}

/// The stages of one stream, with their state: one [`Shard`] of all channels, the decoder, and what comes behind it.
pub struct Pipeline {
    shard: Shard,
    outlet: Option<Outlet>,
}

impl Pipeline {
    /// The stages that `config` asks for, over the stream that `info` describes; `decoder` may be left out to
    /// get bins alone. `calibration` is the one that the decoder was trained with; for streams of counts it is empty.
    ///
    /// # Errors
    /// Settings that the stream can't be processed with; a calibration or a decoder of another width.
    ///
    /// ```
    /// use efference::config::Config;
    /// use efference::pipeline::{Calibration, Event, Pipeline};
    /// use efference::sources::ReadOutcome;
    ///
    /// let mut recording = efference::recording::open("sim:blackrock-utah,kind=counts,seconds=2", None)?;
    /// let config = recording.settle(Config::default(), "example")?;
    /// let nothing = Calibration::default();
    /// let mut pipeline = Pipeline::from_config(&config, recording.source.info(), &nothing, None)?;
    /// let mut block = recording.source.new_block();
    /// let mut bins = 0;
    /// while recording.source.read(&mut block)? == ReadOutcome::Block {
    ///     pipeline.process(&block, |event| bins += u32::from(matches!(event, Event::Bin(_))));
    /// }
    /// assert_eq!(bins, 100, "two seconds of 20 ms");
    /// # Ok::<(), efference::Error>(())
    /// ```
    pub fn from_config(
        config: &Config,
        info: &StreamInfo,
        calibration: &Calibration,
        decoder: Option<Decoder>,
    ) -> Result<Self, Error> {
        let shard = Shard::of_all(config, info, calibration, Level::widest())?;
        if let Some(decoder) = &decoder {
            check_width(decoder, shard.n_features(), info.n_channels())?;
        }
        let is_sparse = info.kind == StreamKind::Crossings;
        let decoder = decoder.map(|decoder| if is_sparse { decoder.for_crossings() } else { decoder });
        let outlet = decoder.map(|decoder| Outlet::new(decoder, config, shard.schedule()));
        Ok(Pipeline { shard, outlet })
    }

    /// Tells every crossing as an event from now on; off when built.
    pub fn list_crossings(&mut self) {
        self.shard.list_crossings();
    }

    /// The bin grid.
    pub fn schedule(&self) -> &BinSchedule {
        self.shard.schedule()
    }

    /// Where every frame went so far.
    pub fn ledger(&self) -> Ledger {
        self.shard.ledger()
    }

    /// Takes the next block; tells `on` what came of it.
    ///
    /// Frames that are missing between the block before and this one are counted as lost in the bins that they
    /// belong to; frames that came before are passed over, so that none counts twice. A gap of more than
    /// [`GAP_BINS_MAX`] bins starts a segment.
    ///
    /// # Panics
    /// If the block is of another width or kind than the stream, or has crossings of other frames than its own.
    pub fn process(&mut self, block: &Block, mut on: impl FnMut(Event<'_>)) {
        let outlet = &mut self.outlet;
        self.shard.process(block, |event| {
            let Event::Bin(bin) = event else { return on(event) };
            on(Event::Bin(bin));
            on(Event::Done(Stage::Binning));
            if let Some(outlet) = outlet {
                let intent = outlet.decode(bin);
                on(Event::Intent(&intent));
                on(Event::Done(Stage::Decode));
                outlet.prepare();
            }
        });
    }

    /// Stops everything at once: every intent from now on holds still, until someone holds to resume.
    pub fn panic(&mut self) {
        self.outlet.iter_mut().for_each(Outlet::panic);
    }

    /// Someone holds the way to resume after a panic or a disconnect, or lets go of it.
    pub fn hold_to_resume(&mut self, is_held: bool) {
        self.outlet.iter_mut().for_each(|outlet| outlet.hold_to_resume(is_held));
    }

    /// What ends only when someone holds to resume, if anything does.
    pub fn stopped(&self) -> Option<Hold> {
        self.outlet.as_ref().and_then(Outlet::stopped)
    }

    /// The way from the cursor to the nearest target that may pull (`[cursor] magnet_per_s`), in the model's unit.
    pub fn attract(&mut self, way: Option<[f32; AXES_MAX]>) {
        self.outlet.iter_mut().for_each(|outlet| outlet.attract(way));
    }

    /// Where the cursor was at the end of the last bin ([`Decoder::place_cursor`]).
    pub fn place_cursor(&mut self, position: [f64; AXES_MAX]) {
        self.outlet.iter_mut().for_each(|outlet| outlet.place_cursor(position));
    }

    /// Goes on with `prepared` in place of its decoder behind bin `bin`, or behind the next one where that is past
    /// ([`Decoder::take_over`]): as where electrodes were lost and the decoder was solved again for those that remain. Several
    /// may wait, each for its bin; one takes the place of those that wait for its bin or later ones. False, and nothing happens, where there is no decoder or one of another shape. A replay that is told the same bin says the
    /// same, however the stream is cut.
    pub fn take_over_behind(&mut self, bin: u64, prepared: Decoder) -> bool {
        let is_sparse = self.shard.is_sparse();
        let prepared = if is_sparse { prepared.for_crossings() } else { prepared };
        self.outlet.as_mut().is_some_and(|outlet| outlet.take_over_behind(bin, prepared))
    }

    /// From bin `bin` on, `said` counts, as if it had been said just before that bin; for a replay of what was said in a run.
    /// Bins have to ascend from call to call.
    pub fn say_at(&mut self, bin: u64, said: Said) {
        self.outlet.iter_mut().for_each(|outlet| outlet.say(bin, said));
    }

    /// Forgets everything: as if just built.
    pub fn reset(&mut self) {
        self.shard.reset();
        self.outlet.iter_mut().for_each(Outlet::reset);
    }
}

/// Refuses a decoder of another width than the bins.
fn check_width(decoder: &Decoder, width: usize, n_channels: usize) -> Result<(), Error> {
    let n_features = decoder.normaliser().n_features();
    if n_features == width {
        return Ok(());
    }
    Err(Error::model("the decoder", format!("{n_features} features a bin"))
        .field("features")
        .legal(format!("{width} for this stream of {n_channels} channels")))
}

/// The longest gap that is bridged bin by bin: one minute of 20 ms bins. What comes after a longer one has
/// nothing to do with what was before.
pub const GAP_BINS_MAX: u64 = 3000;
