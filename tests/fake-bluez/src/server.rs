//! The other half of `org.bluez`: an adapter on which a program registers an implant of its own, and a host beyond it.
//!
//! In: a bus's address, what is wrong. Out: whatever the program registered, called as bluetoothd calls it when a host is
//! connected. Guarantees: an indication is confirmed only when the test says so; one registration at a time.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;
use tokio::sync::mpsc;
use zbus::message::Type;
use zbus::names::OwnedUniqueName;
use zbus::zvariant::{OwnedFd, OwnedObjectPath, OwnedValue, Value};
use zbus::{Connection, MatchRule, MessageStream, connection, fdo, interface, message::Header};

/// What is wrong with the adapter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wrong {
    /// Nothing.
    Nothing,
    /// There is none.
    NoAdapter,
    /// It is switched off.
    Off,
    /// Nobody may register anything.
    Forbidden,
    /// Somebody else advertises.
    Busy,
    /// A device of that name is near.
    NameTaken(&'static str),
}

/// What a program has registered: who it is on the bus, and where its objects are.
#[derive(Clone, Debug)]
pub struct Registered {
    /// The program.
    pub owner: OwnedUniqueName,
    /// Properties of all objects, by path and interface.
    pub objects: Objects,
    /// Properties of the advertisement.
    pub advertisement: HashMap<String, OwnedValue>,
}

type Objects = HashMap<OwnedObjectPath, HashMap<String, HashMap<String, OwnedValue>>>;

/// A running `org.bluez` with the adapter `hci0`.
pub struct Server {
    bus: Connection,
    is_on: Arc<AtomicBool>,
    registrations: mpsc::UnboundedReceiver<(OwnedUniqueName, Option<String>)>,
}

impl Server {
    /// Starts it on a bus.
    ///
    /// # Errors
    /// If the bus can't be reached.
    pub async fn start(address: &str, wrong: Wrong) -> zbus::Result<Self> {
        let is_on = Arc::new(AtomicBool::new(wrong != Wrong::Off));
        let (tell, registrations) = mpsc::unbounded_channel();
        let mut builder = connection::Builder::address(address)?.serve_at("/", fdo::ObjectManager)?;
        if wrong != Wrong::NoAdapter {
            let path: &str = "/org/bluez/hci0";
            builder = builder
                .serve_at(path, Adapter { is_on: is_on.clone(), alias: "host".to_string() })?
                .serve_at(path, Services { wrong, tell: tell.clone() })?
                .serve_at(path, Advertising { wrong, tell })?;
            if let Wrong::NameTaken(name) = wrong {
                builder = builder.serve_at(format!("{path}/dev_F0"), Device(name))?;
            }
        }
        let bus = builder.name("org.bluez")?.build().await?;
        Ok(Server { bus, is_on, registrations })
    }

    /// What is registered next, with an advertisement.
    ///
    /// # Errors
    /// If its objects can't be asked for.
    ///
    /// # Panics
    /// If nothing is registered in time.
    pub async fn registered(&mut self) -> zbus::Result<Registered> {
        let mut root = None;
        loop {
            let next = tokio::time::timeout(PATIENCE, self.registrations.recv()).await;
            match next.expect("something is registered in time").expect("the service runs") {
                (_, Some(path)) => root = Some(path),
                (owner, None) => {
                    let root = root.take().expect("services come first");
                    let call = self.bus.call_method(
                        Some(owner.clone()),
                        root,
                        Some("org.freedesktop.DBus.ObjectManager"),
                        "GetManagedObjects",
                        &(),
                    );
                    let objects = call.await?.body().deserialize()?;
                    let path = "/org/efference/advertisement";
                    let properties = Some("org.freedesktop.DBus.Properties");
                    let all = ("org.bluez.LEAdvertisement1",);
                    let call = self.bus.call_method(Some(owner.clone()), path, properties, "GetAll", &all);
                    let advertisement = call.await?.body().deserialize()?;
                    return Ok(Registered { owner, objects, advertisement });
                }
            }
        }
    }

    /// The user switches the adapter.
    pub fn power(&self, is_on: bool) {
        self.is_on.store(is_on, Relaxed);
    }

    /// Ends it.
    ///
    /// # Errors
    /// If the bus is gone.
    pub async fn vanish(self) -> zbus::Result<()> {
        self.bus.close().await
    }

    /// Calls a characteristic of the program.
    ///
    /// # Errors
    /// As it answers.
    pub async fn call<B>(
        &self,
        of: &Registered,
        uuid: u128,
        member: &str,
        body: &B,
    ) -> zbus::Result<zbus::Message>
    where
        B: serde::Serialize + zbus::zvariant::DynamicType,
    {
        let path = of.path(uuid).ok_or_else(|| zbus::Error::Failure(format!("{uuid:x} isn't registered")))?;
        self.bus.call_method(Some(of.owner.clone()), path, Some(CHARACTERISTIC), member, body).await
    }

    /// A host listens to a characteristic that has a socket.
    ///
    /// # Errors
    /// As it answers.
    pub async fn acquire(
        &self,
        of: &Registered,
        uuid: u128,
        att_mtu: u16,
    ) -> zbus::Result<std::os::fd::OwnedFd> {
        let options: HashMap<&str, Value<'_>> = [("mtu", att_mtu.into())].into();
        let answer = self.call(of, uuid, "AcquireNotify", &(options,)).await?;
        let (socket, _): (OwnedFd, u16) = answer.body().deserialize()?;
        Ok(socket.into())
    }

    /// Signals of the control characteristic: its indications.
    ///
    /// # Errors
    /// If the bus is gone.
    pub async fn indications(&self, of: &Registered) -> zbus::Result<MessageStream> {
        let path = of.path(efference::wire::gatt::CONTROL).expect("it is registered").clone();
        let rule = MatchRule::builder()
            .msg_type(Type::Signal)
            .sender(of.owner.clone())?
            .path(path)?
            .member("PropertiesChanged")?
            .build();
        MessageStream::for_match_rule(rule, &self.bus, None).await
    }
}

impl Registered {
    /// Where the characteristic is.
    #[must_use]
    pub fn path(&self, uuid: u128) -> Option<&OwnedObjectPath> {
        let wanted = efference::sources::ble::Peer::Known(uuid).to_string();
        let is_it = |interfaces: &HashMap<String, HashMap<String, OwnedValue>>| {
            let uuid = interfaces.get(CHARACTERISTIC).and_then(|own| own.get("UUID"));
            uuid.and_then(|uuid| <&str>::try_from(uuid).ok()) == Some(&wanted)
        };
        self.objects.keys().find(|path| self.objects.get(*path).is_some_and(is_it))
    }
}

/// The value of an indication.
///
/// # Errors
/// A signal that isn't one.
pub fn indicated(signal: &zbus::Message) -> zbus::Result<Vec<u8>> {
    let (_, mut changed, _): (String, HashMap<String, OwnedValue>, Vec<String>) =
        signal.body().deserialize()?;
    let value = changed.remove("Value").ok_or_else(|| zbus::Error::Failure("no value".to_string()))?;
    Ok(Vec::<u8>::try_from(value)?)
}

struct Adapter {
    is_on: Arc<AtomicBool>,
    alias: String,
}

#[interface(name = "org.bluez.Adapter1")]
impl Adapter {
    #[zbus(property)]
    fn address(&self) -> &str {
        "00:11:22:33:44:00"
    }

    #[zbus(property)]
    fn powered(&self) -> bool {
        self.is_on.load(Relaxed)
    }

    #[zbus(property)]
    fn alias(&self) -> &str {
        &self.alias
    }

    #[zbus(property)]
    fn set_alias(&mut self, alias: String) {
        self.alias = alias;
    }
}

struct Services {
    wrong: Wrong,
    tell: mpsc::UnboundedSender<(OwnedUniqueName, Option<String>)>,
}

#[interface(name = "org.bluez.GattManager1")]
impl Services {
    fn register_application(
        &self,
        application: OwnedObjectPath,
        _options: HashMap<String, OwnedValue>,
        #[zbus(header)] header: Header<'_>,
    ) -> fdo::Result<()> {
        if self.wrong == Wrong::Forbidden {
            return Err(fdo::Error::AccessDenied("Rejected send message".to_string()));
        }
        tell(&self.tell, &header, Some(application.to_string()))
    }
}

struct Advertising {
    wrong: Wrong,
    tell: mpsc::UnboundedSender<(OwnedUniqueName, Option<String>)>,
}

/// As BlueZ calls it.
#[derive(Debug, zbus::DBusError)]
#[zbus(prefix = "org.bluez.Error")]
enum Refusal {
    #[zbus(error)]
    ZBus(zbus::Error),
    NotPermitted(String),
}

#[interface(name = "org.bluez.LEAdvertisingManager1")]
impl Advertising {
    fn register_advertisement(
        &self,
        _advertisement: OwnedObjectPath,
        _options: HashMap<String, OwnedValue>,
        #[zbus(header)] header: Header<'_>,
    ) -> Result<(), Refusal> {
        if self.wrong == Wrong::Busy {
            return Err(Refusal::NotPermitted("Maximum advertisements reached".to_string()));
        }
        tell(&self.tell, &header, None).map_err(|error| Refusal::NotPermitted(error.to_string()))
    }
}

fn tell(
    to: &mpsc::UnboundedSender<(OwnedUniqueName, Option<String>)>,
    header: &Header<'_>,
    services: Option<String>,
) -> fdo::Result<()> {
    let owner = header.sender().ok_or_else(|| fdo::Error::Failed("nobody".to_string()))?;
    // A test that has ended doesn't look.
    let _heard = to.send((owner.to_owned().into(), services));
    Ok(())
}

/// Somebody near.
struct Device(&'static str);

#[interface(name = "org.bluez.Device1")]
impl Device {
    #[zbus(property)]
    fn address(&self) -> &str {
        "F0:F1:F2:F3:F4:F5"
    }

    #[zbus(property)]
    fn name(&self) -> &str {
        self.0
    }

    #[zbus(property, name = "RSSI")]
    fn rssi(&self) -> i16 {
        -50
    }
}

const CHARACTERISTIC: &str = "org.bluez.GattCharacteristic1";
const PATIENCE: Duration = Duration::from_secs(20);
