//! The device's rate tables: which one counts are coded with, and which one is on its way.
//!
//! In: counts bin by bin, and what the host says it has. Out: levels to code with, pieces of tables to send. Guarantees:
//! counts are never coded with a table that the host doesn't have; the rule stands in `codec::rates`.

use efference_wire::codec::counts::Levels;
use efference_wire::codec::rates::{Rate, encode_table, next_table_at, shift_of_width};
use efference_wire::{Record, RecordWriter, Table};

/// Two versions of rate levels, and the rates that the next one comes from. 6 bytes a channel.
#[derive(Debug)]
pub struct Tables<'a> {
    rates: &'a mut [Rate],
    used: &'a mut [u8],
    next: &'a mut [u8],
    /// Version of `used`; 0 none.
    version: u8,
    /// The host has said in this session that it has it.
    is_confirmed: bool,
    /// Version of `next`; 0 none is on its way.
    next_version: u8,
    /// First channel of the next piece.
    cursor: usize,
    /// All of it was sent once; again no sooner than asked.
    was_sent: bool,
    /// Reports since then that don't know of it.
    n_reports: u8,
    /// `next` has little in common with `used`, of another bin width.
    is_apart: bool,
    /// Samples of a bin, of those that are entered and of those that were asked for, which tables are of.
    width: u32,
    asked_width: u32,
    n_bins: u32,
    next_at: u32,
    /// Pieces are of use to who has no other table.
    is_broadcast: bool,
    /// First channel of the next piece of the table in use, which is told again.
    repeated: Option<usize>,
}

impl<'a> Tables<'a> {
    /// None yet. All three parts have one entry a channel.
    #[must_use]
    pub fn new(rates: &'a mut [Rate], used: &'a mut [u8], next: &'a mut [u8]) -> Self {
        Tables {
            rates,
            used,
            next,
            version: 0,
            is_confirmed: false,
            next_version: 0,
            cursor: 0,
            was_sent: false,
            n_reports: 0,
            is_apart: false,
            width: 1,
            asked_width: 1,
            n_bins: 0,
            next_at: next_table_at(0),
            is_broadcast: false,
            repeated: None,
        }
    }

    /// From now on pieces are coded for receivers that can't say which table they have.
    pub fn set_broadcast(&mut self, is_broadcast: bool) {
        self.is_broadcast = is_broadcast;
    }

    /// Tells the table in use once more, where that is wanted and nothing newer is on its way.
    pub fn repeat(&mut self) {
        if self.is_broadcast && self.used().is_some() {
            self.repeated = Some(0);
        }
    }

    /// What to code with, and its version.
    #[must_use]
    pub fn levels(&self) -> (Levels<'_>, u8) {
        match self.version {
            0 => (Levels::Flat, 0),
            _ if !self.is_confirmed => (Levels::Flat, 0),
            version => match shift_of_width(self.width, self.asked_width) {
                0 => (Levels::Known(self.used), version),
                shift => (Levels::Wider(self.used, shift), version),
            },
        }
    }

    /// Levels of the table in use; `None` while there is none.
    #[must_use]
    pub fn used(&self) -> Option<&[u8]> {
        (self.version != 0 && self.is_confirmed).then_some(&*self.used)
    }

    /// Enters a bin; now and then a new table follows from it.
    pub fn enter(&mut self, counts: &[u16]) {
        let n_bins = self.n_bins;
        for (rate, &count) in self.rates.iter_mut().zip(counts) {
            rate.enter(count, n_bins);
        }
        self.n_bins = self.n_bins.saturating_add(1);
        if self.next_version == 0 && self.n_bins >= self.next_at && (self.version == 0 || self.is_confirmed) {
            let has_told = self.version != 0;
            self.next_at = next_table_at(self.n_bins);
            let n_bins = self.next_at - self.n_bins;
            for ((next, rate), &told) in self.next.iter_mut().zip(&*self.rates).zip(&*self.used) {
                *next = asked(*rate, self.width, self.asked_width).level(has_told.then_some(told), n_bins);
            }
            self.begin_next();
        }
    }

    /// Bins of `width` samples from now on, where `asked_width` was asked for. Rates go with the width; tables with what
    /// was asked, so that they stay when the budget alone made bins wider. A new table of another width asked for takes
    /// its time to the host, and the one before serves until then: off by the ratio of widths it costs some per cent, no
    /// table at all would cost a quarter and more.
    pub fn set_width(&mut self, width: u32, asked_width: u32) {
        let (width, asked_width) = (width.max(1), asked_width.max(1));
        let before = core::mem::replace(&mut self.width, width);
        let asked_before = core::mem::replace(&mut self.asked_width, asked_width);
        self.rates.iter_mut().for_each(|rate| rate.rescale(width, before));
        if asked_width != asked_before && (self.version != 0 || self.next_version != 0) {
            for (next, rate) in self.next.iter_mut().zip(&*self.rates) {
                *next = asked(*rate, width, asked_width).level(None, 1);
            }
            self.begin_next();
            self.is_apart = true;
        }
    }

    /// A host has come that may have nothing, or everything.
    pub fn begin_session(&mut self) {
        self.is_confirmed = false;
        self.send_again();
    }

    /// The host says which version it has whole, 0 for none. It says so twice a second; what it says may be older than
    /// what is on its way, so only `REPORTS` without a table mean that some piece of it was lost.
    pub fn confirm(&mut self, version: u8) {
        if version != 0 && version == self.next_version {
            self.used.copy_from_slice(self.next);
            (self.version, self.next_version, self.is_confirmed) = (version, 0, true);
            return;
        }
        if version != 0 && version == self.version {
            self.is_confirmed = true;
        } else if self.version != 0 && self.next_version == 0 {
            // It has lost the table, or never had it: told anew, as another version.
            self.next.copy_from_slice(self.used);
            self.begin_next();
            self.version = 0;
            return;
        }
        if self.next_version != 0 && self.was_sent {
            self.n_reports += 1;
            if self.n_reports >= REPORTS {
                self.send_again();
            }
        }
    }

    /// A piece of a table waits to be sent.
    #[must_use]
    pub fn has_piece(&self) -> bool {
        self.has_next_piece() || self.repeated.is_some()
    }

    /// Writes the next piece, as many channels as fit; whether one was written.
    pub fn write_piece(&mut self, writer: &mut RecordWriter<'_>) -> bool {
        if !self.has_piece() || writer.room() < PIECE_MIN {
            return false;
        }
        if !self.has_next_piece() {
            let from = self.repeated.unwrap_or(0);
            let n = write(writer, self.version, self.used, from, None);
            let is_over = from + n == self.used.len();
            self.repeated = if is_over { None } else { Some(from + n) };
            return n > 0;
        }
        let used = self.used().filter(|_| !self.is_apart && !self.is_broadcast);
        let base = used.map(|used| (self.version, used));
        let n = write(writer, self.next_version, self.next, self.cursor, base);
        self.cursor += n;
        if self.cursor == self.next.len() {
            (self.cursor, self.was_sent) = (0, true);
        }
        n > 0
    }

    fn has_next_piece(&self) -> bool {
        self.next_version != 0 && !self.was_sent
    }

    fn begin_next(&mut self) {
        let newest = self.next_version.max(self.version);
        // Never 0, and never the one in use.
        self.next_version = if newest == u8::MAX { 1 } else { newest + 1 };
        if self.next_version == self.version {
            self.next_version = if self.version == u8::MAX { 1 } else { self.version + 1 };
        }
        self.is_apart = false;
        self.send_again();
    }

    fn send_again(&mut self) {
        (self.cursor, self.was_sent, self.n_reports) = (0, false, 0);
    }
}

/// Writes levels from channel `from` on, as many as fit, against those of another version where there is one; how many.
fn write(
    writer: &mut RecordWriter<'_>,
    version: u8,
    all: &[u8],
    from: usize,
    base: Option<(u8, &[u8])>,
) -> usize {
    // Levels take some three bits each, and changes less than one; what doesn't fit is halved until it does.
    let n_fitting = (writer.room() - HEAD) * if base.is_none() { 5 } else { 14 } / 2;
    let mut n = (all.len() - from).min(n_fitting).min(usize::from(u16::MAX));
    while n > 0 {
        let base = base.map(|(version, base)| (version, &base[from..from + n]));
        let head = Record::Table(Table {
            version,
            first_channel: from as u32,
            n_channels: n as u16,
            n_total: all.len() as u32,
            coded: &[],
        });
        if writer.push_with(&head, |out| encode_table(&all[from..from + n], base, out)).is_ok() {
            return n;
        }
        n /= 2;
    }
    0
}

/// A channel's rate in bins as they were asked for.
fn asked(mut rate: Rate, width: u32, asked_width: u32) -> Rate {
    if width != asked_width {
        rate.rescale(asked_width, width);
    }
    rate
}

/// Reports after a table was sent, until it is sent again.
const REPORTS: u8 = 3;
/// Bytes of a table record before what is coded, at most.
const HEAD: usize = 14;
const PIECE_MIN: usize = 40;

#[cfg(test)]
mod tests {
    use super::*;
    use efference_wire::Records;
    use efference_wire::codec::rates::decode_table;
    use std::vec;
    use std::vec::Vec;

    /// Sends all pieces to a host that takes those that `arrives` lets through; whether it has the table then.
    fn send(
        tables: &mut Tables<'_>,
        held: &mut (u8, Vec<u8>),
        mut arrives: impl FnMut(usize) -> bool,
    ) -> bool {
        let (mut next, mut n_come, mut piece) = (vec![0; held.1.len()], 0, 0);
        let mut version = 0;
        while tables.has_piece() {
            let mut bytes = [0; 200];
            let mut writer = RecordWriter::new(&mut bytes);
            assert!(tables.write_piece(&mut writer));
            let n = writer.len();
            for record in Records::new(&bytes[..n]) {
                let Ok(Record::Table(table)) = record else { panic!("a table") };
                let range = table.first_channel as usize
                    ..table.first_channel as usize + usize::from(table.n_channels);
                if arrives(piece) {
                    let base = |version: u8| (version == held.0).then_some(&held.1[range.clone()]);
                    decode_table(table.coded, base, &mut next[range.clone()]).expect("what was sent");
                    n_come += range.len();
                    version = table.version;
                }
            }
            piece += 1;
        }
        let is_whole = n_come == next.len();
        if is_whole {
            *held = (version, next);
        }
        is_whole
    }

    #[test]
    fn counts_are_coded_only_with_what_the_host_has() {
        let n = 2_000;
        let (mut rates, mut used, mut next) = (vec![Rate::default(); n], vec![0; n], vec![0; n]);
        let mut tables = Tables::new(&mut rates, &mut used, &mut next);
        let counts = |bin: usize| -> Vec<u16> {
            (0..n).map(|c| u16::from((bin * 7 + c) % (c % 40 + 2) == 0)).collect()
        };
        let mut held = (0, vec![0; n]);
        (0..60).for_each(|bin| tables.enter(&counts(bin)));
        assert_eq!((tables.levels(), tables.has_piece()), ((Levels::Flat, 0), true));
        assert!(!send(&mut tables, &mut held, |piece| piece != 2), "a piece is lost");
        tables.confirm(held.0);
        assert!(!tables.has_piece(), "the report may be older");
        (1..REPORTS).for_each(|_| tables.confirm(held.0));
        assert_eq!(tables.levels().1, 0, "not whole, not used");
        assert!(send(&mut tables, &mut held, |_| true), "it is sent again");
        tables.confirm(held.0);
        assert_eq!(tables.levels(), (Levels::Known(&held.1), 1));
        assert!(!tables.has_piece());
        // The next one comes against this one.
        (60..400).for_each(|bin| tables.enter(&counts(bin)));
        assert!(tables.has_piece() && tables.levels().1 == 1);
        assert!(send(&mut tables, &mut held, |_| true));
        tables.confirm(held.0);
        assert_eq!(tables.levels(), (Levels::Known(&held.1), 2));
        // Another session of the same host goes on with it, a new host starts from nothing.
        tables.begin_session();
        assert_eq!(tables.levels().1, 0);
        tables.confirm(2);
        assert_eq!(tables.levels().1, 2);
        tables.begin_session();
        tables.confirm(0);
        assert!(tables.has_piece() && tables.levels().1 == 0);
        held = (0, vec![0; n]);
        assert!(send(&mut tables, &mut held, |_| true));
        tables.confirm(held.0);
        assert_eq!(tables.levels(), (Levels::Known(&held.1), 3));
        tables.set_width(2, 1);
        assert_eq!(tables.levels(), (Levels::Wider(&held.1, 2), 3), "the budget made bins wider");
        assert!(!tables.has_piece());
        tables.set_width(2, 2);
        assert!(
            tables.has_piece() && tables.levels().1 == 3,
            "other bins have other rates, but these serve meanwhile"
        );
        assert!(!send(&mut tables, &mut held, |piece| piece != 0), "a piece is lost");
        (0..REPORTS).for_each(|_| tables.confirm(held.0));
        assert!(send(&mut tables, &mut held, |_| true), "it is sent again, though the host has another");
        tables.confirm(held.0);
        assert_eq!(tables.levels(), (Levels::Known(&held.1), 4));
    }
}
