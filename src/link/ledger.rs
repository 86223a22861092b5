//! Where everything has gone that a device sent: packets, datagrams and bins, balanced to the last one.
//!
//! In: what the host's end counts. Out: a [`Ledger`] that a report holds. Guarantees: each sum holds at any time, not
//! only at the end: datagrams sent = received + lost + dropped, bins expected = whole + partial + lost. What nobody can
//! know is not guessed: datagrams behind the last one that came count as sent as soon as telemetry, a later one, or
//! [`Host::close`](super::Host::close) says so.

use super::Cause;
use crate::wire::packet::{Counters, Dropped};
use serde::Serialize;
use std::collections::BTreeMap;

/// Where everything has gone. Counts are of the whole run, over all sessions.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Ledger {
    /// Packets, as the radio carries them.
    pub packets: Packets,
    /// Datagrams of the sessions that were had.
    pub datagrams: Datagrams,
    /// Bins from the first that came on.
    pub bins: Bins,
    /// What was said in the datagrams.
    pub records: Records,
    /// The way to the device.
    pub upward: Upward,
    /// What happened to the link itself.
    pub link: Happenings,
}

/// Packets that came.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Packets {
    /// All.
    pub received: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Those that became datagrams, or parts of them.
    pub used: u64,
    /// Those that are parts of datagrams which are not complete.
    pub held: u64,
    /// Those that were dropped, and datagrams that did not open, by cause; causes that did not come up are left out.
    pub dropped: BTreeMap<&'static str, u64>,
}

/// Datagrams that a device sent in the sessions that were had.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Datagrams {
    /// As many as the device numbered: `received + lost + dropped`.
    pub sent: u64,
    /// Opened and read.
    pub received: u64,
    /// Never came, or came damaged beyond being told from noise.
    pub lost: u64,
    /// Came, authentic, but too late to tell whether they had come before.
    pub dropped: u64,
}

/// Bins between the first that came and the last.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Bins {
    /// `whole + partial + lost`, by the device's numbering.
    pub expected: u64,
    /// All channels came that the device sends.
    pub whole: u64,
    /// Some channels are missing.
    pub partial: u64,
    /// No channel came.
    pub lost: u64,
    /// The lost ones by cause.
    pub causes: Causes,
    /// Parts of bins that came after their bin had been given out or given up.
    pub late_parts: u64,
    /// Parts that could not be used: no format, no table, damaged, or nowhere to put them.
    pub unusable_parts: u64,
    /// Values that are not known in bins given out, left out ones included.
    pub unknown_values: u64,
}

/// Lost bins by cause.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Causes {
    /// [`Cause::Device`].
    pub device: u64,
    /// [`Cause::Radio`].
    pub radio: u64,
    /// [`Cause::Key`].
    pub key: u64,
    /// [`Cause::Stall`].
    pub stall: u64,
    /// [`Cause::Disconnect`].
    pub disconnect: u64,
    /// [`Cause::ClockJump`].
    pub clock_jump: u64,
    /// [`Cause::Reboot`].
    pub reboot: u64,
}

/// What stood in the datagrams that opened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Records {
    /// All that could be read.
    pub read: u64,
    /// Of types that this version doesn't know.
    pub unknown: u64,
    /// That broke the format.
    pub malformed: u64,
    /// Of the other direction.
    pub misdirected: u64,
    /// Parts of rate tables that could not be used.
    pub unusable_tables: u64,
    /// Data that nobody took in time.
    pub untaken: u64,
}

/// What the host sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Upward {
    /// Packets.
    pub packets: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Commands, each once however often it was sent.
    pub commands: u64,
    /// Commands that the device acknowledged.
    pub acknowledged: u64,
    /// Of these, those that it refused.
    pub refused: u64,
}

/// What happened to the link itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Happenings {
    /// Calls.
    pub hellos: u64,
    /// Sessions.
    pub sessions: u64,
    /// Starts of the device, the first one included.
    pub boots: u64,
    /// Silences that the session outlived.
    pub stalls: u64,
    /// Jumps of the device's clock.
    pub clock_jumps: u64,
    /// Changes of the format.
    pub format_changes: u64,
    /// What the device itself says it gave up before sending.
    pub device_dropped_bins: u64,
    /// Events that nobody took in time.
    pub untaken_events: u64,
}

impl Ledger {
    /// Every sum holds.
    pub fn is_balanced(&self) -> bool {
        let Datagrams { sent, received, lost, dropped } = self.datagrams;
        let Bins { expected, whole, partial, lost: lost_bins, causes, .. } = self.bins;
        let of_packets: u64 = Dropped::ALL[..Dropped::N_OF_PACKETS]
            .iter()
            .filter_map(|cause| self.packets.dropped.get(cause.name()))
            .sum();
        sent == received + lost + dropped
            && expected == whole + partial + lost_bins
            && lost_bins == causes.sum()
            && self.packets.received == self.packets.used + self.packets.held + of_packets
    }

    /// Takes over what the layer of packets has counted since `before`.
    pub(super) fn count_packets(&mut self, before: &Counters, now: &Counters, n_held: u32) {
        let grown = |of: fn(&Counters) -> u32| u64::from(of(now).wrapping_sub(of(before)));
        self.packets.received += grown(|counters| counters.packets);
        self.packets.used += grown(|counters| counters.packets_used);
        self.packets.held = u64::from(n_held);
        for cause in Dropped::ALL {
            let dropped = now.of(cause).wrapping_sub(before.of(cause));
            if dropped > 0 {
                *self.packets.dropped.entry(cause.name()).or_default() += u64::from(dropped);
            }
        }
    }
}

impl Bins {
    /// Enters `n_bins` lost ones.
    pub(super) fn lose(&mut self, n_bins: u64, cause: Cause) {
        self.lost += n_bins;
        *match cause {
            Cause::Device => &mut self.causes.device,
            Cause::Radio => &mut self.causes.radio,
            Cause::Key => &mut self.causes.key,
            Cause::Stall => &mut self.causes.stall,
            Cause::Disconnect => &mut self.causes.disconnect,
            Cause::ClockJump => &mut self.causes.clock_jump,
            Cause::Reboot => &mut self.causes.reboot,
        } += n_bins;
    }
}

impl Causes {
    /// All of them.
    pub fn sum(&self) -> u64 {
        let Causes { device, radio, key, stall, disconnect, clock_jump, reboot } = *self;
        device + radio + key + stall + disconnect + clock_jump + reboot
    }
}
