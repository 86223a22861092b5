//! A modelled radio behind Linux's `/dev/vhci`: its central is an adapter of this machine, its peripheral the implant.
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

/// An adapter of the kernel's, and the air behind it.
pub(super) struct Vhci {
    /// Not a pipe, but a file that can be waited for as one.
    from_kernel: pipe::Receiver,
    to_kernel: File,
    radio: Radio,
    inbox: UnboundedReceiver<FromImplant>,
    implant: Option<UnboundedSender<Vec<u8>>>,
    number: u16,
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
        Ok(Vhci {
            to_kernel: file.try_clone().map_err(failed)?,
            from_kernel: pipe::Receiver::from_file_unchecked(file).map_err(failed)?,
            radio: Radio::new(settings, number as u8),
            inbox,
            implant: None,
            number,
        })
    }

    /// The `N` of `hciN`.
    pub(super) fn number(&self) -> u16 {
        self.number
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
            let next = self.radio.next_us().map(|next_us| start + Duration::from_micros(next_us));
            let due = async {
                match next {
                    Some(next) => sleep_until(next).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                biased;
                ready = self.from_kernel.readable() => {
                    ready.map_err(lost)?;
                    match self.from_kernel.try_read(&mut packet) {
                        Ok(n) => {
                            let now_us = start.elapsed().as_micros() as u64;
                            self.radio.push(now_us, CENTRAL, &packet[..n]);
                        }
                        Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                        Err(error) => return Err(lost(error)),
                    }
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
                () = due => {}
            }
        }
    }

    fn hand_out(&mut self) -> Result<(), Error> {
        while let Some((side, packet)) = self.radio.poll() {
            if side == CENTRAL {
                match self.to_kernel.write(&packet) {
                    // While the adapter is off the kernel refuses what comes late.
                    Ok(_) => {}
                    Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::InvalidInput) => {
                    }
                    Err(error) => return Err(lost(error)),
                }
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
