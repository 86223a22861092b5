//! Users against cursors whose answer is known.

use super::super::Shape;
use super::*;

fn target(x: f64) -> Option<Target> {
    Some(Target { center: [x, 0.0], half_width: 0.01, shape: Shape::Round })
}

fn quiet() -> UserSettings {
    UserSettings { noise_share: 0.0, noise_floor: 0.0, fatigue_share: 0.0, ..UserSettings::typical() }
}

#[test]
fn it_wants_the_target_after_it_saw_it_and_no_faster_than_it_can() {
    let mut user = User::new(quiet(), 0.02, 1);
    let steps = (quiet().visual_delay_ms / 20.0).round() as usize;
    for _ in 0..steps {
        assert_eq!(user.look([0.0; 2], target(1.0)), [0.0; 2], "the delay is not over");
    }
    assert_eq!(user.look([0.0; 2], target(1.0)), [quiet().speed_max, 0.0]);
}

#[test]
fn it_goes_along_as_late_and_as_much_as_it_pays_heed() {
    let mut user = User::new(quiet(), 0.02, 1);
    assert_eq!(user.go_along([0.2, -0.1]), [0.2, -0.1]);
    let late = UserSettings { follow_delay_ms: 60.0, follow_share: 0.5, ..quiet() };
    let mut user = User::new(late, 0.02, 1);
    let went: Vec<f64> = (1..=5).map(|n| user.go_along([f64::from(n), 0.0])[0]).collect();
    assert_eq!(went, [0.0, 0.0, 0.0, 0.5, 1.0]);
}

/// The cursor answers `gain` times what it wants, as a cursor of [`shares`] does.
fn reach(user: &mut User, gain: f64, goal: impl Fn(usize) -> f64, n: usize) -> Vec<f64> {
    let (mut x, mut asked) = (0.0, Vec::new());
    let step = |n: usize| {
        asked.push(user.look([x, 0.0], target(goal(n)))[0]);
        let answers = shares().0.into_iter().zip(asked.iter().rev());
        x += gain * answers.map(|(share, asked)| share * asked).sum::<f64>() * 0.02;
        x
    };
    (0..n).map(step).collect()
}

fn shares() -> Answer {
    Answer(vec![0.0, 0.0, 0.0, 0.1, 0.2, 0.4, 0.2, 0.1])
}

#[test]
fn it_foresees_what_it_asked_for_and_arrives_without_orbiting() {
    let used = |settings: UserSettings| {
        let mut user = User::new(settings, 0.02, 1);
        user.get_used_to(CursorConfig::default(), shares());
        user
    };
    let most = |path: &[f64]| path.iter().copied().fold(0.0, f64::max);
    let path = reach(&mut used(quiet()), 1.0, |_| 0.1, 200);
    assert!(most(&path) <= 0.102, "no further than the target: {}", most(&path));
    assert!((path[80] - 0.1).abs() < 0.01, "there after 1.6 s: {}", path[80]);
    // Who doesn't foresee goes too far, by most of what it asked for in the delays.
    let path = reach(&mut used(UserSettings { model_gain: 0.0, ..quiet() }), 1.0, |_| 0.1, 200);
    assert!(most(&path) > 0.13);
    // A cursor that goes half as far it gets to know, and asks for more.
    let mut user = used(quiet());
    reach(&mut user, 0.5, |n| if n / 75 % 2 == 0 { 0.1 } else { -0.1 }, 3000);
    assert!((user.seen_gain() - 0.5).abs() < 0.1, "{}", user.seen_gain());
    // What its model has wrong it corrects when it sees it.
    let path = reach(&mut used(quiet()), 1.2, |_| 0.1, 200);
    assert!((path[150] - 0.1).abs() < 0.01, "{}", path[150]);
}

#[test]
fn it_presses_once_when_it_foresees_the_cursor_on_the_target_and_waits_for_what_comes_of_it() {
    let mut user = User::new(quiet(), 0.02, 1);
    let mut pressed = |x: f64| -> Vec<usize> {
        (0..80)
            .filter(|_| {
                user.look([0.5, 0.0], target(x));
                user.presses()
            })
            .collect()
    };
    let presses = pressed(0.5);
    let steps = |ms: f64| (ms / 20.0).round() as usize;
    let user = quiet();
    // Seen, foreseen for long enough, and pressed.
    let first = steps(user.visual_delay_ms) + steps(user.click_still_ms) + steps(user.click_delay_ms);
    assert_eq!(presses.first(), Some(&first));
    let again = steps(user.click_delay_ms + user.visual_delay_ms) + 1;
    assert!(presses.windows(2).all(|pair| pair[1] - pair[0] == again), "{presses:?}");
    let mut user = User::new(quiet(), 0.02, 1);
    let presses_aside = (0..80).filter(|_| {
        user.look([0.5, 0.0], target(5.0));
        user.presses()
    });
    assert_eq!(presses_aside.count(), 0);
}

#[test]
fn it_tires_and_its_noise_grows_with_what_it_wants() {
    let tired = |seconds: f64| {
        let mut user = User::new(UserSettings::typical(), 1.0, 1);
        for _ in 0..seconds as usize {
            user.look([0.0; 2], target(10.0));
        }
        user.vigour()
    };
    assert!((tired(1800.0) - (1.0 - 0.15 * (1.0 - (-1.0f64).exp()))).abs() < 1e-9);
    let typical = UserSettings::typical();
    let spread = |x: f64| {
        let settings = UserSettings { fatigue_share: 0.0, ..UserSettings::typical() };
        let mut user = User::new(settings, 0.02, 1);
        let y: Vec<f64> = (0..20_000).map(|_| user.look([0.0; 2], target(x))[1]).collect();
        (y[100..].iter().map(|y| y * y).sum::<f64>() / y.len() as f64).sqrt()
    };
    // The share of its speed and the floor, and the floor alone; some 2,000 independent values.
    let fast = typical.noise_share * typical.speed_max + typical.noise_floor;
    assert!((spread(100.0) / fast - 1.0).abs() < 0.1, "{}", spread(100.0));
    assert!((spread(0.0) / typical.noise_floor - 1.0).abs() < 0.1, "{}", spread(0.0));
}

#[test]
fn it_means_a_click_until_it_sees_what_came_of_it() {
    let mut user = User::new(UserSettings { click_still_ms: 0.0, ..quiet() }, 0.02, 1);
    user.get_used_to_clicks(160.0, 100.0);
    let sees = (quiet().visual_delay_ms / 20.0).round() as usize;
    // The cursor is on the target, and nothing moves.
    let means: Vec<bool> = (0..100)
        .map(|_| {
            user.look([0.1, 0.0], target(0.1));
            user.means_click()
        })
        .collect();
    let first = means.iter().position(|means| *means).expect("it is on the target");
    assert!(first >= sees, "not before it sees the target: {first}");
    // 160 ms until it lands, 200 until it is seen, 100 of patience: then it lets go, and tries again.
    let holds = means[first..].iter().take_while(|means| **means).count();
    assert!((22..=24).contains(&holds), "{holds} steps");
    // It lets go when it sees another target.
    while !user.means_click() {
        user.look([0.1, 0.0], target(0.1));
    }
    let holds = (0..50).take_while(|_| {
        user.look([0.1, 0.0], target(-0.1));
        user.means_click()
    });
    assert_eq!(holds.count(), sees);
}
