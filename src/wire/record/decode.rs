//! Records out of the bytes of a datagram.
//!
//! In: opened bytes, any at all. Out: [`Record`]s that borrow from them, or [`Malformed`] with what is wrong.
//! Guarantees: ends, never panics, reads nothing twice; what one record breaks, only a bad length carries on.

use super::bytes::Reader;
use super::{
    Ack, Command, Counts, Crossings, Format, Hello, Impedance, Mode, NAME_MAX, Operation, Pong, Power, Raw,
    Reason, Record, Report, Snippet, Status, THRESHOLDS_MAX, Table, Telemetry, kind, operation,
};

/// The records of a datagram, in the order of writing. Types that nobody knows are skipped and counted.
///
/// ```
/// use efference_wire::{Record, Records};
/// // A ping, a type that this version doesn't know, the end.
/// let mut records = Records::new(&[66, 4, 7, 0, 0, 0, 99, 2, 1, 1, 127, 0]);
/// assert_eq!(records.next(), Some(Ok(Record::Ping(7))));
/// assert_eq!(records.next(), Some(Ok(Record::Bye)));
/// assert_eq!((records.next(), records.n_unknown()), (None, 1));
/// ```
#[derive(Clone, Debug)]
pub struct Records<'a> {
    rest: &'a [u8],
    n_unknown: u32,
}

impl<'a> Records<'a> {
    /// Of the opened bytes of one datagram.
    #[must_use]
    pub const fn new(opened: &'a [u8]) -> Self {
        Records { rest: opened, n_unknown: 0 }
    }

    /// Records skipped until now because their type is unknown.
    #[must_use]
    pub const fn n_unknown(&self) -> u32 {
        self.n_unknown
    }
}

impl<'a> Iterator for Records<'a> {
    type Item = Result<Record<'a>, Malformed>;

    fn next(&mut self) -> Option<Self::Item> {
        while !self.rest.is_empty() {
            let mut reader = Reader::new(self.rest);
            let head = (reader.u8(), reader.varint(LENGTH_BYTES_MAX));
            let (Some(kind), Some(length)) = head else {
                self.rest = &[];
                return Some(Err(Malformed::Length));
            };
            let Some(body) = reader.bytes(length as usize) else {
                self.rest = &[];
                return Some(Err(Malformed::Length));
            };
            self.rest = reader.rest();
            match decode(kind, body) {
                Ok(Some(record)) => return Some(Ok(record)),
                Ok(None) => self.n_unknown = self.n_unknown.saturating_add(1),
                Err(malformed) => return Some(Err(malformed)),
            }
        }
        None
    }
}

/// What is wrong with a record. The ones behind it are still read, but for [`Malformed::Length`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Malformed {
    /// The length doesn't fit into what is there: nothing behind it can be found.
    Length,
    /// The body ends before the fields that this type has, or a number in it has more bits than its field.
    Short {
        /// Type byte.
        kind: u8,
    },
    /// A field has a value that nothing is known by.
    Illegal {
        /// Type byte.
        kind: u8,
    },
    /// A command that can't be done, but that can be answered: send an [`Ack`] with this status.
    Command {
        /// For [`Ack::id`].
        id: u16,
        /// [`Status::Unknown`] for an operation that isn't known, [`Status::Range`] for a value outside its range.
        status: Status,
    },
}

/// The record of a type, or `None` where the type is unknown.
fn decode(kind: u8, body: &[u8]) -> Result<Option<Record<'_>>, Malformed> {
    let mut fields = Fields { reader: Reader::new(body), kind };
    Ok(Some(match kind {
        kind::HELLO => Record::Hello(fields.hello()?),
        kind::FORMAT => Record::Format(fields.format()?),
        kind::COUNTS => Record::Counts(fields.counts()?),
        kind::CROSSINGS => Record::Crossings(fields.crossings()?),
        kind::RAW => Record::Raw(fields.raw()?),
        kind::POWER => Record::Power(fields.power()?),
        kind::SNIPPET => Record::Snippet(fields.snippet()?),
        kind::TELEMETRY => Record::Telemetry(fields.telemetry()?),
        kind::IMPEDANCE => Record::Impedance(fields.impedance()?),
        kind::ACK => Record::Ack(fields.ack()?),
        kind::TABLE => Record::Table(fields.table()?),
        kind::PONG => Record::Pong(fields.pong()?),
        kind::COMMAND => Record::Command(fields.command()?),
        kind::REPORT => Record::Report(fields.report()?),
        kind::PING => Record::Ping(fields.u32()?),
        kind::BYE => Record::Bye,
        _ => return Ok(None),
    }))
}

/// The fields of a body, and the type for what goes wrong.
struct Fields<'a> {
    reader: Reader<'a>,
    kind: u8,
}

impl<'a> Fields<'a> {
    fn hello(&mut self) -> Result<Hello<'a>, Malformed> {
        Ok(Hello {
            boot: self.u32()?,
            firmware: self.u16()?,
            n_electrodes: self.u32()?,
            sample_rate_millihertz: self.u32()?,
            bits: self.u8()?,
            nv_per_count: self.u32()?,
            modes: self.u16()?,
            mtu_max: self.u16()?,
            n_raw_max: self.u16()?,
            synthetic: self.u8()? & 1 == 1,
            name: self.name()?,
            profile: self.name()?,
        })
    }

    fn format(&mut self) -> Result<Format, Malformed> {
        Ok(Format {
            epoch: self.u8()?,
            mode: self.legal(Mode::from_byte)?,
            origin_sample: self.varint_u64()?,
            bin_samples: self.varint_u32()?,
            asked_bin_samples: self.varint_u32()?,
            count_max: self.u16()?,
            level_min: self.u8()?,
            n_left_out: self.varint_u32()?,
            budget_bps: self.u32()?,
            reason: self.legal(Reason::from_byte)?,
        })
    }

    fn counts(&mut self) -> Result<Counts<'a>, Malformed> {
        Ok(Counts {
            epoch: self.u8()?,
            bin: self.varint_u32()?,
            first_channel: self.varint_u32()?,
            n_channels: self.varint_u16()?,
            n_bins: self.u8()?,
            table: self.u8()?,
            coded: self.reader.rest(),
        })
    }

    fn crossings(&mut self) -> Result<Crossings<'a>, Malformed> {
        Ok(Crossings {
            epoch: self.u8()?,
            first_sample: self.varint_u64()?,
            span_samples: self.varint_u16()?,
            first_channel: self.varint_u32()?,
            n_channels: self.varint_u32()?,
            coded: self.reader.rest(),
        })
    }

    fn raw(&mut self) -> Result<Raw<'a>, Malformed> {
        Ok(Raw { electrode: self.varint_u32()?, first_sample: self.varint_u64()?, coded: self.reader.rest() })
    }

    fn power(&mut self) -> Result<Power<'a>, Malformed> {
        Ok(Power {
            epoch: self.u8()?,
            bin: self.varint_u32()?,
            first_channel: self.varint_u32()?,
            levels: self.reader.rest(),
        })
    }

    fn snippet(&mut self) -> Result<Snippet<'a>, Malformed> {
        Ok(Snippet {
            epoch: self.u8()?,
            electrode: self.varint_u32()?,
            sample: self.varint_u64()?,
            n_before: self.u8()?,
            samples: self.values(2, usize::MAX)?,
        })
    }

    fn telemetry(&mut self) -> Result<Telemetry, Malformed> {
        Ok(Telemetry {
            sample: self.varint_u64()?,
            battery_mv: self.u16()?,
            battery_percent: self.u8()?,
            temperature_centi: self.u16()? as i16,
            datagrams_sent: self.u32()?,
            bins_dropped: self.u32()?,
            commands_refused: self.u16()?,
            datagrams_rejected: self.u32()?,
        })
    }

    fn impedance(&mut self) -> Result<Impedance<'a>, Malformed> {
        Ok(Impedance { first_electrode: self.varint_u32()?, values: self.values(2, usize::MAX)? })
    }

    fn ack(&mut self) -> Result<Ack, Malformed> {
        Ok(Ack { id: self.u16()?, status: self.legal(Status::from_byte)?, value: self.u32()? })
    }

    fn table(&mut self) -> Result<Table<'a>, Malformed> {
        let version = self.u8()?;
        // Version 0 is the flat table, which nobody sends.
        if version == 0 {
            return Err(Malformed::Illegal { kind: self.kind });
        }
        Ok(Table {
            version,
            first_channel: self.varint_u32()?,
            n_channels: self.varint_u16()?,
            n_total: self.varint_u32()?,
            coded: self.reader.rest(),
        })
    }

    fn pong(&mut self) -> Result<Pong, Malformed> {
        Ok(Pong {
            id: self.u32()?,
            received_sample: self.varint_u64()?,
            received_fraction: self.u16()?,
            held_us: self.u32()?,
        })
    }

    fn command(&mut self) -> Result<Command<'a>, Malformed> {
        let (id, operation) = (self.u16()?, self.u8()?);
        let range = Malformed::Command { id, status: Status::Range };
        let operation = match operation {
            operation::START => Operation::Start,
            operation::STOP => Operation::Stop,
            operation::SET_MODE => match Mode::from_byte(self.u8()?) {
                Some(mode) => Operation::SetMode(mode),
                None => return Err(range),
            },
            operation::SET_BIN_WIDTH => Operation::SetBinWidth(self.u32()?),
            operation::SET_THRESHOLD => Operation::SetThreshold(self.u16()?),
            operation::SET_THRESHOLDS => Operation::SetThresholds {
                first_channel: self.varint_u32()?,
                values: self.values(2, 2 * THRESHOLDS_MAX).map_err(|_| range)?,
            },
            operation::SELECT_RAW => Operation::SelectRaw(self.values(4, usize::MAX).map_err(|_| range)?),
            operation::SET_BUDGET => Operation::SetBudget(self.u32()?),
            operation::SET_MTU => Operation::SetMtu(self.u16()?),
            operation::REQUEST_KEY => Operation::RequestKey,
            operation::REQUEST_IMPEDANCE => Operation::RequestImpedance {
                first_electrode: self.varint_u32()?,
                n_electrodes: self.varint_u16()?,
            },
            _ => return Err(Malformed::Command { id, status: Status::Unknown }),
        };
        Ok(Command { id, operation })
    }

    fn report(&mut self) -> Result<Report, Malformed> {
        Ok(Report {
            next_sequence: self.u32()?,
            received: self.u32()?,
            throughput_bps: self.u32()?,
            table: self.u8()?,
            epoch: self.u8()?,
        })
    }

    /// A length in one byte and so many bytes of UTF-8.
    fn name(&mut self) -> Result<&'a str, Malformed> {
        let length = usize::from(self.u8()?);
        let bytes = self.reader.bytes(length).ok_or(Malformed::Short { kind: self.kind })?;
        match core::str::from_utf8(bytes) {
            Ok(name) if length <= NAME_MAX => Ok(name),
            _ => Err(Malformed::Illegal { kind: self.kind }),
        }
    }

    /// All the rest: whole values of `width` bytes.
    fn values(&mut self, width: usize, n_bytes_max: usize) -> Result<&'a [u8], Malformed> {
        let values = self.reader.rest();
        match values.len() % width == 0 && values.len() <= n_bytes_max {
            true => Ok(values),
            false => Err(Malformed::Illegal { kind: self.kind }),
        }
    }

    /// A byte that stands for one of a few things.
    fn legal<T>(&mut self, from_byte: fn(u8) -> Option<T>) -> Result<T, Malformed> {
        from_byte(self.u8()?).ok_or(Malformed::Illegal { kind: self.kind })
    }

    fn u8(&mut self) -> Result<u8, Malformed> {
        self.reader.u8().ok_or(Malformed::Short { kind: self.kind })
    }

    fn u16(&mut self) -> Result<u16, Malformed> {
        self.reader.u16().ok_or(Malformed::Short { kind: self.kind })
    }

    fn u32(&mut self) -> Result<u32, Malformed> {
        self.reader.u32().ok_or(Malformed::Short { kind: self.kind })
    }

    fn varint_u16(&mut self) -> Result<u16, Malformed> {
        self.reader.varint_u16().ok_or(Malformed::Short { kind: self.kind })
    }

    fn varint_u32(&mut self) -> Result<u32, Malformed> {
        self.reader.varint_u32().ok_or(Malformed::Short { kind: self.kind })
    }

    fn varint_u64(&mut self) -> Result<u64, Malformed> {
        self.reader.varint_u64().ok_or(Malformed::Short { kind: self.kind })
    }
}

impl Mode {
    /// The mode of a byte, or `None`.
    #[must_use]
    pub const fn from_byte(byte: u8) -> Option<Mode> {
        Some(match byte {
            0 => Mode::Quiet,
            1 => Mode::Counts,
            2 => Mode::SpikeBandPower,
            3 => Mode::BandPower,
            4 => Mode::Crossings,
            5 => Mode::Snippets,
            _ => return None,
        })
    }
}

impl Reason {
    /// The reason of a byte, or `None`.
    #[must_use]
    pub const fn from_byte(byte: u8) -> Option<Reason> {
        Some(match byte {
            0 => Reason::Asked,
            1 => Reason::Budget,
            2 => Reason::Recovered,
            3 => Reason::Battery,
            _ => return None,
        })
    }
}

impl Status {
    /// The status of a byte, or `None`.
    #[must_use]
    pub const fn from_byte(byte: u8) -> Option<Status> {
        Some(match byte {
            0 => Status::Done,
            1 => Status::Unknown,
            2 => Status::Range,
            3 => Status::Busy,
            _ => return None,
        })
    }
}

/// Bytes of a length at most.
const LENGTH_BYTES_MAX: usize = 2;
