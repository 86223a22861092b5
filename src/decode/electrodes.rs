//! Channels that fall silent, run wild or change while a decoder runs, and those that come back; found from bins alone.
//!
//! In: one bin after another, and what each channel's count was in training. Out: changes, each at the bin that showed it.
//! Where there is broadband, [`crate::detect`] sees more and sooner, and masks; what it masks is unknown here and counts as
//! lost when it stays so. A link that carries counts has nothing but these.
//!
//! A channel is judged over windows in which training would have it fire `EXPECTED` times or more. In a window it is
//!
//! - **unknown** if nothing of it came in half of the bins;
//! - **silent** if it fired not once: by chance once in e^`EXPECTED` windows;
//! - **wild** or **faint** if its mean is over `WILD` times or under 1/`FAINT` of that in training, and further off than
//!   `DEVIATIONS` standard errors.
//!
//! One such window makes it lost (two, of the last kind), and `GOOD_WINDOWS` good ones in a row bring it back: rates drift
//! by a third from day to day without harm. Pure, and no memory after building; bits don't depend on how the stream was cut,
//! since bins don't. Cost: what a bin touches, and a 64th of the channels.

use super::Normaliser;
use super::normaliser::transform;
use crate::binning::Bin;
use crate::config::NormaliserKind;

/// What became of a channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum ElectrodeState {
    /// As in training.
    Good,
    /// Nothing of it comes.
    Unknown,
    /// It never fires.
    Silent,
    /// It fires far more than in training.
    Wild,
    /// It fires far less.
    Faint,
}

/// A change, found behind a bin.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
pub struct ElectrodeChange {
    /// The bin behind which it was found.
    pub bin: u64,
    /// Which channel.
    pub channel: usize,
    /// What it is from now on.
    pub state: ElectrodeState,
}

/// Watches the counts of all channels.
#[derive(Clone, Debug, PartialEq)]
pub struct ElectrodeWatch {
    /// What is summed of a count.
    of_count: NormaliserKind,
    channels: Vec<Channel>,
    /// Bins since the watch began.
    now: u64,
}

#[derive(Clone, Debug, PartialEq)]
struct Channel {
    /// In training; a channel that was left out is not watched.
    mean: f32,
    deviation: f32,
    is_watched: bool,
    state: ElectrodeState,
    /// Of the open window.
    sum: f32,
    unknown: u32,
    since: u64,
    /// Windows in a row that said this, and what they said.
    row: u32,
    said: ElectrodeState,
}

impl ElectrodeWatch {
    /// Of channels whose counts in training had these `means` and `deviations` a bin; 0 where a channel is not watched.
    pub fn new(means: &[f32], deviations: &[f32]) -> Self {
        Self::summing(NormaliserKind::Zscore, means.iter().copied().zip(deviations.iter().copied()))
    }

    /// Of the counts of all channels, the first `n_channels` features of a normaliser, as it knew them in training.
    ///
    /// # Panics
    /// If it has fewer features.
    pub fn of(normaliser: &Normaliser, n_channels: usize) -> Self {
        let (means, inverse) =
            (&normaliser.mean()[..n_channels], &normaliser.inverse_deviation()[..n_channels]);
        let known = means.iter().zip(inverse).map(|(&mean, &inverse)| match inverse {
            0.0 => (0.0, 0.0),
            inverse => (mean, 1.0 / inverse),
        });
        match normaliser.kind() {
            // Its square is the count and 3/8, whose mean is known exactly; the deviation is a Poisson count's.
            NormaliserKind::Sqrt => {
                let of_count = |(mean, deviation): (f32, f32)| {
                    let count = (mean * mean + deviation * deviation - 0.375).max(0.0);
                    if deviation > 0.0 { (count, count.sqrt()) } else { (0.0, 0.0) }
                };
                Self::summing(NormaliserKind::Zscore, known.map(of_count))
            }
            // Of a count of 0 and 1, x^(5/4) is the count; beyond, it grows with it.
            kind => Self::summing(kind, known),
        }
    }

    /// From now on what `normaliser` knows is usual, as when it has followed slow drifts; what a channel is stays, until its
    /// next windows say otherwise.
    ///
    /// # Panics
    /// If it has fewer features than channels are watched, or scales otherwise.
    pub fn follow(&mut self, normaliser: &Normaliser) {
        let other = Self::of(normaliser, self.channels.len());
        assert!(other.of_count == self.of_count, "one way to scale");
        for (channel, other) in self.channels.iter_mut().zip(other.channels) {
            (channel.mean, channel.deviation, channel.is_watched) =
                (other.mean, other.deviation, other.is_watched);
        }
    }

    fn summing(of_count: NormaliserKind, known: impl Iterator<Item = (f32, f32)>) -> Self {
        let channel = |(mean, deviation): (f32, f32)| Channel {
            mean,
            deviation,
            is_watched: deviation > 0.0 && mean > 0.0,
            state: ElectrodeState::Good,
            sum: 0.0,
            unknown: 0,
            since: 0,
            row: 0,
            said: ElectrodeState::Good,
        };
        ElectrodeWatch { of_count, channels: known.map(channel).collect(), now: 0 }
    }

    /// Takes the next bin; tells `on` of every change.
    ///
    /// # Panics
    /// If the bin has fewer channels.
    pub fn observe(&mut self, bin: &Bin, mut on: impl FnMut(ElectrodeChange)) {
        let n = self.channels.len();
        assert!(n <= bin.n_channels, "a bin of {} channels for a watch over {n}", bin.n_channels);
        if bin.received_frames == 0 {
            // A lost bin says nothing of any electrode.
            self.channels.iter_mut().for_each(|channel| channel.since += 1);
        } else {
            let (kind, channels) = (self.of_count, &mut self.channels);
            match &bin.touched {
                Some(touched) => touched.iter().filter(|channel| *channel < n).for_each(|channel| {
                    channels[channel].sum += transform(kind, bin.features[channel]);
                }),
                None => channels
                    .iter_mut()
                    .zip(&bin.features)
                    .for_each(|(channel, count)| channel.sum += transform(kind, *count)),
            }
            for channel in bin.unknown_channels().take_while(|channel| *channel < n) {
                self.channels[channel].unknown += 1;
            }
        }
        self.now += 1;
        for channel in ((self.now % SLICES) as usize..n).step_by(SLICES as usize) {
            if let Some(state) = self.channels[channel].judge(self.now) {
                on(ElectrodeChange { bin: bin.index, channel, state });
            }
        }
    }

    /// What a channel is.
    pub fn state(&self, channel: usize) -> ElectrodeState {
        self.channels[channel].state
    }

    /// Channels that are not good.
    pub fn lost(&self) -> impl Iterator<Item = usize> + '_ {
        let bad = |(_, channel): &(usize, &Channel)| channel.state != ElectrodeState::Good;
        self.channels.iter().enumerate().filter(bad).map(|(channel, _)| channel)
    }
}

impl Channel {
    /// Closes the window if it is long enough; the new state where it changed.
    fn judge(&mut self, now: u64) -> Option<ElectrodeState> {
        if !self.is_watched {
            return None;
        }
        let bins = now.saturating_sub(self.since);
        let known = bins.saturating_sub(u64::from(self.unknown)) as f32;
        let unknown = u64::from(self.unknown) * 2 > bins;
        let long_enough = known * self.mean >= EXPECTED && known >= BINS_MIN;
        if !(long_enough || unknown && bins as f32 >= BINS_MIN) {
            return None;
        }
        let mean = self.sum / known.max(1.0);
        let error = self.deviation / known.max(1.0).sqrt();
        let far = (mean - self.mean).abs() > DEVIATIONS * error;
        let said = match () {
            () if unknown => ElectrodeState::Unknown,
            () if self.sum == 0.0 => ElectrodeState::Silent,
            () if far && mean > WILD * self.mean => ElectrodeState::Wild,
            () if far && mean < self.mean / FAINT => ElectrodeState::Faint,
            () => ElectrodeState::Good,
        };
        let is_good = |state| state == ElectrodeState::Good;
        self.row = if is_good(said) == is_good(self.said) { self.row.saturating_add(1) } else { 1 };
        (self.said, self.sum, self.unknown, self.since) = (said, 0.0, 0, now);
        let needed = match said {
            ElectrodeState::Good => GOOD_WINDOWS,
            ElectrodeState::Faint | ElectrodeState::Wild => 2,
            ElectrodeState::Silent | ElectrodeState::Unknown => 1,
        };
        // What made a channel lost is said once; another reason is no news.
        let changed = is_good(said) != is_good(self.state) && self.row >= needed;
        if changed {
            self.state = said;
        }
        changed.then_some(said)
    }
}

/// Events that training would have in a window, at least: e⁻²⁰ is 2·10⁻⁹.
const EXPECTED: f32 = 20.0;
/// Bins of a window, at least.
const BINS_MIN: f32 = 50.0;
/// Times the mean of training.
const WILD: f32 = 5.0;
/// A part of the mean of training.
const FAINT: f32 = 5.0;
/// Standard errors of a window's mean.
const DEVIATIONS: f32 = 6.0;
/// Good windows in a row after which a channel is back.
const GOOD_WINDOWS: u32 = 3;
/// A channel is looked at every so many bins.
const SLICES: u64 = 64;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Features;

    /// Poisson-like counts of a fixed seed, mean 0.5 a bin.
    fn bins(n: usize, n_channels: usize, rate: impl Fn(usize, usize) -> f32) -> Vec<Bin> {
        let mut state = 5u32;
        let mut draw = move || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 8) as f32 / (1 << 24) as f32
        };
        let bin = |at: usize| {
            let mut bin = Bin::of_crossings(Features::Counts, n_channels);
            (bin.index, bin.received_frames) = (at as u64, 1);
            for channel in 0..n_channels {
                let mut left = rate(at, channel);
                while left > 0.0 {
                    let fires = draw() < left.min(0.5);
                    left -= 0.5;
                    if fires {
                        bin.features[channel] += 1.0;
                        bin.touched.as_mut().expect("of crossings").insert(channel);
                    }
                }
            }
            bin
        };
        (0..n).map(bin).collect()
    }

    fn changes(watch: &mut ElectrodeWatch, bins: &[Bin]) -> Vec<ElectrodeChange> {
        let mut changes = Vec::new();
        bins.iter().for_each(|bin| watch.observe(bin, |change| changes.push(change)));
        changes
    }

    #[test]
    fn channels_are_lost_and_come_back_and_healthy_ones_stay() {
        let rate = |at: usize, channel: usize| match (channel, at) {
            (0, 2000..4000) => 0.0,
            (1, 2000..4000) => 4.0,
            (2, 2000..4000) => 0.08,
            // A drift by a third is no loss.
            (3, 2000..) => 0.66,
            _ => 0.5,
        };
        let stream = bins(8000, 6, rate);
        let mut watch = ElectrodeWatch::new(&[0.5; 6], &[0.5; 6]);
        let found = changes(&mut watch, &stream);
        let of = |channel: usize| found.iter().filter(|change| change.channel == channel).collect::<Vec<_>>();
        let expected = [ElectrodeState::Silent, ElectrodeState::Wild, ElectrodeState::Faint];
        for (channel, state) in expected.into_iter().enumerate() {
            let of = of(channel);
            assert_eq!(of.len(), 2, "channel {channel}: {of:?}");
            assert_eq!((of[0].state, of[1].state), (state, ElectrodeState::Good));
            assert!((2000..2500).contains(&of[0].bin) && (4000..4500).contains(&of[1].bin), "{of:?}");
        }
        assert!(found.iter().all(|change| change.channel < 3), "{found:?}");
        assert_eq!(watch.lost().count(), 0);
        let mut dense = ElectrodeWatch::new(&[0.5; 6], &[0.5; 6]);
        let plain: Vec<Bin> = stream.iter().map(|bin| Bin { touched: None, ..bin.clone() }).collect();
        assert_eq!(changes(&mut dense, &plain), found, "bins that don't say what they touched say the same");
    }

    #[test]
    fn every_normaliser_says_what_was_usual() {
        use ndarray::Array2;
        let stream = bins(3000, 3, |at, channel| if channel == 1 && at >= 2000 { 0.0 } else { 0.5 });
        let training = Array2::from_shape_fn((2000, 3), |(bin, channel)| stream[bin].features[channel]);
        for kind in [NormaliserKind::Zscore, NormaliserKind::Sqrt, NormaliserKind::FiveQuarters] {
            let normaliser = Normaliser::fit(kind, training.view(), &[true; 3]);
            let found = changes(&mut ElectrodeWatch::of(&normaliser, 3), &stream);
            assert_eq!(found.len(), 1, "{kind:?}: {found:?}");
            assert_eq!((found[0].channel, found[0].state), (1, ElectrodeState::Silent));
        }
    }

    #[test]
    fn what_does_not_come_is_unknown_and_lost_bins_say_nothing() {
        let mut stream = bins(1500, 3, |_, _| 0.5);
        for bin in &mut stream[500..] {
            bin.unknown[0] = 0b10;
        }
        for bin in &mut stream[100..400] {
            bin.received_frames = 0;
            bin.features.fill(0.0);
        }
        let mut watch = ElectrodeWatch::new(&[0.5; 3], &[0.5, 0.5, 0.0]);
        let found = changes(&mut watch, &stream);
        assert_eq!(found.len(), 1, "{found:?}");
        assert_eq!((found[0].channel, found[0].state), (1, ElectrodeState::Unknown));
        assert_eq!(watch.lost().collect::<Vec<_>>(), [1]);
    }
}
