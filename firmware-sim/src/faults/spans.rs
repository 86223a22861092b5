//! Spans of time: any `[from, to)` in, the same as a sorted list without overlaps out, µs.

use super::FOREVER;

/// Sorted spans that neither touch nor overlap.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Spans(Vec<(u64, u64)>);

impl Spans {
    /// Unites the spans; empty ones vanish.
    pub(crate) fn new(spans: impl IntoIterator<Item = (u64, u64)>) -> Self {
        let mut sorted: Vec<(u64, u64)> = spans.into_iter().filter(|(from, to)| from < to).collect();
        sorted.sort_unstable();
        let mut united: Vec<(u64, u64)> = Vec::with_capacity(sorted.len());
        for (from, to) in sorted {
            match united.last_mut() {
                Some(last) if from <= last.1 => last.1 = last.1.max(to),
                _ => united.push((from, to)),
            }
        }
        Spans(united)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (u64, u64)> + '_ {
        self.0.iter().copied()
    }

    /// Whether the time is within one.
    pub(crate) fn contains(&self, now_us: u64) -> bool {
        self.span_at(now_us).is_some()
    }

    /// The span around this time.
    pub(crate) fn span_at(&self, now_us: u64) -> Option<(u64, u64)> {
        let before = self.0.partition_point(|&(from, _)| from <= now_us).checked_sub(1)?;
        Some(self.0[before]).filter(|&(_, to)| now_us < to)
    }

    /// The first time from `now_us` on that is outside of all; [`FOREVER`] where none is.
    pub(crate) fn end_of_wait(&self, now_us: u64) -> u64 {
        self.span_at(now_us).map_or(now_us, |(_, to)| to)
    }

    /// The first start from `now_us` on; [`FOREVER`] where none is.
    pub(crate) fn next_start(&self, now_us: u64) -> u64 {
        let next = self.0.partition_point(|&(from, _)| from < now_us);
        self.0.get(next).map_or(FOREVER, |&(from, _)| from)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use proptest::test_runner::RngSeed;

    proptest! {
        #![proptest_config(ProptestConfig {
            rng_seed: RngSeed::Fixed(1),
            failure_persistence: None,
            ..ProptestConfig::default()
        })]
        #[test]
        fn spans_are_as_a_slow_look_at_each_instant(
            given in prop::collection::vec((0_u64..40, 0_u64..40), 0..6),
        ) {
            let spans = Spans::new(given.clone());
            let inside = |time: u64| given.iter().any(|&(from, to)| (from..to).contains(&time));
            for now in 0..42 {
                prop_assert_eq!(spans.contains(now), inside(now));
                prop_assert_eq!(spans.end_of_wait(now), (now..).find(|&t| !inside(t)).unwrap_or(FOREVER));
                let starts = |t: &u64| inside(*t) && (*t == 0 || !inside(*t - 1));
                prop_assert_eq!(spans.next_start(now), (now..42).find(starts).unwrap_or(FOREVER));
            }
        }
    }
}
