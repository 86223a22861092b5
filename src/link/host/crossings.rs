//! Crossings with their times, counted in the bins of their epoch.
//!
//! In: records of crossings. Out: counts in the bin that they lie in, the same ones that the device would have sent.
//! Guarantees: a span that is no bin of its epoch counts nowhere and is told as unusable; memory was taken before.

use super::super::bins::{Misplaced, Stamp};
use super::Host;
use crate::wire::codec::crossings::{self, Crossing, NotDecoded, Span};
use crate::wire::{Crossings, Format};

impl Host {
    pub(super) fn crossings(&mut self, record: &Crossings<'_>, stamp: Stamp) {
        let Some(assembly) = &mut self.assembly else { return };
        let Some(format) = assembly.formats.of(record.epoch).map(|epoch| epoch.format) else {
            assembly.refuse();
            self.wants_key = true;
            return;
        };
        let (first, n_channels) = (record.first_channel as usize, record.n_channels as usize);
        let end = first.checked_add(n_channels).filter(|end| *end <= self.tables.n_channels());
        let (Some(number), Some(_), 1..) = (bin_of(record, &format), end, n_channels) else {
            assembly.refuse();
            return;
        };
        let span = Span {
            first_channel: record.first_channel,
            n_channels: record.n_channels,
            n_samples: u32::from(record.span_samples),
        };
        // The first byte is the version, 0 for none.
        let version = record.coded.first().copied().unwrap_or(0);
        let levels = self.tables.levels(version, first, n_channels);
        let decoded = crossings::decode(record.coded, span, |_| levels, &mut self.crossings);
        self.wants_key |= matches!(decoded, Err(NotDecoded::NoTable(_)));
        let counts = &mut self.values[..n_channels];
        counts.fill(0);
        for crossing in &self.crossings[..decoded.unwrap_or(0)] {
            counts[usize::from(crossing.channel) - first] += 1;
        }
        match assembly.place(self.now, stamp, record.epoch, number, 0) {
            Ok(slot) if decoded.is_ok() => {
                // The device cuts counts off there, and so do these.
                counts.iter_mut().for_each(|count| *count = (*count).min(format.count_max));
                slot.cover(self.now, first, counts);
            }
            Ok(_) => assembly.refuse(),
            Err(why) => self.wants_key |= why == Misplaced::Format,
        }
    }
}

/// The number of the bin that is the record's span.
fn bin_of(record: &Crossings<'_>, format: &Format) -> Option<u32> {
    let since = record.first_sample.checked_sub(format.origin_sample)?;
    let width = u64::from(format.bin_samples);
    let is_bin = u32::from(record.span_samples) == format.bin_samples && since.is_multiple_of(width);
    is_bin.then(|| u32::try_from(since / width).ok()).flatten()
}

/// Room for the crossings of one record; a datagram holds some hundreds of any bin of 5 ms or more.
pub(super) const ROOM: usize = 8_192;
// No channel of one record counts higher than what stands for unknown.
const _: () = assert!(ROOM < crate::block::COUNT_UNKNOWN as usize);

/// The room itself.
pub(super) fn room() -> Vec<Crossing> {
    vec![Crossing::default(); ROOM]
}
