//! What has happened and was not taken yet.
//!
//! In: happenings, and records that aren't bins. Out: the same in order. Guarantees: memory is taken when it is built;
//! what nobody takes in time is dropped, the oldest first, and counted.

use super::{Ending, FormatChange};
use crate::wire::packet::DATAGRAM_MAX;
use crate::wire::{Ack, Record, RecordWriter, Records, Telemetry};
use std::collections::VecDeque;

/// Something that is kept until it is taken.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Happened {
    Connecting(u32),
    Connected {
        is_resumed: bool,
    },
    Format(FormatChange),
    Telemetry(Telemetry),
    Ack(Ack),
    /// Data in this parcel.
    Data(usize),
    Silent,
    Audible,
    Disconnected(Ending),
}

/// A queue of what happened, with the bytes of data.
pub(crate) struct Queue {
    events: VecDeque<Happened>,
    parcels: Vec<Parcel>,
    free: Vec<usize>,
    /// The parcel that was lent.
    held: Option<usize>,
    pub(crate) n_untaken_events: u64,
    pub(crate) n_untaken_data: u64,
}

struct Parcel {
    bytes: [u8; DATAGRAM_MAX],
    n_bytes: usize,
}

impl Queue {
    pub(crate) fn new() -> Self {
        Queue {
            events: VecDeque::with_capacity(EVENTS_MAX),
            parcels: (0..PARCELS).map(|_| Parcel { bytes: [0; DATAGRAM_MAX], n_bytes: 0 }).collect(),
            free: (0..PARCELS).collect(),
            held: None,
            n_untaken_events: 0,
            n_untaken_data: 0,
        }
    }

    pub(crate) fn push(&mut self, happened: Happened) {
        if self.events.len() == EVENTS_MAX {
            self.n_untaken_events += 1;
            if let Some(Happened::Data(parcel)) = self.events.pop_front() {
                self.free.push(parcel);
                self.n_untaken_data += 1;
            }
        }
        self.events.push_back(happened);
    }

    /// Keeps a record of data.
    pub(crate) fn keep(&mut self, record: &Record<'_>) {
        let Some(at) = self.free.pop() else {
            self.n_untaken_data += 1;
            return;
        };
        let parcel = &mut self.parcels[at];
        let mut writer = RecordWriter::new(&mut parcel.bytes);
        // It came in a datagram, so it fits one.
        if writer.push(record).is_err() {
            self.free.push(at);
            self.n_untaken_data += 1;
            return;
        }
        parcel.n_bytes = writer.len();
        self.push(Happened::Data(at));
    }

    /// The oldest; the data taken before are gone.
    pub(crate) fn pop(&mut self) -> Option<Happened> {
        if let Some(held) = self.held.take() {
            self.free.push(held);
        }
        let happened = self.events.pop_front();
        if let Some(Happened::Data(parcel)) = happened {
            self.held = Some(parcel);
        }
        happened
    }

    /// The record in a parcel that was just taken.
    pub(crate) fn data(&self, at: usize) -> Option<Record<'_>> {
        let parcel = &self.parcels[at];
        Records::new(&parcel.bytes[..parcel.n_bytes]).next()?.ok()
    }
}

/// Happenings that wait at a time.
const EVENTS_MAX: usize = 128;
/// Records of data that wait at a time.
const PARCELS: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::Raw;

    #[test]
    fn data_come_out_as_they_went_in_and_what_is_too_much_is_counted() {
        let mut queue = Queue::new();
        let raw = |electrode: u32| Record::Raw(Raw { electrode, first_sample: 9, coded: &[1, 2, 3] });
        for electrode in 0..PARCELS as u32 + 3 {
            queue.keep(&raw(electrode));
        }
        assert_eq!((queue.n_untaken_data, queue.n_untaken_events), (3, 0));
        for electrode in 0..PARCELS as u32 {
            let Some(Happened::Data(at)) = queue.pop() else { panic!("data") };
            assert_eq!(queue.data(at), Some(raw(electrode)));
        }
        assert_eq!(queue.pop(), None);
        queue.keep(&raw(7));
        for _ in 0..EVENTS_MAX {
            queue.push(Happened::Silent);
        }
        assert_eq!((queue.n_untaken_data, queue.n_untaken_events), (4, 1), "the oldest goes");
        assert_eq!(queue.free.len(), PARCELS, "and what it held is free");
    }
}
