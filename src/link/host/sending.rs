//! What the host has to say, as datagrams.
//!
//! In: commands and reports that are due. Out: sealed datagrams. Guarantee: a key is not asked for more often than is of
//! use.

use super::{Host, Phase};
use crate::link::event::Ending;
use crate::wire::packet::DATAGRAM_MAX;
use crate::wire::session::{SealError, records_max};
use crate::wire::{Operation, RecordWriter, Report};

impl Host {
    pub(super) fn ask_for_key(&mut self) {
        let is_soon = self.key_asked_at.is_some_and(|at| self.now.since(at) < KEY_NS);
        if is_soon || self.outbox.waits_for_key() {
            return;
        }
        // Where there is no room for it now, there is at the next deadline.
        if self.command(Operation::RequestKey).is_ok() {
            self.key_asked_at = Some(self.now);
            self.wants_key = false;
        }
    }

    /// Seals what is due as a datagram; `None` when nothing is.
    pub(super) fn write_datagram(&mut self) -> Option<()> {
        let is_heard = matches!(self.phase, Phase::Live | Phase::Silent);
        if !is_heard || self.outbox.deadline() > self.now {
            return None;
        }
        let report = Report {
            next_sequence: self.log.next(),
            received: self.log.n_received(),
            throughput_bps: self.throughput.bps(self.now),
            table: self.tables.complete(),
            epoch: self.assembly.as_ref().and_then(|a| a.formats.present()).map_or(0, |format| format.epoch),
        };
        let mut bytes = [0; DATAGRAM_MAX];
        let room = records_max(self.mtu(), &self.settings.access).min(DATAGRAM_MAX);
        let mut records = RecordWriter::new(&mut bytes[..room]);
        self.outbox.write(self.now, &mut records, &report);
        if records.is_empty() {
            return None;
        }
        match self.endpoint.seal(records.written()) {
            Ok(()) => Some(()),
            Err(SealError::Exhausted) => {
                self.end_session(Ending::Exhausted);
                None
            }
            Err(_) => None,
        }
    }
}

/// Between two requests for a key.
const KEY_NS: u64 = 200_000_000;
