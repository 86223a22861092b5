//! What the two ends say to each other: one value per record, its bytes borrowed from the datagram.
//!
//! In: the opened bytes of a datagram. Out: [`Record`]s, and back. Guarantees: unknown types and longer bodies are
//! skipped, short ones are an error, nothing is copied.

mod bytes;
mod decode;
mod encode;
#[cfg(test)]
pub(crate) mod tests;

pub use decode::{Malformed, Records};
pub use encode::{Full, PushError, RecordWriter};

/// One thing said. Sample numbers count frames of the device's own clock since its start ([`Hello::boot`]).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Record<'a> {
    /// Device: what it is and can do.
    Hello(Hello<'a>),
    /// Device: what the data records of an epoch mean; repeated at least once a second.
    Format(Format),
    /// Device: counts of consecutive channels in one or several bins.
    Counts(Counts<'a>),
    /// Device: threshold crossings with their times.
    Crossings(Crossings<'a>),
    /// Device: samples of one electrode.
    Raw(Raw<'a>),
    /// Device: spike-band or field-band power of consecutive channels in one bin.
    Power(Power<'a>),
    /// Device: samples round one crossing.
    Snippet(Snippet<'a>),
    /// Device: how it is.
    Telemetry(Telemetry),
    /// Device: impedances of consecutive electrodes.
    Impedance(Impedance<'a>),
    /// Device: what became of a command.
    Ack(Ack),
    /// Device: rate levels of consecutive channels, which counts are coded with.
    Table(Table<'a>),
    /// Device: answer to [`Record::Ping`].
    Pong(Pong),
    /// Host: do this.
    Command(Command<'a>),
    /// Host: what has arrived, at least twice a second.
    Report(Report),
    /// Host: what does your clock say? The number comes back.
    Ping(u32),
    /// Either: the session is over.
    Bye,
}

/// What a device is and can do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hello<'a> {
    /// Differs from start to start.
    pub boot: u32,
    /// Version of the firmware, major and minor in a byte each.
    pub firmware: u16,
    /// Electrodes, one channel each.
    pub n_electrodes: u32,
    /// Frames a second, times 1,000.
    pub sample_rate_millihertz: u32,
    /// Bits of a sample.
    pub bits: u8,
    /// Nanovolt of one count of a sample; 0 where nobody says.
    pub nv_per_count: u32,
    /// Set of [`Mode`]s, bit `mode as u8`.
    pub modes: u16,
    /// Largest packet that it sends, bytes.
    pub mtu_max: u16,
    /// Electrodes that it can send raw at a time.
    pub n_raw_max: u16,
    /// Made by a simulator; everything decoded from it says so.
    pub synthetic: bool,
    /// The device's own name, UTF-8, at most [`NAME_MAX`] bytes.
    pub name: &'a str,
    /// The profile that it follows, at most [`NAME_MAX`] bytes.
    pub profile: &'a str,
}

/// What a device sends of each channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Mode {
    /// Nothing but telemetry and the electrodes chosen raw.
    Quiet = 0,
    /// Crossings counted in bins.
    Counts = 1,
    /// Mean square in the spike band, a bin.
    SpikeBandPower = 2,
    /// Mean square in the field band that the firmware was built with, a bin.
    BandPower = 3,
    /// Crossings one by one.
    Crossings = 4,
    /// Crossings one by one, each with the samples round it.
    Snippets = 5,
}

/// What the data records of an epoch mean, and what was given up for the budget.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Format {
    /// Number of the epoch; wraps.
    pub epoch: u8,
    /// What is sent.
    pub mode: Mode,
    /// First sample of bin 0.
    pub origin_sample: u64,
    /// Bin width, samples.
    pub bin_samples: u32,
    /// Bin width that was asked for, samples.
    pub asked_bin_samples: u32,
    /// Higher counts are sent as this; 65,534 where nothing is cut off.
    pub count_max: u16,
    /// Channels whose rate level is lower are not sent; 0 where all are.
    pub level_min: u8,
    /// Channels that are not sent for it.
    pub n_left_out: u32,
    /// What the device may send, bits a second; 0 for no limit.
    pub budget_bps: u32,
    /// Why the format is as it is.
    pub reason: Reason,
}

/// Why a format was chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Reason {
    /// As asked.
    Asked = 0,
    /// The budget doesn't carry what was asked.
    Budget = 1,
    /// The budget carries more again.
    Recovered = 2,
    /// The battery is low.
    Battery = 3,
}

/// Counts of `n_channels` channels from `first_channel` on in `n_bins` bins from `bin` on, bin by bin; those that
/// [`Format::level_min`] leaves out are counted but not coded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Counts<'a> {
    /// Of which epoch.
    pub epoch: u8,
    /// First bin.
    pub bin: u32,
    /// First channel.
    pub first_channel: u32,
    /// Channels.
    pub n_channels: u16,
    /// Bins.
    pub n_bins: u8,
    /// Version of the rate table that it was coded with; 0 is the flat one that needs no table.
    pub table: u8,
    /// See `codec::counts`.
    pub coded: &'a [u8],
}

/// Crossings of all channels within `span_samples`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Crossings<'a> {
    /// Of which epoch.
    pub epoch: u8,
    /// First sample of the span.
    pub first_sample: u64,
    /// Length of the span, samples.
    pub span_samples: u16,
    /// First channel of the part.
    pub first_channel: u32,
    /// Channels of the part; the others come in records of their own.
    pub n_channels: u32,
    /// See `codec::crossings`.
    pub coded: &'a [u8],
}

/// Samples of one electrode.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Raw<'a> {
    /// Which.
    pub electrode: u32,
    /// First sample.
    pub first_sample: u64,
    /// See `codec::raw`.
    pub coded: &'a [u8],
}

/// Power of consecutive channels in one bin, a byte each: `8 · log2` of the mean square in counts².
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Power<'a> {
    /// Of which epoch.
    pub epoch: u8,
    /// Which bin.
    pub bin: u32,
    /// First channel.
    pub first_channel: u32,
    /// A byte a channel.
    pub levels: &'a [u8],
}

/// Samples round one crossing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Snippet<'a> {
    /// Of which epoch.
    pub epoch: u8,
    /// Where.
    pub electrode: u32,
    /// The crossing's sample.
    pub sample: u64,
    /// Samples before the crossing.
    pub n_before: u8,
    /// Filtered samples, i16 each.
    pub samples: &'a [u8],
}

/// How a device is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Telemetry {
    /// The device's clock when this was written.
    pub sample: u64,
    /// Battery, mV and percent.
    pub battery_mv: u16,
    /// Charge left, percent.
    pub battery_percent: u8,
    /// Of the device's skin, hundredths of a degree Celsius.
    pub temperature_centi: i16,
    /// Datagrams handed to the radio in this session, this one included: sent = received + lost + dropped.
    pub datagrams_sent: u32,
    /// Bins (or spans) that the device gave up before they were sent, since its start.
    pub bins_dropped: u32,
    /// Commands refused, since its start.
    pub commands_refused: u16,
    /// Datagrams of the host that did not open: forged, replayed, damaged; since its start.
    pub datagrams_rejected: u32,
}

/// Impedances at 1 kHz.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Impedance<'a> {
    /// The first electrode.
    pub first_electrode: u32,
    /// u16 each, tenths of a kiloohm; 65,535 is open.
    pub values: &'a [u8],
}

/// What became of a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ack {
    /// Which.
    pub id: u16,
    /// What became of it.
    pub status: Status,
    /// The nearest legal value, or the value taken.
    pub value: u32,
}

/// What became of a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Status {
    /// Done, or done before.
    Done = 0,
    /// The device doesn't know this operation.
    Unknown = 1,
    /// A value outside what is legal.
    Range = 2,
    /// Not now.
    Busy = 3,
}

/// Rate levels of consecutive channels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Table<'a> {
    /// Version that these levels belong to, never 0.
    pub version: u8,
    /// First channel.
    pub first_channel: u32,
    /// Channels.
    pub n_channels: u16,
    /// Channels of the whole table.
    pub n_total: u32,
    /// See `codec::table`.
    pub coded: &'a [u8],
}

/// The device's clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pong {
    /// Of which ping.
    pub id: u32,
    /// The device's clock when the ping came, sample and its fraction in 1/65,536.
    pub received_sample: u64,
    /// Fraction.
    pub received_fraction: u16,
    /// From then until this was handed to the radio, µs.
    pub held_us: u32,
}

/// Something to do. The same id twice is done once and acknowledged twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Command<'a> {
    /// Comes back in [`Ack`].
    pub id: u16,
    /// What to do.
    pub operation: Operation<'a>,
}

/// What to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation<'a> {
    /// Send data.
    Start,
    /// Send no data.
    Stop,
    /// Send this of each channel.
    SetMode(Mode),
    /// Bin width, samples.
    SetBinWidth(u32),
    /// Threshold as a multiple of each channel's noise, in 1/256; 0 stands for the firmware's own.
    SetThreshold(u16),
    /// Thresholds of consecutive channels in counts, i16 each.
    SetThresholds {
        /// The first.
        first_channel: u32,
        /// i16 each, at most [`THRESHOLDS_MAX`].
        values: &'a [u8],
    },
    /// Electrodes to send raw, u32 each; none ends it.
    SelectRaw(&'a [u8]),
    /// What may be sent, bits a second; 0 for no limit.
    SetBudget(u32),
    /// Largest packet, bytes.
    SetMtu(u16),
    /// Format, whole table, raw key frames: now.
    RequestKey,
    /// Measure and send these.
    RequestImpedance {
        /// The first.
        first_electrode: u32,
        /// How many.
        n_electrodes: u16,
    },
}

/// What has arrived.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// One past the highest sequence number that came.
    pub next_sequence: u32,
    /// Datagrams that opened, in this session.
    pub received: u32,
    /// Throughput measured over the last second, bits a second, headers included.
    pub throughput_bps: u32,
    /// The rate table that is complete here; 0 for none.
    pub table: u8,
    /// The epoch whose format is known here.
    pub epoch: u8,
}

/// Bytes of a name at most.
pub const NAME_MAX: usize = 32;
/// Thresholds in one command at most.
pub const THRESHOLDS_MAX: usize = 200;
/// Bytes of a record's body at most: what two bytes of length can say.
pub const BODY_MAX: usize = 16_383;

/// Type bytes of the records; the device's below 64, the host's from 64 on.
pub(crate) mod kind {
    pub(crate) const HELLO: u8 = 1;
    pub(crate) const FORMAT: u8 = 2;
    pub(crate) const COUNTS: u8 = 3;
    pub(crate) const CROSSINGS: u8 = 4;
    pub(crate) const RAW: u8 = 5;
    pub(crate) const POWER: u8 = 6;
    pub(crate) const SNIPPET: u8 = 7;
    pub(crate) const TELEMETRY: u8 = 8;
    pub(crate) const IMPEDANCE: u8 = 9;
    pub(crate) const ACK: u8 = 10;
    pub(crate) const TABLE: u8 = 11;
    pub(crate) const PONG: u8 = 12;
    pub(crate) const COMMAND: u8 = 64;
    pub(crate) const REPORT: u8 = 65;
    pub(crate) const PING: u8 = 66;
    pub(crate) const BYE: u8 = 127;
}

/// Operation bytes of a command.
pub(crate) mod operation {
    pub(crate) const START: u8 = 1;
    pub(crate) const STOP: u8 = 2;
    pub(crate) const SET_MODE: u8 = 3;
    pub(crate) const SET_BIN_WIDTH: u8 = 4;
    pub(crate) const SET_THRESHOLD: u8 = 5;
    pub(crate) const SET_THRESHOLDS: u8 = 6;
    pub(crate) const SELECT_RAW: u8 = 7;
    pub(crate) const SET_BUDGET: u8 = 8;
    pub(crate) const SET_MTU: u8 = 9;
    pub(crate) const REQUEST_KEY: u8 = 10;
    pub(crate) const REQUEST_IMPEDANCE: u8 = 11;
}
