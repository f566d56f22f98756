"""Every definition against the lines that its project's own code made of real logs.

The data are under a licence that keeps them out of here. With them, run

    MAPLLAVA_AV2_LOGS=LOGS MAPLLAVA_AV2_LINES=FILE.npz pytest tests/sources/argoverse2/test_published_lines.py

``LOGS`` holds the folders of logs. The file has ``log_id`` (N), ``city_SE3_ego`` (N, 4, 4), ``roi`` (length
and width), and for each definition ``NAME/points`` (P, 3), ``NAME/offsets`` (L + 1), ``NAME/sample`` (L),
``NAME/label`` (L), ``NAME/classes`` and ``NAME/ok`` (N).
"""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from mapllava.sources.argoverse2 import map_elements
from mapllava.sources.argoverse2.definitions import DEFINITIONS
from mapllava.structures import CLASSES, ROI

LOGS, LINES = (os.environ.get(f"MAPLLAVA_AV2_{name}", "") for name in ("LOGS", "LINES"))
TOLERANCE = 0.01
"""Metres."""


@pytest.mark.skipif(
    not (LOGS and LINES),
    reason="needs real logs: MAPLLAVA_AV2_LOGS=LOGS MAPLLAVA_AV2_LINES=FILE.npz pytest …",
)
@pytest.mark.parametrize("definition", DEFINITIONS)
def test_lines_are_those_of_the_project_vertex_by_vertex(definition):
    golden = dict(np.load(LINES))
    length, width = golden["roi"]
    roi = ROI.parse(f"{length:g}x{width:g}", "ego")
    lines = np.split(golden[f"{definition}/points"], golden[f"{definition}/offsets"][1:-1])
    names = golden[f"{definition}/classes"][golden[f"{definition}/label"]]
    for sample in np.flatnonzero(golden[f"{definition}/ok"]):
        log, at = Path(LOGS) / str(golden["log_id"][sample]), golden["city_SE3_ego"][sample]
        found = map_elements(log, at, roi, definition)
        for label, name in enumerate(CLASSES):
            chosen = np.flatnonzero((golden[f"{definition}/sample"] == sample) & (names == name))
            wanted = [lines[place] for place in chosen if len(lines[place]) > 1]
            ours = [np.column_stack([line.points, line.heights]) for line in found if line.label == label]
            assert len(ours) == len(wanted), f"sample {sample}, {name}"
            for theirs in wanted:
                same = [i for i, mine in enumerate(ours) if _apart(mine[:, :2], theirs[:, :2]) <= TOLERANCE]
                assert same, f"sample {sample}, {name}: no line from {theirs[0]} to {theirs[-1]}"
                # in the project's own order; maptrv2's is that in which it comes upon crossings to merge
                assert same[0] == 0 or (definition, name) == ("maptrv2", "ped_crossing")
                mine = ours.pop(same[0])
                if np.abs(theirs[:, 2]).max() > 0:  # a project that keeps heights
                    assert _apart(mine, theirs) <= TOLERANCE, f"sample {sample}, {name}: heights"


def _apart(line: np.ndarray, other: np.ndarray) -> float:
    return float(np.abs(line - other).max()) if line.shape == other.shape else np.inf
