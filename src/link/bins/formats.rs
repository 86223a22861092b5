//! The formats of the last epochs.

use crate::wire::Format;

/// Formats by the number of their epoch.
#[derive(Clone, Debug)]
pub(crate) struct Formats {
    /// The newest last.
    known: [Option<Format>; KEPT],
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
        Formats { known: [None; KEPT] }
    }

    /// The format of the present epoch.
    pub(crate) fn present(&self) -> Option<&Format> {
        self.known[KEPT - 1].as_ref()
    }

    pub(crate) fn of(&self, epoch: u8) -> Option<&Format> {
        self.known.iter().rev().flatten().find(|format| format.epoch == epoch)
    }

    /// Takes a format that came; `is_newest` when nothing came that was sent later.
    pub(crate) fn learn(&mut self, format: &Format, is_newest: bool) -> FormatNews {
        if format.bin_samples == 0 || format.bin_samples > BIN_SAMPLES_MAX {
            return FormatNews::Refused;
        }
        let before = self.present().copied();
        if self.of(format.epoch) == Some(format) || !is_newest && before.is_some() {
            return FormatNews::Known;
        }
        if before.is_some_and(|before| before.epoch == format.epoch) {
            self.known[KEPT - 1] = Some(*format);
        } else {
            self.known.rotate_left(1);
            self.known[KEPT - 1] = Some(*format);
        }
        FormatNews::Changed(before)
    }
}

/// Epochs whose bins may still be under way.
const KEPT: usize = 4;
/// Longer bins than this make no sense: half a minute at 30 kHz.
const BIN_SAMPLES_MAX: u32 = 1 << 20;
