//! An implant in real time at the end of a Bluetooth LE link.
//!
//! In: a [`Body`], which controller to use. Out: the link's service, and a [`Served`] account at the end. What the
//! controller takes is the budget: a packet is made when there is room for it and not before, so that the newest data are
//! in it and the firmware's rate control sees what the radio carries. An implant without power forgets its stack too.

use super::bluez::{self, Lent};
use super::connection::connected;
use super::gatt::{Told, server};
use super::pool::Pool;
use super::radio::RadioSettings;
use super::transport::Channel;
use super::vhci::{FromImplant, Pair, Vhci};
use crate::body::Body;
use bt_hci_transport::{ReadHciError, Transport};
use efference::Error;
use efference::wire::gatt;
use efference_firmware::link::Lane;
use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::convert::Infallible;
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::sync::{Notify, mpsc};
use tokio::time::{Instant, MissedTickBehavior};
use trouble_host::prelude::*;

/// Which controller, and how.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    /// Whose radio.
    pub controller: ControllerChoice,
    /// What it advertises.
    pub name: String,
    /// Device information.
    pub model: String,
    /// Largest ATT_MTU agreed to: one of [`ATT_MTUS`]. BlueZ agrees to 517, whatever it is.
    pub att_mtu: u16,
    /// Connection intervals to ask for, from and to, ms; `None` asks for nothing. BlueZ never asks.
    pub interval_ms: Option<(f64, f64)>,
    /// Each packet of data is sent again so many packets later, for tests of what the host does with it.
    pub replay_after: Option<usize>,
    /// Wherever there is room an old packet is sent again, so many a second at most, to see what the radio carries.
    pub flood_hz: Option<f64>,
}

/// Whose radio.
#[derive(Clone, Debug, PartialEq)]
pub enum ControllerChoice {
    /// The adapter `hciN`, taken from the kernel by a user channel.
    Hci(u16),
    /// A modelled radio, whose other end is a new adapter of this machine.
    Modelled(RadioSettings),
    /// BlueZ's adapter `hciN`, or its first one, and BlueZ's stack in place of TrouBLE.
    BlueZ(Option<String>),
}

/// What became of everything.
#[derive(Clone, Debug, Default)]
pub struct Served {
    /// Seconds of real time.
    pub seconds: f64,
    /// Connections.
    pub connections: u32,
    /// Packets, by lane.
    pub packets: [u64; 3],
    /// Bytes of packets.
    pub bytes: u64,
    /// Packets of the host.
    pub received: u64,
    /// Packets that TrouBLE didn't take.
    pub refused: u64,
    /// Old packets that were sent once more, and their bytes.
    pub again: (u64, u64),
    /// When the first and the last packet went out, s.
    pub span: Option<(f64, f64)>,
    /// Datagrams that the implant sealed.
    pub datagrams: u64,
    /// Bins that were given up before they were sent.
    pub bins_dropped: u32,
    /// Milliseconds that the simulation was behind at worst.
    pub late_ms: f64,
}

/// What the tasks share; one thread, so borrows end before each `await`.
pub(super) struct Desk {
    pub(super) body: RefCell<Body>,
    pub(super) settings: Settings,
    pub(super) served: RefCell<Served>,
    /// Packets of data to be replayed.
    pub(super) sent: RefCell<VecDeque<Vec<u8>>>,
    /// Something may have to be sent.
    pub(super) wake: Notify,
    /// What has to be put right in the system at the end.
    pub(super) lent: RefCell<Lent>,
    is_on: Cell<bool>,
}

/// Serves until `stop`, or for `seconds`.
///
/// # Errors
/// A controller that can't be had, or that goes.
pub fn serve(
    body: Body,
    settings: &Settings,
    seconds: f64,
    stop: &'static AtomicBool,
) -> Result<Served, Error> {
    let failed = |error: std::io::Error| Error::usage("--ble", error.to_string());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(failed)?;
    let desk = Rc::new(Desk {
        body: RefCell::new(body),
        settings: settings.clone(),
        served: RefCell::default(),
        sent: RefCell::default(),
        wake: Notify::new(),
        lent: RefCell::default(),
        is_on: Cell::new(true),
    });
    let local = tokio::task::LocalSet::new();
    // All of it in one task: woken from outside of a task, TrouBLE would wake itself for ever.
    let task = local.run_until(async {
        let desk = Rc::clone(&desk);
        tokio::task::spawn_local(async move {
            let done = tokio::select! {
                over = live(&desk, seconds, stop) => over,
                lost = radiate(&desk) => lost,
            };
            bluez::leave(&desk).await;
            done
        })
        .await
    });
    match runtime.block_on(task) {
        Ok(done) => done?,
        Err(error) => return Err(Error::usage("--ble", error.to_string())),
    }
    let mut served = desk.served.borrow().clone();
    let mut body = desk.body.borrow_mut();
    let (sent, dropped) =
        body.implant().with(|implant| (implant.link().n_sent_in_all(), implant.link().bins_dropped()));
    (served.datagrams, served.bins_dropped) = (body.sent_before + sent, dropped);
    Ok(served)
}

/// Two new adapters of this computer with a modelled radio between them, until `stop`.
///
/// # Errors
/// A kernel without `/dev/vhci`, or one that takes an adapter away.
pub fn between_adapters(radio: RadioSettings, stop: &'static AtomicBool) -> Result<(), Error> {
    let failed = |error: std::io::Error| Error::usage("radio", error.to_string());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(failed)?;
    runtime.block_on(async {
        let mut pair = Pair::open(radio)?;
        let [central, peripheral] = pair.numbers();
        eprintln!("hci{central} is the central's, hci{peripheral} the peripheral's; Ctrl-C ends it");
        let stopped = async {
            while !stop.load(Ordering::Relaxed) {
                tokio::time::sleep(LOOK_EVERY).await;
            }
        };
        tokio::select! { lost = pair.run() => lost, () = stopped => Ok(()) }
    })
}

/// The implant's own time.
async fn live(desk: &Desk, seconds: f64, stop: &AtomicBool) -> Result<(), Error> {
    let start = Instant::now();
    let mut ticks = tokio::time::interval(STEP);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut before = start;
    loop {
        ticks.tick().await;
        let elapsed = start.elapsed();
        {
            let mut body = desk.body.borrow_mut();
            body.advance(elapsed.as_micros() as u64)?;
            desk.is_on.set(body.is_on());
            let mut served = desk.served.borrow_mut();
            served.seconds = elapsed.as_secs_f64();
            let late = before.elapsed().saturating_sub(STEP).as_secs_f64() * 1e3;
            served.late_ms = served.late_ms.max(late);
            before = Instant::now();
            if body.is_over() || elapsed.as_secs_f64() >= seconds || stop.load(Ordering::Relaxed) {
                return Ok(());
            }
        }
        desk.wake.notify_one();
    }
}

/// Its radio.
async fn radiate(desk: &Desk) -> Result<(), Error> {
    match desk.settings.controller.clone() {
        ControllerChoice::BlueZ(adapter) => bluez::radiate(desk, adapter.as_deref()).await,
        ControllerChoice::Hci(number) => loop {
            until_on(desk).await;
            let transport = bt_hci_linux::Transport::new(number).map_err(|error| {
                Error::usage(format!("hci{number}"), error.to_string())
                    .hint("as root, with the adapter down: `hciconfig hciN down` or `btmgmt power off`")
            })?;
            powered(desk, transport).await?;
        },
        ControllerChoice::Modelled(radio) => {
            let (out, inbox) = mpsc::unbounded_channel();
            let vhci = Vhci::open(radio, inbox)?;
            eprintln!("the other end of the modelled radio is hci{}", vhci.number());
            let implant = async {
                loop {
                    until_on(desk).await;
                    let (to_host, packets) = mpsc::unbounded_channel();
                    let closed = || Error::usage("the modelled radio", "is no more");
                    out.send(FromImplant::On(to_host)).map_err(|_| closed())?;
                    powered(desk, Channel::new(out.clone(), packets)).await?;
                    out.send(FromImplant::Off).map_err(|_| closed())?;
                }
            };
            tokio::select! { lost = vhci.run() => lost, lost = implant => lost }
        }
    }
}

pub(super) async fn until_on(desk: &Desk) {
    while !desk.is_on.get() {
        tokio::time::sleep(STEP).await;
    }
}

pub(super) async fn until_off(desk: &Desk) {
    while desk.is_on.get() {
        tokio::time::sleep(STEP).await;
    }
}

/// From power on to power off.
async fn powered<T>(desk: &Desk, transport: T) -> Result<(), Error>
where
    T: Transport,
    T::Error: From<ReadHciError<Infallible>>,
{
    let stack = async {
        match desk.settings.att_mtu {
            23 => stacked::<T, Pool<27>>(desk, transport).await,
            247 => stacked::<T, Pool<251>>(desk, transport).await,
            _ => stacked::<T, Pool<521>>(desk, transport).await,
        }
    };
    tokio::select! { lost = stack => lost, () = until_off(desk) => Ok(()) }
}

/// TrouBLE, until its controller is lost.
async fn stacked<T, P>(desk: &Desk, transport: T) -> Result<(), Error>
where
    T: Transport,
    T::Error: From<ReadHciError<Infallible>>,
    P: PacketPool,
{
    let settings = &desk.settings;
    let lost = |what: &str, error: String| Error::usage("--ble", format!("{what}: {error}"));
    let controller: ExternalController<T, COMMANDS> = ExternalController::new(transport);
    let mut resources: HostResources<P, 1, CHANNELS> = HostResources::new();
    let stack = trouble_host::new(controller, &mut resources)
        .set_random_address(Address::random(address(&settings.name)))
        .build();
    let mut runner = stack.runner();
    let mut peripheral = stack.peripheral();
    let told = Told { name: &settings.name, model: &settings.model };
    let (server, handles) = server::<P>(told).ok_or_else(|| lost("the services", "refused".to_string()))?;
    let (mut seen, mut more) = ([0; 31], [0; 31]);
    let n_seen = AdStructure::encode_slice(
        &[
            AdStructure::Flags(LE_GENERAL_DISCOVERABLE | BR_EDR_NOT_SUPPORTED),
            AdStructure::CompleteServiceUuids128(&[gatt::SERVICE.to_le_bytes()]),
        ],
        &mut seen,
    );
    let name = settings.name.as_bytes();
    let n_more = AdStructure::encode_slice(
        &[AdStructure::CompleteLocalName(&name[..name.len().min(NAME_MAX)])],
        &mut more,
    );
    let (Ok(n_seen), Ok(n_more)) = (n_seen, n_more) else {
        return Err(lost("the name", "too long".to_string()));
    };
    let advertising = AdvertisementParameters {
        interval_min: embassy_time::Duration::from_millis(60),
        interval_max: embassy_time::Duration::from_millis(60),
        ..AdvertisementParameters::default()
    };
    let connections = async {
        loop {
            let advertisement = Advertisement::ConnectableScannableUndirected {
                adv_data: &seen[..n_seen],
                scan_data: &more[..n_more],
            };
            let advertiser = match peripheral.advertise(&advertising, advertisement).await {
                Ok(advertiser) => advertiser,
                Err(error) => return lost("advertising", format!("{error:?}")),
            };
            let Ok(connection) = advertiser.accept().await else { continue };
            let Ok(connection) = connection.with_attribute_server(&server) else { continue };
            desk.served.borrow_mut().connections += 1;
            connected(desk, &stack, &handles, &connection).await;
        }
    };
    tokio::select! {
        run = runner.run() => match run {
            Ok(()) => Ok(()),
            Err(error) => Err(lost("the controller", format!("{error:?}"))),
        },
        error = connections => Err(error),
    }
}

/// A static random address that goes with a name (Bluetooth Core 5.4, vol. 6, part B, 1.3.2.1).
fn address(name: &str) -> [u8; 6] {
    let hash = name.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    let [a, b, c, d, e, f, ..] = (hash ^ hash >> 32).to_le_bytes();
    [a, b, c, d, e, f | 0xc0]
}

impl Served {
    /// A packet was sent, or the stack didn't take it.
    pub(super) fn tell(&mut self, lane: Lane, n_bytes: usize, is_sent: bool) {
        if is_sent {
            self.packets[lane as usize] += 1;
            self.bytes += n_bytes as u64;
            self.stretch();
        } else {
            self.refused += 1;
        }
    }
}

impl Served {
    /// An old packet was sent once more.
    pub(super) fn tell_again(&mut self, n_bytes: usize) {
        self.again = (self.again.0 + 1, self.again.1 + n_bytes as u64);
        self.stretch();
    }

    fn stretch(&mut self) {
        self.span = Some((self.span.map_or(self.seconds, |span| span.0), self.seconds));
    }
}

impl std::fmt::Display for Served {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let of = |lane: Lane| self.packets[lane as usize];
        let all: u64 = self.packets.iter().sum();
        writeln!(f, "{:.1} s, {} datagrams, {} connections", self.seconds, self.datagrams, self.connections)?;
        writeln!(
            f,
            "to the host: {all} packets, {} bytes; control {}, telemetry {}, data {}; {} refused",
            self.bytes,
            of(Lane::Control),
            of(Lane::Telemetry),
            of(Lane::Data),
            self.refused
        )?;
        if let (Some((from, to)), (1.., _)) = (self.span, self.again) {
            let kilobytes = (self.bytes + self.again.1) as f64 / (to - from).max(1e-3) / 1e3;
            writeln!(f, "and {} old ones once more; {kilobytes:.1} KB/s in all", self.again.0)?;
        }
        writeln!(f, "to the device: {} packets; {} bins given up", self.received, self.bins_dropped)?;
        writeln!(f, "the simulation was {:.1} ms behind at worst", self.late_ms)
    }
}

/// What can be agreed to; the smallest, what fits into one packet of the link layer, and the largest.
pub const ATT_MTUS: [u16; 3] = [23, 247, 517];
const LOOK_EVERY: Duration = Duration::from_millis(50);
const STEP: Duration = Duration::from_millis(1);
const COMMANDS: usize = 8;
/// Of L2CAP: signals, ATT, security.
const CHANNELS: usize = 3;
/// Of an advertisement.
const NAME_MAX: usize = 29;
