//! The fake itself: a thread with adapters, implants and a place on the bus, which a test tells what goes wrong.
//!
//! In: a bus's address, plans. Out: a running `org.bluez`. Guarantees that a call has taken effect when it returns.

use crate::implant::{Implant, Plan};
use crate::objects::{ADAPTER, Adapter, AdapterObject, adapter_path, changed, disconnect, notify};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering::Relaxed};
use std::sync::mpsc::{Sender, channel};
use std::time::Duration;
use tokio::sync::{mpsc, watch};
use zbus::{Connection, connection, fdo};

/// A running `org.bluez`.
pub struct Fake {
    implants: Vec<Arc<Implant>>,
    adapters: Vec<Arc<Adapter>>,
    tell: mpsc::UnboundedSender<(What, Sender<()>)>,
}

enum What {
    Disconnect(usize),
    Power(usize, bool),
    Vanish,
    Return,
}

impl Fake {
    /// Starts it with adapters `hci0`, `hci1`, … on a bus.
    ///
    /// # Panics
    /// If the bus can't be reached, or a plan is not legal.
    #[must_use]
    #[expect(clippy::disallowed_methods, reason = "a pretend system service in real time")]
    pub fn start(bus_address: &str, n_adapters: usize, plans: Vec<Plan>) -> Self {
        let implants: Vec<Arc<Implant>> =
            plans.into_iter().map(|plan| Arc::new(Implant::new(plan).expect("a legal plan"))).collect();
        let of_adapter = |number: usize| Adapter {
            number,
            is_on: AtomicBool::new(true),
            searches: AtomicBool::new(false),
            n_switched_on: AtomicU32::new(0),
            implants: implants.iter().filter(|own| own.plan.adapters.contains(&number)).cloned().collect(),
        };
        let adapters: Vec<Arc<Adapter>> =
            (0..n_adapters).map(|number| Arc::new(of_adapter(number))).collect();
        let (tell, told) = mpsc::unbounded_channel();
        let (is_ready, ready) = channel();
        let address = bus_address.to_string();
        let (its_implants, its_adapters) = (implants.clone(), adapters.clone());
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            runtime.expect("a runtime").block_on(run(&address, its_implants, its_adapters, told, is_ready));
        });
        ready.recv().expect("the fake starts");
        Fake { implants, adapters, tell }
    }

    /// An implant, by its place in the plans.
    #[must_use]
    pub fn implant(&self, at: usize) -> &Implant {
        &self.implants[at]
    }

    /// The radio link to an implant breaks.
    pub fn disconnect(&self, at: usize) {
        self.say(What::Disconnect(at));
    }

    /// The user switches an adapter off or on.
    pub fn power(&self, adapter: usize, is_on: bool) {
        self.say(What::Power(adapter, is_on));
    }

    /// Times that an adapter was switched on by a program.
    #[must_use]
    pub fn n_switched_on(&self, adapter: usize) -> u32 {
        self.adapters[adapter].n_switched_on.load(Relaxed)
    }

    /// The service ends, and with it all connections.
    pub fn vanish(&self) {
        self.say(What::Vanish);
    }

    /// It starts again.
    pub fn come_back(&self) {
        self.say(What::Return);
    }

    fn say(&self, what: What) {
        let (done, is_done) = channel();
        self.tell.send((what, done)).expect("the fake runs");
        is_done.recv().expect("the fake runs");
    }
}

async fn run(
    address: &str,
    implants: Vec<Arc<Implant>>,
    adapters: Vec<Arc<Adapter>>,
    mut told: mpsc::UnboundedReceiver<(What, Sender<()>)>,
    is_ready: Sender<()>,
) {
    let (here, bus) = watch::channel(None);
    let open = async || serve(address, &adapters).await.expect("a place on the bus");
    here.send_replace(Some(open().await));
    for implant in &implants {
        tokio::spawn(stream(implant.clone(), bus.clone()));
    }
    // Whoever asked for it may have given up.
    let _gone = is_ready.send(());
    while let Some((what, done)) = told.recv().await {
        let present: Option<Connection> = bus.borrow().clone();
        match (what, present) {
            (What::Disconnect(at), Some(bus)) => {
                if let Some(adapter) = implants[at].connected_by() {
                    disconnect(&bus, adapter, &implants[at]).await.expect("the bus is there");
                }
            }
            (What::Power(number, is_on), Some(bus)) => {
                let adapter = &adapters[number];
                adapter.is_on.store(is_on, Relaxed);
                if !is_on {
                    adapter.searches.store(false, Relaxed);
                    for implant in &adapter.implants {
                        disconnect(&bus, number, implant).await.expect("the bus is there");
                    }
                }
                let path = adapter_path(number);
                changed(&bus, &path, ADAPTER, "Powered", is_on.into()).await.expect("the bus is there");
            }
            (What::Vanish, Some(bus)) => {
                here.send_replace(None);
                adapters.iter().for_each(|adapter| adapter.searches.store(false, Relaxed));
                implants.iter().for_each(|implant| implant.disconnect());
                bus.close().await.expect("the bus is there");
            }
            (What::Return, None) => {
                here.send_replace(Some(open().await));
            }
            _ => {}
        }
        let _gone = done.send(());
    }
}

async fn serve(address: &str, adapters: &[Arc<Adapter>]) -> zbus::Result<Connection> {
    let mut builder = connection::Builder::address(address)?.serve_at("/", fdo::ObjectManager)?;
    for adapter in adapters {
        builder = builder.serve_at(adapter_path(adapter.number), AdapterObject(adapter.clone()))?;
    }
    builder.name("org.bluez")?.build().await
}

/// Sends what an implant has to say, for as long as the process lives.
async fn stream(implant: Arc<Implant>, bus: watch::Receiver<Option<Connection>>) {
    loop {
        let (sent, is_hasty) = implant.notifications();
        let present = bus.borrow().clone();
        for (which, value) in sent {
            if let (Some(bus), Some(adapter)) = (&present, implant.connected_by()) {
                // A service that has just ended sends nothing.
                let _gone = notify(bus, adapter, &implant, which, value).await;
            }
        }
        match is_hasty {
            true => tokio::task::yield_now().await,
            false => tokio::time::sleep(TICK).await,
        }
    }
}

const TICK: Duration = Duration::from_millis(1);
