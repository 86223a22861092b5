//! Which electrodes the decoder does without, and when: decided from bins alone.
//!
//! In: one bin after another. Out: now and then the channels without which the decoder is to be solved again, and, once the
//! solution has taken over, what there is to tell: from which bin on, why, and without which channels. Solving takes longer
//! than a bin and is the caller's ([`crate::live`] has a thread for it). Guarantee: bin, reason and channels are all that a
//! replay needs, for what a decoder without some channels is follows from the channels and the model. Pure: no clock, no
//! thread.

use super::Normaliser;
use super::electrodes::ElectrodeWatch;
use crate::binning::Bin;
use serde::{Deserialize, Serialize};

/// Why the decoder does without other channels than before.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum MaskReason {
    /// Electrodes were lost or came back.
    Electrodes,
    /// The user or the operator asked for the decoder before.
    RolledBack,
}

/// A swap: the decoder from `bin` on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Masked {
    /// The first bin that it decoded.
    pub bin: u64,
    /// Why.
    pub reason: MaskReason,
    /// Channels that it does without, ascending.
    pub lost: Vec<usize>,
}

/// Watches the electrodes and says when to solve again.
#[derive(Clone, Debug)]
pub struct Keeper {
    watch: ElectrodeWatch,
    /// Channels that the live decoder does without, and those that the ones before it did.
    live: Vec<usize>,
    before: Vec<Vec<usize>>,
    /// What is being solved, and why.
    asked: Option<(MaskReason, Vec<usize>)>,
    /// What was rolled back: not asked for again while nothing changes.
    unwanted: Option<Vec<usize>>,
    /// Something has changed that was not asked about.
    has_news: bool,
    /// Bins since the last demand.
    since_asked: u64,
}

impl Keeper {
    /// Of a decoder with this normaliser that looks at all of the `n_channels`.
    ///
    /// # Panics
    /// If the normaliser has fewer features.
    pub fn new(normaliser: &Normaliser, n_channels: usize) -> Self {
        Keeper {
            watch: ElectrodeWatch::of(normaliser, n_channels),
            live: Vec::new(),
            before: Vec::new(),
            asked: None,
            unwanted: None,
            has_news: false,
            since_asked: GATHERED_BINS,
        }
    }

    /// Takes the next bin. Says which channels to do without: at once when a first one is lost, and then every
    /// [`GATHERED_BINS`] as long as more are lost or come back.
    ///
    /// # Panics
    /// If the bin has fewer channels.
    pub fn observe(&mut self, bin: &Bin) -> Option<&[usize]> {
        let has_news = &mut self.has_news;
        self.watch.observe(bin, |_| *has_news = true);
        self.since_asked = self.since_asked.saturating_add(1);
        if !self.has_news || self.is_asking() || self.since_asked < GATHERED_BINS {
            return None;
        }
        self.has_news = false;
        let lost: Vec<usize> = self.watch.lost().collect();
        if lost == self.live || self.unwanted.as_ref() == Some(&lost) {
            return None;
        }
        self.ask(MaskReason::Electrodes, lost)
    }

    /// Someone was asked for a decoder that hasn't taken over yet.
    pub fn is_asking(&self) -> bool {
        self.asked.is_some()
    }

    /// Says which channels the decoder before did without; asked again, the one before that. `None` where there is none, or
    /// another one is being solved.
    pub fn roll_back(&mut self) -> Option<&[usize]> {
        if self.asked.is_some() {
            return None;
        }
        let before = self.before.last()?.clone();
        self.ask(MaskReason::RolledBack, before)
    }

    fn ask(&mut self, reason: MaskReason, lost: Vec<usize>) -> Option<&[usize]> {
        self.since_asked = 0;
        let (_, lost) = self.asked.insert((reason, lost));
        Some(lost)
    }

    /// The decoder that was asked for takes over with `bin`. `None` where none was asked for.
    pub fn taken(&mut self, bin: u64) -> Option<Masked> {
        let (reason, lost) = self.asked.take()?;
        let before = std::mem::replace(&mut self.live, lost.clone());
        match reason {
            MaskReason::Electrodes => {
                self.before.push(before);
                self.unwanted = None;
            }
            MaskReason::RolledBack => {
                self.before.pop();
                self.unwanted.get_or_insert(before);
            }
        }
        Some(Masked { bin, reason, lost })
    }

    /// The decoder that was asked for can't be had, or nobody wants it any more: the live one stays, and this is asked for again
    /// when more changes.
    pub fn failed(&mut self) {
        if let Some((MaskReason::Electrodes, lost)) = self.asked.take() {
            self.unwanted = Some(lost);
        }
    }

    /// Channels that the live decoder does without.
    pub fn live(&self) -> &[usize] {
        &self.live
    }
}

/// Bins from one demand to the next: what is lost together is found bin by bin, and is to be a few swaps, not fifty. The
/// first is asked for at once.
pub const GATHERED_BINS: u64 = 25;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Features, NormaliserKind};
    use ndarray::Array2;

    fn keeper() -> Keeper {
        let training = Array2::from_shape_fn((400, 4), |(bin, channel)| ((bin + channel) % 2) as f32);
        Keeper::new(&Normaliser::fit(NormaliserKind::Zscore, training.view(), &[true; 4]), 4)
    }

    /// What is asked for in bins in which the channels `silent` say nothing, with the bins; each is had at once.
    fn run(keeper: &mut Keeper, bins: std::ops::Range<u64>, silent: &[usize]) -> Vec<Masked> {
        let mut log = Vec::new();
        for index in bins {
            let mut bin = Bin::new(Features::Counts, 4);
            (bin.index, bin.received_frames) = (index, 1);
            bin.unknown.fill(0);
            let counts = bin.features.iter_mut().enumerate();
            counts.for_each(|(channel, count)| {
                let fires = !silent.contains(&channel) && (index + channel as u64).is_multiple_of(2);
                *count = if fires { 1.0 } else { 0.0 };
            });
            if keeper.observe(&bin).is_some() {
                log.extend(keeper.taken(index));
            }
        }
        log
    }

    #[test]
    fn the_first_is_asked_for_at_once_and_what_is_lost_with_it_together() {
        let mut keeper = keeper();
        assert!(run(&mut keeper, 0..1000, &[]).is_empty() && keeper.roll_back().is_none());
        let lost = run(&mut keeper, 1000..2000, &[0, 1, 3]);
        assert_eq!(lost.len(), 2, "{lost:?}");
        assert_eq!((lost[0].reason, lost[0].lost.len()), (MaskReason::Electrodes, 1));
        assert_eq!((lost[1].bin - lost[0].bin, &lost[1].lost[..]), (GATHERED_BINS, &[0, 1, 3][..]));
        let back = run(&mut keeper, 2000..3000, &[]);
        assert_eq!(back.len(), 2, "{back:?}");
        assert!(back[1].lost.is_empty() && keeper.live().is_empty());
    }

    #[test]
    fn what_was_rolled_back_is_not_asked_for_again_until_more_is_lost() {
        let mut keeper = keeper();
        assert_eq!(run(&mut keeper, 0..1000, &[2]).len(), 1);
        assert_eq!(keeper.roll_back().map(<[usize]>::to_vec), Some(vec![]));
        assert!(keeper.roll_back().is_none(), "one at a time");
        let back = keeper.taken(1000).expect("it was asked for");
        assert_eq!((back.bin, back.reason, back.lost.len()), (1000, MaskReason::RolledBack, 0));
        assert!(keeper.roll_back().is_none() && keeper.taken(1001).is_none());
        assert!(run(&mut keeper, 1001..2000, &[2]).is_empty());
        let more = run(&mut keeper, 2000..3000, &[0, 2]);
        assert_eq!(more.last().map(|masked| &masked.lost[..]), Some(&[0, 2][..]), "{more:?}");
    }
}
