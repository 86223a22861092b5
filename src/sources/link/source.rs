//! A device at the other end of a link, live or captured, as a source of blocks.
//!
//! In: an address, and what to ask of the device. Out: blocks of counts as they come. Guarantees: a broken link ends
//! nothing, the host calls again; whoever says stop is heard within 50 ms; a capture gives the blocks that the run which
//! made it got.

use super::feed::Feed;
use super::{
    Asked, CaptureReader, CaptureWriter, Carrier, Comment, FORMAT, LinkAddress, LinkReport, PACKET_MAX,
    PairingKey, Received, Secrecy, Transport, Way, entropy,
};
use crate::block::{Block, StreamInfo};
use crate::error::Error;
use crate::link::{Device, Settings, Wanted};
use crate::live::Clock;
use crate::sources::{ReadOutcome, SampleSource, block_of};
use crate::time::HostTime;
use crate::wire::Operation;
use crate::wire::session::{Access, Key};
use chacha20poly1305::aead::{Aead, KeyInit};
use chacha20poly1305::{ChaCha20Poly1305, Nonce};
use sha2::{Digest, Sha256};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// A device that is connected.
pub struct LinkSource {
    transport: Transport,
    clock: Clock,
    feed: Feed,
    info: StreamInfo,
    capture: Option<CaptureWriter>,
    stop: &'static AtomicBool,
    due: Option<HostTime>,
    is_closed: bool,
    buffer: [u8; PACKET_MAX],
}

impl LinkSource {
    /// Calls the device until it answers and says what it sends, at most `patience`. With `capture`, every packet goes to
    /// that file.
    ///
    /// # Errors
    /// If nobody answers, the key can't be read, the capture can't be written, or `stop` was said.
    pub fn connect(
        address: &LinkAddress,
        wanted: Wanted,
        capture: Option<&Path>,
        stop: &'static AtomicBool,
        patience: Duration,
    ) -> Result<Self, Error> {
        let entropy = entropy()?;
        let (access, sealed) = access(&address.secrecy, &entropy)?;
        let mut transport = Transport::connect(&address.carrier)?;
        let clock = Clock::start();
        let mut capture = match capture {
            None => None,
            Some(path) => Some(CaptureWriter::create(
                path,
                &Comment {
                    format: FORMAT.to_string(),
                    start_unix_ns: unix_ns(),
                    sealed_entropy: hex(&sealed),
                    asked: Asked::of(&wanted),
                },
            )?),
        };
        let mut feed = Feed::new(Settings::new(access, entropy, wanted), "--source")?;
        let mut buffer = [0; PACKET_MAX];
        let patience = match address.carrier {
            // Searching and connecting take their time, before anybody is asked.
            Carrier::Ble(_) => patience.max(PATIENCE_BLE),
            _ => patience,
        };
        let until = clock.now().after(patience.as_nanos() as u64);
        let info = loop {
            step(&mut feed, &mut transport, &clock, &mut capture, &mut buffer)?;
            if let Some(info) = feed.info() {
                break info?;
            }
            if stop.load(Ordering::Relaxed) {
                return Err(Error::usage("--source", "stopped before the device had answered"));
            }
            if clock.now() > until {
                let mut found =
                    format!("nobody answers at {} within {} s", address.carrier, patience.as_secs());
                if let Some(bluetooth) = transport.bluetooth() {
                    found = format!("{found}; {}", bluetooth.standing);
                }
                return Err(Error::input("--source", found)
                    .legal("the address of a device that is on, and the key that it was paired with")
                    .hint(
                        "`efference devices` lists what can be reached; a wrong key gets no answer either",
                    ));
            }
        };
        Ok(LinkSource { transport, clock, feed, info, capture, stop, due: None, is_closed: false, buffer })
    }

    /// The device, as it says itself.
    pub fn device(&self) -> Option<&Device> {
        self.feed.device()
    }

    /// Waits a little for packets and takes what comes; for who looks at the link and decodes nothing.
    ///
    /// # Errors
    /// If the capture can't be written.
    pub fn step(&mut self) -> Result<(), Error> {
        step(&mut self.feed, &mut self.transport, &self.clock, &mut self.capture, &mut self.buffer)
    }

    /// Fills `block` with the next frames if some wait, which [`LinkSource::step`] brings.
    ///
    /// # Panics
    /// If it is no block of counts of as many channels.
    pub fn take(&mut self, block: &mut Block) -> bool {
        self.feed.pop(block).is_some()
    }

    /// Lets go of frames that nobody wants, and says how many there were.
    pub fn skip(&mut self, block: &mut Block) -> u64 {
        let mut n = 0;
        while self.take(block) {
            n += u64::from(block.header.n_frames);
        }
        n
    }

    /// Asks the device to measure the impedance of all its electrodes; [`LinkReport::impedances`] has what came.
    ///
    /// # Errors
    /// If too many commands wait for an answer.
    pub fn ask_impedances(&mut self) -> Result<(), Error> {
        let n = self.device().map_or(0, |device| device.n_electrodes);
        for first in (0..n).step_by(usize::from(u16::MAX)) {
            let n_electrodes = (n - first).min(usize::from(u16::MAX)) as u16;
            let first_electrode = first as u32;
            self.feed.host().command(Operation::RequestImpedance { first_electrode, n_electrodes })?;
        }
        Ok(())
    }

    /// Where everything has gone until now.
    pub fn report(&mut self) -> LinkReport {
        LinkReport { bluetooth: self.transport.bluetooth(), ..self.feed.report() }
    }

    /// Says goodbye.
    ///
    /// # Errors
    /// If the capture can't be written to its end.
    pub fn close(&mut self) -> Result<(), Error> {
        if std::mem::replace(&mut self.is_closed, true) {
            return Ok(());
        }
        let now = self.clock.now();
        self.feed.host().close(now, None);
        let (transport, capture) = (&mut self.transport, &mut self.capture);
        let mut captured = Ok(());
        self.feed.send(now, |at, packet| {
            transport.send(packet);
            if let Some(capture) = capture {
                captured = captured.clone().and(capture.write(at, Way::Down, packet));
            }
        });
        captured?;
        self.feed.collect(now);
        self.capture.take().map_or(Ok(()), CaptureWriter::finish)
    }
}

impl SampleSource for LinkSource {
    fn info(&self) -> &StreamInfo {
        &self.info
    }

    /// A device goes on.
    fn n_frames(&self) -> Option<u64> {
        None
    }

    fn read(&mut self, block: &mut Block) -> Result<ReadOutcome, Error> {
        loop {
            if let Some(due) = self.feed.pop(block) {
                self.due = Some(due);
                return Ok(ReadOutcome::Block);
            }
            if self.stop.load(Ordering::Relaxed) || self.is_closed {
                self.close()?;
                return Ok(ReadOutcome::End);
            }
            self.step()?;
        }
    }

    fn clock(&self) -> Option<Clock> {
        Some(self.clock)
    }

    fn due(&self) -> Option<HostTime> {
        self.due
    }

    fn link_report(&mut self) -> Option<LinkReport> {
        // What is said after this is not in the report.
        let _written = self.close();
        Some(self.report())
    }
}

/// A capture of a link.
pub struct CaptureSource {
    reader: CaptureReader,
    feed: Feed,
    info: StreamInfo,
    n_frames: u64,
    packet: Vec<u8>,
    now: HostTime,
    is_over: bool,
}

impl CaptureSource {
    /// Opens a capture; its stream is that of the run that made it.
    ///
    /// # Errors
    /// If it is no capture, the key isn't the one that it was made with, or no device answers in it.
    pub fn open(address: &LinkAddress) -> Result<Self, Error> {
        let Carrier::Capture(path) = &address.carrier else {
            return Err(
                Error::usage(address.to_string(), "it is no capture").legal("capture://FILE.pcapng?key=FILE")
            );
        };
        let mut first = CaptureSource::begin(path, &address.secrecy)?;
        // Its length, and what device it is, show at the end.
        let (mut n_frames, mut block) = (0, None);
        while first.advance()? {
            if first.feed.is_ready() {
                let Some(Ok(info)) = first.feed.info() else { continue };
                let block = block.get_or_insert_with(|| block_of(&info));
                while first.feed.pop(block).is_some() {
                    n_frames = block.end_sample().0;
                }
            }
        }
        let info = first.feed.info().unwrap_or_else(|| {
            Err(Error::input(path.display().to_string(), "no device answers in it")
                .legal("a capture from its beginning, with the key of the link")
                .hint("a wrong key opens nothing"))
        })?;
        let second = CaptureSource::begin(path, &address.secrecy)?;
        Ok(CaptureSource { info, n_frames, ..second })
    }

    fn begin(path: &Path, secrecy: &Secrecy) -> Result<Self, Error> {
        let reader = CaptureReader::open(path)?;
        let place = path.display().to_string();
        let (access, entropy) = match secrecy {
            Secrecy::Plain => (Access::Plain, [0; 32]),
            Secrecy::Key(key) => {
                let key = PairingKey::load(key)?;
                let entropy = unseal(&key, &reader.comment().sealed_entropy).ok_or_else(|| {
                    Error::input(&place, "the key doesn't open it")
                        .legal("the pairing key of the link that was captured")
                        .hint("`efference pair --show FILE` tells keys apart; a link in the clear needs `?plain`")
                })?;
                (Access::Paired(Key::from_bytes(*key.bytes())), entropy)
            }
        };
        let wanted = reader.comment().asked.wanted().ok_or_else(|| {
            Error::input(&place, format!("it holds `{}`", reader.comment().asked.mode))
                .legal("what this version knows: counts, crossings, snippets, power, band-power, quiet")
        })?;
        let settings = Settings { listens_only: true, ..Settings::new(access, entropy, wanted) };
        let info = StreamInfo {
            kind: crate::block::StreamKind::Counts,
            sample_rate: crate::time::SampleRate::new(1.0, "capture")?,
            uv_per_count: None,
            channels: Vec::new(),
            synthetic: true,
        };
        Ok(CaptureSource {
            reader,
            feed: Feed::new(settings, &place)?,
            info,
            n_frames: 0,
            packet: Vec::with_capacity(PACKET_MAX),
            now: HostTime::default(),
            is_over: false,
        })
    }

    /// Takes the next packet; false at the end.
    fn advance(&mut self) -> Result<bool, Error> {
        if self.is_over {
            return Ok(false);
        }
        let Some((at, way)) = self.reader.next(&mut self.packet)? else {
            self.is_over = true;
            self.feed.host().close(self.now, None);
            self.feed.collect(self.now);
            return Ok(true);
        };
        self.now = at.max(self.now);
        self.feed.pass_time(self.now, |_, _| {});
        match way {
            Way::Up => self.feed.host().handle_packet(self.now, &self.packet),
            Way::Down => self.feed.host().overhear(self.now, &self.packet),
        }
        self.feed.collect(self.now);
        Ok(true)
    }
}

impl SampleSource for CaptureSource {
    fn info(&self) -> &StreamInfo {
        &self.info
    }

    fn n_frames(&self) -> Option<u64> {
        Some(self.n_frames)
    }

    fn read(&mut self, block: &mut Block) -> Result<ReadOutcome, Error> {
        loop {
            if self.feed.pop(block).is_some() {
                return Ok(ReadOutcome::Block);
            }
            if !self.advance()? {
                return Ok(ReadOutcome::End);
            }
        }
    }

    fn link_report(&mut self) -> Option<LinkReport> {
        Some(self.feed.report())
    }
}

fn step(
    feed: &mut Feed,
    transport: &mut Transport,
    clock: &Clock,
    capture: &mut Option<CaptureWriter>,
    buffer: &mut [u8; PACKET_MAX],
) -> Result<(), Error> {
    let mut captured = Ok(());
    let mut send =
        |transport: &mut Transport, capture: &mut Option<CaptureWriter>, at: HostTime, packet: &[u8]| {
            transport.send(packet);
            if let Some(capture) = capture {
                captured = captured.clone().and(capture.write(at, Way::Down, packet));
            }
        };
    let now = clock.now();
    while let Some(news) = transport.news() {
        feed.carrier(now, &news);
    }
    feed.pass_time(now, |at, packet| send(transport, capture, at, packet));
    let due = feed.host().poll_timeout().map_or(LONGEST_WAIT_NS, |due| due.since(now));
    let wait = Duration::from_nanos(due.min(LONGEST_WAIT_NS));
    if let Received::Packet(n) = transport.receive(buffer, wait) {
        let now = clock.now();
        // What falls due before the packet stands before it in the capture.
        feed.pass_time(now, |at, packet| send(transport, capture, at, packet));
        if let Some(capture) = capture {
            capture.write(now, Way::Up, &buffer[..n])?;
        }
        feed.take(now, &buffer[..n], |at, packet| send(transport, capture, at, packet));
    }
    captured
}

/// How the link is protected, and the entropy sealed for a capture.
fn access(secrecy: &Secrecy, entropy: &[u8; 32]) -> Result<(Access, Vec<u8>), Error> {
    match secrecy {
        Secrecy::Plain => {
            eprintln!(
                "warning: `?plain`: everything on this link is in the clear, for everyone on the way to read and forge"
            );
            Ok((Access::Plain, Vec::new()))
        }
        Secrecy::Key(path) => {
            let key = PairingKey::load(path)?;
            let sealed = seal(&key, entropy)?;
            Ok((Access::Paired(Key::from_bytes(*key.bytes())), sealed))
        }
    }
}

fn capture_cipher(key: &PairingKey) -> ChaCha20Poly1305 {
    let mut hash = Sha256::new();
    hash.update(b"efference link capture");
    hash.update(key.bytes());
    ChaCha20Poly1305::new(&hash.finalize())
}

/// Nonce and sealed bytes.
fn seal(key: &PairingKey, bytes: &[u8; 32]) -> Result<Vec<u8>, Error> {
    let nonce = entropy()?;
    let nonce = &nonce[..NONCE];
    let sealed = capture_cipher(key).encrypt(Nonce::from_slice(nonce), &bytes[..]);
    let sealed = sealed.map_err(|_| Error::output("--capture", "the session's entropy can't be sealed"))?;
    Ok([nonce, &sealed].concat())
}

fn unseal(key: &PairingKey, hex: &str) -> Option<[u8; 32]> {
    let digits = hex.as_bytes().chunks(2).map(|pair| std::str::from_utf8(pair).ok());
    let bytes: Option<Vec<u8>> = digits.map(|pair| u8::from_str_radix(pair?, 16).ok()).collect();
    let bytes = bytes.filter(|bytes| bytes.len() > NONCE)?;
    let (nonce, sealed) = bytes.split_at(NONCE);
    capture_cipher(key).decrypt(Nonce::from_slice(nonce), sealed).ok()?.try_into().ok()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[expect(clippy::disallowed_methods, reason = "a capture says when it was made")]
fn unix_ns() -> u64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    since.map_or(0, |since| since.as_nanos() as u64)
}

const NONCE: usize = 12;
/// How long an implant over Bluetooth may take to answer.
const PATIENCE_BLE: Duration = Duration::from_secs(20);
/// How late a stop is heard.
const LONGEST_WAIT_NS: u64 = 50_000_000;
