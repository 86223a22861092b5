//! What can go well and wrong over Bluetooth.

mod host;

use super::run::Scenario;
use efference::sources::ble::implants;
use efference::sources::link::LinkReport;
use fake_bluez::{Fake, Implant, Plan, Sends};
use host::{Bluetooth, Reader, key};
use std::sync::atomic::Ordering::Relaxed;

/// All of them.
pub(crate) const ALL: [Scenario; 16] = [
    ("clean", clean),
    ("signals", signals),
    ("devices", devices),
    ("maximum_rate", maximum_rate),
    ("slow_consumer", slow_consumer),
    ("gaps", gaps),
    ("disconnect_and_return", disconnect_and_return),
    ("silent_stall", silent_stall),
    ("mtu_23", mtu_23),
    ("wrong_key", wrong_key),
    ("replayed_session", replayed_session),
    ("two_implants", two_implants),
    ("two_adapters", two_adapters),
    ("adapter_off_and_on", adapter_off_and_on),
    ("daemon_restarted", daemon_restarted),
    ("wrong_version", wrong_version),
];

/// Those that take longer, and run where they are named.
pub(crate) const LONG: [Scenario; 2] = [("soak", soak), ("cpu", cpu)];

fn plan() -> Plan {
    Plan {
        name: "N1-1",
        address: [0xf0, 0xf1, 0xf2, 0xf3, 0xf4, 0xf5],
        adapters: vec![0],
        att_mtu: 247,
        version: efference::wire::packet::VERSION,
        key: key(1),
        sends: Sends::Counts,
        has_socket: true,
    }
}

fn fake(n_adapters: usize, plans: Vec<Plan>) -> Fake {
    let address = std::env::var("DBUS_SYSTEM_BUS_ADDRESS").expect("a bus of its own");
    Fake::start(&address, n_adapters, plans)
}

/// Ends the reading, and looks at what holds of every run.
fn close(reader: &mut Reader, implant: &Implant) -> LinkReport {
    let report = reader.close();
    println!("{:?}\n{:?}\n{:?}", report.bluetooth, report.ledger.datagrams, report.ledger.bins);
    for (seconds, what) in &report.happenings {
        println!("{seconds:.3} s: {what}");
    }
    assert!(report.balanced, "{:#?}", report.ledger);
    assert!(report.ledger.datagrams.sent <= implant.n_sent(), "{:?}", report.ledger.datagrams);
    assert_eq!(implant.n_too_long.load(Relaxed), 0, "packets fit");
    let bluetooth = report.bluetooth.as_ref().expect("over Bluetooth");
    assert_eq!(bluetooth.malformed, 0);
    report
}

fn of(report: &LinkReport) -> &efference::sources::ble::BleReport {
    report.bluetooth.as_ref().expect("over Bluetooth")
}

fn clean() {
    let fake = fake(1, vec![plan()]);
    let mut reader = Reader::connect("ble://N1-1", 1);
    reader.frames(60);
    let report = close(&mut reader, fake.implant(0));
    assert!(reader.check() >= 60);
    let bluetooth = of(&report);
    assert_eq!((report.ledger.datagrams.lost, report.ledger.bins.lost), (0, 0));
    assert_eq!((bluetooth.connections, bluetooth.stalls, bluetooth.dropped_on_host), (1, 0, 0));
    assert_eq!((bluetooth.att_mtu, bluetooth.packet_max), (Some(247), Some(244)));
    assert!(bluetooth.by_socket);
    assert_eq!(bluetooth.name.as_deref(), Some("N1-1"));
    assert_eq!(bluetooth.address.as_deref(), Some("F0:F1:F2:F3:F4:F5"));
    assert_eq!((bluetooth.adapter.as_deref(), bluetooth.rssi_dbm), (Some("hci0"), Some(-50)));
    assert_eq!(report.ledger.upward.refused, 0);
    // Goodbye was said, and the connection let go of.
    drop(reader);
    assert_eq!(fake.implant(0).connected_by(), None);
}

/// Where BlueZ has no socket, and where none is wanted.
fn signals() {
    let second = Plan { name: "N1-2", address: [1, 2, 3, 4, 5, 6], ..plan() };
    let fake = fake(1, vec![Plan { has_socket: false, ..plan() }, second]);
    for (at, link) in ["ble://N1-1", "ble://N1-2?signals"].into_iter().enumerate() {
        let mut reader = Reader::connect(link, 1);
        reader.frames(60);
        let report = close(&mut reader, fake.implant(at));
        assert!(reader.check() >= 60);
        assert_eq!((report.ledger.datagrams.lost, report.ledger.bins.lost), (0, 0));
        assert!(!of(&report).by_socket);
    }
}

fn devices() {
    let second =
        Plan { name: "N1 2", address: [1, 2, 3, 4, 5, 6], adapters: vec![0, 1], version: 7, ..plan() };
    let fake = fake(2, vec![plan(), second]);
    let found = implants(std::time::Duration::from_millis(200)).expect("there is Bluetooth");
    let lines: Vec<String> = found
        .iter()
        .map(|own| {
            format!("{} {} {} {:?} {:?}", own.link, own.address, own.adapter, own.rssi_dbm, own.version)
        })
        .collect();
    println!("{lines:#?}");
    let mut links: Vec<&str> = found.iter().map(|own| own.link.as_str()).collect();
    links.sort_unstable();
    assert_eq!(links, ["ble://N1%202?adapter=hci0", "ble://N1%202?adapter=hci1", "ble://N1-1?adapter=hci0"]);
    assert!(found.iter().all(|own| own.speaks_ours() == (own.address == "F0:F1:F2:F3:F4:F5")));
    assert!(found.iter().all(|own| own.rssi_dbm == Some(-50)), "{found:?}");
    assert_eq!((fake.implant(0).connected_by(), fake.implant(1).connected_by()), (None, None), "let go of");
    fake.power(0, false);
    fake.power(1, false);
    let message = implants(std::time::Duration::from_millis(50)).expect_err("all off").to_string();
    assert!(message.contains("switched off (hci0, hci1)") || message.contains("(hci1, hci0)"), "{message}");
    assert_eq!((fake.n_switched_on(0), fake.n_switched_on(1)), (0, 0));
}

// By signals, which wait for whoever reads: a socket that is full gives its newest up, as [`gaps`] does.
fn maximum_rate() {
    let n = 15_000;
    let fake = fake(1, vec![Plan { sends: Sends::Datagrams(n), ..plan() }]);
    let mut reader = Reader::connect("ble://N1-1?signals", 1);
    reader.until("all datagrams", |reader| {
        let report = reader.report();
        report.ledger.datagrams.received + report.ledger.datagrams.lost >= u64::from(n)
    });
    let report = close(&mut reader, fake.implant(0));
    let bluetooth = of(&report);
    let datagrams = &report.ledger.datagrams;
    // What is lost, nobody here had time for, and it is known by number.
    assert_eq!(datagrams.lost, bluetooth.dropped_on_host, "{datagrams:?}");
    let n_waiting = bluetooth.received - report.ledger.packets.received - bluetooth.dropped_on_host;
    assert!(n_waiting <= 512, "{bluetooth:?}");
    assert!(report.data_records > 0);
}

fn slow_consumer() {
    let n = 6_000;
    let fake = fake(1, vec![Plan { sends: Sends::Datagrams(n), ..plan() }]);
    let mut reader = Reader::connect("ble://N1-1?signals", 1);
    let before = reader.report();
    // Nobody takes anything until all have come.
    reader.leave_until("all have come", |report| of(report).received >= u64::from(n));
    let report = reader.report();
    let (bluetooth, taken) = (of(&report), report.ledger.packets.received);
    assert!(taken <= before.ledger.packets.received + 1, "nothing was taken");
    assert!(bluetooth.dropped_on_host > u64::from(n) / 2, "{bluetooth:?}");
    assert!(
        bluetooth.received - bluetooth.dropped_on_host - taken <= 512,
        "memory is bounded: {bluetooth:?}"
    );
    // The last that was sent is never dropped: once it is read, all that are missing are known.
    reader.until("the newest", |reader| {
        let datagrams = reader.report().ledger.datagrams;
        datagrams.received + datagrams.lost >= u64::from(n)
    });
    let report = close(&mut reader, fake.implant(0));
    assert_eq!(report.ledger.datagrams.lost, of(&report).dropped_on_host, "each is accounted for");
}

fn gaps() {
    let fake = fake(1, vec![plan()]);
    let mut reader = Reader::connect("ble://N1-1", 1);
    reader.frames(10);
    fake.implant(0).drop_every.store(7, Relaxed);
    reader.until("losses", |_| fake.implant(0).n_dropped.load(Relaxed) >= 8);
    fake.implant(0).drop_every.store(0, Relaxed);
    reader.frames(10);
    let report = close(&mut reader, fake.implant(0));
    assert!(reader.check() >= 20);
    let n_dropped = fake.implant(0).n_dropped.load(Relaxed);
    assert_eq!(report.ledger.datagrams.lost, n_dropped, "each is known by its number");
    assert_eq!((of(&report).connections, of(&report).dropped_on_host), (1, 0));
}

fn disconnect_and_return() {
    let fake = fake(1, vec![plan()]);
    let mut reader = Reader::connect("ble://N1-1", 1);
    reader.frames(20);
    fake.implant(0).is_in_range.store(false, Relaxed);
    fake.disconnect(0);
    reader.until("it is noticed", |reader| of(&reader.report()).standing.contains("it disconnected"));
    fake.implant(0).is_in_range.store(true, Relaxed);
    reader.frames(20);
    let report = close(&mut reader, fake.implant(0));
    assert!(reader.check() >= 40, "positions go on over the gap");
    assert_eq!(
        (of(&report).connections, report.ledger.link.sessions),
        (2, 1),
        "the session is taken up again"
    );
}

fn silent_stall() {
    let fake = fake(1, vec![plan()]);
    let mut reader = Reader::connect("ble://N1-1", 1);
    reader.frames(20);
    fake.implant(0).is_silent.store(true, Relaxed);
    reader.until("it is noticed", |reader| of(&reader.report()).stalls == 1);
    reader.frames(20);
    let report = close(&mut reader, fake.implant(0));
    assert!(reader.check() >= 40);
    assert_eq!((of(&report).connections, of(&report).stalls), (2, 1));
    // Nobody knows how much a session lost that was not heard again.
    let (lost, n_dropped) = (report.ledger.datagrams.lost, fake.implant(0).n_dropped.load(Relaxed));
    let is_known = report.ledger.link.sessions == 1;
    assert!(if is_known { lost == n_dropped } else { lost <= n_dropped }, "{lost} of {n_dropped}");
}

fn mtu_23() {
    let fake = fake(1, vec![Plan { att_mtu: 23, ..plan() }]);
    let mut reader = Reader::connect("ble://N1-1", 1);
    reader.frames(40);
    let report = close(&mut reader, fake.implant(0));
    assert!(reader.check() >= 40);
    assert_eq!((of(&report).att_mtu, of(&report).packet_max), (Some(23), Some(20)));
    assert_eq!(report.ledger.datagrams.lost, 0);
    assert!(report.ledger.packets.used > report.ledger.datagrams.received, "datagrams came in parts");
}

fn wrong_key() {
    let fake = fake(1, vec![Plan { key: key(2), ..plan() }]);
    let mut bluetooth = Bluetooth::call("ble://N1-1", 1);
    bluetooth.until("it was called often", |_| fake.implant(0).n_written.load(Relaxed) >= 4);
    assert_eq!(fake.implant(0).n_sent(), 0, "nobody is answered");
    assert_eq!(fake.implant(0).n_notified.load(Relaxed), 0);
    assert_eq!(bluetooth.n_received, 0);
}

fn replayed_session() {
    let fake = fake(1, vec![plan()]);
    fake.implant(0).is_recorded.store(true, Relaxed);
    let mut reader = Reader::connect("ble://N1-1", 1);
    reader.frames(30);
    fake.implant(0).is_recorded.store(false, Relaxed);
    let n = fake.implant(0).replay() as u64;
    let dropped = |reader: &mut Reader| reader.report().ledger.packets.dropped.values().sum::<u64>();
    reader.until("all were refused", |reader| dropped(reader) >= n);
    reader.frames(20);
    let report = close(&mut reader, fake.implant(0));
    assert!(n > 0 && reader.check() >= 50);
    assert_eq!(report.ledger.packets.dropped.values().sum::<u64>(), n, "{:?}", report.ledger.packets);
    assert_eq!((report.ledger.link.sessions, report.ledger.bins.lost), (1, 0));
}

fn two_implants() {
    let second = Plan { name: "N1-2", address: [1, 2, 3, 4, 5, 6], key: key(2), ..plan() };
    let fake = fake(1, vec![plan(), second]);
    let mut second = Reader::connect("ble://01:02:03:04:05:06", 2);
    let mut first = Reader::connect("ble://N1-1", 1);
    first.frames(30);
    second.frames(30);
    let reports = [close(&mut first, fake.implant(0)), close(&mut second, fake.implant(1))];
    assert!(first.check() >= 30 && second.check() >= 30);
    let names = reports.each_ref().map(|report| report.device.as_ref().map(|device| device.name.as_str()));
    assert_eq!(names, [Some("N1-1"), Some("N1-2")]);
    assert!(reports.iter().all(|report| of(report).connections == 1));
}

fn two_adapters() {
    let fake = fake(2, vec![Plan { adapters: vec![0, 1], ..plan() }]);
    let mut bluetooth = Bluetooth::call("ble://N1-1?adapter=hci7", 1);
    bluetooth.until("none is called so", |own| own.standing().contains("no adapter `hci7`, only hci0, hci1"));
    drop(bluetooth);
    for (adapter, name) in [("hci1", "hci1"), ("00:11:22:33:44:00", "hci0")] {
        let mut reader = Reader::connect(&format!("ble://N1-1?adapter={adapter}"), 1);
        reader.frames(20);
        assert_eq!(fake.implant(0).connected_by(), Some(usize::from(name == "hci1")));
        let report = close(&mut reader, fake.implant(0));
        assert!(reader.check() >= 20);
        assert_eq!(of(&report).adapter.as_deref(), Some(name));
    }
}

fn adapter_off_and_on() {
    let fake = fake(1, vec![plan()]);
    let mut reader = Reader::connect("ble://N1-1", 1);
    reader.frames(20);
    fake.power(0, false);
    reader.until("it is noticed", |reader| of(&reader.report()).standing.contains("is switched off (hci0)"));
    fake.power(0, true);
    reader.frames(20);
    let report = close(&mut reader, fake.implant(0));
    assert!(reader.check() >= 40);
    assert_eq!(of(&report).connections, 2);
    assert_eq!(fake.n_switched_on(0), 0, "an adapter that is off is the user's business");
}

fn daemon_restarted() {
    let fake = fake(1, vec![plan()]);
    let mut reader = Reader::connect("ble://N1-1", 1);
    reader.frames(20);
    fake.vanish();
    reader.until("it is noticed", |reader| of(&reader.report()).standing.contains("failed"));
    fake.come_back();
    reader.frames(20);
    let report = close(&mut reader, fake.implant(0));
    assert!(reader.check() >= 40);
    assert_eq!(of(&report).connections, 2);
}

fn wrong_version() {
    let fake = fake(1, vec![Plan { version: 7, ..plan() }]);
    let mut bluetooth = Bluetooth::call("ble://N1-1", 1);
    let told = format!("version 7 of the link, this program {}", efference::wire::packet::VERSION);
    bluetooth.until("it is told", |own| own.standing().contains(&told));
    assert_eq!(fake.implant(0).n_written.load(Relaxed), 0, "nothing was written to it");
}

/// Memory over 100,000 packets as fast as they come.
fn soak() {
    let n = 120_000;
    let fake = fake(1, vec![Plan { sends: Sends::Datagrams(n), ..plan() }]);
    let mut reader = Reader::connect("ble://N1-1?signals", 1);
    let reach = |reader: &mut Reader, n: u64| {
        reader.until("datagrams", |reader| {
            let report = reader.report();
            report.ledger.datagrams.received + report.ledger.datagrams.lost >= n
        });
        resident_kib()
    };
    let before = reach(&mut reader, 20_000);
    let after = reach(&mut reader, u64::from(n));
    let report = close(&mut reader, fake.implant(0));
    println!("memory: {before} KiB after 20,000 packets, {after} KiB after {n}");
    assert_eq!(report.ledger.datagrams.lost, of(&report).dropped_on_host);
    // The fake is in it too; a packet that stays costs more than 300 bytes.
    assert!(after < before + 8 * 1024, "{before} to {after} KiB");
}

/// What the thread takes at some 500 packets a second, for a person to read.
fn cpu() {
    let fake = fake(1, vec![plan()]);
    let mut reader = Reader::connect_with("ble://N1-1", 1, 2);
    let (before, from) = (thread_seconds("bluetooth"), reader.seconds());
    reader.frames(5_000);
    let (used, seconds) = (thread_seconds("bluetooth") - before, reader.seconds() - from);
    let report = close(&mut reader, fake.implant(0));
    let per_second = of(&report).received as f64 / seconds;
    println!("{per_second:.0} packets/s: the thread takes {:.1} % of a core", 100.0 * used / seconds);
    assert_eq!((report.ledger.datagrams.lost, of(&report).dropped_on_host), (0, 0));
    assert!(used > 0.0);
}

fn resident_kib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").expect("Linux");
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).expect("memory");
    line.split_whitespace().nth(1).and_then(|kib| kib.parse().ok()).expect("a number")
}

/// CPU time of the thread of this name, s.
fn thread_seconds(name: &str) -> f64 {
    let threads = std::fs::read_dir("/proc/self/task").expect("Linux").flatten();
    let stats = threads.filter_map(|thread| std::fs::read_to_string(thread.path().join("stat")).ok());
    let own = stats.filter(|stat| stat.contains(&format!("({name})")));
    let ticks = own.flat_map(|stat| {
        // Behind the name: its state, ten numbers, user time, system time.
        let fields = stat.rsplit(')').next().unwrap_or_default().split_whitespace();
        fields.skip(11).take(2).map(|ticks| ticks.parse::<u64>().expect("a time")).collect::<Vec<_>>()
    });
    ticks.sum::<u64>() as f64 / 100.0
}
