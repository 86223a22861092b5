//! A modelled radio behind Linux's `/dev/vhci`: its central is an adapter of this machine, its peripheral the implant, or
//! another adapter.
//!
//! In: the kernel's packets of HCI, the implant's, real time. Out: the radio's answers to both. What the radio does is in
//! [`radio`](super::radio); here are the file and the clock.

use super::radio::{CENTRAL, PERIPHERAL, Radio, RadioSettings};
use efference::Error;
use std::fs::{File, OpenOptions};
use std::io::{ErrorKind, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::time::Duration;
use tokio::net::unix::pipe;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender};
use tokio::time::{Instant, sleep_until};

/// What the implant's side says.
pub(super) enum FromImplant {
    /// A packet of its host.
    Packet(Vec<u8>),
    /// Its power comes on; packets for it go there.
    On(UnboundedSender<Vec<u8>>),
    /// Its power goes.
    Off,
}

impl From<Vec<u8>> for FromImplant {
    fn from(packet: Vec<u8>) -> Self {
        FromImplant::Packet(packet)
    }
}

/// An adapter of the kernel's.
struct Port {
    /// Not a pipe, but a file that can be waited for as one.
    from_kernel: pipe::Receiver,
    to_kernel: File,
    number: u16,
}

impl Port {
    fn open() -> Result<Self, Error> {
        let failed = |error: std::io::Error| {
            Error::usage(PATH, error.to_string())
                .hint("modprobe hci_vhci, as root; --ble=hciN for a real adapter")
        };
        let mut file =
            OpenOptions::new().read(true).write(true).custom_flags(NONBLOCK).open(PATH).map_err(failed)?;
        file.write_all(&[VENDOR, 0]).map_err(failed)?;
        let mut answer = [0; 16];
        let n = file.read(&mut answer).map_err(failed)?;
        let number = if n >= 4 { u16::from_le_bytes([answer[2], answer[3]]) } else { 0 };
        Ok(Port {
            to_kernel: file.try_clone().map_err(failed)?,
            from_kernel: pipe::Receiver::from_file_unchecked(file).map_err(failed)?,
            number,
        })
    }

    /// Waits for the kernel's next packet; 0 bytes where there is none after all.
    async fn read(&self, packet: &mut [u8]) -> Result<usize, Error> {
        self.from_kernel.readable().await.map_err(lost)?;
        match self.from_kernel.try_read(packet) {
            Ok(n) => Ok(n),
            Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(0),
            Err(error) => Err(lost(error)),
        }
    }

    fn write(&mut self, packet: &[u8]) -> Result<(), Error> {
        match self.to_kernel.write(packet) {
            Ok(_) => Ok(()),
            // While the adapter is off the kernel refuses what comes late.
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::InvalidInput) => Ok(()),
            Err(error) => Err(lost(error)),
        }
    }
}

/// Waits for the radio's next happening.
async fn due(radio: &Radio, start: Instant) {
    match radio.next_us() {
        Some(next_us) => sleep_until(start + Duration::from_micros(next_us)).await,
        None => std::future::pending().await,
    }
}

/// Two adapters of the kernel's, central and peripheral, and the air between them.
pub(super) struct Pair {
    ports: [Port; 2],
    radio: Radio,
}

impl Pair {
    /// Two new adapters.
    ///
    /// # Errors
    /// As [`Vhci::open`].
    pub(super) fn open(settings: RadioSettings) -> Result<Self, Error> {
        let ports = [Port::open()?, Port::open()?];
        let radio = Radio::new(settings, ports[CENTRAL].number as u8);
        Ok(Pair { ports, radio })
    }

    /// The `N` of `hciN`, of central and peripheral.
    pub(super) fn numbers(&self) -> [u16; 2] {
        [self.ports[CENTRAL].number, self.ports[PERIPHERAL].number]
    }

    /// Until the kernel takes an adapter away, which is an error.
    pub(super) async fn run(&mut self) -> Result<(), Error> {
        let start = Instant::now();
        let mut packets = [[0; PACKET_MAX]; 2];
        let Pair { ports, radio } = self;
        loop {
            radio.advance(start.elapsed().as_micros() as u64);
            while let Some((side, packet)) = radio.poll() {
                ports[side].write(&packet)?;
            }
            let [first, second] = &mut packets;
            let (side, n) = tokio::select! {
                biased;
                n = ports[CENTRAL].read(first) => (CENTRAL, n?),
                n = ports[PERIPHERAL].read(second) => (PERIPHERAL, n?),
                () = due(radio, start) => continue,
            };
            if n > 0 {
                radio.push(start.elapsed().as_micros() as u64, side, &packets[side][..n]);
            }
        }
    }
}

/// An adapter of the kernel's, and the air behind it.
pub(super) struct Vhci {
    port: Port,
    radio: Radio,
    inbox: UnboundedReceiver<FromImplant>,
    implant: Option<UnboundedSender<Vec<u8>>>,
}

impl Vhci {
    /// A new adapter.
    ///
    /// # Errors
    /// The kernel has no `hci_vhci`, or this user may not open it.
    pub(super) fn open(
        settings: RadioSettings,
        inbox: UnboundedReceiver<FromImplant>,
    ) -> Result<Self, Error> {
        let port = Port::open()?;
        let radio = Radio::new(settings, port.number as u8);
        Ok(Vhci { port, radio, inbox, implant: None })
    }

    /// The `N` of `hciN`.
    pub(super) fn number(&self) -> u16 {
        self.port.number
    }

    /// Until the implant is no more.
    ///
    /// # Errors
    /// The kernel takes the adapter away.
    pub(super) async fn run(mut self) -> Result<(), Error> {
        let start = Instant::now();
        let mut packet = [0; PACKET_MAX];
        loop {
            self.radio.advance(start.elapsed().as_micros() as u64);
            self.hand_out()?;
            tokio::select! {
                biased;
                n = self.port.read(&mut packet) => {
                    let n = n?;
                    let now_us = start.elapsed().as_micros() as u64;
                    self.radio.push(now_us, CENTRAL, &packet[..n]);
                }
                said = self.inbox.recv() => {
                    let now_us = start.elapsed().as_micros() as u64;
                    match said {
                        Some(FromImplant::Packet(packet)) => self.radio.push(now_us, PERIPHERAL, &packet),
                        Some(FromImplant::On(implant)) => self.implant = Some(implant),
                        Some(FromImplant::Off) => {
                            self.radio.cut_power(now_us, PERIPHERAL);
                            self.implant = None;
                        }
                        None => return Ok(()),
                    }
                }
                () = due(&self.radio, start) => {}
            }
        }
    }

    fn hand_out(&mut self) -> Result<(), Error> {
        while let Some((side, packet)) = self.radio.poll() {
            if side == CENTRAL {
                self.port.write(&packet)?;
            } else if let Some(implant) = &self.implant {
                // It may have lost its power meanwhile.
                let _heard = implant.send(packet);
            }
        }
        Ok(())
    }
}

fn lost(error: std::io::Error) -> Error {
    Error::usage(PATH, error.to_string())
}

const PATH: &str = "/dev/vhci";
/// The packet by which an adapter is asked for.
const VENDOR: u8 = 0xff;
/// `O_NONBLOCK` of Linux on x86 and ARM.
const NONBLOCK: i32 = 0o4000;
/// Indicator, head and the longest packet.
const PACKET_MAX: usize = 2_048;
