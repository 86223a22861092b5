//! What the device knows of its session: what the host says, what data mean, what may be sent.
//!
//! In: records of the host, changes of what is collected. Out: tasks for the front end, formats, credit. Guarantees: the
//! same command twice is done once; never more than the budget for longer than its burst.

use super::{ACKS, Identity, Now, RAW_MAX, State, Task};
use crate::rate::Setting;
use efference_wire::{Format, Hello, Mode, Reason, Record, Records};

impl<'a> State<'a> {
    pub(super) fn hello(&self) -> Hello<'a> {
        let Identity { boot, bits, nv_per_count, synthetic, name, profile } = self.identity;
        Hello {
            boot,
            firmware: FIRMWARE,
            n_electrodes: self.abilities.n_electrodes,
            sample_rate_millihertz: self.abilities.sample_rate_millihertz,
            bits,
            nv_per_count,
            modes: self.abilities.modes,
            mtu_max: self.abilities.mtu_max,
            n_raw_max: RAW_MAX as u16,
            synthetic,
            name,
            profile,
        }
    }

    pub(super) fn begin_session(&mut self, now: Now) {
        self.data.bins_dropped += self.data.outbox.clear();
        self.commands.forget();
        self.data.tables.begin_session();
        (self.acks, self.pong, self.impedance) = ([None; ACKS], None, None);
        (self.format_due_us, self.telemetry_due_us) = (now.us, now.us);
        (self.is_greeting_due, self.reported) = (false, (0, 0));
    }

    pub(super) fn take(&mut self, now: Now, records: &[u8], on: &mut impl FnMut(Task<'_>)) {
        if now.us.saturating_sub(self.heard_us) > SILENT_US {
            self.data.rate.begin_anew(now.us);
        }
        self.heard_us = now.us;
        for record in Records::new(records) {
            match record {
                Ok(Record::Command(command)) => {
                    let (ack, task) = self.commands.take(&command);
                    match self.acks.iter_mut().find(|ack| ack.is_none()) {
                        Some(place) => *place = Some(ack),
                        // The host asks again for what it hears nothing of.
                        None => continue,
                    }
                    match task {
                        Task::Budget => self.data.rate.set_budget(self.commands.wanted().budget_bps, now.us),
                        Task::Key => {
                            (self.format_due_us, self.is_greeting_due) = (now.us, true);
                            on(Task::Key);
                        }
                        Task::Impedance { first_electrode, n_electrodes } => {
                            self.impedance =
                                Some((first_electrode, first_electrode + u32::from(n_electrodes)));
                            on(task);
                        }
                        other => on(other),
                    }
                }
                Ok(Record::Report(report)) => {
                    let was_known = self.data.tables.used().is_some();
                    self.data.tables.confirm(report.table);
                    if !was_known && self.data.tables.used().is_some() {
                        self.data.rate.ease();
                    }
                    let sent = report.next_sequence.wrapping_sub(self.reported.0);
                    let came = report.received.wrapping_sub(self.reported.1);
                    if sent >= REPORT_MIN {
                        self.reported = (report.next_sequence, report.received);
                        if came < sent / 2 {
                            self.data.rate.arrives(report.throughput_bps);
                        }
                    }
                }
                Ok(Record::Ping(id)) => self.pong = Some((id, now)),
                Ok(Record::Bye) => self.is_over = true,
                Ok(_) => {}
                Err(_) => self.rejected = self.rejected.saturating_add(1),
            }
        }
    }

    /// Channels below a level of the table in use; none without a table, since then all are sent.
    pub(super) fn n_left_out(&self, level_min: u8) -> u32 {
        let count = |used: &[u8]| used.iter().filter(|&&level| level < level_min).count() as u32;
        if level_min == 0 { 0 } else { self.data.tables.used().map_or(0, count) }
    }

    pub(super) fn begin_epoch(&mut self, origin_sample: u64, reason: Reason) {
        let (wanted, setting) = (*self.commands.wanted(), self.data.rate.setting());
        let mode = if wanted.is_running { wanted.mode } else { Mode::Quiet };
        let setting = if mode == Mode::Counts { setting } else { Setting::ALL };
        let width = wanted.bin_samples.saturating_mul(u32::from(setting.widening));
        self.data.tables.set_width(width, wanted.bin_samples);
        self.data.format = Format {
            epoch: self.data.format.epoch.wrapping_add(1),
            mode,
            origin_sample,
            bin_samples: width,
            asked_bin_samples: wanted.bin_samples,
            count_max: setting.count_max,
            level_min: setting.level_min,
            n_left_out: self.n_left_out(setting.level_min),
            budget_bps: self.data.rate.limit_bps(),
            reason: if reason == Reason::Asked && setting != Setting::ALL { Reason::Budget } else { reason },
        };
        (self.data.bin, self.data.n_summed, self.format_due_us) = (0, 0, 0);
        self.data.totals.fill(0);
    }

    /// Whether the budget has room for a datagram now.
    pub(super) fn has_credit(&mut self, now: Now) -> bool {
        let budget = i64::from(self.commands.wanted().budget_bps);
        if budget == 0 {
            return true;
        }
        let elapsed = now.us.saturating_sub(self.credited_us).min(1_000_000) as i64;
        self.credited_us = now.us;
        let burst = budget / 20 + 8 * efference_wire::packet::DATAGRAM_MAX as i64;
        self.credit = (self.credit + budget * elapsed / 1_000_000).min(burst);
        self.credit > 0
    }
}

/// Version 1.0.
const FIRMWARE: u16 = 0x0100;
/// A host reports twice a second: longer than this it is silent only where nothing passes.
const SILENT_US: u64 = 1_500_000;
/// Datagrams after which a report says what share arrives: of so many a radio that loses every fifth in bursts never loses
/// half, and one that is sent too much soon does. To send less helps against the second alone.
const REPORT_MIN: u32 = 128;
