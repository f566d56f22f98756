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
            rest = [line.points for line in found if line.label == label]
            for wanted in (lines[place][:, :2] for place in chosen if len(lines[place]) > 1):
                same = [i for i, line in enumerate(rest) if _apart(line, wanted) <= TOLERANCE]
                assert same, f"sample {sample}, {name}: no line from {wanted[0]} to {wanted[-1]}"
                del rest[same[0]]
            assert not rest, f"sample {sample}, {name}: {len(rest)} lines too many"


def _apart(line: np.ndarray, other: np.ndarray) -> float:
    return float(np.abs(line - other).max()) if line.shape == other.shape else np.inf
