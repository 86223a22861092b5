//! Puts bins together from parts that come in any order, and gives each out once, in order.
//!
//! In: parts of bins (values of some channels), in host time. Out: bins, whole or with unknown channels, and gaps.
//! Guarantees: positions only grow; each bin is given out or counted as lost, once; memory is taken when it is built; a
//! part waits at most the bin's width and the allowance for those before it.
//!
//! A position counts samples of the stream. It is the device's own sample number plus a base that changes when the
//! device starts anew or its clock jumps, so that positions go on with the host's time and the decoder goes on too.

mod formats;
mod slot;

pub(crate) use formats::{FormatNews, Formats};
pub(crate) use slot::Slot;

use super::ledger;
use super::sequence::SequenceLog;
use super::{Bin, Cause, Gap};
use crate::block::COUNT_UNKNOWN;
use crate::time::{HostTime, SampleIndex};

/// Bins of one device, from one connection to the end of the run.
pub(crate) struct Assembly {
    n_channels: usize,
    sample_rate_millihertz: u32,
    allowance_ns: u64,
    pub(crate) formats: Formats,
    /// Position of the device's sample 0; may be before the stream's.
    base: i128,
    /// The base is to be found anew with the next part.
    rebase: Option<Cause>,
    slots: Vec<Slot>,
    free: Vec<usize>,
    /// Slots in use, by position.
    order: Vec<usize>,
    /// The slot that was lent.
    held: Option<usize>,
    /// The last that was given out.
    last: Option<Last>,
    /// Where the furthest part ended, and when it came.
    furthest: Option<(u64, HostTime)>,
    /// What happened since the last slot was begun, for the gap before the next.
    interruption: Option<Cause>,
    /// Something came since the last bin was given out that could not be used.
    had_unusable: bool,
    /// Since when what comes is behind all that was given out.
    behind_since: Option<HostTime>,
    pub(crate) counts: ledger::Bins,
}

/// In which datagram a part came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stamp {
    /// Counts sessions.
    pub(crate) session: u32,
    pub(crate) sequence: u32,
    /// It is the latest of the session.
    pub(crate) is_newest: bool,
}

/// The last bin that was given out.
#[derive(Clone, Copy, Debug)]
struct Last {
    end: u64,
    width: u32,
    serial: u64,
    number: u32,
    base: i128,
    session: u32,
    sequence: u32,
}

/// What is next in the stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Given {
    /// The bin in this slot; [`Assembly::bin`] shows it.
    Bin(usize),
    /// Bins that won't come.
    Gap(Gap),
}

/// Why a part was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Misplaced {
    /// Its epoch's format is not known.
    Format,
    /// Its bin was given out or given up.
    Late,
    /// It contradicts what is known, or there is no room.
    Unusable,
}

impl Assembly {
    pub(crate) fn new(n_channels: usize, sample_rate_millihertz: u32, allowance_ns: u64) -> Self {
        Assembly {
            n_channels,
            sample_rate_millihertz,
            allowance_ns,
            formats: Formats::new(),
            base: 0,
            rebase: None,
            slots: (0..SLOTS).map(|_| Slot::new(n_channels)).collect(),
            free: (0..SLOTS).collect(),
            order: Vec::with_capacity(SLOTS),
            held: None,
            last: None,
            furthest: None,
            interruption: None,
            had_unusable: false,
            behind_since: None,
            counts: ledger::Bins::default(),
        }
    }

    /// Whether it is of such a device.
    pub(crate) fn is_of(&self, n_channels: usize, sample_rate_millihertz: u32) -> bool {
        (self.n_channels, self.sample_rate_millihertz) == (n_channels, sample_rate_millihertz)
    }

    /// The slot of a bin, for [`Slot::cover`]. `n_after` bins that ended after it came with it.
    pub(crate) fn place(
        &mut self,
        now: HostTime,
        stamp: Stamp,
        epoch: u8,
        number: u32,
        n_after: u8,
    ) -> Result<&mut Slot, Misplaced> {
        match self.find(now, stamp, epoch, number, n_after) {
            Ok(at) => Ok(&mut self.slots[at]),
            Err(why) => {
                match why {
                    Misplaced::Late => self.counts.late_parts += 1,
                    Misplaced::Format | Misplaced::Unusable => self.refuse(),
                }
                Err(why)
            }
        }
    }

    /// A part came that can't be used.
    pub(crate) fn refuse(&mut self) {
        self.counts.unusable_parts += 1;
        self.had_unusable = true;
    }

    /// The link was interrupted: bins that are missing from here on are so because of it.
    pub(crate) fn interrupt(&mut self, cause: Cause) {
        self.interruption = self.interruption.max(Some(cause));
    }

    /// The device counts anew: what comes next goes on where the host's clock says.
    pub(crate) fn restart(&mut self) {
        self.flush();
        self.formats.clear();
        self.rebase = Some(Cause::Reboot);
    }

    /// What waits is waited for no longer.
    pub(crate) fn flush(&mut self) {
        for &at in &self.order {
            self.slots[at].due_at = HostTime::default();
        }
    }

    /// The next bin or gap, if it is time for one. The slot given out before is free again.
    pub(crate) fn next(&mut self, now: HostTime, log: &SequenceLog, session: u32) -> Option<Given> {
        if let Some(held) = self.held.take() {
            self.free.push(held);
        }
        let head = *self.order.first()?;
        if !self.is_due(now, head) {
            return None;
        }
        if let Some(gap) = self.gap_before(head, log, session) {
            return Some(Given::Gap(gap));
        }
        self.order.remove(0);
        self.enter(head);
        self.held = Some(head);
        let slot = &self.slots[head];
        if slot.has_any() {
            return Some(Given::Bin(head));
        }
        // Parts of it came, and none could be used.
        Some(Given::Gap(Gap {
            first_sample: SampleIndex(slot.start),
            n_samples: u64::from(slot.width),
            n_bins: 1,
            cause: Cause::Key,
        }))
    }

    /// When something will be given out that isn't yet.
    pub(crate) fn deadline(&self) -> Option<HostTime> {
        self.order.iter().map(|&at| self.slots[at].due_at).min()
    }

    /// The bin in a slot that [`Assembly::next`] gave out.
    pub(crate) fn bin(&self, at: usize) -> Bin<'_> {
        let slot = &self.slots[at];
        Bin {
            first_sample: SampleIndex(slot.start),
            device_sample: slot.device_sample,
            width_samples: slot.width,
            epoch: slot.epoch,
            number: slot.number,
            mode: slot.mode,
            values: &slot.values,
            n_unknown: self.n_channels - slot.n_known(),
            is_whole: slot.is_covered(),
            arrived_at: slot.arrived_at,
        }
    }

    fn find(
        &mut self,
        now: HostTime,
        stamp: Stamp,
        epoch: u8,
        number: u32,
        n_after: u8,
    ) -> Result<usize, Misplaced> {
        let epoch = *self.formats.of(epoch).ok_or(Misplaced::Format)?;
        let width = epoch.format.bin_samples;
        let ahead = u64::from(number) * u64::from(width);
        let device_sample = epoch.format.origin_sample.checked_add(ahead).ok_or(Misplaced::Unusable)?;
        if device_sample > SAMPLES_MAX {
            return Err(Misplaced::Unusable);
        }
        if let Some(cause) = self.rebase.take() {
            self.move_base(now, device_sample, width, n_after, cause);
        }
        let mut start = i128::from(device_sample) + self.base;
        if stamp.is_newest && self.is_beside(now, start) {
            self.move_base(now, device_sample, width, n_after, Cause::ClockJump);
            start = i128::from(device_sample) + self.base;
        }
        // Whatever is due by now is over, whether or not anybody has asked for it: what is given out depends on when
        // packets come, and not on when this is called between them.
        let over = self.order.iter().rev().find(|&&at| self.slots[at].due_at <= now);
        let done = over.map_or(self.last.map_or(0, |last| last.end), |&at| self.slots[at].end());
        let start = u64::try_from(start).ok().filter(|start| *start >= done).ok_or(Misplaced::Late)?;
        let end = start.checked_add(u64::from(width)).ok_or(Misplaced::Unusable)?;
        self.behind_since = None;
        if self.furthest.is_none_or(|(furthest, _)| end > furthest) {
            self.furthest = Some((end, now));
        }
        let place = self.order.partition_point(|&at| self.slots[at].start < start);
        if let Some(&at) = self.order.get(place) {
            let slot = &mut self.slots[at];
            if slot.start == start {
                let is_same = (slot.serial, slot.number) == (epoch.serial, number);
                slot.stamp(stamp);
                return if is_same { Ok(at) } else { Err(Misplaced::Unusable) };
            }
            if end > slot.start {
                return Err(Misplaced::Unusable);
            }
        }
        if place > 0 && self.slots[self.order[place - 1]].end() > start {
            return Err(Misplaced::Unusable);
        }
        let at = self.free.pop().ok_or(Misplaced::Unusable)?;
        self.order.insert(place, at);
        let slot = &mut self.slots[at];
        slot.begin(start, device_sample, &epoch, number, stamp);
        slot.base = self.base;
        slot.interruption = self.interruption.take();
        slot.allowance_ns = self.allowance_ns;
        let width_ns = u64::from(width) * 1_000_000_000_000 / u64::from(self.sample_rate_millihertz.max(1));
        slot.due_at = now.after(width_ns + self.allowance_ns);
        Ok(at)
    }

    /// Whether the newest datagram's bin lies where no clock that runs could have it: far ahead of the host's time, or
    /// behind what was given out for some time already.
    fn is_beside(&mut self, now: HostTime, start: i128) -> bool {
        let Some(last) = self.last else { return false };
        if start < i128::from(last.end) {
            let since = *self.behind_since.get_or_insert(now);
            return now.since(since) >= BEHIND_NS;
        }
        let expected = self.expected(now).unwrap_or(last.end);
        start > i128::from(expected) + i128::from(self.samples(AHEAD_NS))
    }

    /// Where the stream stands at `now`, by the furthest part and the host's clock.
    fn expected(&self, now: HostTime) -> Option<u64> {
        self.furthest.map(|(end, at)| end.saturating_add(self.samples(now.since(at))))
    }

    /// Sets the base so that the bin at `device_sample` and the `n_after` behind it end about now, whole bins behind those
    /// that are waiting: a grid of frames goes on undisturbed.
    fn move_base(&mut self, now: HostTime, device_sample: u64, width: u32, n_after: u8, cause: Cause) {
        self.flush();
        self.interrupt(cause);
        self.behind_since = None;
        let waiting = self.order.last().map(|&at| self.slots[at].end());
        let floor = waiting.max(self.last.map(|last| last.end));
        let start = match (floor, self.expected(now)) {
            (Some(floor), Some(expected)) => {
                let width = u64::from(width);
                let ahead = expected.saturating_sub(width * (1 + u64::from(n_after))).saturating_sub(floor);
                floor + (ahead + width / 2) / width * width
            }
            _ => device_sample,
        };
        self.base = i128::from(start) - i128::from(device_sample);
        self.furthest = Some((start, now));
    }

    fn samples(&self, ns: u64) -> u64 {
        (u128::from(ns) * u128::from(self.sample_rate_millihertz) / 1_000_000_000_000) as u64
    }

    fn is_due(&self, now: HostTime, head: usize) -> bool {
        let slot = &self.slots[head];
        let in_turn = self.last.is_none_or(|last| last.end == slot.start);
        in_turn && slot.is_covered()
            || self.free.len() < RESERVE
            || self.order.iter().any(|&at| self.slots[at].due_at <= now)
    }

    /// What is missing between the last bin given out and the one in `head`; it is then accounted for.
    fn gap_before(&mut self, head: usize, log: &SequenceLog, session: u32) -> Option<Gap> {
        let last = self.last?;
        let slot = &self.slots[head];
        if slot.start <= last.end {
            return None;
        }
        let n_samples = slot.start - last.end;
        // Of the epoch before those up to the new origin, and of this one those from there on.
        let own = u64::from(slot.number).min(n_samples.div_ceil(u64::from(slot.width)));
        let of_before = n_samples.saturating_sub(own * u64::from(slot.width));
        let n_bins = own + of_before.div_ceil(u64::from(last.width));
        let is_radio = match last.session == session && slot.session == session {
            true => log.has_missing(last.sequence, slot.sequence),
            false => true,
        };
        let cause = match slot.interruption {
            Some(cause) => cause,
            None if is_radio => Cause::Radio,
            None if self.had_unusable => Cause::Key,
            None => Cause::Device,
        };
        let gap = Gap { first_sample: SampleIndex(last.end), n_samples, n_bins, cause };
        self.last = Some(Last { end: slot.start, ..last });
        self.counts.expected += match (slot.serial, slot.base) == (last.serial, last.base) {
            // By the device's numbers rather than by positions: the sums must meet.
            true => u64::from(slot.number.saturating_sub(last.number)).saturating_sub(1),
            false => n_bins,
        };
        self.counts.lose(n_bins, cause);
        Some(gap)
    }

    /// Accounts for the bin in `head`, which is the next.
    fn enter(&mut self, head: usize) {
        let slot = &self.slots[head];
        self.last = Some(Last {
            end: slot.end(),
            width: slot.width,
            serial: slot.serial,
            number: slot.number,
            base: slot.base,
            session: slot.session,
            sequence: slot.last_sequence,
        });
        self.had_unusable = false;
        self.counts.expected += 1;
        match (slot.is_covered(), slot.has_any()) {
            (true, _) => self.counts.whole += 1,
            (false, true) => self.counts.partial += 1,
            (false, false) => self.counts.lose(1, Cause::Key),
        }
        if slot.has_any() {
            self.counts.unknown_values += (self.n_channels - slot.n_known()) as u64;
        }
    }
}

/// Bins that can wait at a time.
const SLOTS: usize = 64;
/// With fewer free ones than this nothing waits any longer.
const RESERVE: usize = 16;
/// The newest bins are behind those given out for so long: the clock has jumped back.
const BEHIND_NS: u64 = 200_000_000;
/// The newest bin is so far ahead of the host's time: the clock has jumped ahead.
const AHEAD_NS: u64 = 1_000_000_000;
/// A device that counts further than this counts wrongly: 30 kHz for ten thousand years.
const SAMPLES_MAX: u64 = 1 << 53;
