"""Group `cursor`: the best decoder of each family on recorded reaching, electrodes lost on purpose, fits of 50,000 channels.

Which decoder of a family is best is chosen on the training part alone: each is fitted on its first four fifths and
scored on the last. The test part is seen once, by the one that was chosen.
"""

import itertools
import json
import os
import pathlib
import statistics
import subprocess
import sys

from .machine import ROOT
from .measure import Absent, Figure, say
from .replay import M1, M1_TEST, M1_TRAIN

DATA = f"m1-reaching, bins {M1_TEST}"
WIENERS = [
    ("wiener", "--lags", lags, "--normaliser", normaliser)
    for lags, normaliser in itertools.product(("10", "15", "20"), ("zscore", "five-quarters"))
]
KALMANS = [("kalman", "--normaliser", normaliser) for normaliser in ("zscore", "sqrt", "five-quarters")]
# Share of channels, and the least share of R² that is to be left.
LOSSES = {"0.15": 0.98, "0.5": 0.90, "0.85": 0.56}
DRAWS = 20
# A recording in which some 1,024 channels have enough events to be decoded, for the time of solving again.
N1 = "sim:neuralink-n1,kind=counts,width_ms=20,electrodes=1470,seconds=120,seed=1"
# Decoders that are solved again while the stream runs: the figure, the stream, the decoder, the most that it may take.
FOLLOWED = [
    ("resolve.live_ms", "sim:neuralink-n1,kind=counts,width_ms=20,electrodes=1470,seed=1", "kalman", 50),
    ("resolve.50k.live_ms", "sim:paradromics-50k,kind=counts,width_ms=20,seed=1", "wide-kalman", 1000),
]
# Calibration takes 3 simulated minutes; everything was chosen on seeds 1 to 8.
WEBGRID_SOURCE = "sim:neuralink-n1,seed=101"
WEBGRID_SEEDS = 20
DECODED = "calibrated for 3 min, clicks decoded"
DWELL = "calibrated for 3 min, clicks by dwell"
SWITCH = "calibrated for 3 min, pointing alone: clicks by a switch"
WEBGRID = [
    ("webgrid.n1.bps", "expert", ("--click", "decoded"), DECODED, 10.4),
    ("webgrid.n1.typical.bps", "typical", ("--click", "decoded"), DECODED, None),
    ("webgrid.n1.dwell.bps", "expert", (), DWELL, None),
    ("webgrid.n1.pointing.bps", "expert", ("--click", "switch"), SWITCH, None),
    ("webgrid.ideal.bps", "expert", ("--click", "switch", "--ideal"), "an ideal cursor, as a mouse", None),
    ("webgrid.ideal.typical.bps", "typical", ("--click", "switch", "--ideal"), "an ideal cursor, as a mouse", None),
]
# What becomes of pointing by the expert when electrodes are lost in mid-session: figure, flags, words, target.
LOST_AT = 60
LOSE = ("--seconds", 2 * LOST_AT, "--lose", f"0.85@{LOST_AT}")
SOON = f"within {LOST_AT} s of it"
AFTER_LOSS = f"85 % of the electrodes lost after {LOST_AT} s of use, the {LOST_AT} s after that"
LOSSES_IN_USE = [
    ("webgrid.n1.lose85.bps", (*LOSE, "--recalibrate"), AFTER_LOSS + ", recalibrated in use", 9.5),
    ("webgrid.n1.lose85.unaided.bps", LOSE, AFTER_LOSS + ", the decoder left as it was", None),
]
# Calibrated for 3 minutes on the electrodes that remain: what they have to give.
FRESH_SOURCE = WEBGRID_SOURCE + ",lose=0.85@0"
# A day is a minute of use; 11 of them take long, so that fewer seeds do.
DAYS, DAYS_SEEDS = 10, 10


def figures(lab):
    measured = []
    try:
        lab.recording(M1)
        measured += recorded(lab)
    except Absent as absent:
        names = ["m1.wiener.velocity_r2", "m1.cascade.velocity_r2", "m1.kalman.velocity_r2", "m1.adaptive.velocity_r2"]
        names += [name(lose) for lose in LOSSES]
        measured += [Figure(of, "R²", "higher", DATA, False, "", skipped=str(absent)) for of in names]
    measured += fit_m1(lab)
    measured.append(resolved(lab))
    measured += [resolved_live(lab, *followed) for followed in FOLLOWED]
    measured += fit_50k()
    measured += decode()
    measured += webgrid(lab)
    measured += lost_in_use(lab)
    measured += over_days(lab)
    measured += refit(lab)
    return measured


def webgrid(lab):
    """Bits a second of a simulated user on Webgrid, with seeds on which nothing was chosen; and the user's own ceiling."""
    measured = []
    for figure, user, flags, words, target in WEBGRID:
        command = ("task", "webgrid", WEBGRID_SOURCE, "--seeds", WEBGRID_SEEDS, "--user", user, *flags)
        data = f"closed loop, Webgrid 30 × 30, user `{user}`, {words}, median of {WEBGRID_SEEDS} seeds"
        row = Figure(figure, "bits/s", "higher", data, True, lab.shown(*command), target=target)
        row.value = lab.run(*command)["median"]["bits_per_second"]
        measured.append(row)
    return measured


def lost_in_use(lab):
    """Bits a second of pointing after a loss in mid-session, and of a fresh calibration on what remains."""
    task = "closed loop, Webgrid 30 × 30, user `expert`, clicks by a switch"
    common = ("--seeds", WEBGRID_SEEDS, "--user", "expert", "--click", "switch")
    measured = []
    for figure, flags, words, target in LOSSES_IN_USE:
        command = ("task", "webgrid", WEBGRID_SOURCE, *common, *flags)
        data = f"{task}, {words}, median of {WEBGRID_SEEDS} seeds"
        row = Figure(figure, "bits/s", "higher", data, True, lab.shown(*command), target=target)
        row.value = lab.run(*command)["median"][SOON]
        measured.append(row)
    command = ("task", "webgrid", FRESH_SOURCE, *common)
    data = f"{task}, calibrated for 3 min on the 15 % that remain, median of {WEBGRID_SEEDS} seeds"
    row = Figure("webgrid.n1.lose85.fresh.bps", "bits/s", "higher", data, True, lab.shown(*command))
    row.value = lab.run(*command)["median"]["bits_per_second"]
    return [*measured, row]


def over_days(lab):
    """Bits a second on the last day of drift over those on the first, after one calibration."""
    measured = []
    for figure, flags, words, target in (
        ("webgrid.n1.day10_share", ("--recalibrate",), "recalibrated in use", 0.9),
        ("webgrid.n1.day10_share.unaided", (), "the decoder left as it was", None),
    ):
        common = ("--seeds", DAYS_SEEDS, "--user", "expert", "--click", "switch", "--days", DAYS)
        command = ("task", "webgrid", WEBGRID_SOURCE, *common, *flags)
        data = (
            f"closed loop, Webgrid 30 × 30, user `expert`, clicks by a switch, a minute a day, {DAYS} days of drift, "
            f"calibrated on the first alone, {words}, median of {DAYS_SEEDS} seeds"
        )
        row = Figure(figure, "share of day 0", "higher", data, True, lab.shown(*command), target=target)
        row.value = lab.run(*command)["median"]["share"]
        measured.append(row)
    return measured


def refit(lab):
    """Time to target with ReFIT over that with a plain velocity Kalman filter, and over an ideal cursor's."""
    commands = [
        ("task", "center-out", WEBGRID_SOURCE, "--seeds", WEBGRID_SEEDS, *flags)
        for flags in (("--decoder", "kalman"), ("--decoder", "refit"), ("--ideal",))
    ]
    plain, refit, ideal = (lab.run(*command)["median"]["median_seconds_to_target"] for command in commands)
    task = f"closed loop, centre-out, user `typical`, medians of {WEBGRID_SEEDS} seeds, held 0.4 s"
    measured = []
    for figure, value, command, words, target in (
        ("refit.time_ratio", refit / plain, commands[1], "ReFIT", 0.6),
        ("refit.ideal.time_ratio", ideal / plain, commands[2], "a cursor that does what is intended", None),
    ):
        data = f"{task}: {words} against the plain velocity Kalman filter ({plain:.2f} s), both calibrated for 3 min"
        shown = f"{lab.shown(*commands[0])}; {lab.shown(*command)}"
        row = Figure(figure, "share of the time to target", "lower", data, True, shown, target=target)
        row.value = value
        measured.append(row)
    return measured


def name(lose):
    return f"m1.lose{round(100 * float(lose))}.share"


def recorded(lab):
    source = (lab.data / M1, "--mapping", "m1-reaching")
    wiener, command = best(lab, source, WIENERS)
    static = Figure("m1.wiener.velocity_r2", "R²", "higher", DATA, False, command, target=0.82)
    static.value = replay(lab, source, wiener)
    cascaded, command = best(lab, source, [(*settings, "--cascade", "full") for settings in WIENERS], "cascade")
    data = f"{DATA}, the same with a static nonlinearity behind it"
    cascade = Figure("m1.cascade.velocity_r2", "R²", "higher", data, False, command, target=static.value)
    cascade.value = replay(lab, source, cascaded)
    kalman, command = best(lab, source, KALMANS)
    other = Figure("m1.kalman.velocity_r2", "R²", "higher", DATA, False, command, target=0.75)
    other.value = replay(lab, source, kalman)
    on = (*source, "--model", wiener, "--bins", M1_TEST)
    words = ("drill", "adaptive", *on)
    data = f"{DATA}, each bin decoded before it is learnt from"
    adaptive = Figure("m1.adaptive.velocity_r2", "R²", "higher", data, False, lab.shown(*words), target=static.value)
    adaptive.value = lab.run(*words)["adaptive"]["velocity_r2"]["mean"]
    words = ("drill", "electrodes", "--lose", ",".join(LOSSES), "--draws", DRAWS, *on)
    losses = lab.run(*words)["losses"]
    shares = []
    for (lose, target), loss in zip(LOSSES.items(), losses):
        data = f"{DATA}, mean of {DRAWS} draws of channels"
        figure = Figure(name(lose), "share of R²", "higher", data, False, lab.shown(*words), target=target)
        figure.value = loss["share"]
        shares.append(figure)
    return [static, cascade, other, adaptive, *shares]


def best(lab, source, family, name=None):
    """The model, with its statistics, of the decoder that is best on the last fifth of the training part."""
    scores = {}
    for settings in family:
        words = train(lab, source, settings, name)
        scores[settings] = lab.run(*words)["score"]["velocity_r2"]["mean"]
    chosen = max(scores, key=scores.get)
    say(f"  chosen on the training part: {' '.join(chosen)}, of {sorted(scores.values())}")
    words = train(lab, source, chosen, name, "--keep-statistics")
    lab.run(*words)
    return words[-1], lab.shown(*words)


def train(lab, source, settings, name, *flags):
    out = lab.scratch / f"cursor-{name or settings[0]}"
    return ("train", *source, "--decoder", *settings, "--bins", M1_TRAIN, *flags, "--out", out)


def replay(lab, source, model):
    return lab.run("replay", *source, "--model", model, "--bins", M1_TEST)["score"]["velocity_r2"]["mean"]


def resolved(lab):
    """Milliseconds in which a Kalman filter of 1,024 channels is solved again for those that remain."""
    model = lab.scratch / "cursor-n1"
    training = ("train", N1, "--decoder", "kalman", "--keep-statistics", "--out", model)
    words = ("drill", "electrodes", "--lose", "0.15", "--draws", 9, N1, "--model", model)
    command = f"{lab.shown(*training)} && {lab.shown(*words)}"
    lab.run(*training)
    report = lab.run(*words)
    data = f"simulator, Kalman filter of {report['channels']} channels, 15 % lost"
    figure = Figure("electrodes.1024.resolve_ms", "ms, median", "lower", data, True, command, target=50)
    figure.value = report["losses"][0]["resolve_ms"]
    return figure


def resolved_live(lab, figure, source, decoder, target):
    """Milliseconds from the bin that shows a loss to the decoder without it, in a run; the bins are of 20 ms."""
    model = lab.scratch / f"cursor-{decoder}"
    training = ("train", f"{source},seconds=60", "--decoder", decoder, "--keep-statistics", "--out", model)
    words = ("run", "--source", f"{source},seconds=10,lose=0.15@2", "--model", model, "--follow-electrodes")
    command = f"{lab.shown(*training)} && {lab.shown(*words)}"
    features = lab.run(*training)["choices"]["n_features"]
    swaps = [swap["ms"] for swap in lab.run(*words)["swaps"]]
    data = f"simulator, live, `{decoder}` filter of {features} channels, {len(swaps)} swaps"
    row = Figure(figure, "ms, median", "lower", data, True, command, target=target)
    row.value = statistics.median(swaps)
    return row


def fit_m1(lab):
    """Seconds of a fit on all of a recording, and how many times as long scikit-learn takes on the same matrices."""
    data = "m1-reaching, 196 units × 13,205 bins × 10 lags, 5 strengths, 5 folds"
    command = "cargo bench --bench fit -- --recording M1 --mapping m1-reaching --out FOLDER"
    seconds = Figure("fit.m1.seconds", "s, median", "lower", data, False, command, target=2)
    peer = Figure("fit.m1.vs_sklearn", "times as fast", "higher", data, False, "", target=3)
    off = Figure("fit.m1.vs_sklearn.difference", "share of the weights", "lower", data, False, "")
    peer.command = off.command = f"{command} && python benches/peers/sklearn_ridge.py FOLDER JSON"
    rows = [seconds, peer, off]
    try:
        recording = lab.recording(M1)
    except Absent as absent:
        for row in rows:
            row.skipped = str(absent)
        return rows
    out = lab.scratch / "fit-m1"
    out.mkdir(exist_ok=True)
    say(f"  {command}")
    bench = ["cargo", "bench", "--bench", "fit", "--", "--recording", recording, "--mapping", "m1-reaching", "--out", out]
    done = subprocess.run(bench, cwd=ROOT, check=True, stdout=subprocess.PIPE, stderr=sys.stderr, text=True)
    line = done.stdout.strip().splitlines()[-1]
    seconds.value = statistics.median(json.loads(line)["seconds"])
    made = subprocess.run([ROOT / "scripts" / "setup-peers", "scikit-learn"], capture_output=True, text=True)
    if made.returncode != 0:
        peer.skipped = off.skipped = "scikit-learn can't be installed (scripts/setup-peers says why)"
        return rows
    python = made.stdout.strip().splitlines()[-1]
    words = [python, ROOT / "benches" / "peers" / "sklearn_ridge.py", out, line]
    found = json.loads(subprocess.run(words, check=True, stdout=subprocess.PIPE, text=True).stdout)
    peer.data += f", scikit-learn {found['sklearn']} in {statistics.median(found['seconds']):.1f} s"
    peer.value, off.value = statistics.median(found["seconds"]) / seconds.value, found["difference"]
    return rows


def fit_50k():
    command = "cargo bench --bench fit"
    say(f"  {command}")
    done = subprocess.run(command.split(), cwd=ROOT, check=True, stdout=subprocess.PIPE, stderr=sys.stderr, text=True)
    report = json.loads(done.stdout.strip().splitlines()[-1])
    data = (
        f"{report['channels']} channels × {report['bins']} bins, {report['share_of_zeros']:.0%} zeros, "
        f"{len(report['losses'])} strengths, 5 folds"
    )
    seconds = Figure("fit.50k.seconds", "s", "lower", data, True, command, value=report["seconds"], target=120)
    gib = Figure("fit.50k.gib", "GiB, peak of the program", "lower", data, True, command, target=4)
    gib.value = report["peak_gib"]
    return [seconds, gib]


def decode():
    command = "cargo bench --bench decode"
    say(f"  {command}")
    subprocess.run(command.split(), cwd=ROOT, check=True, stdout=subprocess.DEVNULL, stderr=sys.stderr)
    target = pathlib.Path(ROOT / os.environ.get("CARGO_TARGET_DIR", "target"))
    measured = []
    for figure, channels, most in (("decode.1024.us", 1024, 5), ("decode.50k.us", 50_000, 150)):
        path = target / "criterion" / "decode_a bin" / "kalman" / str(channels) / "new" / "estimates.json"
        data = f"Kalman filter of position and velocity, {channels} channels of counts"
        us = json.loads(path.read_text())["median"]["point_estimate"] * 1e-3
        measured.append(Figure(figure, "µs a bin, median", "lower", data, True, command, value=us, target=most))
    return measured
