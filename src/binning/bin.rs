//! One bin's features, built up frame by frame.
//!
//! In: crossings and power of consecutive frames, and how many frames were lost. Out: one `f32` per channel
//! (and kind of feature) for the bin. Bins with losses are mended by proportion: counts grow by
//! frames / received, power is the mean over what was received; a bin of which nothing was received is
//! marked and means "unknown".

use crate::binning::BinSchedule;
use crate::config::Features;
use crate::time::SampleIndex;

/// A feature window.
#[derive(Clone, Debug, PartialEq)]
pub struct Bin {
    /// Number since the stream began; lost bins have numbers too.
    pub index: u64,
    /// The first frame after it: the instant at which it was complete.
    pub end: SampleIndex,
    /// Frames of it that came.
    pub received_frames: u32,
    /// Frames of it that were lost.
    pub lost_frames: u32,
    /// The first bin of a segment: history before it doesn't count.
    pub starts_segment: bool,
    /// One value per channel: counts, or mean square in µV²; with both, all counts come first.
    pub features: Vec<f32>,
    /// Channels; with both kinds of features there are twice as many features.
    pub n_channels: usize,
    /// Of every 64 channels, a bit for each whose features mean nothing: lost, or masked. All others are known.
    pub unknown: Vec<u64>,
}

impl Bin {
    /// An empty bin of `n_channels`.
    pub fn new(kinds: Features, n_channels: usize) -> Self {
        Bin {
            index: 0,
            end: SampleIndex(0),
            received_frames: 0,
            lost_frames: 0,
            starts_segment: true,
            features: vec![0.0; kinds.width(n_channels)],
            n_channels,
            unknown: vec![0; n_channels.div_ceil(64)],
        }
    }

    /// Becomes a copy of `other`, in the memory that it has.
    ///
    /// # Panics
    /// If the two are not of the same channels and features.
    pub fn copy_from(&mut self, other: &Bin) {
        self.features.copy_from_slice(&other.features);
        self.unknown.copy_from_slice(&other.unknown);
        self.index = other.index;
        self.end = other.end;
        self.received_frames = other.received_frames;
        self.lost_frames = other.lost_frames;
        self.starts_segment = other.starts_segment;
    }

    /// The channels whose features mean nothing.
    pub fn unknown_channels(&self) -> impl Iterator<Item = usize> + '_ {
        let words = self.unknown.iter().enumerate().filter(|(_, bits)| **bits != 0);
        let set = words.flat_map(|(word, &bits)| {
            (0..64).filter(move |bit| bits >> bit & 1 != 0).map(move |bit| word * 64 + bit)
        });
        // Where all is unknown, so are the bits behind the last channel.
        set.take_while(|&channel| channel < self.n_channels)
    }
}

/// Collects one bin after another on a grid.
#[derive(Clone, Debug)]
pub struct BinBuilder {
    schedule: BinSchedule,
    kinds: Features,
    bin: Bin,
}

impl BinBuilder {
    /// The first bin of a stream of `n_channels`.
    pub fn new(schedule: BinSchedule, kinds: Features, n_channels: usize) -> Self {
        let bin = Bin { end: schedule.edge(1), ..Bin::new(kinds, n_channels) };
        BinBuilder { schedule, kinds, bin }
    }

    /// Values of a bin.
    pub fn n_features(&self) -> usize {
        self.bin.features.len()
    }

    /// The grid.
    pub fn schedule(&self) -> &BinSchedule {
        &self.schedule
    }

    /// The first frame that the open bin doesn't hold.
    pub fn end(&self) -> SampleIndex {
        self.bin.end
    }

    /// Frames of the open bin that came.
    pub fn received_frames(&self) -> u32 {
        self.bin.received_frames
    }

    /// Adds one frame-major run of counts, `frames × n_channels`, to the open bin.
    pub fn add_counts(&mut self, counts: &[u16]) {
        let n_channels = self.bin.features.len();
        for frame in counts.chunks_exact(n_channels) {
            for (sum, &count) in self.bin.features.iter_mut().zip(frame) {
                *sum += f32::from(count);
            }
        }
        self.add_frames(counts.len() / n_channels);
    }

    /// Notes that `n_frames` frames came.
    pub fn add_frames(&mut self, n_frames: usize) {
        self.bin.received_frames += n_frames as u32;
    }

    /// Notes that `n_frames` frames were lost.
    pub fn add_lost(&mut self, n_frames: u64) {
        self.bin.lost_frames += n_frames as u32;
    }

    /// Notes that the open bin starts a segment.
    pub fn start_segment(&mut self) {
        self.bin.starts_segment = true;
    }

    /// Features of the open bin, and of every 64 channels a bit for each that is unknown.
    pub fn values_mut(&mut self) -> (&mut [f32], &mut [u64]) {
        (&mut self.bin.features, &mut self.bin.unknown)
    }

    /// Closes the open bin: sums become features, losses are mended by proportion.
    pub fn close(&mut self) -> &Bin {
        let received = self.bin.received_frames;
        if received > 0 {
            let (counts, power) = self.split();
            let Bin { features, lost_frames, .. } = &mut self.bin;
            if *lost_frames > 0 {
                let grow = (received + *lost_frames) as f32 / received as f32;
                features[..counts].iter_mut().for_each(|count| *count *= grow);
            }
            let share = 1.0 / received as f32;
            features[counts..counts + power].iter_mut().for_each(|sum| *sum *= share);
        }
        &self.bin
    }

    /// Opens the bin after the one that was closed.
    pub fn next(&mut self) {
        self.open(self.bin.index + 1, false);
    }

    /// Opens bin `index`, empty.
    pub fn open(&mut self, index: u64, starts_segment: bool) {
        self.bin.index = index;
        self.bin.end = self.schedule.edge(index + 1);
        self.bin.received_frames = 0;
        self.bin.lost_frames = 0;
        self.bin.starts_segment = starts_segment;
        self.bin.features.fill(0.0);
        self.bin.unknown.fill(0);
    }

    /// How many of the features are counts, how many power.
    fn split(&self) -> (usize, usize) {
        let n = self.bin.features.len();
        match self.kinds {
            Features::Counts => (n, 0),
            Features::Power => (0, n),
            Features::CountsAndPower => (n / 2, n / 2),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::SampleRate;

    #[test]
    fn no_channel_is_unknown_that_is_not_there() {
        let mut bin = Bin::new(Features::Counts, 70);
        bin.unknown = vec![1 << 5, u64::MAX];
        assert_eq!(bin.unknown_channels().collect::<Vec<_>>(), [5, 64, 65, 66, 67, 68, 69]);
    }

    #[test]
    fn a_bin_with_losses_is_mended_by_proportion() {
        let rate = SampleRate::new(1000.0, "test").expect("legal");
        let schedule = BinSchedule::new(rate, 20.0).expect("legal");
        let mut bins = BinBuilder::new(schedule, Features::Counts, 2);
        bins.add_counts(&[1, 0, 2, 0, 1, 0, 0, 5]);
        bins.add_lost(16);
        let bin = bins.close();
        assert_eq!(bin.features, [20.0, 25.0]);
        assert_eq!((bin.received_frames, bin.lost_frames), (4, 16));
    }
}
