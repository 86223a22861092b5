"""Group `link`: codecs beside their bounds, what a link takes, what losses and faults do.

benches/codec.rs and firmware-sim/examples/figures.rs, which runs whole links in simulated time, print lines `name value`;
benches/raw.rs, which needs the recordings of an N1, prints JSON.
"""

import json
import os
import subprocess
import sys

from .machine import ROOT
from .measure import Figure, say

SCRIPTS, SECONDS, INPUTS = 10_000, 60, 10_000_000


def figures(lab):
    counts = lines("cargo bench --bench codec")
    link = lines(
        "cargo run --release -p firmware-sim --example figures --"
        f" --seconds {SECONDS} --scripts {SCRIPTS}"
    )
    fuzz = lines(f"cargo run --release -p efference-wire --example fuzz -- --inputs {INPUTS} --seed 1")
    minute = "simulated counts of 20 ms, a minute"
    measured = [
        figure("codec.counts.over_entropy", "ratio", "lower", minute + ", the worst of 1,024 and 50,000 electrodes, tables and start included", counts, 1.05),
        figure("codec.counts.mbins", "M channel-bins/s, one core", "higher", minute + ", the slower of encode and decode", counts, 50),
    ]
    for name, data, target in [
        ("link.1024.10hz.mbps", "1,024 electrodes, mean 10 Hz, 20 ms, everything included", 0.06),
        ("link.50k.5hz.mbps", "50,000 electrodes, mean 5 Hz, 20 ms, everything included", 1.3),
        ("link.50k.10hz.mbps", "50,000 electrodes, mean 10 Hz, budget of 1.3", 1.3),
    ]:
        measured.append(figure(name, "Mbit/s", "lower", data, link, target))
    measured.append(figure("link.50k.10hz.bin_frames", "frames of 20 ms a bin", "lower", "what was given up at 10 Hz", link))
    for name, target in [("link.loss5.r2_share", 0.97), ("link.loss20.r2_share", 0.9)]:
        measured.append(
            figure(name, "of the R² without loss", "higher", "256 electrodes, Wiener filter of 25 lags, bursts of 4 packets", link, target)
        )
    about = "64 electrodes, 20 s each, at most 8 faults at once"
    measured.append(figure("faults.scripts", "random scripts run", "higher", about, link, SCRIPTS))
    measured.append(figure("faults.wrong", "scripts in which something did not hold", "lower", about, link, 0))
    measured.append(figure("faults.recovery_max_ms", "ms from the last fault to the next whole bin", "lower", about, link, 1000))
    measured.append(figure("wire.fuzz.inputs", "damaged inputs without panic or growth", "higher", "mutated legal streams, seed 1", fuzz, INPUTS))
    return measured + raw(lab)


def raw(lab):
    command = "cargo bench --bench raw"
    found = {}
    if lab.data:
        say(f"  {command}")
        done = subprocess.run(
            command.split(), cwd=ROOT, check=True, stdout=subprocess.PIPE, stderr=sys.stderr, text=True,
            env={**os.environ, "EFFERENCE_DATA": str(lab.data)},
        )
        found = {name: (value, command) for name, value in json.loads(done.stdout.splitlines()[-1]).items()}
    measured = []
    for name, unit, target in [
        ("codec.n1.live.ratio", "times smaller", 3.35),
        ("codec.n1.archive.ratio", "times smaller", 3.5),
        ("codec.raw.encode_msps", "Msample/s, one core", 20),
        ("codec.raw.decode_msps", "Msample/s, one core", 20),
    ]:
        value, how = found.get(name, (None, command))
        row = Figure(name, unit, "higher", "neuralink-n1, 200 recordings", False, how, value=value, target=target)
        row.skipped = None if value is not None else "the recordings are not here"
        measured.append(row)
    return measured


def figure(name, unit, better, data, found, target=None):
    value, command = found[name]
    return Figure(name, unit, better, data, True, command, value=value, target=target)


def lines(command):
    """What a program prints as `name value`, each with the command."""
    say(f"  {command}")
    done = subprocess.run(
        command.split(), cwd=ROOT, check=True, stdout=subprocess.PIPE, stderr=sys.stderr, text=True,
    )
    found = {}
    for line in done.stdout.splitlines():
        words = line.split()
        if len(words) >= 2:
            try:
                found[words[0]] = (float(words[1]), command)
            except ValueError:
                pass
    return found
