//! What the host has to say: commands until they are acknowledged, pings, reports.
//!
//! In: operations, and what has arrived. Out: records that are due, into a datagram. Guarantees: memory is taken when it
//! is built; a command goes out again until it is acknowledged, over sessions, and leaves in the order of asking.

use crate::time::HostTime;
use crate::wire::{Command, Operation, Record, RecordWriter, Records, Report};

/// What waits to be sent.
pub(crate) struct Outbox {
    commands: Vec<Pending>,
    /// Bytes for commands that will come.
    spare: Vec<[u8; COMMAND_MAX]>,
    next_command: u16,
    next_ping: u32,
    /// The last pings and when they were sent.
    pings: [Option<(u32, HostTime)>; PINGS],
    ping_at: HostTime,
    report_at: HostTime,
    n_pongs: u32,
}

/// A command that was not acknowledged yet.
struct Pending {
    id: u16,
    bytes: [u8; COMMAND_MAX],
    n_bytes: usize,
    due_at: HostTime,
    wait_ns: u64,
    is_key: bool,
}

/// Why a command was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NotTaken {
    /// It has more bytes than a datagram holds.
    TooLong,
    /// Too many are waiting.
    Full,
}

impl Outbox {
    pub(crate) fn new() -> Self {
        Outbox {
            commands: Vec::with_capacity(COMMANDS_MAX),
            spare: (0..COMMANDS_MAX).map(|_| [0; COMMAND_MAX]).collect(),
            next_command: 1,
            next_ping: 1,
            pings: [None; PINGS],
            ping_at: HostTime::default(),
            report_at: HostTime::default(),
            n_pongs: 0,
        }
    }

    /// Takes a command that a datagram of `n_bytes_max` bytes of records has room for; its number.
    pub(crate) fn command(
        &mut self,
        now: HostTime,
        operation: Operation<'_>,
        n_bytes_max: usize,
    ) -> Result<u16, NotTaken> {
        let mut bytes = self.spare.pop().ok_or(NotTaken::Full)?;
        let id = self.next_command;
        let room = n_bytes_max.min(COMMAND_MAX);
        let mut writer = RecordWriter::new(&mut bytes[..room]);
        let n_bytes = match writer.push(&Record::Command(Command { id, operation })) {
            Ok(()) => writer.len(),
            Err(_) => {
                self.spare.push(bytes);
                return Err(NotTaken::TooLong);
            }
        };
        self.next_command = self.next_command.checked_add(1).unwrap_or(1);
        let is_key = operation == Operation::RequestKey;
        self.commands.push(Pending { id, bytes, n_bytes, due_at: now, wait_ns: RETRY_NS, is_key });
        Ok(id)
    }

    /// A command was acknowledged: whether it was waiting, and whether it was asked for by the link itself.
    pub(crate) fn acknowledge(&mut self, id: u16) -> Option<bool> {
        let at = self.commands.iter().position(|pending| pending.id == id)?;
        let pending = self.commands.remove(at);
        self.spare.push(pending.bytes);
        Some(pending.is_key)
    }

    /// A key was asked for and the answer is still to come.
    pub(crate) fn waits_for_key(&self) -> bool {
        self.commands.iter().any(|pending| pending.is_key)
    }

    /// What waits is not wanted any more.
    pub(crate) fn clear(&mut self) {
        while let Some(pending) = self.commands.pop() {
            self.spare.push(pending.bytes);
        }
    }

    /// A session begins: all that is known is to be said in it at once.
    pub(crate) fn begin_session(&mut self, now: HostTime) {
        for pending in &mut self.commands {
            (pending.due_at, pending.wait_ns) = (now, RETRY_NS);
        }
        self.pings = [None; PINGS];
        (self.ping_at, self.report_at, self.n_pongs) = (now, now, 0);
    }

    /// When a ping was sent whose answer has come; each is answered once.
    pub(crate) fn answered(&mut self, id: u32) -> Option<HostTime> {
        let place = self.pings.iter_mut().find(|ping| ping.is_some_and(|(asked, _)| asked == id))?;
        self.n_pongs = self.n_pongs.saturating_add(1);
        place.take().map(|(_, sent)| sent)
    }

    /// Nothing has come for a while: ask.
    pub(crate) fn ask_soon(&mut self, at: HostTime) {
        self.ping_at = self.ping_at.min(at);
    }

    pub(crate) fn report_soon(&mut self, at: HostTime) {
        self.report_at = self.report_at.min(at);
    }

    /// When something is due.
    pub(crate) fn deadline(&self) -> HostTime {
        let commands = self.commands.iter().map(|pending| pending.due_at);
        commands.fold(self.ping_at.min(self.report_at), HostTime::min)
    }

    /// Writes what is due and has room.
    pub(crate) fn write(&mut self, now: HostTime, records: &mut RecordWriter<'_>, report: &Report) {
        if self.ping_at <= now && records.push(&Record::Ping(self.next_ping)).is_ok() {
            self.pings[self.next_ping as usize % PINGS] = Some((self.next_ping, now));
            self.next_ping = self.next_ping.wrapping_add(1);
            // The clock is wanted soon, and kept later.
            let wait_ns = if self.n_pongs < PONGS_SOON { PING_SOON_NS } else { PING_NS };
            self.ping_at = now.after(wait_ns);
        }
        if self.report_at <= now && records.push(&Record::Report(*report)).is_ok() {
            self.report_at = now.after(REPORT_NS);
        }
        for pending in &mut self.commands {
            if pending.due_at > now {
                continue;
            }
            let Some(Ok(record)) = Records::new(&pending.bytes[..pending.n_bytes]).next() else { continue };
            if records.push(&record).is_err() {
                break;
            }
            pending.due_at = now.after(pending.wait_ns);
            pending.wait_ns = (pending.wait_ns * 3 / 2).min(RETRY_NS_MAX);
        }
    }
}

/// Commands that may wait at a time.
const COMMANDS_MAX: usize = 32;
/// Bytes of a command's record at most: its head and 200 thresholds.
const COMMAND_MAX: usize = 432;
/// Pings whose answers are waited for.
const PINGS: usize = 16;
/// A command goes out again after so long, and each time after half as much again.
const RETRY_NS: u64 = 100_000_000;
const RETRY_NS_MAX: u64 = 500_000_000;
const PING_NS: u64 = 500_000_000;
const PING_SOON_NS: u64 = 100_000_000;
const PONGS_SOON: u32 = 5;
/// Twice a second and some more, as the device waits for.
const REPORT_NS: u64 = 450_000_000;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::THRESHOLDS_MAX;

    #[test]
    fn a_command_goes_out_until_it_is_acknowledged() {
        let mut outbox = Outbox::new();
        let start = HostTime { ns: 1_000 };
        outbox.begin_session(start);
        let id = outbox.command(start, Operation::SetBudget(7), 400).expect("room");
        let said = |outbox: &mut Outbox, now: HostTime| {
            let mut bytes = [0; 500];
            let mut records = RecordWriter::new(&mut bytes);
            outbox.write(now, &mut records, &Report::default());
            let commands = Records::new(records.written()).filter(
                |record| matches!(record, Ok(Record::Command(Command { id: said, .. })) if *said == id),
            );
            commands.count()
        };
        assert_eq!(said(&mut outbox, start), 1);
        assert_eq!(said(&mut outbox, start), 0, "not twice at once");
        assert_eq!(outbox.deadline(), start.after(PING_SOON_NS));
        assert_eq!(said(&mut outbox, start.after(RETRY_NS)), 1);
        assert_eq!(said(&mut outbox, start.after(2 * RETRY_NS)), 0, "it waits for longer each time");
        assert_eq!(said(&mut outbox, start.after(3 * RETRY_NS)), 1);
        assert_eq!((outbox.acknowledge(id), outbox.acknowledge(id)), (Some(false), None));
        assert_eq!(said(&mut outbox, start.after(100 * RETRY_NS)), 0);
    }

    #[test]
    fn what_is_too_long_or_too_much_is_refused() {
        let mut outbox = Outbox::new();
        let now = HostTime::default();
        let values = [0; 2 * THRESHOLDS_MAX];
        let thresholds = Operation::SetThresholds { first_channel: u32::MAX, values: &values };
        assert_eq!(outbox.command(now, thresholds, 400), Err(NotTaken::TooLong));
        assert_eq!(outbox.command(now, thresholds, 480), Ok(1), "refused ones have no number");
        for _ in 1..COMMANDS_MAX {
            assert!(outbox.command(now, Operation::Start, 480).is_ok());
        }
        assert_eq!(outbox.command(now, Operation::Start, 480), Err(NotTaken::Full));
        outbox.clear();
        assert!(outbox.command(now, Operation::Start, 480).is_ok());
    }

    #[test]
    fn an_answer_counts_once() {
        let mut outbox = Outbox::new();
        let now = HostTime { ns: 5 };
        outbox.begin_session(now);
        let mut bytes = [0; 500];
        outbox.write(now, &mut RecordWriter::new(&mut bytes), &Report::default());
        assert_eq!((outbox.answered(1), outbox.answered(1), outbox.answered(2)), (Some(now), None, None));
    }
}
