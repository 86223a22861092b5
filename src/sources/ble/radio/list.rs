//! Which implants advertise.
//!
//! In: how long to look. Out: each with its name, address, adapter, strength and version. Guarantees: an adapter that is
//! off stays off; each implant is connected for as long as it takes to read its version, and no longer.

use super::super::{Implant, escape};
use super::find::{CALL, Fault, adapters, filter, stop_scanning, within};
use super::open::{close, connect, version};
use crate::error::Error;
use crate::wire::gatt;
use btleplug::api::{Central as _, Peripheral as _};
use btleplug::platform::{Manager, Peripheral};
use futures_util::stream::StreamExt;
use std::time::Duration;
use tokio::runtime::Builder;
use tokio::time::timeout;
use uuid::Uuid;

/// Looks with all adapters for `patience`, the strongest implant first. Those that are busy with another host don't
/// advertise and are not found.
///
/// # Errors
/// If there is no Bluetooth, no adapter, or all are off.
pub fn implants(patience: Duration) -> Result<Vec<Implant>, Error> {
    let runtime = Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| {
        Error::output("Bluetooth", format!("the system gives no means to wait ({error})"))
    })?;
    let found = runtime.block_on(search(patience));
    runtime.shutdown_background();
    found.map_err(|fault| {
        Error::input("Bluetooth", fault.text()).hint("README, section Bluetooth, says what to look at")
    })
}

async fn search(patience: Duration) -> Result<Vec<Implant>, Fault> {
    let manager = Manager::new().await;
    let manager = manager
        .map_err(|error| Fault::System(format!("the system's Bluetooth can't be reached ({error})")))?;
    let adapters = adapters(&manager, None).await?;
    let mut events = Vec::new();
    for (adapter, _) in &adapters {
        events.push(within(CALL, "asking for events", adapter.events()).await?);
        within(CALL, "searching", adapter.start_scan(filter())).await?;
    }
    // Who is there is asked at the end; until then events are read so that they don't pile up.
    let mut events = futures_util::stream::select_all(events);
    let _time_is_over = timeout(patience, async { while events.next().await.is_some() {} }).await;
    drop(events);
    let mut found = Vec::new();
    for (adapter, adapter_name) in &adapters {
        for implant in within(CALL, "asking who is there", adapter.peripherals()).await? {
            let properties =
                within(CALL, "asking about an implant", implant.properties()).await.ok().flatten();
            let Some(properties) = properties else { continue };
            if properties.rssi.is_some() && properties.services.contains(&Uuid::from_u128(gatt::SERVICE)) {
                let name = properties.advertisement_name.or(properties.local_name);
                found.push((implant, adapter_name, name, properties.rssi));
            }
        }
    }
    stop_scanning(&adapters).await;
    found.sort_by_key(|(_, _, _, rssi)| std::cmp::Reverse(*rssi));
    let mut listed = Vec::new();
    for (implant, adapter, name, rssi_dbm) in &found {
        let address = match implant.address().into_inner() {
            [0, 0, 0, 0, 0, 0] => implant.id().to_string(),
            _ => implant.address().to_string(),
        };
        let is_same = |other: &&Implant| other.address == address && &other.adapter == *adapter;
        if listed.iter().any(|other| is_same(&other)) {
            continue;
        }
        let is_unique = found.iter().filter(|(_, by, own, _)| own == name && by == adapter).count() == 1;
        listed.push(Implant {
            link: link_of(name.as_deref(), &address, adapter, is_unique),
            name: name.clone(),
            adapter: (*adapter).clone(),
            rssi_dbm: *rssi_dbm,
            version: ask_version(implant).await,
            address,
        });
    }
    Ok(listed)
}

/// The address to write for it: by name where that tells it from the others.
fn link_of(name: Option<&str>, address: &str, adapter: &str, is_unique: bool) -> String {
    let peer = match name {
        Some(name) if is_unique && !name.trim().is_empty() => escape(name),
        _ => address.to_string(),
    };
    format!("ble://{peer}?adapter={}", escape(adapter))
}

async fn ask_version(implant: &Peripheral) -> Option<u8> {
    let asked = async {
        let characteristics = connect(implant).await.ok()?;
        version(implant, &characteristics).await
    };
    let version = timeout(ASK, asked).await.ok().flatten();
    close(implant).await;
    version
}

/// How long an implant may take to be connected and tell its version.
const ASK: Duration = Duration::from_secs(4);
