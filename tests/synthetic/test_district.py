from __future__ import annotations

import numpy as np
import pytest
from shapely.geometry import LineString, Point, Polygon
from shapely.ops import unary_union

from mapllava.synthetic.district import build_district

SEEDS = range(12)


@pytest.fixture(scope="module")
def districts():
    return [build_district(np.random.default_rng(seed), seed % 2 == 0, 150.0) for seed in SEEDS]


def test_areas_are_valid_and_hang_together(districts):
    for district in districts:
        assert all(area.is_valid and area.area > 1 for area, _ in district.areas)
        assert district.surface.geom_type == "Polygon"
        assert district.surface.is_valid


def test_the_car_stays_on_the_streets(districts):
    for district in districts:
        width = district.surface.buffer(-0.9)
        length = district.route.shape[0]
        inside = [width.contains(Point(*place)) for place in district.route[length // 20 : -length // 20 : 4]]
        assert np.mean(inside) == 1.0


def test_the_route_is_long_enough_and_smooth(districts):
    for district in districts:
        steps = np.diff(district.route, axis=0)
        assert np.hypot(*steps.T).sum() > 150 + 2 * 60
        turns = np.diff(np.unwrap(np.arctan2(steps[:, 1], steps[:, 0])))
        assert np.abs(turns).max() < 0.15  # per half metre: radius above 3 m


def test_paint_lies_on_the_streets(districts):
    for district in districts:
        streets = district.surface.buffer(0.05)
        assert all(streets.contains(LineString(divider.points)) for divider in district.dividers)
        for crossing in district.crossings:
            area = Polygon(crossing.corners[[0, 1, 3, 2]])
            assert area.is_valid
            assert 10 < area.area < 250
            assert area.difference(district.surface).area < 0.35 * area.area  # it may span a median


def test_lanes_leave_the_islands_free(districts):
    holes = 0
    for district in districts:
        lanes = unary_union([lane.area for lane in district.lanes if not lane.connector])
        for ring in district.surface.interiors:
            hole = Polygon(ring)
            holes += hole.area > 3
            assert hole.buffer(-0.05).intersection(lanes).area < 0.02 * hole.area
    assert holes >= 3


def test_lanes_join_at_junctions(districts):
    for district in districts:
        joined = 0
        for lane in district.lanes:
            if lane.connector:
                (before,), (after,) = lane.incoming, lane.outgoing
                assert np.allclose(lane.line[0], district.lanes[before].line[-1], atol=0.05)
                assert np.allclose(lane.line[-1], district.lanes[after].line[0], atol=0.05)
                joined += 1
        assert joined >= 4


def test_left_hand_traffic_keeps_left(districts):
    for district in districts:
        if district.oncoming is None:
            continue
        middle = len(district.route) // 2
        ahead = district.route[middle + 1] - district.route[middle]
        nearest = district.oncoming[np.argmin(np.hypot(*(district.oncoming - district.route[middle]).T))]
        aside = nearest - district.route[middle]
        left = ahead[0] * aside[1] - ahead[1] * aside[0] > 0
        assert left != district.left_hand


def test_streets_vary(districts):
    assert len({len(district.dividers) for district in districts}) >= 6
    assert len({len(district.crossings) for district in districts}) >= 3
    headings = [np.arctan2(*(d.route[-1] - d.route[0])[::-1]) for d in districts]
    assert np.ptp(headings) > np.pi


def test_moved_moves_everything(districts):
    moved = districts[0].moved(np.array([1000.0, -50.0]))
    assert np.allclose(moved.route - districts[0].route, [1000, -50])
    assert np.allclose(np.array(moved.surface.bounds) - districts[0].surface.bounds, [1000, -50, 1000, -50])
    assert moved.surface.contains(Point(*moved.lanes[0].line.mean(axis=0)))
