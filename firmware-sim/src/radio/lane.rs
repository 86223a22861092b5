//! One way of the radio: packets with their time in, the same out later, or counted among the lost.

use super::air::Air;
use super::dice::{Delay, Dice};
use super::{Budget, CopyLedger, Dropped, Ledger, Link, Lost};
use crate::faults::{Direction, Effect, FOREVER, Script, Spans};
use std::collections::{BTreeMap, VecDeque};

#[derive(Clone, Debug)]
pub(super) struct Lane {
    budget: Budget,
    air: Air,
    stalls: Spans,
    /// From, to, µs, and bytes.
    mtus: Vec<(u64, u64, usize)>,
    dice: Dice,
    /// When each packet of the queue leaves the air.
    queue: VecDeque<u64>,
    /// When the air is free for the next.
    free_us: u64,
    /// Arrival of the last packet that those behind it may not pass.
    in_order_us: u64,
    /// By time, and by the order in which they were sent.
    arrivals: BTreeMap<(u64, u64), Packet>,
    losses: BTreeMap<(u64, u64), Loss>,
    n_scheduled: u64,
    /// All but what is in flight.
    counts: Ledger,
}

#[derive(Clone, Debug)]
struct Packet {
    bytes: Vec<u8>,
    is_copy: bool,
    is_damaged: bool,
}

#[derive(Clone, Copy, Debug)]
struct Loss {
    cause: Lost,
    is_copy: bool,
}

impl Lane {
    pub(super) fn new(script: &Script, budget: Budget, direction: Direction) -> Self {
        let here = || script.faults().iter().filter(|fault| fault.directions.contains(direction));
        let stalls = here().filter(|fault| fault.effect == Effect::Stall);
        let mtus = here().filter_map(|fault| match fault.effect {
            Effect::Mtu { bytes } => Some((fault.from_us, fault.to_us, bytes)),
            _ => None,
        });
        Lane {
            budget,
            air: Air::new(script, budget, direction),
            stalls: Spans::new(stalls.map(|fault| (fault.from_us, fault.to_us))),
            mtus: mtus.collect(),
            dice: Dice::new(script, direction),
            queue: VecDeque::new(),
            free_us: 0,
            in_order_us: 0,
            arrivals: BTreeMap::new(),
            losses: BTreeMap::new(),
            n_scheduled: 0,
            counts: Ledger::default(),
        }
    }

    pub(super) fn mtu(&self, now_us: u64) -> usize {
        let holding = self.mtus.iter().filter(|&&(from, to, _)| (from..to).contains(&now_us));
        holding.map(|&(_, _, bytes)| bytes).fold(self.budget.mtu, usize::min)
    }

    /// Takes a packet; the link is as told, and breaks next at that time for that cause.
    /// The queue isn't full.
    pub(super) fn has_room(&self) -> bool {
        self.queue.len() < self.budget.queue_packets
    }

    pub(super) fn send(
        &mut self,
        now_us: u64,
        packet: &[u8],
        link: Link,
        breaks: (u64, Lost),
    ) -> Result<(), Dropped> {
        self.counts.sent += 1;
        if let Some(reason) = self.refusal(now_us, packet.len(), link) {
            self.counts.dropped[reason as usize] += 1;
            return Err(reason);
        }
        let start_us = self.free_us.max(now_us);
        let sent_us = self.air.end_of(start_us, 8 * packet.len() as u64);
        // A packet still on the air when the link breaks leaves the queue then.
        self.free_us = sent_us.min(breaks.0);
        self.queue.push_back(self.free_us);
        match sent_us < breaks.0 {
            true => self.propagate(sent_us, packet, breaks),
            false => self.lose(breaks.0, breaks.1, false),
        }
        Ok(())
    }

    fn refusal(&self, now_us: u64, n_bytes: usize, link: Link) -> Option<Dropped> {
        match link {
            Link::DeviceOff => Some(Dropped::DeviceOff),
            Link::Disconnected => Some(Dropped::Disconnected),
            Link::Up if n_bytes > self.mtu(now_us) => Some(Dropped::TooLong),
            Link::Up if self.queue.len() >= self.budget.queue_packets => Some(Dropped::QueueFull),
            Link::Up => None,
        }
    }

    /// Settles what becomes of a packet that has left the air.
    fn propagate(&mut self, sent_us: u64, packet: &[u8], (break_us, breaks_by): (u64, Lost)) {
        let mut bytes = packet.to_vec();
        let outcome = self.dice.roll(sent_us, &mut bytes);
        let is_damaged = bytes != packet;
        let delayed = |time: u64, delays: &[Delay]| delays.iter().fold(time, |time, delay| delay.apply(time));
        let due_us = delayed(sent_us.saturating_add(self.budget.latency_us), &outcome.jitter);
        let due_us = self.stalls.end_of_wait(due_us.max(self.in_order_us));
        if let Some(cause) = outcome.lost {
            return self.lose(due_us.min(break_us), cause, false);
        }
        if outcome.held.is_empty() {
            // After a break there is nobody to wait for.
            self.in_order_us = due_us.min(break_us);
        }
        let own_us = self.stalls.end_of_wait(delayed(due_us, &outcome.held));
        let copies = outcome.copies.iter().map(|copy| self.stalls.end_of_wait(copy.apply(own_us)));
        let times: Vec<(u64, bool)> =
            [(own_us, false)].into_iter().chain(copies.map(|at| (at, true))).collect();
        self.counts.copies.made += outcome.copies.len() as u64;
        for (at_us, is_copy) in times {
            if at_us >= break_us {
                self.lose(break_us, breaks_by, is_copy);
            } else {
                let key = self.key(at_us);
                self.arrivals.insert(key, Packet { bytes: bytes.clone(), is_copy, is_damaged });
            }
        }
    }

    fn lose(&mut self, at_us: u64, cause: Lost, is_copy: bool) {
        let key = self.key(at_us);
        self.losses.insert(key, Loss { cause, is_copy });
    }

    /// Things of the same time keep the order in which they were sent.
    fn key(&mut self, at_us: u64) -> (u64, u64) {
        self.n_scheduled += 1;
        (at_us, self.n_scheduled)
    }

    pub(super) fn receive(&mut self, now_us: u64, buffer: &mut [u8]) -> Option<usize> {
        assert!(buffer.len() >= self.budget.mtu, "the buffer holds the longest packet");
        let next = self.arrivals.first_entry().filter(|next| next.key().0 <= now_us)?;
        let packet = next.remove();
        let counts = &mut self.counts;
        match packet.is_copy {
            true => counts.copies.delivered += 1,
            false => counts.delivered += 1,
        }
        counts.damaged += u64::from(packet.is_damaged);
        buffer[..packet.bytes.len()].copy_from_slice(&packet.bytes);
        Some(packet.bytes.len())
    }

    pub(super) fn next_arrival(&self) -> Option<u64> {
        self.arrivals.keys().next().map(|&(at_us, _)| at_us).filter(|&at_us| at_us != FOREVER)
    }

    /// Lets those leave that have left by now.
    pub(super) fn advance(&mut self, now_us: u64) {
        while self.queue.front().is_some_and(|&sent_us| sent_us <= now_us) {
            self.queue.pop_front();
        }
        while let Some(next) = self.losses.first_entry().filter(|next| next.key().0 <= now_us) {
            let Loss { cause, is_copy } = next.remove();
            match is_copy {
                true => self.counts.copies.lost += 1,
                false => self.counts.lost[cause as usize] += 1,
            }
        }
    }

    pub(super) fn ledger(&self) -> Ledger {
        let under_way = self
            .arrivals
            .values()
            .map(|packet| packet.is_copy)
            .chain(self.losses.values().map(|loss| loss.is_copy));
        let (mut originals, mut copies) = (0, 0);
        for is_copy in under_way {
            *(if is_copy { &mut copies } else { &mut originals }) += 1;
        }
        let copies = CopyLedger { in_flight: copies, ..self.counts.copies };
        Ledger { in_flight: originals, copies, ..self.counts }
    }
}
