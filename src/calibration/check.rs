//! What must hold before a fit is let near a cursor.
//!
//! In: facts about what was collected and fitted ([`Found`]). Out: the first [`Problem`], with a sentence for the user. A
//! cursor that runs away is worse than none: whoever calibrates refuses a model with a problem.

use serde::Serialize;
use std::fmt;

/// Facts about a calibration.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Found {
    /// Targets that were shown for long enough.
    pub n_targets: usize,
    /// Electrodes that had any event.
    pub n_active: usize,
    /// Share of the bins in which something was received.
    pub received_share: f64,
    /// R² of velocity on bins that weren't fitted.
    pub held_out_r2: f64,
    /// The same with the labels so many bins later, the best of those that were tried, and how many bins that is.
    pub best_shifted_r2: Option<(f64, i32)>,
}

/// Why a fit isn't let near a cursor.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case", tag = "problem")]
pub enum Problem {
    /// Too few targets.
    TooFewTargets {
        /// So many.
        n: usize,
    },
    /// No electrode, or hardly any, hears anything.
    Silent {
        /// So many do.
        n_active: usize,
    },
    /// Too much of it was lost on the way.
    Lossy {
        /// Share that came.
        received_share: f64,
    },
    /// Labels and signals don't belong to the same time.
    Shifted {
        /// The labels would fit better so many bins later.
        bins: i32,
    },
    /// Nothing that was intended is found in the signals: the user didn't go along, or the electrodes hear nothing of it.
    NothingDecoded {
        /// R² on bins that weren't fitted.
        r2: f64,
    },
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Problem::TooFewTargets { n } => {
                write!(f, "{n} targets were shown, at least {TARGETS_MIN} are needed: go on for longer")
            }
            Problem::Silent { n_active } => {
                write!(
                    f,
                    "{n_active} electrodes hear anything, at least {ACTIVE_MIN} are needed: check the implant"
                )
            }
            Problem::Lossy { received_share } => {
                write!(f, "only {:.0} % came through: check the link", received_share * 100.0)
            }
            Problem::Shifted { bins } => {
                write!(
                    f,
                    "the targets are {bins} bins off the signals: check the clocks, then calibrate anew"
                )
            }
            Problem::NothingDecoded { r2 } => {
                write!(
                    f,
                    "nothing of what was intended is found (R² {r2:.2}): go along with the cursor, and calibrate anew"
                )
            }
        }
    }
}

/// The first problem, if there is any.
pub fn check(found: &Found) -> Option<Problem> {
    let Found { n_targets, n_active, received_share, held_out_r2, best_shifted_r2 } = *found;
    if n_active < ACTIVE_MIN {
        return Some(Problem::Silent { n_active });
    }
    // A share that is no number is not enough either.
    if received_share.is_nan() || received_share < RECEIVED_SHARE_MIN {
        return Some(Problem::Lossy { received_share });
    }
    if n_targets < TARGETS_MIN {
        return Some(Problem::TooFewTargets { n: n_targets });
    }
    match best_shifted_r2 {
        Some((r2, bins)) if bins != 0 && r2 - held_out_r2 > SHIFT_GAIN_MAX => Some(Problem::Shifted { bins }),
        _ if held_out_r2.is_nan() || held_out_r2 < R2_MIN => {
            Some(Problem::NothingDecoded { r2: held_out_r2 })
        }
        _ => None,
    }
}

/// As many as there are directions in centre-out.
const TARGETS_MIN: usize = 8;
/// Two axes can't be told from fewer.
const ACTIVE_MIN: usize = 4;
const RECEIVED_SHARE_MIN: f64 = 0.5;
/// Chance is 0; with so little a user is slower than without help.
const R2_MIN: f64 = 0.1;
/// Labels that are right lose more than this by any shift of three bins and more.
const SHIFT_GAIN_MAX: f64 = 0.1;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_problem_is_found_and_told() {
        let good = Found {
            n_targets: 40,
            n_active: 96,
            received_share: 1.0,
            held_out_r2: 0.6,
            best_shifted_r2: Some((0.62, 3)),
        };
        assert_eq!(check(&good), None);
        for (found, word) in [
            (Found { n_targets: 3, ..good }, "3 targets"),
            (Found { n_active: 0, ..good }, "0 electrodes"),
            (Found { received_share: 0.2, ..good }, "20 %"),
            (Found { received_share: f64::NAN, ..good }, "came through"),
            (Found { held_out_r2: 0.02, best_shifted_r2: None, ..good }, "R² 0.02"),
            (Found { held_out_r2: f64::NAN, best_shifted_r2: None, ..good }, "go along"),
            (Found { held_out_r2: 0.1, best_shifted_r2: Some((0.6, -25)), ..good }, "-25 bins"),
        ] {
            let problem = check(&found).unwrap_or_else(|| panic!("{found:?}"));
            assert!(problem.to_string().contains(word), "{problem}");
        }
    }
}
