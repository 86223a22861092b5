//! Rate tables, and counts decoded by them.
//!
//! In: tables in parts, coded counts. Out: counts, [`COUNT_UNKNOWN`] for channels that are left out. Guarantees: memory
//! is taken once; two versions are kept, so that the device may change over without a gap.

use crate::block::COUNT_UNKNOWN;
use crate::wire::{Counts, Table};

/// The last two tables.
pub(crate) struct Tables {
    n_channels: usize,
}

/// Why counts could not be decoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Undecoded {
    /// Their table is not here, or not all of it.
    Table,
    /// They are damaged.
    Corrupt,
}

impl Tables {
    pub(crate) fn new() -> Self {
        Tables { n_channels: 0 }
    }

    pub(crate) fn make_room(&mut self, n_channels: usize) {
        self.n_channels = n_channels;
    }

    pub(crate) fn n_channels(&self) -> usize {
        self.n_channels
    }

    pub(crate) fn clear(&mut self) {}

    /// The latest version that is complete; 0 for none.
    pub(crate) fn complete(&self) -> u8 {
        0
    }

    pub(crate) fn learn(&mut self, _table: &Table<'_>) -> bool {
        false
    }

    pub(crate) fn decode(
        &self,
        counts: &Counts<'_>,
        _level_min: u8,
        values: &mut [u16],
    ) -> Result<(), Undecoded> {
        values.fill(COUNT_UNKNOWN);
        match counts.table {
            0 => Err(Undecoded::Corrupt),
            _ => Err(Undecoded::Table),
        }
    }
}

/// Values that there is room for at least: many bins of few channels in one record.
pub(crate) const VALUES_MIN: usize = 16_384;
