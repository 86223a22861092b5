//! A bad radio between a device and its host: packets in at one end, what is left of them out at the other.
//!
//! In: a [`Script`] of faults, a [`Budget`], and packets with the time at which they are sent. Out: packets with the
//! time at which they arrive, changes of the link, and a [`Ledger`] for each way. Nothing here reads a clock or a
//! socket: time is a value in µs that the caller brings, true or simulated, and one that is earlier than the last
//! counts as the last. Guaranteed: the same calls give the same answers, to the bit; and at every instant each packet
//! sent stands in the ledger once.
//!
//! A packet takes this way. It waits in its sender's queue, which refuses the newest when full. It takes the air for as
//! long as its bits need at the throughput of the time, each way having the air to itself. While it leaves the air,
//! faults are drawn. It arrives one latency later, after those before it unless a `reorder` held it back. A stall stops
//! queue and arrivals; a broken link loses all that is under way.
//!
//! ```
//! use firmware_sim::faults::{Direction, Script};
//! use firmware_sim::radio::{Budget, Radio};
//! let budget = Budget { bits_per_second: 1_000_000, latency_us: 3_000, mtu: 247, queue_packets: 8 };
//! let mut radio = Radio::new(&Script::clean(), budget).unwrap();
//! radio.send(0, Direction::Up, &[7; 125]).unwrap();
//! assert_eq!(radio.next_arrival(), Some(4_000), "1 ms on the air and 3 ms of latency");
//! let mut packet = [0; 247];
//! assert_eq!(radio.receive(3_999, Direction::Up, &mut packet), None);
//! assert_eq!(radio.receive(4_000, Direction::Up, &mut packet), Some(125));
//! assert_eq!(radio.ledger(Direction::Up).delivered, 1);
//! ```

mod air;
mod dice;
mod lane;
mod ledger;

pub use ledger::{CopyLedger, Dropped, Ledger, Lost};

use crate::faults::{
    BITS_PER_SECOND_MAX, BITS_PER_SECOND_MIN, Direction, FOREVER, MTU_MAX, MTU_MIN, Script, Spans,
};
use efference::Error;
use lane::Lane;

/// What the radio can do on a good day; each way has all of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Budget {
    /// Throughput of packets with all that is in them.
    pub bits_per_second: u64,
    /// From the last bit sent to the packet at the other end, µs.
    pub latency_us: u64,
    /// The longest packet, bytes.
    pub mtu: usize,
    /// Packets that wait or are on the air, each way. One more is refused.
    pub queue_packets: usize,
}

/// The radio between both ends.
#[derive(Clone, Debug)]
pub struct Radio {
    up: Lane,
    down: Lane,
    link_down: Spans,
    off: Spans,
    changes: Vec<LinkEvent>,
    /// Changes that the caller has been told.
    n_told: usize,
    now_us: u64,
}

/// The link breaks or comes back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LinkEvent {
    /// True time, µs.
    pub at_us: u64,
    /// What it is from then on.
    pub link: Link,
}

/// The state of the link, as both ends can see it; a stall is not seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Link {
    /// Packets are taken.
    Up,
    /// The connection is lost.
    Disconnected,
    /// The device has no power.
    DeviceOff,
}

impl Radio {
    /// A connected radio at time 0 with nothing under way.
    ///
    /// # Errors
    /// A budget out of range.
    pub fn new(script: &Script, budget: Budget) -> Result<Self, Error> {
        budget.check()?;
        let (link_down, off) = (script.link_down(), script.off());
        let broken = |at_us| if off.contains(at_us) { Link::DeviceOff } else { Link::Disconnected };
        let changes = link_down.iter().flat_map(|(from, to)| {
            let down = LinkEvent { at_us: from, link: broken(from) };
            let up = (to != FOREVER).then_some(LinkEvent { at_us: to, link: Link::Up });
            [Some(down), up].into_iter().flatten()
        });
        Ok(Radio {
            up: Lane::new(script, budget, Direction::Up),
            down: Lane::new(script, budget, Direction::Down),
            changes: changes.collect(),
            n_told: 0,
            now_us: 0,
            link_down,
            off,
        })
    }

    /// Gives a packet to the sender's end of the radio.
    ///
    /// # Errors
    /// Why it isn't taken; it is counted, and nothing else happens to it.
    pub fn send(&mut self, now_us: u64, direction: Direction, packet: &[u8]) -> Result<(), Dropped> {
        self.advance(now_us);
        let (now_us, link) = (self.now_us, self.link(self.now_us));
        // The packet's fate is settled here, as faults are known in advance; the ledger tells it when it happens.
        let break_us = self.link_down.next_start(now_us);
        let breaks_by = if self.off.contains(break_us) { Lost::DeviceOff } else { Lost::Disconnected };
        self.lane_mut(direction).send(now_us, packet, link, (break_us, breaks_by))
    }

    /// Whether a packet that is given now would be taken. A controller asks before it hands one over.
    pub fn has_room(&mut self, now_us: u64, direction: Direction) -> bool {
        self.advance(now_us);
        let is_up = self.is_connected(self.now_us);
        is_up && self.lane_mut(direction).has_room()
    }

    /// Takes the next packet that has arrived by now, into the beginning of `buffer`; its length is the answer. A
    /// length of 0 is a packet of which nothing is left.
    ///
    /// # Panics
    /// `buffer` shorter than the budget's MTU.
    pub fn receive(&mut self, now_us: u64, direction: Direction, buffer: &mut [u8]) -> Option<usize> {
        self.advance(now_us);
        let now_us = self.now_us;
        self.lane_mut(direction).receive(now_us, buffer)
    }

    /// When the next packet arrives at either end, µs; a time that has passed where one waits to be received.
    pub fn next_arrival(&self) -> Option<u64> {
        [&self.up, &self.down].into_iter().filter_map(Lane::next_arrival).min()
    }

    /// The next change of the link by now that hasn't been told.
    pub fn poll_event(&mut self, now_us: u64) -> Option<LinkEvent> {
        self.advance(now_us);
        let event = self.changes.get(self.n_told).copied().filter(|event| event.at_us <= self.now_us)?;
        self.n_told += 1;
        Some(event)
    }

    /// When the link changes next, µs; a time that has passed where a change wasn't polled.
    pub fn next_event(&self) -> Option<u64> {
        self.changes.get(self.n_told).map(|event| event.at_us)
    }

    /// The link at that time.
    pub fn link(&self, now_us: u64) -> Link {
        match (self.off.contains(now_us), self.link_down.contains(now_us)) {
            (true, _) => Link::DeviceOff,
            (false, true) => Link::Disconnected,
            (false, false) => Link::Up,
        }
    }

    /// Whether packets are taken at that time, as far as either end can see.
    pub fn is_connected(&self, now_us: u64) -> bool {
        self.link(now_us) == Link::Up
    }

    /// The longest packet taken at that time, bytes. One that is in the queue when the limit falls still goes out.
    pub fn mtu(&self, now_us: u64, direction: Direction) -> usize {
        self.lane(direction).mtu(now_us)
    }

    /// Where all packets of that way are, at the latest time that the radio was told.
    pub fn ledger(&self, direction: Direction) -> Ledger {
        self.lane(direction).ledger()
    }

    /// Lets time pass with nothing sent or received, so that the ledger is that of `now_us`.
    pub fn advance(&mut self, now_us: u64) {
        self.now_us = self.now_us.max(now_us);
        self.up.advance(self.now_us);
        self.down.advance(self.now_us);
    }

    fn lane(&self, direction: Direction) -> &Lane {
        match direction {
            Direction::Up => &self.up,
            Direction::Down => &self.down,
        }
    }

    fn lane_mut(&mut self, direction: Direction) -> &mut Lane {
        match direction {
            Direction::Up => &mut self.up,
            Direction::Down => &mut self.down,
        }
    }
}

impl Budget {
    fn check(&self) -> Result<(), Error> {
        let ranges = [
            ("bits_per_second", self.bits_per_second, BITS_PER_SECOND_MIN, BITS_PER_SECOND_MAX),
            ("latency_us", self.latency_us, 0, LATENCY_US_MAX),
            ("mtu", self.mtu as u64, MTU_MIN as u64, MTU_MAX as u64),
            ("queue_packets", self.queue_packets as u64, 1, QUEUE_PACKETS_MAX as u64),
        ];
        match ranges.into_iter().find(|(_, value, low, high)| !(low..=high).contains(&value)) {
            None => Ok(()),
            Some((field, value, low, high)) => Err(Error::usage("the radio's budget", value.to_string())
                .field(field)
                .legal(format!("{low} to {high}"))),
        }
    }
}

/// The longest latency, µs.
pub const LATENCY_US_MAX: u64 = 10_000_000;
/// The longest queue, packets.
pub const QUEUE_PACKETS_MAX: usize = 65_536;

#[cfg(test)]
mod tests;
