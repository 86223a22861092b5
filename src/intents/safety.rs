//! The last stage before any sink: what must not happen doesn't, whatever the decoder says.
//!
//! In: what a bin is decoded to, and how much of the stream's time has passed. Out: what a sink may do. Time is the stream's,
//! so that a replay does what the live run did; how late a bin came by the clock is `live`'s to judge, with the same result.
//! Guarantees, each held by a test of random streams:
//!
//! - what passes is finite and not faster than [`SafetyConfig::speed_max`];
//! - nothing known for [`SafetyConfig::stale_ms`]: the cursor rests and the button is up, and an old click doesn't press it
//!   again: it must be seen to end first;
//! - the button goes down at [`SafetyConfig::click_confidence`] and above alone, and never at what is no number;
//! - from [`Safety::panic`] on nothing moves until someone holds the way to resume for [`SafetyConfig::resume_hold_ms`];
//! - nothing known for [`SafetyConfig::disconnect_ms`]: the same, but that the user can resume too, by holding a click or
//!   the cursor still for as long.

use super::AXES_MAX;
use crate::config::SafetyConfig;
use serde::Serialize;

/// Why everything is held still.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Hold {
    /// Nothing was known for too long.
    Stale,
    /// No velocity, or one that nobody intends.
    Implausible,
    /// Nothing was known for so long that the user must hold to resume.
    Disconnected,
    /// Someone said so.
    Panic,
}

/// What a bin was decoded to.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Wanted {
    /// In the model's unit a second; axes that aren't in use are 0.
    pub velocity: [f32; AXES_MAX],
    /// Probability of a click; `None` of a decoder that knows none.
    pub click: Option<f32>,
    /// Something of the bin came.
    pub is_known: bool,
}

/// What a sink may do.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Allowed {
    /// As it was wanted, or 0.
    pub velocity: [f32; AXES_MAX],
    /// The button is down.
    pub button: bool,
    /// Why everything is held still, if it is.
    pub hold: Option<Hold>,
}

impl Allowed {
    /// Rest.
    fn nothing(hold: Hold) -> Self {
        Allowed { velocity: [0.0; AXES_MAX], button: false, hold: Some(hold) }
    }
}

/// The last stage, with its state.
#[derive(Clone, Debug, PartialEq)]
pub struct Safety {
    config: SafetyConfig,
    /// What ends only when someone holds to resume.
    stopped: Option<Hold>,
    /// How long nothing has been known.
    unknown_ms: f64,
    /// How long the way to resume has been held.
    held_ms: f64,
    button: bool,
    /// The last click was seen to end: the next may press.
    is_armed: bool,
    /// Someone holds the way to resume, from outside.
    is_resuming: bool,
}

impl Safety {
    /// Of a stream that begins: it may move at once.
    pub fn new(config: SafetyConfig) -> Self {
        Safety {
            config,
            stopped: None,
            unknown_ms: 0.0,
            held_ms: 0.0,
            button: false,
            is_armed: true,
            is_resuming: false,
        }
    }

    /// What may be done for a bin, `ms` of the stream after the one before.
    pub fn step(&mut self, wanted: &Wanted, ms: f64) -> Allowed {
        self.unknown_ms = if wanted.is_known { 0.0 } else { self.unknown_ms + ms };
        if self.unknown_ms >= self.config.disconnect_ms && self.stopped.is_none() {
            self.stopped = Some(Hold::Disconnected);
        }
        let click = wanted.click.filter(|click| click.is_finite()).map(f64::from);
        let is_click = click.is_some_and(|click| click >= self.config.click_confidence);
        let is_plausible = self.is_plausible(&wanted.velocity);
        if let Some(hold) = self.stopped {
            let is_held = self.is_resuming
                || hold == Hold::Disconnected && (is_click || self.is_still(&wanted.velocity));
            self.held_ms = if is_held && wanted.is_known && is_plausible { self.held_ms + ms } else { 0.0 };
            if self.held_ms < self.config.resume_hold_ms || self.held_ms == 0.0 {
                return self.rest(hold);
            }
            self.stopped = None;
            self.is_resuming = false;
            self.held_ms = 0.0;
            // What resumed is no click.
            return self.rest(hold);
        }
        if self.unknown_ms >= self.config.stale_ms {
            return self.rest(Hold::Stale);
        }
        if !is_plausible {
            return self.rest(Hold::Implausible);
        }
        // Where nothing is known nothing is pressed; what is down stays down until that is too long.
        if wanted.is_known {
            let is_released = click.is_none_or(|click| click < self.config.release_confidence);
            self.is_armed |= is_released;
            self.button = !is_released && (self.button || is_click && self.is_armed);
            self.is_armed &= !self.button;
        }
        Allowed { velocity: wanted.velocity, button: self.button, hold: None }
    }

    /// Stops everything at once: what may be done from now on, without waiting for a bin.
    pub fn panic(&mut self) -> Allowed {
        self.stopped = Some(Hold::Panic);
        self.is_resuming = false;
        self.held_ms = 0.0;
        self.rest(Hold::Panic)
    }

    /// Someone begins to hold the way to resume, or lets go of it. Let go by itself when that was long enough.
    pub fn hold_to_resume(&mut self, is_held: bool) {
        self.is_resuming = is_held && self.stopped.is_some();
    }

    /// What ends only when someone holds to resume.
    pub fn stopped(&self) -> Option<Hold> {
        self.stopped
    }

    /// The stream begins anew. Who stopped it is not forgotten.
    pub fn reset(&mut self) {
        let stopped = self.stopped.filter(|hold| *hold == Hold::Panic);
        *self = Safety { stopped, ..Safety::new(self.config) };
    }

    fn rest(&mut self, hold: Hold) -> Allowed {
        self.button = false;
        self.is_armed = false;
        Allowed::nothing(hold)
    }

    fn is_plausible(&self, velocity: &[f32; AXES_MAX]) -> bool {
        let speed = speed(velocity);
        speed.is_finite() && (self.config.speed_max <= 0.0 || speed <= self.config.speed_max)
    }

    /// Without a limit nothing tells still from moving: then what is plausible is still.
    fn is_still(&self, velocity: &[f32; AXES_MAX]) -> bool {
        self.config.speed_max <= 0.0 || speed(velocity) <= self.config.speed_max * self.config.still_share
    }
}

fn speed(velocity: &[f32; AXES_MAX]) -> f64 {
    velocity.iter().map(|v| f64::from(*v).powi(2)).sum::<f64>().sqrt()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use proptest::test_runner::RngSeed;

    const MS: f64 = 20.0;

    fn safety() -> Safety {
        Safety::new(SafetyConfig { speed_max: 1.0, ..SafetyConfig::default() })
    }

    fn wanted(x: f32, click: Option<f32>, is_known: bool) -> Wanted {
        Wanted { velocity: [x, 0.0, 0.0], click, is_known }
    }

    #[test]
    fn stale_data_freeze_after_100_ms_release_the_button_and_come_back_by_themselves() {
        let mut safety = safety();
        let moving = wanted(0.5, Some(0.95), true);
        assert_eq!(safety.step(&moving, MS), Allowed { velocity: [0.5, 0.0, 0.0], button: true, hold: None });
        let lost = wanted(0.5, Some(0.95), false);
        for _ in 0..4 {
            assert_eq!(safety.step(&lost, MS).hold, None, "a short gap is the decoder's to bridge");
        }
        assert_eq!(safety.step(&lost, MS), Allowed::nothing(Hold::Stale));
        let back = safety.step(&moving, MS);
        assert_eq!((back.velocity[0], back.button), (0.5, false), "an old click presses nothing");
        safety.step(&wanted(0.5, Some(0.1), true), MS);
        assert!(safety.step(&moving, MS).button, "a new one does");
    }

    #[test]
    fn after_a_disconnect_the_user_holds_still_or_clicks_to_resume() {
        for resumes in [wanted(0.05, None, true), wanted(0.5, Some(0.99), true)] {
            let mut safety = safety();
            for _ in 0..50 {
                safety.step(&wanted(0.0, None, false), MS);
            }
            assert_eq!(safety.stopped(), Some(Hold::Disconnected));
            for _ in 0..100 {
                assert_eq!(safety.step(&wanted(0.5, None, true), MS), Allowed::nothing(Hold::Disconnected));
            }
            (0..24).for_each(|_| assert!(safety.step(&resumes, MS).hold.is_some()));
            safety.step(&wanted(0.5, None, true), MS);
            (0..25).for_each(|_| assert!(safety.step(&resumes, MS).hold.is_some(), "all of it anew"));
            assert_eq!(safety.step(&wanted(0.5, None, true), MS).velocity[0], 0.5);
        }
    }

    #[test]
    fn panic_ends_by_a_hold_from_outside_alone() {
        let mut safety = safety();
        assert!(safety.step(&wanted(0.5, Some(1.0), true), MS).button);
        assert_eq!(safety.panic(), Allowed::nothing(Hold::Panic));
        for click in [None, Some(1.0)] {
            (0..100)
                .for_each(|_| assert_eq!(safety.step(&wanted(0.0, click, true), MS).hold, Some(Hold::Panic)));
        }
        safety.reset();
        assert_eq!(safety.stopped(), Some(Hold::Panic), "a stream that begins anew resumes nothing");
        safety.hold_to_resume(true);
        for _ in 0..10 {
            safety.step(&wanted(0.5, None, true), MS);
        }
        safety.hold_to_resume(false);
        safety.step(&wanted(0.5, None, true), MS);
        safety.hold_to_resume(true);
        (0..25).for_each(|_| assert!(safety.step(&wanted(0.5, None, true), MS).hold.is_some()));
        assert_eq!(safety.step(&wanted(0.5, None, true), MS).hold, None);
    }

    #[derive(Clone, Copy, Debug)]
    enum Happens {
        Bin(Wanted, f64),
        Panic,
        Resume(bool),
        Reset,
    }

    fn happens() -> impl Strategy<Value = Happens> {
        let click = prop_oneof![Just(None), prop::num::f32::ANY.prop_map(Some), (0.0f32..1.0).prop_map(Some)];
        let v = || prop_oneof![4 => -2.0f32..2.0, 1 => -0.05f32..0.05, 1 => prop::num::f32::ANY];
        let bin = (v(), v(), click, prop::bool::weighted(0.7), 1.0..60.0f64);
        prop_oneof![
            40 => bin.prop_map(|(x, y, click, is_known, ms)| {
                Happens::Bin(Wanted { velocity: [x, y, 0.0], click, is_known }, ms)
            }),
            1 => Just(Happens::Panic),
            2 => any::<bool>().prop_map(Happens::Resume),
            1 => Just(Happens::Reset),
        ]
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 512, rng_seed: RngSeed::Fixed(1), ..ProptestConfig::default() })]

        #[test]
        fn nothing_unsafe_passes_whatever_happens(course in prop::collection::vec(happens(), 1..300)) {
            let mut safety = safety();
            let (mut unknown_ms, mut panicked, mut held_ms, mut was_down) = (0.0, false, 0.0, false);
            for happens in course {
                match happens {
                    Happens::Panic => {
                        prop_assert_eq!(safety.panic(), Allowed::nothing(Hold::Panic));
                        (panicked, held_ms, was_down) = (true, 0.0, false);
                    }
                    Happens::Resume(is_held) => safety.hold_to_resume(is_held),
                    Happens::Reset => {
                        safety.reset();
                        (unknown_ms, was_down) = (0.0, false);
                    }
                    Happens::Bin(wanted, ms) => {
                        unknown_ms = if wanted.is_known { 0.0 } else { unknown_ms + ms };
                        held_ms = if panicked && safety.is_resuming && wanted.is_known { held_ms + ms } else { 0.0 };
                        let allowed = safety.step(&wanted, ms);
                        prop_assert!(speed(&allowed.velocity) <= 1.0, "finite and plausible: {:?}", allowed);
                        if allowed.hold.is_some() {
                            prop_assert!(allowed.velocity == [0.0; 3] && !allowed.button);
                        } else {
                            prop_assert_eq!(allowed.velocity, wanted.velocity, "it changes nothing");
                        }
                        prop_assert!(unknown_ms < 100.0 || allowed.hold.is_some(), "stale");
                        if allowed.button && !was_down {
                            prop_assert!(wanted.is_known && wanted.click.is_some_and(|click| click >= 0.9));
                        }
                        if panicked {
                            prop_assert!(allowed.hold == Some(Hold::Panic), "until it is held to resume");
                            panicked = safety.stopped() == Some(Hold::Panic);
                            prop_assert!(panicked || held_ms >= 500.0, "after {} ms", held_ms);
                        }
                        was_down = allowed.button;
                    }
                }
            }
        }
    }
}
