//! How well it went, by the published formulas.
//!
//! In: attempts, counts of clicks, seconds. Out: numbers; `None` where there is nothing to say. Each function names its
//! formula and where it is from. Nothing here knows whether a person or a simulated user made the attempts.

use super::{Attempt, Outcome, Point, distance};

/// Bits a second of choices among `n_targets`, by Nuyujukian et al. (2015, IEEE Trans Biomed Eng 62:21), where it is called
/// the achieved bitrate:
///
/// > B = log₂(N − 1) · max(S_c − S_i, 0) / t
///
/// with N targets on the screen at once, S_c right and S_i wrong selections in t seconds. One of the N is taken off since a
/// keyboard needs one to undo a wrong one, and each wrong one costs a right one for the same reason. 0 for fewer than
/// three targets, or for no time.
pub fn achieved_bitrate(n_targets: u32, correct: u32, incorrect: u32, seconds: f64) -> f64 {
    if n_targets < 3 || seconds.is_nan() || seconds <= 0.0 {
        return 0.0;
    }
    f64::from(n_targets - 1).log2() * f64::from(correct.saturating_sub(incorrect)) / seconds
}

/// Bits a second on Webgrid, `side` × `side` cells: [`achieved_bitrate`] with N the number of cells, not of cells a side.
///
/// No text of Neuralink's was found that says which of the two its N is. The records tell: 17.1 bits/s, which a mouse
/// reached, are 1.7 targets a second where N is 35 × 35 cells, and 3.4 where it is 35, which no hand does.
pub fn webgrid_bitrate(side: u32, correct: u32, incorrect: u32, seconds: f64) -> f64 {
    achieved_bitrate(side * side, correct, incorrect, seconds)
}

/// Throughput of pointing and what it is made of.
#[derive(Clone, Copy, Debug, PartialEq, serde::Serialize)]
pub struct Throughput {
    /// Bits a second.
    pub bits_per_second: f64,
    /// Bits.
    pub effective_difficulty: f64,
    /// Where selections would have been 96 % within, in the workspace's unit.
    pub effective_width: f64,
    /// Mean way along the axis from start to target, likewise.
    pub effective_distance: f64,
    /// Mean seconds to the selection.
    pub movement_seconds: f64,
    /// Selections.
    pub n: usize,
}

/// Fitts' throughput with effective width and distance, by ISO/TS 9241-411:2012 (annex B) in the form of Soukoreff and
/// MacKenzie (2004, Int J Hum Comput Stud 61:751):
///
/// > TP = ID_e / MT, ID_e = log₂(D_e / W_e + 1), W_e = 4.133 · SD_x
///
/// SD_x is the standard deviation (n − 1) of where selections were, along the line from start to target; D_e the mean way
/// along it, MT the mean time. A selection is the first click after a target appeared, right or wrong, or the end of a hold.
/// All attempts count as one condition: the standard has one for each distance and width. `None` for fewer than three
/// selections, or if all were at one place of their line.
pub fn fitts_throughput(attempts: &[Attempt]) -> Option<Throughput> {
    let mut along = Vec::new();
    let mut error = Vec::new();
    let mut seconds = Vec::new();
    for attempt in attempts {
        let (Some(click), way) = (attempt.first_click, distance(attempt.from, attempt.target.center)) else {
            continue;
        };
        if way <= 0.0 {
            continue;
        }
        let axis = less(attempt.target.center, attempt.from).map(|part| part / way);
        let gone = less(click.at, attempt.from);
        let gone = gone[0] * axis[0] + gone[1] * axis[1];
        along.push(gone);
        error.push(gone - way);
        seconds.push(click.seconds);
    }
    let n = along.len();
    if n < SELECTIONS_MIN {
        return None;
    }
    let middle = mean(&error)?;
    let variance = error.iter().map(|e| (e - middle).powi(2)).sum::<f64>() / (n - 1) as f64;
    let effective_width = WIDTH_OF_DEVIATION * variance.sqrt();
    let (effective_distance, movement_seconds) = (mean(&along)?, mean(&seconds)?);
    if effective_width <= 0.0 || effective_distance <= 0.0 || movement_seconds <= 0.0 {
        return None;
    }
    let effective_difficulty = (effective_distance / effective_width + 1.0).log2();
    Some(Throughput {
        bits_per_second: effective_difficulty / movement_seconds,
        effective_difficulty,
        effective_width,
        effective_distance,
        movement_seconds,
        n,
    })
}

/// Median seconds from a target's appearing to its end, hold or click included, over those that were hit (target
/// acquisition time; Gilja et al. 2012, Nat Neurosci 15:1752).
pub fn median_seconds_to_target(attempts: &[Attempt]) -> Option<f64> {
    let mut seconds: Vec<f64> = hits(attempts).map(|attempt| attempt.seconds).collect();
    seconds.sort_by(f64::total_cmp);
    let middle = seconds.len() / 2;
    match seconds.len() {
        0 => None,
        n if n % 2 == 1 => Some(seconds[middle]),
        _ => Some((seconds[middle - 1] + seconds[middle]) / 2.0),
    }
}

/// Mean of straight way over way gone, from where the cursor was to where it ended, over those that were hit: 1 for a
/// straight one (path efficiency; Simeral et al. 2011, J Neural Eng 8:025027; the inverse of the distance ratio of Gilja
/// et al. 2012). Those that ended where they began have none.
pub fn path_efficiency(attempts: &[Attempt]) -> Option<f64> {
    let of = |attempt: &Attempt| distance(attempt.from, attempt.at) / attempt.path;
    mean(&hits(attempts).filter(|attempt| attempt.path > 0.0).map(of).collect::<Vec<_>>())
}

/// Mean seconds of orbiting, over those that were hit: from when the cursor first came on the target to when it came to
/// stay (dial-in time; Gilja et al. 2012). 0 for who stops at once.
pub fn orbiting_seconds(attempts: &[Attempt]) -> Option<f64> {
    let of = |attempt: &Attempt| Some(attempt.last_touch_seconds? - attempt.first_touch_seconds?);
    mean(&hits(attempts).filter_map(of).collect::<Vec<_>>())
}

/// How many were hit, how many missed.
pub fn hits_and_misses(attempts: &[Attempt]) -> (usize, usize) {
    let n = hits(attempts).count();
    (n, attempts.len() - n)
}

fn hits(attempts: &[Attempt]) -> impl Iterator<Item = &Attempt> {
    attempts.iter().filter(|attempt| attempt.outcome == Outcome::Hit)
}

fn mean(values: &[f64]) -> Option<f64> {
    (!values.is_empty()).then(|| values.iter().sum::<f64>() / values.len() as f64)
}

fn less(a: Point, b: Point) -> Point {
    [a[0] - b[0], a[1] - b[1]]
}

/// √(2πe): the width that holds 96 % of a normal distribution carries its entropy.
const WIDTH_OF_DEVIATION: f64 = 4.133;
/// Fewer say nothing of a deviation.
const SELECTIONS_MIN: usize = 3;

#[cfg(test)]
mod tests {
    use super::super::{Click, Shape, Target};
    use super::*;

    fn near(a: f64, b: f64) -> bool {
        (a - b).abs() < 1e-9
    }

    #[test]
    fn bitrates_are_those_worked_by_hand() {
        // 33 targets, 5 bits each; 62 right and 2 wrong in a minute are one a second.
        assert!(near(achieved_bitrate(33, 62, 2, 60.0), 5.0));
        assert!(near(webgrid_bitrate(6, 60, 0, 60.0), 35f64.log2()));
        // 30 × 30: log₂ 899 = 9.81218…; 66 right and 2 wrong in a minute.
        assert!(
            (webgrid_bitrate(30, 66, 2, 60.0) - 10.466_33).abs() < 1e-4,
            "{}",
            webgrid_bitrate(30, 66, 2, 60.0)
        );
        assert_eq!(achieved_bitrate(33, 2, 62, 60.0), 0.0, "more wrong than right is nothing");
        assert_eq!(achieved_bitrate(2, 9, 0, 60.0), 0.0);
        assert_eq!(achieved_bitrate(33, 9, 0, 0.0), 0.0);
        assert_eq!(achieved_bitrate(33, 9, 0, f64::NAN), 0.0);
    }

    /// From (0, 0) to a target 10 to the right, with a first click at `at`.
    fn attempt(at: Point, seconds: f64) -> Attempt {
        let target = Target { center: [10.0, 0.0], half_width: 1.0, shape: Shape::Round };
        Attempt {
            target,
            from: [0.0, 0.0],
            at,
            seconds,
            outcome: Outcome::Hit,
            first_click: Some(Click { at, seconds, is_correct: target.contains(at) }),
            wrong_clicks: 0,
            path: 12.5,
            first_touch_seconds: Some(0.5 * seconds),
            last_touch_seconds: Some(0.75 * seconds),
        }
    }

    #[test]
    fn throughput_is_that_worked_by_hand() {
        // Along the line: 9, 10, 11, so that SD is 1, W_e 4.133, D_e 10; beside it counts for nothing. MT is 1, 2, 3.
        let attempts = [attempt([9.0, 0.5], 1.0), attempt([10.0, -0.5], 2.0), attempt([11.0, 0.0], 3.0)];
        let found = fitts_throughput(&attempts).expect("three selections");
        assert!(near(found.effective_width, 4.133) && near(found.effective_distance, 10.0));
        // log₂(10 / 4.133 + 1) = log₂ 3.41955 = 1.77381.
        assert!((found.effective_difficulty - 1.773_81).abs() < 1e-4, "{}", found.effective_difficulty);
        assert!((found.bits_per_second - 0.886_90).abs() < 1e-4, "{}", found.bits_per_second);
        assert_eq!(found.n, 3);
        assert_eq!(fitts_throughput(&attempts[..2]), None);
        let same = [attempt([10.0, 0.0], 1.0), attempt([10.0, 0.0], 1.0), attempt([10.0, 0.0], 1.0)];
        assert_eq!(fitts_throughput(&same), None, "no deviation has no width");
    }

    #[test]
    fn times_and_ways_are_those_worked_by_hand() {
        let mut attempts =
            vec![attempt([10.0, 0.0], 1.0), attempt([10.0, 0.0], 4.0), attempt([5.0, 0.0], 2.0)];
        assert_eq!(median_seconds_to_target(&attempts), Some(2.0));
        // 10 / 12.5 twice and 5 / 12.5; a quarter of 1, 4 and 2 s.
        assert!(near(path_efficiency(&attempts).expect("three"), (0.8 + 0.8 + 0.4) / 3.0));
        assert!(near(orbiting_seconds(&attempts).expect("three"), (0.25 + 1.0 + 0.5) / 3.0));
        attempts[1].outcome = Outcome::Missed;
        assert_eq!(median_seconds_to_target(&attempts), Some(1.5));
        assert_eq!(hits_and_misses(&attempts), (2, 1));
        assert_eq!(
            (path_efficiency(&[]), orbiting_seconds(&[]), median_seconds_to_target(&[])),
            (None, None, None)
        );
    }
}
