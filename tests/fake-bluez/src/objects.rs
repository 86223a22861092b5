//! The objects of `org.bluez` that a central calls.
//!
//! In: calls. Out: what BlueZ would answer. State is in [`Implant`] and [`Adapter`] alone; the objects only show it.

use crate::implant::{Characteristic, Implant};
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering::Relaxed};
use std::time::Duration;
use zbus::object_server::ObjectServer;
use zbus::zvariant::{OwnedFd, OwnedObjectPath, OwnedValue, Value};
use zbus::{Connection, fdo, interface};

/// An adapter, seen by all.
pub(crate) struct Adapter {
    pub(crate) number: usize,
    pub(crate) is_on: AtomicBool,
    pub(crate) searches: AtomicBool,
    /// Times that somebody switched it on who is not the user.
    pub(crate) n_switched_on: AtomicU32,
    pub(crate) implants: Vec<Arc<Implant>>,
}

pub(crate) struct AdapterObject(pub(crate) Arc<Adapter>);

#[interface(name = "org.bluez.Adapter1")]
impl AdapterObject {
    fn set_discovery_filter(&self, _filter: HashMap<String, OwnedValue>) {}

    async fn start_discovery(&self, #[zbus(connection)] bus: &Connection) -> fdo::Result<()> {
        if !self.0.is_on.load(Relaxed) {
            return Err(fdo::Error::Failed("Resource Not Ready".to_string()));
        }
        if self.0.searches.swap(true, Relaxed) {
            return Ok(());
        }
        let (adapter, bus) = (self.0.clone(), bus.clone());
        tokio::spawn(async move {
            // As on air: who is there shows some time after the search has begun.
            while adapter.searches.load(Relaxed) {
                tokio::time::sleep(ADVERTISING).await;
                for implant in adapter.implants.iter().filter(|implant| implant.advertises()) {
                    // The bus may just have gone.
                    let _gone = advertise(&bus, adapter.number, implant).await;
                }
            }
        });
        Ok(())
    }

    fn stop_discovery(&self) {
        self.0.searches.store(false, Relaxed);
    }

    fn remove_device(&self, _device: OwnedObjectPath) {}

    #[zbus(property)]
    fn address(&self) -> String {
        format!("00:11:22:33:44:{:02X}", self.0.number)
    }

    #[zbus(property)]
    fn address_type(&self) -> &str {
        "public"
    }

    #[zbus(property)]
    fn name(&self) -> &str {
        "fake"
    }

    #[zbus(property)]
    fn alias(&self) -> &str {
        "fake"
    }

    #[zbus(property)]
    fn modalias(&self) -> &str {
        "usb:v1D6Bp0246d0542"
    }

    #[zbus(property)]
    fn powered(&self) -> bool {
        self.0.is_on.load(Relaxed)
    }

    #[zbus(property)]
    fn set_powered(&self, is_on: bool) {
        if is_on && !self.0.is_on.swap(true, Relaxed) {
            self.0.n_switched_on.fetch_add(1, Relaxed);
        }
    }

    #[zbus(property)]
    fn discovering(&self) -> bool {
        self.0.searches.load(Relaxed)
    }
}

struct DeviceObject {
    adapter: usize,
    implant: Arc<Implant>,
}

impl DeviceObject {
    fn is_connected(&self) -> bool {
        self.implant.connected_by() == Some(self.adapter)
    }
}

#[interface(name = "org.bluez.Device1")]
impl DeviceObject {
    async fn connect(&self, #[zbus(connection)] bus: &Connection) -> fdo::Result<()> {
        if !self.is_connected() && !self.implant.connect(self.adapter) {
            return Err(fdo::Error::Failed("le-connection-abort-by-local".to_string()));
        }
        let path = device_path(self.adapter, &self.implant);
        add_services(bus.object_server(), &path, &self.implant).await.map_err(failed)?;
        changed(bus, &path, DEVICE, "Connected", true.into()).await.map_err(failed)?;
        changed(bus, &path, DEVICE, "ServicesResolved", true.into()).await.map_err(failed)
    }

    async fn disconnect(&self, #[zbus(connection)] bus: &Connection) -> fdo::Result<()> {
        disconnect(bus, self.adapter, &self.implant).await.map_err(failed)
    }

    #[zbus(property)]
    fn address(&self) -> String {
        self.implant.plan.address.map(|byte| format!("{byte:02X}")).join(":")
    }

    #[zbus(property)]
    fn address_type(&self) -> &str {
        "random"
    }

    #[zbus(property)]
    fn name(&self) -> &str {
        self.implant.plan.name
    }

    #[zbus(property)]
    fn alias(&self) -> &str {
        self.implant.plan.name
    }

    #[zbus(property)]
    fn paired(&self) -> bool {
        false
    }

    #[zbus(property)]
    fn trusted(&self) -> bool {
        false
    }

    #[zbus(property)]
    fn blocked(&self) -> bool {
        false
    }

    #[zbus(property)]
    fn legacy_pairing(&self) -> bool {
        false
    }

    #[zbus(property)]
    fn connected(&self) -> bool {
        self.is_connected()
    }

    #[zbus(property)]
    fn services_resolved(&self) -> bool {
        self.is_connected()
    }

    #[zbus(property, name = "RSSI")]
    fn rssi(&self) -> i16 {
        RSSI_DBM
    }

    #[zbus(property, name = "UUIDs")]
    fn uuids(&self) -> Vec<String> {
        vec![uuid(efference::wire::gatt::SERVICE)]
    }

    #[zbus(property)]
    fn adapter(&self) -> OwnedObjectPath {
        object(&adapter_path(self.adapter))
    }
}

struct ServiceObject(String);

#[interface(name = "org.bluez.GattService1")]
impl ServiceObject {
    #[zbus(property, name = "UUID")]
    fn uuid(&self) -> String {
        uuid(efference::wire::gatt::SERVICE)
    }

    #[zbus(property)]
    fn primary(&self) -> bool {
        true
    }

    #[zbus(property)]
    fn device(&self) -> OwnedObjectPath {
        object(&self.0)
    }
}

struct CharacteristicObject {
    implant: Arc<Implant>,
    which: Characteristic,
    service: String,
}

#[interface(name = "org.bluez.GattCharacteristic1")]
impl CharacteristicObject {
    fn read_value(&self, _options: HashMap<String, OwnedValue>) -> fdo::Result<Vec<u8>> {
        match self.which {
            Characteristic::Version => Ok(vec![self.implant.plan.version]),
            _ => Err(fdo::Error::Failed("Read not permitted".to_string())),
        }
    }

    fn write_value(&self, value: Vec<u8>, options: HashMap<String, OwnedValue>) -> fdo::Result<()> {
        let kind = options.get("type").and_then(|kind| <&str>::try_from(kind).ok());
        let is_taken =
            self.which == Characteristic::Control && kind == Some("request") && self.implant.write(&value);
        is_taken
            .then_some(())
            .ok_or_else(|| fdo::Error::Failed("Operation failed with ATT error".to_string()))
    }

    fn start_notify(&self) {
        self.implant.subscribe(self.which, true);
    }

    fn acquire_notify(&self, _options: HashMap<String, OwnedValue>) -> fdo::Result<(OwnedFd, u16)> {
        let socket = match self.which {
            Characteristic::Data => self.implant.acquire(),
            _ => None,
        };
        let refused = || fdo::Error::NotSupported("Operation is not supported".to_string());
        Ok((socket.ok_or_else(refused)?.into(), self.implant.plan.att_mtu))
    }

    fn stop_notify(&self) {
        self.implant.subscribe(self.which, false);
    }

    #[zbus(property, name = "UUID")]
    fn uuid(&self) -> String {
        uuid(self.which.facts().0)
    }

    #[zbus(property)]
    fn flags(&self) -> Vec<String> {
        self.which.facts().1.iter().map(|flag| (*flag).to_string()).collect()
    }

    #[zbus(property, name = "MTU")]
    fn mtu(&self) -> u16 {
        self.implant.plan.att_mtu
    }

    #[zbus(property)]
    fn service(&self) -> OwnedObjectPath {
        object(&self.service)
    }
}

/// The implant has just been heard by an adapter.
async fn advertise(bus: &Connection, adapter: usize, implant: &Arc<Implant>) -> zbus::Result<()> {
    let path = device_path(adapter, implant);
    let is_new =
        bus.object_server().at(path.as_str(), DeviceObject { adapter, implant: implant.clone() }).await?;
    match is_new {
        true => Ok(()),
        false => changed(bus, &path, DEVICE, "RSSI", RSSI_DBM.into()).await,
    }
}

async fn add_services(objects: &ObjectServer, path: &str, implant: &Arc<Implant>) -> zbus::Result<()> {
    let service = format!("{path}/{SERVICE}");
    objects.at(service.as_str(), ServiceObject(path.to_string())).await?;
    for which in Characteristic::ALL {
        let object = CharacteristicObject { implant: implant.clone(), which, service: service.clone() };
        objects.at(format!("{service}/{}", which.facts().2), object).await?;
    }
    Ok(())
}

/// Ends a connection, as either side does; one that is out of reach is forgotten.
pub(crate) async fn disconnect(bus: &Connection, adapter: usize, implant: &Arc<Implant>) -> zbus::Result<()> {
    let (path, objects) = (device_path(adapter, implant), bus.object_server());
    if implant.connected_by() == Some(adapter) {
        implant.disconnect();
        let service = format!("{path}/{SERVICE}");
        for which in Characteristic::ALL {
            objects.remove::<CharacteristicObject, _>(format!("{service}/{}", which.facts().2)).await?;
        }
        objects.remove::<ServiceObject, _>(service).await?;
        changed(bus, &path, DEVICE, "ServicesResolved", false.into()).await?;
        changed(bus, &path, DEVICE, "Connected", false.into()).await?;
    }
    // BlueZ forgets who isn't paired some time after it was last heard; here it does at once.
    let bus = bus.clone();
    tokio::spawn(async move { bus.object_server().remove::<DeviceObject, _>(path).await });
    Ok(())
}

/// Says that a property has changed.
pub(crate) async fn changed(
    bus: &Connection,
    path: &str,
    interface: &str,
    property: &str,
    value: Value<'_>,
) -> zbus::Result<()> {
    let changed: HashMap<&str, Value<'_>> = [(property, value)].into();
    let body = (interface, changed, Vec::<&str>::new());
    bus.emit_signal(None::<&str>, path, "org.freedesktop.DBus.Properties", "PropertiesChanged", &body).await
}

/// Gives a notification to whoever listens.
pub(crate) async fn notify(
    bus: &Connection,
    adapter: usize,
    implant: &Implant,
    which: Characteristic,
    value: Vec<u8>,
) -> zbus::Result<()> {
    if implant.sends_by_socket(which, &value) {
        return Ok(());
    }
    let path = format!("{}/{SERVICE}/{}", device_path(adapter, implant), which.facts().2);
    changed(bus, &path, "org.bluez.GattCharacteristic1", "Value", value.into()).await
}

pub(crate) fn adapter_path(number: usize) -> String {
    format!("/org/bluez/hci{number}")
}

fn device_path(adapter: usize, implant: &Implant) -> String {
    let address = implant.plan.address.map(|byte| format!("{byte:02X}")).join("_");
    format!("{}/dev_{address}", adapter_path(adapter))
}

fn object(path: &str) -> OwnedObjectPath {
    path.try_into().expect("paths are made of names that are legal in them")
}

fn uuid(number: u128) -> String {
    efference::sources::ble::Peer::Known(number).to_string()
}

fn failed(error: zbus::Error) -> fdo::Error {
    fdo::Error::Failed(error.to_string())
}

pub(crate) const ADAPTER: &str = "org.bluez.Adapter1";
const DEVICE: &str = "org.bluez.Device1";
const SERVICE: &str = "service0010";
const RSSI_DBM: i16 = -50;
/// Between two advertisements.
const ADVERTISING: Duration = Duration::from_millis(20);
