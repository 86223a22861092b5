//! A pretend BlueZ on a bus of its own, and pretend implants behind it.
//!
//! In: which adapters and implants there are, and what goes wrong when. Out: all of `org.bluez` that a central calls, so
//! that the real btleplug and libdbus are tested with real sealed packets, without Bluetooth and without privileges; and,
//! apart, what a program calls that is a peripheral ([`Server`]).
//! Guarantees: packets come from the firmware's own link end; who advertises, is connected and may be written to follows
//! BlueZ's rules, as far as they are relied on. A process has one such bus, since libdbus keeps its address.
#![cfg(target_os = "linux")]

mod bus;
mod device;
mod fake;
mod implant;
mod objects;
mod server;

pub use bus::Bus;
pub use device::{ELECTRODES, Sends, crossings};
pub use fake::Fake;
pub use implant::{Implant, Plan};
pub use server::{Registered, Server, Wrong, indicated};
