//! A device by script: it does what the wire's README says and no more, and its counts are known in advance.

use crate::wire::codec::{counts, rates};
use crate::wire::session::{Access, Device as Answering, Endpoint, Received};
use crate::wire::{
    Ack, Command, Counts, Format, Hello, Mode, Operation, Pong, Power, Raw, Reason, Record, RecordWriter,
    Records, Report, Status, Table, Telemetry,
};

/// What a channel counts in a bin: anybody can tell, who knows when the bin began by the device's clock.
pub(crate) fn count(boot: u32, device_sample: u64, channel: usize) -> u16 {
    let mut mixed = device_sample ^ u64::from(boot) << 40 ^ (channel as u64) << 20;
    mixed = (mixed ^ mixed >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
    let value = (mixed >> 40) % 64;
    if value < 8 { value as u16 } else { 0 }
}

pub(crate) const N_CHANNELS: usize = 100;
pub(crate) const RATE_HZ: u64 = 20_000;

pub(crate) struct Scripted {
    endpoint: Endpoint<Answering>,
    access: Access,
    pub(crate) boot: u32,
    n_answers: u8,
    /// Host time of sample 0, and how much faster the clock runs.
    pub(crate) booted_ns: i64,
    pub(crate) ppm: f64,
    pub(crate) format: Format,
    next_bin: u32,
    pub(crate) is_running: bool,
    pub(crate) n_channels: usize,
    /// Channels of a datagram.
    pub(crate) part: usize,
    /// Bins of a datagram.
    pub(crate) n_bins: u32,
    pub(crate) mode: Mode,
    pub(crate) mtu: usize,
    /// Datagrams of the present session, and of all sessions that are over.
    pub(crate) sent: u32,
    pub(crate) bins_dropped: u32,
    /// Bins to be given up before they are sent.
    pub(crate) to_drop: u32,
    said_ns: u64,
    is_format_due: bool,
    /// The version that is being told, and the one that counts are coded with.
    pub(crate) telling: u8,
    pub(crate) table: u8,
    tells_ns: u64,
    pub(crate) commands: Vec<String>,
    pub(crate) reports: Vec<Report>,
    out: Vec<Vec<u8>>,
    pub(crate) rejected: u32,
    /// It neither hears nor says anything.
    pub(crate) is_mute: bool,
}

impl Scripted {
    pub(crate) fn new(access: Access, now_ns: u64) -> Self {
        Scripted {
            endpoint: Endpoint::device(access.clone()),
            access,
            boot: 7000,
            n_answers: 0,
            booted_ns: now_ns as i64 - 3_000_000_000,
            ppm: 0.0,
            format: Format {
                epoch: 0,
                mode: Mode::Quiet,
                origin_sample: 0,
                bin_samples: 400,
                asked_bin_samples: 400,
                count_max: 65_534,
                level_min: 0,
                n_left_out: 0,
                budget_bps: 0,
                reason: Reason::Asked,
            },
            next_bin: 0,
            is_running: false,
            n_channels: N_CHANNELS,
            part: 60,
            n_bins: 1,
            mode: Mode::Counts,
            mtu: 512,
            sent: 0,
            bins_dropped: 0,
            to_drop: 0,
            said_ns: 0,
            is_format_due: false,
            telling: 0,
            table: 0,
            tells_ns: 0,
            commands: Vec::new(),
            reports: Vec::new(),
            out: Vec::new(),
            rejected: 0,
            is_mute: false,
        }
    }

    /// Starts anew: a new clock, no session, no table.
    pub(crate) fn reboot(&mut self, now_ns: u64) {
        let (boot, ppm, mode, part) = (self.boot + 1, self.ppm, self.mode, self.part);
        let (mtu, commands) = (self.mtu, std::mem::take(&mut self.commands));
        let fresh = Scripted::new(self.access.clone(), now_ns);
        let booted_ns = now_ns as i64;
        *self = Scripted { boot, booted_ns, ppm, mode, part, mtu, commands, ..fresh };
        self.n_answers = 100 + boot as u8;
    }

    pub(crate) fn sample(&self, now_ns: u64) -> u64 {
        let ns = (now_ns as i64 - self.booted_ns).max(0) as f64 * (1.0 + self.ppm * 1e-6);
        (ns * RATE_HZ as f64 / 1e9) as u64
    }

    /// The level of a channel in a version of the table.
    fn level(version: u8, channel: usize) -> u8 {
        14 + ((channel + usize::from(version)) % 7) as u8
    }

    /// Channels that are sent at present.
    pub(crate) fn is_sent(&self, channel: usize) -> bool {
        self.table == 0 || Scripted::level(self.table, channel) >= self.format.level_min
    }

    /// From the next bin edge on, another format.
    pub(crate) fn change(&mut self, change: impl FnOnce(&mut Format)) {
        let Format { origin_sample, bin_samples, epoch, .. } = self.format;
        self.format.origin_sample = origin_sample + u64::from(self.next_bin) * u64::from(bin_samples);
        self.format.epoch = epoch.wrapping_add(1);
        self.next_bin = 0;
        change(&mut self.format);
        self.is_format_due = true;
    }

    pub(crate) fn receive(&mut self, now_ns: u64, packet: &[u8]) {
        if self.is_mute {
            return;
        }
        let records = match self.endpoint.receive(packet) {
            Ok(Received::Hello) => {
                self.n_answers = self.n_answers.wrapping_add(1);
                let mut bytes = [0; 218];
                let mut records = RecordWriter::new(&mut bytes);
                records.push(&Record::Hello(self.hello())).expect("room");
                records.push(&Record::Format(self.format)).expect("room");
                self.endpoint.answer([self.n_answers; 32], records.written()).expect("asked");
                self.flush();
                return;
            }
            Ok(Received::Nothing) => {
                self.flush();
                return;
            }
            Ok(Received::Session(records)) => {
                self.sent = 0;
                records.to_vec()
            }
            Ok(Received::Records(records)) => records.to_vec(),
            Ok(Received::Earlier(_)) | Err(_) => {
                self.rejected += 1;
                return;
            }
        };
        for record in Records::new(&records) {
            self.record(now_ns, record.expect("the host writes legal records"));
        }
    }

    fn hello(&self) -> Hello<'static> {
        Hello {
            boot: self.boot,
            firmware: 0x0102,
            n_electrodes: self.n_channels as u32,
            sample_rate_millihertz: RATE_HZ as u32 * 1000,
            bits: 10,
            nv_per_count: 0,
            modes: 0b1111,
            mtu_max: 512,
            n_raw_max: 4,
            synthetic: true,
            name: "scripted",
            profile: "test",
        }
    }

    fn record(&mut self, now_ns: u64, record: Record<'_>) {
        match record {
            Record::Command(Command { id, operation }) => {
                self.commands.push(format!("{operation:?}"));
                let mut status = Status::Done;
                match operation {
                    Operation::Start if !self.is_running => {
                        self.is_running = true;
                        let origin = self.sample(now_ns);
                        let mode = self.mode;
                        self.change(|format| (format.origin_sample, format.mode) = (origin, mode));
                    }
                    Operation::Stop => self.is_running = false,
                    Operation::SetBinWidth(width) if width != self.format.bin_samples => {
                        self.change(|format| (format.bin_samples, format.asked_bin_samples) = (width, width));
                    }
                    Operation::SetMtu(mtu) => self.mtu = usize::from(mtu),
                    Operation::RequestKey => (self.is_format_due, self.tells_ns) = (true, 0),
                    Operation::SetThreshold(_) => status = Status::Range,
                    _ => {}
                }
                self.say(&[Record::Ack(Ack { id, status, value: 0 })]);
            }
            Record::Ping(id) => {
                let ns = (now_ns as i64 - self.booted_ns).max(0) as f64 * (1.0 + self.ppm * 1e-6);
                let samples = ns * RATE_HZ as f64 / 1e9;
                self.say(&[Record::Pong(Pong {
                    id,
                    received_sample: samples as u64,
                    received_fraction: (samples.fract() * 65_536.0) as u16,
                    held_us: 0,
                })]);
            }
            Record::Report(report) => {
                self.reports.push(report);
                if report.table == self.telling {
                    self.table = self.telling;
                }
            }
            Record::Bye => self.is_running = false,
            record => panic!("a host says {record:?}"),
        }
    }

    /// Whatever is due.
    pub(crate) fn step(&mut self, now_ns: u64) {
        if self.is_mute {
            return;
        }
        // Nobody is there to hear: bins are given up.
        let is_alone = self.endpoint.tally().is_none();
        if is_alone && !self.is_running {
            return;
        }
        if now_ns - self.said_ns >= 1_000_000_000 || self.is_format_due {
            if now_ns - self.said_ns >= 1_000_000_000 {
                self.said_ns = now_ns;
                let telemetry = Telemetry {
                    sample: self.sample(now_ns),
                    datagrams_sent: self.sent + 1,
                    bins_dropped: self.bins_dropped,
                    ..Telemetry::default()
                };
                self.say(&[
                    Record::Hello(self.hello()),
                    Record::Format(self.format),
                    Record::Telemetry(telemetry),
                ]);
            } else {
                self.say(&[Record::Format(self.format)]);
            }
            self.is_format_due = false;
        }
        if self.telling != self.table && now_ns - self.tells_ns >= 300_000_000 {
            self.tells_ns = now_ns;
            self.tell(self.telling);
        }
        if !self.is_running {
            return;
        }
        let width = u64::from(self.format.bin_samples);
        let end =
            |device: &Scripted, n: u32| device.format.origin_sample + u64::from(device.next_bin + n) * width;
        while end(self, self.n_bins) <= self.sample(now_ns) {
            if self.to_drop > 0 || is_alone {
                self.to_drop -= self.n_bins.min(self.to_drop);
                self.bins_dropped += self.n_bins;
            } else {
                for first in (0..self.n_channels).step_by(self.part) {
                    self.send_part(first, self.part.min(self.n_channels - first));
                }
            }
            self.next_bin += self.n_bins;
        }
    }

    fn tell(&mut self, version: u8) {
        for first in (0..self.n_channels).step_by(50) {
            let n = 50.min(self.n_channels - first);
            let levels: Vec<u8> =
                (first..first + n).map(|channel| Scripted::level(version, channel)).collect();
            let mut coded = [0; 200];
            let length = rates::encode_table(&levels, None, &mut coded).expect("room");
            self.say(&[Record::Table(Table {
                version,
                first_channel: first as u32,
                n_channels: n as u16,
                n_total: self.n_channels as u32,
                coded: &coded[..length],
            })]);
        }
    }

    fn send_part(&mut self, first: usize, n: usize) {
        let start =
            |bin: u32| self.format.origin_sample + u64::from(bin) * u64::from(self.format.bin_samples);
        if self.format.mode != Mode::Counts {
            let levels: Vec<u8> = (first..first + n)
                .map(|channel| count(self.boot, start(self.next_bin), channel) as u8)
                .collect();
            let power = Power {
                epoch: self.format.epoch,
                bin: self.next_bin,
                first_channel: first as u32,
                levels: &levels,
            };
            return self.say(&[Record::Power(power)]);
        }
        let sent: Vec<usize> = (first..first + n).filter(|channel| self.is_sent(*channel)).collect();
        let bins = self.next_bin..self.next_bin + self.n_bins;
        let values: Vec<u16> = bins
            .flat_map(|bin| sent.iter().map(move |&channel| (bin, channel)))
            .map(|(bin, channel)| count(self.boot, start(bin), channel))
            .collect();
        let levels: Vec<u8> = sent.iter().map(|&channel| Scripted::level(self.table, channel)).collect();
        let shift = rates::shift_of_width(self.format.bin_samples, self.format.asked_bin_samples);
        let known =
            if self.table == 0 { counts::Levels::Flat } else { counts::Levels::Wider(&levels, shift) };
        let mut coded = [0; 480];
        let length = counts::encode(&values, known, &mut coded).expect("room");
        self.say(&[Record::Counts(Counts {
            epoch: self.format.epoch,
            bin: self.next_bin,
            first_channel: first as u32,
            n_channels: n as u16,
            n_bins: self.n_bins as u8,
            table: self.table,
            coded: &coded[..length],
        })]);
    }

    /// Forgets the session without a word.
    pub(crate) fn hang_up(&mut self) {
        self.endpoint.end();
    }

    /// Samples of an electrode, whatever they are.
    pub(crate) fn send_raw(&mut self, electrode: u32) {
        self.say(&[Record::Raw(Raw { electrode, first_sample: 5, coded: &[1, 2, 3] })]);
    }

    /// Says records in a datagram of their own.
    pub(crate) fn say(&mut self, records: &[Record<'_>]) {
        let mut bytes = [0; 511];
        let mut writer = RecordWriter::new(&mut bytes);
        records.iter().for_each(|record| writer.push(record).expect("room"));
        if self.endpoint.seal(writer.written()).is_ok() {
            self.sent += 1;
            self.flush();
        }
    }

    fn flush(&mut self) {
        let mut packet = [0; 512];
        while let Some(length) = self.endpoint.poll_packet(self.mtu, &mut packet) {
            self.out.push(packet[..length].to_vec());
        }
    }

    pub(crate) fn take_packets(&mut self) -> Vec<Vec<u8>> {
        std::mem::take(&mut self.out)
    }
}
