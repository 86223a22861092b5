"""Group `bluetooth`: an implant and a host, both as they are, through the real Linux Bluetooth stack, over a modelled radio.

All of it runs in QEMU with time that counts instructions; both ends share a clock. See scripts/test-ble for how.
"""

import sys

from .link import lines
from .machine import ROOT
from .measure import Figure

COMMAND = "scripts/figures bluetooth"
N1 = "1,024 electrodes, counts of 20 ms, encrypted, 15 ms interval, modelled radio"
BUSY = "some 500 packets/s, of which 55 fresh and the others replayed, 30 s"
LONG = "notifications at 15 ms on 2M, modelled radio, 160 s"
FULL = "notifications at 15 ms on 2M, modelled radio, fresh ones and replayed"
DARK = "blackout of 8 s"
SIGNALS = ", by signals on the bus in place of BlueZ's socket"
ROWS = [
    ("ble.kbps", "KB/s, from the first packet to the last", "higher", FULL, 160),
    ("ble.500pps.lost", "fresh datagrams lost, at full rate too", "lower", BUSY, 0),
    ("ble.500pps.pps", "packets/s that came", "higher", BUSY, None),
    ("ble.n1.p50_ms", "ms, bin closed on the implant to intent", "lower", N1, 20),
    ("ble.n1.p99_ms", "ms, bin closed on the implant to intent", "lower", N1, 40),
    ("ble.n1.host_p99_us", "µs, of which the host's own part", "lower", N1, 1_000),
    ("ble.blackout.recovery_s", "s from the radio's return to the first bin", "lower", DARK, 2),
    ("ble.cpu_share", "of one core, the host", "lower", BUSY, 0.1),
    ("ble.system_share", "of one core, bluetoothd and the bus", "lower", BUSY, None),
    ("ble.signals.cpu_share", "of one core, the host", "lower", BUSY + SIGNALS, None),
    ("ble.signals.system_share", "of one core, bluetoothd and the bus", "lower", BUSY + SIGNALS, None),
    ("ble.signals.p50_ms", "ms, bin closed on the implant to intent", "lower", N1 + SIGNALS, None),
    ("ble.signals.p99_ms", "ms, bin closed on the implant to intent", "lower", N1 + SIGNALS, None),
    ("ble.signals.lost", "fresh datagrams lost, at full rate too", "lower", BUSY + SIGNALS, None),
    ("ble.signals.kbps", "KB/s, from the first packet to the last", "higher", FULL + SIGNALS, None),
    ("ble.long.packets", "packets that came", "higher", LONG, 100_000),
    ("ble.rss_growth_mib", "MiB, the host", "lower", LONG, 4),
    ("ble.forged_accepted", "accepted of 100,000", "lower", "another key, forged, replayed", 0),
]


def figures(lab):
    sys.path.insert(0, str(ROOT / "scripts" / "ble"))
    import guests

    folder, found, skipped = ROOT / "target" / "ble", {}, None
    try:
        guests.prepare(folder)
        found = measured(guests, folder)
    except guests.Skipped as why:
        skipped = str(why)
    forged = lines("cargo run --release -q -p firmware-sim --example forged")
    found["ble.forged_accepted"] = forged["ble.forged_accepted"][0]
    rows = []
    for name, unit, better, data, target in ROWS:
        row = Figure(name, unit, better, data, True, COMMAND, value=found.get(name), target=target)
        row.skipped = None if name in found else skipped
        rows.append(row)
    return rows


def measured(guests, folder):
    running = [
        guests.start(folder, ["n1", "full", "blackout", "busy", "n1_signals", "full_signals", "signals"], guests.HERE / "measured"),
        guests.start(folder, ["long"], guests.HERE / "measured"),
    ]
    outcomes = {}
    for guest in running:
        part, text = guests.outcomes(guest, 1_800)
        outcomes.update(part)
        if not part or any(outcome.reports.get("Implant") is None for outcome in part.values()):
            raise RuntimeError(f"a guest failed: {text[-3000:]}")
    report = {name: outcome.reports["Implant"] for name, outcome in outcomes.items()}
    for name, found in report.items():
        if not found["link"]["balanced"]:
            raise RuntimeError(f"the ledger of {name} is not balanced: {found['link']['ledger']}")
        if found["link"]["bluetooth"]["by_socket"] == name.endswith("signals"):
            raise RuntimeError(f"{name} did not come by the way that it is named for")

    # Fresh ones by their sequence numbers.
    def lost(*names):
        return sum(report[name]["link"]["ledger"]["datagrams"]["lost"] for name in names)

    def ms(name, share):
        return (report[name]["link"]["bin_latency"][share] + report[name]["intent_latency"][share]) / 1e3

    def kbps(name):
        return guests.number(r"([\d.]+) KB/s in all", outcomes[name].accounts["Implant"])

    # It says that it is silent 500 ms after the last packet, and what is missing with the first bin that comes after.
    happened = {words: seconds for seconds, words in report["blackout"]["link"]["happenings"]}
    again = next(seconds for words, seconds in happened.items() if words.endswith("bins are missing: stall"))
    dark = again - (happened["silent"] - 0.5)
    packets = {name: report[name]["link"]["ledger"]["packets"]["received"] for name in ("busy", "long")}
    return {
        "ble.kbps": kbps("full"),
        "ble.500pps.lost": lost("busy", "full", "long"),
        "ble.500pps.pps": packets["busy"] / report["busy"]["seconds"],
        "ble.long.packets": packets["long"],
        "ble.n1.p50_ms": ms("n1", "p50_us"),
        "ble.n1.p99_ms": ms("n1", "p99_us"),
        "ble.n1.host_p99_us": report["n1"]["intent_latency"]["p99_us"],
        "ble.blackout.recovery_s": dark - 8,
        "ble.cpu_share": outcomes["busy"].facts["cpu_share"],
        "ble.system_share": outcomes["busy"].facts["system_share"],
        "ble.signals.cpu_share": outcomes["signals"].facts["cpu_share"],
        "ble.signals.system_share": outcomes["signals"].facts["system_share"],
        "ble.signals.p50_ms": ms("n1_signals", "p50_us"),
        "ble.signals.p99_ms": ms("n1_signals", "p99_us"),
        "ble.signals.lost": lost("signals", "full_signals"),
        "ble.signals.kbps": kbps("full_signals"),
        "ble.rss_growth_mib": outcomes["long"].facts["rss_growth_mib"],
    }
