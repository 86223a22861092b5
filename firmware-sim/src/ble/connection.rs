//! One connection, from the host's arrival to its going.
//!
//! In: what the host writes. Out: packets of the implant, each on the characteristic of its [`Lane`].

use super::carrier::{Carrier, Control, indicate, send};
use super::gatt::Handles;
use super::serve::Desk;
use bt_hci::cmd::le::{LeReadLocalSupportedFeatures, LeSetDataLength, LeSetPhy};
use bt_hci::controller::{ControllerCmdAsync, ControllerCmdSync};
use efference::wire::gatt::packet_max;
use efference_firmware::link::Lane;
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
    let carrier = Attributes { handles, connection };
    let asking = async {
        ask(desk, stack, connection).await;
        send(desk, &carrier, &control).await;
    };
    tokio::select! {
        () = hear(desk, handles, connection) => {}
        () = asking => {}
        () = indicate(desk, &carrier, &control) => {}
    }
}

/// TrouBLE's end of a connection.
struct Attributes<'a, 'stack, 'server, P: PacketPool> {
    handles: &'a Handles,
    connection: &'a GattConnection<'stack, 'server, P>,
}

impl<P: PacketPool> Carrier for Attributes<'_, '_, '_, P> {
    fn is_heard(&self) -> bool {
        // Whether acknowledgements are listened to can't be asked of TrouBLE 0.8; a host that misses one asks again.
        self.handles.data.should_notify(self.connection)
    }

    fn packet_max(&self) -> usize {
        packet_max(self.connection.raw().att_mtu())
    }

    async fn notify(&self, lane: Lane, packet: &[u8]) -> bool {
        let characteristic =
            if lane == Lane::Telemetry { &self.handles.telemetry } else { &self.handles.data };
        characteristic.notify_raw(self.connection, packet, false).await.is_ok()
    }

    async fn indicate(&self, packet: &[u8]) -> bool {
        self.handles.control.indicate_raw(self.connection, packet, false).await.is_ok()
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

/// With data length extension, and how long they take on the slow PHY, µs.
const OCTETS: u16 = 251;
const OCTETS_US: u16 = 2_120;
/// Long enough for a person to turn round, short enough to be back in time.
const SUPERVISION: embassy_time::Duration = embassy_time::Duration::from_millis(2_000);
