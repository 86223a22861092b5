//! What is collected, as records in the outbox.
//!
//! In: counts, powers, crossings and snippets of bins. Out: datagrams, each of use without the others: as many records of
//! whole channels as fit, and no record larger than what is left of its datagram. Guarantees: each bin that finds no room
//! is counted.

use super::{Now, Outbox, Tables};
use crate::rate::{RateControl, Setting};
use crate::signal::{Crossing, SNIPPET_BEFORE, SNIPPET_SAMPLES, Snippet};
use efference_wire::codec::counts::{self, Levels};
use efference_wire::codec::crossings::{self, Span};
use efference_wire::{Counts, Crossings, Format, Power, Reason, Record, RecordWriter};

/// What data go through on their way to the radio.
#[derive(Debug)]
pub(super) struct Data<'a> {
    pub(super) rate: RateControl,
    pub(super) tables: Tables<'a>,
    pub(super) outbox: Outbox<'a>,
    pub(super) format: Format,
    /// Counts of the bin that is being widened, and how many of the bins asked for are in it.
    pub(super) totals: &'a mut [u16],
    pub(super) n_summed: u8,
    pub(super) bin: u32,
    /// Bytes of records that a datagram has room for.
    pub(super) room: usize,
    pub(super) bins_dropped: u32,
}

impl Data<'_> {
    /// Counts of a bin as it was asked for; a new setting, and why, where the rate control wants another.
    /// Without a host to send them to they are counted all the same, so that bins keep their numbers.
    pub(super) fn push_counts(&mut self, now: Now, counts: &[u16], is_sending: bool) -> Option<Reason> {
        for (total, &count) in self.totals.iter_mut().zip(counts) {
            *total = total.saturating_add(count);
        }
        self.n_summed += 1;
        let setting = self.rate.setting();
        if self.n_summed < setting.widening {
            return None;
        }
        if !is_sending {
            self.totals.fill(0);
            self.skip_bin();
            return None;
        }
        // What the bins before left; this one has the time of a bin to go.
        let (waiting_bits, is_half_full) = (self.outbox.n_bytes() as u32 * 8, self.outbox.is_half_full());
        let count_max = self.format.count_max;
        self.totals.iter_mut().for_each(|total| *total = (*total).min(count_max));
        self.tables.enter(self.totals);
        let is_whole = match self.tables.levels() {
            (Levels::Flat, _) => self.send_counts(),
            _ if self.format.level_min > 0 => self.send_some_counts(),
            _ => self.send_counts(),
        };
        if !is_whole {
            self.drop_bins(1);
        }
        self.totals.fill(0);
        (self.n_summed, self.bin) = (0, self.bin.wrapping_add(1));
        let next = self.rate.step(now.us, waiting_bits, is_half_full)?;
        let is_better = next.widening < setting.widening || next == Setting::ALL;
        Some(if is_better { Reason::Recovered } else { Reason::Budget })
    }

    /// A bin that nobody gets.
    pub(super) fn skip_bin(&mut self) {
        (self.n_summed, self.bin) = (0, self.bin.wrapping_add(1));
    }

    /// All channels; whether they had room.
    fn send_counts(&mut self) -> bool {
        let n = self.totals.len();
        let mut first = 0;
        while first < n {
            // More than a record can name would need half a megabyte of room.
            let end = n.min(first + usize::from(u16::MAX));
            let (levels, table) = self.tables.levels();
            let levels = levels.first(end);
            let (totals, epoch, bin) = (&self.totals[..end], self.format.epoch, self.bin);
            let record = |n_channels: usize| {
                Record::Counts(Counts {
                    epoch,
                    bin,
                    first_channel: first as u32,
                    n_channels: n_channels as u16,
                    n_bins: 1,
                    table,
                    coded: &[],
                })
            };
            let mut next = first;
            let queue = Queue { outbox: &mut self.outbox, rate: &mut self.rate, room: self.room };
            let n_lost = queue.push(|records| {
                let pushed = records.push_fitted(&record(end - first), |out| {
                    let prefix = counts::encode_prefix(totals, end, first, levels, out)?;
                    next = first + prefix.n_channels;
                    Ok::<_, efference_wire::codec::range::Full>((record(prefix.n_channels), prefix.n_bytes))
                });
                pushed.ok().map(|()| u8::from(next == n))
            });
            self.drop_bins(n_lost);
            if next == first {
                return false;
            }
            first = next;
        }
        true
    }

    /// Those channels whose level is high enough; whether they had room.
    fn send_some_counts(&mut self) -> bool {
        let n = self.totals.len();
        let mut first = 0;
        while first < n {
            let (levels, shift, table) = match self.tables.levels() {
                (Levels::Flat, _) => return false,
                (Levels::Known(levels), table) => (levels, 0, table),
                (Levels::Wider(levels, shift), table) => (levels, shift, table),
            };
            // They are brought side by side, with where they stand.
            let (mut kept, mut kept_levels, mut places) = ([0; KEPT], [0; KEPT], [0; KEPT]);
            let (mut n_kept, mut end) = (0, first);
            while end < n && n_kept < KEPT && end - first < usize::from(u16::MAX) {
                if levels[end] >= self.format.level_min {
                    (kept[n_kept], kept_levels[n_kept]) = (self.totals[end], levels[end]);
                    places[n_kept] = (end - first) as u16;
                    n_kept += 1;
                }
                end += 1;
            }
            let (epoch, bin) = (self.format.epoch, self.bin);
            let record = |n_channels: usize| {
                Record::Counts(Counts {
                    epoch,
                    bin,
                    first_channel: first as u32,
                    n_channels: n_channels as u16,
                    n_bins: 1,
                    table,
                    coded: &[],
                })
            };
            let (kept, kept_levels) = (&kept[..n_kept], Levels::Wider(&kept_levels[..n_kept], shift));
            let mut next = first;
            let queue = Queue { outbox: &mut self.outbox, rate: &mut self.rate, room: self.room };
            let n_lost = queue.push(|records| {
                let pushed = records.push_fitted(&record(end - first), |out| {
                    if n_kept == 0 {
                        next = end;
                        return Ok((record(end - first), 0));
                    }
                    let prefix = counts::encode_prefix(kept, n_kept, 0, kept_levels, out)?;
                    let n_seen = places.get(prefix.n_channels).filter(|_| prefix.n_channels < n_kept);
                    next = n_seen.map_or(end, |&place| first + usize::from(place));
                    Ok::<_, efference_wire::codec::range::Full>((record(next - first), prefix.n_bytes))
                });
                pushed.ok().map(|()| u8::from(next == n))
            });
            self.drop_bins(n_lost);
            if next == first {
                return false;
            }
            first = next;
        }
        true
    }

    /// Power of a bin, a byte a channel.
    pub(super) fn push_power(&mut self, power: impl Fn(usize) -> u8) {
        let n = self.totals.len();
        let mut first = 0;
        while first < n {
            let (epoch, bin) = (self.format.epoch, self.bin);
            let record = |levels| Record::Power(Power { epoch, bin, first_channel: first as u32, levels });
            let mut next = first;
            let queue = Queue { outbox: &mut self.outbox, rate: &mut self.rate, room: self.room };
            let n_lost = queue.push(|records| {
                let pushed = records.push_with(&record(&[]), |out| {
                    next = n.min(first + out.len());
                    if next == first {
                        return Err(());
                    }
                    out.iter_mut().zip(first..next).for_each(|(level, channel)| *level = power(channel));
                    Ok(next - first)
                });
                pushed.ok().map(|()| u8::from(next == n))
            });
            self.drop_bins(n_lost);
            if next == first {
                self.drop_bins(1);
                break;
            }
            first = next;
        }
        self.bin = self.bin.wrapping_add(1);
    }

    /// All crossings of a span, sorted by channel, then time. `counts` are as many of each channel, from which the tables
    /// learn.
    pub(super) fn push_crossings(
        &mut self,
        first_sample: u64,
        span_samples: u32,
        counts: &[u16],
        mut sorted: &[Crossing],
    ) {
        self.tables.enter(counts);
        let n_all = counts.len() as u32;
        let mut first = 0;
        while first < n_all {
            let (levels, version) = self.tables.levels();
            let table = match levels {
                Levels::Known(levels) | Levels::Wider(levels, _) => {
                    Some(crossings::Table { version, levels: &levels[first as usize..counts.len()] })
                }
                Levels::Flat => None,
            };
            let span = Span { first_channel: first, n_channels: n_all - first, n_samples: span_samples };
            let epoch = self.format.epoch;
            let record = |n_channels| {
                Record::Crossings(Crossings {
                    epoch,
                    first_sample,
                    span_samples: span_samples as u16,
                    first_channel: first,
                    n_channels,
                    coded: &[],
                })
            };
            let (mut n_channels, mut n_taken) = (0, 0);
            let queue = Queue { outbox: &mut self.outbox, rate: &mut self.rate, room: self.room };
            let n_lost = queue.push(|records| {
                let pushed = records.push_fitted(&record(n_all - first), |out| {
                    let prefix = crossings::encode_prefix(sorted, span, table, out)?;
                    (n_channels, n_taken) = (prefix.n_channels, prefix.n_crossings);
                    Ok::<_, crossings::NotEncoded>((record(prefix.n_channels), prefix.n_bytes))
                });
                pushed.ok().map(|()| u8::from(first + n_channels == n_all))
            });
            self.drop_bins(n_lost);
            if n_channels == 0 {
                // More on one channel than a packet holds: something is wrong with it.
                self.drop_bins(1);
                n_channels = 1;
                n_taken = sorted.iter().take_while(|crossing| u32::from(crossing.channel) == first).count();
            }
            first += n_channels;
            sorted = sorted.get(n_taken..).unwrap_or(&[]);
        }
    }

    /// Samples round a crossing. `first_sample` is the frame's own number on the clock that data are stamped with.
    pub(super) fn push_snippet(&mut self, snippet: &Snippet, sample: u64) {
        let mut samples = [0; 2 * SNIPPET_SAMPLES];
        for (bytes, sample) in samples.chunks_exact_mut(2).zip(snippet.samples) {
            bytes.copy_from_slice(&sample.to_le_bytes());
        }
        let record = Record::Snippet(efference_wire::Snippet {
            epoch: self.format.epoch,
            electrode: snippet.channel,
            sample,
            n_before: SNIPPET_BEFORE as u8,
            samples: &samples,
        });
        self.push_record(&record, |_| Some(0));
    }

    /// A record of its own, whose last field `fill` writes; it is lost where it has no room in a datagram.
    pub(super) fn push_record(
        &mut self,
        record: &Record<'_>,
        mut fill: impl FnMut(&mut [u8]) -> Option<usize>,
    ) {
        let queue = Queue { outbox: &mut self.outbox, rate: &mut self.rate, room: self.room };
        let n_lost = queue.push(|records| {
            let pushed = records.push_with(record, |out| fill(out).ok_or(()));
            pushed.ok().map(|()| 0)
        });
        self.drop_bins(n_lost);
    }

    pub(super) fn drop_bins(&mut self, n: u32) {
        self.bins_dropped = self.bins_dropped.saturating_add(n);
    }
}

/// The outbox, and who reckons what goes into it.
struct Queue<'q, 'a> {
    outbox: &'q mut Outbox<'a>,
    rate: &'q mut RateControl,
    room: usize,
}

impl Queue<'_, '_> {
    /// Adds a record, which `write` says ends so many bins, or `None` if it doesn't fit. Bins that had to make room.
    fn push(self, mut write: impl FnMut(&mut RecordWriter<'_>) -> Option<u8>) -> u32 {
        let pushed = self.outbox.push(self.room, |out| {
            let mut records = RecordWriter::new(out);
            match write(&mut records) {
                Some(n_bins) => (records.len(), n_bins),
                None => (0, 0),
            }
        });
        let overhead = if pushed.is_new { DATAGRAM_OVERHEAD } else { 0 };
        self.rate.produced((pushed.n_bytes + overhead) as u32 * 8);
        pushed.n_lost
    }
}

/// Channels that are brought side by side at once.
const KEPT: usize = 1_024;
/// What a datagram adds to its records: packet, session, sequence, tag.
const DATAGRAM_OVERHEAD: usize = 22;
