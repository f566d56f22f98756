"""Each rule of each definition, on logs of a few lanes, crossings and areas."""

from __future__ import annotations

import math
import sys

import numpy as np
import pytest
from small_log import Z, lane, pose, strip, write

from mapllava.errors import MapLLaVAError
from mapllava.sources.argoverse2 import map_elements
from mapllava.sources.argoverse2.cache_source import Argoverse2Source
from mapllava.structures import CLASSES, MapSpec
from mapllava.structures import ROI as Region

pytest.importorskip("av2", reason="needs the extra av2: pip install 'mapllava[av2]'")

ROI = (-30, -15, 30, 15)
ALL = ("maptrv2", "streammapnet", "maptracker")
NO_PAINT = ("NONE", "UNKNOWN")
SQUARE = [(-40, -8), (40, -8), (40, 8), (-40, 8)]


@pytest.fixture
def lines_of(tmp_path):
    """Lines ``(n, 3)`` of a class, of a log that is written first."""

    def make(definition, name, at=None, **log):
        folder = write(tmp_path, **log)
        found = map_elements(folder, pose() if at is None else at, ROI, definition)
        return [np.column_stack([line.points, line.heights]) for line in found if CLASSES[line.label] == name]

    return make


def spans(lines):
    """First and last point of each line, in the plane."""
    return [[line[0, :2].round(3).tolist(), line[-1, :2].round(3).tolist()] for line in lines]


def closed(line):
    return bool((line[0] == line[-1]).all())


def signed_area(ring):
    x, y = ring[:, 0], ring[:, 1]
    return float((x[:-1] * y[1:] - x[1:] * y[:-1]).sum() / 2)


# Frames


@pytest.mark.parametrize("definition", ["streammapnet", "maptracker"])
def test_ahead_is_x_and_left_is_y_by_hand(lines_of, definition):
    """The car at (100, 200) heads along the city's y, so that its left is the city's -x."""
    edge = [(98, 210, Z + 0.5), (98, 220, Z + 1)]
    one = lane(edge, [(102, 210), (102, 220)], ("SOLID_WHITE", "NONE"), neighbours=(7, None))
    (got,) = lines_of(definition, "divider", pose(100, 200, math.pi / 2), lanes=[one])
    np.testing.assert_allclose(got, [[10, 2, 0.5], [20, 2, 1]], atol=1e-9)


def test_the_cut_is_exact_in_the_ego_frame_or_flat_in_the_city(lines_of):
    """A car whose nose points down: streammapnet cuts 30 m ahead of it, the others 30 m along the map."""
    at = pose(pitch=0.1)
    lanes = [strip(0, -4, x=(-90, 90), neighbours=(7, None), marks=("SOLID_WHITE", "NONE"))]
    for definition, reach in (("streammapnet", 30.0), ("maptrv2", 30 * math.cos(0.1))):
        (got,) = lines_of(definition, "divider", at, lanes=lanes)
        np.testing.assert_allclose(got[[0, -1], 0], [-reach, reach], atol=1e-9)


def test_a_cache_has_no_point_outside_of_its_roi(tmp_path):
    at = pose(pitch=0.1)
    at[2, 3] -= 20.0  # a line far above the car's own plane ends farther ahead
    folder = write(tmp_path, lanes=[strip(0, -4, x=(-90, 90), neighbours=(7, None))])
    (raw,) = map_elements(folder, at, ROI, "maptracker")
    assert np.abs(raw.points[:, 0]).max() > 30.5
    drawn = Argoverse2Source.read_map(folder.parent, f"maptracker:{folder.name}", CLASSES)
    (kept,) = drawn.polylines(at, MapSpec("ego", Region(*ROI)))
    assert np.abs(kept.points[:, 0]).max() == 30


# Dividers of streammapnet


def test_paint_alone_makes_a_divider_of_streammapnet_in_junctions_too(lines_of):
    lanes = [
        strip(0, -4, marks=("NONE", "DASHED_WHITE")),
        strip(8, 4, marks=("SOLID_BLUE", "UNKNOWN"), junction=True),
    ]
    assert spans(lines_of("streammapnet", "divider", lanes=lanes)) == [
        [[-10, -4], [10, -4]],
        [[-10, 8], [10, 8]],
    ]


def test_a_line_of_two_lanes_is_there_once_and_none_runs_along_a_boundary(lines_of):
    lanes = [strip(0, -4), strip(4, 0.1), strip(4.1, 7.9)]  # the third runs the other way
    found = lines_of("streammapnet", "divider", lanes=lanes)
    assert [line[0, 1] for line in found] == [-4, 0, 4, 7.9]  # right edges first, 0.1 and 4.1 are repeats
    found = lines_of("streammapnet", "divider", lanes=lanes, areas=[SQUARE])
    assert [line[0, 1] for line in found] == [-4, 0, 4]


def test_streammapnet_joins_ends_within_ten_centimetres_and_keeps_both(lines_of):
    right = ("NONE", "SOLID_WHITE")
    lanes = [
        strip(4, 0, x=(-10, 0), marks=right),
        strip(4, 0, x=(0.2, 5), marks=right),  # too far from the first
        strip(-4, 0, x=(5.05, 9), marks=right),  # runs the other way
    ]
    found = lines_of("streammapnet", "divider", lanes=lanes)
    assert [line[:, 0].round(3).tolist() for line in found] == [[-10, 0], [0.2, 5, 5.05, 9]]


# Dividers of maptrv2 and maptracker


@pytest.mark.parametrize("definition", ["maptrv2", "maptracker"])
def test_sides_between_neighbours_are_dividers_once_and_painted_or_not(lines_of, definition):
    lanes = [
        strip(0, -4, marks=NO_PAINT, neighbours=(2, None)),
        strip(4, 0.1, marks=NO_PAINT, neighbours=(None, 1)),  # the left lane's line is the one that stays
        strip(8, 4, neighbours=(2, 2), junction=True),
    ]
    assert spans(lines_of(definition, "divider", lanes=lanes)) == [[[-10, 0], [10, 0]]]


@pytest.mark.parametrize(("definition", "count"), [("maptrv2", 0), ("streammapnet", 1), ("maptracker", 1)])
def test_only_maptrv2_loses_the_line_between_opposing_lanes(lines_of, definition, count):
    marks = ("SOLID_YELLOW", "NONE")
    lanes = [strip(0, -4, marks=marks, neighbours=(2, None)), strip(0, 4, marks=marks, neighbours=(1, None))]
    assert len(lines_of(definition, "divider", lanes=lanes)) == count


def test_paths_that_fork_share_their_common_part_and_bridge_gaps(lines_of):
    """maptracker drops the link to lane 2: the first lane that leads there is not on the map."""
    lanes = [
        strip(0, -4, x=(-10, 0), neighbours=(9, None), after=(3,)),
        strip(0, -4, x=(1, 10), neighbours=(9, None), before=(99, 1)),
        lane([(1, 0), (5, 6)], [(1, -4), (8, 3)], neighbours=(9, None), before=(1,)),
    ]
    lanes[2]["left_lane_boundary"][0]["y"] = 0.5
    found = lines_of("maptrv2", "divider", lanes=lanes)
    assert spans(found) == [[[-10, 0], [5, 6]], [[-10, 0], [10, 0]]]
    assert spans(lines_of("maptracker", "divider", lanes=lanes)) == [[[-10, 0], [5, 6]], [[1, 0], [10, 0]]]


def test_paths_are_simplified_by_twenty_centimetres_then_cut(lines_of):
    edge = [(-40, 0), (0, 0.15), (10, 0), (20, 0.9), (40, 0)]
    one = lane(edge, [(-40, -4), (40, -4)], ("SOLID_WHITE", "NONE"), neighbours=(9, None))
    (got,) = lines_of("maptrv2", "divider", lanes=[one])
    assert got[:, 0].tolist() == [-30, 10, 20, 30]
    (got,) = lines_of("streammapnet", "divider", lanes=[one])
    assert got[:, 0].tolist() == [-30, 0, 10, 20, 30]


@pytest.mark.parametrize(("apart", "count"), [(0.1, 1), (0.15, 2)])
def test_maptrv2_takes_lines_for_one_by_the_overlap_of_their_metre_wide_strips(lines_of, apart, count):
    lanes = [strip(y, -4, neighbours=(9, None)) for y in (0, apart)]
    assert len(lines_of("maptrv2", "divider", lanes=lanes)) == count


def test_maptracker_joins_first_then_drops_what_runs_along_a_boundary(lines_of):
    """The second edge alone lies on the boundary; joined to the first, both go."""
    marks = ("SOLID_WHITE", "NONE")
    lanes = [
        lane([(0, 3), (5, 8)], [(0, -4), (5, -4)], marks, neighbours=(9, None)),
        strip(8, 4, x=(5.05, 25), marks=marks, neighbours=(9, None)),
    ]
    assert lines_of("maptracker", "divider", lanes=lanes, areas=[SQUARE]) == []
    assert spans(lines_of("streammapnet", "divider", lanes=lanes, areas=[SQUARE])) == [[[0, 3], [5, 8]]]
    assert len(lines_of("maptrv2", "divider", lanes=lanes, areas=[SQUARE])) == 2


# Boundaries


@pytest.mark.parametrize("definition", ALL)
def test_the_boundary_is_the_outline_of_the_union_without_the_edge_of_the_roi(lines_of, definition):
    lower = [(-40, -8), (40, -8), (40, 0), (5, 0), (5, -3), (-5, -3), (-5, 0), (-40, 0)]
    upper = [(-40, 0), (-5, 0), (-5, 3), (5, 3), (5, 0), (40, 0), (40, 8), (-40, 8)]
    found = lines_of(definition, "boundary", areas=[lower, upper])
    outer = sorted(spans(found[:2]))
    assert outer == [[[-29.8, 8], [29.8, 8]], [[29.8, -8], [-29.8, -8]]]  # the road on the right
    (hole,) = found[2:]
    assert closed(hole)
    assert signed_area(hole) == pytest.approx(60)  # here too
    assert signed_area(lines_of(definition, "boundary", areas=[np.array(SQUARE) / 4])[0]) < 0


@pytest.mark.parametrize("definition", ALL)
def test_heights_are_interpolated_where_the_roi_cuts(lines_of, definition):
    slope = [(x, y, Z + x / 10) for x, y in SQUARE]
    for line in lines_of(definition, "boundary", areas=[slope]):
        np.testing.assert_allclose(line[:, 2], line[:, 0] / 10, atol=1e-9)


def test_an_outline_that_crosses_itself_is_repaired_or_left_out(lines_of):
    bow_tie = [(-5, -5), (5, 5), (5, -5), (-5, 5)]
    assert lines_of("maptrv2", "boundary", areas=[bow_tie]) == []
    assert lines_of("streammapnet", "boundary", areas=[bow_tie])


# Crossings

INSIDE = ([(0, -5), (0, 5)], [(4, -5), (4, 5)])
TINY = ([(0, 0), (0, 0.9)], [(0.9, 0), (0.9, 0.9)])


@pytest.mark.parametrize("definition", ALL)
def test_a_crossing_inside_is_a_closed_ring_counter_clockwise(lines_of, definition):
    (ring,) = lines_of(definition, "ped_crossing", crossings=[INSIDE])
    assert (len(ring), closed(ring)) == (5, True)
    assert signed_area(ring) == pytest.approx(40)


def test_where_its_first_vertex_lies_decides_whether_streammapnet_closes_a_cut_crossing(lines_of):
    first_in = ([(28, 5), (32, 5)], [(28, 9), (32, 9)])
    first_out = ([(32, 5), (28, 5)], [(32, 9), (28, 9)])
    got = lines_of("streammapnet", "ped_crossing", crossings=[first_in, first_out])
    assert [closed(line) for line in got] == [True, False]
    got = lines_of("maptracker", "ped_crossing", crossings=[first_in, first_out])
    assert [closed(line) for line in got] == [True, True]
    assert all(signed_area(line) == pytest.approx(8) for line in got)
    (line,) = lines_of("maptrv2", "ped_crossing", crossings=[first_in])
    assert not closed(line)
    assert line[:, 0].max() == pytest.approx(29.8)


@pytest.mark.parametrize(("definition", "count"), [("maptrv2", 1), ("streammapnet", 1), ("maptracker", 0)])
def test_maptracker_drops_crossings_below_a_square_metre(lines_of, definition, count):
    assert len(lines_of(definition, "ped_crossing", crossings=[TINY])) == count


def test_maptrv2_makes_one_of_parallel_crossings_that_touch(lines_of):
    further = ([(0, 5), (0, 12)], [(4, 5), (4, 12)])
    across = ([(4, 0), (12, 0)], [(4, 3), (12, 3)])
    away = ([(20, -5), (20, 5)], [(24, -5), (24, 5)])
    for definition, areas in (("maptrv2", [24, 40, 68]), ("maptracker", [24, 28, 40, 40])):
        found = lines_of(definition, "ped_crossing", crossings=[INSIDE, further, across, away])
        assert sorted(round(signed_area(ring)) for ring in found) == areas


@pytest.mark.parametrize("definition", ALL)
def test_edges_of_three_points_are_taken_whole(lines_of, definition):
    bent = ([(0, -5), (-1, 0), (0, 5)], [(4, -5), (5, 0), (4, 5)])
    (ring,) = lines_of(definition, "ped_crossing", crossings=[bent])
    assert signed_area(ring) == pytest.approx(50)


# What goes wrong


@pytest.mark.parametrize("definition", ALL)
def test_an_empty_map_gives_nothing(tmp_path, definition):
    assert map_elements(write(tmp_path), pose(), ROI, definition) == []


def test_a_log_without_its_map_or_with_a_damaged_one_is_named(tmp_path):
    with pytest.raises(MapLLaVAError, match=r"map holds 0 files log_map_archive_"):
        map_elements(tmp_path, pose(), ROI)
    folder = write(tmp_path, lanes=[{**strip(0, -4), "left_lane_mark_type": "CHALK"}])
    with pytest.raises(MapLLaVAError, match=r"log_map_archive_.*is damaged \(ValueError.*CHALK"):
        map_elements(folder, pose(), ROI)
    next(folder.glob("map/*.json")).write_text("{")
    with pytest.raises(MapLLaVAError, match="is damaged"):
        map_elements(folder, pose(), ROI)


def test_what_is_asked_for_must_exist(tmp_path):
    folder = write(tmp_path)
    with pytest.raises(MapLLaVAError, match="unknown definition 'maptr': use one of maptrv2, "):
        map_elements(folder, pose(), ROI, "maptr")
    with pytest.raises(MapLLaVAError, match=r"\['centerline'\]: Argoverse 2 maps offer divider"):
        map_elements(folder, pose(), ROI, classes=["divider", "centerline"])
    with pytest.raises(ValueError, match="rotation is none"):
        map_elements(folder, np.diag([1.0, 1, -1, 1]), ROI)


def test_without_the_package_the_extra_is_named(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "av2.map.map_api", None)
    with pytest.raises(MapLLaVAError, match=r"pip install 'mapllava\[av2\]'"):
        map_elements(write(tmp_path, log="other"), pose(), ROI)
