//! The implant's own link: Bluetooth LE, by the service of [`efference::wire::gatt`].
//!
//! The modelled radio is always there; the rest, on TrouBLE or through BlueZ, is behind the feature `ble`, for Linux.

#[cfg(feature = "ble")]
mod bluez;
#[cfg(feature = "ble")]
mod carrier;
#[cfg(feature = "ble")]
mod connection;
#[cfg(feature = "ble")]
mod gatt;
#[cfg(feature = "ble")]
mod pool;
pub mod radio;
#[cfg(feature = "ble")]
pub mod serve;
#[cfg(feature = "ble")]
mod transport;
#[cfg(feature = "ble")]
mod vhci;
