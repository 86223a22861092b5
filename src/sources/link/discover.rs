//! Who is there: asks an address for a greeting, and takes no session from anybody.
//!
//! In: an address with its key. Out: what the device says of itself. Guarantees that a session which the device has with
//! another host goes on: the greeting is asked for and not followed by a word.

use super::{Carrier, LinkAddress, PACKET_MAX, PairingKey, Received, Secrecy, Transport, entropy};
use crate::error::Error;
use crate::live::Clock;
use crate::wire::session::{Access, Endpoint, Key, Received as Opened};
use crate::wire::{Record, Records};
use serde::Serialize;
use std::time::Duration;

/// A device that has answered.
#[derive(Clone, Debug, Serialize)]
pub struct Found {
    /// Where.
    pub address: String,
    /// Its own name.
    pub name: String,
    /// The profile that it follows.
    pub profile: String,
    /// Electrodes.
    pub n_electrodes: u32,
    /// Frames a second.
    pub sample_rate_hz: f64,
    /// Made by a simulator.
    pub synthetic: bool,
    /// From the hello to its answer, ms.
    pub answered_in_ms: f64,
}

/// Asks for at most `patience`; `None` if nobody answers, which a device with another key doesn't either.
///
/// # Errors
/// If the key can't be read or the address not be opened.
pub fn ask(address: &LinkAddress, patience: Duration) -> Result<Option<Found>, Error> {
    let access = match &address.secrecy {
        Secrecy::Plain => Access::Plain,
        Secrecy::Key(path) => Access::Paired(Key::from_bytes(*PairingKey::load(path)?.bytes())),
    };
    let mut transport = Transport::connect(&address.carrier)?;
    let random = entropy()?;
    let mut endpoint = Endpoint::host(access, random[0]);
    endpoint.connect(entropy()?);
    let clock = Clock::start();
    let mut packet = [0; PACKET_MAX];
    let (mut asked_at, mut is_first, mut mtu) = (clock.now(), true, MTU);
    let patience = match address.carrier {
        Carrier::Ble(_) => patience.max(PATIENCE_BLE),
        _ => patience,
    };
    let until = clock.now().after(patience.as_nanos() as u64);
    while clock.now() < until {
        if is_first || clock.now().since(asked_at) > AGAIN_NS {
            if !is_first {
                endpoint.hello_again();
            }
            (asked_at, is_first) = (clock.now(), false);
        }
        while let Some(news) = transport.news() {
            // What was said before went nowhere.
            if let Some(packet_max) = news.packet_max {
                mtu = packet_max.min(MTU);
                endpoint.hello_again();
                asked_at = clock.now();
            }
        }
        while let Some(n) = endpoint.poll_packet(mtu, &mut packet) {
            transport.send(&packet[..n]);
        }
        if let Received::Packet(n) = transport.receive(&mut packet, WAIT)
            && let Ok(Opened::Session(records)) = endpoint.receive(&packet[..n])
        {
            let answered_in_ms = clock.now().since(asked_at) as f64 * 1e-6;
            let hello = Records::new(records).find_map(|record| match record {
                Ok(Record::Hello(hello)) => Some(hello),
                _ => None,
            });
            return Ok(hello.map(|hello| Found {
                address: address.to_string(),
                name: hello.name.to_string(),
                profile: hello.profile.to_string(),
                n_electrodes: hello.n_electrodes,
                sample_rate_hz: f64::from(hello.sample_rate_millihertz) / 1e3,
                synthetic: hello.synthetic,
                answered_in_ms,
            }));
        }
    }
    Ok(None)
}

/// Greetings fit into what every radio carries.
const MTU: usize = 128;
/// An implant over Bluetooth is looked for and connected first.
const PATIENCE_BLE: Duration = Duration::from_secs(10);
const WAIT: Duration = Duration::from_millis(10);
const AGAIN_NS: u64 = 100_000_000;
