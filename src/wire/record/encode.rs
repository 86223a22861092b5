//! Records into the bytes of a datagram.
//!
//! In: [`Record`]s. Out: their bytes in a slice of the caller's. Guarantees: a record is written whole or not at all.

use super::bytes::Writer;
use super::{BODY_MAX, NAME_MAX, Operation, Record, kind, operation};

/// Writes records one behind the other.
///
/// ```
/// use efference_wire::{Record, RecordWriter};
/// let mut bytes = [0; 8];
/// let mut writer = RecordWriter::new(&mut bytes);
/// writer.push(&Record::Ping(7))?;
/// assert_eq!((writer.len(), writer.room()), (6, 0));
/// writer.push(&Record::Bye)?;
/// assert!(writer.push(&Record::Bye).is_err(), "eight bytes are full");
/// assert_eq!(bytes, [66, 4, 7, 0, 0, 0, 127, 0]);
/// # Ok::<(), efference_wire::Full>(())
/// ```
#[derive(Debug)]
pub struct RecordWriter<'a> {
    bytes: &'a mut [u8],
    at: usize,
}

impl<'a> RecordWriter<'a> {
    /// Into `bytes`, from their beginning.
    #[must_use]
    pub const fn new(bytes: &'a mut [u8]) -> Self {
        RecordWriter { bytes, at: 0 }
    }

    /// Bytes written.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.at
    }

    /// Nothing was written yet.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.at == 0
    }

    /// Bytes that the body of the next record may have.
    #[must_use]
    pub const fn room(&self) -> usize {
        let left = self.bytes.len() - self.at;
        let room = if left <= 2 + SHORT_MAX { left.saturating_sub(2) } else { left - 3 };
        if room > BODY_MAX { BODY_MAX } else { room }
    }

    /// What was written.
    #[must_use]
    pub fn written(&self) -> &[u8] {
        &self.bytes[..self.at]
    }

    /// Appends a record.
    ///
    /// # Errors
    /// [`Full`] where it doesn't fit, or a name in it is longer than [`NAME_MAX`]; nothing is appended then.
    pub fn push(&mut self, record: &Record<'_>) -> Result<(), Full> {
        self.push_with(record, |_| Ok::<usize, Full>(0)).map_err(|_| Full)
    }

    /// Appends a record whose last field is filled in place: `fill` gets the room that is left behind what `head`
    /// holds, and says how many bytes it used. It may write beyond them; nothing of that stays.
    ///
    /// `head` is a record that ends with an open field ([`Counts::coded`](super::Counts::coded) and the like), left
    /// empty.
    ///
    /// # Errors
    /// [`PushError::Full`] where the fields before don't fit or `fill` says more than it got; what `fill` returns,
    /// where it fails. Nothing is appended then.
    pub fn push_with<E>(
        &mut self,
        head: &Record<'_>,
        fill: impl FnOnce(&mut [u8]) -> Result<usize, E>,
    ) -> Result<(), PushError<E>> {
        self.push_fitted(head, |room| fill(room).map(|used| (*head, used)))
    }

    /// Like [`RecordWriter::push_with`], for a codec that learns only by filling how much fits: `fill` says what the
    /// record is in the end. Room is kept for the head of `largest`, so its numbers must be at least as large.
    ///
    /// # Errors
    /// As [`RecordWriter::push_with`]; [`PushError::Full`] too where the head turns out longer than that of `largest`.
    pub fn push_fitted<'b, E>(
        &mut self,
        largest: &Record<'_>,
        fill: impl FnOnce(&mut [u8]) -> Result<(Record<'b>, usize), E>,
    ) -> Result<(), PushError<E>> {
        let room = self.room();
        let rest = &mut self.bytes[self.at..];
        if rest.len() < 2 {
            return Err(PushError::Full);
        }
        // The length is known only when the body is, so its place is kept and closed up behind.
        let body_at = if room > SHORT_MAX { 3 } else { 2 };
        let body = &mut rest[body_at..body_at + room];
        let head_max = head(body, largest).ok_or(PushError::Full)?;
        let (record, used) = fill(&mut body[head_max..]).map_err(PushError::Fill)?;
        if used > room - head_max {
            return Err(PushError::Full);
        }
        let head_length = head(&mut body[..head_max], &record).ok_or(PushError::Full)?;
        body.copy_within(head_max..head_max + used, head_length);
        let length = head_length + used;
        rest[0] = kind_of(&record);
        if length <= SHORT_MAX {
            rest.copy_within(body_at..body_at + length, 2);
            rest[1] = length as u8;
            self.at += 2 + length;
        } else {
            rest[1] = length as u8 | 0x80;
            rest[2] = (length >> 7) as u8;
            self.at += 3 + length;
        }
        Ok(())
    }
}

/// A record didn't fit: there is too little room left for it, or a name in it is longer than [`NAME_MAX`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Full;

/// Why a record that is filled in place was not appended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PushError<E> {
    /// As [`Full`].
    Full,
    /// What fills it failed.
    Fill(E),
}

/// The fields of a record; how many bytes, or `None` where they don't fit.
fn head(body: &mut [u8], record: &Record<'_>) -> Option<usize> {
    let mut writer = Writer::new(body);
    match record {
        Record::Hello(hello) => {
            if hello.name.len() > NAME_MAX || hello.profile.len() > NAME_MAX {
                return None;
            }
            writer.u32(hello.boot);
            writer.u16(hello.firmware);
            writer.u32(hello.n_electrodes);
            writer.u32(hello.sample_rate_millihertz);
            writer.u8(hello.bits);
            writer.u32(hello.nv_per_count);
            writer.u16(hello.modes);
            writer.u16(hello.mtu_max);
            writer.u16(hello.n_raw_max);
            writer.u8(u8::from(hello.synthetic));
            for name in [hello.name, hello.profile] {
                writer.u8(name.len() as u8);
                writer.put(name.as_bytes());
            }
        }
        Record::Format(format) => {
            writer.u8(format.epoch);
            writer.u8(format.mode as u8);
            writer.varint(format.origin_sample);
            writer.varint(u64::from(format.bin_samples));
            writer.varint(u64::from(format.asked_bin_samples));
            writer.u16(format.count_max);
            writer.u8(format.level_min);
            writer.varint(u64::from(format.n_left_out));
            writer.u32(format.budget_bps);
            writer.u8(format.reason as u8);
        }
        Record::Counts(counts) => {
            writer.u8(counts.epoch);
            writer.varint(u64::from(counts.bin));
            writer.varint(u64::from(counts.first_channel));
            writer.varint(u64::from(counts.n_channels));
            writer.u8(counts.n_bins);
            writer.u8(counts.table);
            writer.put(counts.coded);
        }
        Record::Crossings(crossings) => {
            writer.u8(crossings.epoch);
            writer.varint(crossings.first_sample);
            writer.varint(u64::from(crossings.span_samples));
            writer.varint(u64::from(crossings.first_channel));
            writer.varint(u64::from(crossings.n_channels));
            writer.put(crossings.coded);
        }
        Record::Raw(raw) => {
            writer.varint(u64::from(raw.electrode));
            writer.varint(raw.first_sample);
            writer.put(raw.coded);
        }
        Record::Power(power) => {
            writer.u8(power.epoch);
            writer.varint(u64::from(power.bin));
            writer.varint(u64::from(power.first_channel));
            writer.put(power.levels);
        }
        Record::Snippet(snippet) => {
            writer.u8(snippet.epoch);
            writer.varint(u64::from(snippet.electrode));
            writer.varint(snippet.sample);
            writer.u8(snippet.n_before);
            writer.put(snippet.samples);
        }
        Record::Telemetry(telemetry) => {
            writer.varint(telemetry.sample);
            writer.u16(telemetry.battery_mv);
            writer.u8(telemetry.battery_percent);
            writer.u16(telemetry.temperature_centi as u16);
            writer.u32(telemetry.datagrams_sent);
            writer.u32(telemetry.bins_dropped);
            writer.u16(telemetry.commands_refused);
            writer.u32(telemetry.datagrams_rejected);
        }
        Record::Impedance(impedance) => {
            writer.varint(u64::from(impedance.first_electrode));
            writer.put(impedance.values);
        }
        Record::Ack(ack) => {
            writer.u16(ack.id);
            writer.u8(ack.status as u8);
            writer.u32(ack.value);
        }
        Record::Table(table) => {
            writer.u8(table.version);
            writer.varint(u64::from(table.first_channel));
            writer.varint(u64::from(table.n_channels));
            writer.varint(u64::from(table.n_total));
            writer.put(table.coded);
        }
        Record::Pong(pong) => {
            writer.u32(pong.id);
            writer.varint(pong.received_sample);
            writer.u16(pong.received_fraction);
            writer.u32(pong.held_us);
        }
        Record::Command(command) => {
            writer.u16(command.id);
            operation(&mut writer, &command.operation);
        }
        Record::Report(report) => {
            writer.u32(report.next_sequence);
            writer.u32(report.received);
            writer.u32(report.throughput_bps);
            writer.u8(report.table);
            writer.u8(report.epoch);
        }
        Record::Ping(id) => writer.u32(*id),
        Record::Bye => {}
    }
    writer.finish()
}

/// Operation byte and what belongs to it.
fn operation(writer: &mut Writer<'_>, what: &Operation<'_>) {
    match what {
        Operation::Start => writer.u8(operation::START),
        Operation::Stop => writer.u8(operation::STOP),
        Operation::SetMode(mode) => {
            writer.u8(operation::SET_MODE);
            writer.u8(*mode as u8);
        }
        Operation::SetBinWidth(samples) => {
            writer.u8(operation::SET_BIN_WIDTH);
            writer.u32(*samples);
        }
        Operation::SetThreshold(multiple) => {
            writer.u8(operation::SET_THRESHOLD);
            writer.u16(*multiple);
        }
        Operation::SetThresholds { first_channel, values } => {
            writer.u8(operation::SET_THRESHOLDS);
            writer.varint(u64::from(*first_channel));
            writer.put(values);
        }
        Operation::SelectRaw(electrodes) => {
            writer.u8(operation::SELECT_RAW);
            writer.put(electrodes);
        }
        Operation::SetBudget(bps) => {
            writer.u8(operation::SET_BUDGET);
            writer.u32(*bps);
        }
        Operation::SetMtu(mtu) => {
            writer.u8(operation::SET_MTU);
            writer.u16(*mtu);
        }
        Operation::RequestKey => writer.u8(operation::REQUEST_KEY),
        Operation::RequestImpedance { first_electrode, n_electrodes } => {
            writer.u8(operation::REQUEST_IMPEDANCE);
            writer.varint(u64::from(*first_electrode));
            writer.varint(u64::from(*n_electrodes));
        }
    }
}

const fn kind_of(record: &Record<'_>) -> u8 {
    match record {
        Record::Hello(_) => kind::HELLO,
        Record::Format(_) => kind::FORMAT,
        Record::Counts(_) => kind::COUNTS,
        Record::Crossings(_) => kind::CROSSINGS,
        Record::Raw(_) => kind::RAW,
        Record::Power(_) => kind::POWER,
        Record::Snippet(_) => kind::SNIPPET,
        Record::Telemetry(_) => kind::TELEMETRY,
        Record::Impedance(_) => kind::IMPEDANCE,
        Record::Ack(_) => kind::ACK,
        Record::Table(_) => kind::TABLE,
        Record::Pong(_) => kind::PONG,
        Record::Command(_) => kind::COMMAND,
        Record::Report(_) => kind::REPORT,
        Record::Ping(_) => kind::PING,
        Record::Bye => kind::BYE,
    }
}

/// Bodies of up to so many bytes have one byte of length.
const SHORT_MAX: usize = 127;
