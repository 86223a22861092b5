"""Group `replay`: decoders trained on a part of a recording and replayed on another; detection.

The splits are fixed: nothing is chosen by the test part. Training and cross-validation see the training part
alone; the replay of the test part is run once.
"""

import dataclasses
import json

from . import numpy_peer
from .measure import Absent, Figure

M1 = "m1-reaching/m1_reaching.mat"
M1_TRAIN, M1_TEST = "0..10875", "10875..13205"
REACH = "reach-8dir/reach_8dir.mat"
# The first 61 trials of each of 8 directions, then the last 30.
REACH_TRAIN, REACH_TEST = "0..488", "488..728"
# Units below this signal-to-noise ratio can't be told from noise by a threshold of 4.5 times the noise.
SNR_MIN = 5.0


@dataclasses.dataclass(frozen=True)
class Decoding:
    """A figure of a decoder."""

    name: str
    settings: tuple
    target: float = None


WIENER10 = Decoding("m1.wiener10.velocity_r2", ("wiener", "--lags", "10", "--ridge-shape", "plain"), 0.806)
M1_DECODINGS = [
    WIENER10,
    Decoding("m1.best.velocity_r2", ("blend",), 0.82),
]
REACH_DECODING = Decoding("reach8.lda.accuracy", ("lda",), 0.950)


def figures(lab):
    measured, time_ratios = [], {}
    for decoding in M1_DECODINGS:
        figure, report = decode(lab, decoding, M1, "m1-reaching", M1_TRAIN, M1_TEST)
        if report:
            figure.value = report["score"]["velocity_r2"]["mean"]
            time_ratios[report["time_ratio"]] = figure.command
        measured.append(figure)
    figure, report = decode(lab, REACH_DECODING, REACH, "reach-8dir", REACH_TRAIN, REACH_TEST)
    if report:
        figure.value = report["score"]["accuracy"]
    measured.append(figure)
    for name in ("easy", "hard"):
        measured += detection(lab, name)
    measured.append(against_numpy(lab))
    measured.append(time_ratio(time_ratios))
    return measured


def decode(lab, decoding, recording, mapping, train, test):
    """A figure without its value, and what the replay reported; None where it was skipped."""
    unit = "accuracy" if decoding.name.endswith("accuracy") else "R²"
    shown = (lab.data / recording, decoding, mapping, train, test)
    command = " && ".join(lab.shown(*words) for words in commands(lab, *shown))
    figure = Figure(decoding.name, unit, "higher", f"{mapping}, bins {test}", False, command, target=decoding.target)
    try:
        lab.recording(recording)
    except Absent as absent:
        figure.skipped = str(absent)
        return figure, None
    training, replay = commands(lab, *shown)
    lab.run(*training)
    report = lab.run(*replay)
    figure.synthetic = report["synthetic"]
    return figure, report


def commands(lab, recording, decoding, mapping, train, test):
    model = lab.scratch / decoding.name.rsplit(".", 1)[0]
    source = (recording, "--mapping", mapping)
    return (
        ("train", *source, "--decoder", *decoding.settings, "--bins", train, "--out", model),
        ("replay", *source, "--model", model, "--bins", test),
    )


def detection(lab, name):
    """Mean recall of the units that stand out of the noise, and false alarms a second of all channels."""
    recording = f"ground-truth/{name}.i16"
    words = ("detect", lab.data / recording, "--truth", lab.data / f"ground-truth/{name}_spikes.csv")
    about = (f"ground-truth/{name}, units of SNR ≥ {SNR_MIN:g}", True, lab.shown(*words))
    recall = Figure(f"gt.{name}.recall", "share", "higher", *about, target=0.98)
    about = (f"ground-truth/{name}, all channels", True, lab.shown(*words))
    alarms = Figure(f"gt.{name}.false_alarms_per_second", "1/s", "lower", *about)
    try:
        lab.recording(recording)
        sidecar = json.loads(lab.recording(f"ground-truth/{name}.json").read_text())
    except Absent as absent:
        recall.skipped = alarms.skipped = str(absent)
        return [recall, alarms]
    score = lab.run(*words)["score"]
    loud = [unit for unit, about in sidecar["units"].items() if about["snr"] >= SNR_MIN]
    recall.value = sum(score["units"][unit]["recall"] for unit in loud) / len(loud)
    alarms.value = score["false_alarms_per_second"]
    return [recall, alarms]


def against_numpy(lab):
    """|R² − R² of the independent script| of the Wiener filter with 10 bins of history, at that script's ridge."""
    figure = Figure(
        "m1.wiener10.against_numpy",
        "difference of R²",
        "lower",
        f"m1-reaching, bins {M1_TEST}",
        False,
        "scripts/setup-peers && scripts/figures replay",
        target=0.002,
    )
    try:
        peer = numpy_peer.wiener10(lab.recording(M1))
    except Absent as absent:
        figure.skipped = str(absent)
        return figure
    same = dataclasses.replace(WIENER10, name="m1.same.", settings=(*WIENER10.settings, "--ridge", f"{peer.ridge:g}"))
    own, report = decode(lab, same, M1, "m1-reaching", M1_TRAIN, M1_TEST)
    figure.value = abs(report["score"]["velocity_r2"]["mean"] - peer.velocity_r2)
    figure.command = f"{own.command} && {peer.command}"
    return figure


def time_ratio(ratios):
    """Of the slowest decoder."""
    figure = Figure(
        "replay.m1.time_ratio",
        "computing time over recording time",
        "lower",
        f"m1-reaching, bins 0..{M1_TEST.partition('..')[2]}",
        False,
        "scripts/figures replay",
        target=0.001,
    )
    if ratios:
        figure.value = max(ratios)
        figure.command = ratios[figure.value]
    else:
        figure.skipped = f"{M1} is absent; EFFERENCE_DATA names the folder of recordings"
    return figure
