"""Group `frontend`: the front end from 1,024 to 50,000 channels, against a ceiling and against peers.

Every stream is the simulator's: all of it is synthetic. Throughput is by the clock. Ratios are of the time for which a
program had a core, taken within a run whose sides alternate, so that a shared machine doesn't decide them. Each row
says the kernel level, the load before and after, and the share of the time for which the bench had its core.
"""

import contextlib
import json
import os
import statistics
import subprocess

from .machine import ROOT
from .measure import Absent, Figure, built_bench, say

ORDER = {2: "4th-order band-pass", 4: "8th-order band-pass"}
ONE_CORE = [
    "1024.1core", "4096.1core", "16384.1core", "50k.1core",
    "1024.1core.order4", "16384.1core.order4", "50k.1core.order4",
]
# The one for all that is measured on one; the first has the system's interrupts.
CORE = max(os.sched_getaffinity(0))
# Rust and Python take turns.
TURNS = 3


def figures(_lab):
    program = built_bench("figures")
    return [*front_end(program), *against_scipy(program), *against_spikeinterface(program)]


def front_end(program):
    one_core = Run(program, only=",".join(ONE_CORE), one_core=True)
    cases = {case["name"]: case for case in one_core.cases}
    two_cores = Run(program, only="50k.2core,50k.2core.order4")
    shown = [one_core.throughput(name, target) for name, target in (
        ("1024.1core", 2.5), ("4096.1core", None), ("16384.1core", None), ("50k.1core", 2.0),
        ("1024.1core.order4", None), ("50k.1core.order4", None),
    )]
    shown += [two_cores.throughput("50k.2core", 3.5), two_cores.throughput("50k.2core.order4", None)]
    for name, target in (("1024", 0.35), ("50k", 0.6)):
        shown += one_core.ceiling(name, target)
    shown.append(cost_growth(one_core, cases["1024.1core"], cases["50k.1core"]))
    return shown


class Run:
    """What one run of `benches/figures.rs` printed."""

    def __init__(self, program, only, one_core=False, rounds=15):
        words = ["--rounds", str(rounds), "--only", only]
        self.command = " ".join(["cargo bench --bench figures --", *words])
        if one_core:
            self.command = f"taskset -c {CORE} {self.command}"
        before = os.getloadavg()[0]
        report = json.loads(run([program, *words], one_core))
        self.load = f"load {before:.1f} to {os.getloadavg()[0]:.1f}"
        self.level, self.cores, self.cases = report["level"], report["cores"], report["cases"]

    def case(self, name):
        return next(case for case in self.cases if case["name"] == name)

    def about(self, case):
        had = case["gsps"]["median"] / case["gsps_on_cpu"]["median"]
        return (
            f"simulator, {case['n_channels']:,} channels × {case['n_frames']} frames, {ORDER[case['order']]}, "
            f"{self.level}, {self.load}, had its core for {had:.0%}"
        )

    def throughput(self, name, target):
        case = self.case(name)
        figure = Figure(f"frontend.{name}.gsps", "Gsample/s", "higher", self.about(case), True, self.command)
        figure.target = target
        if case["threads"] > self.cores:
            figure.skipped = f"there are {self.cores} cores"
        else:
            figure.value = case["gsps"]["median"]
        return figure

    def ceiling(self, name, target):
        """The share of the fastest loop that only reads the same bytes, and that loop."""
        case = self.case(f"{name}.1core")
        data = self.about(case).replace(self.level, f"{self.level}, the reader {case['ceiling_level']}")
        share = Figure(f"frontend.{name}.ceiling_share", "share", "higher", data, True, self.command, target=target)
        share.value = case["ceiling_share"]["median"]
        ceiling = Figure(f"frontend.{name}.ceiling_gsps", "Gsample/s", "higher", data, True, self.command)
        ceiling.value = case["ceiling_gsps_on_cpu"]["median"]
        return [share, ceiling]


def cost_growth(run_of, few, many):
    """Cost of a sample at 50,000 channels over that at 1,024, round by round."""
    data = f"simulator, {few['n_channels']:,} to {many['n_channels']:,} channels, {run_of.level}, {run_of.load}"
    figure = Figure("frontend.cost_growth", "ratio", "lower", data, True, run_of.command, target=1.6)
    rounds = zip(few["gsps_on_cpu"]["each"], many["gsps_on_cpu"]["each"])
    figure.value = statistics.median(few_gsps / many_gsps for few_gsps, many_gsps in rounds)
    return figure


def against_scipy(program):
    """Over `sosfilt` and thresholds alone in SciPy's favourite layout, in that of a stream, and over the same work."""
    names = {
        "frontend.vs_scipy": ("samples_per_second", 40, "sosfilt and thresholds on float32 blocks of 2,000 frames"),
        "frontend.vs_scipy_frame_by_frame": (
            "frames_by_channels", None, "sosfilt and thresholds on float32 blocks of 2,000 frames × channels",
        ),
        "frontend.vs_scipy_same_work": (
            "whole_front_end", None, "16 bits, reference of 64, sosfilt, thresholds, power, blocks of 2,000 frames",
        ),
    }
    return against(program, "scipy_front_end.py", [], ["--rounds", "3"], names)


def against_spikeinterface(program):
    """Over the fastest settings that do the work, over the same groups of the reference, over what is usual."""
    names = {
        "frontend.vs_spikeinterface": ("samples_per_second", 40, "one pass, one average of all channels"),
        "frontend.vs_spikeinterface_same_work": ("grouped_samples_per_second", None, "one pass, averages of 64"),
        "frontend.vs_spikeinterface_usual": ("usual_samples_per_second", None, "told nothing: two passes, medians"),
    }
    return against(program, "spikeinterface_front_end.py", ["spikeinterface"], ["--rounds", "1"], names)


def against(program, script, packages, words, names):
    """Ratios of throughput at 1,024 channels on one core, the median of turns; `names`: key, target, what."""
    setup = " ".join(["scripts/setup-peers", *packages])
    command = f"{setup} && OMP_NUM_THREADS=1 taskset -c {CORE} python benches/peers/{script} {' '.join(words)}"
    ratios, before, level, skipped = {name: [] for name in names}, os.getloadavg()[0], "", None
    try:
        python = environment(packages)
        for _ in range(TURNS):
            own = Run(program, only="1024.1core", one_core=True, rounds=3)
            level, speed = own.level, own.case("1024.1core")["gsps_on_cpu"]["median"]
            peer = json.loads(run([python, ROOT / "benches" / "peers" / script, *words], one_core=True))
            for name, (key, _, _) in names.items():
                ratios[name].append(speed * 1e9 / peer[key])
    except Absent as absent:
        skipped = str(absent)
    shown = []
    for name, (_, target, what) in names.items():
        data = f"1,024 channels, {what}, {level}, load {before:.1f} to {os.getloadavg()[0]:.1f}"
        figure = Figure(name, "times as fast", "higher", data, True, command, target=target, skipped=skipped)
        figure.value = None if skipped else statistics.median(ratios[name])
        shown.append(figure)
    return shown


def environment(packages):
    """The path of a Python that has the peers.

    Raises `Absent` if they can't be had.
    """
    made = subprocess.run([ROOT / "scripts" / "setup-peers", *packages], capture_output=True, text=True)
    if made.returncode != 0:
        raise Absent("the peers can't be installed (scripts/setup-peers says why)")
    return made.stdout.strip().splitlines()[-1]


def run(command, one_core):
    """What it prints. `one_core`: on `CORE`, and with one thread in NumPy.

    Raises CalledProcessError if it fails; what it says goes to standard error.
    """
    say(f"  {os.path.basename(command[0])} {' '.join(map(str, command[1:]))}")
    variables = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1"}
    if one_core:
        variables.update(OMP_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1")
    with pinned() if one_core else contextlib.nullcontext():
        return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, env=variables).stdout


@contextlib.contextmanager
def pinned():
    """Children inherit the one core."""
    cores = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {CORE})
    try:
        yield
    finally:
        os.sched_setaffinity(0, cores)
