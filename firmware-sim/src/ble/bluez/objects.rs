//! What BlueZ finds of the implant on the bus: services, characteristics, an advertisement.
//!
//! In: calls of bluetoothd. Out: [`Event`]s for the implant's thread, and sockets for notifications. Guarantees: nothing is
//! decided here; a write is answered when it has been handed on, one at a time.

use super::super::gatt::{
    BATTERY, BATTERY_LEVEL, DEVICE_INFORMATION, FIRMWARE, MADE_BY, MANUFACTURER, MODEL,
};
use efference::wire::gatt;
use rustix::net::{AddressFamily, SocketFlags, SocketType, socketpair};
use std::collections::HashMap;
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use tokio::sync::mpsc::UnboundedSender;
use zbus::zvariant::{OwnedFd, OwnedObjectPath, OwnedValue};
use zbus::{fdo, interface};

/// What a host did.
pub(super) enum Event {
    /// It has written to the control characteristic.
    Written(Vec<u8>),
    /// It listens to data (or telemetry) from now on.
    Listens { is_data: bool, socket: UnixStream, att_mtu: u16, device: Option<OwnedObjectPath> },
    /// It listens to greetings and acknowledgements, or doesn't any more.
    ListensToControl(bool),
    /// It has confirmed the last indication.
    Confirmed,
    /// BlueZ advertises no more.
    Released,
}

/// What the objects share.
#[derive(Clone)]
pub(super) struct Shared {
    pub(super) events: UnboundedSender<Event>,
    /// Percent.
    pub(super) battery: Arc<AtomicU8>,
}

impl Shared {
    fn tell(&self, event: Event) {
        // The implant may be ending.
        let _heard = self.events.send(event);
    }
}

/// A service.
pub(super) struct Service(pub(super) String);

#[interface(name = "org.bluez.GattService1")]
impl Service {
    #[zbus(property, name = "UUID")]
    fn uuid(&self) -> &str {
        &self.0
    }

    #[zbus(property)]
    fn primary(&self) -> bool {
        true
    }
}

/// A characteristic that notifies through a socket: data, telemetry.
pub(super) struct Streamed {
    pub(super) is_data: bool,
    pub(super) shared: Shared,
}

#[interface(name = "org.bluez.GattCharacteristic1")]
impl Streamed {
    fn acquire_notify(&self, options: HashMap<String, OwnedValue>) -> fdo::Result<(OwnedFd, u16)> {
        let failed = |error: std::io::Error| fdo::Error::Failed(error.to_string());
        let att_mtu = options.get("mtu").and_then(|mtu| u16::try_from(mtu).ok()).unwrap_or(ATT_MTU_MIN);
        let device = options.get("device").and_then(|device| device.try_clone().ok());
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        // Packets keep their edges, and each end sees when the other goes.
        let pair = socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, flags, None);
        let (socket, theirs) = pair.map_err(|error| failed(error.into()))?;
        let device = device.and_then(|device| OwnedObjectPath::try_from(device).ok());
        self.shared.tell(Event::Listens { is_data: self.is_data, socket: socket.into(), att_mtu, device });
        Ok((theirs.into(), att_mtu))
    }

    #[zbus(property, name = "UUID")]
    fn uuid(&self) -> String {
        uuid(if self.is_data { gatt::DATA } else { gatt::TELEMETRY })
    }

    #[zbus(property)]
    fn service(&self) -> OwnedObjectPath {
        path(SERVICE)
    }

    #[zbus(property)]
    fn flags(&self) -> Vec<&str> {
        vec!["notify"]
    }

    /// That it is there at all makes BlueZ ask for a socket.
    #[zbus(property)]
    fn notify_acquired(&self) -> bool {
        false
    }
}

/// The control characteristic, whose indications are signals on the bus: BlueZ tells of their confirmation.
pub(super) struct Control(pub(super) Shared);

#[interface(name = "org.bluez.GattCharacteristic1")]
impl Control {
    fn write_value(&self, value: Vec<u8>, _options: HashMap<String, OwnedValue>) {
        self.0.tell(Event::Written(value));
    }

    fn start_notify(&self) {
        self.0.tell(Event::ListensToControl(true));
    }

    fn stop_notify(&self) {
        self.0.tell(Event::ListensToControl(false));
    }

    fn confirm(&self) {
        self.0.tell(Event::Confirmed);
    }

    #[zbus(property, name = "UUID")]
    fn uuid(&self) -> String {
        uuid(gatt::CONTROL)
    }

    #[zbus(property)]
    fn service(&self) -> OwnedObjectPath {
        path(SERVICE)
    }

    #[zbus(property)]
    fn flags(&self) -> Vec<&str> {
        vec!["write", "indicate"]
    }
}

/// A characteristic that is read.
pub(super) struct Readable {
    pub(super) uuid: String,
    pub(super) service: &'static str,
    pub(super) value: Value,
}

/// What stands in it.
pub(super) enum Value {
    Fixed(Vec<u8>),
    Battery(Shared),
}

#[interface(name = "org.bluez.GattCharacteristic1")]
impl Readable {
    fn read_value(&self, options: HashMap<String, OwnedValue>) -> Vec<u8> {
        let offset = options.get("offset").and_then(|offset| u16::try_from(offset).ok()).unwrap_or(0);
        let value = match &self.value {
            Value::Fixed(bytes) => bytes.clone(),
            Value::Battery(shared) => vec![shared.battery.load(Ordering::Relaxed)],
        };
        value.get(usize::from(offset)..).unwrap_or_default().to_vec()
    }

    #[zbus(property, name = "UUID")]
    fn uuid(&self) -> &str {
        &self.uuid
    }

    #[zbus(property)]
    fn service(&self) -> OwnedObjectPath {
        path(self.service)
    }

    #[zbus(property)]
    fn flags(&self) -> Vec<&str> {
        vec!["read"]
    }
}

/// What is advertised.
pub(super) struct Advertised {
    pub(super) name: String,
    pub(super) shared: Shared,
}

#[interface(name = "org.bluez.LEAdvertisement1")]
impl Advertised {
    fn release(&self) {
        self.shared.tell(Event::Released);
    }

    #[zbus(property, name = "Type")]
    fn kind(&self) -> &str {
        "peripheral"
    }

    #[zbus(property, name = "ServiceUUIDs")]
    fn service_uuids(&self) -> Vec<String> {
        vec![uuid(gatt::SERVICE)]
    }

    #[zbus(property)]
    fn local_name(&self) -> &str {
        &self.name
    }

    #[zbus(property)]
    fn discoverable(&self) -> bool {
        true
    }

    /// ms; passed over by a BlueZ that leaves it to the kernel, whose own is 1.28 s.
    #[zbus(property)]
    fn min_interval(&self) -> u32 {
        ADVERTISING_MS
    }

    #[zbus(property)]
    fn max_interval(&self) -> u32 {
        ADVERTISING_MS
    }
}

/// Puts the services, without advertisement, on a bus.
pub(super) async fn add(bus: &zbus::Connection, shared: &Shared, model: &str) -> zbus::Result<()> {
    let objects = bus.object_server();
    objects.at(ROOT, fdo::ObjectManager).await?;
    objects.at(SERVICE, Service(uuid(gatt::SERVICE))).await?;
    for (at, is_data) in [(DATA, true), (TELEMETRY, false)] {
        objects.at(at, Streamed { is_data, shared: shared.clone() }).await?;
    }
    objects.at(CONTROL, Control(shared.clone())).await?;
    let version = Value::Fixed(vec![efference::wire::packet::VERSION]);
    objects.at(VERSION, Readable { uuid: uuid(gatt::VERSION), service: SERVICE, value: version }).await?;
    objects.at(POWER, Service(short(BATTERY))).await?;
    let level =
        Readable { uuid: short(BATTERY_LEVEL), service: POWER, value: Value::Battery(shared.clone()) };
    objects.at(LEVEL, level).await?;
    objects.at(DEVICE, Service(short(DEVICE_INFORMATION))).await?;
    let told = [(MANUFACTURER, MADE_BY), (MODEL, model), (FIRMWARE, env!("CARGO_PKG_VERSION"))];
    for (at, (number, text)) in told.into_iter().enumerate() {
        let value = Value::Fixed(text.as_bytes().to_vec());
        let readable = Readable { uuid: short(number), service: DEVICE, value };
        objects.at(format!("{DEVICE}/char{at}"), readable).await?;
    }
    Ok(())
}

fn path(text: &'static str) -> OwnedObjectPath {
    zbus::zvariant::ObjectPath::from_static_str_unchecked(text).into()
}

fn uuid(number: u128) -> String {
    efference::sources::ble::Peer::Known(number).to_string()
}

/// Of the Bluetooth SIG's.
fn short(number: u16) -> String {
    uuid(u128::from(number) << 96 | 0x1000_8000_0080_5f9b_34fb)
}

/// Of the application.
pub(super) const ROOT: &str = "/org/efference/implant";
pub(super) const ADVERTISEMENT: &str = "/org/efference/advertisement";
/// Whose signals are indications.
pub(super) const CONTROL: &str = "/org/efference/implant/link/control";
const SERVICE: &str = "/org/efference/implant/link";
const DATA: &str = "/org/efference/implant/link/data";
const TELEMETRY: &str = "/org/efference/implant/link/telemetry";
const VERSION: &str = "/org/efference/implant/link/version";
const POWER: &str = "/org/efference/implant/battery";
const LEVEL: &str = "/org/efference/implant/battery/level";
const DEVICE: &str = "/org/efference/implant/device";
const ATT_MTU_MIN: u16 = 23;
const ADVERTISING_MS: u32 = 60;
