//! The last samples of a channel, and what is cut from them round a crossing.
//!
//! In: filtered samples, crossings. Out: [`Snippet`]s of [`SNIPPET_SAMPLES`] samples, [`SNIPPET_BEFORE`] of them before
//! the crossing. Guarantees: a crossing while a snippet is waiting for its end gets none, and says so.

use super::band_pass::FRACTION_BITS;

/// Samples round one crossing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Snippet {
    /// Where.
    pub channel: u32,
    /// The crossing's frame, since the start.
    pub sample: u64,
    /// Filtered samples in counts; that of the crossing has the index [`SNIPPET_BEFORE`].
    pub samples: [i16; SNIPPET_SAMPLES],
}

impl Snippet {
    /// None yet.
    pub const EMPTY: Snippet = Snippet { channel: 0, sample: 0, samples: [0; SNIPPET_SAMPLES] };
}

/// The last samples of one channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct History {
    ring: [i16; SNIPPET_SAMPLES],
    /// Samples until the snippet that waits is complete; 0 while none does.
    left: u8,
}

impl History {
    /// Silence.
    pub const EMPTY: History = History { ring: [0; SNIPPET_SAMPLES], left: 0 };

    /// Takes the filtered sample of a frame; whether the snippet that waited is complete with it.
    #[inline(always)]
    pub(super) fn push(&mut self, frame: u64, filtered: i32) -> bool {
        let counts = filtered >> FRACTION_BITS;
        self.ring[place(frame)] = counts.clamp(i32::from(i16::MIN), i32::from(i16::MAX)) as i16;
        if self.left == 0 {
            return false;
        }
        self.left -= 1;
        self.left == 0
    }

    /// The sample that was pushed last crosses; whether a snippet of it will come.
    pub(super) fn begin(&mut self) -> bool {
        let is_free = self.left == 0;
        if is_free {
            self.left = (SNIPPET_SAMPLES - SNIPPET_BEFORE - 1) as u8;
        }
        is_free
    }

    /// The snippet that is complete with the sample of `frame`.
    pub(super) fn snippet(&self, channel: u32, frame: u64) -> Snippet {
        let mut samples = [0; SNIPPET_SAMPLES];
        for (sample, at) in samples.iter_mut().zip(1..) {
            *sample = self.ring[place(frame.wrapping_add(at))];
        }
        let sample = frame.wrapping_sub((SNIPPET_SAMPLES - SNIPPET_BEFORE - 1) as u64);
        Snippet { channel, sample, samples }
    }
}

#[inline(always)]
const fn place(frame: u64) -> usize {
    frame as usize % SNIPPET_SAMPLES
}

/// Samples of a snippet: 1.6 ms at 20 kHz.
pub const SNIPPET_SAMPLES: usize = 32;
/// Samples before the crossing.
pub const SNIPPET_BEFORE: usize = 12;
const _: () = assert!(SNIPPET_SAMPLES.is_power_of_two() && SNIPPET_BEFORE + 1 < SNIPPET_SAMPLES);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_snippet_holds_what_stood_round_its_crossing() {
        let mut history = History::EMPTY;
        let mut found = None;
        for frame in 0..100 {
            if history.push(frame, (frame as i32) << FRACTION_BITS) {
                found = Some((frame, history.snippet(7, frame)));
            }
            if frame == 50 {
                assert!(history.begin());
            }
            if frame == 60 {
                assert!(!history.begin(), "one is waiting");
            }
        }
        let (frame, snippet) = found.expect("one was begun");
        assert_eq!((frame, snippet.channel, snippet.sample), (69, 7, 50));
        assert_eq!((snippet.samples[0], snippet.samples[SNIPPET_BEFORE], snippet.samples[31]), (38, 50, 69));
    }

    #[test]
    fn samples_are_cut_off_at_16_bits() {
        let mut history = History::EMPTY;
        history.push(3, i32::MIN);
        history.push(4, i32::MAX);
        assert_eq!((history.ring[3], history.ring[4]), (i16::MIN, i16::MAX));
    }
}
