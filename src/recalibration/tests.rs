//! Recalibration of a made-up decoder: what is asked for, and when.

use super::*;
use crate::config::{Features, NormaliserKind};
use crate::decode::{LinearDecoder, Normaliser, Output, Weights};

const N: usize = 4;

/// Says the first two features, turned by an angle.
fn turned(angle: f32) -> Decoder {
    let normaliser =
        Normaliser::from_parts(NormaliserKind::Zscore, vec![1.0; N], vec![1.0; N]).expect("finite");
    let mut readout = vec![0.0; 2 * N];
    (readout[0], readout[1]) = (angle.cos(), -angle.sin());
    (readout[N], readout[N + 1]) = (angle.sin(), angle.cos());
    let weights = Weights {
        n_features: N,
        lags: 1,
        n_states: 2,
        readout,
        recurrence: vec![],
        output: vec![],
        offset: vec![0.0; 2],
    };
    let output = Output::Move { n_axes: 2, has_position: false };
    Decoder::new(normaliser, LinearDecoder::new(weights, output).expect("sizes fit"))
}

const RULE: Rule = Rule {
    answer_bins: 2,
    reaction_bins: 3,
    reach_bins: 100,
    batch_bins: 200,
    wait_bins: 50,
    shadow: ShadowRule { margin: 0.01, bins: 50, half_life_bins: 100.0 },
};

/// A cursor that runs round a circle's targets: straight at each in 20 bins, its bins say the way of `answer_bins` before.
struct Course {
    n: u64,
    silent: Option<usize>,
}

impl Course {
    /// One reach; whatever became the live decoder.
    fn reach(&mut self, of: &mut Recalibration) -> Option<Swap> {
        let reach = self.n / 20;
        let to = |reach: u64| {
            let angle = reach as f64 * 2.1;
            [angle.cos(), angle.sin(), 0.0]
        };
        let (from, target) = (if reach == 0 { [0.0; 3] } else { to(reach - 1) }, to(reach));
        let at = |step: f64| -> Place {
            std::array::from_fn(|axis| from[axis] + (target[axis] - from[axis]) * step / 20.0)
        };
        for step in 0..20 {
            let mut bin = Bin::new(Features::Counts, N);
            (bin.index, bin.received_frames, bin.starts_segment) = (self.n, 1, self.n == 0);
            bin.features = vec![1.0; N];
            for axis in 0..2 {
                bin.features[axis] = (1.0 + target[axis] - from[axis]) as f32;
            }
            // Counts aren't below 0, but whoever reads these doesn't mind.
            if let Some(channel) = self.silent {
                bin.features[channel] = 0.0;
            }
            of.step(&bin, at(f64::from(step)));
            self.n += 1;
        }
        of.selected(target, 0.05)
    }
}

#[test]
fn what_was_selected_is_learnt_from_tried_and_goes_live_when_it_is_better() {
    let mut of = Recalibration::new(turned(0.7), N, 1.0, RULE);
    let mut course = Course { n: 0, silent: None };
    let ask = loop {
        assert_eq!(course.reach(&mut of), None);
        if let Some(ask) = of.ask() {
            break ask;
        }
        assert!(course.n < 5000, "it asks some time");
    };
    assert!(!ask.is_urgent && ask.lost.is_empty());
    assert!(ask.batch.n_known() >= RULE.batch_bins && ask.batch.n_bins() < BINS_MAX);
    assert_eq!(ask.batch.features.len(), N * ask.batch.n_bins());
    // What a bin is learnt as leads where its features say that the user went.
    for bin in 0..ask.batch.n_bins() {
        let Some(meant) = ask.batch.meant[bin] else { continue };
        let features = &ask.batch.features[bin * N..][..2];
        let dot: f64 = (0..2).map(|axis| meant[axis] * f64::from(features[axis] - 1.0)).sum();
        let size = |of: &dyn Fn(usize) -> f64| (of(0).powi(2) + of(1).powi(2)).sqrt();
        let (a, b) = (size(&|axis| meant[axis]), size(&|axis| f64::from(features[axis] - 1.0)));
        assert!(a == 0.0 || dot / (a * b) > 0.999, "bin {bin}: {meant:?} for {features:?}");
    }
    assert_eq!(of.ask(), None, "one at a time");
    assert_eq!(of.answer(Some(turned(0.05))), None, "it is tried first");
    let swap = (0..50).find_map(|_| course.reach(&mut of)).expect("it is better");
    assert_eq!((swap.live, swap.reason), (1, SwapReason::Better));
    assert!(swap.scores[0] > swap.scores[1] + 0.01 && swap.bin == course.n - 1, "{swap:?}");
    assert_eq!(of.live().linear().weights(), turned(0.05).linear().weights());
    let back = of.roll_back().expect("the one before");
    assert_eq!((back.live, back.reason), (0, SwapReason::RolledBack));
    assert_eq!(of.swaps(), [swap, back]);
    assert_eq!(of.live().linear().weights(), turned(0.7).linear().weights());
}

#[test]
fn one_that_is_no_better_stays_in_the_shadow_and_another_is_asked_for() {
    let mut of = Recalibration::new(turned(0.1), N, 1.0, RULE);
    let mut course = Course { n: 0, silent: None };
    let mut n_asks = 0;
    while course.n < 6000 {
        assert_eq!(course.reach(&mut of), None, "nothing is better");
        if let Some(ask) = of.ask() {
            assert!(ask.batch.n_known() >= RULE.batch_bins);
            assert_eq!(of.answer(Some(turned(0.9))), None);
            n_asks += 1;
        }
    }
    assert!((5..30).contains(&n_asks), "{n_asks}");
    assert!(of.swaps().is_empty() && of.roll_back().is_none());
}

#[test]
fn lost_electrodes_are_left_out_at_once_and_asked_for_once() {
    let mut of = Recalibration::new(turned(0.0), N, 1.0, RULE);
    let mut course = Course { n: 0, silent: Some(3) };
    let ask = loop {
        course.reach(&mut of);
        if let Some(ask) = of.ask() {
            break ask;
        }
        assert!(course.n < 2000, "it is found");
    };
    assert!(ask.is_urgent);
    assert_eq!((ask.lost.as_slice(), ask.batch.n_bins()), ([3].as_slice(), 0));
    let swap = of.answer(Some(turned(0.01))).expect("at once");
    assert_eq!((swap.reason, swap.live), (SwapReason::Electrodes, 1));
    assert_eq!(of.masked(), [3]);
    let asks_again = (0..20).any(|_| {
        course.reach(&mut of);
        of.ask().is_some_and(|ask| ask.is_urgent)
    });
    assert!(!asks_again, "nothing has changed");
    assert_eq!(of.roll_back().map(|swap| swap.live), Some(0), "even that can be taken back");
    // What can't be solved changes nothing, and isn't asked for again and again.
    let mut of = Recalibration::new(turned(0.0), N, 1.0, RULE);
    let mut course = Course { n: 0, silent: Some(3) };
    while of.ask().is_none() {
        course.reach(&mut of);
    }
    assert_eq!(of.answer(None), None);
    course.reach(&mut of);
    assert!(of.ask().is_none() && of.live().linear().weights() == turned(0.0).linear().weights());
}

#[test]
fn bins_that_nobody_selects_anything_in_are_forgotten() {
    let mut of = Recalibration::new(turned(0.0), N, 1.0, RULE);
    let mut bin = Bin::new(Features::Counts, N);
    for n in 0..3 * BINS_MAX as u64 {
        (bin.index, bin.received_frames, bin.starts_segment) = (n, 1, n == 0);
        bin.features = vec![1.0 + (n % 3) as f32; N];
        of.step(&bin, [0.0; AXES_MAX]);
        assert!(of.bins.n_bins() <= BINS_MAX && of.seen.len() == of.bins.n_bins());
    }
    assert_eq!(of.selected([f64::NAN; AXES_MAX], 1.0), None);
    assert_eq!(of.bins.n_known(), 0, "nowhere is no place");
}
