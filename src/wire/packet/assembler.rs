//! Puts datagrams together from packets.
//!
//! In: packets. Out: byte 0 and the bytes of a datagram, when its last packet has come. Guarantees: see above.

use super::{
    Counters, DATAGRAM_MAX, Dropped, FRAGMENT_HEAD, FRAGMENTED, FRAGMENTS_MAX, Kind, MORE, MTU_MAX, VERSION,
};

/// Datagrams that are being put together, `SLOTS` at a time.
#[derive(Debug)]
pub struct Assembler {
    slots: [Slot; SLOTS],
    /// Fragmented datagrams that were complete lately, so that a repeated fragment begins none anew.
    done: [Done; DONE],
    done_at: usize,
    /// Packets that came, for their age.
    clock: u32,
}

/// A datagram that came: what it is, and how many bytes of the buffer it takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Datagram {
    /// What it carries.
    pub kind: Kind,
    /// Its length.
    pub n_bytes: usize,
}

impl Assembler {
    /// Nothing has come yet.
    #[must_use]
    pub const fn new() -> Self {
        Assembler { slots: [Slot::EMPTY; SLOTS], done: [Done::NONE; DONE], done_at: 0, clock: 0 }
    }

    /// Takes a packet; where it completes a datagram, puts that into `datagram`.
    ///
    /// # Errors
    /// Why the packet was dropped; it is counted.
    pub fn push(
        &mut self,
        packet: &[u8],
        datagram: &mut [u8; DATAGRAM_MAX],
        counters: &mut Counters,
    ) -> Result<Option<Datagram>, Dropped> {
        counters.packets = counters.packets.wrapping_add(1);
        self.clock = self.clock.wrapping_add(1);
        self.abandon_old(counters);
        let complete = self.place(packet, datagram, counters).map_err(|cause| counters.drop_one(cause))?;
        if let Some((_, n_packets)) = complete {
            counters.packets_used = counters.packets_used.wrapping_add(n_packets);
            counters.datagrams = counters.datagrams.wrapping_add(1);
        }
        Ok(complete.map(|(datagram, _)| datagram))
    }

    /// Packets of datagrams that are not complete.
    #[must_use]
    pub fn n_held(&self) -> u32 {
        self.slots.iter().map(Slot::n_packets).sum()
    }

    /// A new sender begins to number anew: what was complete before no longer stands in its way.
    pub fn forget_done(&mut self) {
        self.done = [Done::NONE; DONE];
    }

    /// The datagram that the packet completes, and how many packets it has.
    fn place(
        &mut self,
        packet: &[u8],
        datagram: &mut [u8; DATAGRAM_MAX],
        counters: &mut Counters,
    ) -> Result<Option<(Datagram, u32)>, Dropped> {
        let (&head, rest) = packet.split_first().ok_or(Dropped::Malformed)?;
        if head >> 5 != VERSION {
            return Err(Dropped::Version);
        }
        let kind = Kind::of_head(head).ok_or(Dropped::Kind)?;
        if packet.len() > MTU_MAX {
            return Err(Dropped::Malformed);
        }
        if head & FRAGMENTED == 0 {
            if head & MORE != 0 {
                return Err(Dropped::Malformed);
            }
            datagram[..rest.len()].copy_from_slice(rest);
            return Ok(Some((Datagram { kind, n_bytes: rest.len() }, 1)));
        }
        let [tag, index, part @ ..] = rest else { return Err(Dropped::Malformed) };
        let index = usize::from(*index);
        if part.is_empty() || index >= FRAGMENTS_MAX {
            return Err(Dropped::Malformed);
        }
        let name = Name { head: kind.head(), tag: *tag };
        let clock = self.clock;
        if self.done.iter().any(|done| done.name == name && clock.wrapping_sub(done.clock) < AGE_MAX) {
            return Err(Dropped::Repeated);
        }
        let at = self.slot_of(name, counters);
        let slot = &mut self.slots[at];
        slot.touched = clock;
        slot.put(index, head & MORE != 0, part)?;
        let Some(n_bytes) = slot.complete(datagram) else { return Ok(None) };
        let n_packets = slot.n_packets();
        *slot = Slot::EMPTY;
        self.done[self.done_at] = Done { name, clock };
        self.done_at = (self.done_at + 1) % DONE;
        Ok(Some((Datagram { kind, n_bytes }, n_packets)))
    }

    /// Where the datagram is being put together; the oldest makes room for a new one.
    fn slot_of(&mut self, name: Name, counters: &mut Counters) -> usize {
        if let Some(at) = self.slots.iter().position(|slot| slot.in_use && slot.name == name) {
            return at;
        }
        let mut oldest = 0;
        for (at, slot) in self.slots.iter().enumerate() {
            let age = |slot: &Slot| if slot.in_use { self.clock.wrapping_sub(slot.begun) } else { u32::MAX };
            if age(slot) > age(&self.slots[oldest]) {
                oldest = at;
            }
        }
        let slot = &mut self.slots[oldest];
        counters.drop_many(Dropped::Abandoned, slot.n_packets());
        *slot = Slot { in_use: true, name, begun: self.clock, ..Slot::EMPTY };
        oldest
    }

    /// The tags wrap, so a datagram that lost a packet must be gone before its tag comes again.
    fn abandon_old(&mut self, counters: &mut Counters) {
        for slot in &mut self.slots {
            if slot.in_use && self.clock.wrapping_sub(slot.touched) >= AGE_MAX {
                counters.drop_many(Dropped::Abandoned, slot.n_packets());
                *slot = Slot::EMPTY;
            }
        }
    }
}

impl Default for Assembler {
    fn default() -> Self {
        Assembler::new()
    }
}

/// What the fragments of one datagram have in common.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Name {
    head: u8,
    tag: u8,
}

#[derive(Clone, Copy, Debug)]
struct Done {
    name: Name,
    clock: u32,
}

impl Done {
    /// No packet has this byte 0.
    const NONE: Done = Done { name: Name { head: 0xFF, tag: 0 }, clock: 0 };
}

/// One datagram that is being put together.
#[derive(Debug)]
struct Slot {
    in_use: bool,
    name: Name,
    /// When its first and its latest packet came.
    begun: u32,
    touched: u32,
    /// Bit i: fragment i is there.
    there: u16,
    /// Length of each fragment but the last; 0 until one of them came.
    part_length: usize,
    /// Index and length of the last fragment, once it came.
    last: Option<(usize, usize)>,
    /// Fragments but the last at their places; the last at the very end, since its place may not be known yet.
    bytes: [u8; DATAGRAM_MAX],
}

impl Slot {
    const EMPTY: Slot = Slot {
        in_use: false,
        name: Done::NONE.name,
        begun: 0,
        touched: 0,
        there: 0,
        part_length: 0,
        last: None,
        bytes: [0; DATAGRAM_MAX],
    };

    fn n_packets(&self) -> u32 {
        self.there.count_ones()
    }

    fn put(&mut self, index: usize, more: bool, part: &[u8]) -> Result<(), Dropped> {
        let is_there = self.there >> index & 1 == 1;
        let (part_length, last) = match more {
            true => (part.len(), self.last),
            false => (self.part_length, Some((index, part.len()))),
        };
        let agrees = match (more, self.last) {
            // As long as the others of its kind, and before the last.
            (true, last) => {
                (self.part_length == 0 || self.part_length == part.len())
                    && last.is_none_or(|(last_index, _)| index < last_index)
            }
            (false, Some(last)) => last == (index, part.len()),
            // The only last one, behind all others.
            (false, None) => self.there >> index == 0,
        };
        // The last is no longer than the others, or it would be where they are before all have come.
        let (last_index, last_length) = last.unwrap_or((index + 1, 0));
        if !agrees || (part_length != 0 && last_length > part_length) {
            return Err(Dropped::Contradictory);
        }
        if last_index * part_length + last_length > DATAGRAM_MAX {
            return Err(Dropped::TooLong);
        }
        let at = if more { index * part_length } else { DATAGRAM_MAX - part.len() };
        let place = &mut self.bytes[at..at + part.len()];
        if is_there {
            return Err(if place == part { Dropped::Repeated } else { Dropped::Contradictory });
        }
        place.copy_from_slice(part);
        self.there |= 1 << index;
        (self.part_length, self.last) = (part_length, last);
        Ok(())
    }

    /// Copies the datagram out if all of it is there.
    fn complete(&self, datagram: &mut [u8; DATAGRAM_MAX]) -> Option<usize> {
        let (last_index, last_length) = self.last?;
        if self.there.count_ones() as usize != last_index + 1 {
            return None;
        }
        let before = last_index * self.part_length;
        datagram[..before].copy_from_slice(&self.bytes[..before]);
        datagram[before..before + last_length].copy_from_slice(&self.bytes[DATAGRAM_MAX - last_length..]);
        Some(before + last_length)
    }
}

/// A datagram is given up, and a repeated fragment forgotten, when so many packets have come since. Tags come again
/// after 256 datagrams of at least two packets each.
pub const AGE_MAX: u32 = 128;
/// Datagrams that are put together at a time.
const SLOTS: usize = 4;
/// Complete datagrams that are remembered.
const DONE: usize = 8;
const _: () = assert!(AGE_MAX < 2 * 256 && FRAGMENT_HEAD == 3);
