//! The central: a thread that speaks with the system's Bluetooth, and what stands between it and whoever decodes.
//!
//! In: an address; packets for the implant. Out: its packets, newest first to stay: where nobody takes them, the oldest go
//! and are counted. Guarantees: nothing here waits for the radio; memory is bounded whatever either side does; when the
//! link is dropped, what was sent still goes out, within [`GOODBYE`].

mod find;
mod life;
mod list;
mod open;
mod shared;
#[cfg(target_os = "linux")]
mod socket;
#[cfg(not(target_os = "linux"))]
#[path = "no_socket.rs"]
mod socket;
mod talk;
mod watch;

pub use list::implants;

use super::{BleAddress, BleReport, News};
use crate::error::Error;
use crossbeam_channel::{Receiver, RecvTimeoutError, TryRecvError};
use shared::{Shared, Sink};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;

/// One end of a link over Bluetooth LE, from the first call on until it is dropped.
pub struct BleLink {
    packets: Receiver<Vec<u8>>,
    /// Ends the thread when it is dropped.
    upward: Option<mpsc::Sender<Vec<u8>>>,
    shared: Arc<Shared>,
    ended: Receiver<()>,
    n_news: u64,
}

impl BleLink {
    /// Begins to look for the implant. Whether it is there shows later.
    ///
    /// # Errors
    /// If the system gives no thread.
    pub fn start(address: &BleAddress) -> Result<Self, Error> {
        let (sender, packets) = crossbeam_channel::bounded(WAITING_MAX);
        let (upward, to_send) = mpsc::channel(SENDING_MAX);
        // Nothing is ever sent: it closes with the thread.
        let (alive, ended) = crossbeam_channel::bounded(0);
        let shared = Arc::new(Shared::new());
        let sink = Sink::new(shared.clone(), sender, packets.clone());
        let its = address.clone();
        let run = move || {
            life::live(&its, to_send, &sink);
            drop(alive);
        };
        std::thread::Builder::new().name("bluetooth".to_string()).spawn(run).map_err(|error| {
            Error::output(address.to_string(), format!("the system gives no thread ({error})"))
        })?;
        Ok(BleLink { packets, upward: Some(upward), shared, ended, n_news: 0 })
    }

    /// Hands a packet over; false if there is no connection that takes it now.
    pub fn send(&mut self, packet: &[u8]) -> bool {
        let is_taken = packet.len() <= self.shared.packet_max()
            && self.upward.as_ref().is_some_and(|upward| upward.try_send(packet.to_vec()).is_ok());
        if !is_taken {
            self.shared.count(|counts| &counts.unwritten);
        }
        is_taken
    }

    /// The next packet, written into `buffer`, which has room for any; its length, or `None` after `wait`.
    pub fn receive(&mut self, buffer: &mut [u8], wait: Duration) -> Option<usize> {
        let packet = match self.packets.try_recv() {
            Ok(packet) => packet,
            Err(TryRecvError::Empty) => match self.packets.recv_timeout(wait) {
                Ok(packet) => packet,
                Err(RecvTimeoutError::Timeout) => return None,
                Err(RecvTimeoutError::Disconnected) => return self.rest(wait),
            },
            Err(TryRecvError::Disconnected) => return self.rest(wait),
        };
        buffer.get_mut(..packet.len())?.copy_from_slice(&packet);
        Some(packet.len())
    }

    /// What has happened below the packets since the last call, one thing at a time.
    pub fn news(&mut self) -> Option<News> {
        self.shared.news(&mut self.n_news)
    }

    /// How it does.
    pub fn report(&self) -> BleReport {
        self.shared.report()
    }

    /// The thread is gone, which only a panic can do.
    fn rest(&self, wait: Duration) -> Option<usize> {
        std::thread::sleep(wait);
        None
    }
}

impl Drop for BleLink {
    fn drop(&mut self) {
        self.upward = None;
        // A system that hangs keeps its thread, and nobody waits for it.
        let _over = self.ended.recv_timeout(GOODBYE);
    }
}

/// Packets that wait for whoever decodes: a second at 500 a second.
const WAITING_MAX: usize = 512;
/// Packets that wait for the radio.
const SENDING_MAX: usize = 64;
/// How long a link may take to end.
const GOODBYE: Duration = Duration::from_secs(2);
