//! The implant as a peripheral of this computer's own Bluetooth: BlueZ's adapter, BlueZ's stack, the same firmware.
//!
//! In: a [`Desk`], which adapter. Out: the same service as on TrouBLE. Guarantees: where BlueZ ends, starts anew or loses
//! its adapter, the implant is registered anew as soon as that can be; what can never work is an error at once. BlueZ keeps
//! intervals, PHY and ATT_MTU to itself: the host asks for them.

mod calls;
mod link;
mod objects;
mod window;

use super::carrier::{Control, indicate, send};
use super::serve::{Desk, until_off, until_on};
use calls::{Adapter, Fault, disconnect, set_alias, system_bus};
use efference::Error;
use link::Link;
use objects::{ADVERTISEMENT, Advertised, Shared, add};
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Duration;
use tokio::sync::mpsc;
use zbus::Connection;
use zbus::zvariant::OwnedObjectPath;

/// What there is to put right in the system at the end.
#[derive(Default)]
pub(super) struct Lent {
    /// What the adapter was called before.
    alias: Option<(OwnedObjectPath, String)>,
    /// Who is connected.
    host: Option<OwnedObjectPath>,
    /// On which services are registered as long as it is open.
    bus: Option<Connection>,
}

/// Serves for ever, through `hciN` or the first adapter.
pub(super) async fn radiate(desk: &Desk, adapter: Option<&str>) -> Result<(), Error> {
    let mut was_served = false;
    let mut told = String::new();
    loop {
        until_on(desk).await;
        let Err(fault) = powered(desk, adapter, &mut was_served).await else { continue };
        if !fault.may_pass && !was_served {
            return Err(fault.error);
        }
        let text = fault.error.to_string();
        if text != told {
            eprintln!("{}: {text}; waiting", desk.settings.name);
            told = text;
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

/// Leaves the adapter as it was, and before that the host: one that is connected while its services go remembers an
/// implant without any.
pub(super) async fn leave(desk: &Desk) {
    let Lent { alias, host, bus: registered } = desk.lent.take();
    if alias.is_none() && host.is_none() {
        return;
    }
    if let Ok(bus) = system_bus().await {
        if let Some(host) = host {
            disconnect(&bus, &host).await;
        }
        if let Some((adapter, alias)) = alias {
            // An adapter that is gone has forgotten it too.
            let _gone = set_alias(&bus, &adapter, &alias).await;
        }
    }
    if let Some(bus) = registered {
        // Closed or lost is the same now.
        let _closed = bus.close().await;
    }
}

/// From power on to power off, on a bus of its own: BlueZ forgets all that was registered when that is closed.
async fn powered(desk: &Desk, adapter: Option<&str>, was_served: &mut bool) -> Result<(), Fault> {
    let bus = system_bus().await?;
    desk.lent.borrow_mut().bus = Some(bus.clone());
    let link = Link::new(&bus);
    let done = tokio::select! {
        done = registered(desk, &bus, &link, adapter, was_served) => done,
        () = until_off(desk) => Ok(()),
    };
    if let Some(device) = link.device() {
        disconnect(&bus, &device).await;
    }
    drop(link);
    desk.lent.borrow_mut().bus = None;
    let _closed = bus.close().await;
    done
}

async fn registered(
    desk: &Desk,
    bus: &Connection,
    link: &Link<'_>,
    wanted: Option<&str>,
    was_served: &mut bool,
) -> Result<(), Fault> {
    let settings = &desk.settings;
    let (adapter, alias) = Adapter::find(bus, wanted, &settings.name).await?;
    let (events, mut heard) = mpsc::unbounded_channel();
    let battery = Arc::new(AtomicU8::new(desk.body.borrow().battery_percent()));
    let shared = Shared { events, battery: battery.clone() };
    let failed = |error: zbus::Error| Error::usage("--ble", format!("the services: {error}"));
    add(bus, &shared, &settings.model).await.map_err(failed)?;
    let advertised = Advertised { name: settings.name.clone(), shared };
    bus.object_server().at(ADVERTISEMENT, advertised).await.map_err(failed)?;
    adapter.register().await?;
    // Hosts ask for the name once more when they are connected, and BlueZ answers for the adapter.
    if alias != settings.name && set_alias(bus, adapter.path(), &settings.name).await.is_ok() {
        desk.lent.borrow_mut().alias.get_or_insert((adapter.path().clone(), alias));
    }
    *was_served = true;
    eprintln!("{}: advertised by BlueZ on {}", settings.name, adapter.path().as_str());
    let watched = async {
        loop {
            tokio::time::sleep(LOOK_EVERY).await;
            battery.store(desk.body.borrow().battery_percent(), Ordering::Relaxed);
            adapter.check().await?;
        }
    };
    let over = |text: &str| Fault { error: Error::usage("--ble", text), may_pass: true };
    tokio::select! {
        fault = watched => fault,
        () = link.hear(desk, &mut heard) => Err(over("BlueZ advertises no more")),
        () = hosts(desk, link) => Ok(()),
    }
}

/// One host after the other.
async fn hosts(desk: &Desk, link: &Link<'_>) {
    let name = &desk.settings.name;
    loop {
        link.until_heard().await;
        desk.served.borrow_mut().connections += 1;
        eprintln!("{name}: a host listens, ATT_MTU {}", link.att_mtu());
        desk.lent.borrow_mut().host = link.device();
        let control = Control::default();
        tokio::select! {
            () = send(desk, link, &control) => {}
            () = indicate(desk, link, &control) => {}
            () = link.ask() => {}
            () = link.until_gone() => {}
        }
        link.forget();
        desk.lent.borrow_mut().host = None;
        eprintln!("{name}: the host has gone");
    }
}

/// How soon it is noticed that BlueZ or the adapter is no more, or is there again.
const LOOK_EVERY: Duration = Duration::from_millis(500);
