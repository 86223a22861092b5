//! The front end as it runs live: blocks of 16 bits that a source filled go in, bins come out, no decoder.
//!
//! In: a [`Case`]. Out: a [`Stream`], whose `run` hands the next blocks to [`Pipeline::process`]. The blocks are a
//! small ring of distinct ones, as a source's slots are, cut from the simulator's broadband: spikes cross the
//! thresholds, −4.5 × MAD noise, at the rate at which they do there. All of it is synthetic.

use efference::SampleIndex;
use efference::binning::Bin;
use efference::block::{Block, Payload};
use efference::config::Config;
use efference::device::Profile;
use efference::pipeline::{Event, Pipeline};
use efference::simd::{Level, read_all};
use efference::sources::SampleSource;
use efference::sources::simulator::{Settings, Simulator};
use efference::train::calibrate;
use std::hint::black_box;

/// What a stream is measured with.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Case {
    /// As figures and tables call it.
    pub(crate) name: &'static str,
    /// Of all shards together.
    pub(crate) n_channels: usize,
    /// Of a block.
    pub(crate) n_frames: usize,
    /// Frames a second: decides where bins end.
    pub(crate) rate_hz: f64,
    /// SciPy's `N`: a band-pass of order 2 has 4 poles, two sections.
    pub(crate) order: usize,
    /// One thread each.
    pub(crate) n_shards: usize,
}

impl Case {
    /// The cases that figures are made of, and the same with twice the sections.
    pub(crate) const ALL: [Case; 9] = [
        Case::new("1024.1core", 1_024, 30),
        Case::new("4096.1core", 4_096, 20),
        Case::new("16384.1core", 16_384, 20),
        Case::new("50k.1core", 50_000, 20),
        Case::new("50k.2core", 50_000, 20).shards(2),
        Case::new("1024.1core.order4", 1_024, 30).order(4),
        Case::new("16384.1core.order4", 16_384, 20).order(4),
        Case::new("50k.1core.order4", 50_000, 20).order(4),
        Case::new("50k.2core.order4", 50_000, 20).order(4).shards(2),
    ];

    const fn new(name: &'static str, n_channels: usize, n_frames: usize) -> Self {
        Case { name, n_channels, n_frames, rate_hz: 1e3 * n_frames as f64, order: 2, n_shards: 1 }
    }

    const fn order(mut self, order: usize) -> Self {
        self.order = order;
        self
    }

    const fn shards(mut self, n_shards: usize) -> Self {
        self.n_shards = n_shards;
        self
    }

    /// The same with some channels only, to see that it runs.
    pub(crate) fn small(mut self) -> Self {
        self.n_channels = self.n_channels.min(200 * self.n_shards);
        self
    }

    /// One stream a shard, each with the channels that are its own.
    pub(crate) fn streams(&self) -> Vec<Stream> {
        let n_channels = self.n_channels / self.n_shards;
        (1..=self.n_shards as u64).map(|seed| Stream::new(self, n_channels, seed)).collect()
    }

    /// Samples of all shards in `n_blocks` blocks of each.
    pub(crate) fn samples(&self, n_blocks: usize) -> usize {
        n_blocks * self.n_frames * self.n_channels
    }
}

/// A pipeline and the blocks that come to it again and again.
pub(crate) struct Stream {
    pipeline: Pipeline,
    blocks: Vec<Block>,
    /// The block that comes next, and its first frame.
    turn: usize,
    next: SampleIndex,
    n_channels: usize,
}

impl Stream {
    fn new(case: &Case, n_channels: usize, seed: u64) -> Self {
        let mut settings = Settings::new(Profile::named("paradromics-50k").expect("a shipped profile"));
        settings.electrodes = n_channels;
        settings.sample_rate_hz = case.rate_hz;
        settings.block_frames = Some(case.n_frames);
        settings.seed = seed;
        let mut simulator = Simulator::new(&settings).expect("legal settings");
        let config = config(case.order);
        let thresholds =
            calibrate(&mut simulator, &config, SampleIndex(0)).expect("a stream that has no end");
        let mut blocks = vec![simulator.new_block(); N_BLOCKS];
        for block in &mut blocks {
            simulator.read(block).expect("the simulator's own block");
            block.header.starts_segment = false;
        }
        let pipeline =
            Pipeline::from_config(&config, simulator.info(), &thresholds, None).expect("legal settings");
        Stream { pipeline, blocks, turn: 0, next: SampleIndex(0), n_channels }
    }

    /// The next `n_blocks` blocks through the front end; `on` gets every bin.
    pub(crate) fn run(&mut self, n_blocks: usize, mut on: impl FnMut(&Bin)) {
        for _ in 0..n_blocks {
            let block = &mut self.blocks[self.turn];
            self.turn = (self.turn + 1) % N_BLOCKS;
            block.header.first_sample = self.next;
            self.next = block.end_sample();
            self.pipeline.process(black_box(block), |event| {
                if let Event::Bin(bin) = event {
                    on(black_box(bin));
                }
            });
        }
    }

    /// The next `n_blocks` blocks, only read.
    pub(crate) fn read(&mut self, level: Level, n_blocks: usize) {
        let mut sum = 0;
        for _ in 0..n_blocks {
            let block = &self.blocks[self.turn];
            self.turn = (self.turn + 1) % N_BLOCKS;
            let n_samples = block.header.n_frames as usize * self.n_channels;
            if let Payload::Int16(samples) = black_box(&block.payload) {
                read_all(level, &samples[..n_samples], &mut sum);
            }
        }
        black_box(sum);
    }
}

/// A 4th-order band-pass where the order is 2; noise from a tenth of a second, which is enough for its level.
fn config(order: usize) -> Config {
    let text = format!(
        "[front_end]\ncar_group = 64\nlow_cut_hz = 300\nhigh_cut_hz = 6000\norder = {order}\n\
         noise = \"mad\"\nnoise_seconds = 0.1\nthreshold = -4.5\n\
         [bins]\nwidth_ms = 20\nfeatures = \"counts-and-power\""
    );
    Config::parse(&text, "bench").expect("legal settings")
}

/// Slots of a source's ring: 8 MB at 50,000 channels. Deeper rings cost more to read. Where the ring begins again the
/// signal jumps, by no more than it does in 1 ms.
const N_BLOCKS: usize = 4;
