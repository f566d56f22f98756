from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest
import shapely

from mapllava.errors import MapLLaVAError
from mapllava.sources.nuscenes import map_layers
from mapllava.sources.nuscenes.map_layers import (
    LINE_LAYERS,
    POLYGON_LAYERS,
    Layer,
    MapLayers,
    map_version,
    yaw_of,
)
from mapllava.structures import ROI, MapSpec

GOLDEN = Path(__file__).parents[2] / "data" / "golden" / "gt" / "gt_60x30.npz"
SPEC = MapSpec()


def town(**layers) -> MapLayers:
    """A map of the given geometries in world coordinates."""
    return MapLayers("town", "1.3", {n: Layer(layers.get(n, [])) for n in (*POLYGON_LAYERS, *LINE_LAYERS)})


def pose_at(x: float = 0.0, y: float = 0.0, yaw: float = 0.0) -> np.ndarray:
    pose = np.eye(4)
    pose[:2, :2] = [[math.cos(yaw), -math.sin(yaw)], [math.sin(yaw), math.cos(yaw)]]
    pose[:2, 3] = x, y
    return pose


def of(name: str, polylines) -> list[np.ndarray]:
    return [p.points for p in polylines if SPEC.classes[p.label] == name]


@pytest.mark.parametrize("yaw", [0.0, 0.3, math.pi / 2, 2.5, -1.2])
def test_asymmetric_scene_comes_back_from_the_world(yaw):
    """Trap 1: with R in place of its transpose every line would be off by twice the yaw."""
    scene = [np.array([[2.0, 5], [2, 20], [6, 25]]), np.array([[-9.0, -3], [-4, -28]])]
    pose = pose_at(1432.5, 871.25, yaw)
    world = [shapely.LineString(line @ pose[:2, :2].T + pose[:2, 3]) for line in scene]
    got = of("divider", town(lane_divider=world).polylines(pose, SPEC))
    for line, want in zip(got, scene, strict=True):
        np.testing.assert_allclose(line, want, atol=1e-9)


def test_ahead_is_y_and_right_is_x_by_hand():
    """The car at (100, 200) heads along world -x, so its right is world +y."""
    pose = pose_at(100, 200, math.pi / 2)
    path = shapely.LineString([(90, 203), (80, 203)])
    (got,) = of("divider", town(road_divider=[path]).polylines(pose, SPEC))
    np.testing.assert_allclose(got, [[3, 10], [3, 20]], atol=1e-9)


def test_region_is_long_along_the_car():
    """Trap 3."""
    paths = [shapely.LineString([(0, -99), (0, 99)]), shapely.LineString([(-99, 0), (99, 0)])]
    along, across = of("divider", town(road_divider=paths).polylines(np.eye(4), SPEC))
    assert np.abs(along).max(axis=0).tolist() == [0, 30]
    assert np.abs(across).max(axis=0).tolist() == [15, 0]


def test_region_edge_is_no_boundary():
    """Trap 4: a road far wider than the ROI has no outline in it; a strip has exactly its two sides."""
    square = shapely.box(-200, -200, 200, 200)
    assert of("boundary", town(road_segment=[square]).polylines(np.eye(4), SPEC)) == []
    strip = shapely.box(-5, -200, 7, 200)
    sides = of("boundary", town(road_segment=[strip]).polylines(np.eye(4), SPEC))
    assert sorted(side[:, 0].tolist() for side in sides) == [[-5, -5], [7, 7]]
    assert {abs(y) for side in sides for y in side[:, 1]} == {29.8}


def test_inner_edges_between_road_and_lane_are_no_boundary():
    parts = {"road_segment": [shapely.box(-5, -99, 0, 0), shapely.box(-5, 0, 0, 99)]}
    lane = shapely.box(0, -99, 5, 99)
    sides = of("boundary", town(**parts, lane=[lane]).polylines(np.eye(4), SPEC))
    assert sorted(set(np.concatenate(sides)[:, 0])) == [-5, 5]
    assert len(sides) == 2


def test_island_is_a_closed_boundary():
    road = shapely.box(-99, -99, 99, 99).difference(shapely.box(1, 2, 4, 8))
    (ring,) = town(road_segment=[road]).polylines(np.eye(4), SPEC)
    assert (SPEC.classes[ring.label], ring.closed, len(ring.points)) == ("boundary", True, 5)
    assert np.array_equal(ring.points[0], ring.points[-1])


def test_touching_crossings_are_one_ring_and_stay_closed_at_the_edge():
    crossings = [shapely.box(10, 0, 14, 3), shapely.box(14, 0, 40, 3), shapely.box(-9, -9, -7, -2)]
    rings = town(ped_crossing=crossings).polylines(np.eye(4), SPEC)
    assert [ring.closed for ring in rings] == [True, True]
    boxes = sorted(tuple(np.r_[ring.points.min(0), ring.points.max(0)]) for ring in rings)
    assert boxes == [(-9, -9, -7, -2), (10, 0, 15, 3)]


def test_dividers_keep_the_order_of_the_records_and_are_never_merged():
    road = [shapely.LineString([(0, y), (1, y)]) for y in (5, -5, 20, 0)]
    lane = [shapely.LineString([(1, 5), (2, 5)])]
    got = of("divider", town(road_divider=road, lane_divider=lane).polylines(np.eye(4), SPEC))
    assert [line[0].tolist() for line in got] == [[0, 5], [0, -5], [0, 20], [0, 0], [1, 5]]


def test_a_line_without_a_vertex_inside_is_found():
    path = shapely.LineString([(-500, 3), (500, 3)])
    assert len(town(road_divider=[path]).polylines(np.eye(4), SPEC)) == 1


def test_closedness_comes_from_geometry_not_from_class():
    loop = shapely.LineString([(0, 0), (4, 0), (4, 3), (0, 0)])
    half = shapely.box(-3, -99, 3, 99)
    polylines = town(road_divider=[loop], road_segment=[half]).polylines(np.eye(4), SPEC)
    assert [(SPEC.classes[p.label], p.closed) for p in polylines] == [
        ("divider", True),
        ("boundary", False),
        ("boundary", False),
    ]


def test_labels_follow_the_classes_of_the_specification():
    spec = MapSpec("lidar", ROI.parse("60x30"), ("boundary", "divider"))
    line, strip = shapely.LineString([(0, 0), (0, 5)]), shapely.box(-5, -99, 7, 99)
    labels = [p.label for p in town(road_divider=[line], road_segment=[strip]).polylines(np.eye(4), spec)]
    assert labels == [0, 0, 1]


def test_unknown_class_is_named():
    with pytest.raises(MapLLaVAError, match="centerline"):
        town().polylines(np.eye(4), MapSpec(classes=("centerline",)))


def test_yaw_ignores_tilt():
    assert yaw_of(pose_at(yaw=0.4)) == pytest.approx(0.4)
    assert yaw_of(pose_at(yaw=-3.0)) == pytest.approx(-3.0)


def test_map_is_read_and_bad_records_are_skipped(tiny):
    layers = MapLayers.load(tiny, "boston-seaport")
    assert layers.version == "1.3"
    sizes = {name: len(layer.geometries) for name, layer in layers.layers.items()}
    assert sizes == {"road_segment": 1, "lane": 1, "ped_crossing": 1, "road_divider": 1, "lane_divider": 0}


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (lambda p: p.unlink(), "is missing: unpack the 'Map expansion'"),
        (lambda p: p.write_text("{"), "is damaged"),
        (lambda p: p.write_text(json.dumps({**json.loads(p.read_text()), "version": "1.2"})), "outdated"),
        (lambda p: p.write_text(json.dumps({**json.loads(p.read_text()), "node": []})), "is damaged"),
    ],
)
def test_damaged_map_names_the_file_and_the_remedy(tiny, damage, words):
    damage(tiny / "maps" / "expansion" / "boston-seaport.json")
    with pytest.raises(MapLLaVAError, match=f"boston-seaport.json.*{words}"):
        MapLayers.load(tiny, "boston-seaport")


@pytest.mark.parametrize(
    ("document", "version"),
    [
        ('{"node": [], "version" : "1.3"}', "1.3"),
        ('{"node": [{"version": "7"}], "version": "1.3"}', "1.3"),
        ('{"version": 1.3}', "1.3"),
        ("{}", "1.0"),
    ],
)
def test_version_of_a_map(tiny, document, version):
    (tiny / "maps" / "expansion" / "boston-seaport.json").write_text(document)
    assert map_version(tiny, "boston-seaport") == version


def test_unknown_place_is_refused(tiny):
    (tiny / "maps" / "expansion" / "atlantis.json").write_text("{}")
    with pytest.raises(MapLLaVAError, match="atlantis"):
        MapLayers.load(tiny, "atlantis")


def _apart(polylines, theirs, where):
    """Hausdorff distance of every line, ours and theirs, to the nearest other of its class, metres."""
    distances = []
    for name, lines in theirs.items():
        ours = [shapely.LineString(points) for points in of(name, polylines)]
        assert len(ours) == len(lines), f"{where}, {name}"
        distances += [min(line.hausdorff_distance(other) for other in lines) for line in ours]
        distances += [min(line.hausdorff_distance(other) for other in ours) for line in lines]
    return distances


def test_same_lines_as_maptr(golden_dataset, monkeypatch):
    """Same number of lines per sample and class; 99 % within 1 cm, the rest within 0.1 m (Hausdorff).

    The heading's last bits decide how outlines that touch are joined, and NumPy's arctan2 gives others with
    AVX-512 than without. The golden lines are of one kind of processor, so each heading may be 2 ulp off.
    """
    golden = np.load(GOLDEN)
    maps = {name: MapLayers.load(golden_dataset, name) for name in set(golden["location"].tolist())}
    names = golden["class_names"].tolist()
    peers = np.split(golden["maptr_pts"], golden["maptr_off"][1:-1])
    keys = [(int(s), names[k]) for s, k in zip(golden["maptr_sample"], golden["maptr_label"], strict=True)]
    distances: list[float] = []
    for index, location in enumerate(golden["location"].tolist()):
        pose = golden["lidar2global"][index]
        theirs = {
            name: [shapely.LineString(p) for p, k in zip(peers, keys, strict=True) if k == (index, name)]
            for name in SPEC.classes
        }
        heading, found = yaw_of(pose), []
        for ulps in (0, -1, 1, -2, 2):
            near = heading + ulps * math.ulp(heading)
            monkeypatch.setattr(map_layers, "yaw_of", lambda _, near=near: near)
            found.append(_apart(maps[location].polylines(pose, SPEC), theirs, f"sample {index}"))
            if max(found[-1], default=0.0) <= 0.01:
                break
        distances += min(found, key=lambda each: max(each, default=0.0))
    assert len(distances) == 2 * len(peers)
    assert np.mean(np.array(distances) <= 0.01) >= 0.99
    assert max(distances) <= 0.1


def expansion(tiny, change):
    path = tiny / "maps" / "expansion" / "boston-seaport.json"
    document = json.loads(path.read_text())
    change(document)
    path.write_text(json.dumps(document))


def without(document, layer, count=None):
    """Records as some published maps have them: null for their polygon, and a polygon called null."""
    for record in document[layer][:count]:
        record["polygon_token"] = None
    document["polygon"].append({**document["polygon"][0], "token": None})


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda d: without(d, "ped_crossing"), r"none of the 1 records of its layer ped_crossing has a geom"),
        (
            lambda d: d["ped_crossing"][0].update(polygon_token=None),
            r"boston-seaport\.json.*a record names null as its shape",
        ),
        (lambda d: d["lane_divider"][0].update(line_token=None), "names null as its shape"),
        (lambda d: d["node"][0].update(x=float("nan")), r"boston-seaport\.json.*node n0 lies at x = nan"),
        (lambda d: d["node"][0].update(y=None), r"boston-seaport\.json is damaged"),
        (lambda d: d["ped_crossing"][0].update(polygon_token="nowhere"), r"boston-seaport\.json.*nowhere"),
        (lambda d: d.pop("road_segment"), r"boston-seaport\.json.*road_segment"),
    ],
)
def test_records_without_a_geometry_are_named(tiny, change, words):
    expansion(tiny, change)
    with pytest.raises(MapLLaVAError, match=words):
        MapLayers.load(tiny, "boston-seaport")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda d: d.update(ped_crossing=[]), "layer ped_crossing: 0 of 0 records have a geometry"),
        (lambda d: without(d, "lane", 1), "layer lane: 1 of 2 records have a geometry"),
    ],
)
def test_a_layer_that_lacks_something_is_warned_about(tiny, change, words, caplog):
    expansion(tiny, change)
    MapLayers.load(tiny, "boston-seaport")
    assert words in caplog.text
