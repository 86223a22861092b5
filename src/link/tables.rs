//! Rate tables, and counts decoded by them.
//!
//! In: tables in parts, coded counts. Out: counts, [`COUNT_UNKNOWN`] for channels that are left out. Guarantees: memory
//! is taken once; the table that counts were coded with last stays while the next one comes, so that the device can
//! change over without a gap.

use crate::block::COUNT_UNKNOWN;
use crate::wire::codec::{counts, rates};
use crate::wire::{Counts, Table};

/// The last two tables.
pub(crate) struct Tables {
    n_channels: usize,
    known: [RateTable; 2],
    /// The version that counts were coded with last.
    named: u8,
    /// The version that was complete last.
    complete: u8,
    /// A part, before it is known to be whole; and the levels of the channels that are sent.
    levels: Vec<u8>,
    coded: Vec<u16>,
}

/// A table, or as much of it as has come.
#[derive(Default)]
struct RateTable {
    /// 0 for none.
    version: u8,
    levels: Vec<u8>,
    has_come: Vec<bool>,
    n_come: usize,
}

/// Why counts could not be decoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Undecoded {
    /// Their table is not here, or not all of it.
    Table,
    /// They are damaged.
    Corrupt,
}

impl Tables {
    /// Of a device that is not known yet.
    pub(crate) fn new() -> Self {
        let known = [RateTable::default(), RateTable::default()];
        Tables { n_channels: 0, known, named: 0, complete: 0, levels: Vec::new(), coded: Vec::new() }
    }

    /// Takes the memory for a device, and for `n_values` values at a time.
    pub(crate) fn make_room(&mut self, n_channels: usize, n_values: usize) {
        let table = || RateTable {
            version: 0,
            levels: vec![0; n_channels],
            has_come: vec![false; n_channels],
            n_come: 0,
        };
        *self = Tables {
            n_channels,
            known: [table(), table()],
            levels: vec![0; n_channels],
            coded: vec![0; n_values],
            ..Tables::new()
        };
    }

    pub(crate) fn n_channels(&self) -> usize {
        self.n_channels
    }

    /// The device has started anew: its versions too.
    pub(crate) fn clear(&mut self) {
        for table in &mut self.known {
            table.begin(0);
        }
        (self.named, self.complete) = (0, 0);
    }

    /// The latest version that is complete; 0 for none.
    pub(crate) fn complete(&self) -> u8 {
        self.complete
    }

    /// Takes a part of a table; whether the table is complete with it. `None` if the part is of no use.
    pub(crate) fn learn(&mut self, part: &Table<'_>) -> Option<bool> {
        let (first, n) = (part.first_channel as usize, usize::from(part.n_channels));
        let end = first.checked_add(n).filter(|end| *end <= self.n_channels && n > 0)?;
        if part.n_total as usize != self.n_channels || part.version == 0 {
            return None;
        }
        let [one, other] = &mut self.known;
        // What is known of it already, else in place of the one that counts don't name.
        let is_one =
            one.version == part.version || other.version != part.version && one.version != self.named;
        let (table, base) = if is_one { (one, other) } else { (other, one) };
        let levels = &mut self.levels[..n];
        let (base_version, base_is_whole) = (base.version, base.n_come == base.levels.len());
        let base = |version: u8| {
            let is_there = base_version == version && base_is_whole;
            is_there.then(|| &base.levels[first..end])
        };
        rates::decode_table(part.coded, base, levels).ok()?;
        if table.version != part.version {
            if table.version == self.complete {
                // What is overwritten is not complete any more, whoever was told.
                self.complete = if base_is_whole { base_version } else { 0 };
            }
            table.begin(part.version);
        }
        for (channel, &level) in (first..end).zip(&*levels) {
            table.n_come += usize::from(!table.has_come[channel]);
            table.has_come[channel] = true;
            table.levels[channel] = level;
        }
        let is_complete = table.n_come == self.n_channels && self.complete != part.version;
        if is_complete {
            self.complete = part.version;
        }
        Some(is_complete)
    }

    /// Decodes counts into `values`, bin by bin, of channels of a level of at least `level_min`, in bins in which all levels
    /// are `shift` higher than those of the table. The caller has seen that they are of channels that there are, and as
    /// many as `values` and the room have.
    pub(crate) fn decode(
        &mut self,
        counts: &Counts<'_>,
        level_min: u8,
        shift: u8,
        values: &mut [u16],
    ) -> Result<(), Undecoded> {
        let corrupt = |_: counts::Corrupt| Undecoded::Corrupt;
        if counts.table == 0 {
            return counts::decode(counts.coded, counts::Levels::Flat, values).map_err(corrupt);
        }
        let first = counts.first_channel as usize;
        let n = usize::from(counts.n_channels);
        let table = self.known.iter().find(|table| table.version == counts.table);
        let table = table.filter(|table| table.n_come == self.n_channels).ok_or(Undecoded::Table)?;
        self.named = counts.table;
        let all = &table.levels[first..][..n];
        if level_min == 0 {
            return counts::decode(counts.coded, counts::Levels::Wider(all, shift), values).map_err(corrupt);
        }
        // Only those channels are coded that are sent.
        let mut n_sent = 0;
        for &level in all.iter().filter(|level| **level >= level_min) {
            self.levels[n_sent] = level;
            n_sent += 1;
        }
        let coded = &mut self.coded[..n_sent * usize::from(counts.n_bins)];
        if n_sent > 0 {
            let levels = counts::Levels::Wider(&self.levels[..n_sent], shift);
            counts::decode(counts.coded, levels, coded).map_err(corrupt)?;
        }
        let mut sent = coded.iter();
        for bin in values.chunks_exact_mut(n) {
            for (value, &level) in bin.iter_mut().zip(all) {
                let is_sent = level >= level_min;
                *value = if is_sent { sent.next().copied().unwrap_or(COUNT_UNKNOWN) } else { COUNT_UNKNOWN };
            }
        }
        Ok(())
    }
}

impl Tables {
    /// The levels of `n` channels from `first` on in a version that is complete; counts as its use.
    ///
    /// # Panics
    /// If they are beyond the channels that there are.
    pub(crate) fn levels(&mut self, version: u8, first: usize, n: usize) -> Option<&[u8]> {
        let is_known =
            |table: &&RateTable| version != 0 && table.version == version && table.n_come == self.n_channels;
        let table = self.known.iter().find(is_known)?;
        self.named = version;
        Some(&table.levels[first..][..n])
    }
}

impl RateTable {
    fn begin(&mut self, version: u8) {
        self.version = version;
        self.has_come.fill(false);
        self.n_come = 0;
    }
}

/// Values that there is room for at least: many bins of few channels in one record.
pub(crate) const VALUES_MIN: usize = 16_384;

#[cfg(test)]
mod tests {
    use super::*;

    const N: usize = 100;

    fn tables() -> Tables {
        let mut tables = Tables::new();
        tables.make_room(N, 1000);
        tables
    }

    fn levels(seed: usize) -> Vec<u8> {
        (0..N).map(|channel| ((channel * 7 + seed * 3) % 20) as u8).collect()
    }

    /// Sends a part of a table.
    fn learn(
        tables: &mut Tables,
        version: u8,
        levels: &[u8],
        range: std::ops::Range<usize>,
        base: Option<(u8, &[u8])>,
    ) -> Option<bool> {
        let mut bytes = [0; 400];
        let base = base.map(|(version, levels)| (version, &levels[range.clone()]));
        let n = rates::encode_table(&levels[range.clone()], base, &mut bytes).expect("room");
        tables.learn(&Table {
            version,
            first_channel: range.start as u32,
            n_channels: range.len() as u16,
            n_total: N as u32,
            coded: &bytes[..n],
        })
    }

    /// Counts of two bins, coded and decoded.
    fn there_and_back(
        tables: &mut Tables,
        version: u8,
        all: &[u8],
        level_min: u8,
    ) -> Result<Vec<u16>, Undecoded> {
        let sent: Vec<u8> = all.iter().copied().filter(|level| *level >= level_min).collect();
        let counts: Vec<u16> = (0..2 * sent.len()).map(|k| (k % 5) as u16).collect();
        let mut bytes = [0; 2000];
        let n = match sent.is_empty() {
            true => 0,
            false => counts::encode(&counts, counts::Levels::Known(&sent), &mut bytes).expect("room"),
        };
        let mut values = vec![9; 2 * N];
        let record = Counts {
            epoch: 0,
            bin: 0,
            first_channel: 0,
            n_channels: N as u16,
            n_bins: 2,
            table: version,
            coded: &bytes[..n],
        };
        tables.decode(&record, level_min, 0, &mut values)?;
        let mut expected = counts.iter();
        for (value, level) in values.iter().zip(all.iter().chain(all)) {
            let wanted = if *level >= level_min { *expected.next().expect("sent") } else { COUNT_UNKNOWN };
            assert_eq!(*value, wanted);
        }
        Ok(values)
    }

    #[test]
    fn a_table_is_used_when_all_of_it_has_come() {
        let (mut tables, first) = (tables(), levels(1));
        assert_eq!(learn(&mut tables, 1, &first, 0..60, None), Some(false));
        assert_eq!(learn(&mut tables, 1, &first, 0..60, None), Some(false), "the same again");
        assert_eq!(there_and_back(&mut tables, 1, &first, 0), Err(Undecoded::Table));
        assert_eq!((learn(&mut tables, 1, &first, 50..N, None), tables.complete()), (Some(true), 1));
        assert_eq!(learn(&mut tables, 1, &first, 0..60, None), Some(false), "complete before");
        assert!(there_and_back(&mut tables, 1, &first, 0).is_ok());
        let values = there_and_back(&mut tables, 1, &first, 5).expect("whole");
        assert!(values.contains(&COUNT_UNKNOWN), "channels are left out");
        assert_eq!(there_and_back(&mut tables, 1, &first, 31).expect("whole"), [COUNT_UNKNOWN; 2 * N]);
    }

    #[test]
    fn the_table_in_use_stays_while_others_come() {
        let mut tables = tables();
        let all = [levels(1), levels(2), levels(3)];
        learn(&mut tables, 1, &all[0], 0..N, None);
        assert!(there_and_back(&mut tables, 1, &all[0], 0).is_ok());
        // Against the first; and another before that one was ever used.
        assert_eq!(learn(&mut tables, 2, &all[1], 0..N, Some((1, &all[0]))), Some(true));
        assert_eq!(tables.complete(), 2);
        assert_eq!(learn(&mut tables, 3, &all[2], 0..30, Some((1, &all[0]))), Some(false));
        assert_eq!(tables.complete(), 1, "what was overwritten is not complete");
        assert!(there_and_back(&mut tables, 1, &all[0], 0).is_ok(), "still there");
        assert_eq!(there_and_back(&mut tables, 2, &all[1], 0), Err(Undecoded::Table), "3 took its place");
        assert_eq!(learn(&mut tables, 3, &all[2], 30..N, Some((2, &all[1]))), None, "against none there is");
        assert_eq!(learn(&mut tables, 3, &all[2], 30..N, Some((1, &all[0]))), Some(true));
        assert!(there_and_back(&mut tables, 3, &all[2], 0).is_ok());
        tables.clear();
        assert_eq!(there_and_back(&mut tables, 3, &all[2], 0), Err(Undecoded::Table));
        assert_eq!(tables.complete(), 0);
    }

    #[test]
    fn parts_of_other_tables_are_of_no_use() {
        let mut tables = tables();
        let mut bytes = [0; 100];
        let n = rates::encode_table(&levels(1)[..10], None, &mut bytes).expect("room");
        let coded = &bytes[..n];
        let part = Table { version: 1, first_channel: 0, n_channels: 10, n_total: N as u32, coded };
        assert_eq!(tables.learn(&part), Some(false));
        for part in [
            Table { version: 0, ..part },
            Table { n_total: 99, ..part },
            Table { first_channel: 95, ..part },
            Table { first_channel: u32::MAX, ..part },
            Table { n_channels: 0, ..part },
            Table { coded: &[], ..part },
            Table { coded: &[9, 9], ..part },
        ] {
            assert_eq!(tables.learn(&part), None, "{part:?}");
        }
    }
}
