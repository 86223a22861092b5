//! The formats of the last epochs.

use crate::wire::Format;

/// Formats by the number of their epoch.
#[derive(Clone, Debug)]
pub(crate) struct Formats {
    /// The newest last.
    known: [Option<Epoch>; KEPT],
    n_learnt: u64,
}

/// An epoch that was heard of.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Epoch {
    pub(crate) format: Format,
    /// Counts epochs; unlike their own numbers it doesn't wrap.
    pub(crate) serial: u64,
}

/// What a format told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FormatNews {
    /// Nothing: it is the present one, or one that is over.
    Known,
    /// It is new, and this was the one before.
    Changed(Option<Format>),
    /// It makes no sense.
    Refused,
}

impl Formats {
    pub(crate) fn new() -> Self {
        Formats { known: [None; KEPT], n_learnt: 0 }
    }

    /// The format of the present epoch.
    pub(crate) fn present(&self) -> Option<&Format> {
        self.known[KEPT - 1].as_ref().map(|epoch| &epoch.format)
    }

    pub(crate) fn of(&self, epoch: u8) -> Option<&Epoch> {
        self.known.iter().rev().flatten().find(|known| known.format.epoch == epoch)
    }

    /// Forgets them; what comes is new.
    pub(crate) fn clear(&mut self) {
        self.known = [None; KEPT];
    }

    /// Takes a format that came; `is_newest` when nothing came that was sent later.
    pub(crate) fn learn(&mut self, format: &Format, is_newest: bool) -> FormatNews {
        if format.bin_samples == 0 || format.bin_samples > BIN_SAMPLES_MAX {
            return FormatNews::Refused;
        }
        let before = self.present().copied();
        if self.of(format.epoch).is_some_and(|known| known.format == *format) {
            return FormatNews::Known;
        }
        // Numbers wrap: what is up to half a turn ahead is newer, whatever overtook it.
        let is_newer = before.is_none_or(|before| (format.epoch.wrapping_sub(before.epoch) as i8) > 0);
        if !is_newest && !is_newer {
            return FormatNews::Known;
        }
        if before.is_none_or(|before| before.epoch != format.epoch) {
            self.known.rotate_left(1);
        }
        self.n_learnt += 1;
        self.known[KEPT - 1] = Some(Epoch { format: *format, serial: self.n_learnt });
        FormatNews::Changed(before)
    }
}

/// Epochs whose bins may still be under way.
const KEPT: usize = 4;
/// Longer bins than this make no sense: half a minute at 30 kHz.
const BIN_SAMPLES_MAX: u32 = 1 << 20;
