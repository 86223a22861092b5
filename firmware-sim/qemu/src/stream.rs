//! A seeded stream through the firmware, the same on the microcontroller and on a desk.
//!
//! In: a clock of instructions, which a desk doesn't have. Out: lines. Those that begin with `bytes` and `sha256` are
//! the same wherever this runs; `cost` lines are only printed where the clock runs.

use core::fmt::Write;
use efference_firmware::link::{Abilities, Identity, LinkEnd, LinkMemory, Now, SLOT, Tables};
use efference_firmware::signal::{
    ChannelState, Crossing, FieldState, FrontEnd, History, Memory, SNIPPET_BEFORE, Settings, Snippet,
};
use efference_firmware::{Implant, RawChannel};
use efference_wire::codec::rates::Rate;
use efference_wire::codec::{counts, raw};
use efference_wire::session::{Access, Device, Endpoint, Host, Key, Received, records_max};
use efference_wire::{Command, Counts, Mode, Operation, Power, Raw, Record, RecordWriter, Records, Report};
use sha2::{Digest, Sha256};

/// Runs all of it.
pub fn run(out: &mut impl Write, mut instructions: impl FnMut() -> u64) {
    let mut tally = Tally { out, instructions: &mut instructions };
    state(&mut tally);
    for mode in [Mode::Counts, Mode::SpikeBandPower, Mode::BandPower, Mode::Crossings, Mode::Snippets] {
        for access in [Access::Plain, Access::Paired(Key::from_bytes([7; 32]))] {
            one(&mut tally, mode, access);
        }
    }
    raw_samples(&mut tally);
    for mode in [Mode::Counts, Mode::SpikeBandPower, Mode::Crossings, Mode::Snippets] {
        implant(&mut tally, mode);
    }
}

/// Where lines go and what instructions are counted by.
struct Tally<'a, W> {
    out: &'a mut W,
    instructions: &'a mut dyn FnMut() -> u64,
}

impl<W: Write> Tally<'_, W> {
    /// What `work` took.
    fn measure(&mut self, sum: &mut u64, work: impl FnOnce()) {
        let begin = (self.instructions)();
        work();
        *sum += (self.instructions)().wrapping_sub(begin);
    }

    /// A line of instructions per unit, to a tenth; none without a clock.
    fn cost(&mut self, what: &str, mode: Mode, sum: u64, n_units: u64) {
        if sum > 0 {
            let tenths = sum * 10 / n_units.max(1);
            self.line(format_args!("cost {what} {mode:?} {}.{}", tenths / 10, tenths % 10));
        }
    }

    fn line(&mut self, text: core::fmt::Arguments<'_>) {
        // Neither console can fail in a way that could be told.
        let _ = writeln!(self.out, "{text}");
    }
}

fn state<W: Write>(tally: &mut Tally<'_, W>) {
    let (spikes, field, history) = (size_of::<ChannelState>(), size_of::<FieldState>(), size_of::<History>());
    tally.line(format_args!("bytes spikes_per_channel {}", spikes + size_of::<u16>()));
    tally.line(format_args!("bytes power_per_channel {}", size_of::<u64>()));
    tally.line(format_args!("bytes field_per_channel {field}"));
    tally.line(format_args!("bytes snippets_per_channel {history}"));
    tally.line(format_args!("bytes rate_per_channel {}", size_of::<Rate>() + 2));
}

/// One mode, by one access.
fn one<W: Write>(tally: &mut Tally<'_, W>, mode: Mode, access: Access) {
    let room = records_max(MTU, &access);
    let name = if matches!(access, Access::Plain) { "plain" } else { "sealed" };
    let mut memory = Room::new();
    let Ok(mut front_end) = FrontEnd::new(SETTINGS, memory.memory()) else { return };
    let mut radio = Radio::new(access);
    let (mut signal, mut samples) = (Signal::new(1), [[0; N_CHANNELS]; BLOCK]);
    let (mut processing, mut coding, mut sealing, mut n_records) = (0, 0, 0, 0);
    // Noise is learnt before anything is taken.
    for _ in 0..LEARNT {
        front_end.process_frame(&signal.frame());
    }
    front_end.set_mode(mode);
    for bin in 0..N_BINS {
        for _ in 0..BIN / BLOCK {
            samples.iter_mut().for_each(|frame| *frame = signal.frame());
            tally
                .measure(&mut processing, || samples.iter().for_each(|frame| front_end.process_frame(frame)));
        }
        let (mut bytes, mut n_bytes) = ([0; 512], 0);
        let mut at = 0;
        loop {
            tally.measure(&mut coding, || (n_bytes, at) = write(&front_end, bin, at, &mut bytes[..room]));
            if n_bytes == 0 {
                break;
            }
            n_records += 1;
            let mut packet = [0; MTU];
            let mut n_sent = 0;
            tally.measure(&mut sealing, || n_sent = radio.send(&bytes[..n_bytes], &mut packet));
            radio.enter(&packet[..n_sent]);
        }
        front_end.next_bin();
    }
    let n_units = (N_BINS as usize * BIN * N_CHANNELS) as u64;
    let (n_packets, n_bytes, hash) = radio.finish();
    tally.line(format_args!("sha256 {mode:?} {name} {n_packets} packets {n_bytes} bytes {}", Hex(&hash)));
    if name == "plain" {
        tally.cost("frame.per_channel", mode, processing, n_units);
        tally.cost("records.per_channel_bin", mode, coding, n_units / BIN as u64);
    }
    let what = if name == "plain" { "plain.per_datagram" } else { "sealed.per_datagram" };
    tally.cost(what, mode, sealing, n_records);
}

/// The records of a bin from entry `at` on, as many as there is room for: bytes, and the entry after them. Nothing at the
/// end.
fn write(front_end: &FrontEnd<'_>, bin: u32, at: usize, bytes: &mut [u8]) -> (usize, usize) {
    let mut writer = RecordWriter::new(bytes);
    let mut next = at;
    match front_end.mode() {
        Mode::Counts if at == 0 => {
            let head = Counts {
                epoch: 1,
                bin,
                first_channel: 0,
                n_channels: N_CHANNELS as u16,
                n_bins: 1,
                table: 0,
                coded: &[],
            };
            let coded = writer.push_with(&Record::Counts(head), |room| {
                counts::encode(front_end.counts(), counts::Levels::Flat, room)
            });
            next = if coded.is_ok() { N_CHANNELS } else { at };
        }
        Mode::SpikeBandPower | Mode::BandPower if at == 0 => {
            let mut levels = [0; N_CHANNELS];
            for (channel, level) in levels.iter_mut().enumerate() {
                *level = front_end.power(channel);
            }
            let power = Power { epoch: 1, bin, first_channel: 0, levels: &levels };
            next = if writer.push(&Record::Power(power)).is_ok() { N_CHANNELS } else { at };
        }
        Mode::Crossings => {
            // Their codec has its own tests; here they go as three bytes each.
            let mut coded = [0; 3 * CROSSINGS_A_RECORD];
            let rest = front_end.crossings().get(at..).unwrap_or(&[]);
            for (bytes, crossing) in coded.chunks_exact_mut(3).zip(rest) {
                let [low, high, ..] = crossing.offset.to_le_bytes();
                bytes.copy_from_slice(&[crossing.channel as u8, low, high]);
            }
            let n = rest.len().min(CROSSINGS_A_RECORD);
            let crossings = efference_wire::Crossings {
                epoch: 1,
                first_sample: front_end.span(),
                span_samples: BIN as u16,
                first_channel: 0,
                n_channels: N_CHANNELS as u32,
                coded: &coded[..3 * n],
            };
            if n > 0 && writer.push(&Record::Crossings(crossings)).is_ok() {
                next = at + n;
            }
        }
        Mode::Snippets => {
            while let Some(snippet) = front_end.snippets().get(next) {
                let mut samples = [0; 2 * efference_firmware::signal::SNIPPET_SAMPLES];
                for (bytes, sample) in samples.chunks_exact_mut(2).zip(snippet.samples) {
                    bytes.copy_from_slice(&sample.to_le_bytes());
                }
                let record = Record::Snippet(efference_wire::Snippet {
                    epoch: 1,
                    electrode: snippet.channel,
                    sample: snippet.sample,
                    n_before: SNIPPET_BEFORE as u8,
                    samples: &samples,
                });
                if writer.push(&record).is_err() {
                    break;
                }
                next += 1;
            }
        }
        _ => {}
    }
    (writer.len(), next)
}

/// One channel raw, losslessly.
fn raw_samples<W: Write>(tally: &mut Tally<'_, W>) {
    let mut encoder = raw::Encoder::new(raw::Converter::Uniform { bits: 12 }, BIN as u16);
    let (mut signal, mut hash) = (Signal::new(2), Sha256::new());
    let (mut cost, mut n_bytes) = (0, 0);
    for bin in 0..N_BINS {
        let mut samples = [0; BIN];
        samples.iter_mut().for_each(|sample| *sample = signal.frame()[0]);
        let mut bytes = [0; raw::bound_bytes(BIN, 12)];
        let mut n = 0;
        tally.measure(&mut cost, || n = encoder.encode(&samples, bin % 50 == 0, &mut bytes).unwrap_or(0));
        let raw = Raw { electrode: 0, first_sample: u64::from(bin) * BIN as u64, coded: &bytes[..n] };
        let mut record = [0; 512];
        let mut writer = RecordWriter::new(&mut record);
        if writer.push(&Record::Raw(raw)).is_ok() {
            hash.update(writer.written());
            n_bytes += writer.len();
        }
    }
    tally.line(format_args!("bytes raw_per_channel {}", size_of::<raw::Encoder>()));
    tally.line(format_args!("sha256 Raw codec {N_BINS} records {n_bytes} bytes {}", Hex(&hash.finalize())));
    tally.cost("raw.per_sample", Mode::Quiet, cost, u64::from(N_BINS) * BIN as u64);
}

/// The whole implant, from electrodes to packets, with a host that asks for a mode, raw samples of two electrodes and a
/// budget, and has every table.
fn implant<W: Write>(tally: &mut Tally<'_, W>, mode: Mode) {
    let mut memory = Room::new();
    let Ok(front) = FrontEnd::new(SETTINGS, memory.memory()) else { return };
    let abilities = Abilities {
        n_electrodes: N_CHANNELS as u32,
        sample_rate_millihertz: 20_000_000,
        modes: front.modes(),
        mtu_max: MTU as u16,
    };
    let identity =
        Identity { boot: 1, bits: 12, nv_per_count: 0, synthetic: true, name: "board", profile: "test" };
    let (mut rates, mut used, mut next) = ([Rate::default(); N_CHANNELS], [0; N_CHANNELS], [0; N_CHANNELS]);
    let (mut totals, mut outbox) = ([0; N_CHANNELS], [0; 16 * SLOT]);
    let memory = LinkMemory {
        totals: &mut totals,
        tables: Tables::new(&mut rates, &mut used, &mut next),
        outbox: &mut outbox,
        impedances: &mut [],
    };
    let key = Key::from_bytes([7; 32]);
    let link = LinkEnd::new(Access::Paired(key.clone()), identity, abilities, memory);
    let mut raw = [RawChannel::new(12); 2];
    let mut implant = Implant::new(front, link, &mut raw, 12, 20_000_000);
    let mut host: Endpoint<Host> = Endpoint::host(Access::Paired(key), 1);
    let (mut signal, mut hash, mut packet) = (Signal::new(3), Sha256::new(), [0; MTU]);
    let (mut n_packets, mut n_bytes, mut table, mut cost) = (0, 0, 0, 0);
    host.connect([1; 32]);
    for frame in 0..2 * 20_000_u64 {
        let now = Now { us: frame * 50, sample: frame, fraction: 0 };
        let samples = signal.frame();
        tally.measure(&mut cost, || implant.process_frame(now, &samples));
        if frame % 100 > 0 {
            continue;
        }
        let mut bytes = [0; 64];
        let mut records = RecordWriter::new(&mut bytes);
        let (id, n_reports) = ((frame / 100) as u16, frame / 10_000);
        let asked = match frame {
            200 => Some(Operation::SetMode(mode)),
            300 => Some(Operation::SelectRaw(&[3, 0, 0, 0, 9, 0, 0, 0])),
            400 => Some(Operation::SetBudget(300_000)),
            500 => Some(Operation::Start),
            _ => None,
        };
        if let Some(operation) = asked {
            let _ = records.push(&Record::Command(Command { id, operation }));
        } else if frame % 10_000 == 0 && n_reports > 0 {
            let _ = records.push(&Record::Report(Report { table, ..Report::default() }));
        }
        if !records.is_empty() {
            let _ = host.seal(records.written());
        }
        while let Some(n) = host.poll_packet(MTU, &mut packet) {
            implant.handle_packet(now, &packet[..n], || [2; 32]);
        }
        loop {
            let mut n = None;
            tally.measure(&mut cost, || n = implant.poll_packet(now, MTU, &mut packet));
            let Some(n) = n else { break };
            hash.update(&packet[..n]);
            (n_packets, n_bytes) = (n_packets + 1, n_bytes + n);
            if let Ok(Received::Records(records)) = host.receive(&packet[..n]) {
                for record in Records::new(records) {
                    if let Ok(Record::Table(part)) = record {
                        table = part.version;
                    }
                }
            }
        }
    }
    tally.line(format_args!(
        "sha256 Implant {mode:?} {n_packets} packets {n_bytes} bytes {}",
        Hex(&hash.finalize())
    ));
    tally.cost("implant.per_channel_frame", mode, cost, 2 * 20_000 * N_CHANNELS as u64);
}

/// A session of both ends with known randomness, and the hash of what the device sends in it.
struct Radio {
    device: Endpoint<Device>,
    hash: Sha256,
    n_packets: u32,
    n_bytes: u32,
}

impl Radio {
    fn new(access: Access) -> Self {
        let mut host: Endpoint<Host> = Endpoint::host(access.clone(), 1);
        let mut radio =
            Radio { device: Endpoint::device(access), hash: Sha256::new(), n_packets: 0, n_bytes: 0 };
        let mut packet = [0; MTU];
        host.connect([1; 32]);
        while let Some(n) = host.poll_packet(MTU, &mut packet) {
            if radio.device.receive(&packet[..n]) == Ok(Received::Hello) {
                let _ = radio.device.answer([2; 32], &[]);
            }
        }
        while let Some(n) = radio.device.poll_packet(MTU, &mut packet) {
            let _ = host.receive(&packet[..n]);
        }
        let mut bytes = [0; 8];
        let mut ping = RecordWriter::new(&mut bytes);
        let _ = ping.push(&Record::Ping(1));
        let _ = host.seal(ping.written());
        while let Some(n) = host.poll_packet(MTU, &mut packet) {
            let _ = radio.device.receive(&packet[..n]);
        }
        radio
    }

    /// The packet that carries the records; at this MTU a datagram is one.
    fn send(&mut self, records: &[u8], packet: &mut [u8; MTU]) -> usize {
        let _ = self.device.seal(records);
        self.device.poll_packet(MTU, packet).unwrap_or(0)
    }

    fn enter(&mut self, packet: &[u8]) {
        self.hash.update(packet);
        self.n_packets += 1;
        self.n_bytes += packet.len() as u32;
    }

    fn finish(self) -> (u32, u32, [u8; 32]) {
        (self.n_packets, self.n_bytes, self.hash.finalize().into())
    }
}

/// Noise of about 9 counts on every channel, a spike of up to 200 on each some ten times a second.
struct Signal {
    state: u32,
    since: [u8; N_CHANNELS],
}

impl Signal {
    fn new(seed: u32) -> Self {
        Signal { state: seed, since: [SPIKE.len() as u8; N_CHANNELS] }
    }

    fn frame(&mut self) -> [i16; N_CHANNELS] {
        let mut frame = [0; N_CHANNELS];
        for (channel, (sample, since)) in frame.iter_mut().zip(&mut self.since).enumerate() {
            // Marsaglia 2003, "Xorshift RNGs".
            self.state ^= self.state << 13;
            self.state ^= self.state >> 17;
            self.state ^= self.state << 5;
            let [a, b, c, d] = self.state.to_le_bytes().map(i32::from);
            let noise = (a + b + c + d - 510) / 16;
            if self.state >> 8 & 0x7FF == channel as u32 {
                *since = 0;
            }
            let spike = SPIKE.get(usize::from(*since)).map_or(0, |&height| i32::from(height));
            *since = since.saturating_add(1);
            *sample = (noise + spike * (4 + channel as i32 % 8) / 8) as i16;
        }
        frame
    }
}

/// The front end's memory.
struct Room {
    channels: [ChannelState; N_CHANNELS],
    counts: [u16; N_CHANNELS],
    powers: [u64; N_CHANNELS],
    fields: [FieldState; N_CHANNELS],
    histories: [History; N_CHANNELS],
    crossings: [Crossing; 2 * N_CHANNELS],
    snippets: [Snippet; N_CHANNELS],
}

impl Room {
    fn new() -> Self {
        Room {
            channels: [ChannelState::NEW; N_CHANNELS],
            counts: [0; N_CHANNELS],
            powers: [0; N_CHANNELS],
            fields: [FieldState::NEW; N_CHANNELS],
            histories: [History::EMPTY; N_CHANNELS],
            crossings: [Crossing { channel: 0, offset: 0 }; 2 * N_CHANNELS],
            snippets: [Snippet::EMPTY; N_CHANNELS],
        }
    }

    fn memory(&mut self) -> Memory<'_> {
        Memory {
            channels: &mut self.channels,
            counts: &mut self.counts,
            powers: &mut self.powers,
            fields: &mut self.fields,
            histories: &mut self.histories,
            crossings: &mut self.crossings,
            snippets: &mut self.snippets,
        }
    }
}

/// Bytes as digits.
struct Hex<'a>(&'a [u8]);

impl core::fmt::Display for Hex<'_> {
    fn fmt(&self, formatter: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        self.0.iter().try_for_each(|byte| write!(formatter, "{byte:02x}"))
    }
}

const SETTINGS: Settings = match Settings::of_rate(20_000_000) {
    Some(settings) => settings,
    None => panic!("20 kHz has numbers"),
};
const N_CHANNELS: usize = 32;
/// Frames that are made at once, so that making them isn't measured.
const BLOCK: usize = 20;
/// Frames of a bin: 20 ms.
const BIN: usize = 400;
/// Bins of each run: one second.
const N_BINS: u32 = 50;
/// Frames before that, in which the noise is learnt: 0.4 s.
const LEARNT: usize = 8_000;
const MTU: usize = 247;
const CROSSINGS_A_RECORD: usize = 64;
const SPIKE: [i16; 12] = [-60, -180, -200, -110, -30, 30, 60, 60, 45, 30, 15, 8];
