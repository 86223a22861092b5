#!/usr/bin/env python3
"""SciPy's front end, as fast as its `sosfilt` lets it be: the same band-pass, then threshold crossings.

In: nothing; noise with spikes is made here (synthetic), in blocks of 2,000 frames. Out: one line of JSON.
`samples_per_second` is the fastest of all layouts tried, in time that the process had a core:

- channels by frames (`sosfilt` along the last axis, contiguous) and frames by channels (along the first);
- all channels at once, or some at a time, so that a group stays in the caches from filter to crossings.

It is the most that SciPy offers for this: float32 is already there, in SciPy's own layout, and nothing but filter and
crossings is counted. `frames_by_channels` is the fastest in the layout in which a stream comes. `whole_front_end` is
what `efference` does: 16 bits as they come, frame by frame, common average of 64, filter, crossings, and the power of
the band.

    scripts/setup-peers
    OMP_NUM_THREADS=1 taskset -c 0 target/peers/bin/python benches/peers/scipy_front_end.py
"""

import argparse
import json
import statistics
import time

import numpy as np
import scipy
from scipy.signal import butter, sosfilt

RATE_HZ, BLOCK_FRAMES, N_BLOCKS = 20_000, 2_000, 3
GROUP = 64
UV_PER_COUNT = 0.5
NOISE_UV = 8.0
SOS = butter(2, [300, 6000], "bandpass", fs=RATE_HZ, output="sos")
# `sosfilt` computes in float32 only if all that it gets is.
SOS32 = SOS.astype(np.float32)


def main():
    arguments = parse()
    counts = np.split(synthetic(arguments.channels, N_BLOCKS * BLOCK_FRAMES), N_BLOCKS)
    thresholds = -4.5 * noise(counts[0])
    by_channel = [np.ascontiguousarray(block.T, np.float32) * np.float32(UV_PER_COUNT) for block in counts]
    by_frame = [np.ascontiguousarray(block, np.float32) * np.float32(UV_PER_COUNT) for block in counts]
    groups = sorted({min(size, arguments.channels) for size in (16, GROUP, 256, arguments.channels)})
    variants = {}
    for size in groups:
        variants[f"channels by frames, {size} at a time"] = (
            LastAxis(arguments.channels, size, thresholds), by_channel
        )
        variants[f"frames by channels, {size} at a time"] = (
            FirstAxis(arguments.channels, size, thresholds), by_frame
        )
    whole = {
        f"{size} at a time": (WholeFrontEnd(arguments.channels, size, thresholds), counts)
        for size in groups if size % GROUP == 0
    }
    measured = measure(variants, arguments.rounds)
    measured_whole = measure(whole, arguments.rounds)
    best = max(measured, key=lambda name: measured[name]["median"])
    print(json.dumps({
        "synthetic": True,
        "samples_per_second": measured[best]["median"],
        "layout": best,
        "layouts": measured,
        "frames_by_channels": max(measured[name]["median"] for name in measured if name.startswith("frames")),
        "whole_front_end": max((one["median"] for one in measured_whole.values()), default=None),
        "n_channels": arguments.channels,
        "block_frames": BLOCK_FRAMES,
        "rounds": arguments.rounds,
        "crossings_per_second_and_channel": crossing_rate(*variants[best], arguments.channels),
        "numpy": np.__version__,
        "scipy": scipy.__version__,
    }))


class LastAxis:
    """Blocks of channels × frames."""

    def __init__(self, n_channels, size, thresholds):
        self.size, self.thresholds = size, thresholds[:, None]
        self.states = [np.zeros((2, size, 2), np.float32) for _ in range(0, n_channels, size)]
        self.before = np.zeros((n_channels, 1), bool)

    def process(self, block):
        """Crossings of each channel."""
        crossings = np.empty(len(block), np.int64)
        for group, state in enumerate(self.states):
            own = slice(group * self.size, (group + 1) * self.size)
            filtered, self.states[group] = sosfilt(SOS32, block[own], axis=-1, zi=state)
            crossings[own] = self.crossed(filtered, own)
        return crossings

    def crossed(self, filtered, own):
        below = filtered < self.thresholds[own]
        first = below[:, :1] & ~self.before[own]
        self.before[own] = below[:, -1:]
        # `>` of two booleans is "and not" in one pass.
        return np.count_nonzero(below[:, 1:] > below[:, :-1], axis=1) + first[:, 0]


class FirstAxis:
    """Blocks of frames × channels."""

    def __init__(self, n_channels, size, thresholds):
        self.size, self.thresholds = size, thresholds[None, :]
        self.states = [np.zeros((2, 2, size), np.float32) for _ in range(0, n_channels, size)]
        self.before = np.zeros((1, n_channels), bool)

    def process(self, block):
        """Crossings of each channel."""
        crossings = np.empty(block.shape[1], np.int64)
        for group, state in enumerate(self.states):
            own = slice(group * self.size, (group + 1) * self.size)
            filtered, self.states[group] = sosfilt(SOS32, block[:, own], axis=0, zi=state)
            below = filtered < self.thresholds[:, own]
            first = below[:1] & ~self.before[:, own]
            self.before[:, own] = below[-1:]
            crossings[own] = np.count_nonzero(below[1:] > below[:-1], axis=0) + first[0]
        return crossings


class WholeFrontEnd(LastAxis):
    """Blocks of 16 bits, frames × channels; the filter runs along the last axis, where it is fastest."""

    def process(self, block):
        crossings = np.empty(block.shape[1], np.int64)
        self.power = np.empty(block.shape[1], np.float32)
        for group, state in enumerate(self.states):
            own = slice(group * self.size, (group + 1) * self.size)
            uv = np.ascontiguousarray(block[:, own].T, np.float32)
            uv *= np.float32(UV_PER_COUNT)
            grouped = uv.reshape(-1, GROUP, len(block))
            grouped -= grouped.mean(axis=1, keepdims=True)
            filtered, self.states[group] = sosfilt(SOS32, uv, axis=-1, zi=state)
            crossings[own] = self.crossed(filtered, own)
            np.einsum("cf,cf->c", filtered, filtered, out=self.power[own])
        return crossings


def synthetic(n_channels, n_frames):
    """16 bits, frames × channels: white noise, and spikes of 8 times that, at 7 a second and channel."""
    random = np.random.default_rng(1)
    uv = random.standard_normal((n_frames, n_channels), np.float32) * NOISE_UV
    spike = np.float32([-16, -64, -40, 8, 24, 20, 14, 8, 4])
    n_spikes = int(7 * n_channels * n_frames / RATE_HZ)
    frames = random.integers(0, n_frames - len(spike), n_spikes)
    channels = random.integers(0, n_channels, n_spikes)
    for frame, channel in zip(frames, channels):
        uv[frame:frame + len(spike), channel] += spike
    return np.round(uv / UV_PER_COUNT).astype(np.int16)


def noise(block):
    """MAD noise of each channel in the band, µV."""
    filtered = sosfilt(SOS, block.T * UV_PER_COUNT, axis=-1)[:, 200:]
    return (np.median(np.abs(filtered), axis=-1) / 0.6745).astype(np.float32)


def measure(variants, rounds):
    """Samples a second of every variant; the rounds go through all of them in turn."""
    each = {name: [] for name in variants}
    for _ in range(rounds + 1):
        for name, (front_end, of) in variants.items():
            started = time.process_time()
            for block in of:
                front_end.process(block)
            each[name].append(sum(block.size for block in of) / (time.process_time() - started))
    # The first round warms up.
    return {
        name: {"median": statistics.median(speeds[1:]), "min": min(speeds[1:]), "max": max(speeds[1:])}
        for name, speeds in each.items()
    }


def crossing_rate(front_end, of, n_channels):
    found = sum(int(front_end.process(block).sum()) for block in of)
    return found / n_channels / (len(of) * BLOCK_FRAMES / RATE_HZ)


def parse():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--channels", type=int, default=1_024)
    parser.add_argument("--rounds", type=int, default=5)
    return parser.parse_args()


if __name__ == "__main__":
    main()
