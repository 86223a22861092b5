#!/usr/bin/env python3
"""What a fit that never knew the lost units keeps of R², by NumPy alone: a Wiener filter of 10 bins, refitted on the units that
remain in each of 20 draws of its own.

In: `m1_reaching.mat`, shares. Out: one line of JSON: R² with all units, and for each share the mean over the draws and its
standard error. Nothing is chosen here: the ridge strength is the one that the training part chose.

    scripts/setup-peers
    target/peers/bin/python benches/peers/numpy_losses.py m1_reaching.mat 0.15 0.5 0.85
"""

import json
import sys

import numpy as np
import scipy.io

N_TRAIN, LAGS, RIDGE, SPIKES_MIN, DRAWS = 10_875, 10, 1e3, 100, 20


def main():
    recording = scipy.io.loadmat(sys.argv[1])
    counts, velocity = recording["spikes"].T.astype(float), recording["handVel"][:2].T
    counts = counts[:, counts[:N_TRAIN].sum(0) >= SPIKES_MIN]
    n = counts.shape[1]
    before = fitted(counts, velocity)
    shares = {}
    for lose in sys.argv[2:]:
        kept = [np.sort(np.random.default_rng(seed).permutation(n)[round(float(lose) * n):]) for seed in range(DRAWS)]
        found = np.array([fitted(counts[:, keep], velocity) / before for keep in kept])
        shares[lose] = {"share": found.mean(), "error": found.std(ddof=1) / np.sqrt(DRAWS)}
    print(json.dumps({"before": before, "units": n, "draws": DRAWS, "shares": shares}))


def fitted(counts, velocity):
    """Mean R² of velocity on the bins that weren't fitted."""
    history = np.zeros((len(counts), LAGS * counts.shape[1]))
    for lag in range(LAGS):
        history[lag:, lag * counts.shape[1]:(lag + 1) * counts.shape[1]] = counts[:len(counts) - lag]
    x, y = history[:N_TRAIN], velocity[:N_TRAIN]
    mean, deviation, middle = x.mean(0), x.std(0), y.mean(0)
    z = (x - mean) / deviation
    weights = np.linalg.solve(z.T @ z + RIDGE * np.eye(z.shape[1]), z.T @ (y - middle))
    said = ((history[N_TRAIN:] - mean) / deviation) @ weights + middle
    truth = velocity[N_TRAIN:]
    return (1 - ((truth - said) ** 2).sum(0) / ((truth - truth.mean(0)) ** 2).sum(0)).mean()


if __name__ == "__main__":
    main()
