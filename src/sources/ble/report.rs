//! What is known of a link over Bluetooth LE, and of implants that advertise.
//!
//! In: what the central finds. Out: values for people and for `--json`.

use serde::Serialize;

/// How a link over Bluetooth LE does, below its packets.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct BleReport {
    /// Where the link stands, in words.
    pub standing: String,
    /// The name that the implant advertises.
    pub name: Option<String>,
    /// Its address; on macOS the number that the system gives it.
    pub address: Option<String>,
    /// The adapter, as the system calls it.
    pub adapter: Option<String>,
    /// Strength of its advertisement when it was found, dBm.
    pub rssi_dbm: Option<i16>,
    /// ATT_MTU of the connection, bytes; 23 where the platform doesn't tell.
    pub att_mtu: Option<u16>,
    /// Largest packet of the link, bytes.
    pub packet_max: Option<usize>,
    /// Data come through a socket of BlueZ's own, not as signals on the system's bus.
    pub by_socket: bool,
    /// Connection interval that the platform tells, ms. BlueZ tells none.
    pub interval_ms: Option<f64>,
    /// Usual shortest time between two bursts of notifications, ms: the interval or a multiple of it, as it looks from
    /// here.
    pub burst_ms: Option<f64>,
    /// Times that it was connected.
    pub connections: u64,
    /// Times that it fell silent while the system had it connected.
    pub stalls: u64,
    /// Packets that came.
    pub received: u64,
    /// Of these, packets that had no room here, since nobody took those before; the oldest went.
    pub dropped_on_host: u64,
    /// Notifications that are no packet: empty, or longer than any.
    pub malformed: u64,
    /// Packets that were written.
    pub written: u64,
    /// Packets that could not be written.
    pub unwritten: u64,
}

/// Something that happened to the link below its packets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct News {
    /// In words.
    pub text: String,
    /// The largest packet, where the link has just been connected, bytes.
    pub packet_max: Option<usize>,
}

/// An implant that advertises.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Implant {
    /// What to write for it, without key.
    pub link: String,
    /// The name that it advertises.
    pub name: Option<String>,
    /// Its address; on macOS the number that the system gives it.
    pub address: String,
    /// The adapter that hears it.
    pub adapter: String,
    /// How strong it is there, dBm.
    pub rssi_dbm: Option<i16>,
    /// The version of the link that it speaks; `None` if it didn't tell.
    pub version: Option<u8>,
}

impl Implant {
    /// It speaks the same version of the link.
    pub fn speaks_ours(&self) -> bool {
        self.version == Some(crate::wire::packet::VERSION)
    }
}
