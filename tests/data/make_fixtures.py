"""Makes the small MAT files beside it; needs numpy and scipy. They hold every class that the reader knows.

`classes_*.mat` hold the same variables plain, compressed, and in big-endian order, which SciPy reads and
doesn't write, so that its bytes are put together here.
"""

import os
import struct

import numpy as np
import scipy.io as sio
import scipy.sparse

HERE = os.path.dirname(os.path.abspath(__file__))


def out(name):
    return os.path.join(HERE, name)


TYPES = "int8 uint8 int16 uint16 int32 uint32 int64 uint64 float32 float64".split()
classes = {t: np.array([[1, 2, 3], [4, 5, 100]], t) for t in TYPES}
trials = np.empty((2, 1), dtype=[("id", "O"), ("spikes", "O")])
trials[0, 0] = (7, np.array([[0, 1], [1, 0]], "uint8"))
trials[1, 0] = (8, np.array([[1, 1], [0, 0]], "uint8"))
cells = np.empty((1, 3), object)
cells[0, :] = ["añ", np.array([[-1.5]]), np.zeros((0, 0))]
classes |= {"text": "efference", "cells": cells, "trials": trials, "logical": np.array([[True, False]])}
classes |= {"complex": np.array([[1 + 2j]]), "sparse": scipy.sparse.csc_array(np.eye(3))}
sio.savemat(out("classes_v6.mat"), classes, do_compression=False)
sio.savemat(out("classes_v7.mat"), classes, do_compression=True)


def element(kind, data):
    return struct.pack(">II", kind, len(data)) + data + b"\0" * (-len(data) % 8)


def small(kind, data):
    return struct.pack(">HH", len(data), kind) + data.ljust(4, b"\0")


def matrix(name, code, dims, *rest):
    body = element(6, struct.pack(">II", code, 0)) + element(5, struct.pack(f">{len(dims)}i", *dims))
    body += (small if len(name) <= 4 else element)(1, name.encode())
    return element(14, body + b"".join(rest))


NUMBERS = {"int16": (10, 3), "float64": (6, 9), "float32": (7, 7), "uint8": (9, 2), "int64": (14, 12)}
big = b"MATLAB 5.0 MAT-file".ljust(124) + struct.pack(">H", 0x0100) + b"MI"
for t, (code, kind) in NUMBERS.items():
    values = classes[t]
    big += matrix(t, code, (2, 3), element(kind, values.astype(values.dtype.newbyteorder(">")).tobytes("F")))
big += matrix("text", 4, (1, 9), element(4, "efference".encode("utf-16-be")))
big += matrix("dbl", 6, (1, 1), small(2, b"\x2a"))
open(out("classes_big_endian.mat"), "wb").write(big)

rng = np.random.default_rng(20261122)
counts = rng.poisson(1.5, (4, 50)).astype("uint8")
counts[2] = 0
position = np.cumsum(rng.normal(0, 0.01, (3, 50)), 1)
position[2] = 0
velocity = np.gradient(position, 0.05, axis=1)
good = {"spikes": counts, "handPos": position, "handVel": velocity}
sio.savemat(out("counts.mat"), good, do_compression=True)


def variant(name, **changes):
    sio.savemat(out(f"counts_{name}.mat"), good | changes, do_compression=True)


def changed(array, at, value):
    array = array.astype(float)
    array[at] = value
    return array


variant("nan", handVel=changed(velocity, (1, 17), np.nan))
variant("short", handVel=velocity[:, :-1])
variant("still", handVel=changed(velocity, 0, 0.25))
variant("stuck", spikes=changed(counts, 1, 3))
variant("negative", spikes=changed(counts, (3, 9), -1))
variant("large", spikes=changed(counts, (3, 9), 65536))
sio.savemat(out("counts_transposed.mat"), {k: v.T for k, v in good.items()}, do_compression=False)

grid = np.empty((3, 2), dtype=[("trialId", "O"), ("spikes", "O")])
for i in range(3):
    for j in range(2):
        grid[i, j] = (10 * i + j, rng.binomial(1, 0.3, (5, 20)).astype("uint8"))
sio.savemat(out("trials.mat"), {"train_trial": grid}, do_compression=False)
