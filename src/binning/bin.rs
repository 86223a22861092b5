//! One bin's features, built up frame by frame.
//!
//! In: crossings and power of consecutive frames, and how many frames were lost. Out: one `f32` per channel
//! (and kind of feature) for the bin. Bins with losses are mended by proportion: counts grow by
//! frames / received, power is the mean over what was received; a bin of which nothing was received is
//! marked and means "unknown".
//!
//! Bins of a stream of crossings say which channels had any, and cost by these alone, however many channels there are.

use crate::binning::{BinSchedule, PowerScale, Touched};
use crate::block::{COUNT_UNKNOWN, Crossing};
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
    /// Of a stream of crossings, the channels that had any; the counts of all others are 0. `None` of other streams.
    pub touched: Option<Touched>,
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
            touched: None,
        }
    }

    /// An empty bin of `n_channels` of a stream of crossings.
    pub fn of_crossings(kinds: Features, n_channels: usize) -> Self {
        Bin { touched: Some(Touched::new(n_channels)), ..Bin::new(kinds, n_channels) }
    }

    /// Becomes a copy of `other`, in the memory that it has.
    ///
    /// # Panics
    /// If the two are not of the same channels and features, or this one is of crossings and `other` is not.
    pub fn copy_from(&mut self, other: &Bin) {
        let features = &mut self.features;
        match (&mut self.touched, &other.touched) {
            (None, _) => features.copy_from_slice(&other.features),
            (Some(own), Some(theirs)) => {
                own.iter().for_each(|channel| features[channel] = 0.0);
                own.clear();
                theirs.iter().for_each(|channel| {
                    features[channel] = other.features[channel];
                    own.insert(channel);
                });
            }
            (Some(_), None) => panic!("a bin of crossings can't hold one that doesn't say what it touched"),
        }
        self.unknown.copy_from_slice(&other.unknown);
        self.index = other.index;
        self.end = other.end;
        self.received_frames = other.received_frames;
        self.lost_frames = other.lost_frames;
        self.starts_segment = other.starts_segment;
    }

    /// The channels whose features mean nothing.
    pub fn unknown_channels(&self) -> impl Iterator<Item = usize> + '_ {
        // Where all is unknown, so are the bits behind the last channel.
        super::touched::ones(&self.unknown).take_while(|&channel| channel < self.n_channels)
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

    /// The same of a stream of crossings.
    pub fn of_crossings(schedule: BinSchedule, kinds: Features, n_channels: usize) -> Self {
        let bin = Bin { end: schedule.edge(1), ..Bin::of_crossings(kinds, n_channels) };
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

    /// The same of one frame whose counts each stand for `spread` frames, and some of which may be [`COUNT_UNKNOWN`]: a
    /// channel of which any frame is unknown is unknown in this bin.
    pub fn add_counts_of(&mut self, counts: &[u16], spread: u16, has_unknown: bool) {
        let share = f32::from(spread.max(1));
        for (sum, &count) in self.bin.features.iter_mut().zip(counts) {
            *sum += f32::from(count) / share;
        }
        if has_unknown {
            for (channel, _) in counts.iter().enumerate().filter(|(_, count)| **count == COUNT_UNKNOWN) {
                self.bin.unknown[channel / 64] |= 1 << (channel % 64);
                self.bin.features[channel] = 0.0;
            }
        }
        self.add_frames(1);
    }

    /// The same of one frame of power levels. A channel of which any frame is unknown is unknown in this bin.
    pub fn add_levels(&mut self, levels: &[u16], scale: &PowerScale) {
        let Bin { features, unknown, .. } = &mut self.bin;
        for (channel, (sum, &level)) in features.iter_mut().zip(levels).enumerate() {
            match level {
                COUNT_UNKNOWN => unknown[channel / 64] |= 1 << (channel % 64),
                level => *sum += scale.power(level),
            }
        }
        self.add_frames(1);
    }

    /// Adds crossings to the open bin; [`BinBuilder::add_frames`] says of how many frames.
    ///
    /// # Panics
    /// If a channel is beyond the last.
    pub fn add_crossings(&mut self, crossings: &[Crossing]) {
        let Bin { features, n_channels, touched, .. } = &mut self.bin;
        let counts = &mut features[..*n_channels];
        for crossing in crossings {
            let channel = usize::from(crossing.channel);
            counts[channel] += 1.0;
            if let Some(touched) = touched {
                touched.insert(channel);
            }
        }
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
            let Bin { features, lost_frames, touched, .. } = &mut self.bin;
            if *lost_frames > 0 {
                let grow = (received + *lost_frames) as f32 / received as f32;
                match touched {
                    None => features[..counts].iter_mut().for_each(|count| *count *= grow),
                    Some(touched) => touched.iter().for_each(|channel| features[channel] *= grow),
                }
            }
            if touched.is_none() {
                let share = 1.0 / received as f32;
                features[counts..counts + power].iter_mut().for_each(|sum| *sum *= share);
            }
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
        let Bin { features, touched, unknown, .. } = &mut self.bin;
        match touched {
            None => features.fill(0.0),
            Some(touched) => {
                touched.iter().for_each(|channel| features[channel] = 0.0);
                touched.clear();
            }
        }
        unknown.fill(0);
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

    #[test]
    fn counts_of_wider_bins_are_spread_and_unknown_ones_say_nothing() {
        let rate = SampleRate::new(50.0, "test").expect("legal");
        let schedule = BinSchedule::new(rate, 40.0).expect("legal");
        let mut bins = BinBuilder::new(schedule, Features::Counts, 3);
        bins.add_counts_of(&[3, COUNT_UNKNOWN, 0], 2, true);
        bins.add_counts_of(&[3, 5, 8], 2, false);
        let bin = bins.close();
        assert_eq!((bin.features[0], bin.features[2], bin.received_frames), (3.0, 4.0, 2));
        assert_eq!(bin.unknown_channels().collect::<Vec<_>>(), [1], "half known is unknown");
        bins.next();
        bins.add_counts(&[1, 2, 3, 0, 0, 0]);
        assert_eq!(bins.close().unknown, [0], "the next bin knows it again");
    }

    #[test]
    fn a_bin_of_crossings_is_one_of_counts_and_says_what_was_touched() {
        let rate = SampleRate::new(1000.0, "test").expect("legal");
        let schedule = BinSchedule::new(rate, 20.0).expect("legal");
        let mut bins = BinBuilder::of_crossings(schedule, Features::Counts, 300);
        let crossings = |channels: &[u16]| -> Vec<Crossing> {
            channels.iter().map(|&channel| Crossing { frame: 0, channel }).collect()
        };
        bins.add_crossings(&crossings(&[299, 0, 64]));
        bins.add_crossings(&crossings(&[64]));
        bins.add_frames(10);
        bins.add_lost(10);
        let mut copy = Bin::of_crossings(Features::Counts, 300);
        let bin = bins.close();
        copy.copy_from(bin);
        assert_eq!(&copy, bin);
        let told = |bin: &Bin| -> Vec<(usize, f32)> {
            let touched = bin.touched.as_ref().expect("a bin of crossings");
            touched.iter().map(|channel| (channel, bin.features[channel])).collect()
        };
        assert_eq!(told(bin), [(0, 2.0), (64, 4.0), (299, 2.0)]);
        assert_eq!(bin.features.iter().sum::<f32>(), 8.0);
        bins.next();
        bins.add_crossings(&crossings(&[7]));
        bins.add_frames(20);
        let bin = bins.close();
        copy.copy_from(bin);
        assert_eq!((told(bin), &copy), (vec![(7, 1.0)], bin));
        assert_eq!(bin.features.iter().sum::<f32>(), 1.0, "what was touched before is cleared");
    }
}
