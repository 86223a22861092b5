//! Implants over Bluetooth LE: this computer is the central, an implant the peripheral.
//!
//! In: a [`BleAddress`]. Out: packets both ways through a [`BleLink`], whatever becomes of adapters, of the system's
//! Bluetooth service and of the radio; or a list of who advertises. Which service carries packets is in
//! [`crate::wire::gatt`], what they mean in [`crate::link`]. Guarantees: one thread of its own speaks with the system;
//! between it and whoever decodes stand bounded queues alone; what has no room is counted; nothing is switched on, paired
//! or remembered that nobody asked for.
//!
//! Without the feature `ble`, and on systems that have no Bluetooth for us, addresses are read and opening them is an
//! error that says so.

mod address;
mod report;

#[cfg(all(feature = "ble", any(target_os = "linux", target_os = "macos", target_os = "windows")))]
mod radio;
#[cfg(not(all(feature = "ble", any(target_os = "linux", target_os = "macos", target_os = "windows"))))]
mod without;

pub(crate) use address::escape;
pub use address::{BleAddress, Peer};
pub use report::{BleReport, Implant, News};

#[cfg(all(feature = "ble", any(target_os = "linux", target_os = "macos", target_os = "windows")))]
pub use radio::{BleLink, implants};
#[cfg(not(all(feature = "ble", any(target_os = "linux", target_os = "macos", target_os = "windows"))))]
pub use without::{BleLink, implants};
