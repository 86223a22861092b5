//! What a link did, for people and for `--json`.
//!
//! In: events of a link as they come. Out: a [`LinkReport`]. Guarantees: bounded; what has no room is counted.

use super::happening::Happening;
use crate::block::CHANNELS_MAX;
use crate::link::{Device, FormatChange, Gap, Ledger, RawCounts};
use crate::live::Latency;
use crate::live::Meter;
use crate::sources::ble::BleReport;
use crate::time::{ClockReading, HostTime};
use crate::wire::{Ack, Record, Status, Telemetry};
use serde::Serialize;
use std::collections::BTreeMap;

/// Where everything that a device sent has gone, and how well the link did.
#[derive(Clone, Debug, Serialize)]
pub struct LinkReport {
    /// The device, as it says itself.
    pub device: Option<Device>,
    /// Every sum in [`Ledger`] holds.
    pub balanced: bool,
    /// Where everything has gone.
    pub ledger: Ledger,
    /// From the end of a bin on the device to its last part here, by the clock fit.
    pub bin_latency: Latency,
    /// Bits a second over the last second, headers included.
    pub throughput_bps: u32,
    /// Bits of all packets, for each channel and bin that came.
    pub bits_per_channel_bin: f64,
    /// How many times fewer bits than 4 a channel and bin, the usual packing of counts.
    pub ratio_to_4_bits: f64,
    /// The device's clock against the host's: parts per million, and how far off that may be.
    pub clock_drift_ppm: Option<f64>,
    /// Uncertainty of the drift, ppm.
    pub clock_drift_uncertainty_ppm: Option<f64>,
    /// Uncertainty of an instant, µs.
    pub clock_uncertainty_us: Option<f64>,
    /// What data mean now, in words.
    pub format: Option<String>,
    /// The last telemetry: battery in percent and volt, temperature in °C.
    pub battery_percent: Option<u8>,
    /// See above.
    pub battery_v: Option<f64>,
    /// See above.
    pub temperature_c: Option<f64>,
    /// What was measured of the electrodes, where it was asked for.
    pub impedances: Option<Impedances>,
    /// Raw samples, crossings and snippets that came as they are, in records.
    pub data_records: u64,
    /// What became of raw samples that are decoded here.
    pub raw: RawCounts,
    /// How the link does below its packets, over Bluetooth.
    pub bluetooth: Option<BleReport>,
    /// Frames that nobody read in time.
    pub unread_frames: u64,
    /// What happened, with the second at which it did.
    pub happenings: Vec<(f64, String)>,
    /// Happenings that had no room.
    pub more_happenings: u64,
}

/// What was measured of a device's electrodes at 1 kHz.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Impedances {
    /// Electrodes whose values came.
    pub n_measured: usize,
    /// Of those, through how many no current passes.
    pub n_open: usize,
    /// The lowest of the others, kΩ; 0 where there are none.
    pub lowest_kohm: f64,
    /// Their median.
    pub median_kohm: f64,
    /// Their highest.
    pub highest_kohm: f64,
}

impl Impedances {
    /// Of values of 1/10 kΩ by electrode; `None` where none came.
    fn of(values: &BTreeMap<u32, u16>) -> Option<Self> {
        let mut closed: Vec<u16> =
            values.values().copied().filter(|&value| value != IMPEDANCE_OPEN).collect();
        closed.sort_unstable();
        let kohm = |at: usize| closed.get(at).map_or(0.0, |&value| f64::from(value) / 10.0);
        (!values.is_empty()).then(|| Impedances {
            n_measured: values.len(),
            n_open: values.len() - closed.len(),
            lowest_kohm: kohm(0),
            median_kohm: kohm(closed.len() / 2),
            highest_kohm: kohm(closed.len().saturating_sub(1)),
        })
    }
}

/// Keeps what a report is made of.
pub(super) struct Tracks {
    latency: Meter,
    last_at: HostTime,
    format: Option<FormatChange>,
    battery_percent: Option<u8>,
    battery_v: Option<f64>,
    temperature_c: Option<f64>,
    impedances: BTreeMap<u32, u16>,
    happenings: Vec<(HostTime, Happening)>,
    n_more: u64,
    n_values: u64,
    n_data: u64,
    pub(super) n_unread: u64,
    pub(super) n_strange_bins: u64,
    pub(super) raw: RawCounts,
}

impl Tracks {
    /// Nothing yet; all memory but for impedances is taken here.
    pub(super) fn new() -> Self {
        Tracks {
            latency: Meter::default(),
            last_at: HostTime::default(),
            format: None,
            battery_percent: None,
            battery_v: None,
            temperature_c: None,
            impedances: BTreeMap::new(),
            happenings: Vec::with_capacity(HAPPENINGS_MAX),
            n_more: 0,
            n_values: 0,
            n_data: 0,
            n_unread: 0,
            n_strange_bins: 0,
            raw: RawCounts::default(),
        }
    }

    pub(super) fn last_at(&self) -> HostTime {
        self.last_at
    }

    pub(super) fn bin(&mut self, bin: &crate::link::Bin<'_>, due: HostTime, now: HostTime) {
        self.last_at = now;
        self.latency.record(bin.arrived_at.since(due), now);
        self.n_values += (bin.values.len() - bin.n_unknown) as u64;
    }

    /// A run of raw samples, complete at `arrived_at`, that ended at `due`.
    pub(super) fn run(&mut self, arrived_at: HostTime, due: HostTime, now: HostTime) {
        self.last_at = now;
        self.latency.record(arrived_at.since(due), now);
    }

    pub(super) fn gap(&mut self, gap: &Gap, now: HostTime) {
        // Single bins lost to the radio are for the ledger; what a person wants to hear of is longer.
        if gap.n_bins >= GAP_TOLD {
            self.note(now, Happening::Gap(gap.n_bins, gap.cause));
        }
    }

    pub(super) fn connected(&mut self, device: &Device, is_resumed: bool, now: HostTime) {
        let how = if is_resumed { "resumed" } else { "connected" };
        let Device { name, profile, n_electrodes, .. } = device;
        self.note(now, Happening::Said(format!("{how}: {name} ({profile}), {n_electrodes} electrodes")));
    }

    pub(super) fn format(&mut self, change: &FormatChange, now: HostTime) {
        self.format = Some(*change);
        self.note(now, Happening::Format(*change));
    }

    pub(super) fn telemetry(&mut self, telemetry: &Telemetry) {
        self.battery_percent = Some(telemetry.battery_percent);
        self.battery_v = Some(f64::from(telemetry.battery_mv) / 1e3);
        self.temperature_c = Some(f64::from(telemetry.temperature_centi) / 100.0);
    }

    pub(super) fn ack(&mut self, ack: &Ack, now: HostTime) {
        if ack.status != Status::Done {
            self.note(now, Happening::Refused(*ack));
        }
    }

    pub(super) fn data(&mut self, record: &Record<'_>) {
        self.n_data += 1;
        if let Record::Impedance(impedance) = record {
            let (values, _) = impedance.values.as_chunks();
            let of_channels = (impedance.first_electrode..CHANNELS_MAX as u32).zip(values);
            self.impedances
                .extend(of_channels.map(|(electrode, &value)| (electrode, u16::from_le_bytes(value))));
        }
    }

    pub(super) fn note(&mut self, now: HostTime, what: Happening) {
        self.last_at = self.last_at.max(now);
        match self.happenings.len() < HAPPENINGS_MAX {
            true => self.happenings.push((now, what)),
            false => self.n_more += 1,
        }
    }

    pub(super) fn report(
        &self,
        device: Option<Device>,
        ledger: Ledger,
        clock: Option<ClockReading>,
        throughput_bps: u32,
    ) -> LinkReport {
        let bits = ledger.packets.bytes as f64 * 8.0;
        let bits_per_channel_bin = if self.n_values > 0 { bits / self.n_values as f64 } else { 0.0 };
        LinkReport {
            device,
            balanced: ledger.is_balanced(),
            bin_latency: self.latency.latency(),
            throughput_bps,
            bits_per_channel_bin,
            ratio_to_4_bits: if bits_per_channel_bin > 0.0 { 4.0 / bits_per_channel_bin } else { 0.0 },
            clock_drift_ppm: clock.map(|clock| clock.rate_ppm),
            clock_drift_uncertainty_ppm: clock.map(|clock| clock.rate_uncertainty_ppm),
            clock_uncertainty_us: clock.map(|clock| clock.uncertainty_ns * 1e-3),
            format: self.format.map(|change| change.to_string()),
            battery_percent: self.battery_percent,
            battery_v: self.battery_v,
            temperature_c: self.temperature_c,
            impedances: Impedances::of(&self.impedances),
            data_records: self.n_data,
            raw: self.raw,
            bluetooth: None,
            unread_frames: self.n_unread,
            happenings: self
                .happenings
                .iter()
                .map(|(at, what)| (at.ns as f64 * 1e-9, what.to_string()))
                .collect(),
            more_happenings: self.n_more,
            ledger,
        }
    }
}

/// Bins that are missing in a row before it is told apart from the ledger.
const GAP_TOLD: u64 = 5;
/// As the wire says it.
const IMPEDANCE_OPEN: u16 = u16::MAX;
const HAPPENINGS_MAX: usize = 200;
