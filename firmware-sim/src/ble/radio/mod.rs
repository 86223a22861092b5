//! Two controllers of Bluetooth LE and what is between them: a radio to test against where there is none.
//!
//! In: packets of HCI (with their indicator byte) from both hosts, the time. Out: packets of HCI to both. Guarantees: no
//! clock, no socket; the same packets and times, the same packets. The central is side 0, the peripheral side 1.

pub mod airtime;
mod commands;
mod link;
mod settings;

pub use link::{Account, Change, Happening, Link};
pub use settings::{OCTETS_MAX, RadioSettings};

use link::Air;
use rand::{RngExt, SeedableRng};
use rand_xoshiro::Xoshiro256PlusPlus;
use std::collections::VecDeque;

/// The central's host.
pub const CENTRAL: usize = 0;
/// The peripheral's.
pub const PERIPHERAL: usize = 1;

/// Two controllers.
#[derive(Debug)]
pub struct Radio {
    settings: RadioSettings,
    sides: [Controller; 2],
    link: Option<Link>,
    rng: Xoshiro256PlusPlus,
    now_us: u64,
    advertising_us: u64,
    first_link_us: Option<u64>,
    out: VecDeque<(usize, Vec<u8>)>,
    happenings: Vec<Happening>,
}

/// What a host has set in its controller.
#[derive(Clone, Debug)]
struct Controller {
    address: [u8; 6],
    random_address: [u8; 6],
    is_advertising: bool,
    advertising_interval_us: u64,
    advertising_kind: u8,
    own_kind: u8,
    advertisement: Vec<u8>,
    scan_response: Vec<u8>,
    is_scanning: bool,
    asks_more: bool,
    initiating: Option<Initiating>,
    suggested_octets: u16,
    long_term_key: Option<[u8; 16]>,
}

/// A central that waits for a peripheral to connect to.
#[derive(Clone, Debug)]
struct Initiating {
    is_any: bool,
    peer_kind: u8,
    peer: [u8; 6],
    own_kind: u8,
    interval: u16,
    latency: u16,
    timeout: u16,
}

impl Controller {
    fn new(address: [u8; 6]) -> Self {
        Controller {
            address,
            random_address: [0; 6],
            is_advertising: false,
            advertising_interval_us: 100_000,
            advertising_kind: 0,
            own_kind: 0,
            advertisement: Vec::new(),
            scan_response: Vec::new(),
            is_scanning: false,
            asks_more: false,
            initiating: None,
            suggested_octets: link::OCTETS_MIN,
            long_term_key: None,
        }
    }

    fn own(&self, kind: u8) -> (u8, [u8; 6]) {
        if kind & 1 == 1 { (1, self.random_address) } else { (0, self.address) }
    }
}

impl Radio {
    /// With nobody connected; `number` goes into the addresses, so that adapters differ.
    #[must_use]
    pub fn new(settings: RadioSettings, number: u8) -> Self {
        let rng = Xoshiro256PlusPlus::seed_from_u64(settings.seed);
        let sides = [1, 2].map(|side| Controller::new([side, number, 0, 0x52, 0x41, 0xc0]));
        Radio {
            settings,
            sides,
            link: None,
            rng,
            now_us: 0,
            advertising_us: 0,
            first_link_us: None,
            out: VecDeque::new(),
            happenings: Vec::new(),
        }
    }

    /// Takes a packet of a side's host.
    pub fn push(&mut self, now_us: u64, side: usize, packet: &[u8]) {
        self.advance(now_us);
        match packet {
            [COMMAND, low, high, _, arguments @ ..] => {
                self.command(side, u16::from_le_bytes([*low, *high]), arguments);
            }
            [ACL, data @ ..] => {
                if let Some(link) = self.link.as_mut().filter(|link| !link.is_gone[side]) {
                    link.push(side, data);
                }
            }
            _ => {}
        }
    }

    /// The next packet for a side's host.
    pub fn poll(&mut self) -> Option<(usize, Vec<u8>)> {
        self.out.pop_front()
    }

    /// All that happens until `now_us`.
    pub fn advance(&mut self, now_us: u64) {
        while let Some(next_us) = self.next_us().filter(|&next_us| next_us <= now_us) {
            self.now_us = self.now_us.max(next_us);
            let is_link_next = self.link.as_ref().is_some_and(|link| link.next_us() <= next_us);
            if is_link_next { self.step_link() } else { self.advertise() }
        }
        self.now_us = self.now_us.max(now_us);
    }

    /// When something happens next, µs.
    #[must_use]
    pub fn next_us(&self) -> Option<u64> {
        let link_us = self.link.as_ref().map(Link::next_us);
        let advertising_us = self.is_advertising().then_some(self.advertising_us);
        [link_us, advertising_us].into_iter().flatten().min()
    }

    /// A side loses its power: it forgets everything, and the other notices in time.
    pub fn cut_power(&mut self, now_us: u64, side: usize) {
        self.advance(now_us);
        self.reset(side);
        self.out.retain(|(to, _)| *to != side);
    }

    /// What the link did, if there is one.
    #[must_use]
    pub fn account(&self) -> Option<Account> {
        self.link.as_ref().map(|link| link.account)
    }

    /// From when to when nothing gets through, this time or the first.
    fn blackout_us(&self) -> (u64, u64) {
        let (Some(at_us), Some(first_us)) = (self.settings.blackout_at_us, self.first_link_us) else {
            return (0, 0);
        };
        let mut from_us = first_us + at_us;
        if let Some(every_us) = self.settings.blackout_every_us {
            from_us += self.now_us.saturating_sub(from_us) / every_us * every_us;
        }
        (from_us, from_us + self.settings.blackout_for_us)
    }

    fn is_advertising(&self) -> bool {
        let is_free = self.link.as_ref().is_none_or(|link| link.is_gone[PERIPHERAL]);
        self.sides[PERIPHERAL].is_advertising && is_free
    }

    fn advertise(&mut self) {
        // Up to 10 ms more, so that two who advertise don't always meet.
        let delay_us = self.rng.random_range(0..10_000);
        self.advertising_us = self.now_us + self.sides[PERIPHERAL].advertising_interval_us + delay_us;
        let (from, to) = self.blackout_us();
        if (from..to).contains(&self.now_us) || self.link.is_some() {
            return;
        }
        let (kind, address) = self.sides[PERIPHERAL].own(self.sides[PERIPHERAL].own_kind);
        let central = &self.sides[CENTRAL];
        if let Some(initiating) = central.initiating.clone() {
            let is_meant = initiating.peer == address && initiating.peer_kind & 1 == kind;
            if initiating.is_any || is_meant {
                self.connect(&initiating);
                return;
            }
        }
        if central.is_scanning {
            let asks_more = central.asks_more;
            let peripheral = &self.sides[PERIPHERAL];
            let report = |event: u8, data: &[u8]| {
                let mut report = vec![1, event, kind];
                report.extend(address);
                report.push(data.len() as u8);
                report.extend(data);
                report.push(RSSI);
                report
            };
            let event =
                if matches!(peripheral.advertising_kind, 2 | 3) { peripheral.advertising_kind } else { 0 };
            let seen = report(event, &peripheral.advertisement);
            let more = report(SCAN_RESPONSE, &peripheral.scan_response);
            self.meta(CENTRAL, 0x02, &seen);
            if asks_more {
                self.meta(CENTRAL, 0x02, &more);
            }
        }
    }

    fn connect(&mut self, initiating: &Initiating) {
        let settings = &self.settings;
        let interval_us = settings.interval_us.unwrap_or(u64::from(initiating.interval) * 1_250);
        let timeout_us = settings.supervision_us.unwrap_or(u64::from(initiating.timeout) * 10_000);
        self.sides[CENTRAL].initiating = None;
        self.sides[PERIPHERAL].is_advertising = false;
        let mut link = Link::new(self.now_us, interval_us, initiating.latency, timeout_us);
        // The central's controller asks for longer packets of itself where its host suggested so.
        let octets = self.sides[CENTRAL].suggested_octets.min(settings.octets);
        if octets > link::OCTETS_MIN {
            link.change_after(3, Change::Octets(octets));
        }
        self.link = Some(link);
        self.first_link_us.get_or_insert(self.now_us);
        let peers = [
            (1, self.sides[CENTRAL].own(initiating.own_kind)),
            (0, self.sides[PERIPHERAL].own(self.sides[PERIPHERAL].own_kind)),
        ];
        for (role, (kind, address)) in peers {
            let mut event = vec![0, HANDLE[0], HANDLE[1], role, kind];
            event.extend(address);
            event.extend(((interval_us / 1_250) as u16).to_le_bytes());
            event.extend(initiating.latency.to_le_bytes());
            event.extend(((timeout_us / 10_000) as u16).to_le_bytes());
            event.push(0);
            self.meta(usize::from(role), 0x01, &event);
        }
    }

    fn step_link(&mut self) {
        let (errors, blackout_us) = (self.settings.errors, self.blackout_us());
        let Radio { link: Some(link), rng, happenings, .. } = self else { return };
        link.step(&mut Air { errors, blackout_us, rng }, happenings);
        for happening in std::mem::take(&mut self.happenings) {
            match happening {
                Happening::Arrived { side, data } => {
                    let mut packet = vec![ACL];
                    packet.extend(data);
                    self.out.push_back((side, packet));
                }
                Happening::Freed { side, n } => {
                    let [low, high] = n.to_le_bytes();
                    self.event(side, 0x13, &[1, HANDLE[0], HANDLE[1], low, high]);
                }
                Happening::Changed(change) => self.tell_change(change),
                Happening::Lost => self.disconnect([TIMEOUT; 2]),
            }
        }
    }

    fn tell_change(&mut self, change: Change) {
        let mut event = vec![HANDLE[0], HANDLE[1]];
        let code = match change {
            Change::Parameters { interval_us, latency, timeout_us } => {
                event.insert(0, 0);
                event.extend(((interval_us / 1_250) as u16).to_le_bytes());
                event.extend(latency.to_le_bytes());
                event.extend(((timeout_us / 10_000) as u16).to_le_bytes());
                0x03
            }
            Change::Phy(phy) => {
                event.insert(0, 0);
                event.extend([phy.code(), phy.code()]);
                0x0c
            }
            Change::Octets(octets) => {
                for _ in 0..2 {
                    event.extend(octets.to_le_bytes());
                    event.extend(2_120_u16.to_le_bytes());
                }
                0x07
            }
        };
        for side in [CENTRAL, PERIPHERAL] {
            self.meta(side, code, &event);
        }
    }

    /// The link is over; each side that still knows of it hears its reason.
    fn disconnect(&mut self, reasons: [u8; 2]) {
        let Some(link) = self.link.take() else { return };
        for side in [CENTRAL, PERIPHERAL] {
            if !link.is_gone[side] {
                self.event(side, 0x05, &[0, HANDLE[0], HANDLE[1], reasons[side]]);
            }
        }
    }

    fn reset(&mut self, side: usize) {
        self.sides[side] = Controller::new(self.sides[side].address);
        if let Some(link) = &mut self.link {
            link.is_gone[side] = true;
            if link.is_gone == [true; 2] {
                self.link = None;
            }
        }
    }

    fn event(&mut self, side: usize, code: u8, data: &[u8]) {
        let mut packet = vec![EVENT, code, data.len() as u8];
        packet.extend(data);
        self.out.push_back((side, packet));
    }

    fn meta(&mut self, side: usize, code: u8, data: &[u8]) {
        let mut event = vec![code];
        event.extend(data);
        self.event(side, 0x3e, &event);
    }
}

/// Indicators of HCI over a serial line (Bluetooth Core 5.4, vol. 4, part A, 2).
const COMMAND: u8 = 1;
const ACL: u8 = 2;
const EVENT: u8 = 4;
/// The one connection's, on both sides.
const HANDLE: [u8; 2] = [1, 0];
/// −50 dBm.
const RSSI: u8 = -50_i8 as u8;
const SCAN_RESPONSE: u8 = 4;
/// Reasons of a disconnection.
const TIMEOUT: u8 = 0x08;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_blackout_comes_again() {
        let blackouts = |text: &str, times: [u64; 5]| {
            let settings = RadioSettings::parse(text, "test").expect("legal");
            let mut radio = Radio::new(settings, 0);
            radio.first_link_us = Some(1_000_000);
            times.map(|seconds| {
                radio.now_us = seconds * 1_000_000;
                let (from, to) = radio.blackout_us();
                (from / 1_000_000, to / 1_000_000)
            })
        };
        let once = blackouts("blackout_at_s=5,blackout_for_s=2", [0, 6, 8, 16, 100]);
        assert_eq!(once, [(6, 8); 5]);
        let often = blackouts("blackout_at_s=5,blackout_for_s=2,blackout_every_s=10", [0, 6, 15, 16, 100]);
        assert_eq!(often, [(6, 8), (6, 8), (6, 8), (16, 18), (96, 98)]);
    }
}
