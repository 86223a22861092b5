//! From an implant within reach to one that is connected and sends.
//!
//! In: a peripheral. Out: an [`Open`] connection: notifications, and where to write. Guarantees a limit of time for each
//! step, and that nothing is written to a device that speaks another version of the link.

use super::find::{CALL, Fault, within};
use super::socket::Socket;
use crate::wire::gatt;
use crate::wire::packet::VERSION;
use btleplug::api::{Characteristic, ConnectionParameters, Peripheral as _, ValueNotification};
use btleplug::platform::Peripheral;
use futures_util::stream::Stream;
use std::collections::BTreeSet;
use std::pin::Pin;
use std::time::Duration;
use uuid::Uuid;

/// A connection whose notifications are on.
pub(super) struct Open {
    /// Of control and telemetry, and of data where there is no socket.
    pub(super) notifications: Pin<Box<dyn Stream<Item = ValueNotification> + Send>>,
    /// Of data, where the system has one.
    pub(super) socket: Option<Socket>,
    pub(super) control: Characteristic,
    pub(super) att_mtu: u16,
    pub(super) parameters: Option<ConnectionParameters>,
}

/// Connects and subscribes. With `signals`, no socket is asked for.
pub(super) async fn open(implant: &Peripheral, signals: bool) -> Result<Open, Fault> {
    let characteristics = connect(implant).await?;
    match version(implant, &characteristics).await {
        Some(VERSION) => {}
        other => return Err(Fault::Version(other)),
    }
    let of = |uuid: u128| {
        let found = characteristics.iter().find(|own| own.uuid == Uuid::from_u128(uuid)).cloned();
        found.ok_or_else(|| Fault::Standing("its service lacks a characteristic of the link".to_string()))
    };
    let control = of(gatt::CONTROL)?;
    // First the stream, then the subscriptions: the first notification may come before the answer.
    let notifications = within(CALL, "asking for notifications", implant.notifications()).await?;
    let (data, telemetry) = (of(gatt::DATA)?, of(gatt::TELEMETRY)?);
    let socket = match signals {
        true => None,
        false => {
            // Asking takes two calls and an exchange by radio; where it fails, nothing has changed.
            let device = implant.id().to_string();
            tokio::time::timeout(STEP, Socket::open(&device, data.uuid)).await.ok().flatten()
        }
    };
    for sends in [socket.is_none().then_some(&data), Some(&control), Some(&telemetry)].into_iter().flatten() {
        within(STEP, "subscribing", implant.subscribe(sends)).await?;
    }
    // BlueZ tells none.
    let parameters = within(CALL, "asking for the interval", implant.connection_parameters()).await;
    Ok(Open { notifications, socket, control, att_mtu: implant.mtu(), parameters: parameters.ok().flatten() })
}

/// Connects; the characteristics of the link's service.
pub(super) async fn connect(implant: &Peripheral) -> Result<BTreeSet<Characteristic>, Fault> {
    within(CONNECT, "connecting", implant.connect()).await?;
    within(DISCOVER, "asking for its services", implant.discover_services()).await?;
    let service = implant.services().into_iter().find(|own| own.uuid == Uuid::from_u128(gatt::SERVICE));
    let none = || Fault::Standing("it doesn't have the link's service".to_string());
    service.map(|service| service.characteristics).ok_or_else(none)
}

/// The version of the link that it speaks, if it tells.
pub(super) async fn version(implant: &Peripheral, characteristics: &BTreeSet<Characteristic>) -> Option<u8> {
    let own = characteristics.iter().find(|own| own.uuid == Uuid::from_u128(gatt::VERSION))?;
    let value = within(STEP, "asking for its version", implant.read(own)).await.ok()?;
    value.first().copied()
}

/// Lets go of a connection, whatever the system says to it.
pub(super) async fn close(implant: &Peripheral) {
    let _gone = within(CLOSE, "disconnecting", implant.disconnect()).await;
}

/// How long an implant may take to advertise and be connected; on Linux its services are found in this time too.
const CONNECT: Duration = Duration::from_secs(10);
/// Some systems take half a minute where a device answers badly; connecting anew is quicker.
const DISCOVER: Duration = Duration::from_secs(5);
/// How long one exchange by radio may take.
const STEP: Duration = Duration::from_secs(3);
const CLOSE: Duration = Duration::from_secs(1);
