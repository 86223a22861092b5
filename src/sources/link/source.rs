//! A device at the other end of a link, live or captured, as a source of blocks.
//!
//! In: an address, and what to ask of the device. Out: blocks of counts as they come. Guarantees: a broken link ends
//! nothing, the host calls again; whoever says stop is heard within 50 ms; a capture gives the blocks that the run which
//! made it got.

use super::feed::Feed;
use super::replayed::seal;
use super::{
    Asked, CaptureWriter, Carrier, Comment, FORMAT, LinkAddress, LinkReport, PACKET_MAX, PairingKey,
    Received, Secrecy, Transport, Way, entropy,
};
use crate::block::{Block, StreamInfo};
use crate::error::Error;
use crate::link::{Device, Settings, Wanted};
use crate::live::Clock;
use crate::sources::{ReadOutcome, SampleSource};
use crate::time::HostTime;
use crate::wire::Operation;
use crate::wire::session::{Access, Key};
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

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[expect(clippy::disallowed_methods, reason = "a capture says when it was made")]
fn unix_ns() -> u64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    since.map_or(0, |since| since.as_nanos() as u64)
}

/// How long an implant over Bluetooth may take to answer.
const PATIENCE_BLE: Duration = Duration::from_secs(20);
/// How late a stop is heard.
const LONGEST_WAIT_NS: u64 = 50_000_000;
