//! In place of Bluetooth where this program was built without it: every call says so.
//!
//! In: an address. Out: an error.

use super::{BleAddress, BleReport, Implant, News};
use crate::error::Error;
use std::time::Duration;

/// A link that can't be.
pub enum BleLink {}

impl BleLink {
    /// Refuses.
    ///
    /// # Errors
    /// Always.
    pub fn start(address: &BleAddress) -> Result<Self, Error> {
        Err(Error::usage(address.to_string(), NONE)
            .legal("udp://, tcp://, and on Unix unix:// and pipe://")
            .hint("build with `--features ble`, on Linux, macOS or Windows"))
    }

    /// Sends nothing.
    pub fn send(&mut self, _packet: &[u8]) -> bool {
        match *self {}
    }

    /// Receives nothing.
    pub fn receive(&mut self, _buffer: &mut [u8], _wait: Duration) -> Option<usize> {
        match *self {}
    }

    /// Nothing happens.
    pub fn news(&mut self) -> Option<News> {
        match *self {}
    }

    /// Nothing is known.
    pub fn report(&self) -> BleReport {
        match *self {}
    }
}

/// Finds nobody.
///
/// # Errors
/// Always.
pub fn implants(_patience: Duration) -> Result<Vec<Implant>, Error> {
    Err(Error::usage("Bluetooth", NONE).hint("build with `--features ble`, on Linux, macOS or Windows"))
}

const NONE: &str = "this program was built without Bluetooth";
