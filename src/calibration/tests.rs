//! The flow: its phases in order, and what holds on any course.

use super::*;
use proptest::prelude::*;
use proptest::test_runner::RngSeed;

fn flow() -> Flow<u32> {
    Flow::new(Plan::default(), Some(0))
}

fn pass(flow: &mut Flow<u32>, seconds: f64) {
    let steps = (seconds / 0.02).round() as usize;
    (0..steps).for_each(|_| flow.tell(Happens::Passed(0.02)));
}

#[test]
fn observe_fit_assisted_free_in_three_minutes() {
    let mut flow = flow();
    assert_eq!(flow.seconds_left(), 180.0);
    let mut seen = Vec::new();
    let (mut steps, mut model) = (0, 0);
    while flow.phase() != Some(Phase::Free) {
        let phase = flow.phase().expect("no break");
        if seen.last() != Some(&phase) {
            seen.push(phase);
        }
        match phase {
            Phase::Fit => {
                model += 1;
                assert_eq!(flow.drives(), None);
                flow.tell(Happens::Fitted(model));
            }
            _ => {
                steps += 1;
                flow.tell(Happens::Passed(0.02));
            }
        }
        if flow.phase() != Some(Phase::Free) {
            assert_eq!(flow.in_use(), Some(&0), "until it is over");
        }
    }
    assert_eq!(steps, 9_000);
    let assisted = |assistance| Phase::Assisted { assistance };
    let wanted = [
        Phase::Observe,
        Phase::Fit,
        assisted(0.7),
        Phase::Fit,
        assisted(0.35),
        Phase::Fit,
        assisted(0.0),
        Phase::Fit,
    ];
    assert_eq!(seen, wanted);
    assert_eq!((flow.in_use(), flow.drives(), model), (Some(&4), Some(&4), 4));
}

#[test]
fn a_break_stops_the_time_and_the_cursor_and_a_cancel_leaves_what_was() {
    let mut flow = flow();
    pass(&mut flow, 60.0);
    flow.tell(Happens::Fitted(1));
    pass(&mut flow, 10.0);
    assert_eq!(flow.drives(), Some(&1));
    flow.tell(Happens::Pause);
    let left = flow.seconds_left();
    pass(&mut flow, 100.0);
    assert_eq!((flow.phase(), flow.drives(), flow.seconds_left()), (None, None, left));
    flow.tell(Happens::Resume);
    assert_eq!(flow.phase(), Some(Phase::Assisted { assistance: 0.7 }));
    flow.tell(Happens::Cancel);
    assert_eq!((flow.phase(), flow.in_use(), flow.drives()), (Some(Phase::Cancelled), Some(&0), Some(&0)));
    flow.tell(Happens::Fitted(9));
    assert_eq!(flow.in_use(), Some(&0), "a fit that comes too late");
}

#[test]
fn a_fit_that_fails_can_be_tried_again_with_more() {
    let mut flow = flow();
    pass(&mut flow, 60.0);
    flow.tell(Happens::FitFailed);
    assert_eq!((flow.phase(), flow.drives(), flow.in_use()), (Some(Phase::Failed), None, Some(&0)));
    flow.tell(Happens::Retry);
    assert_eq!(flow.phase(), Some(Phase::Observe));
    pass(&mut flow, 60.0);
    flow.tell(Happens::Fitted(1));
    pass(&mut flow, 40.0);
    flow.tell(Happens::FitFailed);
    flow.tell(Happens::Retry);
    assert_eq!(flow.phase(), Some(Phase::Assisted { assistance: 0.7 }), "the round before");
    assert_eq!(flow.drives(), Some(&1));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, rng_seed: RngSeed::Fixed(1), ..ProptestConfig::default() })]

    #[test]
    fn no_half_made_model_is_ever_in_use(course in prop::collection::vec((0..12u8, 0.0..30.0f64), 1..200)) {
        let mut flow = flow();
        let (mut next, mut seconds) = (0, 0.0);
        for (what, length) in course {
            let before = flow.phase();
            match what {
                0..=4 => {
                    let is_timed = matches!(before, Some(Phase::Observe | Phase::Assisted { .. }));
                    seconds += if is_timed { length } else { 0.0 };
                    flow.tell(Happens::Passed(length));
                }
                5..=8 => {
                    next += 1;
                    flow.tell(Happens::Fitted(next));
                }
                9 => flow.tell(Happens::Pause),
                10 => flow.tell(Happens::Resume),
                _ if length < 3.0 => flow.tell(Happens::Cancel),
                _ => flow.tell(Happens::FitFailed),
            }
            let in_use = *flow.in_use().expect("there was one before");
            match flow.phase() {
                Some(Phase::Free) => {
                    prop_assert!(in_use > 0 && seconds >= 180.0 - 1e-3, "{} s", seconds);
                    prop_assert_eq!(flow.drives(), Some(&in_use));
                }
                phase => {
                    prop_assert_eq!(in_use, 0);
                    let is_assisted = matches!(phase, Some(Phase::Assisted { .. }));
                    prop_assert!(is_assisted || phase == Some(Phase::Cancelled) || flow.drives().is_none());
                }
            }
            prop_assert!(flow.seconds_left() >= 0.0 && flow.seconds_left() <= 180.0);
        }
    }
}
