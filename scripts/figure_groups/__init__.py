"""Figures, a module per group. Each has `figures(lab)`, which measures and returns a list of `Figure`.

A new group is a new module, and a line in GROUPS.
"""

from . import bluetooth, cursor, demo, detectors, frontend, link, replay, sparse

GROUPS = {
    "replay": replay.figures,
    "cursor": cursor.figures,
    "demo": demo.figures,
    "detectors": detectors.figures,
    "frontend": frontend.figures,
    "sparse": sparse.figures,
    "link": link.figures,
    "bluetooth": bluetooth.figures,
}
