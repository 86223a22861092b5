//! Which electrodes the decoder does without, and when: decided from bins alone, logged, and read back for a replay.
//!
//! In: one bin after another. Out: now and then the channels for which the decoder is to be solved again, and, once the
//! solution is ready, a line for the log: behind which bin it took over, why, and without which channels. Solving takes
//! longer than a bin and is the caller's, on another thread; [`crate::pipeline::Pipeline::take_over_behind`] does the rest.
//! Guarantee: the log is all that a replay needs, for what a decoder without some channels is follows from the channels
//! and the model. Pure: no clock, no thread.

use super::Normaliser;
use super::electrodes::ElectrodeWatch;
use crate::binning::Bin;
use crate::error::Error;
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

/// A line of the log: the decoder from behind `bin` on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Masked {
    /// The last bin that the one before decoded.
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
    /// Channels that the live decoder does without, and those that the one before it did.
    live: Vec<usize>,
    before: Option<Vec<usize>>,
    /// What is being solved, and why.
    asked: Option<(MaskReason, Vec<usize>)>,
    /// What was rolled back: not asked for again while nothing changes.
    unwanted: Option<Vec<usize>>,
    /// Bins since the first and since the last change that nobody was asked about.
    changed: Option<(u64, u64)>,
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
            before: None,
            asked: None,
            unwanted: None,
            changed: None,
        }
    }

    /// Takes the next bin. Says which channels to do without once what was lost is settled: nothing more for
    /// [`SETTLED_BINS`], or [`WAITED_BINS`] after the first change, so that a cable that comes off is one swap, not fifty.
    ///
    /// # Panics
    /// If the bin has fewer channels.
    pub fn observe(&mut self, bin: &Bin) -> Option<&[usize]> {
        let mut has_changed = false;
        self.watch.observe(bin, |_| has_changed = true);
        self.changed = match self.changed {
            None => has_changed.then_some((0, 0)),
            Some((first, last)) => Some((first + 1, if has_changed { 0 } else { last + 1 })),
        };
        let is_settled =
            self.changed.is_some_and(|(first, last)| last >= SETTLED_BINS || first >= WAITED_BINS);
        if !is_settled || self.asked.is_some() {
            return None;
        }
        self.changed = None;
        let lost: Vec<usize> = self.watch.lost().collect();
        if lost == self.live || self.unwanted.as_ref() == Some(&lost) {
            return None;
        }
        self.ask(MaskReason::Electrodes, lost)
    }

    /// Says which channels the decoder before did without; `None` where there is none, or another one is being solved.
    pub fn roll_back(&mut self) -> Option<&[usize]> {
        if self.asked.is_some() {
            return None;
        }
        let before = self.before.clone()?;
        self.ask(MaskReason::RolledBack, before)
    }

    fn ask(&mut self, reason: MaskReason, lost: Vec<usize>) -> Option<&[usize]> {
        let (_, lost) = self.asked.insert((reason, lost));
        Some(lost)
    }

    /// The decoder that was asked for takes over behind `bin`: a line for the log. `None` where none was asked for.
    pub fn taken(&mut self, bin: u64) -> Option<Masked> {
        let (reason, lost) = self.asked.take()?;
        let before = std::mem::replace(&mut self.live, lost.clone());
        match reason {
            MaskReason::Electrodes => (self.before, self.unwanted) = (Some(before), None),
            MaskReason::RolledBack => (self.before, self.unwanted) = (None, Some(before)),
        }
        Some(Masked { bin, reason, lost })
    }

    /// The decoder that was asked for can't be had: the live one stays, and this is asked for again when more changes.
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

/// A line of JSON for each.
pub fn write_log(log: &[Masked]) -> String {
    let line = |masked: &Masked| serde_json::json!(masked).to_string() + "\n";
    log.iter().map(line).collect()
}

/// Reads a log back for a stream of so many channels; `place` is what messages call it.
///
/// # Errors
/// Lines that are no swaps, whose bins don't ascend, or whose channels don't ascend or are not of this stream.
pub fn read_log(text: &str, place: &str, n_channels: usize) -> Result<Vec<Masked>, Error> {
    let mut log: Vec<Masked> = Vec::new();
    for (at, line) in text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
        let wrong = |found: String| Error::input(format!("{place}, line {}", at + 1), found);
        let masked: Masked = serde_json::from_str(line).map_err(|error| {
            wrong(error.to_string()).legal(r#"{"bin":…,"reason":"electrodes" or "rolled-back","lost":[…]}"#)
        })?;
        if let Some(last) = log.last().filter(|last| last.bin >= masked.bin) {
            let found = format!("bin {} after bin {}", masked.bin, last.bin);
            return Err(wrong(found).field("bin").legal("bins that ascend"));
        }
        let ascend = masked.lost.windows(2).all(|two| two[0] < two[1]);
        if !ascend || masked.lost.last().is_some_and(|&last| last >= n_channels) {
            let legal = format!("channels of this stream, ascending: 0 to {}", n_channels.saturating_sub(1));
            return Err(wrong(format!("{:?}", masked.lost)).field("lost").legal(legal));
        }
        log.push(masked);
    }
    Ok(log)
}

/// Bins without a further change after which what was lost is settled: as long as the watch takes to look at each channel.
pub const SETTLED_BINS: u64 = 64;
/// Bins after the first change for which further ones are waited for at most.
pub const WAITED_BINS: u64 = 256;

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
                let fires = !silent.contains(&channel) && (index + channel as u64) % 2 == 0;
                *count = if fires { 1.0 } else { 0.0 };
            });
            if keeper.observe(&bin).is_some() {
                log.extend(keeper.taken(index));
            }
        }
        log
    }

    #[test]
    fn what_is_lost_together_is_one_swap_and_so_is_its_return() {
        let mut keeper = keeper();
        assert!(run(&mut keeper, 0..1000, &[]).is_empty() && keeper.roll_back().is_none());
        let lost = run(&mut keeper, 1000..2000, &[1, 3]);
        assert_eq!(lost.len(), 1, "{lost:?}");
        assert_eq!((lost[0].reason, &lost[0].lost[..]), (MaskReason::Electrodes, &[1, 3][..]));
        let back = run(&mut keeper, 2000..3000, &[]);
        assert_eq!(back.len(), 1, "{back:?}");
        assert!(back[0].lost.is_empty() && keeper.live().is_empty());
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

    #[test]
    fn a_log_reads_back_and_a_damaged_one_says_where() {
        let masked = |bin, reason, lost: &[usize]| Masked { bin, reason, lost: lost.to_vec() };
        let log = [masked(7, MaskReason::Electrodes, &[0, 3]), masked(90, MaskReason::RolledBack, &[])];
        assert_eq!(read_log(&write_log(&log), "swaps", 4).expect("as written"), log);
        let wrong = [
            (r#"{"bin":7,"reason":"electrodes","lost":[4]}"#, "line 1"),
            (r#"{"bin":7,"reason":"electrodes","lost":[1,1]}"#, "line 1"),
            (r#"{"bin":7,"reason":"tired","lost":[]}"#, "line 1"),
            (
                "{\"bin\":7,\"reason\":\"electrodes\",\"lost\":[]}\n\n{\"bin\":7,\"reason\":\"electrodes\",\"lost\":[]}",
                "line 3",
            ),
        ];
        for (text, place) in wrong {
            let error = read_log(text, "swaps", 4).expect_err("it is wrong").to_string();
            assert!(error.contains(place), "{error}");
        }
    }
}
