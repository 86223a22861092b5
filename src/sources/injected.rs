//! Faults on purpose: another source's broadband with electrodes that fail and recover, and with stimulation.
//!
//! In: a source of 16-bit broadband, what is to go wrong, a seed. Out: its blocks, changed in place. Guarantees that
//! a sample depends on the source, the seed, its channel and its frame alone, however blocks are cut; that nothing
//! is allocated by `read`; and that the stream calls itself synthetic.

use super::{ReadOutcome, SampleSource};
use crate::block::{Block, Payload, StreamInfo, StreamKind};
use crate::detect::Fault;
use crate::error::Error;
use std::f64::consts::TAU;
use std::ops::Range;

/// A source and what goes wrong with it.
///
/// ```
/// use efference::detect::Fault;
/// use efference::sources::{Injected, SampleSource};
///
/// let recording = efference::recording::open("sim:neuralink-n1,electrodes=64,seconds=9", None)?;
/// let mut source = Injected::new(recording.source, 10, 1)?.with(5, Fault::Saturated, 20_000..90_000);
/// assert!(source.info().synthetic);
/// # Ok::<(), efference::Error>(())
/// ```
pub struct Injected {
    source: Box<dyn SampleSource>,
    info: StreamInfo,
    /// Largest count of the converter.
    rail: f64,
    seed: u64,
    faults: Vec<Planned>,
    pulses: Option<Pulses>,
}

/// One electrode that fails in some frames.
#[derive(Clone, Debug)]
pub struct Planned {
    /// Which channel.
    pub channel: usize,
    /// What it has.
    pub fault: Fault,
    /// From which frame on, and before which one it recovers.
    pub frames: Range<u64>,
}

/// Stimulation that reaches all electrodes: one phase down, one up, of the same length.
#[derive(Clone, Debug)]
pub struct Pulses {
    /// Height of a phase, µV; electrodes hear it within ±20 %, up to their rails.
    pub uv: f64,
    /// Frames of a phase.
    pub phase_frames: u64,
    /// Frames from pulse to pulse.
    pub every_frames: u64,
    /// In which frames there is stimulation.
    pub frames: Range<u64>,
}

impl Injected {
    /// The same stream, to which faults are added. Its converter has `bits`; all chance is drawn from `seed`.
    ///
    /// # Errors
    /// If the stream is not one of 16-bit broadband, or `bits` is not within 2 to 16.
    pub fn new(source: Box<dyn SampleSource>, bits: u32, seed: u64) -> Result<Self, Error> {
        let is_int16 = matches!(source.new_block().payload, Payload::Int16(_));
        if source.info().kind != StreamKind::Broadband || !is_int16 || !(2..=16).contains(&bits) {
            return Err(Error::usage("injected faults", format!("a stream of another kind, or {bits} bits"))
                .legal("16-bit broadband, of a converter of 2 to 16 bits"));
        }
        let info = StreamInfo { synthetic: true, ..source.info().clone() };
        let rail = f64::from((1_i32 << (bits - 1)) - 1);
        Ok(Injected { source, info, rail, seed, faults: Vec::new(), pulses: None })
    }

    /// Plans a fault. Where several meet, the first one planned comes first.
    ///
    /// # Panics
    /// If there is no such channel.
    pub fn with(mut self, channel: usize, fault: Fault, frames: Range<u64>) -> Self {
        assert!(channel < self.info.n_channels(), "channel {channel} of {}", self.info.n_channels());
        self.faults.push(Planned { channel, fault, frames });
        self
    }

    /// Plans `n` electrodes of each fault, drawn from the seed, no electrode twice.
    ///
    /// # Panics
    /// If there are fewer electrodes than faults.
    pub fn with_scattered(mut self, n: usize, frames: Range<u64>) -> Self {
        let n_channels = self.info.n_channels();
        assert!(self.faults.len() + n * Fault::ALL.len() <= n_channels, "{n} of each fault");
        let mut draw = 0;
        for fault in Fault::ALL.into_iter().flat_map(|fault| std::iter::repeat_n(fault, n)) {
            let channel = loop {
                draw += 1;
                let channel = (mix(self.seed, draw, 0) % n_channels as u64) as usize;
                if self.faults.iter().all(|planned| planned.channel != channel) {
                    break channel;
                }
            };
            self = self.with(channel, fault, frames.clone());
        }
        self
    }

    /// Adds stimulation.
    pub fn with_pulses(mut self, pulses: Pulses) -> Self {
        self.pulses = Some(pulses);
        self
    }

    /// All that is planned.
    pub fn faults(&self) -> &[Planned] {
        &self.faults
    }

    /// What all chance was drawn from; for whoever prints a result.
    pub fn seed(&self) -> u64 {
        self.seed
    }

    /// What a planned fault makes of a sample.
    fn fail(&self, planned: &Planned, frame: u64, sample: f64) -> f64 {
        let wave = |hz: f64| (TAU * (frame as f64 * hz / self.info.sample_rate.hz()).fract()).sin();
        match planned.fault {
            Fault::Dead => 0.0,
            // A slow swing of four times its range.
            Fault::Saturated => sample + 4.0 * self.rail * wave(3.0),
            // Half of the range, so that it doesn't clip.
            Fault::Mains => sample + 0.5 * self.rail * wave(50.0),
            // White noise, uniform within a quarter of the range.
            Fault::Disconnected => {
                let uniform = mix(self.seed, frame, planned.channel as u64 + 1) as f64 / u64::MAX as f64;
                self.rail * 0.5 * (uniform - 0.5)
            }
        }
    }

    /// Counts that a pulse adds in a frame, before each electrode's own gain.
    fn pulse(&self, frame: u64) -> f64 {
        let Some(pulses) = self.pulses.as_ref().filter(|pulses| pulses.frames.contains(&frame)) else {
            return 0.0;
        };
        let counts = pulses.uv / f64::from(self.info.uv_per_count.unwrap_or(1.0));
        match (frame - pulses.frames.start) % pulses.every_frames.max(1) {
            t if t < pulses.phase_frames => -counts,
            t if t < 2 * pulses.phase_frames => counts,
            _ => 0.0,
        }
    }
}

impl SampleSource for Injected {
    fn info(&self) -> &StreamInfo {
        &self.info
    }

    fn n_frames(&self) -> Option<u64> {
        self.source.n_frames()
    }

    fn read(&mut self, block: &mut Block) -> Result<ReadOutcome, Error> {
        let outcome = self.source.read(block)?;
        let Payload::Int16(samples) = &mut block.payload else { return Ok(outcome) };
        if outcome == ReadOutcome::End {
            return Ok(outcome);
        }
        let rows = samples.chunks_mut(self.info.n_channels().max(1)).take(block.header.n_frames as usize);
        for (frame, row) in (block.header.first_sample.0..).zip(rows) {
            let hold = |x: f64| x.round().clamp(-self.rail - 1.0, self.rail) as i16;
            for planned in self.faults.iter().filter(|planned| planned.frames.contains(&frame)) {
                let sample = &mut row[planned.channel];
                *sample = hold(self.fail(planned, frame, f64::from(*sample)));
            }
            let pulse = self.pulse(frame);
            if pulse != 0.0 {
                for (channel, sample) in row.iter_mut().enumerate() {
                    let gain = 0.8 + 0.4 * (mix(self.seed, 0, channel as u64) as f64 / u64::MAX as f64);
                    *sample = hold(f64::from(*sample) + pulse * gain);
                }
            }
        }
        Ok(outcome)
    }
}

/// 64 random bits of three numbers: SplitMix64's finish (Steele, Lea & Flood 2014) after each.
fn mix(seed: u64, x: u64, y: u64) -> u64 {
    [seed, x, y].into_iter().fold(0, |state: u64, number| {
        let mut z = (state ^ number).wrapping_add(0x9e37_79b9_7f4a_7c15);
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sources::simulator::{Settings, Simulator};

    const SEED: u64 = 11;

    const FRAMES: usize = 16_000;

    /// The first frames of a simulated stream, read in blocks of `length`.
    fn samples(length: usize) -> Vec<i16> {
        let mut settings = Settings::parse("sim:neuralink-n1,electrodes=70").expect("a legal address");
        settings.block_frames = Some(length);
        let simulator = Simulator::new(&settings).expect("legal settings");
        let pulses = Pulses { uv: 20_000.0, phase_frames: 4, every_frames: 976, frames: 5_000..15_000 };
        let mut source = Injected::new(Box::new(simulator), 10, SEED).expect("16-bit broadband");
        source = source.with_scattered(2, 3_000..9_000).with_pulses(pulses);
        assert_eq!((source.faults().len(), source.seed()), (8, SEED));
        let mut block = source.new_block();
        let mut samples = Vec::new();
        while samples.len() < FRAMES * 70 {
            source.read(&mut block).expect("it has no end");
            let Payload::Int16(payload) = &block.payload else { panic!("int16") };
            samples.extend(&payload[..block.header.n_frames as usize * 70]);
        }
        samples.truncate(FRAMES * 70);
        samples
    }

    #[test]
    fn blocks_of_any_length_have_the_same_faults_within_the_rails() {
        println!("seed {SEED}");
        let whole = samples(64);
        assert!(whole == samples(17), "the cut changed samples");
        assert!(whole.iter().all(|x| (-512..=511).contains(x)));
        let at_rails = whole.iter().filter(|x| [-512, 511].contains(*x)).count();
        assert!(at_rails > 10_000, "{at_rails} samples at the rails");
        let pulse = &whole[5_000 * 70..5_004 * 70];
        assert!(pulse.iter().all(|x| *x == -512), "all electrodes hear the pulse");
    }
}
