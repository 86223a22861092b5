//! `Pipeline::process`: the one way through, live and in replay, and the only place that knows all stages.
//!
//! In: blocks of broadband or counts. Out, through one closure: filtered tiles, crossings, bins, intents, and
//! the end of each stage's work (so that the caller can read a clock; none is read here).
//!
//! The same stream cut into any blocks gives the same bins and intents, bit for bit. All memory is taken
//! when the pipeline is built.

mod front_end;

pub use front_end::FrontEnd;

use crate::binning::{Bin, BinBuilder, BinSchedule};
use crate::block::{Block, Payload, StreamInfo, StreamKind, Tile};
use crate::config::Config;
use crate::decode::Decoder;
use crate::error::Error;
use crate::intents::Intent;
use crate::time::SampleIndex;

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
    /// A bin is complete.
    Bin(&'a Bin),
    /// An intent was decoded.
    Intent(&'a Intent),
    /// All work since the event before was this stage's.
    Done(Stage),
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

/// The stages of one stream, with their state.
pub struct Pipeline {
    kind: StreamKind,
    n_channels: usize,
    front_end: Option<FrontEnd>,
    bins: BinBuilder,
    decoder: Option<Decoder>,
    next_sample: SampleIndex,
    ledger: Ledger,
}

impl Pipeline {
    /// The stages that `config` asks for, over the stream that `info` describes; `decoder` may be left out to
    /// get bins alone. `thresholds` (one per channel, in the stream's unit, negative; −∞ for channels that are
    /// left out) are those that the decoder was trained with; streams of counts have none.
    ///
    /// # Errors
    /// Settings that the stream can't be processed with; thresholds or a decoder of another width.
    ///
    /// ```
    /// use efference::config::Config;
    /// use efference::pipeline::{Event, Pipeline};
    /// use efference::sources::ReadOutcome;
    ///
    /// let mut recording = efference::recording::open("sim:blackrock-utah,kind=counts,seconds=2", None)?;
    /// let config = recording.settle(Config::default(), "example")?;
    /// let mut pipeline = Pipeline::from_config(&config, recording.source.info(), &[], None)?;
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
        thresholds: &[f32],
        decoder: Option<Decoder>,
    ) -> Result<Self, Error> {
        let schedule = BinSchedule::new(info.sample_rate, config.bins.width_ms)?;
        let n_channels = info.n_channels();
        let front_end = match info.kind {
            StreamKind::Counts => None,
            StreamKind::Broadband => Some(FrontEnd::from_config(config, info, thresholds)?),
        };
        let width = config.bins.features.width(n_channels);
        if let Some(decoder) = &decoder
            && decoder.normaliser().n_features() != width
        {
            let found = format!("{} features a bin", decoder.normaliser().n_features());
            return Err(Error::model("the decoder", found)
                .field("features")
                .legal(format!("{width} for this stream of {n_channels} channels")));
        }
        Ok(Pipeline {
            kind: info.kind,
            n_channels,
            front_end,
            bins: BinBuilder::new(schedule, config.bins.features, n_channels),
            decoder,
            next_sample: SampleIndex(0),
            ledger: Ledger::default(),
        })
    }

    /// Tells every crossing as an event from now on; off when built.
    pub fn list_crossings(&mut self) {
        if let Some(front_end) = &mut self.front_end {
            front_end.list_crossings();
        }
    }

    /// The bin grid.
    pub fn schedule(&self) -> &BinSchedule {
        self.bins.schedule()
    }

    /// Where every frame went so far.
    pub fn ledger(&self) -> Ledger {
        self.ledger
    }

    /// Takes the next block; tells `on` what came of it.
    ///
    /// Frames that are missing between the block before and this one are counted as lost in the bins that they
    /// belong to; frames that came before are passed over, so that none counts twice. A gap of more than
    /// [`GAP_BINS_MAX`] bins starts a segment.
    ///
    /// # Panics
    /// If the block is of another width or kind than the stream.
    pub fn process(&mut self, block: &Block, mut on: impl FnMut(Event<'_>)) {
        let first = block.header.first_sample;
        self.ledger.lost_frames += first.0.saturating_sub(self.next_sample.0);
        if block.header.starts_segment && first >= self.next_sample {
            self.start_segment(first);
        } else {
            self.skip_lost(first, &mut on);
        }
        let n_frames = block.header.n_frames as usize;
        let mut from = (self.next_sample.0 - first.0).min(n_frames as u64) as usize;
        self.ledger.repeated_frames += from as u64;
        self.ledger.received_frames += (n_frames - from) as u64;
        while from < n_frames {
            let open = (self.bins.end().0 - self.next_sample.0) as usize;
            let to = n_frames.min(from + open);
            match (&block.payload, self.kind, &mut self.front_end) {
                (Payload::Counts(counts), StreamKind::Counts, _) => {
                    self.bins.add_counts(&counts[from * self.n_channels..to * self.n_channels]);
                }
                (broadband, StreamKind::Broadband, Some(front_end)) => {
                    front_end.process(broadband, from..to, self.next_sample, &mut on);
                    self.bins.add_frames(to - from);
                }
                _ => panic!("a block of another kind than the stream"),
            }
            self.next_sample.0 += (to - from) as u64;
            from = to;
            if self.next_sample == self.bins.end() {
                self.close_bin(&mut on);
            }
        }
        on(Event::Done(Stage::Binning));
    }

    /// Forgets everything: as if just built.
    pub fn reset(&mut self) {
        self.start_segment(SampleIndex(0));
        self.ledger = Ledger::default();
    }

    fn close_bin(&mut self, on: &mut impl FnMut(Event<'_>)) {
        if let Some(front_end) = &mut self.front_end {
            front_end.take_features(self.bins.features_mut());
        }
        let bin = self.bins.close();
        on(Event::Bin(bin));
        on(Event::Done(Stage::Binning));
        if let Some(decoder) = &mut self.decoder {
            let intent = decoder.decode(bin);
            on(Event::Intent(&intent));
            on(Event::Done(Stage::Decode));
        }
        self.bins.next();
    }

    fn skip_lost(&mut self, to: SampleIndex, on: &mut impl FnMut(Event<'_>)) {
        if to <= self.next_sample {
            return;
        }
        let bins = self.bins.schedule().bin_of(to) - self.bins.schedule().bin_of(self.next_sample);
        if bins > GAP_BINS_MAX {
            self.ledger.restarts += 1;
            // What came of the open bin still counts.
            if self.bins.received_frames() > 0 {
                self.lose_up_to(self.bins.end(), on);
            }
            self.start_segment(to);
            return;
        }
        while self.next_sample < to {
            self.lose_up_to(to.min(self.bins.end()), on);
        }
    }

    /// Notes frames of the open bin as lost.
    fn lose_up_to(&mut self, until: SampleIndex, on: &mut impl FnMut(Event<'_>)) {
        self.bins.add_lost(until.0 - self.next_sample.0);
        self.next_sample = until;
        if until == self.bins.end() {
            self.close_bin(on);
        }
    }

    fn start_segment(&mut self, at: SampleIndex) {
        if let Some(front_end) = &mut self.front_end {
            front_end.reset();
        }
        if let Some(decoder) = &mut self.decoder {
            decoder.reset();
        }
        let bin = self.bins.schedule().bin_of(at);
        self.bins.open(bin, true);
        let edge = self.bins.schedule().edge(bin);
        // A segment that starts inside a bin has lost the frames before it.
        self.bins.add_lost(at.0 - edge.0);
        self.next_sample = at;
    }
}

/// The longest gap that is bridged bin by bin: one minute of 20 ms bins. What comes after a longer one has
/// nothing to do with what was before.
pub const GAP_BINS_MAX: u64 = 3000;
