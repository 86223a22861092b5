//! `efference devices`: what can be reached.

use crate::cli::{say, say_json, table};
use efference::device::Profile;
use efference::sources::ble::{Implant, implants};
use efference::sources::link::{Found, LinkAddress, ask};
use efference::{Error, ErrorKind};
use std::path::PathBuf;
use std::time::Duration;

/// List the devices that answer, and those that can be simulated.
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  efference devices --key implant.key
  efference devices 'udp://192.168.1.20:47500?key=implant.key' --json
  efference devices 'ble://N1-0042?key=implant.key'

Without addresses, it looks for implants over Bluetooth, and with --key asks the ports 47500 to 47503 of this machine.
A device that is busy with another host goes on with it; over Bluetooth it isn't seen then. A device that was paired
with another key doesn't answer.")]
pub(crate) struct DevicesArgs {
    /// Addresses to ask, each with ?key=FILE or ?plain
    #[arg(value_name = "ADDRESS")]
    addresses: Vec<String>,
    /// The pairing key, for the usual addresses
    #[arg(long, value_name = "FILE")]
    key: Option<PathBuf>,
    /// How long to wait for each
    #[arg(long, default_value_t = 500, value_name = "MS")]
    patience_ms: u64,
    /// Don't look for implants over Bluetooth
    #[arg(long)]
    no_bluetooth: bool,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(args: &DevicesArgs) -> Result<(), Error> {
    let mut addresses = Vec::new();
    for text in &args.addresses {
        addresses.push(LinkAddress::parse(text, "ADDRESS")?);
    }
    if let (Some(key), true) = (&args.key, addresses.is_empty()) {
        for port in USUAL_PORTS {
            addresses
                .push(LinkAddress::parse(&format!("udp://127.0.0.1:{port}?key={}", key.display()), "--key")?);
        }
    }
    if let Some(capture) = addresses.iter().find(|address| address.to_string().starts_with("capture")) {
        return Err(
            Error::usage(capture.to_string(), "a capture is no device").legal("udp, tcp, unix, pipe or ble")
        );
    }
    let patience = Duration::from_millis(args.patience_ms);
    let asked: Vec<Result<Option<Found>, Error>> = std::thread::scope(|scope| {
        let asking: Vec<_> = addresses.iter().map(|address| scope.spawn(|| ask(address, patience))).collect();
        let died = || Error::new(ErrorKind::Input, "devices", "asking has ended early");
        asking.into_iter().map(|asking| asking.join().unwrap_or_else(|_| Err(died()))).collect()
    });
    let found: Vec<Found> =
        asked.into_iter().collect::<Result<Vec<_>, Error>>()?.into_iter().flatten().collect();
    // Whoever names addresses wants these and no others.
    let advertised = match args.no_bluetooth || !args.addresses.is_empty() {
        true => Ok(Vec::new()),
        false => implants(patience.max(SEARCH)),
    };
    let profiles = Profile::all()?;
    if args.json {
        let names: Vec<&str> = profiles.iter().map(|profile| profile.name.as_str()).collect();
        return say_json(&serde_json::json!({
            "found": found,
            "asked": addresses.len(),
            "bluetooth": advertised.as_deref().unwrap_or_default(),
            "bluetooth_problem": advertised.as_ref().err().map(ToString::to_string),
            "simulated": names,
        }));
    }
    if found.is_empty() {
        say(match addresses.len() {
            0 => "asked nobody by socket: give --key FILE, or addresses".to_string(),
            n => format!("{n} addresses asked, nobody answered"),
        })?;
    } else {
        let mut rows = table::of(&["address", "name", "profile", "electrodes", "Hz", "answered"]);
        for device in &found {
            let synthetic = if device.synthetic { " (synthetic)" } else { "" };
            rows.add_row(vec![
                device.address.clone(),
                device.name.clone(),
                format!("{}{synthetic}", device.profile),
                device.n_electrodes.to_string(),
                device.sample_rate_hz.to_string(),
                format!("in {:.1} ms", device.answered_in_ms),
            ]);
        }
        say(rows)?;
    }
    match &advertised {
        _ if args.no_bluetooth || !args.addresses.is_empty() => {}
        Ok(implants) if implants.is_empty() => say("no implant advertises over Bluetooth")?,
        Ok(implants) => say(bluetooth_table(implants))?,
        Err(error) => say(error)?,
    }
    let names: Vec<String> = profiles.iter().map(|profile| format!("sim:{}", profile.name)).collect();
    say(format!("simulated: {}", names.join(", ")))
}

fn bluetooth_table(implants: &[Implant]) -> impl std::fmt::Display {
    let mut rows = table::of(&["over Bluetooth", "name", "address", "adapter", "dBm", "link"]);
    for implant in implants {
        let link = match implant.version {
            Some(version) if implant.speaks_ours() => format!("version {version}"),
            Some(version) => format!("version {version}, not ours"),
            None => "didn't tell".to_string(),
        };
        rows.add_row(vec![
            implant.link.clone(),
            implant.name.clone().unwrap_or_default(),
            implant.address.clone(),
            implant.adapter.clone(),
            implant.rssi_dbm.map_or_else(String::new, |dbm| dbm.to_string()),
            link,
        ]);
    }
    rows
}

/// Implants advertise every so often.
const SEARCH: Duration = Duration::from_secs(2);
/// Where `firmware-sim` is in the README's examples.
const USUAL_PORTS: std::ops::RangeInclusive<u16> = 47_500..=47_503;
