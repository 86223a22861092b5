//! A source whose samples are in memory: what MAT and WAV readers make.
//!
//! Out: blocks of up to [`BLOCK_FRAMES_MAX`] frames that never reach over the end of a segment; the first
//! block of each segment says so.

use crate::block::{BLOCK_FRAMES_MAX, Block, BlockHeader, Payload, StreamInfo};
use crate::error::Error;
use crate::sources::{ReadOutcome, SampleSource};
use crate::time::SampleIndex;

/// Samples in memory, frame by frame.
pub(super) struct MemorySource {
    info: StreamInfo,
    samples: Payload,
    n_frames: u64,
    frames_per_segment: u64,
    next: u64,
}

impl MemorySource {
    /// A stream of `samples`, whole frames of `info`'s channels, in segments of `frames_per_segment`.
    pub(super) fn new(info: StreamInfo, samples: Payload, frames_per_segment: u64) -> Self {
        let n_frames = (samples.len() / info.n_channels()) as u64;
        MemorySource { info, samples, n_frames, frames_per_segment, next: 0 }
    }
}

impl SampleSource for MemorySource {
    fn info(&self) -> &StreamInfo {
        &self.info
    }

    fn n_frames(&self) -> Option<u64> {
        Some(self.n_frames)
    }

    fn read(&mut self, block: &mut Block) -> Result<ReadOutcome, Error> {
        let left = self.n_frames - self.next;
        if left == 0 {
            return Ok(ReadOutcome::End);
        }
        let in_segment = self.next % self.frames_per_segment;
        let n = left.min(self.frames_per_segment - in_segment).min(BLOCK_FRAMES_MAX as u64);
        let n_channels = self.info.n_channels();
        let (start, len) = (self.next as usize * n_channels, n as usize * n_channels);
        match (&self.samples, &mut block.payload) {
            (Payload::Int16(from), Payload::Int16(to)) => {
                to[..len].copy_from_slice(&from[start..start + len])
            }
            (Payload::Counts(from), Payload::Counts(to)) => {
                to[..len].copy_from_slice(&from[start..start + len])
            }
            (Payload::Float32(from), Payload::Float32(to)) => {
                to[..len].copy_from_slice(&from[start..start + len])
            }
            _ => panic!("the block was made by another source's new_block"),
        }
        block.header = BlockHeader {
            first_sample: SampleIndex(self.next),
            n_frames: n as u32,
            lost_frames: 0,
            starts_segment: in_segment == 0,
            ..BlockHeader::default()
        };
        self.next += n;
        Ok(ReadOutcome::Block)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::block::StreamKind;
    use crate::time::SampleRate;

    #[test]
    fn blocks_stop_at_segments_and_lose_nothing() {
        let info = StreamInfo {
            kind: StreamKind::Counts,
            sample_rate: SampleRate::new(1000.0, "test").expect("a legal rate"),
            uv_per_count: None,
            channels: vec!["a".to_string(), "b".to_string()],
            synthetic: false,
        };
        let samples: Vec<u16> = (0..2 * 200).collect();
        let mut source = MemorySource::new(info, Payload::Counts(samples.clone()), 100);
        let mut block = source.new_block();
        let (mut seen, mut starts) = (Vec::<u16>::new(), Vec::new());
        while source.read(&mut block).expect("in memory") == ReadOutcome::Block {
            let Payload::Counts(values) = &block.payload else { panic!("counts") };
            assert_eq!(block.header.first_sample.0, seen.len() as u64 / 2);
            starts.extend(block.header.starts_segment.then_some(block.header.first_sample.0));
            seen.extend(&values[..2 * block.header.n_frames as usize]);
        }
        assert_eq!(seen, samples);
        assert_eq!(starts, [0, 100]);
    }
}
