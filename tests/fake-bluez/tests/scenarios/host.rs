//! The host in a scenario: a source that is read, its values checked against what the electrodes crossed.
//!
//! In: an address, a key. Out: frames, reports. Guarantees that a scenario which waits in vain ends.

use efference::HostTime;
use efference::block::{Block, COUNT_UNKNOWN, Payload};
use efference::link::{Host, Settings, Wanted};
use efference::live::Clock;
use efference::sources::SampleSource;
use efference::sources::link::{LinkAddress, LinkReport, LinkSource, PACKET_MAX, Received, Transport};
use efference::wire::session::{Access, Key};
use fake_bluez::{ELECTRODES, crossings};
use std::sync::atomic::AtomicBool;
use std::time::Duration;
use tempfile::TempDir;

/// A device that is connected, and what it said.
pub(crate) struct Reader {
    source: LinkSource,
    clock: Clock,
    block: Block,
    /// Number and values of each frame.
    frames: Vec<(u64, Vec<u16>)>,
    _folder: TempDir,
}

impl Reader {
    /// Calls with the key of a number, and asks for bins of 5 ms.
    pub(crate) fn connect(address: &str, number: u8) -> Self {
        Reader::connect_with(address, number, BIN_MS as u32)
    }

    /// The same with bins of another width, which [`Reader::check`] doesn't know.
    pub(crate) fn connect_with(address: &str, number: u8, bin_ms: u32) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("a.key");
        write_key(&path, number);
        let word = if address.contains('?') { '&' } else { '?' };
        let address = format!("{address}{word}key={}", path.display());
        let address = LinkAddress::parse(&address, "--source").expect("a legal address");
        let wanted = Wanted { bin_width_us: bin_ms * 1_000, ..Wanted::default() };
        let source = LinkSource::connect(&address, wanted, None, &STOP, PATIENCE).expect("somebody answers");
        let block = source.new_block();
        let clock = source.clock().expect("a device has a clock");
        Reader { source, clock, block, frames: Vec::new(), _folder: folder }
    }

    /// Reads until `is_so`.
    pub(crate) fn until(&mut self, what: &str, mut is_so: impl FnMut(&mut Reader) -> bool) {
        let end = self.clock.now().after(PATIENCE.as_nanos() as u64);
        while !is_so(self) {
            assert!(self.clock.now() < end, "{what}: in vain; {:#?}", self.report());
            self.source.step().expect("no capture");
            while self.source.take(&mut self.block) {
                let Payload::Counts(counts) = &self.block.payload else { panic!("counts") };
                let first = self.block.header.first_sample.0;
                let n_frames = self.block.header.n_frames as usize;
                for (at, values) in counts.chunks_exact(ELECTRODES).take(n_frames).enumerate() {
                    self.frames.push((first + at as u64, values.to_vec()));
                }
            }
        }
    }

    /// Takes nothing until `is_so`.
    pub(crate) fn leave_until(&mut self, what: &str, is_so: impl Fn(&LinkReport) -> bool) {
        let end = self.clock.now().after(PATIENCE.as_nanos() as u64);
        while !is_so(&self.report()) {
            assert!(self.clock.now() < end, "{what}: in vain; {:#?}", self.report());
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Reads so many frames more.
    pub(crate) fn frames(&mut self, n: usize) {
        let wanted = self.frames.len() + n;
        self.until("frames", |reader| reader.frames.len() >= wanted);
    }

    /// Since the link began.
    pub(crate) fn seconds(&self) -> f64 {
        self.clock.now().ns as f64 * 1e-9
    }

    pub(crate) fn report(&mut self) -> LinkReport {
        self.source.report()
    }

    pub(crate) fn close(&mut self) -> LinkReport {
        self.source.close().expect("no capture");
        self.report()
    }

    /// Looks at all values that are known, each against what its electrode crossed; how many frames there are. The first
    /// frame's place is found, all others follow from their numbers.
    pub(crate) fn check(&self) -> usize {
        let truth = |ms: u64, channel: usize| (ms..ms + BIN_MS).map(|ms| crossings(ms, channel)).sum::<u16>();
        let is_true = |first_ms: u64, (number, values): &(u64, Vec<u16>)| {
            let ms = first_ms + number * BIN_MS;
            let mut values = values.iter().enumerate();
            values.all(|(channel, value)| *value == COUNT_UNKNOWN || *value == truth(ms, channel))
        };
        let known = |values: &[u16]| values.iter().filter(|value| **value != COUNT_UNKNOWN).count();
        let n_known: usize = self.frames.iter().map(|(_, values)| known(values)).sum();
        assert!(n_known * 2 > self.frames.len() * ELECTRODES, "most is known: {n_known}");
        let whole: Vec<_> =
            self.frames.iter().filter(|(_, values)| known(values) == ELECTRODES).take(5).collect();
        let mut places = (0..FIRST_MS_MAX).filter(|ms| whole.iter().all(|frame| is_true(*ms, frame)));
        let place = places.next().expect("the first frames are somewhere");
        assert_eq!(places.next(), None, "and nowhere else");
        for pair in self.frames.windows(2) {
            assert!(pair[0].0 < pair[1].0, "in order");
        }
        for frame in &self.frames {
            assert!(is_true(place, frame), "frame {}: {:?}", frame.0, frame.1);
        }
        self.frames.len()
    }
}

/// A host that calls and need not be answered.
pub(crate) struct Bluetooth {
    transport: Transport,
    host: Host,
    clock: Clock,
    standings: Vec<String>,
    pub(crate) n_received: u64,
}

impl Bluetooth {
    pub(crate) fn call(address: &str, number: u8) -> Self {
        let word = if address.contains('?') { '&' } else { '?' };
        let address = LinkAddress::parse(&format!("{address}{word}plain"), "--source").expect("legal");
        let access = Access::Paired(Key::from_bytes(key(number)));
        let host = Host::new(Settings::new(access, [3; 32], Wanted::default()), "--source").expect("legal");
        let transport = Transport::connect(&address.carrier).expect("a thread");
        Bluetooth { transport, host, clock: Clock::start(), standings: Vec::new(), n_received: 0 }
    }

    /// Calls until `is_so`.
    pub(crate) fn until(&mut self, what: &str, mut is_so: impl FnMut(&Self) -> bool) {
        let end = PATIENCE.as_nanos() as u64;
        let mut packet = [0; PACKET_MAX];
        while !is_so(self) {
            let now = self.clock.now();
            assert!(now < HostTime { ns: end }, "{what}: in vain; {:#?}", self.standings);
            while let Some(news) = self.transport.news() {
                self.standings.push(news.text);
                if let Some(packet_max) = news.packet_max {
                    self.host.carrier_is_up(now, packet_max);
                }
            }
            self.host.handle_timeout(now);
            while let Some(n) = self.host.poll_packet(now, &mut packet) {
                self.transport.send(&packet[..n]);
            }
            while self.host.poll_event().is_some() {}
            if let Received::Packet(n) = self.transport.receive(&mut packet, Duration::from_millis(5)) {
                self.n_received += 1;
                self.host.handle_packet(self.clock.now(), &packet[..n]);
            }
        }
    }

    /// Where the link stood last.
    pub(crate) fn standing(&self) -> &str {
        self.standings.last().map_or("", String::as_str)
    }
}

/// The pairing key of a number.
pub(crate) fn key(number: u8) -> [u8; 32] {
    [number; 32]
}

fn write_key(path: &std::path::Path, number: u8) {
    use std::io::Write;
    use std::os::unix::fs::OpenOptionsExt;
    let mut file =
        std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path).expect("new");
    let digits: String = key(number).iter().map(|byte| format!("{byte:02x}")).collect();
    writeln!(file, "{digits}").expect("written");
}

static STOP: AtomicBool = AtomicBool::new(false);
const BIN_MS: u64 = 5;
/// A scenario that waits for longer has failed.
const PATIENCE: Duration = Duration::from_secs(30);
/// Devices start with their scenario, so that the first bin is not far from it.
const FIRST_MS_MAX: u64 = 20_000;
