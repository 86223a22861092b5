//! What is asked of BlueZ, and what its refusals mean.
//!
//! In: a bus, an adapter's name. Out: the adapter's state; [`Fault`]s in words. Guarantees a limit of time for each call.

use super::objects::{ADVERTISEMENT, ROOT};
use efference::Error;
use serde::Serialize;
use std::collections::{BTreeMap, HashMap};
use std::time::Duration;
use zbus::zvariant::{DynamicType, ObjectPath, OwnedObjectPath, OwnedValue, Value};
use zbus::{Connection, Message};

/// Why the implant isn't served.
#[derive(Debug)]
pub(super) struct Fault {
    pub(super) error: Error,
    /// It is worth waiting, even where the implant has never been served.
    pub(super) may_pass: bool,
}

impl From<Error> for Fault {
    fn from(error: Error) -> Self {
        Fault { error, may_pass: false }
    }
}

/// The system's bus; `DBUS_SYSTEM_BUS_ADDRESS` may name another.
pub(super) async fn system_bus() -> Result<Connection, Fault> {
    let connecting = async { zbus::connection::Builder::system()?.build().await };
    let connected = tokio::time::timeout(CALL, connecting).await;
    let failed = |why: String| {
        Error::usage(PLACE, format!("the system's bus can't be reached ({why})"))
            .hint("a running dbus; in a container, hand /run/dbus in")
    };
    match connected {
        Ok(Ok(bus)) => Ok(bus),
        Ok(Err(error)) => Err(failed(error.to_string()).into()),
        Err(_) => Err(failed("no answer".to_string()).into()),
    }
}

/// An adapter that can be a peripheral.
pub(super) struct Adapter<'a> {
    bus: &'a Connection,
    path: OwnedObjectPath,
    /// The `org.bluez` that it was found in.
    owner: String,
}

type Interfaces = HashMap<String, HashMap<String, OwnedValue>>;

impl<'a> Adapter<'a> {
    /// Looks for it: `hciN`, or the first one. The second value is its alias.
    pub(super) async fn find(
        bus: &'a Connection,
        wanted: Option<&str>,
        name: &str,
    ) -> Result<(Self, String), Fault> {
        let objects = call(bus, "/", "org.freedesktop.DBus.ObjectManager", "GetManagedObjects", &()).await;
        let objects: HashMap<OwnedObjectPath, Interfaces> = objects
            .and_then(|answer| answer.body().deserialize())
            .map_err(|error| refused("asking for adapters", &error))?;
        // In an order that doesn't differ from run to run.
        let objects: BTreeMap<String, (OwnedObjectPath, Interfaces)> =
            objects.into_iter().map(|(path, own)| (path.to_string(), (path, own))).collect();
        let owner = owner(bus).await.map_err(|error| refused("asking who answers", &error))?;
        let adapters: Vec<_> = objects.values().filter(|(_, own)| own.contains_key(ADAPTER)).collect();
        let short = |path: &OwnedObjectPath| path.as_str().rsplit('/').next().unwrap_or_default().to_string();
        let found = adapters.iter().find(|(path, _)| wanted.is_none_or(|wanted| short(path) == wanted));
        let Some((path, interfaces)) = found else {
            let there: Vec<String> = adapters.iter().map(|(path, _)| short(path)).collect();
            let text =
                wanted.map_or("no Bluetooth adapter".to_string(), |wanted| format!("no adapter {wanted}"));
            let error = Error::usage(PLACE, text).hint("bluetoothctl list; dmesg | grep -i blue");
            let error = if there.is_empty() { error } else { error.legal(there.join(", ")) };
            return Err(error.into());
        };
        let shown = short(path);
        for needed in [GATT, ADVERTISING] {
            // An adapter that is off has neither in some versions of BlueZ.
            if !interfaces.contains_key(needed) && is_true(interfaces, ADAPTER, "Powered") {
                let error = Error::usage(PLACE, format!("{shown} can't be a peripheral (no {needed})"))
                    .hint("another adapter; BlueZ 5.48 or later");
                return Err(error.into());
            }
        }
        if !is_true(interfaces, ADAPTER, "Powered") {
            let error = Error::usage(PLACE, format!("{shown} is switched off"))
                .hint("rfkill unblock bluetooth; bluetoothctl power on");
            return Err(Fault { error, may_pass: true });
        }
        let own: Vec<&str> =
            adapters.iter().filter_map(|(_, interfaces)| text(interfaces, ADAPTER, "Address")).collect();
        // Whoever is heard now or connected, and isn't one of ours.
        let other = objects.values().find_map(|(_, interfaces)| {
            let is_near =
                interfaces.get(REMOTE)?.contains_key("RSSI") || is_true(interfaces, REMOTE, "Connected");
            let address = text(interfaces, REMOTE, "Address")?;
            let is_other = text(interfaces, REMOTE, "Name")? == name && is_near && !own.contains(&address);
            is_other.then_some(address)
        });
        if let Some(address) = other {
            let error =
                Error::usage("--name", format!("`{name}` is the name of another device here, {address}"))
                    .hint("another name; hosts would take one for the other");
            return Err(error.into());
        }
        let alias = text(interfaces, ADAPTER, "Alias").unwrap_or_default().to_string();
        Ok((Adapter { bus, path: path.clone(), owner }, alias))
    }

    /// The adapter's object.
    pub(super) fn path(&self) -> &OwnedObjectPath {
        &self.path
    }

    /// Registers services and advertisement.
    pub(super) async fn register(&self) -> Result<(), Fault> {
        let none: HashMap<&str, Value<'_>> = HashMap::new();
        let object = |path: &'static str| ObjectPath::from_static_str_unchecked(path);
        let path = self.path.as_str();
        call(self.bus, path, GATT, "RegisterApplication", &(object(ROOT), &none))
            .await
            .map_err(|error| refused("registering the services", &error))?;
        call(self.bus, path, ADVERTISING, "RegisterAdvertisement", &(object(ADVERTISEMENT), &none))
            .await
            .map_err(|error| refused("advertising", &error))?;
        Ok(())
    }

    /// Whether the service is still the same and the adapter on.
    pub(super) async fn check(&self) -> Result<(), Fault> {
        let passing = |text: String| Fault { error: Error::usage(PLACE, text), may_pass: true };
        match owner(self.bus).await {
            Ok(now) if now == self.owner => {}
            _ => return Err(passing("BlueZ has ended or started anew".to_string())),
        }
        let asked = call(self.bus, self.path.as_str(), PROPERTIES, "Get", &(ADAPTER, "Powered")).await;
        let answer = asked.and_then(|answer| answer.body().deserialize::<OwnedValue>());
        match answer.map(|value| bool::try_from(value).unwrap_or(false)) {
            Ok(true) => Ok(()),
            Ok(false) => Err(passing("the adapter was switched off".to_string())),
            Err(error) => Err(passing(format!("the adapter is gone ({error})"))),
        }
    }
}

/// Calls the adapter by a name, for those who ask a connected device for its own.
pub(super) async fn set_alias(bus: &Connection, adapter: &OwnedObjectPath, alias: &str) -> zbus::Result<()> {
    call(bus, adapter.as_str(), PROPERTIES, "Set", &(ADAPTER, "Alias", Value::from(alias))).await.map(drop)
}

/// Lets go of a host.
pub(super) async fn disconnect(bus: &Connection, device: &OwnedObjectPath) {
    // It may be gone.
    let _gone = call(bus, device.as_str(), REMOTE, "Disconnect", &()).await;
}

async fn owner(bus: &Connection) -> zbus::Result<String> {
    let answer = timed(bus.call_method(
        Some("org.freedesktop.DBus"),
        "/org/freedesktop/DBus",
        Some("org.freedesktop.DBus"),
        "GetNameOwner",
        &BLUEZ,
    ));
    answer.await?.body().deserialize()
}

async fn call<B>(
    bus: &Connection,
    path: &str,
    interface: &str,
    member: &str,
    body: &B,
) -> zbus::Result<Message>
where
    B: Serialize + DynamicType,
{
    timed(bus.call_method(Some(BLUEZ), path, Some(interface), member, body)).await
}

async fn timed(calling: impl Future<Output = zbus::Result<Message>>) -> zbus::Result<Message> {
    let in_time = tokio::time::timeout(CALL, calling).await;
    in_time.unwrap_or_else(|_| Err(zbus::Error::Failure(format!("no answer in {} s", CALL.as_secs()))))
}

/// What a refusal means.
fn refused(doing: &str, error: &zbus::Error) -> Fault {
    let (kind, text) = match error {
        zbus::Error::MethodError(name, text, _) => {
            (name.as_str().to_string(), text.clone().unwrap_or_default())
        }
        other => (String::new(), other.to_string()),
    };
    let last = kind.rsplit('.').next().unwrap_or_default();
    let told = |what: &str| Error::usage(PLACE, format!("{doing}: {what} ({last}: {text})"));
    let error = match last {
        "AccessDenied" | "NotAuthorized" => {
            told("no permission").hint("as root, or as a member of the group bluetooth")
        }
        "ServiceUnknown" | "NameHasNoOwner" => told("BlueZ doesn't run").hint("systemctl start bluetooth"),
        "NotPermitted" | "InProgress" | "AlreadyExists" => {
            told("the adapter is busy").hint("end the other program that advertises; another adapter")
        }
        "NotReady" => return Fault { error: told("the adapter isn't ready"), may_pass: true },
        "InvalidLength" => told("the name is too long").hint("a shorter --name"),
        _ => Error::usage(PLACE, format!("{doing}: {error}")),
    };
    error.into()
}

fn text<'a>(interfaces: &'a Interfaces, interface: &str, property: &str) -> Option<&'a str> {
    interfaces.get(interface)?.get(property).and_then(|value| <&str>::try_from(value).ok())
}

fn is_true(interfaces: &Interfaces, interface: &str, property: &str) -> bool {
    let value = interfaces.get(interface).and_then(|own| own.get(property));
    value.and_then(|value| bool::try_from(value).ok()).unwrap_or(false)
}

const PLACE: &str = "--ble";
const BLUEZ: &str = "org.bluez";
const ADAPTER: &str = "org.bluez.Adapter1";
const REMOTE: &str = "org.bluez.Device1";
const GATT: &str = "org.bluez.GattManager1";
const ADVERTISING: &str = "org.bluez.LEAdvertisingManager1";
const PROPERTIES: &str = "org.freedesktop.DBus.Properties";
const CALL: Duration = Duration::from_secs(10);
