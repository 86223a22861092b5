//! Tissue and pipeline of a closed loop, bin by bin.
//!
//! In: what the user intends. Out: the bin, and its intent where there is a decoder. Guarantee: the pipeline is the one that
//! runs live.

use super::Doing;
use crate::binning::Bin;
use crate::block::{Block, StreamKind};
use crate::config::Config;
use crate::decode::Decoder;
use crate::error::Error;
use crate::intents::{AXES_MAX, Intent};
use crate::pipeline::{Calibration, Event, Pipeline};
use crate::sources::SampleSource;
use crate::sources::simulator::{Settings, Simulator};
use crate::time::SampleIndex;
use crate::train;

/// A simulator that feeds a pipeline.
pub(super) struct Rig {
    simulator: Simulator,
    calibration: Calibration,
    pipeline: Pipeline,
    block: Block,
    is_first: bool,
}

impl Rig {
    /// With a pipeline that has no decoder yet; settles what of `config` depends on the stream, and measures noise where it
    /// is broadband.
    ///
    /// # Errors
    /// Settings that don't fit each other.
    pub(super) fn new(
        settings: &Settings,
        config: &mut Config,
        tell: &mut impl FnMut(Doing, f64),
    ) -> Result<Self, Error> {
        let mut simulator = Simulator::new(settings)?;
        let info = simulator.info().clone();
        *config = config.clone().check_for(&info, BIN_WIDTH_MS, "closed loop")?;
        let calibration = match info.kind {
            StreamKind::Broadband => {
                tell(Doing::Noise, 0.0);
                train::calibrate(&mut simulator, config, SampleIndex(0))?
            }
            StreamKind::Counts | StreamKind::Crossings | StreamKind::Power(_) => Calibration::default(),
        };
        let pipeline = Pipeline::from_config(config, &info, &calibration, None)?;
        let block = simulator.new_block();
        Ok(Rig { simulator, calibration, pipeline, block, is_first: true })
    }

    /// From now on this decodes, and the stream starts a segment.
    pub(super) fn install(&mut self, config: &Config, decoder: Option<Decoder>) -> Result<(), Error> {
        self.pipeline = Pipeline::from_config(config, self.simulator.info(), &self.calibration, decoder)?;
        self.is_first = true;
        Ok(())
    }

    /// From now on this decodes where the one before stands; behind the bin that came last.
    pub(super) fn take_over(&mut self, bin: u64, decoder: Decoder) -> bool {
        self.pipeline.take_over_behind(bin, decoder)
    }

    /// Features of a bin are those of so many channels.
    pub(super) fn n_channels(&self) -> usize {
        self.simulator.info().n_channels()
    }

    /// Length of a bin.
    pub(super) fn step_seconds(&self) -> f64 {
        self.pipeline.schedule().width_ms() * 1e-3
    }

    /// Electrodes that are alive now.
    pub(super) fn n_alive(&self) -> usize {
        self.simulator.alive()
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
        self.simulator.intend_click(is_meant);
    }

    /// Simulates and processes blocks until a bin is complete.
    pub(super) fn step(
        &mut self,
        intended: [f64; 2],
        mut on_bin: impl FnMut(&Bin),
    ) -> Result<Option<Intent>, Error> {
        self.simulator.intend(intended);
        let (mut intent, mut is_complete) = (None, false);
        while !is_complete {
            self.simulator.read(&mut self.block)?;
            self.block.header.starts_segment = std::mem::take(&mut self.is_first);
            self.pipeline.process(&self.block, |event| match event {
                Event::Bin(bin) => {
                    is_complete = true;
                    on_bin(bin);
                }
                Event::Intent(new) => intent = Some(*new),
                _ => {}
            });
        }
        Ok(intent)
    }
}

/// The field's usual width.
const BIN_WIDTH_MS: f64 = 20.0;
