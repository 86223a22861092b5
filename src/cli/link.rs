//! `efference link`: how well a link does, second by second, and where everything went.

use crate::cli::{live, say, say_json, table};
use efference::Error;
use efference::link::Wanted;
use efference::sources::SampleSource;
use efference::sources::ble::BleReport;
use efference::sources::link::{LinkAddress, LinkReport, LinkSource};
use efference::wire::Mode;
use std::path::PathBuf;
use std::time::Duration;

/// What to ask of a device.
#[derive(clap::Args, Clone, Debug)]
pub(crate) struct WantedArgs {
    /// Bits a second that the device may send [default: as much as its radio carries]
    #[arg(long, value_name = "BPS")]
    pub(crate) budget: Option<u32>,
    /// Write every packet of the link to this file (pcapng), for replay
    #[arg(long, value_name = "FILE.pcapng")]
    pub(crate) capture: Option<PathBuf>,
}

impl WantedArgs {
    pub(crate) fn wanted(&self, bin_width_ms: f64) -> Wanted {
        Wanted {
            bin_width_us: (bin_width_ms * 1e3).round() as u32,
            budget_bps: self.budget.unwrap_or(0),
            ..Wanted::default()
        }
    }
}

/// Watch a link: throughput, loss, latency, bits a channel, and how much the codec saves.
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  efference link 'udp://127.0.0.1:47500?key=implant.key' --seconds 5
  efference link 'udp://127.0.0.1:47500?key=implant.key' --mode power --budget 300000 --json
  efference link 'udp://127.0.0.1:47500?key=implant.key' --mode quiet --impedances --seconds 3
  efference link 'ble://N1-0042?key=implant.key'")]
pub(crate) struct LinkArgs {
    /// The device: udp://, tcp://, unix://, pipe:// or ble://, with ?key=FILE or ?plain
    #[arg(value_name = "ADDRESS")]
    address: String,
    /// What the device sends of each channel
    #[arg(long, value_enum, default_value = "counts")]
    mode: Sent,
    /// Bin width, ms
    #[arg(long, default_value_t = 20.0)]
    bin_ms: f64,
    /// Electrodes to send raw as well
    #[arg(long, value_name = "ELECTRODE,…", value_delimiter = ',')]
    raw: Vec<u32>,
    /// Have the device measure the impedance of its electrodes
    #[arg(long)]
    impedances: bool,
    #[command(flatten)]
    wanted: WantedArgs,
    /// End after so long [default: Ctrl-C]
    #[arg(long)]
    seconds: Option<f64>,
    /// Print one JSON object at the end, and nothing before
    #[arg(long)]
    json: bool,
}

/// What a device sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Sent {
    /// Crossings counted in bins
    Counts,
    /// Spike-band power in bins
    Power,
    /// Field-band power in bins
    BandPower,
    /// Crossings one by one
    Crossings,
    /// Crossings one by one, with the samples round them
    Snippets,
    /// Telemetry alone
    Quiet,
}

impl Sent {
    pub(crate) fn mode(self) -> Mode {
        match self {
            Sent::Counts => Mode::Counts,
            Sent::Power => Mode::SpikeBandPower,
            Sent::BandPower => Mode::BandPower,
            Sent::Crossings => Mode::Crossings,
            Sent::Snippets => Mode::Snippets,
            Sent::Quiet => Mode::Quiet,
        }
    }
}

pub(crate) fn run(args: &LinkArgs) -> Result<(), Error> {
    let address = LinkAddress::parse(&args.address, "ADDRESS")?;
    if args.seconds.is_some_and(|seconds| seconds.is_nan() || seconds <= 0.0) {
        return Err(Error::usage("--seconds", "it is not above 0").legal("a time above 0 s"));
    }
    let wanted = Wanted {
        mode: args.mode.mode(),
        raw_electrodes: args.raw.clone(),
        ..args.wanted.wanted(args.bin_ms)
    };
    let capture = args.wanted.capture.as_deref();
    let mut source = LinkSource::connect(&address, wanted, capture, live::stop(), PATIENCE)?;
    if args.impedances {
        source.ask_impedances()?;
    }
    live::is_running(true);
    let mut block = source.new_block();
    let clock = source.clock().expect("a device's own clock is that of the link");
    let started = clock.now();
    let (mut told, mut frames) = (1, 0);
    if !args.json {
        say("     s   Mbit/s  received      lost  bins ms p50 / p99  bits a channel and bin")?;
    }
    while !live::stop().load(std::sync::atomic::Ordering::Relaxed) {
        source.step()?;
        frames += source.skip(&mut block);
        let seconds = clock.now().since(started) as f64 * 1e-9;
        if !args.json && seconds >= f64::from(told) {
            told += 1;
            say(line(seconds, &source.report()))?;
        }
        if args.seconds.is_some_and(|end| seconds >= end) {
            break;
        }
    }
    source.close()?;
    frames += source.skip(&mut block);
    let report = source.report();
    match args.json {
        true => say_json(&report),
        false => say(format!("{}\nframes of {} ms: {frames}", text(&report), args.bin_ms)),
    }
}

fn line(seconds: f64, report: &LinkReport) -> String {
    let datagrams = &report.ledger.datagrams;
    format!(
        "{seconds:6.1} {:8.3} {:9} {:9} {:8.1} / {:6.1} {:16.3}",
        f64::from(report.throughput_bps) / 1e6,
        datagrams.received,
        datagrams.lost,
        report.bin_latency.p50_us / 1e3,
        report.bin_latency.p99_us / 1e3,
        report.bits_per_channel_bin
    )
}

/// The report for a person.
pub(crate) fn text(report: &LinkReport) -> String {
    let mut lines = Vec::new();
    let ledger = &report.ledger;
    if let Some(device) = &report.device {
        let synthetic = if device.synthetic { " (synthetic)" } else { "" };
        lines.push(format!(
            "link: {} ({}{synthetic}), {} electrodes, firmware {}.{}",
            device.name, device.profile, device.n_electrodes, device.firmware.0, device.firmware.1
        ));
    }
    lines.extend(report.bluetooth.as_ref().map(bluetooth));
    let mut rows = table::of(&["", "sent", "received", "lost", "dropped late"]);
    let datagrams = &ledger.datagrams;
    let cells = [datagrams.sent, datagrams.received, datagrams.lost, datagrams.dropped];
    rows.add_row(std::iter::once("datagrams".to_string()).chain(cells.map(|n| n.to_string())));
    lines.push(rows.to_string());
    let bins = &ledger.bins;
    lines.push(format!(
        "bins {}: {} whole, {} partial, {} lost (radio {}, device {}, stall {}, disconnect {}, reboot {}, clock {}, key {}); {}",
        bins.expected,
        bins.whole,
        bins.partial,
        bins.lost,
        bins.causes.radio,
        bins.causes.device,
        bins.causes.stall,
        bins.causes.disconnect,
        bins.causes.reboot,
        bins.causes.clock_jump,
        bins.causes.key,
        if report.balanced { "balanced" } else { "NOT BALANCED" }
    ));
    let latency = &report.bin_latency;
    lines.push(format!(
        "bin closed on the device → here: p50 {:.1} ms, p99 {:.1} ms, max {:.1} ms",
        latency.p50_us / 1e3,
        latency.p99_us / 1e3,
        latency.max_us / 1e3
    ));
    lines.push(format!(
        "{:.3} bits a channel and bin with all headers, {:.1} times fewer than 4-bit counts",
        report.bits_per_channel_bin, report.ratio_to_4_bits
    ));
    if let (Some(drift), Some(of), Some(us)) =
        (report.clock_drift_ppm, report.clock_drift_uncertainty_ppm, report.clock_uncertainty_us)
    {
        lines.push(format!("the device's clock: {drift:+.0} ± {of:.0} ppm, known to ± {us:.0} µs"));
    }
    if report.data_records > 0 {
        lines.push(format!(
            "records of raw samples, crossings, snippets, impedances: {}",
            report.data_records
        ));
    }
    if !ledger.packets.dropped.is_empty() {
        let causes: Vec<String> =
            ledger.packets.dropped.iter().map(|(cause, n)| format!("{cause} {n}")).collect();
        lines.push(format!("packets refused: {}", causes.join(", ")));
    }
    if let (Some(percent), Some(volt), Some(celsius)) =
        (report.battery_percent, report.battery_v, report.temperature_c)
    {
        lines.push(format!("battery {percent} %, {volt:.2} V, {celsius:.1} °C"));
    }
    if let Some(impedances) = &report.impedances {
        lines.push(format!(
            "impedances of {} electrodes at 1 kHz: {:.0} to {:.0} kΩ, median {:.0}; {} open",
            impedances.n_measured,
            impedances.lowest_kohm,
            impedances.highest_kohm,
            impedances.median_kohm,
            impedances.n_open
        ));
    }
    for (seconds, what) in report.happenings.iter().take(HAPPENINGS_SHOWN) {
        lines.push(format!("  {seconds:.2} s: {what}"));
    }
    let more = report.happenings.len().saturating_sub(HAPPENINGS_SHOWN) as u64 + report.more_happenings;
    if more > 0 {
        lines.push(format!("  and {more} more"));
    }
    lines.join("\n")
}

fn bluetooth(report: &BleReport) -> String {
    let mtu = report.att_mtu.map_or_else(|| "unknown".to_string(), |mtu| mtu.to_string());
    let interval = match (report.interval_ms, report.burst_ms) {
        (Some(ms), _) => format!("interval {ms} ms"),
        (None, Some(ms)) => format!("interval not told, bursts some {ms:.0} ms apart"),
        (None, None) => "interval not told".to_string(),
    };
    format!(
        "Bluetooth: {}\nMTU {mtu}, {interval}; connected {} times, {} stalls; {} packets came ({} had no room here), {} written, \
         {} not",
        report.standing,
        report.connections,
        report.stalls,
        report.received,
        report.dropped_on_host,
        report.written,
        report.unwritten
    )
}

/// How long a device may take to answer.
pub(crate) const PATIENCE: Duration = Duration::from_secs(10);
const HAPPENINGS_SHOWN: usize = 20;
