//! The thread's life: find, connect, talk, and again, until the link is closed.
//!
//! In: an address, packets to send. Out: packets that came, and where the link stands. Guarantees: whatever happens to
//! implant, adapter or the system's service, it is tried again, after 0.1 s at first and never later than
//! [`PAUSE_MAX`]; with a connection to the system that is no good, all that belongs to it goes.

use super::super::{BleAddress, BleReport};
use super::find::{Events, Fault, Found, seek};
use super::open::{Open, close, open};
use super::shared::Sink;
use super::talk::{Over, talk};
use crate::wire::gatt;
use btleplug::api::{CentralEvent, CentralState, Peripheral as _};
use btleplug::platform::{Manager, PeripheralId};
use futures_util::stream::StreamExt;
use std::pin::pin;
use std::time::Duration;
use tokio::runtime::Builder;
use tokio::sync::mpsc;

/// Lives until `upward` is closed.
pub(super) fn live(address: &BleAddress, mut upward: mpsc::Receiver<Vec<u8>>, sink: &Sink) {
    let mut pause = PAUSE;
    loop {
        // What the library leaves behind, tasks and a connection to the system, goes with the runtime.
        let runtime = match Builder::new_current_thread().enable_all().build() {
            Ok(runtime) => runtime,
            Err(error) => {
                sink.stand(format!("the system gives no means to wait ({error})"));
                std::thread::sleep(PAUSE_MAX);
                if upward.is_closed() {
                    return;
                }
                continue;
            }
        };
        if runtime.block_on(session(address, &mut upward, sink, &mut pause)) == Session::Closed {
            return;
        }
        runtime.shutdown_background();
    }
}

/// Why a connection to the system's Bluetooth is over.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Session {
    Closed,
    Bad,
}

async fn session(
    address: &BleAddress,
    upward: &mut mpsc::Receiver<Vec<u8>>,
    sink: &Sink,
    pause: &mut Duration,
) -> Session {
    let manager = match Manager::new().await {
        Ok(manager) => Some(manager),
        Err(error) => {
            sink.stand(format!("the system's Bluetooth can't be reached ({error})"));
            None
        }
    };
    let mut unheard: Option<PeripheralId> = None;
    let mut n_bad = 0;
    loop {
        if let Some(manager) = &manager {
            match attempt(manager, address, unheard.as_ref(), upward, sink).await {
                Attempt::Closed => return Session::Closed,
                Attempt::Failed(fault) => {
                    n_bad = if matches!(fault, Fault::System(_)) { n_bad + 1 } else { 0 };
                    if matches!(fault, Fault::NotHeard(_)) {
                        // Whoever looks is ready for when the implant comes back.
                        *pause = PAUSE;
                    }
                    sink.stand(fault.text());
                }
                Attempt::Lost { was_heard, implant } => {
                    n_bad = 0;
                    if was_heard {
                        *pause = PAUSE;
                    }
                    unheard = (!was_heard).then_some(implant);
                }
            }
        }
        let waits = tokio::time::sleep(*pause);
        *pause = (*pause * 2).min(PAUSE_MAX);
        if meanwhile(upward, sink, waits).await.is_none() {
            return Session::Closed;
        }
        if manager.is_none() || n_bad == BAD_MAX {
            return Session::Bad;
        }
    }
}

/// What came of a try.
enum Attempt {
    Closed,
    Failed(Fault),
    Lost { was_heard: bool, implant: PeripheralId },
}

async fn attempt(
    manager: &Manager,
    address: &BleAddress,
    unheard: Option<&PeripheralId>,
    upward: &mut mpsc::Receiver<Vec<u8>>,
    sink: &Sink,
) -> Attempt {
    let found = match meanwhile(upward, sink, seek(manager, address, unheard)).await {
        None => return Attempt::Closed,
        Some(Err(fault)) => return Attempt::Failed(fault),
        Some(Ok(found)) => found,
    };
    let Found { adapter, events, implant, name, rssi_dbm } = found;
    let id = implant.id();
    // From here to the end somebody polls the adapter's events.
    let mut gone = pin!(gone(events, id.clone()));
    let opened = tokio::select! {
        opened = meanwhile(upward, sink, open(&implant, address.signals)) => opened,
        why = &mut gone => Some(Err(Fault::Standing(why))),
    };
    let over = match opened {
        None => Ok(Over::Closed),
        Some(Err(fault)) => Err(fault),
        Some(Ok(opened)) => {
            let address = match implant.address().into_inner() {
                [0, 0, 0, 0, 0, 0] => id.to_string(),
                _ => implant.address().to_string(),
            };
            sink.connected(gatt::packet_max(opened.att_mtu), |report| {
                let who = name.clone().unwrap_or_else(|| address.clone());
                report.standing = format!(
                    "connected to {who} by {adapter}, packets of {} bytes",
                    gatt::packet_max(opened.att_mtu)
                );
                enter(report, &opened);
                (report.name, report.rssi_dbm) = (name, rssi_dbm);
                (report.address, report.adapter) = (Some(address), Some(adapter));
            });
            Ok(talk(&implant, opened, gone, upward, sink).await)
        }
    };
    if let Ok(Over::Lost { why, .. }) = &over {
        sink.stand(format!("connecting anew: {why}"));
    }
    // A connection that is half there would keep the implant from advertising.
    close(&implant).await;
    match over {
        Ok(Over::Closed) => Attempt::Closed,
        Ok(Over::Lost { was_heard, .. }) => Attempt::Lost { was_heard, implant: id },
        Err(fault) => Attempt::Failed(fault),
    }
}

/// What the platform tells of a connection.
fn enter(report: &mut BleReport, opened: &Open) {
    report.att_mtu = Some(opened.att_mtu);
    report.by_socket = opened.socket.is_some();
    report.interval_ms = opened.parameters.map(|parameters| f64::from(parameters.interval_us) / 1e3);
}

/// Ends when the adapter says that the implant is gone, with the reason. The adapter's events are read for as long as this
/// is polled.
async fn gone(mut events: Events, implant: PeripheralId) -> String {
    while let Some(event) = events.next().await {
        match event {
            CentralEvent::DeviceDisconnected(id) if id == implant => return "it disconnected".to_string(),
            CentralEvent::StateUpdate(CentralState::PoweredOff) => {
                return "Bluetooth was switched off".to_string();
            }
            _ => {}
        }
    }
    "the adapter's events have ended".to_string()
}

/// Does something while nothing can be sent; `None` if the link is closed before it is done.
async fn meanwhile<T>(
    upward: &mut mpsc::Receiver<Vec<u8>>,
    sink: &Sink,
    work: impl Future<Output = T>,
) -> Option<T> {
    let discard = async {
        while upward.recv().await.is_some() {
            sink.count(|counts| &counts.unwritten);
        }
    };
    tokio::select! {
        () = discard => None,
        done = work => Some(done),
    }
}

/// The first pause before another try; each is twice as long as the one before until something is heard again.
const PAUSE: Duration = Duration::from_millis(100);
const PAUSE_MAX: Duration = Duration::from_secs(2);
/// Calls in a row to which the system gave no good answer, before it is asked over a new connection.
const BAD_MAX: u32 = 4;
