from __future__ import annotations

import numpy as np
import pytest
import shapely

from mapllava.errors import MapLLaVAError
from mapllava.geometry.clip import Window
from mapllava.sources.nuscenes import lane_routes
from mapllava.sources.nuscenes.lane_routes import LaneGraph
from mapllava.sources.nuscenes.map_layers import MapLayers
from mapllava.structures import ROI, MapSpec

SPEC = MapSpec(classes=("divider", "centerline"))


def routes(lines, successors, roi="60x30"):
    graph = LaneGraph([shapely.LineString(line) for line in lines], successors)
    return [route.tolist() for route in graph.routes(Window(ROI.parse(roi), 0, 0, 0))]


def test_a_lane_goes_on_into_its_successor():
    assert routes([[(0, -10), (0, 0)], [(0, 0), (0, 5), (5, 5)]], [[1], []]) == [[[0, -10], [0, 5], [5, 5]]]


def test_order_of_the_records_does_not_matter_only_succession():
    assert routes([[(0, 0), (0, 5)], [(0, -10), (0, 0)]], [[], [0]]) == [[[0, -10], [0, 5]]]


def test_touching_lanes_that_do_not_succeed_each_other_stay_two():
    assert len(routes([[(0, -10), (0, 0)], [(0, 0), (0, 5)]], [[], []])) == 2


def test_a_fork_gives_a_way_per_exit_and_the_common_stretch_to_both():
    got = routes([[(0, -10), (0, 0)], [(0, 0), (5, 9)], [(0, 0), (-5, 9)]], [[1, 2], [], []])
    assert got == [[[0, -10], [0, 0], [5, 9]], [[0, -10], [0, 0], [-5, 9]]]


def test_a_merge_gives_a_way_per_entry():
    got = routes([[(5, -9), (0, 0)], [(-5, -9), (0, 0)], [(0, 0), (0, 9)]], [[2], [2], []])
    assert got == [[[5, -9], [0, 0], [0, 9]], [[-5, -9], [0, 0], [0, 9]]]


def test_ways_are_cut_at_the_region_and_keep_their_direction():
    down, up = [(3, 99), (3, -99)], [(-3, -99), (-3, 99)]
    assert routes([down, up], [[], []]) == [[[3, 30], [3, -30]], [[-3, -30], [-3, 30]]]


def test_a_lane_that_leaves_and_returns_does_not_join_outside():
    bow = [(0, 0), (20, 0), (20, 8), (0, 8)]
    assert routes([bow], [[]]) == [[[0, 0], [15, 0]], [[15, 8], [0, 8]]]


def test_lanes_that_meet_outside_are_not_joined():
    assert len(routes([[(0, 0), (20, 0)], [(20, 0), (20, 8), (0, 8)]], [[1], []])) == 2


def test_a_roundabout_without_entry_is_one_ring():
    (ring,) = routes([[(0, 0), (9, 0), (9, 9)], [(9, 9), (0, 9), (0, 0)]], [[1], [0]])
    assert ring == [[0, 0], [9, 0], [9, 9], [0, 9], [0, 0]]


def test_a_roundabout_with_entry_and_exit_is_left_once():
    lanes = [[(-9, 0), (0, 0)], [(0, 0), (5, 5)], [(5, 5), (0, 0)], [(5, 5), (9, 5)]]
    assert routes(lanes, [[1], [2, 3], [1], []]) == [
        [[-9, 0], [0, 0], [5, 5], [0, 0]],
        [[-9, 0], [0, 0], [5, 5], [9, 5]],
    ]


def test_ways_are_simplified_by_two_decimetres():
    wave = [(0, y) for y in range(-20, 0)] + [(0.1, 0), (0.3, 10), (0, 20)]
    assert routes([wave], [[]]) == [[[0, -20], [0.3, 10], [0, 20]]]


def test_too_many_ways_are_refused_with_a_remedy(monkeypatch):
    monkeypatch.setattr(lane_routes, "MAX_ROUTES", 3)
    steps = [[(0, k), (x, k + 0.5), (0, k + 1)] for k in range(2) for x in (1, -1)]
    with pytest.raises(MapLLaVAError, match=r"more than 3 ways.*centerline"):
        routes(steps, [[2, 3], [2, 3], [], []])


def test_lines_without_their_successors_are_refused():
    with pytest.raises(ValueError, match="successors of 0"):
        LaneGraph([shapely.LineString([(0, 0), (1, 1)])], [])


def test_city_ways_are_directed_and_follow_the_drive(city, city_cache):
    """The car drives along a centre line: same direction, within half a lane."""
    from mapllava import gt_cache

    entries = gt_cache.load(city_cache["train"])["data_list"]
    layers = {e["location"]: MapLayers.load(city, e["location"], SPEC.classes) for e in entries}
    for entry in entries:
        pose = entry["ego2global"] @ entry["lidar2ego"]
        lines = layers[entry["location"]].polylines(pose, SPEC)
        assert {(line.label, line.directed) for line in lines} <= {(0, False), (1, True)}
        headings = []
        for line in (line for line in lines if line.directed):
            assert SPEC.roi.contains(line.points, 1e-6).all()
            way = shapely.LineString(line.points)
            at = way.project(shapely.Point(0, 0))
            ends = [way.interpolate(max(at - 0.1, 0)), way.interpolate(at + 0.1)]
            if way.distance(shapely.Point(0, 0)) < 1.8:
                headings.append((ends[1].y - ends[0].y) / ends[0].distance(ends[1]))
        assert max(headings) > 0.9


def test_a_map_read_without_lanes_says_so(tiny):
    layers = MapLayers.load(tiny, "boston-seaport")
    with pytest.raises(MapLLaVAError, match=r"class centerline: boston-seaport was read without lane"):
        layers.polylines(np.eye(4), SPEC)


@pytest.mark.parametrize("reach", [1e-7, 1e-9])
def test_a_lane_that_hardly_reaches_into_the_region_is_no_line(reach):
    grazing = [(20, 5), (15 - reach, 5)]
    assert routes([grazing], [[]]) == []
    assert routes([grazing[::-1]], [[]]) == []
    across_the_corner = [(16 - reach, 29), (14 - reach, 31)]
    assert routes([across_the_corner], [[]]) == []


def test_a_fork_just_inside_the_edge_gives_one_way_not_two():
    lane, left, right = [(0, 0), (15 - 1e-7, 0)], [(15 - 1e-7, 0), (20, 1)], [(15 - 1e-7, 0), (20, -1)]
    assert len(routes([lane, left, right], [[1, 2], [], []])) == 1


def test_a_lane_of_no_length_still_joins_its_neighbours():
    lanes = [[(0, -10), (0, 0)], [(0, 0), (0, 1e-7)], [(0, 1e-7), (0, 10)]]
    assert routes(lanes, [[1], [2], []]) == [[[0, -10], [0, 10]]]
    assert routes([lanes[1]], [[]]) == []
