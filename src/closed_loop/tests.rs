//! What the shipped users reach with an ideal cursor: their own ceiling, which they are fitted to.

use super::*;
use crate::block::StreamKind;
use crate::calibration::{Happens, Round};
use crate::device::Profile;
use crate::sources::simulator::Settings;

/// Median over five seeds of a minute of Webgrid, 30 × 30, with an ideal cursor: bits/s, and Fitts' throughput.
fn ideal(user: &UserSettings) -> [f64; 2] {
    let mut simulator = Settings::new(Profile::named("neuralink-n1").expect("it ships"));
    simulator.kind = StreamKind::Counts;
    let mut scores: Vec<Scores> = (1..=5)
        .map(|seed| {
            let settings = LoopSettings {
                simulator: Settings { seed, ..simulator.clone() },
                config: Config::default(),
                plan: Plan::default(),
                method: Method::default(),
                user: user.clone(),
                task: TaskKind::Webgrid { side: 30 },
                seconds: 60.0,
                click: ClickBy::Switch,
                is_ideal: true,
            };
            let session = run(&settings, |_, _| ()).expect("nothing to go wrong");
            assert!(session.calibrated.is_none() && session.held_steps == 0);
            session.scores(settings.task)
        })
        .collect();
    let mut median = |of: fn(&Scores) -> Option<f64>| {
        scores.sort_by(|a, b| of(a).partial_cmp(&of(b)).expect("numbers"));
        of(&scores[2]).expect("it clicked")
    };
    [
        median(|scores| scores.bits_per_second),
        median(|scores| scores.throughput.map(|throughput| throughput.bits_per_second)),
    ]
}

#[test]
fn a_calibration_of_too_few_targets_is_refused() {
    let mut simulator = Settings::new(Profile::named("neuralink-n1").expect("it ships"));
    (simulator.kind, simulator.electrodes, simulator.seed) = (StreamKind::Counts, 64, 1);
    let settings = LoopSettings {
        simulator,
        config: Config::default(),
        plan: Plan { observe_seconds: 3.0, assisted: Vec::new() },
        method: Method::default(),
        user: UserSettings::typical(),
        task: TaskKind::CenterOut,
        seconds: 10.0,
        click: ClickBy::Switch,
        is_ideal: false,
    };
    let error = run(&settings, |_, _| ()).expect_err("three seconds are no calibration").to_string();
    assert!(error.contains("targets were shown, at least 8 are needed"), "{error}");
}

#[test]
fn with_an_ideal_cursor_the_expert_is_as_good_as_the_best_with_a_mouse() {
    let [bits, throughput] = ideal(&UserSettings::expert());
    println!("synthetic, seeds 1 to 5: {bits:.2} bits/s, throughput {throughput:.2} bits/s");
    assert!((bits - 17.1).abs() < 1.0, "{bits} bits/s");
}

#[test]
fn with_an_ideal_cursor_the_typical_user_is_as_good_as_people_with_a_mouse() {
    let [bits, throughput] = ideal(&UserSettings::typical());
    println!("synthetic, seeds 1 to 5: {bits:.2} bits/s, throughput {throughput:.2} bits/s");
    assert!((throughput - 4.5).abs() < 0.4, "{throughput} bits/s");
}

/// A small implant's calibration of `seconds`, all of it observing but two rounds of 4 s.
fn small(seconds: f64, modulation: &str) -> (CalibrationSettings, Settings) {
    let address = format!("sim:neuralink-n1,kind=counts,width_ms=20,electrodes=96,seed=3{modulation}");
    let round = |assistance| Round { seconds: 4.0, assistance };
    let settings = CalibrationSettings {
        config: Config::default(),
        plan: Plan { observe_seconds: seconds - 8.0, assisted: vec![round(0.5), round(0.0)] },
        clicks: false,
        keeps_statistics: false,
        seed: 1,
    };
    (settings, Settings::parse(&address).expect("legal"))
}

fn with_user(simulator: &Settings) -> Subject {
    Subject::Simulated(Box::new(simulator.clone()), Box::new(UserSettings::typical()))
}

#[test]
fn a_break_takes_nothing_of_the_users_time_and_nothing_of_it_is_learnt() {
    let (settings, simulator) = small(60.0, "");
    let mut views: Vec<View> = Vec::new();
    let mut attend = |view: &View| {
        views.push(view.clone());
        match views.len() {
            400 => Some(Happens::Pause),
            500 => Some(Happens::Resume),
            _ => None,
        }
    };
    let done = calibrate(&settings, with_user(&simulator), &mut attend).expect("it can be fitted");
    let (calibrated, info, _) = done.expect("nobody cancelled");
    let judged = calibrated.judged.expect("it was asked for");
    assert_eq!((judged.n_bins, judged.n_observed), (3000, 2600), "the plan's bins alone");
    assert!((calibrated.seconds - 60.0).abs() < 1e-6 && info.n_channels() == 96);
    assert!(judged.held_out.velocity_r2.expect("it moves").mean > 0.3);
    let of = |doing| views.iter().filter(|view| view.doing == doing).count();
    assert_eq!((of(Doing::Observing), of(Doing::Paused), of(Doing::Assisted)), (2600, 100, 400));
    let still = |view: &View| view.velocity == [0.0; 2] && view.target.is_none();
    assert!(views.iter().filter(|view| view.doing == Doing::Paused).all(still));
    assert!(views.iter().filter(|view| view.doing == Doing::Assisted).all(|view| view.target.is_some()));
}

#[test]
fn whoever_cancels_gets_nothing_at_any_point() {
    let (settings, simulator) = small(40.0, "");
    for at in [1, 700, 1800] {
        let mut n = 0;
        let mut attend = |_: &View| {
            n += 1;
            (n == at).then_some(Happens::Cancel)
        };
        let done = calibrate(&settings, with_user(&simulator), &mut attend).expect("it may be cancelled");
        assert!(done.is_none() && n == at, "cancelled at {at}, asked {n} times");
    }
}

#[test]
fn a_person_who_goes_along_with_nothing_is_told_so_and_may_try_again() {
    let (settings, simulator) = small(30.0, "");
    // Nobody tells this tissue what is on the screen.
    let source = simulator::Simulator::new(&simulator).expect("legal");
    let (mut n_waits, mut problems) = (0, Vec::new());
    let mut attend = |view: &View| {
        let problem = view.problem.clone()?;
        assert_eq!(view.doing, Doing::Waiting);
        n_waits += 1;
        problems.push(problem);
        Some(if n_waits == 1 { Happens::Retry } else { Happens::Cancel })
    };
    let done = calibrate(&settings, Subject::Person(Box::new(source)), &mut attend);
    let error = done.expect_err("nothing was learnt").to_string();
    assert!(n_waits == 2 && problems[1] == error, "{problems:?}");
    assert!(error.contains("calibrat"), "{error}");
}
