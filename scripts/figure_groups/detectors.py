"""Group `detectors`: the detectors side by side, on ground truth and on hybrids of recorded backgrounds.

Each runs at its usual multiple, which was chosen on the simulator's noise and on none of these; `recall_at_1` is at the
multiple that makes one false alarm (of hybrids: one unexplained crossing) a second and channel. There are no targets.
All of it is synthetic: of hybrids the background was recorded, the spikes in question were added.
"""

from .measure import Absent, Figure

DETECTORS = ("rms", "mad", "absolute", "neo")
# As the group `replay` has it: units below it can't be told from noise by a threshold.
SNR_MIN = 5
RATIOS = (4, 6, 8, 12)
N1 = "neuralink-n1"


def figures(lab):
    measured = []
    for name in ("easy", "hard"):
        measured += ground_truth(lab, name)
    return measured + hybrid(lab)


def ground_truth(lab, name):
    recording = f"ground-truth/{name}.i16"
    truth = lab.data / f"ground-truth/{name}_spikes.csv"
    words = ("detect", lab.data / recording, "--truth", truth, "--compare", "--snr-min", SNR_MIN)
    command = lab.shown(*words)
    try:
        lab.recording(recording)
        rows = by_name(lab.run(*words))
        skipped = None
    except Absent as absent:
        rows, skipped = {}, str(absent)
    measured = []
    for detector in DETECTORS:
        row = rows.get(detector)
        loud = (f"ground-truth/{name}, units of SNR ≥ {SNR_MIN}", True, command)
        recall = Figure(f"detect.{name}.{detector}.recall", "share", "higher", *loud, skipped=skipped)
        everything = (f"ground-truth/{name}, all channels", True, command)
        alarms = f"detect.{name}.{detector}.false_alarms_per_second"
        alarms = Figure(alarms, "1/s", "lower", *everything, skipped=skipped)
        if row:
            recall.value = row["recall"]
            alarms.value = row["false_alarms_per_second"]
        measured += [recall, alarms]
    return measured


def hybrid(lab):
    folder = lab.scratch / "hybrid"
    ratios = ",".join(map(str, RATIOS))
    make = ("hybrid", lab.data / N1, "--snr", ratios, "--seed", 1, "--out", folder)
    words = ("detect", folder / "hybrid.i16", "--truth", folder / "hybrid_spikes.csv", "--compare")
    words += ("--background", folder / "background.i16")
    command = f"{lab.shown(*make)} && {lab.shown(*words)}"
    try:
        lab.recording(N1)
        about = lab.run(*make)
        rows = by_name(lab.run(*words))
        data = f"hybrid: {about['electrodes']} quiet electrodes of {N1}, {about['spikes']} added spikes, seed 1"
        skipped = None
    except Absent as absent:
        rows, skipped, data = {}, str(absent), f"hybrid of {N1}"
    measured = []

    def add(name, unit, better, about, value):
        figure = Figure(name, unit, better, about, True, command, skipped=skipped)
        figure.value = value
        measured.append(figure)

    for ratio in RATIOS:
        for detector in DETECTORS:
            row = rows.get(detector)
            value = row and row["recall_by_snr"][str(ratio)]
            add(f"detect.hybrid.snr{ratio}.{detector}.recall", "share", "higher", f"{data}, SNR {ratio}", value)
    for detector in DETECTORS:
        row = rows.get(detector)
        name = f"detect.hybrid.{detector}"
        rate = "1/s and channel"
        at_1 = row and row["at_false_alarms"][0].get("recall")
        add(f"{name}.recall_at_1", "share", "higher", f"{data}, all SNR", at_1)
        unexplained = row and row["false_alarms_per_second_and_channel"]
        add(f"{name}.unexplained_per_second", rate, "lower", data, unexplained)
        untouched = row and row["background_per_second_and_channel"]
        add(f"{name}.background_per_second", rate, "lower", f"{data}; the background untouched", untouched)
    return measured


def by_name(report):
    return {row["name"]: row for row in report["detectors"]}
