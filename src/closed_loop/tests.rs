//! What the shipped users reach with an ideal cursor: their own ceiling, which they are fitted to.

use super::*;
use crate::block::StreamKind;
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
