"""Group `sparse`: a 20 ms bin of a stream of crossings, by electrodes and by events, beside the same as counts.

One run of `benches/sparse.rs`; the medians are criterion's.
"""

import json
import os
import pathlib
import subprocess
import sys

from .machine import ROOT
from .measure import Figure, say

COMMAND = "cargo bench --bench sparse"
DATA = "crossings on channels of their own, Wiener filter of 15 lags and 4 states"


def figures(_lab):
    say(f"  {COMMAND}")
    subprocess.run(COMMAND.split(), cwd=ROOT, check=True, stdout=subprocess.DEVNULL, stderr=sys.stderr)
    at_1024, at_50k = median_us("crossings 1024", 1_000), median_us("crossings 50000", 1_000)
    counts = median_us("counts", 50_000)
    few, many = median_us("crossings 50000", 100), median_us("crossings 50000", 10_000)
    return [
        figure("sparse.50k.us_per_bin", "µs a bin of 1,000 events, 50,000 electrodes", "lower", at_50k),
        figure("sparse.50k.cost_vs_1024", "50,000 over 1,024 electrodes, 1,000 events", "lower", at_50k / at_1024),
        figure("sparse.50k.cost_per_event_growth", "10,000 over 100 events, per event", "lower", many / few / 100),
        figure("sparse.50k.speed_vs_counts", "times as fast as counts, 1,000 events", "higher", counts / at_50k),
    ]


def figure(name, unit, better, value):
    return Figure(name, unit, better, DATA, True, COMMAND, value=value)


def median_us(name, of):
    target = ROOT / os.environ.get("CARGO_TARGET_DIR", "target")
    path = pathlib.Path(target) / "criterion" / "sparse_a bin" / name / str(of) / "new" / "estimates.json"
    return json.loads(path.read_text())["median"]["point_estimate"] * 1e-3
