//! The implant's own link: Bluetooth LE.

pub mod radio;
