//! From a bin to what a sink may do: decoder, the cursor's dynamics, safety. The one place where they stand together.
//!
//! In: bins in order. Out: an intent per bin. Guarantees that live, replay and demo have the same stages behind the decoder,
//! and that safety is the last of them; a decoder whose state is no number any more starts afresh.

use super::Said;
use super::prepared::Prepared;
use crate::binning::{Bin, BinSchedule};
use crate::config::Config;
use crate::decode::Decoder;
use crate::intents::{AXES_MAX, Action, Dynamics, Hold, Intent, Safety, Wanted};

/// Everything behind the bins.
pub(super) struct Outlet {
    decoder: Decoder,
    prepared: Prepared,
    dynamics: Dynamics,
    safety: Safety,
    bin_ms: f64,
    /// The bin before.
    last: Option<u64>,
    /// Where the cursor's decoder last knew it.
    position: Option<[f32; AXES_MAX]>,
    /// From the cursor to the nearest magnetic target.
    way: Option<[f32; AXES_MAX]>,
}

impl Outlet {
    pub(super) fn new(decoder: Decoder, config: &Config, schedule: &BinSchedule) -> Self {
        let bin_ms = schedule.width_ms();
        Outlet {
            decoder,
            prepared: Prepared::default(),
            dynamics: Dynamics::new(config.cursor, bin_ms * 1e-3),
            safety: Safety::new(config.safety),
            bin_ms,
            last: None,
            position: None,
            way: None,
        }
    }

    /// Decodes the next bin and lets through what may pass.
    pub(super) fn decode(&mut self, bin: &Bin) -> Intent {
        if bin.starts_segment {
            self.dynamics.reset();
        }
        self.prepared.before(bin, &mut self.decoder, &mut self.safety);
        let mut intent = self.decoder.decode(bin);
        // Bins that nobody told of were lost too.
        let missing = self.last.map_or(0, |last| bin.index.saturating_sub(last + 1));
        self.last = Some(bin.index);
        let is_known = bin.received_frames > 0;
        if missing > 0 {
            let nothing = Wanted { velocity: [0.0; AXES_MAX], click: None, is_known: false };
            self.safety.step(&nothing, missing as f64 * self.bin_ms);
        }
        let velocity = match intent.action {
            Action::Move { velocity, n_axes, .. } => self.dynamics.step(used(velocity, n_axes), self.way),
            Action::Choose { .. } => [0.0; AXES_MAX],
        };
        let click = self.decoder.click();
        let allowed = self.safety.step(&Wanted { velocity, click, is_known }, self.bin_ms);
        (intent.button, intent.hold) = (allowed.button, allowed.hold);
        let is_finite = velocity.iter().all(|v| v.is_finite());
        if !is_finite {
            self.decoder.reset();
        }
        match &mut intent.action {
            Action::Move { n_axes, velocity, position } => {
                velocity[..*n_axes].copy_from_slice(&allowed.velocity[..*n_axes]);
                // What is held stays where it was; so does what is nowhere.
                let is_nowhere = position.is_some_and(|at| at[..*n_axes].iter().any(|at| !at.is_finite()));
                if position.is_some() && (allowed.hold.is_some() || is_nowhere) {
                    *position = Some(self.position.unwrap_or([0.0; AXES_MAX]));
                }
                self.position = *position;
            }
            Action::Choose { probability, .. } => {
                if allowed.hold.is_some() || !probability.is_finite() {
                    *probability = 0.0;
                }
            }
        }
        intent
    }

    /// Goes on with `prepared` behind bin `bin`; false where it is of another shape.
    pub(super) fn take_over_behind(&mut self, bin: u64, prepared: Decoder) -> bool {
        self.prepared.put(bin, prepared, &self.decoder)
    }

    /// Goes on with `prepared` at once, which becomes what was live; false, and nothing happens, where it is of another shape.
    pub(super) fn take_over(&mut self, prepared: &mut Decoder) -> bool {
        self.decoder.take_over(prepared)
    }

    /// From bin `bin` on, `said` counts.
    pub(super) fn say(&mut self, bin: u64, said: Said) {
        self.prepared.say(bin, said);
    }

    /// Does what can be done for the next bin while there is time. Changes no result.
    pub(super) fn prepare(&mut self) {
        self.decoder.prepare();
    }

    /// Stops everything at once.
    pub(super) fn panic(&mut self) {
        self.safety.panic();
    }

    /// Someone holds the way to resume, or lets go of it.
    pub(super) fn hold_to_resume(&mut self, is_held: bool) {
        self.safety.hold_to_resume(is_held);
    }

    /// What ends only when someone holds to resume.
    pub(super) fn stopped(&self) -> Option<Hold> {
        self.safety.stopped()
    }

    /// The way from the cursor to the nearest magnetic target, until told otherwise.
    pub(super) fn attract(&mut self, way: Option<[f32; AXES_MAX]>) {
        self.way = way;
    }

    /// Where the cursor was at the end of the last bin.
    pub(super) fn place_cursor(&mut self, position: [f64; AXES_MAX]) {
        self.decoder.place_cursor(position);
    }

    /// As if just built; a panic goes on.
    pub(super) fn reset(&mut self) {
        self.decoder.reset();
        self.dynamics.reset();
        self.safety.reset();
        (self.last, self.position, self.way) = (None, None, None);
    }
}

/// The axes in use, the others 0.
fn used(mut velocity: [f32; AXES_MAX], n_axes: usize) -> [f32; AXES_MAX] {
    velocity[n_axes..].fill(0.0);
    velocity
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Features, NormaliserKind};
    use crate::decode::{ClickRule, Clicker, LinearDecoder, Normaliser, Output, Weights};
    use crate::time::{SampleIndex, SampleRate};
    use ndarray::Array2;

    /// Says ten times what the one channel counts, as x and as its place.
    fn outlet(text: &str) -> Outlet {
        let weights = Weights {
            n_features: 1,
            lags: 1,
            n_states: 4,
            readout: vec![10.0, 0.0, 1.0, 0.0],
            recurrence: Vec::new(),
            output: Vec::new(),
            offset: vec![0.0; 4],
        };
        let linear =
            LinearDecoder::new(weights, Output::Move { n_axes: 2, has_position: true }).expect("sizes fit");
        let counts = Array2::from_shape_vec((2, 1), vec![-1.0, 1.0]).expect("two of one");
        let normaliser = Normaliser::fit(NormaliserKind::Zscore, counts.view(), &[true]);
        let config = Config::parse(text, "test").expect("legal");
        let schedule =
            BinSchedule::new(SampleRate::new(1000.0, "test").expect("legal"), 20.0).expect("legal");
        Outlet::new(Decoder::new(normaliser, linear), &config, &schedule)
    }

    fn bin(index: u64, count: f32, received_frames: u32) -> Bin {
        let mut bin = Bin::new(Features::Counts, 1);
        (bin.index, bin.end, bin.received_frames) = (index, SampleIndex((index + 1) * 20), received_frames);
        bin.features[0] = count;
        bin.starts_segment = false;
        bin.unknown.fill(0);
        bin
    }

    fn of(intent: &Intent) -> (f32, f32) {
        match intent.action {
            Action::Move { velocity, position, .. } => (velocity[0], position.expect("it has one")[0]),
            Action::Choose { .. } => panic!("it moves"),
        }
    }

    #[test]
    fn what_is_implausible_or_stale_rests_where_it_was() {
        let mut outlet = outlet("[safety]\nspeed_max = 20.0");
        let first = outlet.decode(&bin(0, 1.0, 20));
        let (speed, place) = of(&first);
        assert!(speed > 5.0 && first.hold.is_none());
        let fast = outlet.decode(&bin(1, 5.0, 20));
        assert_eq!((of(&fast), fast.hold), ((0.0, place), Some(Hold::Implausible)));
        (2..6).for_each(|index| assert_eq!(outlet.decode(&bin(index, 1.0, 0)).hold, None));
        let stale = outlet.decode(&bin(6, 1.0, 0));
        assert_eq!(stale.hold, Some(Hold::Stale));
        assert_eq!(outlet.decode(&bin(7, 1.0, 20)).hold, None);
        // Nobody told of 50 bins: a second, as if they had been lost one by one.
        assert_eq!(outlet.decode(&bin(58, 1.0, 20)).hold, Some(Hold::Disconnected));
        assert_eq!(outlet.stopped(), Some(Hold::Disconnected));
    }

    #[test]
    fn what_is_no_number_never_passes_and_leaves_no_trace() {
        let mut outlet = outlet("[cursor]\nsmoothing_ms = 50");
        let calm = of(&outlet.decode(&bin(0, 1.0, 20))).0;
        for count in [f32::NAN, f32::INFINITY, f32::MAX] {
            let intent = outlet.decode(&bin(1, count, 20));
            assert_eq!((of(&intent).0, intent.hold), (0.0, Some(Hold::Implausible)), "{count}");
        }
        let after = outlet.decode(&bin(4, 1.0, 20));
        assert!(of(&after).0 > calm && after.hold.is_none(), "on from {calm}: {after:?}");
    }

    #[test]
    fn a_button_goes_down_by_what_the_same_bins_say_and_safety_lets_it() {
        let Outlet { decoder, .. } = outlet("");
        let weights = Weights {
            n_features: 1,
            lags: 1,
            n_states: 2,
            readout: vec![0.0, 4.0],
            recurrence: Vec::new(),
            output: Vec::new(),
            offset: vec![0.0, -2.0],
        };
        let linear = LinearDecoder::new(weights, Output::Choose).expect("sizes fit");
        let classes = Decoder::new(decoder.normaliser().clone(), linear);
        assert!(Clicker::new(decoder.clone(), ClickRule::default()).is_none(), "it doesn't choose");
        let clicker = Clicker::new(classes, ClickRule::default()).expect("two classes");
        let decoder = decoder.with_click(clicker).expect("one feature each");
        let mut outlet = Outlet { decoder, ..outlet("") };
        let mut pressed =
            |index: u64, count: f32, received: u32| outlet.decode(&bin(index, count, received)).button;
        let n_down: Vec<bool> = (0..10).map(|index| pressed(index, 1.0, 20)).collect();
        assert!(!n_down[0] && !n_down[1] && n_down[9], "sure after some bins: {n_down:?}");
        assert!(pressed(10, 1.0, 0), "one bin alone is lost");
        let stale: Vec<bool> = (11..20).map(|index| pressed(index, 1.0, 0)).collect();
        assert!(stale.contains(&false) && !stale[8], "data goes stale: {stale:?}");
        assert!(!pressed(20, 1.0, 20), "an old click presses nothing again");
        (21..40).for_each(|index| assert!(!pressed(index, -1.0, 20)));
        assert!((40..60).any(|index| pressed(index, 1.0, 20)));
    }

    #[test]
    fn a_panic_holds_from_the_next_bin_on_until_resumed() {
        let mut outlet = outlet("");
        assert!(outlet.decode(&bin(0, 1.0, 20)).hold.is_none());
        outlet.panic();
        assert_eq!(outlet.decode(&bin(1, 1.0, 20)).hold, Some(Hold::Panic));
        outlet.hold_to_resume(true);
        let n_held = (2..60).filter(|&index| outlet.decode(&bin(index, 1.0, 20)).hold.is_some()).count();
        assert_eq!(n_held, 25, "half a second of 20 ms");
    }
}
