"""Group `losses`: what NumPy keeps when it refits on the units that remain, beside `m1.lose*.share` of the cursor."""

import json
import subprocess

from .machine import ROOT
from .measure import Absent, Figure, say
from .replay import M1, M1_TEST

LOSSES = ("0.15", "0.5", "0.85")


def figures(lab):
    command = f"python benches/peers/numpy_losses.py $EFFERENCE_DATA/{M1} {' '.join(LOSSES)}"
    data = f"m1-reaching, bins {M1_TEST}, NumPy refitted on the units that remain"
    rows = [
        Figure(f"m1.lose{round(100 * float(lose))}.numpy_share", "share of R²", "higher", data, False, command)
        for lose in LOSSES
    ]
    try:
        recording = lab.recording(M1)
        made = subprocess.run([ROOT / "scripts" / "setup-peers"], capture_output=True, text=True)
        if made.returncode != 0:
            raise Absent("numpy and scipy can't be installed (scripts/setup-peers says why)")
    except Absent as absent:
        for row in rows:
            row.skipped = str(absent)
        return rows
    say(f"  {command}")
    python = made.stdout.strip().splitlines()[-1]
    words = [python, ROOT / "benches" / "peers" / "numpy_losses.py", recording, *LOSSES]
    found = json.loads(subprocess.run(words, check=True, stdout=subprocess.PIPE, text=True).stdout)
    for row, lose in zip(rows, LOSSES):
        share = found["shares"][lose]
        row.value = share["share"]
        row.data += f", mean of {found['draws']} draws, standard error {share['error']:.3f}"
    return rows
