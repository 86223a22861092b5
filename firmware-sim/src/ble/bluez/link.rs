//! One host, as BlueZ shows it: sockets for notifications, signals for indications.
//!
//! In: [`Event`]s, packets of the implant. Out: what the host wrote, to the firmware. Guarantees: a packet is handed to
//! BlueZ only while the [`Window`] has room; when a socket closes, or control isn't listened to any more, the host has gone.

use super::super::carrier::Carrier;
use super::super::serve::Desk;
use super::objects::{CONTROL, Event};
use super::window::Window;
use efference::wire::gatt::packet_max;
use efference_firmware::link::Lane;
use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::io::ErrorKind;
use std::rc::Rc;
use tokio::net::UnixStream;
use tokio::sync::{Mutex, Notify, mpsc};
use zbus::Connection;
use zbus::zvariant::{OwnedObjectPath, Value};

/// What is known of the host.
pub(super) struct Link<'a> {
    bus: &'a Connection,
    data: RefCell<Option<Rc<UnixStream>>>,
    telemetry: RefCell<Option<Rc<UnixStream>>>,
    hears_control: Cell<bool>,
    att_mtu: Cell<u16>,
    device: RefCell<Option<OwnedObjectPath>>,
    window: RefCell<Window>,
    /// One indication at a time.
    turn: Mutex<()>,
    changed: Notify,
    room: Notify,
    confirmed: Notify,
    question: Notify,
}

impl<'a> Link<'a> {
    pub(super) fn new(bus: &'a Connection) -> Self {
        Link {
            bus,
            data: RefCell::default(),
            telemetry: RefCell::default(),
            hears_control: Cell::new(false),
            att_mtu: Cell::new(0),
            device: RefCell::default(),
            window: RefCell::default(),
            turn: Mutex::new(()),
            changed: Notify::new(),
            room: Notify::new(),
            confirmed: Notify::new(),
            question: Notify::new(),
        }
    }

    /// Its object on the bus, if it is connected.
    pub(super) fn device(&self) -> Option<OwnedObjectPath> {
        self.data.borrow().is_some().then(|| self.device.borrow().clone()).flatten()
    }

    /// The ATT_MTU that was agreed on.
    pub(super) fn att_mtu(&self) -> u16 {
        self.att_mtu.get()
    }

    /// What the host does, until BlueZ lets go of the implant.
    pub(super) async fn hear(&self, desk: &Desk, events: &mut mpsc::UnboundedReceiver<Event>) {
        while let Some(event) = events.recv().await {
            match event {
                Event::Written(packet) => {
                    desk.served.borrow_mut().received += 1;
                    desk.body.borrow_mut().handle_packet(&packet);
                    desk.wake.notify_one();
                }
                Event::Listens { is_data, socket, att_mtu, device } => {
                    // It is set up not to block.
                    let socket = UnixStream::from_std(socket).ok().map(Rc::new);
                    let place = if is_data { &self.data } else { &self.telemetry };
                    place.replace(socket);
                    self.att_mtu.set(att_mtu);
                    self.device.replace(device);
                    self.changed.notify_one();
                }
                Event::ListensToControl(does) => {
                    self.hears_control.set(does);
                    self.changed.notify_one();
                }
                Event::Confirmed => {
                    self.window.borrow_mut().confirm();
                    self.confirmed.notify_one();
                    self.room.notify_one();
                }
                Event::Released => return,
            }
        }
    }

    /// Until a host listens.
    pub(super) async fn until_heard(&self) {
        while !self.is_heard() {
            self.changed.notified().await;
        }
    }

    /// Until it doesn't any more, or another does.
    pub(super) async fn until_gone(&self) {
        let Some(socket) = self.data.borrow().clone() else { return };
        loop {
            tokio::select! {
                ready = socket.readable() => {
                    // BlueZ writes nothing: what can be read is the end.
                    let read = socket.try_read(&mut [0]);
                    let is_open = matches!(&read, Err(error) if error.kind() == ErrorKind::WouldBlock);
                    if ready.is_err() || !is_open {
                        return;
                    }
                }
                () = self.changed.notified() => {
                    let is_same = self.data.borrow().as_ref().is_some_and(|now| Rc::ptr_eq(now, &socket));
                    if !is_same || !self.hears_control.get() {
                        return;
                    }
                }
            }
        }
    }

    /// The host that was connected has gone; one that came meanwhile stays.
    pub(super) fn forget(&self) {
        let ends = |socket: &UnixStream| !matches!(socket.try_read(&mut [0]), Err(error) if error.kind() == ErrorKind::WouldBlock);
        for place in [&self.data, &self.telemetry] {
            place.borrow_mut().take_if(|socket| ends(socket));
        }
        self.window.replace(Window::default());
    }

    /// Asks what the radio has taken, now and then; never ends by itself.
    pub(super) async fn ask(&self) {
        loop {
            self.question.notified().await;
            let wants = self.window.borrow().wants_to_ask();
            if wants {
                // An indication of nothing: only its confirmation counts.
                self.indicate(&[]).await;
            }
        }
    }
}

impl Carrier for Link<'_> {
    fn is_heard(&self) -> bool {
        self.hears_control.get() && self.data.borrow().is_some()
    }

    fn packet_max(&self) -> usize {
        packet_max(self.att_mtu.get())
    }

    async fn notify(&self, lane: Lane, packet: &[u8]) -> bool {
        loop {
            let has_room = self.window.borrow().has_room();
            if has_room {
                break;
            }
            self.room.notified().await;
        }
        let place = if lane == Lane::Telemetry { &self.telemetry } else { &self.data };
        let Some(socket) = place.borrow().clone() else { return false };
        let n = loop {
            match socket.try_write(packet) {
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    if socket.writable().await.is_err() {
                        return false;
                    }
                }
                Ok(n) => break n,
                Err(_) => return false,
            }
        };
        let mut window = self.window.borrow_mut();
        window.hand();
        if window.wants_to_ask() {
            self.question.notify_one();
        }
        n == packet.len()
    }

    async fn indicate(&self, packet: &[u8]) -> bool {
        let _turn = self.turn.lock().await;
        self.window.borrow_mut().ask();
        let changed: HashMap<&str, Value<'_>> = [("Value", packet.into())].into();
        let body = ("org.bluez.GattCharacteristic1", changed, Vec::<&str>::new());
        let interface = "org.freedesktop.DBus.Properties";
        let sent = self.bus.emit_signal(None::<&str>, CONTROL, interface, "PropertiesChanged", &body).await;
        if sent.is_err() {
            return false;
        }
        // One that is never confirmed ends the connection, after 30 s (Bluetooth Core 5.4, vol. 3, part F, 3.3.3).
        loop {
            let is_asking = self.window.borrow().is_asking();
            if !is_asking {
                break;
            }
            self.confirmed.notified().await;
        }
        // What was handed over meanwhile may be worth a question of its own.
        self.question.notify_one();
        true
    }
}
