//! One connection, from the host's arrival to its going.
//!
//! In: what the host writes. Out: packets of the implant, each on the characteristic of its [`Lane`]. Guarantees: nothing
//! is taken from the firmware before the host listens and the stack has room for it.

use super::gatt::Handles;
use super::serve::Desk;
use bt_hci::cmd::le::{LeReadLocalSupportedFeatures, LeSetDataLength, LeSetPhy};
use bt_hci::controller::{ControllerCmdAsync, ControllerCmdSync};
use efference::sources::link::PACKET_MAX;
use efference::wire::gatt::packet_max;
use efference_firmware::link::Lane;
use std::cell::RefCell;
use std::collections::VecDeque;
use tokio::sync::Notify;
use trouble_host::prelude::*;

/// Serves it until it is over.
pub(super) async fn connected<C, P>(
    desk: &Desk,
    stack: &Stack<'_, C, P>,
    handles: &Handles,
    connection: &GattConnection<'_, '_, P>,
) where
    C: Controller
        + ControllerCmdSync<LeSetDataLength>
        + ControllerCmdSync<LeReadLocalSupportedFeatures>
        + ControllerCmdAsync<LeSetPhy>
        + ControllerCmdAsync<bt_hci::cmd::le::LeConnUpdate>,
    P: PacketPool,
{
    let control = Control::default();
    let asking = async {
        ask(desk, stack, connection).await;
        send(desk, handles, connection, &control).await;
    };
    tokio::select! {
        () = hear(desk, handles, connection) => {}
        () = asking => {}
        () = indicate(desk, handles, connection, &control) => {}
    }
}

/// Greetings and acknowledgements on their way. An indication waits for its confirmation, data don't wait for either.
#[derive(Default)]
struct Control {
    packets: RefCell<VecDeque<Vec<u8>>>,
    wake: Notify,
}

async fn indicate<P: PacketPool>(
    desk: &Desk,
    handles: &Handles,
    connection: &GattConnection<'_, '_, P>,
    control: &Control,
) {
    loop {
        let next = control.packets.borrow_mut().pop_front();
        match next {
            Some(packet) => {
                let sent = handles.control.indicate_raw(connection, &packet, false).await;
                desk.served.borrow_mut().tell(Lane::Control, packet.len(), sent.is_ok());
            }
            None => control.wake.notified().await,
        }
    }
}

/// Asks for long packets, the fast PHY and short intervals. What is refused isn't needed.
async fn ask<C, P>(desk: &Desk, stack: &Stack<'_, C, P>, connection: &GattConnection<'_, '_, P>)
where
    C: Controller
        + ControllerCmdSync<LeSetDataLength>
        + ControllerCmdSync<LeReadLocalSupportedFeatures>
        + ControllerCmdAsync<LeSetPhy>
        + ControllerCmdAsync<bt_hci::cmd::le::LeConnUpdate>,
    P: PacketPool,
{
    let raw = connection.raw();
    if let Err(error) = raw.update_data_length(stack, OCTETS, OCTETS_US).await {
        eprintln!("packets of {OCTETS} bytes: {error:?}");
    }
    if let Err(error) = raw.set_phy(stack, PhyKind::Le2M).await {
        eprintln!("the 2M PHY: {error:?}");
    }
    let Some((from_ms, to_ms)) = desk.settings.interval_ms else { return };
    let us = |ms: f64| embassy_time::Duration::from_micros((ms * 1e3) as u64);
    let parameters = RequestedConnParams {
        min_connection_interval: us(from_ms),
        max_connection_interval: us(to_ms),
        max_latency: 0,
        min_event_length: embassy_time::Duration::from_ticks(0),
        max_event_length: embassy_time::Duration::from_ticks(0),
        supervision_timeout: SUPERVISION,
    };
    if let Err(error) = raw.update_connection_params(stack, &parameters).await {
        eprintln!("a connection interval of {from_ms} to {to_ms} ms: {error:?}");
    }
}

/// What the host does; ends with the connection.
async fn hear<P: PacketPool>(desk: &Desk, handles: &Handles, connection: &GattConnection<'_, '_, P>) {
    loop {
        match connection.next().await {
            GattConnectionEvent::Disconnected { reason } => {
                eprintln!("{}: disconnected, {reason:?}", desk.settings.name);
                return;
            }
            GattConnectionEvent::Gatt { event } => {
                let reply = match event {
                    GattEvent::Write(write) if write.handle() == handles.control.handle => {
                        write.with_data(|_, packet| {
                            desk.served.borrow_mut().received += 1;
                            desk.body.borrow_mut().handle_packet(packet);
                        });
                        desk.wake.notify_one();
                        write.accept_unprocessed()
                    }
                    GattEvent::Read(read) if read.handle() == handles.battery.handle => {
                        let percent = desk.body.borrow().battery_percent();
                        // The value that it had before is an answer too.
                        let _set = connection.set(&handles.battery, &percent);
                        read.accept()
                    }
                    other => other.accept(),
                };
                if let Ok(reply) = reply {
                    reply.send().await;
                }
                // Whoever subscribes wants to hear at once.
                desk.wake.notify_one();
            }
            GattConnectionEvent::ConnectionParamsUpdated { conn_interval, .. } => {
                let ms = conn_interval.as_micros() as f64 / 1e3;
                eprintln!("{}: connection interval {ms} ms", desk.settings.name);
            }
            GattConnectionEvent::PhyUpdated { tx_phy, .. } => {
                eprintln!("{}: {tx_phy:?}", desk.settings.name);
            }
            GattConnectionEvent::DataLengthUpdated { max_tx_octets, .. } => {
                eprintln!("{}: packets of {max_tx_octets} bytes", desk.settings.name);
            }
            _ => {}
        }
    }
}

/// What the implant has to say; never ends by itself.
async fn send<P: PacketPool>(
    desk: &Desk,
    handles: &Handles,
    connection: &GattConnection<'_, '_, P>,
    control: &Control,
) {
    let mut packet = [0; PACKET_MAX];
    let mut was_heard = false;
    let mut last = Vec::new();
    loop {
        // Whether acknowledgements are listened to can't be asked of TrouBLE 0.8; a host that misses one asks again.
        let is_heard = handles.data.should_notify(connection);
        if is_heard && !was_heard {
            desk.body.borrow_mut().begin_carrier();
        }
        was_heard = is_heard;
        let polled = if is_heard {
            let mtu = packet_max(connection.raw().att_mtu());
            desk.body.borrow_mut().poll_packet_apart(mtu, &mut packet)
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
                again(desk, handles, connection, &last).await;
            } else {
                desk.wake.notified().await;
            }
            continue;
        };
        let packet = &packet[..n];
        // Each notification waits until the stack has room.
        let sent = match lane {
            Lane::Control => {
                let mut packets = control.packets.borrow_mut();
                // What is too much is greetings, again and again; the host asks for another.
                if packets.len() < CONTROL_MAX {
                    packets.push_back(packet.to_vec());
                }
                control.wake.notify_one();
                continue;
            }
            Lane::Telemetry => handles.telemetry.notify_raw(connection, packet, false).await,
            Lane::Data => handles.data.notify_raw(connection, packet, false).await,
        };
        desk.served.borrow_mut().tell(lane, n, sent.is_ok());
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
                again(desk, handles, connection, &old).await;
            }
        }
    }
}

/// Sends an old packet.
async fn again<P: PacketPool>(
    desk: &Desk,
    handles: &Handles,
    connection: &GattConnection<'_, '_, P>,
    old: &[u8],
) {
    if handles.data.notify_raw(connection, old, false).await.is_ok() {
        let mut served = desk.served.borrow_mut();
        served.tell_again(old.len());
    } else {
        // Without a connection nothing waits for room.
        tokio::time::sleep(std::time::Duration::from_millis(1)).await;
    }
}

/// Two greetings in the smallest packets.
const CONTROL_MAX: usize = 32;
/// With data length extension, and how long they take on the slow PHY, µs.
const OCTETS: u16 = 251;
const OCTETS_US: u16 = 2_120;
/// Long enough for a person to turn round, short enough to be back in time.
const SUPERVISION: embassy_time::Duration = embassy_time::Duration::from_millis(2_000);
