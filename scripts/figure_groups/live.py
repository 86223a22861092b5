"""Group `live`: `efference run` in real time, its source on the same cores. All of it is synthetic."""

import os

from .measure import Absent, Figure

SECONDS = 60
FRONT_END = "[front_end]\ncar_group = 64\nlow_cut_hz = 300\nhigh_cut_hz = 6000\n[bins]\nwidth_ms = 20\n"
# Name, simulator, seconds of it and words to train on; the decoder has to run, not to be a good one.
STREAMS = {
    "1024": ("sim:neuralink-n1@30000", 20, ("--decoder", "kalman"), ("--wait", "low-latency")),
    "50k": ("sim:paradromics-50k", 8, ("--decoder", "wiener", "--lags", "3"), ()),
}
# Where the report of `run --json` says it: the keys down to the number.
KEYS = {
    "p50_us": ("intent_latency", "p50_us"),
    "p99_us": ("intent_latency", "p99_us"),
    "p999_us": ("intent_latency", "p999_us"),
    "frames_lost": ("frames_lost",),
    "rss_mib": ("resident_mib",),
    "allocations": ("allocations",),
}
UNITS = {
    "p50_us": "µs, block in to intent out",
    "p99_us": "µs, block in to intent out",
    "p999_us": "µs, block in to intent out",
    "frames_lost": "frames",
    "rss_mib": "MiB",
    "allocations": "allocations after the start",
}
# At most.
TARGETS = {
    "1024": {"p50_us": 25, "p99_us": 60, "p999_us": 1000, "frames_lost": None},
    "50k": {"p50_us": 600, "p99_us": 1000, "frames_lost": 0, "rss_mib": 400},
}


def figures(lab):
    shown, allocations = [], []
    for name, targets in TARGETS.items():
        command, report, load, skipped = run(lab, name)
        data = f"{STREAMS[name][0]} for {SECONDS} s, {load}"
        for key, target in targets.items():
            figure = Figure(f"live.{name}.{key}", UNITS[key], "lower", data, True, command, target=target)
            figure.skipped = skipped
            figure.value = None if skipped else at(report, KEYS[key])
            shown.append(figure)
        allocations += [] if skipped else [at(report, KEYS["allocations"])]
    figure = Figure(
        "live.allocations", UNITS["allocations"], "lower", f"both for {SECONDS} s", True, command, target=0
    )
    figure.value, figure.skipped = (max(allocations), None) if allocations else (None, skipped)
    return [*shown, figure]


def run(lab, name):
    """Its command, what it reported, the load, and why it was skipped, if it was."""
    source, seconds, decoder, waiting = STREAMS[name]
    settings, model = lab.scratch / "live.toml", lab.scratch / f"live-{name}"
    settings.write_text(FRONT_END)
    bins = f"0..{seconds * 50}"
    train = ("train", f"{source},seconds={seconds}", "--config", settings, *decoder, "--bins", bins, "--out", model)
    words = ("run", "--source", source, "--model", model, "--seconds", SECONDS, "--realtime", *waiting)
    command = f"{lab.shown(*train)} && {lab.shown(*words)}"
    try:
        lab.command("run")
    except Absent as absent:
        return command, None, "not run", str(absent)
    lab.run(*train)
    before = os.getloadavg()[0]
    report = lab.run(*words)
    return command, report, f"load {before:.1f} to {os.getloadavg()[0]:.1f}", None


def at(report, keys):
    for key in keys:
        report = report[key]
    return report
