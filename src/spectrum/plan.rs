//! What is computed of a stream: which channels, how many frames, segments of what length.
//!
//! In: the stream, the channels and frames that were asked for. Out: a [`Plan`] within the memory that a
//! spectrum may take, or an error that says what is too short.

use crate::block::{StreamInfo, StreamKind};
use crate::error::Error;
use std::ops::Range;

/// What is computed of a stream.
#[derive(Clone, Debug, PartialEq)]
pub struct Plan {
    /// The channels, by index: all that were asked for, or as many as fit in memory, evenly chosen.
    pub channels: Vec<usize>,
    /// Channels that were asked for.
    pub n_asked: usize,
    /// Frames of the stream from its beginning, lost ones included.
    pub n_frames: u64,
    /// Frames of a segment: even, a product of 2s, 3s and 5s.
    pub segment_frames: usize,
    /// Whether the stretch is too short for segments of a second.
    pub shortened: bool,
}

impl Plan {
    /// For the first `n_frames` frames of `channels`, at most [`SPECTRUM_CHANNELS_MAX`] of them.
    ///
    /// Segments are a second long, so that bins are 1 Hz apart or a little less; where the stretch is shorter than
    /// two of these, a segment is half of it.
    ///
    /// # Errors
    /// If the stream has no samples, or fewer than [`FRAMES_MIN`] frames are to be had. `place` names the recording.
    ///
    /// # Panics
    /// If `channels` is empty or reaches past the stream's.
    pub fn new(info: &StreamInfo, channels: Range<usize>, n_frames: u64, place: &str) -> Result<Self, Error> {
        assert!(!channels.is_empty() && channels.end <= info.n_channels(), "channels of the stream");
        if info.kind != StreamKind::Broadband {
            return Err(Error::input(place, "its spikes are counted already, and counts have no spectrum")
                .field("kind")
                .legal("a broadband recording")
                .hint("the recording that the counts were made of"));
        }
        let rate_hz = info.sample_rate.hz();
        if n_frames < FRAMES_MIN {
            let seconds = n_frames as f64 / rate_hz;
            return Err(Error::input(place, format!("{n_frames} frames, {seconds:.4} s, for a spectrum"))
                .field("length")
                .legal(format!("{FRAMES_MIN} frames or more, at best 3 s"))
                .hint("a longer recording, or more --seconds"));
        }
        let second = smooth_from((rate_hz * SEGMENT_SECONDS).ceil() as usize);
        let half = usize::try_from(n_frames / 2).map_or(second, smooth_to);
        let segment_frames = second.min(half);
        let n_asked = channels.len();
        let channel_bytes = 4 * (segment_frames + segment_frames / 2 + 1);
        let n_channels = n_asked.min(SPECTRUM_CHANNELS_MAX).min((BYTES_MAX / channel_bytes).max(1));
        let nth = |i: usize| channels.start + i * n_asked / n_channels;
        Ok(Plan {
            channels: (0..n_channels).map(nth).collect(),
            n_asked,
            n_frames,
            segment_frames,
            shortened: half < second,
        })
    }
}

/// The least even product of 2s, 3s and 5s that is not under `n`: such lengths are transformed fastest.
fn smooth_from(n: usize) -> usize {
    let half = n.div_ceil(2).max(SEGMENT_FRAMES_MIN / 2);
    2 * (half..).find(|&half| is_smooth(half)).expect("powers of two have no end")
}

/// The greatest even product of 2s, 3s and 5s that is not over `n`.
fn smooth_to(n: usize) -> usize {
    2 * (1..=(n / 2).max(1)).rev().find(|&half| is_smooth(half)).expect("1 is one")
}

fn is_smooth(mut n: usize) -> bool {
    for factor in [2, 3, 5] {
        while n.is_multiple_of(factor) {
            n /= factor;
        }
    }
    n == 1
}

/// Channels of a spectrum at most: enough to judge any array by, and seconds of computing.
pub const SPECTRUM_CHANNELS_MAX: usize = 1024;
/// Frames that a spectrum needs at least: two segments of the shortest.
pub const FRAMES_MIN: u64 = 2 * SEGMENT_FRAMES_MIN as u64;
/// Shorter ones can't tell one band from another.
const SEGMENT_FRAMES_MIN: usize = 128;
/// Bins of 1 Hz tell mains of 50 Hz from 60 Hz, and both from what lies between.
const SEGMENT_SECONDS: f64 = 1.0;
/// Memory of all segments and sums at most.
const BYTES_MAX: usize = 384 << 20;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::SampleRate;

    fn info(n_channels: usize, rate_hz: f64, kind: StreamKind) -> StreamInfo {
        StreamInfo {
            kind,
            sample_rate: SampleRate::new(rate_hz, "test").expect("a legal rate"),
            uv_per_count: None,
            channels: (0..n_channels).map(|channel| format!("ch{channel}")).collect(),
            synthetic: false,
        }
    }

    fn plan(n_channels: usize, rate_hz: f64, n_frames: u64) -> Plan {
        let info = info(n_channels, rate_hz, StreamKind::Broadband);
        Plan::new(&info, 0..n_channels, n_frames, "test").expect("a legal stretch")
    }

    #[test]
    fn bins_are_a_hertz_apart_or_less_where_the_stretch_is_long_enough() {
        for rate_hz in [250.0, 1000.0, 2000.0, 19_531.0, 20_000.0, 24_414.062_5, 30_000.0, 1e6] {
            let plan = plan(4, rate_hz, (rate_hz * 3.0) as u64);
            let resolution = rate_hz / plan.segment_frames as f64;
            assert!(!plan.shortened && (0.93..=1.0).contains(&resolution), "{rate_hz} Hz: {resolution}");
        }
        let short = plan(4, 30_000.0, 9000);
        assert!(short.shortened);
        assert_eq!(short.segment_frames, 4500);
        assert_eq!(plan(4, 30_000.0, FRAMES_MIN).segment_frames, 128);
    }

    #[test]
    fn memory_is_bounded_and_channels_are_evenly_chosen() {
        let many = plan(50_000, 20_000.0, 200_000);
        assert_eq!((many.channels.len(), many.n_asked), (SPECTRUM_CHANNELS_MAX, 50_000));
        let steps = many.channels.windows(2).map(|pair| pair[1] - pair[0]);
        assert!(steps.clone().all(|step| step == 48 || step == 49), "{steps:?}");
        let fast = plan(1000, 1e6, 10_000_000);
        assert!(fast.channels.len() * fast.segment_frames * 6 <= BYTES_MAX);
        let info = info(100, 30_000.0, StreamKind::Broadband);
        let some = Plan::new(&info, 40..44, 90_000, "test").expect("legal");
        assert_eq!(some.channels, [40, 41, 42, 43]);
    }

    #[test]
    fn counts_and_short_stretches_are_refused() {
        let counts = info(4, 1000.0, StreamKind::Counts);
        let error = Plan::new(&counts, 0..4, 9000, "a.mat").expect_err("counts").to_string();
        assert!(error.contains("field `kind`") && error.contains("broadband"), "{error}");
        let broadband = info(4, 1000.0, StreamKind::Broadband);
        let error = Plan::new(&broadband, 0..4, FRAMES_MIN - 1, "a.i16").expect_err("short").to_string();
        assert!(error.contains("255 frames") && error.contains("256 frames or more"), "{error}");
    }
}
