//! Notifications through a socket that BlueZ hands out, rather than as signals on the system's bus.
//!
//! In: a device that is connected, a characteristic. Out: its notifications, one by one. Each costs a read instead of a
//! message that daemon, bus and client take apart (`AcquireNotify` of org.bluez.GattCharacteristic). Guarantees: what can't
//! be had so is `None`, and signals serve. BlueZ drops what the socket has no room for; the link's numbers count it.

use super::find::CALL;
use dbus::arg::{OwnedFd, PropMap};
use dbus::nonblock::stdintf::org_freedesktop_dbus::ObjectManager;
use dbus::nonblock::{Proxy, SyncConnection};
use std::io::ErrorKind;
use std::os::unix::net;
use std::sync::Arc;
use tokio::net::UnixStream;
use tokio::task::JoinHandle;
use uuid::Uuid;

/// The receiving end.
pub(super) struct Socket {
    stream: UnixStream,
    buffer: [u8; VALUE_MAX],
    /// BlueZ takes the socket back when whoever asked for it leaves the bus.
    _bus: Arc<SyncConnection>,
    _serving: Serving,
}

impl Socket {
    /// Asks BlueZ for it. `device` is its path behind `/org/bluez/`.
    pub(super) async fn open(device: &str, characteristic: Uuid) -> Option<Self> {
        let (serving, bus) = dbus_tokio::connection::new_system_sync().ok()?;
        let serving = Serving(tokio::spawn(async {
            serving.await;
        }));
        let descriptor = ask(&bus, device, characteristic).await?;
        // Packets keep their edges: it is SOCK_SEQPACKET.
        let stream = net::UnixStream::from(descriptor);
        stream.set_nonblocking(true).ok()?;
        let stream = UnixStream::from_std(stream).ok()?;
        Some(Socket { stream, buffer: [0; VALUE_MAX], _bus: bus, _serving: serving })
    }

    /// Waits for notifications, and hands over all that are there; false when there will be none any more. Nothing is lost
    /// where the wait is given up.
    pub(super) async fn take(&mut self, mut on: impl FnMut(&[u8])) -> bool {
        if self.stream.readable().await.is_err() {
            return false;
        }
        loop {
            match self.stream.try_read(&mut self.buffer) {
                // A notification of no bytes and the end look alike; the link has no empty packets.
                Ok(0) => return false,
                Ok(n) => on(&self.buffer[..n]),
                Err(error) if error.kind() == ErrorKind::WouldBlock => return true,
                Err(_) => return false,
            }
        }
    }
}

/// Ends the task with it.
struct Serving(JoinHandle<()>);

impl Drop for Serving {
    fn drop(&mut self) {
        self.0.abort();
    }
}

async fn ask(bus: &Arc<SyncConnection>, device: &str, characteristic: Uuid) -> Option<OwnedFd> {
    let objects = Proxy::new(BLUEZ, "/", CALL, bus.clone()).get_managed_objects().await.ok()?;
    let (device, uuid) = (format!("/org/bluez/{device}/"), characteristic.to_string());
    #[expect(clippy::disallowed_methods, reason = "one of them at most is the one")]
    let path = objects.iter().find_map(|(path, interfaces)| {
        let own = interfaces.get(CHARACTERISTIC)?.get("UUID")?.0.as_str()?;
        (path.starts_with(&device) && own.eq_ignore_ascii_case(&uuid)).then(|| path.clone())
    })?;
    let asked = Proxy::new(BLUEZ, path, CALL, bus.clone());
    let answer: Result<(OwnedFd, u16), _> =
        asked.method_call(CHARACTERISTIC, "AcquireNotify", (PropMap::new(),)).await;
    answer.ok().map(|(descriptor, _att_mtu)| descriptor)
}

const BLUEZ: &str = "org.bluez";
const CHARACTERISTIC: &str = "org.bluez.GattCharacteristic1";
/// The longest value of a characteristic.
const VALUE_MAX: usize = 512;
