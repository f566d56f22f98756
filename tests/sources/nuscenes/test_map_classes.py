from __future__ import annotations

import json

import numpy as np
import pytest
import shapely

from mapllava import gt_cache
from mapllava.errors import MapLLaVAError
from mapllava.sources.nuscenes.map_classes import (
    MAP_CLASSES,
    RAW_LINE_LAYERS,
    RAW_POLYGON_LAYERS,
    check_classes,
)
from mapllava.sources.nuscenes.map_layers import Layer, MapLayers
from mapllava.structures import CLASSES, MapSpec


def cut(spec: MapSpec, **layers):
    made = MapLayers("town", "1.3", {name: Layer(found) for name, found in layers.items()})
    return made.polylines(np.eye(4), spec)


def test_only_the_centre_line_is_directed():
    assert [name for name, kind in MAP_CLASSES.items() if kind.directed] == ["centerline"]
    assert set(CLASSES) < set(MAP_CLASSES)


@pytest.mark.parametrize("name", RAW_LINE_LAYERS)
def test_raw_lines_are_cut_and_stay_separate(name):
    paths = [shapely.LineString([(0, -99), (0, 99)]), shapely.LineString([(5, 0), (5, 4)])]
    got = cut(MapSpec(classes=(name,)), **{name: paths})
    assert [line.points.tolist() for line in got] == [[[0, -30], [0, 30]], [[5, 0], [5, 4]]]


@pytest.mark.parametrize("name", RAW_POLYGON_LAYERS)
def test_raw_areas_are_outlined_once_for_their_union_and_never_along_the_edge(name):
    areas = [shapely.box(-4, -99, 0, 99), shapely.box(0, -99, 3, 99), shapely.box(6, 6, 8, 9)]
    sides = cut(MapSpec(classes=(name,)), **{name: areas})
    assert sorted(sorted(set(line.points[:, 0].tolist())) for line in sides) == [[-4], [3], [6, 8]]
    assert [line.closed for line in sides].count(True) == 1
    assert all(np.abs(line.points[:, 1]).max() <= 29.8 for line in sides)


def test_labels_follow_the_order_of_raw_and_field_classes():
    spec = MapSpec(classes=("walkway", "divider", "lane_divider"))
    line = [shapely.LineString([(0, 0), (0, 4)])]
    got = cut(spec, walkway=[shapely.box(3, 3, 5, 5)], road_divider=[], lane_divider=line)
    assert [polyline.label for polyline in got] == [0, 1, 2]


def test_unknown_names_are_refused_with_what_exists(tiny):
    words = r"'kerb'\]: nuScenes maps offer divider, .*centerline, .*drivable_area"
    with pytest.raises(MapLLaVAError, match=words):
        check_classes(["divider", "kerb"])
    with pytest.raises(MapLLaVAError, match=words):
        MapLayers.load(tiny, "boston-seaport", ["kerb"])
    with pytest.raises(MapLLaVAError, match=words):
        gt_cache.build(tiny, "v1.0-mini", "val", spec=MapSpec(classes=("kerb",)))


def test_raw_layers_are_read_from_the_expansion(tiny):
    """A drivable area has many polygons; a connector may have none; both are read as they are."""
    path = tiny / "maps" / "expansion" / "boston-seaport.json"
    document = json.loads(path.read_text())
    tokens = [record["token"] for record in document["polygon"]]
    document["drivable_area"] = [{"token": "d", "polygon_tokens": tokens[:2]}]
    document["lane_connector"] = [
        {"token": "c", "polygon_token": None},
        {"token": "e", "polygon_token": tokens[0]},
    ]
    path.write_text(json.dumps(document))
    layers = MapLayers.load(tiny, "boston-seaport", ("drivable_area", "lane_connector", "centerline"))
    assert {name: len(layer.geometries) for name, layer in layers.layers.items()} == {
        "drivable_area": 2,
        "lane_connector": 1,
    }
    assert layers.lanes is not None
    assert len(layers.lanes.lines) == 0


def test_centre_lines_come_from_arc_lines_and_connectivity(tiny):
    """Two lanes of 10 m and 5 m joined by an incoming link alone; one without a path is skipped."""
    path = tiny / "maps" / "expansion" / "boston-seaport.json"
    document = json.loads(path.read_text())
    polygon = document["lane"][0]["polygon_token"]
    document["lane"] = [
        {**document["lane"][0], "token": name, "polygon_token": polygon} for name in ("a", "b", "c")
    ]

    def straight(x0, y0, x1, y1):
        yaw, length = np.arctan2(y1 - y0, x1 - x0), np.hypot(x1 - x0, y1 - y0)
        poses = {"start_pose": [x0, y0, yaw], "end_pose": [x1, y1, yaw]}
        return [{**poses, "shape": "LSR", "radius": 99.0, "segment_length": [0.0, length, 0.0]}]

    document["arcline_path_3"] = {"a": straight(100, 200, 100, 210), "b": straight(100, 210, 103, 214)}
    document["connectivity"] = {"b": {"incoming": ["a", "gone"], "outgoing": []}}
    path.write_text(json.dumps(document))
    layers = MapLayers.load(tiny, "boston-seaport", ("centerline",))
    pose = np.eye(4)
    pose[:2, 3] = 100, 210
    (line,) = layers.polylines(pose, MapSpec(classes=("centerline",)))
    np.testing.assert_allclose(line.points, [[0, -10], [0, 0], [3, 4]], atol=1e-6)
    assert line.directed
