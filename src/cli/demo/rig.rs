//! The user's tissue and the pipeline, block by block.
//!
//! In: the intended velocity (m/s) before each block. Out: the pipeline's events, and how long each stage
//! computed. What is read from the clock goes into these times and nowhere else.

use crate::cli::clock;
use efference::Error;
use efference::block::Block;
use efference::pipeline::{Event, Pipeline, Stage};
use efference::sources::SampleSource;
use efference::sources::simulator::Simulator;
use std::time::Duration;

/// A simulator that feeds a pipeline.
pub(super) struct Rig<'a> {
    simulator: &'a mut Simulator,
    pipeline: Pipeline,
    block: Block,
    is_first: bool,
    pub(super) times: StageTimes,
}

impl<'a> Rig<'a> {
    /// From where `simulator` stands: the pipeline's first block starts a segment.
    pub(super) fn new(simulator: &'a mut Simulator, pipeline: Pipeline) -> Self {
        let block = simulator.new_block();
        Rig { simulator, pipeline, block, is_first: true, times: StageTimes::default() }
    }

    /// Simulates and processes the next block; gives its length in frames.
    pub(super) fn next_block(
        &mut self,
        intended: [f64; 2],
        mut on: impl FnMut(Event<'_>),
    ) -> Result<u64, Error> {
        self.simulator.intend(intended);
        self.simulator.read(&mut self.block)?;
        self.block.header.starts_segment = std::mem::take(&mut self.is_first);
        let mut worked = [Duration::ZERO; Stage::ALL.len()];
        let mut mark = clock::now();
        self.pipeline.process(&self.block, |event| match event {
            Event::Done(stage) => {
                let now = clock::now();
                worked[stage as usize] += now - mark;
                mark = now;
            }
            event => on(event),
        });
        self.times.add(worked);
        Ok(u64::from(self.block.header.n_frames))
    }
}

/// How long each stage computed in each block that it had work in.
#[derive(Default)]
pub(super) struct StageTimes {
    /// In µs, by [`Stage`].
    blocks: [Vec<f64>; Stage::ALL.len()],
}

impl StageTimes {
    fn add(&mut self, worked: [Duration; Stage::ALL.len()]) {
        for (blocks, time) in self.blocks.iter_mut().zip(worked) {
            if time > Duration::ZERO {
                blocks.push(time.as_secs_f64() * 1e6);
            }
        }
    }

    /// In all, in seconds.
    pub(super) fn seconds(&self, stage: Stage) -> f64 {
        self.blocks[stage as usize].iter().sum::<f64>() * 1e-6
    }

    /// Of a block, in µs: the median and the longest.
    pub(super) fn median_and_longest_us(&self, stage: Stage) -> (f64, f64) {
        let mut blocks = self.blocks[stage as usize].clone();
        if blocks.is_empty() {
            return (0.0, 0.0);
        }
        let middle = blocks.len() / 2;
        let (_, &mut median, longer) = blocks.select_nth_unstable_by(middle, f64::total_cmp);
        (median, longer.iter().copied().fold(median, f64::max))
    }
}
