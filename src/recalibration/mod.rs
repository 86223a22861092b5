//! Recalibration without stopping: a decoder that is learnt again from its own use, beside the live one.
//!
//! In: every bin with the place of the cursor in it ([`Recalibration::step`]), what the user selected
//! ([`Recalibration::selected`]), and decoders that were solved elsewhere ([`Recalibration::answer`]). Out: what to learn from
//! ([`Recalibration::ask`]), and a [`Swap`] whenever another decoder is to be the live one, which is to be recorded. Pure: no
//! clock is read and nothing is solved here, so that whoever calls may solve on another thread, and a replay that is told
//! the same swaps says the same.
//!
//! 1. *What was selected was meant*, from when the user can have seen the target until the selection (Jarosiewicz et al. 2015,
//!    Sci Transl Med 7:313ra179). The way is the one to the target (Gilja et al. 2012). The speed is the one at which this user
//!    goes at that distance from a target, found while the calibrated decoder is fresh and kept ([`SpeedProfile`]): the
//!    speed that was decoded would teach a decoder its own noise, and make it slower each time.
//! 2. What was learnt is tried in the shadow ([`Shadow`]) on bins that it wasn't learnt from, and becomes the live one when it
//!    has been better for long enough. Whoever calls may roll back at any time.
//! 3. Electrodes that are lost or come back ([`ElectrodeWatch`]) are no matter of opinion: a decoder for those that remain is
//!    asked for at once and becomes the live one at once. One or two may wait a while, so that single channels that come and
//!    go don't keep the decoder from learning. Those that are merely fainter than they were are learnt, not left out.
//!
//! Limits: at most [`BINS_MAX`] bins are kept. What comes while a decoder is being solved waits for the next.

mod speed;

pub use speed::SpeedProfile;

use crate::binning::Bin;
use crate::decode::Decoder;
use crate::decode::electrodes::{ElectrodeState, ElectrodeWatch};
use crate::decode::shadow::{Shadow, ShadowRule, Swap, SwapReason};
use crate::intents::{AXES_MAX, Action, Intent};
use std::collections::VecDeque;

/// A place, or a way, along as many axes as are in use; 0 along the others.
pub type Place = [f64; AXES_MAX];

/// When is learnt, and from what.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rule {
    /// Bins after which spikes answer what was intended.
    pub answer_bins: usize,
    /// Bins after a selection in which nobody can have seen the next target.
    pub reaction_bins: usize,
    /// Bins before a selection in which it was already meant, at most.
    pub reach_bins: usize,
    /// Bins of which it is known what was meant, between two candidates.
    pub batch_bins: usize,
    /// Bins that a few lost electrodes may wait for others.
    pub wait_bins: u64,
    /// When a candidate becomes the live decoder.
    pub shadow: ShadowRule,
}

impl Rule {
    /// For bins of so many seconds. Chosen on seeds 1 to 4 of the closed loop.
    pub fn for_bins(seconds: f64) -> Self {
        let bins = |of: f64| (of / seconds).round() as usize;
        Rule {
            answer_bins: bins(0.1),
            reaction_bins: bins(0.25),
            reach_bins: bins(8.0),
            batch_bins: bins(20.0),
            wait_bins: bins(20.0) as u64,
            shadow: ShadowRule { margin: 0.002, bins: bins(6.0) as u32, half_life_bins: bins(20.0) as f64 },
        }
    }
}

/// Bins in a row, and what was meant in them where that is known.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Batch {
    /// Features of a bin.
    pub n_features: usize,
    /// Bin by bin.
    pub features: Vec<f32>,
    /// The bin doesn't follow the one before.
    pub starts_segment: Vec<bool>,
    /// Nothing of the bin was lost.
    pub whole: Vec<bool>,
    /// The velocity that the bin's spikes answer, in the unit of the decoder.
    pub meant: Vec<Option<Place>>,
}

impl Batch {
    /// Bins.
    pub fn n_bins(&self) -> usize {
        self.whole.len()
    }

    /// Bins of which it is known what was meant.
    pub fn n_known(&self) -> usize {
        self.meant.iter().filter(|meant| meant.is_some()).count()
    }

    fn push(&mut self, bin: &Bin) {
        self.features.extend_from_slice(&bin.features);
        self.starts_segment.push(bin.starts_segment);
        self.whole.push(bin.lost_frames == 0 && bin.received_frames > 0);
        self.meant.push(None);
    }

    /// The first `n` bins; the others stay.
    fn take(&mut self, n: usize) -> Batch {
        let rest = Batch {
            n_features: self.n_features,
            features: self.features.split_off(n * self.n_features),
            starts_segment: self.starts_segment.split_off(n),
            whole: self.whole.split_off(n),
            meant: self.meant.split_off(n),
        };
        std::mem::replace(self, rest)
    }
}

/// A decoder to be solved: learn the batch, leave the lost channels out.
#[derive(Clone, Debug, PartialEq)]
pub struct Ask {
    /// What to learn from first; may be empty.
    pub batch: Batch,
    /// Channels that say nothing any more, ascending.
    pub lost: Vec<usize>,
    /// It is for other electrodes than the live one and goes live as soon as it is there: solve it from what live decoders have
    /// learnt, not from what is still being tried.
    pub is_urgent: bool,
}

/// A decoder that is kept up to date.
#[derive(Clone, Debug)]
pub struct Recalibration {
    rule: Rule,
    shadow: Shadow,
    watch: ElectrodeWatch,
    speed: SpeedProfile,
    bins: Batch,
    /// Of each of those bins: where the cursor was, and what the decoders said.
    seen: VecDeque<(Place, Intent, Option<Intent>)>,
    /// The bin behind the last selection, in `bins`.
    from: usize,
    /// The live decoder leaves these out.
    masked: Vec<usize>,
    /// The candidate leaves these out.
    candidate_masked: Vec<usize>,
    /// Bins since the electrodes that are lost are others than those left out.
    waited: u64,
    /// What is being solved; whether it is urgent, and for which channels lost.
    asked: Option<(bool, Vec<usize>)>,
    /// Bins that the candidate in the shadow was scored on.
    tried: usize,
    has_candidate: bool,
    n_solved: u32,
    swaps: Vec<Swap>,
}

impl Recalibration {
    /// Of `decoder`, which is live and goes by number 0; the first `n_channels` features of a bin are the channels' counts.
    /// `explained` is the share of the velocity's variance that it explained in training, 0 to 1.
    ///
    /// # Panics
    /// If the decoder has fewer features.
    pub fn new(decoder: Decoder, n_channels: usize, explained: f64, rule: Rule) -> Self {
        let watch = ElectrodeWatch::of(decoder.normaliser(), n_channels);
        let bins = Batch { n_features: decoder.normaliser().n_features(), ..Batch::default() };
        Recalibration {
            rule,
            shadow: Shadow::new(decoder, rule.shadow),
            watch,
            speed: SpeedProfile::new(explained),
            bins,
            seen: VecDeque::new(),
            from: 0,
            masked: Vec::new(),
            candidate_masked: Vec::new(),
            waited: 0,
            asked: None,
            tried: 0,
            has_candidate: false,
            n_solved: 0,
            swaps: Vec::new(),
        }
    }

    /// The next bin, and where the cursor was in it.
    ///
    /// # Panics
    /// If the bin has other features than the decoder.
    pub fn step(&mut self, bin: &Bin, cursor: Place) {
        if bin.starts_segment {
            // What was meant before a break says nothing of what comes after it.
            self.from = self.bins.n_bins();
        }
        if self.bins.n_bins() >= BINS_MAX {
            self.bins.take(BINS_MAX / 2);
            self.seen.drain(..BINS_MAX / 2);
            self.from = self.from.saturating_sub(BINS_MAX / 2);
        }
        let (said, other) = self.shadow.decode(bin);
        // The weights are learnt again from what they say, not from what a cascade makes of it.
        let said = Intent { action: self.shadow.live().before_cascade(), ..said };
        self.watch.observe(bin, |_| ());
        self.waited += 1;
        self.bins.push(bin);
        self.seen.push_back((cursor, said, other));
    }

    /// What was at `target` was selected in the bin that came last; says so when that makes the candidate the live decoder.
    /// Within half of `radius` the user meant to rest.
    pub fn selected(&mut self, target: Place, radius: f64) -> Option<Swap> {
        let end = self.bins.n_bins();
        let answer = self.rule.answer_bins;
        let first = (self.from + self.rule.reaction_bins).max(end.saturating_sub(self.rule.reach_bins));
        self.from = end;
        let mut swap = None;
        for bin in first..end.saturating_sub(answer) {
            let way: Place = std::array::from_fn(|axis| target[axis] - self.seen[bin].0[axis]);
            let far = way.iter().map(|x| x * x).sum::<f64>().sqrt();
            if !far.is_finite() {
                continue;
            }
            let is_on = far <= ON_TARGET * radius;
            let unit = if is_on { [0.0; AXES_MAX] } else { way.map(|x| x / far) };
            let (_, said, other) = self.seen[bin + answer];
            if !is_on {
                if let Action::Move { velocity, .. } = said.action {
                    let along = velocity.iter().zip(unit).map(|(v, u)| f64::from(*v) * u).sum();
                    self.speed.see(far, radius, along);
                }
                self.tried += usize::from(other.is_some());
                swap = swap.or(self.shadow.learn(&(said, other), unit));
            }
            self.bins.meant[bin + answer] =
                self.speed.at(far, radius).map(|speed| unit.map(|part| part * speed));
        }
        if swap.is_some() {
            self.has_candidate = false;
            self.masked = std::mem::take(&mut self.candidate_masked);
            // What has become usual since training is no loss.
            self.watch.follow(self.shadow.live().normaliser());
        }
        self.swaps.extend(swap);
        swap
    }

    /// What to solve now, if anything; [`Recalibration::answer`] before it asks again.
    pub fn ask(&mut self) -> Option<Ask> {
        if self.asked.is_some() {
            return None;
        }
        let hears = |channel: &usize| self.watch.state(*channel) == ElectrodeState::Faint;
        let lost: Vec<usize> = self.watch.lost().filter(|channel| !hears(channel)).collect();
        let n_changed = differing(&lost, &self.masked);
        if n_changed == 0 {
            self.waited = 0;
        }
        let many = (self.bins.n_features / FEW_PARTS).max(1);
        let is_urgent =
            n_changed >= many || (n_changed > 0 && !self.has_candidate && self.waited >= self.rule.wait_bins);
        let is_judged = !self.has_candidate || self.tried >= self.rule.batch_bins;
        let enough = is_judged && self.bins.n_known() >= self.rule.batch_bins;
        if !is_urgent && !enough {
            return None;
        }
        // A decoder for other electrodes can't wait for what is learnt meanwhile.
        let batch = if is_urgent {
            Batch { n_features: self.bins.n_features, ..Batch::default() }
        } else {
            self.taken()
        };
        self.asked = Some((is_urgent, lost.clone()));
        Some(Ask { batch, lost, is_urgent })
    }

    /// What was asked for; `None` where it couldn't be solved. Says so when it is the live decoder from now on.
    pub fn answer(&mut self, decoder: Option<Decoder>) -> Option<Swap> {
        let (is_urgent, lost) = self.asked.take()?;
        match is_urgent {
            // Unsolved, it isn't asked for again: the same channels would give the same.
            true => (self.masked, self.waited) = (lost, 0),
            false => self.candidate_masked = lost,
        }
        let decoder = decoder?;
        self.n_solved += 1;
        self.tried = 0;
        let swap = match is_urgent {
            true => Some(self.shadow.replace(decoder, self.n_solved, SwapReason::Electrodes)),
            false => {
                self.shadow.try_out(decoder, self.n_solved);
                None
            }
        };
        self.has_candidate = !is_urgent;
        self.swaps.extend(swap);
        swap
    }

    /// Puts the decoder that was live before back; `None` where there is none.
    pub fn roll_back(&mut self) -> Option<Swap> {
        let swap = self.shadow.roll_back();
        self.swaps.extend(swap);
        swap
    }

    /// The decoder that is to move the cursor.
    pub fn live(&self) -> &Decoder {
        self.shadow.live()
    }

    /// Every change of the live decoder.
    pub fn swaps(&self) -> &[Swap] {
        &self.swaps
    }

    /// Channels that the live decoder leaves out.
    pub fn masked(&self) -> &[usize] {
        &self.masked
    }

    /// The bins before the last selection.
    fn taken(&mut self) -> Batch {
        let n = std::mem::take(&mut self.from);
        self.seen.drain(..n);
        self.bins.take(n)
    }
}

/// How many are in one of two ascending lists alone.
fn differing(a: &[usize], b: &[usize]) -> usize {
    let alone = |a: &[usize], b: &[usize]| a.iter().filter(|x| b.binary_search(x).is_err()).count();
    alone(a, b) + alone(b, a)
}

/// One part of so many of the channels doesn't wait.
const FEW_PARTS: usize = 50;
/// Bins that are kept at most: under two minutes of 20 ms.
pub const BINS_MAX: usize = 5000;
/// Share of a target's radius within which one is on it.
const ON_TARGET: f64 = 0.5;

#[cfg(test)]
mod tests;
