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
    /// What became of it with labels of other times, where that was tried.
    pub shift: Option<Shift>,
    /// A bin's width, ms.
    pub bin_ms: f64,
}

/// Labels of another time: R² of a decoder without memory, which has no delay of its own that later labels could suit.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Shift {
    /// Labels so many bins later, the best of those that were tried.
    pub bins: i32,
    /// R² with them.
    pub r2: f64,
    /// R² with the labels as they are.
    pub unshifted_r2: f64,
}

impl Shift {
    /// It is the labels' fault, and no accident: their own time is far worse.
    fn is_plain(&self) -> bool {
        let Shift { bins, r2, unshifted_r2 } = *self;
        bins.unsigned_abs() >= SHIFT_MIN_BINS
            && r2 >= R2_MIN
            && unshifted_r2.max(0.0) <= UNSHIFTED_SHARE_MAX * r2
    }
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
        /// A bin's width, ms.
        bin_ms: f64,
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
            Problem::Shifted { bins, bin_ms } => {
                let (n, which) = (bins.unsigned_abs(), if *bins > 0 { "after" } else { "before" });
                write!(
                    f,
                    "the signals come {:.0} ms ({n} bins) {which} what was shown: check the clocks, go along with the cursor at once, and calibrate anew",
                    f64::from(n) * bin_ms
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
    let Found { n_targets, n_active, received_share, held_out_r2, shift, bin_ms } = *found;
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
    match shift {
        Some(shift) if shift.is_plain() => Some(Problem::Shifted { bins: shift.bins, bin_ms }),
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
/// Neurons differ by more than fewer.
const SHIFT_MIN_BINS: u32 = 5;
/// Labels that are right explain more than this share of what any others do.
const UNSHIFTED_SHARE_MAX: f64 = 0.6;

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
            shift: Some(Shift { bins: 3, r2: 0.62, unshifted_r2: 0.1 }),
            bin_ms: 20.0,
        };
        assert_eq!(check(&good), None);
        // A decoder that is poor at any time, and one that is as good at its own.
        for (bins, r2, unshifted_r2) in [(8, 0.05, 0.0), (8, 0.3, 0.25)] {
            assert_eq!(check(&Found { shift: Some(Shift { bins, r2, unshifted_r2 }), ..good }), None);
        }
        let shift = |bins, r2| Some(Shift { bins, r2, unshifted_r2: 0.01 });
        for (found, word) in [
            (Found { n_targets: 3, ..good }, "3 targets"),
            (Found { n_active: 0, ..good }, "0 electrodes"),
            (Found { received_share: 0.2, ..good }, "20 %"),
            (Found { received_share: f64::NAN, ..good }, "came through"),
            (Found { held_out_r2: 0.02, shift: None, ..good }, "R² 0.02"),
            (Found { held_out_r2: f64::NAN, shift: None, ..good }, "go along"),
            (Found { held_out_r2: 0.1, shift: shift(-25, 0.6), ..good }, "500 ms (25 bins) before"),
            (Found { held_out_r2: -0.1, shift: shift(8, 0.4), ..good }, "160 ms (8 bins) after"),
        ] {
            let problem = check(&found).unwrap_or_else(|| panic!("{found:?}"));
            assert!(problem.to_string().contains(word), "{problem}");
        }
    }
}
