//! A decoder in the shadow of the live one: both decode the same bins, one moves the cursor, and the better one comes to.
//!
//! In: bins, and, when it is known in hindsight, which way the user meant to go in them. Out: the live decoder's intents, and
//! a [`Swap`] whenever another decoder became the live one. Each decoder is scored by the faded mean of the cosine between
//! what it said and what was meant. The shadow takes over when its score has been better by a margin for so many scored bins
//! in a row; then it is on trial: whoever it replaced stands in the shadow, and one call puts that one back. Pure: what it does
//! follows from bins and hindsight alone, so that a replay with the same swaps says the same. No memory after building.

use super::Decoder;
use crate::binning::Bin;
use crate::intents::{AXES_MAX, Action, Intent};

/// When the shadow takes over.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ShadowRule {
    /// By how much its mean cosine must be greater.
    pub margin: f64,
    /// For how many scored bins in a row.
    pub bins: u32,
    /// Scored bins after which a bin counts half.
    pub half_life_bins: f64,
}

impl Default for ShadowRule {
    /// For bins of 20 ms: better by 0.02 for 20 s of movement, judged over the last 20.
    fn default() -> Self {
        ShadowRule { margin: 0.02, bins: 1000, half_life_bins: 1000.0 }
    }
}

/// Why another decoder is live.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum SwapReason {
    /// The shadow was better for long enough.
    Better,
    /// Electrodes were lost or came back, and it was solved for those that remain.
    Electrodes,
    /// The user or the operator asked for the one before.
    RolledBack,
}

/// A change of the live decoder, to be recorded: it holds from the bin behind `bin` on.
#[derive(Clone, Copy, Debug, PartialEq, serde::Serialize)]
pub struct Swap {
    /// The last bin that the one before decoded.
    pub bin: u64,
    /// Which decoder is live now, by the number that it was given.
    pub live: u32,
    /// Why.
    pub reason: SwapReason,
    /// Mean cosine of the new live decoder and of the one before.
    pub scores: [f64; 2],
}

/// A live decoder and perhaps one in its shadow.
#[derive(Clone, Debug, PartialEq)]
pub struct Shadow {
    rule: ShadowRule,
    live: Runner,
    other: Option<Runner>,
    /// Scored bins in a row in which the other was better.
    better: u32,
    bin: u64,
}

#[derive(Clone, Debug, PartialEq)]
struct Runner {
    decoder: Decoder,
    number: u32,
    /// Faded sums of cosines and of bins.
    cosines: f64,
    weight: f64,
    /// It may take over; the one that was replaced may not, but by hand.
    is_candidate: bool,
}

impl Runner {
    fn new(decoder: Decoder, number: u32) -> Self {
        Runner { decoder, number, cosines: 0.0, weight: 0.0, is_candidate: true }
    }

    fn score(&self) -> f64 {
        if self.weight > 0.0 { self.cosines / self.weight } else { 0.0 }
    }

    fn learn(&mut self, said: &Action, meant: [f64; AXES_MAX], fade: f64) {
        let Action::Move { n_axes, velocity, .. } = said else { return };
        let velocity = velocity.map(f64::from);
        let dot =
            |a: &[f64; AXES_MAX], b: &[f64; AXES_MAX]| -> f64 { (0..*n_axes).map(|i| a[i] * b[i]).sum() };
        let size = (dot(&velocity, &velocity) * dot(&meant, &meant)).sqrt();
        let cosine = if size > 0.0 { dot(&velocity, &meant) / size } else { 0.0 };
        self.cosines = self.cosines * fade + if cosine.is_finite() { cosine } else { -1.0 };
        self.weight = self.weight * fade + 1.0;
    }
}

impl Shadow {
    /// `live`, which goes by number 0, alone.
    pub fn new(live: Decoder, rule: ShadowRule) -> Self {
        Shadow { rule, live: Runner::new(live, 0), other: None, better: 0, bin: 0 }
    }

    /// Puts `decoder`, which goes by `number`, into the shadow in place of whatever stands there; it begins at rest.
    pub fn try_out(&mut self, decoder: Decoder, number: u32) -> Option<Decoder> {
        self.better = 0;
        // Both are judged by the same bins.
        (self.live.cosines, self.live.weight) = (0.0, 0.0);
        self.other.replace(Runner::new(decoder, number)).map(|before| before.decoder)
    }

    /// Decodes the next bin with both; the live one's intent and what the other said.
    pub fn decode(&mut self, bin: &Bin) -> (Intent, Option<Intent>) {
        self.bin = bin.index;
        let said = self.live.decoder.decode(bin);
        (said, self.other.as_mut().map(|other| other.decoder.decode(bin)))
    }

    /// Tells, some bins later perhaps, that in a bin in which the two `said` this the user meant to go along `meant`. Says so
    /// when that makes the shadow the live one.
    pub fn learn(&mut self, said: &(Intent, Option<Intent>), meant: [f64; AXES_MAX]) -> Option<Swap> {
        let fade = 0.5f64.powf(1.0 / self.rule.half_life_bins.max(1.0));
        let (Some(other), Some(others)) = (&mut self.other, &said.1) else { return None };
        self.live.learn(&said.0.action, meant, fade);
        other.learn(&others.action, meant, fade);
        let is_better = other.is_candidate && other.score() > self.live.score() + self.rule.margin;
        self.better = if is_better { self.better + 1 } else { 0 };
        (self.better >= self.rule.bins).then(|| self.swap(SwapReason::Better)).flatten()
    }

    /// Makes `decoder`, which goes by `number`, the live one behind the last bin: there is nothing to be judged. Whoever was live
    /// stands in the shadow, in place of any candidate, until it is rolled back to. It goes on where the one before stands
    /// where it has its shape, as the pipeline's does ([`Decoder::take_over`]).
    pub fn replace(&mut self, mut decoder: Decoder, number: u32, reason: SwapReason) -> Swap {
        let scores = [0.0, self.live.score()];
        if !self.live.decoder.take_over(&mut decoder) {
            std::mem::swap(&mut self.live.decoder, &mut decoder);
        }
        // What `decoder` is now was live before.
        decoder.reset();
        let mut before = Runner::new(decoder, self.live.number);
        before.is_candidate = false;
        (self.live.number, self.live.cosines, self.live.weight) = (number, 0.0, 0.0);
        self.other = Some(before);
        self.better = 0;
        Swap { bin: self.bin, live: number, reason, scores }
    }

    /// Puts the decoder that was live before back; `None` where there is none.
    pub fn roll_back(&mut self) -> Option<Swap> {
        let replaced = self.other.as_ref().is_some_and(|other| !other.is_candidate);
        if replaced { self.swap(SwapReason::RolledBack) } else { None }
    }

    fn swap(&mut self, reason: SwapReason) -> Option<Swap> {
        let other = self.other.as_mut()?;
        let scores = [other.score(), self.live.score()];
        std::mem::swap(&mut self.live, other);
        // Neither comes back by itself: the one that was worse, nor the one that was not wanted.
        (self.live.is_candidate, other.is_candidate) = (true, false);
        self.better = 0;
        Some(Swap { bin: self.bin, live: self.live.number, reason, scores })
    }

    /// The decoder that moves the cursor.
    pub fn live(&self) -> &Decoder {
        &self.live.decoder
    }

    /// Mean cosines of the live decoder and of the other, where there is one.
    pub fn scores(&self) -> (f64, Option<f64>) {
        (self.live.score(), self.other.as_ref().map(Runner::score))
    }
}

/// Which way the user meant to go in each bin, in hindsight: what was clicked is what was meant, from the click before on.
///
/// In: where the cursor was in each bin, and clicks, ascending, as their bin and the place of what was clicked. Out: one for
/// each bin, unit vectors towards it; none within `radius` of it, where the user means to stop, nor in bins more than
/// `reach_bins` before the click, in which they may have meant anything (Jarosiewicz et al. 2015, Sci Transl Med 7:313ra179;
/// the rotation is Gilja et al. 2012).
pub fn infer_meant(
    path: &[[f64; AXES_MAX]],
    clicks: &[(usize, [f64; AXES_MAX])],
    radius: f64,
    reach_bins: usize,
) -> Vec<Option<[f64; AXES_MAX]>> {
    let mut meant = vec![None; path.len()];
    let mut from = 0;
    for &(click, target) in clicks {
        let end = path.len().min(click + 1);
        for bin in from.max((click + 1).saturating_sub(reach_bins))..end {
            let way: [f64; AXES_MAX] = std::array::from_fn(|axis| target[axis] - path[bin][axis]);
            let size = way.iter().map(|x| x * x).sum::<f64>().sqrt();
            meant[bin] = (size > radius && size.is_finite()).then(|| way.map(|x| x / size));
        }
        from = end.max(from);
    }
    meant
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Features, NormaliserKind};
    use crate::decode::{LinearDecoder, Normaliser, Output, Weights};

    /// Says the first two features turned by an angle.
    fn turned(angle: f32) -> Decoder {
        let normaliser =
            Normaliser::from_parts(NormaliserKind::Zscore, vec![0.0; 2], vec![1.0; 2]).expect("finite");
        let weights = Weights {
            n_features: 2,
            lags: 1,
            n_states: 2,
            readout: vec![angle.cos(), -angle.sin(), angle.sin(), angle.cos()],
            recurrence: vec![],
            output: vec![],
            offset: vec![0.0; 2],
        };
        let output = Output::Move { n_axes: 2, has_position: false };
        Decoder::new(normaliser, LinearDecoder::new(weights, output).expect("sizes fit"))
    }

    fn bin(index: u64) -> Bin {
        let angle = index as f32;
        let mut bin = Bin::new(Features::Counts, 2);
        bin.features = vec![angle.cos(), angle.sin()];
        (bin.index, bin.received_frames, bin.starts_segment) = (index, 1, false);
        bin
    }

    fn run(shadow: &mut Shadow, bins: std::ops::Range<u64>) -> Vec<Swap> {
        let step = |index: u64| {
            let said = shadow.decode(&bin(index));
            let angle = index as f64;
            shadow.learn(&said, [angle.cos(), angle.sin(), 0.0])
        };
        bins.filter_map(step).collect()
    }

    #[test]
    fn the_better_one_takes_over_after_long_enough_and_can_be_sent_back() {
        let rule = ShadowRule { margin: 0.02, bins: 50, half_life_bins: 100.0 };
        let mut shadow = Shadow::new(turned(0.8), rule);
        assert!(run(&mut shadow, 0..100).is_empty() && shadow.roll_back().is_none(), "there is nobody else");
        shadow.try_out(turned(0.1), 7);
        let swaps = run(&mut shadow, 100..1000);
        assert_eq!(swaps.len(), 1, "{swaps:?}");
        assert_eq!((swaps[0].bin, swaps[0].live, swaps[0].reason), (149, 7, SwapReason::Better));
        assert!(
            (swaps[0].scores[0] - 0.1f64.cos()).abs() < 1e-3
                && (swaps[0].scores[1] - 0.8f64.cos()).abs() < 1e-3
        );
        let back = shadow.roll_back().expect("the one before");
        assert_eq!((back.bin, back.live, back.reason), (999, 0, SwapReason::RolledBack));
        assert!(run(&mut shadow, 1000..2000).is_empty(), "what was sent back stays back");
        assert_eq!(shadow.live().linear().weights(), turned(0.8).linear().weights());
    }

    #[test]
    fn one_that_is_not_better_by_the_margin_stays_in_the_shadow() {
        let rule = ShadowRule { margin: 0.02, bins: 20, half_life_bins: 100.0 };
        for angle in [0.5, 0.49, 0.9] {
            let mut shadow = Shadow::new(turned(0.5), rule);
            shadow.try_out(turned(angle), 1);
            assert!(run(&mut shadow, 0..500).is_empty(), "turned by {angle}");
        }
    }

    #[test]
    fn what_was_clicked_was_meant() {
        let at = |x: f64, y: f64| [x, y, 0.0];
        let path: Vec<[f64; AXES_MAX]> = (0..10).map(|bin| at(f64::from(bin), 0.0)).collect();
        let meant = infer_meant(&path, &[(4, at(4.0, 0.0)), (8, at(8.0, 3.0))], 0.5, 3);
        let said: Vec<bool> = meant.iter().map(Option::is_some).collect();
        // Bins 0 and 1 are too long ago, bin 4 is on the target, 5 too long before the second click, 9 not yet known.
        assert_eq!(said, [false, false, true, true, false, false, true, true, true, false]);
        assert_eq!(meant[2], Some([1.0, 0.0, 0.0]));
        let [x, y, _] = meant[6].expect("on the way");
        assert!((x - 2.0 / 13f64.sqrt()).abs() < 1e-12 && (y - 3.0 / 13f64.sqrt()).abs() < 1e-12);
        assert!(infer_meant(&path[..3], &[(900, at(0.0, 9.0))], 0.5, 10).iter().all(Option::is_none));
    }
}
