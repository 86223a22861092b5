#!/usr/bin/env python3
"""scikit-learn's `RidgeCV` on the matrices that `cargo bench --bench fit -- --recording …` wrote, with the same strengths
and the same contiguous folds.

In: the folder, and the bench's JSON. Out: one line of JSON: the seconds of each fit, its strength, and how far
scikit-learn's `Ridge` with the strength that the bench chose is from the bench's weights, as a share of their size.

    scripts/setup-peers scikit-learn
    target/peers/bin/python benches/peers/sklearn_ridge.py FOLDER '{"rows": …}'
"""

import json
import pathlib
import sys
import time

import numpy as np
import sklearn
from sklearn.linear_model import Ridge, RidgeCV
from sklearn.model_selection import KFold

ROUNDS = 3


def main():
    folder, about = pathlib.Path(sys.argv[1]), json.loads(sys.argv[2])
    read = lambda name, *shape: np.fromfile(folder / name, "<f8").reshape(shape)
    n_columns = about["channels"] * about["lags"]
    x, y = read("x", about["rows"], n_columns), read("y", about["rows"], about["outputs"])
    # By lag, output and channel; scikit-learn's by output, lag and channel.
    readout = read("readout", about["lags"], about["outputs"], about["channels"])
    found = readout.transpose(1, 0, 2).reshape(about["outputs"], n_columns)
    seconds = []
    for _ in range(ROUNDS):
        started = time.perf_counter()
        fitted = RidgeCV(alphas=about["strengths"], cv=KFold(about["folds"])).fit(x, y)
        seconds.append(time.perf_counter() - started)
    same = Ridge(alpha=about["ridge"]).fit(x, y).coef_
    print(json.dumps({
        "seconds": seconds,
        "ridge": float(fitted.alpha_),
        "difference": float(np.linalg.norm(same - found) / np.linalg.norm(same)),
        "sklearn": sklearn.__version__,
        "numpy": np.__version__,
    }))


if __name__ == "__main__":
    main()
