//! `firmware-sim`: a pretend implant on this desk.

use clap::{Args, Parser, Subcommand};
use efference::Error;
use efference::device::Profile;
use efference::sources::link::{LinkAddress, PairingKey, Secrecy, Transport, entropy};
use efference::sources::simulator::Settings;
use efference::tasks::user::UserSettings;
use efference::wire::session::{Access, Key};
use firmware_sim::body::Body;
use firmware_sim::faults::Script;
use firmware_sim::implant::Build;
use firmware_sim::radio::{Budget, Ledger, Radio};
use firmware_sim::serve::{Served, serve};
use firmware_sim::tissue::Tissue;
use firmware_sim::watch::Watcher;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, Ordering};

/// A pretend implant that needs no surgery: simulated tissue, the firmware of the real thing, and a bad radio. Everything
/// that it sends is synthetic.
#[derive(Parser)]
#[command(version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    Serve(Box<ServeArgs>),
    Profiles,
    Faults(FaultsArgs),
    Radio(RadioArgs),
}

/// Serve an implant at an address until Ctrl-C.
#[derive(Args)]
#[command(after_help = "\
Examples:
  efference pair implant.key
  firmware-sim serve neuralink-n1,seed=3 --listen 'udp://127.0.0.1:47500?key=implant.key'
  firmware-sim serve paradromics-50k --spikes --budget 1300000 --listen 'tcp://127.0.0.1:47500?key=implant.key'
  firmware-sim serve blackrock-utah --faults firmware-sim/faults/loss5.toml --listen 'unix:///tmp/implant?plain'
  firmware-sim serve neuralink-n1 --spikes --watch 127.0.0.1:47600 --listen 'udp://127.0.0.1:47500?key=implant.key'
  firmware-sim serve neuralink-n1 --spikes --ble=bluez:hci0 --key implant.key --name Implant
  firmware-sim serve neuralink-n1 --spikes --ble=hci1 --key implant.key --name Implant
  firmware-sim serve neuralink-n1 --spikes --ble --radio errors=0.1 --key implant.key")]
struct ServeArgs {
    /// A profile, or a file with one, and what differs: neuralink-n1,seed=3,electrodes=64
    #[arg(value_name = "PROFILE[,KEY=VALUE…]")]
    device: String,
    /// Where hosts find it: udp://, tcp://, unix:// or pipe://, with ?key=FILE or ?plain
    #[arg(long, value_name = "ADDRESS", required_unless_present = "ble")]
    listen: Option<String>,
    #[command(flatten)]
    ble: BleArgs,
    /// What goes wrong, in TOML
    #[arg(long, value_name = "FILE.toml")]
    faults: Option<PathBuf>,
    /// Hand the firmware the simulated spikes themselves: for more electrodes than a desk can filter in real time
    #[arg(long)]
    spikes: bool,
    /// Simulate so many seconds of spikes beforehand and repeat them: for more electrodes than this computer can simulate
    /// as fast as they fire
    #[arg(long, value_name = "SECONDS", requires = "spikes")]
    rehearse: Option<f64>,
    /// Bits a second that the radio carries [default: the profile's link budget]
    #[arg(long, value_name = "BPS")]
    budget: Option<u64>,
    /// Largest packet of the radio, bytes
    #[arg(long, default_value_t = 244)]
    mtu: usize,
    /// From the last bit sent to the packet at the other end, ms
    #[arg(long, default_value_t = 2.0)]
    latency_ms: f64,
    /// Say what a receiver needs again each second, for those that can't ask for it
    #[arg(long)]
    broadcast: bool,
    /// Joules of its full cell (made up; 200 last a day)
    #[arg(long, value_name = "JOULE", value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    battery: Option<u32>,
    /// Its name
    #[arg(long, default_value = "pretend")]
    name: String,
    /// Its user watches the screen that `efference calibrate --screen` sends here, and intends what it shows; else it follows
    /// the script of the address
    #[arg(long, value_name = "127.0.0.1:PORT", conflicts_with = "rehearse")]
    watch: Option<SocketAddr>,
    /// What that user is like: typical or expert
    #[arg(long, value_name = "NAME", default_value = "typical", requires = "watch")]
    user: String,
    /// End after so long
    #[arg(long)]
    seconds: Option<f64>,
}

/// Bluetooth LE in place of an address, in a build with the feature `ble`.
#[derive(Args)]
struct BleArgs {
    /// Over Bluetooth LE: by BlueZ, on the adapter hciN alone, or on a modelled radio behind /dev/vhci
    #[arg(
        long,
        value_name = "bluez[:hciN]|hciN|vhci",
        num_args = 0..=1,
        default_missing_value = "vhci",
        conflicts_with = "listen"
    )]
    ble: Option<String>,
    /// What the modelled radio does: a TOML file, or errors=0.1,blackout_at_s=3
    #[arg(long, value_name = "FILE.toml|KEY=VALUE,…", requires = "ble")]
    radio: Option<String>,
    /// The pairing key; `plain` sends all in the clear
    #[arg(long, value_name = "FILE", requires = "ble")]
    key: Option<String>,
    /// Largest ATT_MTU: 23, 247 or 517
    #[arg(long, default_value_t = 247)]
    att_mtu: u16,
    /// Connection intervals to ask for, ms; `any` asks for none
    #[arg(long, value_name = "FROM-TO", default_value = "7.5-15")]
    interval_ms: String,
    /// Send each packet again so many packets later, as an attacker would
    #[arg(long, value_name = "PACKETS", hide = true)]
    replay: Option<usize>,
    /// Send old packets wherever there is room, so many a second at most, to see what the radio carries
    #[arg(long, value_name = "PACKETS/S", hide = true)]
    flood: Option<f64>,
}

/// Read a fault script, say what is wrong with it, or print it as it was understood.
#[derive(Args)]
struct FaultsArgs {
    /// The script; `random:SEED` makes one
    #[arg(value_name = "FILE.toml")]
    script: String,
}

/// Two new Bluetooth adapters of this computer with a modelled radio between them, until Ctrl-C: the first is the central's,
/// the second the peripheral's. Needs the kernel's hci_vhci, and root.
#[derive(Args)]
struct RadioArgs {
    /// What it does: a TOML file, or errors=0.1,blackout_at_s=3
    #[arg(value_name = "FILE.toml|KEY=VALUE,…")]
    radio: Option<String>,
}

static STOP: AtomicBool = AtomicBool::new(false);

fn main() -> ExitCode {
    if let Err(error) = ctrlc::set_handler(|| STOP.store(true, Ordering::Relaxed)) {
        eprintln!("warning: Ctrl-C can't be caught ({error})");
    }
    let done = match Cli::parse().command {
        Command::Serve(args) => run(&args),
        Command::Profiles => profiles(),
        Command::Radio(args) => between_adapters(&args),
        Command::Faults(args) => script(&args.script).map(|script| println!("{script}")),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::from(error.kind().exit_code())
        }
    }
}

fn run(args: &ServeArgs) -> Result<(), Error> {
    // Everything is looked at before anything starts.
    let script = args.faults.as_ref().map_or_else(|| Ok(Script::clean()), |path| Script::read(path))?;
    let address = args.listen.as_ref().map(|listen| LinkAddress::parse(listen, "--listen")).transpose()?;
    let seconds = args.seconds.unwrap_or(SECONDS_MAX);
    if !(seconds > 0.0 && seconds <= SECONDS_MAX) {
        return Err(
            Error::usage("--seconds", format!("{seconds}")).legal(format!("above 0, to {SECONDS_MAX}"))
        );
    }
    if !(0.0..=10_000.0).contains(&args.latency_ms) {
        return Err(Error::usage("--latency-ms", format!("{}", args.latency_ms)).legal("0 to 10000"));
    }
    let settings = Settings::parse(&format!("sim:{}", args.device))?;
    let budget_of_profile = settings.profile.link.budget_bits_per_s.value as u64;
    let secrecy = match (&address, args.ble.key.as_deref()) {
        (Some(address), _) => address.secrecy.clone(),
        (None, Some("plain")) => Secrecy::Plain,
        (None, Some(path)) => Secrecy::Key(path.into()),
        (None, None) => {
            return Err(Error::usage("--ble", "without a key")
                .hint("--key FILE of `efference pair FILE`, or --key plain"));
        }
    };
    let (access, fingerprint) = match &secrecy {
        Secrecy::Plain => {
            eprintln!("warning: `?plain`: everything is sent in the clear");
            (Access::Plain, "in the clear".to_string())
        }
        Secrecy::Key(path) => {
            let key = PairingKey::load(path)?;
            (Access::Paired(Key::from_bytes(*key.bytes())), format!("key {}", key.fingerprint()))
        }
    };
    let random = entropy()?;
    let number = |at: usize| u64::from_le_bytes([0, 1, 2, 3, 4, 5, 6, 7].map(|k| random[at + k]));
    let build = Build {
        n_electrodes: settings.electrodes,
        sample_rate_hz: settings.sample_rate_hz,
        profile: settings.profile.clone(),
        name: args.name.clone(),
        boot: number(0) as u32,
        mtu: if address.is_some() { args.mtu.clamp(20, 512) as u16 } else { 512 },
        n_datagrams: N_DATAGRAMS,
        spikes_given: args.spikes,
        access,
    };
    let (name, n) = (build.profile.name.clone(), build.n_electrodes);
    let mut tissue = Tissue::open(&args.device, args.spikes, seconds + 1.0)?;
    if let Some(rehearsed) = args.rehearse {
        tissue.rehearse(rehearsed, seconds + 1.0)?;
    }
    if let Some(at) = args.watch {
        let user = UserSettings::named(&args.user)
            .ok_or_else(|| Error::usage("--user", format!("`{}`", args.user)).legal("typical, expert"))?;
        tissue.watch(&args.device, args.spikes, Watcher::open(at, user, settings.seed)?)?;
    }
    let mut body = Body::new(build, tissue, &script, number(8))?;
    body.set_broadcast(args.broadcast);
    if let Some(joule) = args.battery {
        body.set_battery(joule);
    }
    let Some(address) = address else {
        return over_bluetooth(
            args,
            body,
            &format!("{name}, {n} electrodes (synthetic), {fingerprint}"),
            seconds,
        );
    };
    let budget = Budget {
        bits_per_second: args.budget.unwrap_or(budget_of_profile),
        latency_us: (args.latency_ms * 1e3) as u64,
        mtu: args.mtu,
        queue_packets: QUEUE_PACKETS,
    };
    let mut radio = Radio::new(&script, budget)?;
    let mut transport = Transport::listen(&address.carrier)?;
    let at = transport.local_address().map_or_else(|| address.carrier.to_string(), |at| at.to_string());
    eprintln!("{name}, {n} electrodes (synthetic), at {at}, {fingerprint}; Ctrl-C ends it");
    let served = serve(&mut body, &mut radio, &mut transport, seconds, &STOP)?;
    print!("{}", account(&served));
    Ok(())
}

#[cfg(not(feature = "ble"))]
fn over_bluetooth(_: &ServeArgs, _: Body, _: &str, _: f64) -> Result<(), Error> {
    Err(without("--ble"))
}

#[cfg(not(feature = "ble"))]
fn between_adapters(_: &RadioArgs) -> Result<(), Error> {
    Err(without("radio"))
}

#[cfg(not(feature = "ble"))]
fn without(place: &str) -> Error {
    Error::usage(place, "this build knows no Bluetooth").hint("cargo build -p firmware-sim --features ble")
}

#[cfg(feature = "ble")]
fn between_adapters(args: &RadioArgs) -> Result<(), Error> {
    use firmware_sim::ble::radio::RadioSettings;
    let radio = args.radio.as_deref();
    let radio = radio.map_or_else(|| Ok(RadioSettings::default()), RadioSettings::of_argument)?;
    firmware_sim::ble::serve::between_adapters(radio, &STOP)
}

#[cfg(feature = "ble")]
fn is_adapter(name: &str) -> bool {
    name.strip_prefix("hci").is_some_and(|number| number.parse::<u16>().is_ok())
}

#[cfg(feature = "ble")]
const CONTROLLERS: &str = "vhci; bluez, or bluez:hci0 and so on; hci0 and so on";

#[cfg(feature = "ble")]
fn over_bluetooth(args: &ServeArgs, body: Body, what: &str, seconds: f64) -> Result<(), Error> {
    use firmware_sim::ble::radio::RadioSettings;
    use firmware_sim::ble::serve::{ATT_MTUS, ControllerChoice, Settings, serve};
    let ble = &args.ble;
    let radio =
        ble.radio.as_deref().map_or_else(|| Ok(RadioSettings::default()), RadioSettings::of_argument)?;
    let choice = ble.ble.as_deref().unwrap_or_default();
    let controller = match (choice, choice.strip_prefix("hci").map(str::parse)) {
        ("vhci", _) => ControllerChoice::Modelled(radio),
        ("bluez", _) => ControllerChoice::BlueZ(None),
        (_, Some(Ok(number))) => ControllerChoice::Hci(number),
        _ => match choice.strip_prefix("bluez:").filter(|adapter| is_adapter(adapter)) {
            Some(adapter) => ControllerChoice::BlueZ(Some(adapter.to_string())),
            None => return Err(Error::usage("--ble", format!("`{choice}`")).legal(CONTROLLERS)),
        },
    };
    if !ATT_MTUS.contains(&ble.att_mtu) {
        return Err(Error::usage("--att-mtu", ble.att_mtu.to_string()).legal("23, 247 or 517"));
    }
    let interval_ms = match ble.interval_ms.as_str() {
        "any" => None,
        text => {
            let (from, to) = text.split_once('-').unwrap_or((text, text));
            let is_legal = |(from, to): &(f64, f64)| *from >= 7.5 && from <= to && *to <= 4_000.0;
            let span = from.parse().ok().zip(to.parse().ok()).filter(is_legal);
            Some(span.ok_or_else(|| {
                Error::usage("--interval-ms", format!("`{text}`")).legal("7.5 to 4000, as in 7.5-15, or any")
            })?)
        }
    };
    let settings = Settings {
        controller,
        name: args.name.clone(),
        model: what.split(',').next().unwrap_or_default().to_string(),
        att_mtu: ble.att_mtu,
        interval_ms,
        replay_after: ble.replay,
        flood_hz: ble.flood,
    };
    eprintln!("{what}, over Bluetooth LE as `{}`; Ctrl-C ends it", args.name);
    let served = serve(body, &settings, seconds, &STOP)?;
    print!("{served}");
    Ok(())
}

fn account(served: &Served) -> String {
    let Served { seconds, up, down, datagrams, late_ms } = served;
    let lane = |name: &str, ledger: &Ledger| {
        let balanced = if ledger.is_balanced() { "balanced" } else { "NOT BALANCED" };
        format!(
            "{name}: {} packets sent, {} arrived, {} lost, {} not taken, {} on their way; {balanced}\n",
            ledger.sent,
            ledger.delivered,
            ledger.lost_in_all(),
            ledger.dropped_in_all(),
            ledger.in_flight
        )
    };
    format!(
        "{seconds:.1} s, {datagrams} datagrams\n{}{}the simulation was {late_ms:.1} ms behind at worst\n",
        lane("to the host", up),
        lane("to the device", down)
    )
}

fn profiles() -> Result<(), Error> {
    for profile in Profile::all()? {
        println!(
            "{:20} {:6} electrodes, {:>8} Hz, {}",
            profile.name, profile.electrodes.value, profile.sample_rate_hz.value, profile.summary
        );
    }
    Ok(())
}

fn script(text: &str) -> Result<Script, Error> {
    match text.strip_prefix("random:").map(str::parse) {
        Some(Ok(seed)) => Ok(Script::random(seed)),
        Some(Err(_)) => {
            Err(Error::usage("SCRIPT", format!("`{text}`")).legal("random:SEED with a whole number"))
        }
        None => Script::read(text.as_ref()),
    }
}

/// As long as a simulation can be.
const SECONDS_MAX: f64 = 14_000.0;
/// Packets that a controller holds: some tens of milliseconds of a slow radio.
const QUEUE_PACKETS: usize = 16;
/// Datagrams that the firmware holds: a second of 1,024 electrodes, a fifth of one of 50,000.
const N_DATAGRAMS: usize = 64;
