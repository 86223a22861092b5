//! Electrodes that are lost on a schedule, and may come back.
//!
//! In: a schedule ([`Loss`]: what part, from when, until when), which electrodes are alive, a seed. Out: which electrodes
//! are lost at each instant. Guarantees that the seed and the schedule alone decide, that an entry takes the asked
//! number of live electrodes (to the nearest whole one), and that following it takes no memory.

use super::lanes::{Purpose, generator};
use crate::error::Error;
use rand::RngExt;

/// One entry of the schedule: some electrodes go flat and hear nothing.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Loss {
    /// Part of the live electrodes, 0 to 1; which ones is drawn from the seed.
    pub fraction: f64,
    /// From this second on, in whole milliseconds.
    pub from_s: f64,
    /// Until this one; `None` for ever.
    pub until_s: Option<f64>,
}

impl Loss {
    /// A schedule as an address has it: `FRACTION@SECOND[..SECOND]`, entries joined by `+`, such as
    /// `0.15@30+0.3@40..50`.
    ///
    /// # Errors
    /// If it has another form, or a value isn't legal; `place` names the address.
    pub fn parse_all(text: &str, place: &str) -> Result<Vec<Loss>, Error> {
        let losses = text.split('+').map(|entry| {
            let number = |text: &str| text.trim().parse::<f64>().ok();
            let (fraction, times) = entry.split_once('@')?;
            let (from, until) = match times.split_once("..") {
                Some((from, until)) => (from, Some(number(until)?)),
                None => (times, None),
            };
            Some(Loss { fraction: number(fraction)?, from_s: number(from)?, until_s: until })
        });
        let losses: Option<Vec<Loss>> = losses.collect();
        let losses = losses.ok_or_else(|| {
            Error::usage(place, format!("`{text}`"))
                .field(KEY)
                .legal("FRACTION@SECOND[..SECOND], joined by `+`, such as 0.15@30+0.3@40..50")
        })?;
        Loss::check_all(&losses, place)?;
        Ok(losses)
    }

    /// Checks a schedule; `place` names the settings in errors.
    ///
    /// # Errors
    /// If there are too many entries, a part is not one, or an end is not after its beginning.
    pub fn check_all(losses: &[Loss], place: &str) -> Result<(), Error> {
        let wrong = |found: String, legal: String| Err(Error::usage(place, found).field(KEY).legal(legal));
        if losses.len() > LOSSES_MAX {
            return wrong(format!("{} entries", losses.len()), format!("at most {LOSSES_MAX}"));
        }
        for Loss { fraction, from_s, until_s } in losses {
            if !(0.0..=1.0).contains(fraction) {
                return wrong(format!("a fraction of {fraction}"), "0 to 1".into());
            }
            let until = until_s.unwrap_or(SECOND_MAX);
            if !(0.0..=SECOND_MAX).contains(from_s)
                || until.is_nan()
                || until <= *from_s
                || until > SECOND_MAX
            {
                let legal = format!("a beginning from 0 s on and an end after it, at most {SECOND_MAX} s");
                return wrong(format!("from {from_s} s until {until} s"), legal);
            }
        }
        Ok(())
    }
}

/// Ground truth: an electrode that is lost for some time.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LostElectrode {
    /// Which one; its channel.
    pub electrode: usize,
    /// From this millisecond of the stream on.
    pub from_ms: u64,
    /// Until this one; `None` for ever.
    pub until_ms: Option<u64>,
}

/// The schedule as it is followed, in units of the caller: frames or milliseconds.
#[derive(Clone, Debug)]
pub(super) struct Losses {
    changes: Vec<Change>,
    next: usize,
    /// How many entries have each electrode lost now.
    lost: Vec<u8>,
}

#[derive(Clone, Copy, Debug)]
struct Change {
    at: u64,
    electrode: usize,
    is_loss: bool,
}

impl Losses {
    /// Follows `plan`; `place` turns a millisecond into the caller's unit.
    pub(super) fn new(plan: &[LostElectrode], n_electrodes: usize, place: impl Fn(u64) -> u64) -> Self {
        let change = |ms: u64, electrode: usize, is_loss: bool| Change { at: place(ms), electrode, is_loss };
        let mut changes: Vec<Change> = plan
            .iter()
            .flat_map(|lost| {
                let back = lost.until_ms.map(|ms| change(ms, lost.electrode, false));
                [Some(change(lost.from_ms, lost.electrode, true)), back]
            })
            .flatten()
            .collect();
        changes.sort_by_key(|change| change.at);
        Losses { changes, next: 0, lost: vec![0; n_electrodes] }
    }

    /// Where the next change is, if there is one.
    pub(super) fn next_change(&self) -> Option<u64> {
        self.changes.get(self.next).map(|change| change.at)
    }

    /// Makes all changes up to `now`; calls `on` with each electrode that is lost or comes back.
    pub(super) fn advance(&mut self, now: u64, mut on: impl FnMut(usize, bool)) {
        while let Some(change) = self.changes.get(self.next).filter(|change| change.at <= now) {
            let lost = &mut self.lost[change.electrode];
            let before = *lost > 0;
            *lost = if change.is_loss { *lost + 1 } else { *lost - 1 };
            if before != (*lost > 0) {
                on(change.electrode, *lost > 0);
            }
            self.next += 1;
        }
    }
}

/// Which electrodes each entry takes.
pub(super) fn plan(losses: &[Loss], alive: &[bool], seed: u64) -> Vec<LostElectrode> {
    let mut rng = generator(seed, Purpose::Losses);
    let mut plan = Vec::new();
    for loss in losses {
        let mut electrodes: Vec<usize> = (0..alive.len()).filter(|&electrode| alive[electrode]).collect();
        let n_lost = (loss.fraction * electrodes.len() as f64).round() as usize;
        // The first `n_lost` places of a shuffle.
        for place in 0..n_lost {
            let other = rng.random_range(place..electrodes.len());
            electrodes.swap(place, other);
        }
        let ms = |seconds: f64| (seconds * 1e3).round() as u64;
        let mut taken = electrodes[..n_lost].to_vec();
        taken.sort_unstable();
        plan.extend(taken.into_iter().map(|electrode| LostElectrode {
            electrode,
            from_ms: ms(loss.from_s),
            until_ms: loss.until_s.map(ms),
        }));
    }
    plan
}

const KEY: &str = "lose";
/// Entries of a schedule; an electrode's count of them fits in a byte.
const LOSSES_MAX: usize = 64;
const _: () = assert!(LOSSES_MAX <= u8::MAX as usize);
/// A year, so that milliseconds and frames are far from the ends of their types.
const SECOND_MAX: f64 = 31_536_000.0;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_schedule_reads_as_it_is_written_and_nonsense_is_refused() {
        let parsed = Loss::parse_all("0.15@30+0.3@40..50.5", "here").expect("legal");
        let wanted = [
            Loss { fraction: 0.15, from_s: 30.0, until_s: None },
            Loss { fraction: 0.3, from_s: 40.0, until_s: Some(50.5) },
        ];
        assert_eq!(parsed, wanted);
        for (text, says) in [
            ("", "``"),
            ("0.1", "FRACTION@SECOND"),
            ("0.1@", "FRACTION@SECOND"),
            ("x@1", "FRACTION@SECOND"),
            ("1.5@1", "a fraction of 1.5"),
            ("NaN@1", "a fraction of NaN"),
            ("0.1@-1", "from -1 s"),
            ("0.1@inf", "from inf s"),
            ("0.1@5..5", "from 5 s until 5 s"),
            ("0.1@5..NaN", "until NaN s"),
            (&["0.1@1"; 65].join("+"), "at most 64"),
        ] {
            let message = Loss::parse_all(text, "here").expect_err(text).to_string();
            assert!(message.contains(says) && message.contains("lose"), "{text}: {message}");
        }
    }

    #[test]
    fn entries_take_their_number_and_overlap_until_the_last_ends() {
        let alive: Vec<bool> = (0..100).map(|electrode| electrode % 4 != 0).collect();
        let losses = Loss::parse_all("0.2@1..3+1@2..4", "here").expect("legal");
        let plan = plan(&losses, &alive, 7);
        assert_eq!(plan.len(), 15 + 75);
        let mut losses = Losses::new(&plan, 100, |ms| ms);
        let mut lost = [false; 100];
        for (now, wanted) in [(0, 0), (999, 0), (1_000, 15), (2_000, 75), (3_500, 75), (4_000, 0)] {
            losses.advance(now, |electrode, is_lost| {
                assert!(alive[electrode], "the dead can't be lost");
                assert_ne!(
                    std::mem::replace(&mut lost[electrode], is_lost),
                    is_lost,
                    "each change is told once"
                );
            });
            assert_eq!(lost.iter().filter(|&&lost| lost).count(), wanted, "at {now} ms");
        }
        assert_eq!(losses.next_change(), None);
    }
}
