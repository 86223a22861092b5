"""Figures, a module per group. Each has `figures(lab)`, which measures and returns a list of `Figure`.

A new group is a new module, and a line in GROUPS and TITLES.
"""

from . import bluetooth, cursor, demo, detectors, frontend, link, live, losses, replay, sparse

GROUPS = {
    "replay": replay.figures,
    "cursor": cursor.figures,
    "demo": demo.figures,
    "detectors": detectors.figures,
    "frontend": frontend.figures,
    "live": live.figures,
    "losses": losses.figures,
    "sparse": sparse.figures,
    "link": link.figures,
    "bluetooth": bluetooth.figures,
}

# In the order in which the README shows them.
TITLES = {
    "replay": "Recordings, decoded and searched for spikes",
    "cursor": "The cursor",
    "losses": "Electrodes lost, refitted by NumPy",
    "demo": "The demo",
    "detectors": "Detectors side by side",
    "frontend": "The front end",
    "live": "Live",
    "sparse": "Streams of crossings",
    "link": "The link",
    "bluetooth": "Bluetooth",
}
