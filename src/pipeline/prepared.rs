//! What waits for a bin: decoders that become the live one, and what someone says about stopping.
//!
//! In: decoders, solved elsewhere while the stream ran, or words, and the bin before or behind which they count. Guarantee:
//! which bins they count for follows from the bins' numbers alone, not from blocks, threads or the time; so that a replay
//! that is told the same bins says the same. Nothing is allocated or freed between bins: a decoder that was replaced stays
//! until another is prepared.

use super::Said;
use crate::binning::Bin;
use crate::decode::Decoder;
use crate::intents::Safety;
use std::collections::VecDeque;

/// In the order of their bins.
#[derive(Default)]
pub(super) struct Prepared {
    waiting: VecDeque<(u64, Decoder)>,
    /// Those that were replaced.
    before: Vec<Decoder>,
    said: VecDeque<(u64, Said)>,
    /// Someone holds the way to resume, as far as was said.
    is_held: Option<bool>,
}

impl Prepared {
    /// `decoder` takes over from `live` behind `bin`; false where the two are of other shapes. Takes the place of those that
    /// still wait for this bin or later ones.
    pub(super) fn put(&mut self, bin: u64, decoder: Decoder, live: &Decoder) -> bool {
        let fits = live.is_alike(&decoder);
        if fits {
            self.waiting.retain(|(behind, _)| *behind < bin);
            self.waiting.push_back((bin, decoder));
            self.before.clear();
            self.before.reserve(self.waiting.len());
        }
        fits
    }

    /// From bin `bin` on, `said` counts; bins have to ascend.
    pub(super) fn say(&mut self, bin: u64, said: Said) {
        self.said.push_back((bin, said));
    }

    /// Lets those take over whose time has come, and says what was said until then: before `next` is decoded.
    pub(super) fn before(&mut self, next: &Bin, live: &mut Decoder, safety: &mut Safety) {
        while self.waiting.front().is_some_and(|(behind, _)| next.index > *behind)
            && let Some((_, mut decoder)) = self.waiting.pop_front()
        {
            live.take_over(&mut decoder);
            self.before.push(decoder);
        }
        while let Some(&(bin, said)) = self.said.front()
            && bin <= next.index
        {
            self.said.pop_front();
            match said {
                Said::Panic => {
                    safety.panic();
                }
                Said::Hold(is_held) => self.is_held = Some(is_held),
            }
        }
        // As live says it before every bin.
        if let Some(is_held) = self.is_held {
            safety.hold_to_resume(is_held);
        }
    }
}
