//! Frames from bins of other widths: in bins, out what their spans hold.

use super::super::Cause;
use super::*;
use crate::time::{HostTime, SampleIndex};
use proptest::prelude::*;
use proptest::test_runner::RngSeed;

/// What is counted in a span of samples: the same however it is cut.
fn truth(channel: usize, from: u64, to: u64) -> u16 {
    (from..to).filter(|sample| (sample * 7 + channel as u64 * 3) % 11 < 2).count() as u16
}

fn bin(first: u64, width: u32, values: &[u16]) -> Bin<'_> {
    Bin {
        first_sample: SampleIndex(first),
        device_sample: first,
        width_samples: width,
        epoch: 0,
        number: 0,
        mode: Mode::Counts,
        values,
        n_unknown: values.iter().filter(|value| **value == COUNT_UNKNOWN).count(),
        is_whole: true,
        arrived_at: HostTime::default(),
    }
}

/// Gives bins of one channel; frames as (index, lost, frames, value, spread).
fn frames(resampler: &mut Resampler, bins: &[(u64, u32, u16)]) -> Vec<(u64, u64, u32, u16, u16)> {
    let mut given = Vec::new();
    for &(first, width, value) in bins {
        resampler.bin(&bin(first, width, &[value]), |frame| {
            assert_eq!(frame.has_unknown, frame.values[0] == COUNT_UNKNOWN);
            given.push((frame.index, frame.n_lost, frame.n_frames, frame.values[0], frame.spread));
        });
    }
    given
}

#[test]
fn narrower_bins_are_summed_and_wider_ones_spread() {
    let mut resampler = Resampler::new(400, 1);
    let unknown = COUNT_UNKNOWN;
    let given = frames(
        &mut resampler,
        &[
            (1000, 400, 5),
            (1400, 200, 1),
            (1600, 200, 2),
            (1800, 800, 6),
            (2600, 200, 1),
            (2800, 200, unknown),
        ],
    );
    let expected = [(0, 0, 1, 5, 1), (1, 0, 1, 3, 1), (2, 0, 2, 6, 2), (4, 0, 1, unknown, 1)];
    assert_eq!(given, expected);
    // Half a frame is none, and the sum stops short of what means unknown.
    let given = frames(
        &mut resampler,
        &[(3000, 200, 1), (3400, 200, 9), (3600, 200, 9), (3800, 200, 65_000), (4000, 200, 65_000)],
    );
    assert_eq!(given, [(6, 1, 1, 18, 1), (7, 0, 1, 65_534, 1)]);
    assert_eq!((resampler.n_moved(), resampler.end()), (0, 8));
}

#[test]
fn the_grid_moves_by_less_than_a_frame_and_moves_dont_add_up() {
    let mut resampler = Resampler::new(400, 1);
    let mut at = 0;
    let mut last = 0;
    for turn in 0..200u64 {
        // A bin of 10 ms shifts all that follow by half a frame, again and again.
        for width in [200, 400, 400] {
            for (index, _, n_frames, ..) in frames(&mut resampler, &[(at, width, 1)]) {
                assert!((index * 400).abs_diff(at) < 400, "frame {index} at {at}, turn {turn}");
                assert!(index >= last);
                last = index + u64::from(n_frames);
            }
            at += u64::from(width);
        }
    }
    assert!(resampler.n_moved() > 100 && last * 400 > at - 800);
}

#[test]
fn a_grid_that_moves_loses_no_frame_that_came() {
    let mut resampler = Resampler::new(24, 1);
    let bins = [(0, 24, 1), (38, 24, 2), (63, 8, 1), (71, 8, 1), (79, 8, 1), (87, 24, 4)];
    let given = frames(&mut resampler, &bins);
    // The second is nearest to frame 2; the next three are a frame behind it.
    assert_eq!(given, [(0, 0, 1, 1, 1), (2, 1, 1, 2, 1), (3, 0, 1, 3, 1), (4, 0, 1, 4, 1)]);
}

#[test]
fn other_widths_are_refused_with_those_that_would_do() {
    let mut resampler = Resampler::new(400, 1);
    for width in [400, 200, 100, 80, 800, 1200, 25_600] {
        assert!(resampler.accepts(width, Mode::Counts).is_ok(), "{width}");
    }
    for width in [0, 300, 600, 401, 26_000, 4] {
        let message = resampler.accepts(width, Mode::Counts).expect_err("refused").to_string();
        assert!(message.contains("100, 200, 400, 800"), "{message}");
    }
    let message = resampler.accepts(200, Mode::BandPower).expect_err("refused").to_string();
    assert!(message.contains("power is not summed"), "{message}");
    assert!(resampler.accepts(400, Mode::BandPower).is_ok());
    assert_eq!(frames(&mut resampler, &[(0, 400, 1), (400, 300, 1), (800, 400, 1)]).len(), 2);
    assert_eq!(resampler.n_refused(), 1);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, rng_seed: RngSeed::Fixed(1), ..ProptestConfig::default() })]

    #[test]
    fn frames_hold_what_their_spans_hold(
        start in 0u64..1000,
        steps in prop::collection::vec((0usize..7, 0u64..5, 1u64..6), 1..60),
    ) {
        const FRAME: u32 = 24;
        let mut resampler = Resampler::new(FRAME, 2);
        let (mut at, mut end, mut origin) = (start, 0, None);
        let (mut n_given, mut n_whole) = (0u64, 0u64);
        for (width, gap, n_bins) in steps {
            let width = [24, 12, 8, 6, 48, 72, 20][width];
            if gap == 1 {
                // Whole bins are lost.
                let n_samples = u64::from(width) * n_bins;
                let first_sample = SampleIndex(at);
                resampler.gap(&Gap { first_sample, n_samples, n_bins, cause: Cause::Radio });
                at += n_samples;
            }
            for _ in 0..n_bins {
                let to = at + u64::from(width);
                let values = [truth(0, at, to), truth(1, at, to)];
                if resampler.accepts(width, Mode::Counts).is_ok() {
                    origin.get_or_insert(at);
                }
                let mut wrong = None;
                resampler.bin(&bin(at, width, &values), |frame| {
                    let span = u64::from(FRAME * frame.n_frames);
                    let expected = [truth(0, to - span, to), truth(1, to - span, to)];
                    let place = origin.unwrap_or(0) + frame.index * u64::from(FRAME);
                    let is_near = place.abs_diff(to - span) < u64::from(FRAME);
                    let is_next = frame.index == end + frame.n_lost;
                    end = frame.index + u64::from(frame.n_frames);
                    n_given += u64::from(frame.n_frames);
                    if frame.values != expected || !is_near || !is_next || frame.has_unknown {
                        wrong = Some(format!("{frame:?} at {place}, bin to {to}"));
                    }
                });
                prop_assert!(wrong.is_none(), "{}", wrong.unwrap_or_default());
                n_whole += u64::from(width >= FRAME) * u64::from(width / FRAME);
                at = to;
            }
        }
        prop_assert!(n_given >= n_whole, "bins that are whole frames are always given");
    }
}
