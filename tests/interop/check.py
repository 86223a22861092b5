"""What efference writes, read by others: JSON, safetensors, and its decoders' formulas in NumPy.

In: the path of the program. Synthetic recordings are written by SciPy, a model of every kind is trained and
replayed on them, and the intents are computed again from the counts and the weights file alone.
Guarantees, if it ends with 0: every intent equals NumPy's to 1e-5 of its size.
"""

import json
import pathlib
import subprocess
import sys
import tempfile
import tomllib

import numpy as np
import scipy.io
from safetensors import safe_open
from safetensors.numpy import load_file

PROGRAM = sys.argv[1]
SEED = 20261122
TOLERANCE = 1e-5
MOVEMENT = ["wiener", "kalman", "velocity-kalman", "blend"]
CLASSES = ["lda", "logistic"]
TRIAL_MS, WINDOW_MS = 600, slice(350, 550)


def run(*arguments):
    done = subprocess.run([PROGRAM, *map(str, arguments)], capture_output=True, text=True)
    assert done.returncode == 0, f"{arguments}: {done.stderr}"


def moving(rng, folder, n_channels=40, n_bins=3000):
    """Counts tuned to a wandering hand, bins × channels, as a file that the mapping m1-reaching reads."""
    velocity = np.zeros((n_bins, 2))
    for t in range(1, n_bins):
        velocity[t] = 0.93 * velocity[t - 1] + 0.1 * rng.normal(size=2)
    position = 0.05 * np.cumsum(velocity, 0)
    position -= np.linspace(0, 1, n_bins)[:, None] * position[-1]
    tuning = rng.normal(size=(2, n_channels))
    counts = rng.poisson(np.exp(0.8 + 0.9 * np.tanh(velocity @ tuning)))
    hand = {name: np.vstack([of.T, np.zeros(n_bins)]) for name, of in [("handPos", position), ("handVel", velocity)]}
    path = folder / "moving.mat"
    scipy.io.savemat(path, {"spikes": counts.T.astype("uint8"), **hand})
    return path, counts


def choosing(rng, folder, n_trials=40, n_classes=4, n_channels=24):
    """Spikes of trials × classes, as a file that the mapping reach-8dir reads, and their counts in the window."""
    trials = np.empty((n_trials, n_classes), dtype=[("trialId", "O"), ("spikes", "O")])
    counts = []
    for trial in range(n_trials):
        for chosen in range(n_classes):
            chance = np.where(np.arange(n_channels) % n_classes == chosen, 0.028, 0.017)
            spikes = rng.random((n_channels, TRIAL_MS)) < chance[:, None]
            trials[trial, chosen] = (trial, spikes.astype("uint8"))
            counts.append(spikes[:, WINDOW_MS].sum(1))
    path = folder / "choosing.mat"
    scipy.io.savemat(path, {"train_trial": trials}, do_compression=True)
    return path, np.array(counts)


def normalised(counts, kind, weights):
    scaled = {"zscore": counts, "sqrt": np.sqrt(counts + 0.375), "five-quarters": counts**1.25}[kind]
    return (scaled - weights["normaliser_mean"]) * weights["normaliser_inverse_deviation"]


def decoded(x, weights, resets):
    """s(t) = M s(t−1) + Σ W(l) x(t−l), y(t) = H s(t) + h; `resets` where every bin starts a segment."""
    readout = weights["readout"].astype(float)
    lags, n_states, _ = readout.shape
    recurrence = weights.get("recurrence", np.zeros((n_states, n_states)))
    output = weights.get("output", np.eye(n_states))
    state, said = np.zeros(n_states), []
    for t in range(len(x)):
        if resets:
            state = np.zeros(n_states)
        history = range(1 if resets else min(lags, t + 1))
        state = recurrence @ state + sum(readout[lag] @ x[t - lag] for lag in history)
        said.append(output @ state + weights["offset"])
    return np.array(said)


def weights_of(model):
    """The tensors, and the settings that they were trained with."""
    path = model / "weights.safetensors"
    with safe_open(path, "np") as file:
        header = file.metadata()
    assert list(header) == ["trained_with"] and "bins.width_ms" in header["trained_with"]
    return {name: values.astype(float) for name, values in load_file(path).items()}


def assert_equal(said, expected, what):
    worst = np.max(np.abs(said - expected)) / np.max(np.abs(expected))
    assert said.shape == expected.shape and worst < TOLERANCE, f"{what}: {worst:.1e}, at most {TOLERANCE}"
    print(f"{what}: {len(said)} intents, largest difference {worst:.1e} (synthetic)")


def check(decoder, path, counts, folder):
    model, out = folder / decoder, folder / f"{decoder}.jsonl"
    mapping = "m1-reaching" if decoder in MOVEMENT else "reach-8dir"
    run("train", path, "--mapping", mapping, "--decoder", decoder, "--lags", 6, "--out", model)
    run("replay", path, "--mapping", mapping, "--model", model, "--out", out)

    about = tomllib.loads((model / "model.toml").read_text())
    assert about["config"]["decoder"]["kind"] == decoder
    settings = about["config"]["decoder"]
    kind = settings.get("normaliser") or {"blend": "five-quarters", "lda": "sqrt", "logistic": "sqrt"}.get(decoder, "zscore")
    lines = [json.loads(line) for line in out.read_text().splitlines()]
    assert [line["bin"] for line in lines] == list(range(len(counts)))

    weights = weights_of(model)
    expected = decoded(normalised(counts, kind, weights), weights, resets=decoder in CLASSES)
    if decoder in MOVEMENT:
        said = np.array([line["velocity"] + line.get("position", []) for line in lines])
        assert_equal(said[:, :2], expected[:, :2], f"{decoder}, velocity")
        if decoder != "velocity-kalman":
            assert_equal(said[:, 2:], expected[:, 2:], f"{decoder}, position")
        return
    names = about["output"]["classes"]["names"]
    assert [line["class"] for line in lines] == [names[best] for best in expected.argmax(1)], decoder
    shares = np.exp(expected - expected.max(1, keepdims=True))
    probability = (shares / shares.sum(1, keepdims=True)).max(1)
    assert_equal(np.array([line["probability"] for line in lines]), probability, f"{decoder}, probability")


def main():
    print(f"seed {SEED}")
    rng = np.random.default_rng(SEED)
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        for kinds, make in [(MOVEMENT, moving), (CLASSES, choosing)]:
            path, counts = make(rng, folder)
            for decoder in kinds:
                check(decoder, path, counts, folder)
    print("interop: all equal")


main()
