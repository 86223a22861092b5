//! Which adapters there are, and which of them hears the implant.
//!
//! In: the system's Bluetooth, and whom to look for. Out: a [`Found`] implant with the adapter's events, which go on.
//! Guarantees: an adapter that is off stays off; adapters are told apart by name, since the system gives them in any order;
//! no call of the system is waited for longer than [`CALL`].

use super::super::{BleAddress, Peer};
use crate::wire::gatt;
use btleplug::api::{Central, CentralEvent, CentralState, Manager as _, Peripheral as _, ScanFilter};
use btleplug::platform::{Adapter, Manager, Peripheral, PeripheralId};
use futures_util::stream::{FuturesUnordered, Stream, StreamExt};
use std::pin::Pin;
use std::time::Duration;
use tokio::time::{Instant, timeout};
use uuid::Uuid;

/// What an adapter tells. Must be polled for as long as it is there: it gets every notification too, without bound.
pub(super) type Events = Pin<Box<dyn Stream<Item = CentralEvent> + Send>>;

/// An implant that is within reach.
pub(super) struct Found {
    pub(super) adapter: String,
    pub(super) events: Events,
    pub(super) implant: Peripheral,
    pub(super) name: Option<String>,
    pub(super) rssi_dbm: Option<i16>,
}

/// Why nobody was found, or couldn't be spoken with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// The system's Bluetooth doesn't answer as it should.
    System(String),
    /// It answers, and this is how it is.
    Standing(String),
    /// All is well, and nobody was heard.
    NotHeard(String),
    /// The implant speaks another version of the link.
    Version(Option<u8>),
}

impl Fault {
    pub(super) fn text(&self) -> String {
        match self {
            Fault::System(text) | Fault::Standing(text) | Fault::NotHeard(text) => text.clone(),
            Fault::Version(Some(version)) => {
                format!(
                    "it speaks version {version} of the link, this program {}",
                    crate::wire::packet::VERSION
                )
            }
            Fault::Version(None) => "it doesn't tell which version of the link it speaks".to_string(),
        }
    }
}

/// What the system says of a call, if it says so in time.
pub(super) async fn within<T>(
    limit: Duration,
    what: &str,
    call: impl Future<Output = btleplug::Result<T>>,
) -> Result<T, Fault> {
    match timeout(limit, call).await {
        Ok(Ok(found)) => Ok(found),
        Ok(Err(error)) => Err(Fault::System(format!("{what} failed ({error})"))),
        Err(_) => Err(Fault::System(format!("{what} took longer than {} s", limit.as_secs()))),
    }
}

/// The system's adapters that are on, or the one that is asked for, with their names.
pub(super) async fn adapters(
    manager: &Manager,
    wanted: Option<&str>,
) -> Result<Vec<(Adapter, String)>, Fault> {
    let (mut on, mut off, mut others) = (Vec::new(), Vec::new(), Vec::new());
    for adapter in within(CALL, "asking for the adapters", manager.adapters()).await? {
        // One that is taken out at this moment has no name any more.
        let Ok(info) = within(CALL, "asking an adapter", adapter.adapter_info()).await else { continue };
        let name = info.split(" (").next().unwrap_or_default().to_string();
        let address = within(CALL, "asking an adapter", adapter.adapter_address()).await.ok().flatten();
        let is_wanted = wanted.is_none_or(|wanted| {
            wanted == name || address.is_some_and(|own| own.to_string().eq_ignore_ascii_case(wanted))
        });
        let state = within(CALL, "asking an adapter", adapter.adapter_state()).await?;
        match (is_wanted, state == CentralState::PoweredOff) {
            (true, false) => on.push((adapter, name)),
            (true, true) => off.push(name),
            (false, _) => others.push(name),
        }
    }
    others.sort();
    match (on.is_empty(), off.is_empty(), wanted) {
        (false, _, _) => Ok(on),
        (true, false, _) => Err(Fault::Standing(format!("Bluetooth is switched off ({})", off.join(", ")))),
        (true, true, Some(wanted)) if !others.is_empty() => {
            Err(Fault::Standing(format!("there is no adapter `{wanted}`, only {}", others.join(", "))))
        }
        (true, true, _) => Err(Fault::Standing("there is no Bluetooth adapter".to_string())),
    }
}

/// Looks with all adapters at once until one hears the implant, at most for [`LOOK`]. `unheard` is passed over for a while:
/// it has the name that is asked for and did not answer.
pub(super) async fn seek(
    manager: &Manager,
    address: &BleAddress,
    unheard: Option<&PeripheralId>,
) -> Result<Found, Fault> {
    let adapters = adapters(manager, address.adapter.as_deref()).await?;
    let looks = adapters.iter().map(|(adapter, name)| look(adapter, name, address, unheard));
    let mut looking: FuturesUnordered<_> = looks.collect();
    let mut found = Err(Fault::NotHeard(format!("looking for {}", address.peer)));
    let first = async {
        while let Some(one) = looking.next().await {
            found = one;
            if found.is_ok() {
                break;
            }
        }
    };
    // Adapters come and go: look again which there are.
    let _late = timeout(LOOK, first).await;
    drop(looking);
    stop_scanning(&adapters).await;
    found
}

/// Whoever scans takes air from whoever is connected.
pub(super) async fn stop_scanning(adapters: &[(Adapter, String)]) {
    for (adapter, _) in adapters {
        let _was_not = within(CALL, "ending the search", adapter.stop_scan()).await;
    }
}

/// What is looked for by every adapter.
pub(super) fn filter() -> ScanFilter {
    ScanFilter { services: vec![Uuid::from_u128(gatt::SERVICE)] }
}

async fn look(
    adapter: &Adapter,
    name: &str,
    address: &BleAddress,
    unheard: Option<&PeripheralId>,
) -> Result<Found, Fault> {
    // First the events, then the search: nothing is missed.
    let mut events = within(CALL, "asking for events", adapter.events()).await?;
    within(CALL, "searching", adapter.start_scan(filter())).await?;
    let begun = Instant::now();
    let mut sweep = tokio::time::interval(SWEEP);
    let mut searched_at = begun;
    loop {
        let candidates = tokio::select! {
            event = events.next() => match event {
                Some(
                    CentralEvent::DeviceDiscovered(id)
                    | CentralEvent::DeviceUpdated(id)
                    | CentralEvent::ServicesAdvertisement { id, .. }
                    | CentralEvent::RssiUpdate { id, .. },
                ) => adapter.peripheral(&id).await.into_iter().collect(),
                Some(CentralEvent::StateUpdate(CentralState::PoweredOff)) => {
                    return Err(Fault::Standing(format!("Bluetooth is switched off ({name})")));
                }
                Some(_) => continue,
                None => return Err(Fault::System("the adapter's events have ended".to_string())),
            },
            // The service may have been told by any of the events, or by none.
            now = sweep.tick() => {
                if now - searched_at >= SEARCH_AGAIN {
                    // A search that lost a race in the system hears nothing.
                    searched_at = now;
                    let _ended = adapter.stop_scan().await;
                    within(CALL, "searching", adapter.start_scan(filter())).await?;
                }
                within(CALL, "asking who is there", adapter.peripherals()).await?
            }
        };
        for implant in candidates {
            if unheard == Some(&implant.id()) && begun.elapsed() < PASS_OVER {
                continue;
            }
            if let Some((own_name, rssi_dbm)) = suits(&implant, &address.peer).await {
                let adapter = name.to_string();
                return Ok(Found { adapter, events, implant, name: own_name, rssi_dbm });
            }
        }
    }
}

/// Its name and strength, if it is the one and is there now.
async fn suits(implant: &Peripheral, peer: &Peer) -> Option<(Option<String>, Option<i16>)> {
    let properties = within(CALL, "asking about an implant", implant.properties()).await.ok().flatten()?;
    let serves = properties.services.contains(&Uuid::from_u128(gatt::SERVICE));
    let is_it = match peer {
        Peer::Named(name) => {
            let is_name = |own: &Option<String>| own.as_deref() == Some(name.as_str());
            serves && (is_name(&properties.local_name) || is_name(&properties.advertisement_name))
        }
        // What else it says is looked at when it is connected.
        Peer::At(address) => implant.address().into_inner() == *address,
        Peer::Known(number) => {
            implant.id().to_string().eq_ignore_ascii_case(&Uuid::from_u128(*number).to_string())
        }
    };
    // The system also remembers those that have gone; one that is connected, by a program that has ended, is silent.
    let is_here = is_it && (properties.rssi.is_some() || is_connected(implant).await);
    is_here.then(|| (properties.advertisement_name.or(properties.local_name), properties.rssi))
}

/// Whether the system has it connected.
pub(super) async fn is_connected(implant: &Peripheral) -> bool {
    within(CALL, "asking about an implant", implant.is_connected()).await == Ok(true)
}

/// How long the system may take for anything that needs no radio.
pub(super) const CALL: Duration = Duration::from_secs(3);
/// How long to look before adapters are looked for anew.
const LOOK: Duration = Duration::from_secs(10);
const SWEEP: Duration = Duration::from_millis(500);
const SEARCH_AGAIN: Duration = Duration::from_secs(5);
/// How long another implant of the same name is waited for.
const PASS_OVER: Duration = Duration::from_secs(2);
