#!/usr/bin/env python3
"""SpikeInterface's front end: `bandpass_filter`, `common_reference`, `detect_peaks(method="by_channel")`.

In: nothing; seconds of 16-bit noise with spikes (synthetic), made here. Out: one line of JSON. `samples_per_second` is
the fastest of all settings tried, in time that the process had a core (by the clock where it has two jobs):

- `fast`: as little work as SpikeInterface can be asked for and still do the same: the filter runs forward only, with
  two sections and short margins, in float32; the reference is the average of all channels; peaks within 0.5 ms;
- `grouped`: the same with averages of groups of 64, which is what `efference` is measured with;
- `usual`: what the functions do when told nothing: forward and backward, order 5, medians, peaks within 1 ms.

Noise levels are measured before, as they are for `efference`. SpikeInterface wants peaks, which look ahead, where
`efference` counts crossings as they come.

    scripts/setup-peers spikeinterface
    OMP_NUM_THREADS=1 taskset -c 0 target/peers/bin/python benches/peers/spikeinterface_front_end.py
"""

import argparse
import json
import os
import statistics
import time
import warnings

import numpy as np
import spikeinterface
from spikeinterface.core import NumpyRecording, get_noise_levels
from spikeinterface.preprocessing import bandpass_filter, common_reference
from spikeinterface.sortingcomponents.peak_detection import detect_peaks

from scipy_front_end import GROUP, RATE_HZ, UV_PER_COUNT, synthetic

CHUNKS = ("25ms", "50ms", "100ms", "250ms")
QUIET = {"n_jobs": 1, "progress_bar": False}


def main():
    arguments = parse()
    warnings.simplefilter("ignore")
    counts = synthetic(arguments.channels, int(arguments.seconds * RATE_HZ))
    variants = {}
    for name, chain in (("fast", fast), ("grouped", grouped), ("usual", usual)):
        recording, settings = chain(recorded(counts))
        settings["noise_levels"] = get_noise_levels(
            recording, return_in_uV=False, random_slices_kwargs=NOISE_SLICES, **QUIET
        )
        for chunk in CHUNKS:
            for n_jobs in (1, 2) if arguments.two_jobs else (1,):
                variants[f"{name}, chunks of {chunk}, n_jobs={n_jobs}"] = (recording, settings, chunk, n_jobs)
    measured = {name: measure(variant, arguments.rounds) for name, variant in variants.items()}
    of_kind = {
        name: max((one["samples_per_second"] for key, one in measured.items() if key.startswith(name)))
        for name in ("fast", "grouped", "usual")
    }
    best = max(measured, key=lambda name: measured[name]["samples_per_second"])
    print(json.dumps({
        "synthetic": True,
        "samples_per_second": measured[best]["samples_per_second"],
        "settings": best,
        **{f"{name}_samples_per_second": speed for name, speed in of_kind.items()},
        "all_settings": measured,
        "n_channels": arguments.channels,
        "seconds": arguments.seconds,
        "rounds": arguments.rounds,
        "cores": len(os.sched_getaffinity(0)),
        "spikeinterface": spikeinterface.__version__,
    }))


def recorded(counts):
    recording = NumpyRecording([counts], sampling_frequency=RATE_HZ)
    recording.set_channel_gains(UV_PER_COUNT)
    recording.set_channel_offsets(0)
    return recording


def fast(recording):
    filtered = bandpass_filter(recording, **FORWARD)
    return common_reference(filtered, operator="average"), {"exclude_sweep_ms": 0.5, **DETECT}


def grouped(recording):
    ids = recording.channel_ids
    groups = [list(ids[first:first + GROUP]) for first in range(0, len(ids), GROUP)]
    filtered = bandpass_filter(recording, **FORWARD)
    return common_reference(filtered, operator="average", groups=groups), {"exclude_sweep_ms": 0.5, **DETECT}


def usual(recording):
    return common_reference(bandpass_filter(recording)), {**DETECT}


FORWARD = {
    "freq_min": 300, "freq_max": 6000, "filter_order": 2, "direction": "forward", "margin_ms": 1, "dtype": "float32",
}
NOISE_SLICES = {"num_chunks_per_segment": 4, "chunk_duration": "100ms", "seed": 1}
DETECT = {"peak_sign": "neg", "detect_threshold": 4.5}


def measure(variant, rounds):
    recording, settings, chunk, n_jobs = variant
    speeds, n_peaks = [], 0
    # Time of the process doesn't hold that of its workers.
    now = time.process_time if n_jobs == 1 else time.perf_counter
    for _ in range(rounds):
        started = now()
        peaks = detect_peaks(
            recording, method="by_channel", method_kwargs=settings,
            job_kwargs={**QUIET, "n_jobs": n_jobs, "chunk_duration": chunk},
        )
        speeds.append(recording.get_num_samples() * recording.get_num_channels() / (now() - started))
        n_peaks = len(peaks)
    seconds = recording.get_num_samples() / RATE_HZ
    return {
        "samples_per_second": statistics.median(speeds),
        "min": min(speeds),
        "max": max(speeds),
        "peaks_per_second_and_channel": n_peaks / seconds / recording.get_num_channels(),
    }


def parse():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--channels", type=int, default=1_024)
    parser.add_argument("--seconds", type=float, default=1.0)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--two-jobs", action="store_true", help="try n_jobs=2 too, by the clock")
    return parser.parse_args()


if __name__ == "__main__":
    main()
