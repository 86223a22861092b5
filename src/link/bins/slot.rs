//! One bin while its parts come.

use super::formats::Epoch;
use super::{COUNT_UNKNOWN, Cause, HostTime, Stamp};
use crate::wire::Mode;

/// A bin, and which of its channels have come.
pub(crate) struct Slot {
    pub(super) start: u64,
    pub(super) device_sample: u64,
    pub(super) width: u32,
    pub(super) epoch: u8,
    pub(super) number: u32,
    pub(super) mode: Mode,
    /// Which epoch this is, and where the device's sample 0 was: what numbers mean.
    pub(super) serial: u64,
    pub(super) base: i128,
    /// A value a channel; [`COUNT_UNKNOWN`] where none is known.
    pub(super) values: Vec<u16>,
    /// Bit `c % 64` of word `c / 64`: channel c has come, or the device says that it leaves it out.
    covered: Vec<u64>,
    n_covered: usize,
    n_known: usize,
    /// What happened before it was begun.
    pub(super) interruption: Option<Cause>,
    pub(super) session: u32,
    /// The lowest and the highest number of the datagrams that its parts came in.
    pub(super) sequence: u32,
    pub(super) last_sequence: u32,
    pub(super) arrived_at: HostTime,
    /// Given out then, whatever is missing.
    pub(super) due_at: HostTime,
    pub(super) allowance_ns: u64,
}

impl Slot {
    pub(super) fn new(n_channels: usize) -> Self {
        Slot {
            start: 0,
            device_sample: 0,
            width: 1,
            epoch: 0,
            number: 0,
            mode: Mode::Quiet,
            serial: 0,
            base: 0,
            values: vec![COUNT_UNKNOWN; n_channels],
            covered: vec![0; n_channels.div_ceil(64)],
            n_covered: 0,
            n_known: 0,
            interruption: None,
            session: 0,
            sequence: 0,
            last_sequence: 0,
            arrived_at: HostTime::default(),
            due_at: HostTime::default(),
            allowance_ns: 0,
        }
    }

    pub(super) fn begin(&mut self, start: u64, device_sample: u64, epoch: &Epoch, number: u32, by: Stamp) {
        let format = &epoch.format;
        self.serial = epoch.serial;
        (self.start, self.device_sample, self.width) = (start, device_sample, format.bin_samples);
        (self.epoch, self.number, self.mode) = (format.epoch, number, format.mode);
        self.values.fill(COUNT_UNKNOWN);
        self.covered.fill(0);
        (self.n_covered, self.n_known) = (0, 0);
        (self.session, self.sequence, self.last_sequence) = (by.session, by.sequence, by.sequence);
    }

    /// Another datagram has a part of it.
    pub(super) fn stamp(&mut self, by: Stamp) {
        if by.session == self.session {
            self.sequence = self.sequence.min(by.sequence);
            self.last_sequence = self.last_sequence.max(by.sequence);
        }
    }

    /// Enters the values of consecutive channels; those that came before stay. Whether the bin is complete now.
    ///
    /// # Panics
    /// If there are more channels than the bin has.
    pub(crate) fn cover(&mut self, now: HostTime, first_channel: usize, values: &[u16]) -> bool {
        let was_covered = self.is_covered();
        for (channel, (place, &value)) in
            (first_channel..).zip(self.values[first_channel..][..values.len()].iter_mut().zip(values))
        {
            let (word, bit) = (channel / 64, 1 << (channel % 64));
            if self.covered[word] & bit == 0 {
                self.covered[word] |= bit;
                self.n_covered += 1;
                self.n_known += usize::from(value != COUNT_UNKNOWN);
                *place = value;
            }
        }
        self.arrived_at = now;
        if self.is_covered() && !was_covered {
            // It waits for those before it alone.
            self.due_at = self.due_at.min(now.after(self.allowance_ns));
        }
        self.is_covered()
    }

    pub(super) fn is_covered(&self) -> bool {
        self.n_covered == self.values.len()
    }

    /// A part has come that could be used.
    pub(super) fn has_any(&self) -> bool {
        self.n_covered > 0
    }

    pub(super) fn n_known(&self) -> usize {
        self.n_known
    }

    pub(super) fn end(&self) -> u64 {
        self.start + u64::from(self.width)
    }
}
