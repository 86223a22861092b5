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
    ("ble.system_share", "of one core, bluetoothd and the bus", "lower", BUSY, None),
    ("ble.long.packets", "packets that came", "higher", LONG, 100_000),
    ("ble.rss_growth_mib", "MiB, the host", "lower", LONG, 4),
    ("ble.forged_accepted", "accepted of 100,000", "lower", "another key, forged, replayed", 0),
]
# Notifications by BlueZ's socket beside signals on the bus: what the guest's scenarios are called, and what they are.
SCENARIOS = {
    "n1": N1,
    "errors": "the same, 30 % of the packets on the air damaged",
    "busy": BUSY,
    "full": FULL,
    "blackout": DARK,
    "slow": "the same, the decoder stands still for 2.5 s",
}
WAYS = {"socket": "", "signals": "_signals"}
MEASURES = {
    "host_cpu": "of one core, the host",
    "system_cpu": "of one core, bluetoothd and the bus",
    "p50_ms": "ms, bin closed on the implant to bin whole on the host",
    "p99_ms": "ms, bin closed on the implant to bin whole on the host",
    "lost": "fresh datagrams lost",
}


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

    def add(name, unit, better, data, target=None):
        row = Figure(name, unit, better, data, True, COMMAND, value=found.get(name), target=target)
        row.skipped = None if name in found else skipped
        rows.append(row)

    for about in ROWS:
        add(*about)
    for scenario, about in SCENARIOS.items():
        for way in WAYS:
            for measure, unit in MEASURES.items():
                add(f"ble.ways.{scenario}.{way}.{measure}", unit, "lower", about)
    return rows


def table(rows):
    """Socket against signals: a line a scenario, a column a measure."""
    from .print import number

    value = {row["name"]: row["value"] for row in rows}
    lines = [
        "BlueZ's socket / signals on the bus:",
        "",
        "| scenario | CPU of the host | CPU of bluetoothd and bus | p50, ms | p99, ms | datagrams lost |",
        "|---|--:|--:|--:|--:|--:|",
    ]
    for scenario, about in SCENARIOS.items():
        cells = []
        for measure in MEASURES:
            found = [value.get(f"ble.ways.{scenario}.{way}.{measure}") for way in WAYS]
            cells.append(" / ".join("skipped" if one is None else number(one) for one in found))
        lines.append(f"| {about} | {' | '.join(cells)} |")
    return "\n".join(lines)


def measured(guests, folder):
    running = [
        *(guests.start(folder, [name + way for name in SCENARIOS], guests.HERE / "measured") for way in WAYS.values()),
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
    ways = {}
    for scenario in SCENARIOS:
        for way, ending in WAYS.items():
            name = scenario + ending
            latency, facts = report[name]["link"]["bin_latency"], outcomes[name].facts
            values = [facts["cpu_share"], facts["system_share"], latency["p50_us"] / 1e3, latency["p99_us"] / 1e3, lost(name)]
            ways.update({f"ble.ways.{scenario}.{way}.{measure}": value for measure, value in zip(MEASURES, values)})
    return {
        **ways,
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
        "ble.rss_growth_mib": outcomes["long"].facts["rss_growth_mib"],
    }
