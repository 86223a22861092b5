//! The link over Bluetooth LE: which service and characteristics carry its packets.
//!
//! In: nothing. Out: 128-bit UUIDs, as numbers whose highest byte is written first. Guarantees: a characteristic's value is one
//! packet, whole, never part of one; a packet is at most ATT_MTU − 3 bytes, and the link takes care of what is longer.
//!
//! | characteristic | properties | carries |
//! |---|---|---|
//! | [`DATA`] | notify | packets of the device: bins, tables, raw samples |
//! | [`CONTROL`] | write, indicate | packets of the host: hello, commands; of the device: hello back, acknowledgements |
//! | [`TELEMETRY`] | notify | packets of the device: battery, temperature, impedances, statistics of the radio |
//! | [`VERSION`] | read | one byte, [`crate::packet::VERSION`]: tells before anything is written whether they can speak |
//!
//! An indication of no bytes is no packet: a device whose stack doesn't tell what the radio has taken sees it by the
//! confirmation.
//!
//! All of them, [`VERSION`] excepted, are sealed by the link's own session: bonding of the two adapters is welcome and not
//! relied on. Sequence numbers run through the characteristics, whichever carries a packet.

/// The service that an implant advertises.
pub const SERVICE: u128 = 0x7d1e_0001_52c4_4b8f_9a6d_e1f0_c3b2_a597;
/// Packets with data, notified.
pub const DATA: u128 = 0x7d1e_0002_52c4_4b8f_9a6d_e1f0_c3b2_a597;
/// Packets of the host, written with response; greetings and acknowledgements, indicated.
pub const CONTROL: u128 = 0x7d1e_0003_52c4_4b8f_9a6d_e1f0_c3b2_a597;
/// Packets with telemetry, notified.
pub const TELEMETRY: u128 = 0x7d1e_0004_52c4_4b8f_9a6d_e1f0_c3b2_a597;
/// The version of the link, one byte, read.
pub const VERSION: u128 = 0x7d1e_0005_52c4_4b8f_9a6d_e1f0_c3b2_a597;

/// What a notification holds of an ATT_MTU: all but the opcode and the handle (Bluetooth Core 5.4, vol. 3, part F, 3.4.7.1).
#[must_use]
pub const fn packet_max(att_mtu: u16) -> usize {
    let room = att_mtu.saturating_sub(3) as usize;
    if room > crate::packet::MTU_MAX { crate::packet::MTU_MAX } else { room }
}
