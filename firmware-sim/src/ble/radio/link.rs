//! One connection on the air: connection events, exchanges, errors, blackouts, the supervision timeout.
//!
//! In: packets of both hosts, in the form of HCI's ACL data, and the time. Out: [`Happening`]s. Guarantees: what is
//! taken arrives once and in order or the link is lost; no clock of its own; the same seed and times, the same happenings.
//! A packet that was lost comes again, since the link layer acknowledges; two losses in a row end the connection event
//! (Bluetooth Core 5.4, vol. 6, part B, 4.5.6).

use super::airtime::{Phy, exchange_us};
use rand::RngExt;
use rand_xoshiro::Xoshiro256PlusPlus;
use std::collections::VecDeque;

/// A connection of the central, side 0, with the peripheral, side 1.
#[derive(Debug)]
pub struct Link {
    /// Connection interval, µs.
    pub interval_us: u64,
    /// Events that the peripheral may sleep through.
    pub latency: u16,
    /// Nothing was heard for so long: the link is lost, µs.
    pub timeout_us: u64,
    /// In use.
    pub phy: Phy,
    /// Payload of a packet at most.
    pub octets: u16,
    /// Sides that have forgotten the link without a word.
    pub is_gone: [bool; 2],
    /// What it did.
    pub account: Account,
    anchor_us: u64,
    heard_us: u64,
    n_events: u64,
    n_lost_in_row: u8,
    queues: [Queue; 2],
    flight: Option<Flight>,
    /// When which change takes hold, in events.
    pending: Vec<(u64, Change)>,
}

/// What a link did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Account {
    /// Packets each way and back.
    pub exchanges: u64,
    /// Of them repeated.
    pub repeated: u64,
    /// Packets of the hosts that arrived, by the side that sent them.
    pub delivered: [u64; 2],
}

/// What both ends change at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// Interval, latency and timeout.
    Parameters {
        /// µs.
        interval_us: u64,
        /// Events.
        latency: u16,
        /// µs.
        timeout_us: u64,
    },
    /// The PHY.
    Phy(Phy),
    /// Payload of a packet at most.
    Octets(u16),
}

/// What comes of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Happening {
    /// ACL data for a host.
    Arrived {
        /// Whose.
        side: usize,
        /// Handle, length, data.
        data: Vec<u8>,
    },
    /// A controller has room again.
    Freed {
        /// Whose.
        side: usize,
        /// Packets.
        n: u16,
    },
    /// Both ends have changed this.
    Changed(Change),
    /// The supervision timeout passed.
    Lost,
}

#[derive(Debug, Default)]
struct Queue {
    packets: VecDeque<Vec<u8>>,
    /// Bytes of the first that have arrived.
    n_arrived: usize,
    n_freed: u16,
}

#[derive(Clone, Copy, Debug)]
struct Flight {
    end_us: u64,
    n_bytes: [usize; 2],
    is_lost: bool,
}

/// What is on the air besides the link.
#[derive(Debug)]
pub struct Air<'a> {
    /// Chance that an exchange is lost.
    pub errors: f64,
    /// Nothing gets through in this span, µs.
    pub blackout_us: (u64, u64),
    /// Of the errors.
    pub rng: &'a mut Xoshiro256PlusPlus,
}

impl Link {
    /// On the 1M PHY, with packets of 27 bytes, from `now_us` on.
    #[must_use]
    pub fn new(now_us: u64, interval_us: u64, latency: u16, timeout_us: u64) -> Self {
        Link {
            interval_us,
            latency,
            timeout_us,
            phy: Phy::Le1M,
            octets: OCTETS_MIN,
            is_gone: [false; 2],
            account: Account::default(),
            anchor_us: now_us + interval_us,
            heard_us: now_us,
            n_events: 0,
            n_lost_in_row: 0,
            queues: Default::default(),
            flight: None,
            pending: Vec::new(),
        }
    }

    /// Takes ACL data of a side's host.
    pub fn push(&mut self, side: usize, data: &[u8]) {
        if data.len() >= ACL_HEAD {
            self.queues[side].packets.push_back(data.to_vec());
        }
    }

    /// A change that takes hold after so many events.
    pub fn change_after(&mut self, n_events: u64, change: Change) {
        self.pending.push((self.n_events + n_events, change));
    }

    /// When something happens next, µs.
    #[must_use]
    pub fn next_us(&self) -> u64 {
        self.flight.map_or(self.anchor_us, |flight| flight.end_us)
    }

    /// What happens at [`Link::next_us`].
    pub fn step(&mut self, air: &mut Air<'_>, on: &mut Vec<Happening>) {
        match self.flight.take() {
            Some(flight) => self.land(flight, air, on),
            None => self.begin_event(air, on),
        }
    }

    fn begin_event(&mut self, air: &mut Air<'_>, on: &mut Vec<Happening>) {
        let now_us = self.anchor_us;
        if now_us.saturating_sub(self.heard_us) > self.timeout_us {
            on.push(Happening::Lost);
            // Should nobody take it away, it comes to nothing more.
            self.anchor_us = u64::MAX;
            return;
        }
        self.n_events += 1;
        self.n_lost_in_row = 0;
        let is_due = |pending: &(u64, Change)| pending.0 <= self.n_events;
        if let (Some(at), false) = (self.pending.iter().position(is_due), self.is_silent(now_us, air)) {
            let change = self.pending.remove(at).1;
            match change {
                Change::Parameters { interval_us, latency, timeout_us } => {
                    (self.interval_us, self.latency, self.timeout_us) = (interval_us, latency, timeout_us);
                }
                Change::Phy(phy) => self.phy = phy,
                Change::Octets(octets) => self.octets = octets,
            }
            on.push(Happening::Changed(change));
        }
        self.anchor_us += self.interval_us;
        // Each event has one exchange at least, empty or not.
        self.take_off(now_us, air);
    }

    fn take_off(&mut self, now_us: u64, air: &mut Air<'_>) {
        let n_bytes = self.next_bytes();
        let cost_us = exchange_us(self.phy, n_bytes[0], n_bytes[1]);
        let is_lost = self.is_silent(now_us, air) || air.rng.random::<f64>() < air.errors;
        self.flight = Some(Flight { end_us: now_us + cost_us, n_bytes, is_lost });
    }

    fn land(&mut self, flight: Flight, air: &mut Air<'_>, on: &mut Vec<Happening>) {
        self.account.exchanges += 1;
        if flight.is_lost {
            self.account.repeated += 1;
            self.n_lost_in_row += 1;
        } else {
            self.n_lost_in_row = 0;
            self.heard_us = flight.end_us;
            for side in [0, 1] {
                self.arrive(side, flight.n_bytes[side], on);
            }
        }
        let next_bytes = self.next_bytes();
        let has_more = next_bytes != [0, 0] && self.n_lost_in_row < LOST_IN_ROW_MAX;
        let end_us = flight.end_us + exchange_us(self.phy, next_bytes[0], next_bytes[1]);
        if has_more && end_us <= self.anchor_us {
            self.take_off(flight.end_us, air);
        } else {
            self.free(1, on);
            self.anchor_us = self.anchor_us.max(flight.end_us);
        }
    }

    /// Payloads of the packets that are next on the air.
    fn next_bytes(&self) -> [usize; 2] {
        [0, 1].map(|side| {
            let queue = &self.queues[side];
            let left = queue.packets.front().map_or(0, |first| first.len() - ACL_HEAD - queue.n_arrived);
            left.min(usize::from(self.octets))
        })
    }

    fn arrive(&mut self, side: usize, n_bytes: usize, on: &mut Vec<Happening>) {
        let queue = &mut self.queues[side];
        let Some(first) = queue.packets.front() else { return };
        queue.n_arrived += n_bytes;
        if queue.n_arrived + ACL_HEAD < first.len() {
            return;
        }
        queue.n_arrived = 0;
        if let Some(mut data) = queue.packets.pop_front() {
            // A first fragment of a host's is "not flushable", towards the host it is "flushable".
            if data[1] & 0x30 == 0 {
                data[1] |= 0x20;
            }
            queue.n_freed += 1;
            self.account.delivered[side] += 1;
            on.push(Happening::Arrived { side: 1 - side, data });
        }
        self.free(FREED_MIN, on);
    }

    fn free(&mut self, n_min: u16, on: &mut Vec<Happening>) {
        for side in [0, 1] {
            if self.queues[side].n_freed >= n_min {
                let n = std::mem::take(&mut self.queues[side].n_freed);
                on.push(Happening::Freed { side, n });
            }
        }
    }

    fn is_silent(&self, now_us: u64, air: &Air<'_>) -> bool {
        let (from, to) = air.blackout_us;
        self.is_gone != [false; 2] || (from..to).contains(&now_us)
    }
}

/// Without data length extension.
pub(super) const OCTETS_MIN: u16 = 27;
/// Handle and length.
const ACL_HEAD: usize = 4;
const LOST_IN_ROW_MAX: u8 = 2;
/// Packets of a host that are told of at once while the event goes on.
const FREED_MIN: u16 = 4;

#[cfg(test)]
mod tests {
    use super::*;
    use rand::SeedableRng;

    struct Run {
        arrived: Vec<Vec<u8>>,
        freed: u32,
        lost_at_us: Option<u64>,
        last_us: u64,
    }

    /// The peripheral's controller is kept full with so many notifications of 244 bytes.
    fn run(link: &mut Link, errors: f64, blackout_us: (u64, u64), n: u32, buffers: u32) -> Run {
        let mut rng = Xoshiro256PlusPlus::seed_from_u64(1);
        let mut run = Run { arrived: Vec::new(), freed: 0, lost_at_us: None, last_us: 0 };
        let (mut sent, mut on) = (0, Vec::new());
        while (run.freed < n || run.arrived.len() < n as usize) && run.lost_at_us.is_none() {
            while sent < n && sent - run.freed < buffers {
                let mut packet = vec![1, 0, 251, 0];
                packet.extend((0..251).map(|k| (k as u8).wrapping_add(sent as u8)));
                link.push(1, &packet);
                sent += 1;
            }
            let now = link.next_us();
            link.step(&mut Air { errors, blackout_us, rng: &mut rng }, &mut on);
            for happening in on.drain(..) {
                match happening {
                    Happening::Arrived { side, data } => {
                        assert_eq!(side, 0);
                        run.arrived.push(data);
                        run.last_us = now;
                    }
                    Happening::Freed { side, n } => {
                        assert_eq!(side, 1);
                        run.freed += u32::from(n);
                    }
                    Happening::Lost => run.lost_at_us = Some(now),
                    Happening::Changed(_) => {}
                }
            }
        }
        run
    }

    fn fast(interval_us: u64) -> Link {
        Link { phy: Phy::Le2M, octets: 251, ..Link::new(0, interval_us, 0, 2_000_000) }
    }

    fn kilobytes_per_s(interval_us: u64, errors: f64) -> f64 {
        let run = run(&mut fast(interval_us), errors, (0, 0), 2_000, 32);
        for (k, data) in run.arrived.iter().enumerate() {
            assert_eq!((data[1], data[4]), (0x20, k as u8), "in order, each once");
        }
        2_000.0 * 244.0 / (run.last_us - interval_us) as f64 * 1e3
    }

    #[test]
    fn a_full_link_carries_what_its_airtime_allows() {
        // 5, 10 and 21 notifications an interval.
        for (interval_us, expected) in [(7_500, 5.0 / 7.5), (15_000, 10.0 / 15.0), (30_000, 21.0 / 30.0)] {
            let expected = 244.0 * expected;
            let found = kilobytes_per_s(interval_us, 0.0);
            assert!((found / expected - 1.0).abs() < 0.01, "{found} of {expected} KB/s at {interval_us}");
        }
    }

    #[test]
    fn errors_cost_time_and_no_packet() {
        let (clean, ten, thirty) =
            (kilobytes_per_s(15_000, 0.0), kilobytes_per_s(15_000, 0.1), kilobytes_per_s(15_000, 0.3));
        assert!(ten < 0.92 * clean && ten > 0.8 * clean, "{ten} of {clean} KB/s");
        assert!(thirty < 0.7 * clean && thirty > 0.4 * clean, "{thirty} of {clean} KB/s");
    }

    #[test]
    fn small_packets_of_the_link_layer_carry_large_ones_of_the_host() {
        let mut link = Link::new(0, 15_000, 0, 2_000_000);
        let run = run(&mut link, 0.05, (0, 0), 50, 8);
        assert!(run.arrived.iter().enumerate().all(|(k, data)| data.len() == 255 && data[4] == k as u8));
        assert!(link.account.exchanges > 500, "ten exchanges each: {:?}", link.account);
    }

    #[test]
    fn a_short_blackout_is_waited_out_and_a_long_one_ends_the_link() {
        let short = run(&mut fast(15_000), 0.0, (500_000, 1_500_000), 2_000, 12);
        assert!(short.lost_at_us.is_none() && short.arrived.len() == 2_000);
        let long = run(&mut fast(15_000), 0.0, (500_000, 8_500_000), 2_000, 12);
        let lost = long.lost_at_us.expect("lost");
        assert!((2_490_000..2_530_000).contains(&lost), "2 s after it was heard last: {lost}");
    }

    #[test]
    fn a_side_without_power_is_missed_after_the_timeout() {
        let mut link = fast(15_000);
        link.is_gone[1] = true;
        let run = run(&mut link, 0.0, (0, 0), 10, 12);
        assert!(run.lost_at_us.is_some_and(|at| (2_000_000..2_040_000).contains(&at)));
        assert!(run.arrived.is_empty());
    }
}
