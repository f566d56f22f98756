"""The peers' own ground truth: converted from frame to frame, simplified, resampled and turned as they do."""

from pathlib import Path

import numpy as np
import pytest
import shapely

from mapllava.evaluation.formats.convert import FORWARD, between
from mapllava.evaluation.functional import get_protocol
from mapllava.evaluation.scoring import prepare_ground_truth
from mapllava.geometry import resample_many
from mapllava.geometry.frame_change import change_lines
from mapllava.geometry.permutations import order_table
from mapllava.structures import Polyline

FILE = Path(__file__).parents[2] / "data" / "golden" / "gt" / "gt_60x30.npz"
BOUNDARY_AND_DIVIDER = ("divider", "boundary")


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


def every_line(golden, peer):
    return np.split(golden[f"{peer}_pts"], golden[f"{peer}_off"][1:-1])


def test_streammapnet_evaluates_on_what_its_protocol_simplifies(golden):
    lines = [Polyline(0, points, closed=False) for points in every_line(golden, "streammapnet")]
    ours = prepare_ground_truth(lines, get_protocol("streammapnet"), "all")["points"]
    theirs = every_line(golden, "streammapnet_eval")
    assert len(ours) == len(theirs) > 300
    for mine, peer in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(mine, peer, atol=1e-9)


def test_maptr_trains_on_twenty_points_at_equal_steps(golden):
    half = golden["roi"][::-1] / 2  # the file names a region by its length and width
    ours = np.clip(resample_many(every_line(golden, "maptr"), 20), -half, half)
    np.testing.assert_allclose(ours, golden["maptr_fixed20"], atol=1e-4)


def test_both_directions_of_open_lines_are_maptrs(golden):
    # Rings are not compared: MapTR turns them at their drawn corners, before it places the 20 points.
    is_open = golden["maptr_nshift"] == 2
    theirs = golden["maptr_shifts_v2"][is_open][:, :2]  # (L, 2, 20, 2)
    ours = golden["maptr_fixed20"][is_open][:, order_table(20)[0][:2]]
    assert len(theirs) > 200
    np.testing.assert_allclose(ours, theirs, atol=1e-4)
