"""The peers' own ground truth in three frames: converted, one is the other."""

import os
from pathlib import Path

import numpy as np
import pytest
import shapely

from mapllava.evaluation.formats.planar import FORWARD, between
from mapllava.geometry.frame_change import change_lines

FILE = (
    Path(os.environ.get("MAPLLAVA_GOLDEN") or Path(__file__).parents[4] / "shared" / "golden")
    / "gt"
    / "gt_60x30.npz"
)
BOUNDARY_AND_DIVIDER = ("divider", "boundary")

pytestmark = pytest.mark.skipif(not FILE.is_file(), reason=f"{FILE} is not there; set MAPLLAVA_GOLDEN")


@pytest.fixture(scope="module")
def golden():
    return dict(np.load(FILE))


def entry(golden, sample):
    ego = golden["ego2global"][sample]
    return {"ego2global": ego, "lidar2ego": np.linalg.inv(ego) @ golden["lidar2global"][sample]}


def lines(golden, peer, sample, name):
    label = golden["class_names"].tolist().index(name)
    offsets = golden[f"{peer}_off"]
    mine = np.flatnonzero((golden[f"{peer}_sample"] == sample) & (golden[f"{peer}_label"] == label))
    return [golden[f"{peer}_pts"][offsets[k] : offsets[k + 1]] for k in mine]


@pytest.mark.parametrize("name", BOUNDARY_AND_DIVIDER)
def test_maptracker_is_maptr_turned(golden, name):
    compared = 0
    for sample in range(len(golden["tokens"])):
        turn = between("lidar", FORWARD, entry(golden, sample))
        ours = [shapely.LineString(change_lines(line, turn)) for line in lines(golden, "maptr", sample, name)]
        for theirs in lines(golden, "maptracker", sample, name):
            assert min(shapely.hausdorff_distance(shapely.LineString(theirs), line) for line in ours) < 0.1
            compared += 1
    assert compared > 50


@pytest.mark.parametrize("name", BOUNDARY_AND_DIVIDER)
def test_streammapnet_lies_on_maptr_moved_to_the_ego_frame(golden, name):
    # The two regions lie a metre apart, so only vertices well inside of both are compared; a few of the
    # boundaries differ, because the two join areas in their own ways.
    gaps = []
    for sample in range(len(golden["tokens"])):
        move = between("lidar", "ego", entry(golden, sample))
        ours = [shapely.LineString(change_lines(line, move)) for line in lines(golden, "maptr", sample, name)]
        whole = shapely.union_all(ours)
        for theirs in lines(golden, "streammapnet", sample, name):
            inside = theirs[(np.abs(theirs) < [28.0, 13.5]).all(axis=1)]
            gaps += shapely.distance(whole, shapely.points(inside)).tolist()
    assert len(gaps) > 200
    assert np.mean(np.array(gaps) < 1e-6) > (0.98 if name == "boundary" else 0.999)
