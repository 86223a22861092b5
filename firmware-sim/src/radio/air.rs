//! How long packets take the air: throughput faults and stalls in, the end of each transmission out, µs.

use super::Budget;
use crate::faults::{Direction, Effect, FOREVER, Script};

/// The throughput of one way over time.
#[derive(Clone, Debug)]
pub(super) struct Air {
    /// From when, µs, ascending from 0, and bits/s until the next; 0 in a stall.
    steps: Vec<(u64, u64)>,
}

impl Air {
    /// The least of the budget and of every fault that holds.
    pub(super) fn new(script: &Script, budget: Budget, direction: Direction) -> Self {
        let limits: Vec<(u64, u64, u64)> = script
            .faults()
            .iter()
            .filter(|fault| fault.directions.contains(direction))
            .filter_map(|fault| match fault.effect {
                Effect::Throughput { bits_per_second } => Some((fault.from_us, fault.to_us, bits_per_second)),
                Effect::Stall => Some((fault.from_us, fault.to_us, 0)),
                _ => None,
            })
            .collect();
        let mut times: Vec<u64> = limits.iter().flat_map(|&(from, to, _)| [from, to]).chain([0]).collect();
        times.sort_unstable();
        times.dedup();
        let rate = |time: u64| {
            let holding = limits.iter().filter(|&&(from, to, _)| (from..to).contains(&time));
            holding.map(|&(_, _, rate)| rate).fold(budget.bits_per_second, u64::min)
        };
        Air { steps: times.into_iter().filter(|&t| t != FOREVER).map(|t| (t, rate(t))).collect() }
    }

    /// When the last of `bits` that begin at `start_us` is sent, rounded up to whole µs; [`FOREVER`] where the radio is
    /// stalled for good.
    pub(super) fn end_of(&self, start_us: u64, bits: u64) -> u64 {
        let first = self.steps.partition_point(|&(from, _)| from <= start_us) - 1;
        let (mut now_us, mut left) = (start_us, bits * BIT);
        for (at, &(_, rate)) in self.steps.iter().enumerate().skip(first) {
            let step_end = self.steps.get(at + 1).map_or(FOREVER, |&(from, _)| from);
            let lasts = step_end - now_us;
            // Of nothing, all is sent at once; at no throughput, the rest never is.
            let needs =
                if left == 0 { 0 } else { left.checked_div(rate).map_or(FOREVER, |_| left.div_ceil(rate)) };
            if needs <= lasts {
                return now_us.saturating_add(needs);
            }
            left -= rate * lasts;
            now_us = step_end;
        }
        FOREVER
    }
}

/// A bit in units that one bit/s sends in one µs.
const BIT: u64 = 1_000_000;

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
        fn the_end_is_as_a_walk_through_each_microsecond(
            faults in prop::collection::vec((0_u64..900, 1_u64..400, 0_u64..4), 0..4),
            start in 0_u64..900,
            bits in 0_u64..600,
        ) {
            let rates = [0, 300_000, 777_777, 5_000_000];
            let mut text = String::new();
            for &(from, length, rate) in &faults {
                let window = format!("from_s = {}\nto_s = {}", from as f64 / 1e6, (from + length) as f64 / 1e6);
                let what = match rates[rate as usize] {
                    0 => "kind = \"stall\"".to_string(),
                    rate => format!("kind = \"throughput\"\nbits_per_second = {rate}"),
                };
                text += &format!("[[fault]]\n{what}\n{window}\n");
            }
            let script = Script::parse(&text, "test").expect("a legal script");
            let budget = Budget { bits_per_second: 1_000_000, latency_us: 0, mtu: 20, queue_packets: 1 };
            let air = Air::new(&script, budget, Direction::Up);
            let (mut now, mut left) = (start, bits * BIT);
            while left > 0 {
                let holding = faults.iter().filter(|&&(from, length, _)| (from..from + length).contains(&now));
                let rate = holding.map(|&(_, _, rate)| rates[rate as usize]).fold(1_000_000, u64::min);
                left = left.saturating_sub(rate);
                now += 1;
            }
            prop_assert_eq!(air.end_of(start, bits), now);
        }
    }

    #[test]
    fn a_stall_for_ever_never_ends() {
        let script = Script::parse("[[fault]]\nkind = \"stall\"\nfrom_s = 1", "test").expect("legal");
        let budget = Budget { bits_per_second: 8_000_000, latency_us: 0, mtu: 20, queue_packets: 1 };
        let air = Air::new(&script, budget, Direction::Down);
        assert_eq!(air.end_of(999_990, 80), 1_000_000, "what fits before it does go");
        assert_eq!(air.end_of(999_991, 80), FOREVER);
    }
}
