//! What goes out beside the data: acknowledgements, formats, telemetry, impedances, tables.
//!
//! In: what is due, and room in a datagram. Out: records. Guarantees: what has no room stays due; formats and telemetry
//! come again each second, tables so often that a host without a back channel can join.

use super::{Lane, Now, State};
use efference_wire::{Impedance, Pong, Record, RecordWriter, Telemetry};

impl State<'_> {
    /// What is due beside the data.
    pub(super) fn write_control(&mut self, now: Now, n_sent: u32, records: &mut RecordWriter<'_>) {
        self.write_acks(records);
        self.write_formats(now, records);
        self.write_vitals(now, n_sent, records);
        self.write_table(n_sent, records);
    }

    /// What is due of one lane; the lane.
    pub(super) fn write_lane(&mut self, now: Now, n_sent: u32, records: &mut RecordWriter<'_>) -> Lane {
        self.write_acks(records);
        if !records.is_empty() {
            return Lane::Control;
        }
        // Impedances are many; data take turns with them.
        if self.data.outbox.is_empty() || n_sent % 2 == 0 {
            self.write_vitals(now, n_sent, records);
            if !records.is_empty() {
                return Lane::Telemetry;
            }
        }
        self.write_formats(now, records);
        self.write_table(n_sent, records);
        Lane::Data
    }

    fn write_acks(&mut self, records: &mut RecordWriter<'_>) {
        for ack in &mut self.acks {
            let is_out = ack.is_some_and(|due| records.push(&Record::Ack(due)).is_ok());
            if is_out {
                *ack = None;
            }
        }
    }

    /// What tells what data mean, and the clock.
    fn write_formats(&mut self, now: Now, records: &mut RecordWriter<'_>) {
        if let Some((id, came)) = self.pong {
            let pong = Pong {
                id,
                received_sample: came.sample,
                received_fraction: came.fraction,
                held_us: u32::try_from(now.us.saturating_sub(came.us)).unwrap_or(u32::MAX),
            };
            if records.push(&Record::Pong(pong)).is_ok() {
                self.pong = None;
            }
        }
        if now.us >= self.format_due_us {
            if self.is_broadcast {
                self.is_greeting_due = true;
                self.data.tables.repeat();
            }
            self.data.format.n_left_out = self.n_left_out(self.data.format.level_min);
            if records.push(&Record::Format(self.data.format)).is_ok() {
                self.format_due_us = now.us + KEY_US;
            }
        }
        if self.is_greeting_due && records.push(&Record::Hello(self.hello())).is_ok() {
            self.is_greeting_due = false;
        }
    }

    fn write_vitals(&mut self, now: Now, n_sent: u32, records: &mut RecordWriter<'_>) {
        if now.us >= self.telemetry_due_us {
            let telemetry = Telemetry {
                sample: now.sample,
                battery_mv: self.vitals.battery_mv,
                battery_percent: self.vitals.battery_percent,
                temperature_centi: self.vitals.temperature_centi,
                datagrams_sent: n_sent.saturating_add(1),
                bins_dropped: self.data.bins_dropped,
                commands_refused: self.commands.n_refused(),
                datagrams_rejected: self.rejected,
            };
            if records.push(&Record::Telemetry(telemetry)).is_ok() {
                self.telemetry_due_us = now.us + TELEMETRY_US;
            }
        }
        if let Some((first, end)) = self.impedance {
            let mut values = [0; 2 * IMPEDANCES];
            let room = records.room().saturating_sub(6) / 2;
            let n = ((end - first) as usize).min(IMPEDANCES).min(room);
            for (value, electrode) in values.chunks_exact_mut(2).zip(first..end) {
                let measured = self.impedances.get(electrode as usize).copied().unwrap_or(IMPEDANCE_OPEN);
                value.copy_from_slice(&measured.to_le_bytes());
            }
            let record = Record::Impedance(Impedance { first_electrode: first, values: &values[..2 * n] });
            if n > 0 && records.push(&record).is_ok() {
                let next = first + n as u32;
                self.impedance = (next < end).then_some((next, end));
            }
        }
    }

    fn write_table(&mut self, n_sent: u32, records: &mut RecordWriter<'_>) {
        // Data go first where they wait, but without a table that fits they would wait for ever.
        let is_turn = self.data.outbox.len() < OUTBOX_BUSY || n_sent % TABLE_EVERY == 0;
        if self.data.tables.has_piece() && is_turn {
            self.data.tables.write_piece(records);
        }
    }
}

/// Formats, and the rest that a host needs to join, come again after this.
const KEY_US: u64 = 900_000;
const TELEMETRY_US: u64 = 1_000_000;
const IMPEDANCES: usize = 64;
/// As the wire says that no current passes.
const IMPEDANCE_OPEN: u16 = u16::MAX;
const OUTBOX_BUSY: usize = 8;
/// Of so many datagrams one carries a piece of a table, however many data wait.
const TABLE_EVERY: u32 = 8;
