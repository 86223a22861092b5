//! A decoder that waits to become the live one behind a given bin.
//!
//! In: the decoder, solved elsewhere while the stream ran, and the bin behind which it goes on. Guarantee: which bins it
//! decodes follows from their numbers alone, not from blocks, threads or the time; so that a replay that is told the same
//! bin says the same. Nothing is allocated or freed between bins: the one before stays until another is prepared.

use crate::binning::Bin;
use crate::decode::Decoder;

/// One decoder at most.
#[derive(Default)]
pub(super) struct Prepared {
    waiting: Option<(u64, Decoder)>,
    /// The one that was replaced.
    before: Option<Decoder>,
}

impl Prepared {
    /// `decoder` takes over from `live` behind `bin`; false where the two are of other shapes. Takes the place of one that
    /// still waits.
    pub(super) fn put(&mut self, bin: u64, decoder: Decoder, live: &Decoder) -> bool {
        let fits = live.is_alike(&decoder);
        if fits {
            self.waiting = Some((bin, decoder));
            self.before = None;
        }
        fits
    }

    /// Lets it take over where its time has come: before `next` is decoded.
    pub(super) fn take_over(&mut self, live: &mut Decoder, next: &Bin) {
        if self.waiting.as_ref().is_some_and(|(behind, _)| next.index > *behind)
            && let Some((_, mut decoder)) = self.waiting.take()
        {
            live.take_over(&mut decoder);
            self.before = Some(decoder);
        }
    }
}
