//! A source in shorter blocks: about a millisecond each, however long the source's own are.
//!
//! In: another source. Out: its frames, in blocks of at most `n_frames_max`. Guarantees that no frame is changed, and
//! that what a header says of its block's beginning stands in the first of the blocks that it became. A recording of
//! counts has long frames, and would come in bursts if it were played live as it is read.

use super::{ReadOutcome, SampleSource};
use crate::block::{Block, BlockHeader, Payload, StreamInfo};
use crate::error::Error;
use crate::time::SampleIndex;

/// Cuts blocks.
pub struct Recut {
    source: Box<dyn SampleSource>,
    n_frames_max: u32,
    /// As the source gave it.
    whole: Block,
    /// Frames of it that were given out.
    at: u32,
}

impl Recut {
    /// Blocks of at most a millisecond, or of one frame where that is longer.
    pub fn to_about_1_ms(source: Box<dyn SampleSource>) -> Self {
        let n_frames_max = (source.info().sample_rate.hz() * 1e-3).ceil().max(1.0) as u32;
        let mut whole = source.new_block();
        whole.header.n_frames = 0;
        Recut { source, n_frames_max, whole, at: 0 }
    }
}

impl SampleSource for Recut {
    fn info(&self) -> &StreamInfo {
        self.source.info()
    }

    fn n_frames(&self) -> Option<u64> {
        self.source.n_frames()
    }

    fn read(&mut self, block: &mut Block) -> Result<ReadOutcome, Error> {
        if self.at == self.whole.header.n_frames {
            if self.source.read(&mut self.whole)? == ReadOutcome::End {
                return Ok(ReadOutcome::End);
            }
            self.at = 0;
        }
        let whole = &self.whole.header;
        let (from, to) = (self.at, whole.n_frames.min(self.at + self.n_frames_max));
        block.header = BlockHeader {
            first_sample: SampleIndex(whole.first_sample.0 + u64::from(from)),
            n_frames: to - from,
            lost_frames: if from == 0 { whole.lost_frames } else { 0 },
            starts_segment: from == 0 && whole.starts_segment,
            ..*whole
        };
        self.at = to;
        let n_channels = self.source.info().n_channels();
        copy(&self.whole.payload, from as usize..to as usize, n_channels, &mut block.payload);
        Ok(ReadOutcome::Block)
    }
}

fn copy(whole: &Payload, frames: std::ops::Range<usize>, n_channels: usize, into: &mut Payload) {
    let (values, n) = (frames.start * n_channels..frames.end * n_channels, frames.len() * n_channels);
    match (whole, into) {
        (Payload::Int16(whole), Payload::Int16(into)) => into[..n].copy_from_slice(&whole[values]),
        (Payload::Float32(whole), Payload::Float32(into)) => into[..n].copy_from_slice(&whole[values]),
        (Payload::Counts(whole), Payload::Counts(into)) => into[..n].copy_from_slice(&whole[values]),
        (Payload::Crossings(whole), Payload::Crossings(into)) => {
            let before = |frame: usize| whole.partition_point(|crossing| usize::from(crossing.frame) < frame);
            into.clear();
            into.extend(whole[before(frames.start)..before(frames.end)].iter().map(|crossing| {
                let mut crossing = *crossing;
                crossing.frame -= frames.start as u16;
                crossing
            }));
        }
        _ => panic!("a block of another payload than the source's own"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sources::simulator::{Settings, Simulator};

    /// Every frame of a source: its number, whether it starts a segment, and what it holds.
    fn frames(mut source: Box<dyn SampleSource>, n_frames: usize) -> (Vec<(u64, bool, Vec<u32>)>, u32) {
        let (mut block, mut frames, mut longest) = (source.new_block(), Vec::new(), 0);
        let n_channels = source.info().n_channels();
        while frames.len() < n_frames {
            assert_eq!(source.read(&mut block).expect("a simulator"), ReadOutcome::Block);
            longest = longest.max(block.header.n_frames);
            for frame in 0..block.header.n_frames as usize {
                let own = frame * n_channels..(frame + 1) * n_channels;
                let held = match &block.payload {
                    Payload::Int16(v) => v[own].iter().map(|&x| x as u32).collect(),
                    Payload::Float32(v) => v[own].iter().map(|x| x.to_bits()).collect(),
                    Payload::Counts(v) => v[own].iter().map(|&x| u32::from(x)).collect(),
                    Payload::Crossings(v) => {
                        let own = v.iter().filter(|crossing| usize::from(crossing.frame) == frame);
                        own.map(|crossing| u32::from(crossing.channel)).collect()
                    }
                };
                let number = block.header.first_sample.0 + frame as u64;
                frames.push((number, frame == 0 && block.header.starts_segment, held));
            }
        }
        (frames, longest)
    }

    #[test]
    fn no_frame_is_changed_and_none_comes_in_a_burst() {
        for (address, block_frames, n_frames_max) in [
            ("sim:blackrock-utah,kind=counts,width_ms=50,seconds=20", 64, 1),
            ("sim:blackrock-utah,kind=crossings,seconds=2", 50, 1),
            ("sim:blackrock-utah,electrodes=8,seconds=1", 64, 30),
        ] {
            let mut settings = Settings::parse(address).expect("legal");
            settings.block_frames = Some(block_frames);
            let open = || Box::new(Simulator::new(&settings).expect("a simulator"));
            let (wanted, _) = frames(open(), 640);
            let (found, longest) = frames(Box::new(Recut::to_about_1_ms(open())), 640);
            assert!(wanted[..640] == found[..640], "{address}");
            assert_eq!(longest, n_frames_max, "{address}");
        }
    }
}
