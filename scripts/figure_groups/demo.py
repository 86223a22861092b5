"""Group `demo`: the simulated user of `efference demo`, over several seeds. All of it is synthetic."""

import statistics

from .measure import Figure

SEEDS = range(1, 11)


def figures(lab):
    runs = [
        lab.run("demo", "--fast", "--seed", seed, "--out", lab.scratch / "demo.png") for seed in SEEDS
    ]
    command = " && ".join(lab.shown("demo", "--fast", "--json", "--seed", seed) for seed in (SEEDS[0], SEEDS[-1]))
    command = command.replace(" && ", " … ")
    data = f"simulated user, 1,024 electrodes, seeds {SEEDS[0]} to {SEEDS[-1]}"
    hit = Figure("demo.targets_hit_share", "share", "higher", data, True, command)
    hit.value = sum(run["targets_hit"] for run in runs) / sum(run["targets_shown"] for run in runs)
    seconds = Figure("demo.seconds_to_target", "s, median of medians", "lower", data, True, command)
    seconds.value = statistics.median(run["median_seconds_to_target"] for run in runs)
    r2 = Figure("demo.velocity_r2", "R², median", "higher", data, True, command)
    r2.value = statistics.median(run["velocity_r2"]["mean"] for run in runs)
    ratio = Figure("demo.time_ratio", "computing time over stream time", "lower", data, True, command)
    ratio.value = max(run["time_ratio"] for run in runs)
    return [hit, seconds, r2, ratio]
