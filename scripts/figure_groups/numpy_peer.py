"""The independent Wiener filter: a script of numpy and scipy alone, which shares no code with the project.

It is looked for in the folder that EFFERENCE_BASELINES names, else in `baselines` beside the folder of
recordings, and runs in the environment that scripts/setup-peers makes.
"""

import dataclasses
import filecmp
import os
import pathlib
import re
import subprocess

from .machine import ROOT
from .measure import Absent, say


@dataclasses.dataclass(frozen=True)
class Peer:
    """What the script reached, and the ridge that it chose on the training part."""

    velocity_r2: float
    ridge: float
    command: str


def wiener10(recording):
    """Runs the script on `recording`, which it must have too.

    Raises `Absent` where the script, its recording or its environment is missing.
    """
    beside = recording.parents[2] / "baselines"
    script = pathlib.Path(os.environ.get("EFFERENCE_BASELINES", beside)) / "m1_reaching.py"
    if not script.exists():
        raise Absent("the script m1_reaching.py is absent; EFFERENCE_BASELINES names its folder")
    own = script.resolve().parents[1] / "data" / "m1-reaching" / "m1_reaching.mat"
    if not own.exists() or not filecmp.cmp(own, recording, shallow=False):
        raise Absent("the independent script doesn't read this recording")
    made = subprocess.run([ROOT / "scripts" / "setup-peers"], capture_output=True, text=True)
    if made.returncode != 0:
        raise Absent("numpy and scipy can't be installed (scripts/setup-peers says why)")
    python = made.stdout.strip().splitlines()[-1]
    command = [python, str(script)]
    say("  python m1_reaching.py")
    environment = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run(command, check=True, capture_output=True, text=True, env=environment)
    return parse(done.stdout)


def parse(text):
    """Reads `Wiener 10 bins, ridge 1000: vel R2 [0.8, 0.8] mean 0.8 CC …`.

    >>> parse("Wiener 10 bins, ridge 1e+03: vel R2 [0.7000, 0.9000] mean 0.8000 CC [1]").ridge
    1000.0
    """
    found = re.search(r"^Wiener 10 bins, ridge (\S+): vel R2 \[[^]]*\] mean (\S+)", text, re.MULTILINE)
    if not found:
        raise RuntimeError("m1_reaching.py printed no line of `Wiener 10 bins`")
    return Peer(float(found[2]), float(found[1]), "python $EFFERENCE_BASELINES/m1_reaching.py")
