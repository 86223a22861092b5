"""What efference writes, read by others: JSON, safetensors, its decoders' formulas in NumPy, its spectra in SciPy.

In: the path of the program. Synthetic recordings are written by SciPy, a model of every kind is trained and
replayed on them, and the intents are computed again from the counts and the weights file alone.
Guarantees, if it ends with 0: every intent equals NumPy's to 1e-5 of its size, and every density of a spectrum
SciPy's to 1e-4 of its own.
"""

import json
import pathlib
import subprocess
import sys
import tempfile
import tomllib

import numpy as np
import scipy.io
import scipy.signal
from safetensors import safe_open
from safetensors.numpy import load_file

PROGRAM = sys.argv[1]
SEED = 20261122
TOLERANCE = 1e-5
SPECTRUM_TOLERANCE = 1e-4
MOVEMENT = ["wiener", "kalman", "velocity-kalman", "full-kalman", "wide-kalman", "blend"]
CLASSES = ["lda", "logistic"]
TRIAL_MS, WINDOW_MS = 600, slice(350, 550)


def run(*arguments):
    done = subprocess.run([PROGRAM, *map(str, arguments)], capture_output=True, text=True)
    assert done.returncode == 0, f"{arguments}: {done.stderr}"
    return done.stdout


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


def carried(x, weights):
    """A Kalman filter in information form, its covariance carried from bin to bin: at rest in the first."""
    transition, drift, heard = (weights[f"gain_{name}"] for name in ["transition", "drift", "heard"])
    readout, n_states = weights["readout"].astype(float), len(transition)
    output = weights.get("output", np.eye(n_states))
    state, covariance, said = np.zeros(n_states), np.zeros((n_states, n_states)), []
    for t in range(len(x)):
        news = sum(readout[lag] @ x[t - lag] for lag in range(min(len(readout), t + 1)))
        prior = transition @ covariance @ transition.T + drift
        covariance = np.linalg.solve(np.eye(n_states) + prior @ heard, prior)
        state = transition @ state
        state = state + covariance @ (news - heard @ state)
        said.append(output @ state + weights["offset"])
    return np.array(said)


def put_right(said, x, weights):
    """v = d (a + b |d| + c t), with t half of what it was and half the mean of the features that are heard."""
    if "cascade" not in weights:
        return said
    at_rest, by_speed, by_activity = weights["cascade"]
    heard = np.abs(weights["readout"]).sum((0, 1)) > 0
    activity = 0.0
    for t, mean in enumerate(x[:, heard].mean(1)):
        activity = 0.5 * activity + 0.5 * mean
        share = at_rest + by_speed * np.hypot(*said[t, :2]) + by_activity * activity
        said[t, :2] *= np.clip(share, 0.2, 5)
    return said


def decoded(x, weights, resets):
    """s(t) = M s(t−1) + Σ W(l) x(t−l), y(t) = H s(t) + h; `resets` where every bin starts a segment."""
    if "gain_transition" in weights:
        return carried(x, weights)
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


def check(decoder, path, counts, folder, *flags):
    name = "-".join([decoder, *flags]).replace("--", "")
    model, out = folder / name, folder / f"{name}.jsonl"
    mapping = "m1-reaching" if decoder in MOVEMENT else "reach-8dir"
    run("train", path, "--mapping", mapping, "--decoder", decoder, "--lags", 6, *flags, "--out", model)
    run("replay", path, "--mapping", mapping, "--model", model, "--out", out)

    about = tomllib.loads((model / "model.toml").read_text())
    assert about["config"]["decoder"]["kind"] == decoder
    settings = about["config"]["decoder"]
    kind = settings.get("normaliser") or {"blend": "five-quarters", "lda": "sqrt", "logistic": "sqrt"}.get(decoder, "zscore")
    lines = [json.loads(line) for line in out.read_text().splitlines()]
    assert [line["bin"] for line in lines] == list(range(len(counts)))

    weights = weights_of(model)
    x = normalised(counts, kind, weights)
    expected = decoded(x, weights, resets=decoder in CLASSES)
    if decoder in MOVEMENT:
        assert ("cascade" in weights) == ("--cascade" in flags)
        expected = put_right(expected, x, weights)
        said = np.array([line["velocity"] + line.get("position", []) for line in lines])
        assert_equal(said[:, :2], expected[:, :2], f"{name}, velocity")
        if decoder != "velocity-kalman":
            assert_equal(said[:, 2:], expected[:, 2:], f"{name}, position")
        return
    names = about["output"]["classes"]["names"]
    assert [line["class"] for line in lines] == [names[best] for best in expected.argmax(1)], decoder
    shares = np.exp(expected - expected.max(1, keepdims=True))
    probability = (shares / shares.sum(1, keepdims=True)).max(1)
    assert_equal(np.array([line["probability"] for line in lines]), probability, f"{decoder}, probability")


def check_spectrum(rng, folder, rate, n_channels=6, seconds=4.3, uv_per_count=0.25):
    """A slow potential, white noise and hum, as flat int16; its spectrum against scipy.signal.welch."""
    n_frames = int(rate * seconds)
    hum = np.sin(2 * np.pi * 50 * np.arange(n_frames) / rate)
    drift = np.cumsum(rng.normal(scale=4, size=(n_frames, n_channels)), 0)
    signal = drift + rng.normal(scale=40, size=(n_frames, n_channels)) + 60 * hum[:, None]
    counts = np.clip(np.rint(signal), -32768, 32767).astype("<i2")
    path = folder / f"spectrum{int(rate)}.i16"
    counts.tofile(path)
    sidecar = {"sampling_rate": rate, "channels": n_channels, "dtype": "int16", "uV_per_bit": uv_per_count, "synthetic": True}
    path.with_suffix(".json").write_text(json.dumps(sidecar))
    said = json.loads(run("inspect", path, "--spectrum", "--channels", "1..5", "--json"))["spectrum"]
    n = said["segment_frames"]
    hz, expected = scipy.signal.welch(counts[:, 1:5].astype(float) * uv_per_count, rate, "hann", n, axis=0)
    assert [channel["channel"] for channel in said["channels"]] == [1, 2, 3, 4]
    assert np.allclose(np.arange(said["bins"]) * said["resolution_hz"], hz)
    found = np.array([channel["density"] for channel in said["channels"]]).T
    # What the mean's subtraction leaves at 0 Hz is rounding where the density beside it isn't.
    worst = np.max(np.abs(found - expected)[1:] / expected[1:])
    assert found.shape == expected.shape and worst < SPECTRUM_TOLERANCE, f"spectrum: {worst:.1e}"
    assert all(channel["mains"]["fundamental_hz"] == 50 for channel in said["channels"])
    amplitudes = np.array([channel["mains"]["rms"] for channel in said["channels"]])
    assert np.allclose(amplitudes, 60 * uv_per_count / np.sqrt(2), rtol=0.05), amplitudes
    print(f"spectrum at {rate} Hz, segments of {n}: {expected.size} densities, largest difference {worst:.1e} (synthetic)")


def main():
    print(f"seed {SEED}")
    rng = np.random.default_rng(SEED)
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        for kinds, make in [(MOVEMENT, moving), (CLASSES, choosing)]:
            path, counts = make(rng, folder)
            for decoder in kinds:
                check(decoder, path, counts, folder)
            if kinds is MOVEMENT:
                for decoder, cascade in [("wiener", "full"), ("kalman", "activity"), ("blend", "full")]:
                    check(decoder, path, counts, folder, "--cascade", cascade)
        for rate in [2000.0, 19531.0, 30000.0]:
            check_spectrum(rng, folder, rate)
    print("interop: all equal")


main()
