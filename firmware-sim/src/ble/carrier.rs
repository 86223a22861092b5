//! What the implant has to say, for whichever Bluetooth stack carries it.
//!
//! In: a connection as a [`Carrier`]. Out: packets of the implant, each on the characteristic of its [`Lane`]. Guarantees:
//! nothing is taken from the firmware before the host listens and what came before has found room, so that the firmware's
//! rate control sees what the radio takes.

use super::serve::Desk;
use efference::sources::link::PACKET_MAX;
use efference_firmware::link::Lane;
use std::cell::RefCell;
use std::collections::VecDeque;
use std::time::Duration;
use tokio::sync::Notify;

/// A connection with a host, of TrouBLE's or of BlueZ's.
pub(super) trait Carrier {
    /// The host listens.
    fn is_heard(&self) -> bool;

    /// The longest packet, bytes.
    fn packet_max(&self) -> usize;

    /// Notifies of data or telemetry as soon as there is room; whether the stack took it.
    async fn notify(&self, lane: Lane, packet: &[u8]) -> bool;

    /// Indicates a packet of the control characteristic and waits for its confirmation; whether it came.
    async fn indicate(&self, packet: &[u8]) -> bool;
}

/// Greetings and acknowledgements on their way. An indication waits for its confirmation, data don't wait for either.
#[derive(Default)]
pub(super) struct Control {
    packets: RefCell<VecDeque<Vec<u8>>>,
    wake: Notify,
}

/// Indicates what [`send`] puts there; never ends by itself.
pub(super) async fn indicate(desk: &Desk, carrier: &impl Carrier, control: &Control) {
    loop {
        let next = control.packets.borrow_mut().pop_front();
        match next {
            Some(packet) => {
                let is_sent = carrier.indicate(&packet).await;
                desk.served.borrow_mut().tell(Lane::Control, packet.len(), is_sent);
            }
            None => control.wake.notified().await,
        }
    }
}

/// What the implant has to say; never ends by itself.
pub(super) async fn send(desk: &Desk, carrier: &impl Carrier, control: &Control) {
    let mut packet = [0; PACKET_MAX];
    let mut was_heard = false;
    let mut last = Vec::new();
    loop {
        let is_heard = carrier.is_heard();
        if is_heard && !was_heard {
            desk.body.borrow_mut().begin_carrier();
        }
        was_heard = is_heard;
        let polled = if is_heard {
            desk.body.borrow_mut().poll_packet_apart(carrier.packet_max(), &mut packet)
        } else {
            None
        };
        let Some((n, lane)) = polled else {
            let (n_again, seconds) = {
                let served = desk.served.borrow();
                (served.again.0, served.span.map_or(0.0, |(from, _)| served.seconds - from))
            };
            let is_due = desk.settings.flood_hz.is_some_and(|hz| (n_again as f64) < hz * seconds);
            if is_due && is_heard && !last.is_empty() {
                again(desk, carrier, &last).await;
            } else {
                desk.wake.notified().await;
            }
            continue;
        };
        let packet = &packet[..n];
        if lane == Lane::Control {
            let mut packets = control.packets.borrow_mut();
            // What is too much is greetings, again and again; the host asks for another.
            if packets.len() < CONTROL_MAX {
                packets.push_back(packet.to_vec());
            }
            control.wake.notify_one();
            continue;
        }
        let is_sent = carrier.notify(lane, packet).await;
        desk.served.borrow_mut().tell(lane, n, is_sent);
        if lane != Lane::Data {
            continue;
        }
        if desk.settings.flood_hz.is_some() && n >= last.len() {
            last = packet.to_vec();
        }
        if let Some(after) = desk.settings.replay_after {
            let old = {
                let mut sent = desk.sent.borrow_mut();
                sent.push_back(packet.to_vec());
                if sent.len() > after { sent.pop_front() } else { None }
            };
            if let Some(old) = old {
                again(desk, carrier, &old).await;
            }
        }
    }
}

/// Sends an old packet.
async fn again(desk: &Desk, carrier: &impl Carrier, old: &[u8]) {
    if carrier.notify(Lane::Data, old).await {
        desk.served.borrow_mut().tell_again(old.len());
    } else {
        // Without a connection nothing waits for room.
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

/// Two greetings in the smallest packets.
const CONTROL_MAX: usize = 32;
