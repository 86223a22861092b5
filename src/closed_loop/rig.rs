//! Tissue and pipeline of a closed loop, bin by bin.
//!
//! In: what a simulated user intends, or the stream of a person's implant. Out: the bin, and its intent where there is a
//! decoder. Guarantee: the pipeline is the one that runs live.

use super::Doing;
use crate::binning::Bin;
use crate::block::{Block, StreamInfo, StreamKind};
use crate::config::Config;
use crate::decode::Decoder;
use crate::error::Error;
use crate::intents::{AXES_MAX, Intent};
use crate::pipeline::{Calibration, Event, Pipeline};
use crate::sources::simulator::{Settings, Simulator};
use crate::sources::{ReadOutcome, SampleSource};
use crate::time::SampleIndex;
use crate::train;

/// Where samples come from.
pub(super) enum Tissue {
    /// Tissue that fires to what a simulated user intends.
    Simulated(Box<Simulator>),
    /// A person's, who intends without being told.
    Live(Box<dyn SampleSource>),
}

/// Tissue that feeds a pipeline.
pub(super) struct Rig {
    tissue: Tissue,
    calibration: Calibration,
    pipeline: Pipeline,
    block: Block,
    is_first: bool,
    brought: Brought,
}

/// What a step brought.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Brought {
    /// Bins; one as a rule.
    pub(super) n_bins: usize,
    /// Something of them was received, and in time: a user can have seen what was shown for them.
    pub(super) is_fresh: bool,
}

impl Rig {
    /// With the tissue of a simulated user.
    ///
    /// # Errors
    /// As [`Rig::new`].
    pub(super) fn simulated(
        settings: &Settings,
        config: &mut Config,
        tell: &mut impl FnMut(Doing, f64),
    ) -> Result<Self, Error> {
        Rig::new(Tissue::simulated(settings)?, config, tell)
    }

    /// With a pipeline that has no decoder yet; settles what of `config` depends on the stream, and measures noise where it
    /// is broadband.
    ///
    /// # Errors
    /// Settings that don't fit each other.
    pub(super) fn new(
        mut tissue: Tissue,
        config: &mut Config,
        tell: &mut impl FnMut(Doing, f64),
    ) -> Result<Self, Error> {
        let info = tissue.info().clone();
        *config = config.clone().check_for(&info, BIN_WIDTH_MS, "closed loop")?;
        let calibration = match info.kind {
            StreamKind::Broadband => {
                tell(Doing::Noise, 0.0);
                train::calibrate(tissue.source(), config, SampleIndex(0))?
            }
            StreamKind::Counts | StreamKind::Crossings | StreamKind::Power(_) => Calibration::default(),
        };
        let pipeline = Pipeline::from_config(config, &info, &calibration, None)?;
        let block = tissue.source().new_block();
        Ok(Rig { tissue, calibration, pipeline, block, is_first: true, brought: Brought::default() })
    }

    /// What comes in.
    pub(super) fn info(&self) -> &StreamInfo {
        self.tissue.info()
    }

    /// Of the front end.
    pub(super) fn calibration(&self) -> &Calibration {
        &self.calibration
    }

    /// From now on this decodes, and the stream starts a segment.
    pub(super) fn install(&mut self, config: &Config, decoder: Option<Decoder>) -> Result<(), Error> {
        self.pipeline = Pipeline::from_config(config, self.tissue.info(), &self.calibration, decoder)?;
        self.is_first = true;
        Ok(())
    }

    /// From now on this decodes where the one before stands; behind the bin that came last.
    pub(super) fn take_over(&mut self, bin: u64, decoder: Decoder) -> bool {
        self.pipeline.take_over_behind(bin, decoder)
    }

    /// Features of a bin are those of so many channels.
    pub(super) fn n_channels(&self) -> usize {
        self.info().n_channels()
    }

    /// Length of a bin.
    pub(super) fn step_seconds(&self) -> f64 {
        self.pipeline.schedule().width_ms() * 1e-3
    }

    /// Electrodes that are alive now, where that is known.
    pub(super) fn n_alive(&self) -> Option<usize> {
        match &self.tissue {
            Tissue::Simulated(simulator) => Some(simulator.alive()),
            Tissue::Live(_) => None,
        }
    }

    /// What the last step brought.
    pub(super) fn brought(&self) -> Brought {
        self.brought
    }

    /// The way from the cursor to the target, for a magnetic one.
    pub(super) fn attract(&mut self, way: [f64; 2]) {
        let mut wide = [0.0; AXES_MAX];
        wide.iter_mut().zip(way).for_each(|(wide, way)| *wide = way as f32);
        self.pipeline.attract(Some(wide));
    }

    /// Where the cursor is, for a decoder that knows it.
    pub(super) fn place_cursor(&mut self, at: [f64; 2]) {
        self.pipeline.place_cursor([at[0], at[1], 0.0]);
    }

    /// The user means to hold the button down, or doesn't.
    pub(super) fn mean_click(&mut self, is_meant: bool) {
        if let Tissue::Simulated(simulator) = &mut self.tissue {
            simulator.intend_click(is_meant);
        }
    }

    /// Reads and processes blocks until a bin is complete.
    ///
    /// # Errors
    /// A stream that is over or damaged.
    pub(super) fn step(
        &mut self,
        intended: [f64; 2],
        mut on_bin: impl FnMut(&Bin),
    ) -> Result<Option<Intent>, Error> {
        if let Tissue::Simulated(simulator) = &mut self.tissue {
            simulator.intend(intended);
        }
        let (mut intent, mut n_bins, mut is_received) = (None, 0, false);
        while n_bins == 0 {
            if self.tissue.source().read(&mut self.block)? == ReadOutcome::End {
                return Err(Error::input("closed loop", "the stream was over before the cursor was")
                    .legal("a stream that goes on"));
            }
            self.block.header.starts_segment = std::mem::take(&mut self.is_first);
            self.pipeline.process(&self.block, |event| match event {
                Event::Bin(bin) => {
                    n_bins += 1;
                    is_received |= bin.received_frames > 0;
                    on_bin(bin);
                }
                Event::Intent(new) => intent = Some(*new),
                _ => {}
            });
        }
        self.brought = Brought { n_bins, is_fresh: is_received && self.tissue.delay_ns() <= DELAY_NS_MAX };
        Ok(intent)
    }
}

impl Tissue {
    /// Of a simulated user.
    ///
    /// # Errors
    /// Settings that are not legal.
    pub(super) fn simulated(settings: &Settings) -> Result<Self, Error> {
        Ok(Tissue::Simulated(Box::new(Simulator::new(settings)?)))
    }

    fn info(&self) -> &StreamInfo {
        match self {
            Tissue::Simulated(simulator) => simulator.info(),
            Tissue::Live(source) => source.info(),
        }
    }

    fn source(&mut self) -> &mut dyn SampleSource {
        match self {
            Tissue::Simulated(simulator) => &mut **simulator,
            Tissue::Live(source) => &mut **source,
        }
    }

    /// How long ago the block that was read last was due.
    fn delay_ns(&self) -> u64 {
        match self {
            Tissue::Live(source) => match (source.clock(), source.due()) {
                (Some(clock), Some(due)) => clock.now().since(due),
                _ => 0,
            },
            Tissue::Simulated(_) => 0,
        }
    }
}

/// What comes later was in the air, or had to wait, while something else was shown.
const DELAY_NS_MAX: u64 = 250_000_000;
/// The field's usual width.
const BIN_WIDTH_MS: f64 = 20.0;
