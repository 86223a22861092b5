//! `A..B`: a half-open range of bins on the command line.

use efference::Error;
use std::fmt;
use std::ops::Range;
use std::str::FromStr;

/// A half-open range of bins; an end that is left out is the recording's.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct BinRange {
    start: Option<u64>,
    end: Option<u64>,
}

impl BinRange {
    /// The range in a recording of `n_bins`.
    ///
    /// # Errors
    /// If it is empty or reaches past the end.
    pub(crate) fn within(self, n_bins: u64, place: &str) -> Result<Range<u64>, Error> {
        self.within_named(n_bins, place, "bins")
    }

    /// The same of other things that are counted from 0, which the option `--name` names.
    pub(crate) fn within_named(self, n: u64, place: &str, name: &str) -> Result<Range<u64>, Error> {
        let range = self.start.unwrap_or(0)..self.end.unwrap_or(n);
        if range.start < range.end && range.end <= n {
            return Ok(range);
        }
        Err(Error::usage(place, format!("{name} {}..{}", range.start, range.end))
            .field(format!("--{name}"))
            .legal(format!("A..B with A < B, within 0..{n}, the {name} of this recording")))
    }
}

impl FromStr for BinRange {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let legal = || format!("`{text}` is not A..B; legal: 0..1000, 1000.. or ..1000 (half open)");
        let (start, end) = text.split_once("..").ok_or_else(legal)?;
        let number = |text: &str| match text.trim() {
            "" => Ok(None),
            digits => digits.parse().map(Some).map_err(|_| legal()),
        };
        Ok(BinRange { start: number(start)?, end: number(end)? })
    }
}

impl fmt::Display for BinRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let number = |n: Option<u64>| n.map(|n| n.to_string()).unwrap_or_default();
        write!(f, "{}..{}", number(self.start), number(self.end))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_half_open_and_within_the_recording() {
        let range = |text: &str| text.parse::<BinRange>().expect("a range");
        assert_eq!(range("5..10").within(10, "test").expect("legal"), 5..10);
        assert_eq!(range("..").within(10, "test").expect("legal"), 0..10);
        for bad in ["10..10", "7..5", "0..11"] {
            assert!(range(bad).within(10, "test").is_err(), "{bad}");
        }
        for bad in ["5", "a..b", "-1..5", "5..=7"] {
            assert!(bad.parse::<BinRange>().is_err(), "{bad}");
        }
    }
}
