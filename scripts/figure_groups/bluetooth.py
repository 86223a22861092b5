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
ROWS = [
    ("ble.kbps", "KB/s, from the first packet to the last", "higher", FULL, 160),
    ("ble.500pps.lost", "fresh datagrams lost, at full rate too", "lower", BUSY, 0),
    ("ble.500pps.pps", "packets/s that came", "higher", BUSY, None),
    ("ble.n1.p50_ms", "ms, bin closed on the implant to intent", "lower", N1, 20),
    ("ble.n1.p99_ms", "ms, bin closed on the implant to intent", "lower", N1, 40),
    ("ble.n1.host_p99_us", "µs, of which the host's own part", "lower", N1, 1_000),
    ("ble.blackout.recovery_s", "s from the radio's return to the first bin", "lower", DARK, 2),
    ("ble.cpu_share", "of one core, the host", "lower", BUSY, 0.1),
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
        guests.start(folder, ["n1", "full", "blackout", "busy"], guests.HERE / "measured"),
        guests.start(folder, ["long"], guests.HERE / "measured"),
    ]
    outcomes = {}
    for guest in running:
        part, text = guests.outcomes(guest, 1_800)
        outcomes.update(part)
        if not part or any(outcome.reports.get("Implant") is None for outcome in part.values()):
            raise RuntimeError(f"a guest failed: {text[-3000:]}")
    names = ("n1", "busy", "full", "blackout", "long")
    n1, busy, full, blackout, long = reports = [outcomes[name].reports["Implant"] for name in names]
    for report in reports:
        if not report["link"]["balanced"]:
            raise RuntimeError(f"a ledger is not balanced: {report['link']['ledger']}")
    air, host = n1["link"]["bin_latency"], n1["intent_latency"]
    # The first bin that is missing is the blackout's first; those after its end wait for the connection.
    missing = blackout["link"]["ledger"]["bins"]["lost"]
    return {
        "ble.kbps": guests.number(r"([\d.]+) KB/s in all", outcomes["full"].accounts["Implant"]),
        # Fresh ones by their sequence numbers; at full rate too.
        "ble.500pps.lost": sum(report["link"]["ledger"]["datagrams"]["lost"] for report in (busy, full, long)),
        "ble.500pps.pps": busy["link"]["ledger"]["packets"]["received"] / busy["seconds"],
        "ble.long.packets": long["link"]["ledger"]["packets"]["received"],
        "ble.n1.p50_ms": (air["p50_us"] + host["p50_us"]) / 1e3,
        "ble.n1.p99_ms": (air["p99_us"] + host["p99_us"]) / 1e3,
        "ble.n1.host_p99_us": host["p99_us"],
        "ble.blackout.recovery_s": missing * 0.02 - 8,
        "ble.cpu_share": outcomes["busy"].facts["cpu_share"],
        "ble.rss_growth_mib": outcomes["long"].facts["rss_growth_mib"],
    }
