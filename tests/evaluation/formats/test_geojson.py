import json
import math

import numpy as np
import pytest

from mapllava.errors import MapLLaVAError
from mapllava.evaluation import Display, MapResults, SampleRecord
from mapllava.evaluation.formats.geojson import ALL_LINES, geometry, write_geojson
from mapllava.evaluation.formats.save_geojson import save_geojson
from mapllava.geometry.georeference import crs_of_location, local_crs
from mapllava.structures import MapSpec

YAW = 0.7
RING = np.array([[2.0, 8.0], [2.0, 12.0], [6.0, 12.0], [6.0, 8.0], [2.1, 8.2]])  # clockwise, nearly closed
MAP = {
    "points": [
        np.array([[-3.5, -20.0], [-3.5, 0.0], [-2.0, 25.0]]),
        RING,
        np.array([[1.0, 1.0], [9.0, 1.0]]),
    ],
    "labels": np.array([2, 1, 0]),
    "scores": np.array([0.9, 0.5, 0.2]),
}


def pose(x, y, z, yaw, pitch=0.0):
    turn = np.array([[math.cos(yaw), -math.sin(yaw), 0], [math.sin(yaw), math.cos(yaw), 0], [0, 0, 1]])
    tilt = np.array(
        [[math.cos(pitch), 0, math.sin(pitch)], [0, 1, 0], [-math.sin(pitch), 0, math.cos(pitch)]]
    )
    out = np.eye(4)
    out[:3, :3], out[:3, 3] = turn @ tilt, (x, y, z)
    return out


LIDAR2EGO = pose(0.94, 0.0, 1.84, -math.pi / 2)
CAR = pose(411.3, 1180.89, 0.0, YAW, pitch=0.02)
CRS = crs_of_location("singapore-onenorth")
RECORD = SampleRecord("scene-0061", 1_532_402_927_647_951, LIDAR2EGO, CAR, CRS, "singapore-onenorth")


def write(folder, *samples, display=ALL_LINES, spec=None):
    with write_geojson(folder, "map", spec or MapSpec(), display) as stream:
        for token, record in samples:
            stream.add(token, MAP, record)
    return stream


def by_hand(points):
    """Singapore's longitude and latitude of points in the LiDAR's frame: turned, shifted, then along a great
    circle of export_poses.py's sphere."""
    lat, lon = math.radians(1.2882100868743724), math.radians(103.78475189208984)
    mount = 0.94 * math.cos(0.02) + 1.84 * math.sin(0.02)  # of the LiDAR on the tilted car, from above
    found = []
    for right, forward in points:
        ahead = forward + mount
        east = 411.3 + ahead * math.cos(YAW) + right * math.sin(YAW)
        north = 1180.89 + ahead * math.sin(YAW) - right * math.cos(YAW)
        bearing, angle = math.atan2(east, north), math.hypot(east, north) / 6378137.0
        to = math.asin(math.sin(lat) * math.cos(angle) + math.cos(lat) * math.sin(angle) * math.cos(bearing))
        across = math.sin(bearing) * math.sin(angle) * math.cos(lat)
        turn = math.atan2(across, math.cos(angle) - math.sin(lat) * math.sin(to))
        found.append((math.degrees(lon + turn), math.degrees(to)))
    return np.array(found)


def test_geopandas_finds_the_lines_where_the_car_was(tmp_path):
    geopandas = pytest.importorskip("geopandas")
    stream = write(tmp_path, ("a", RECORD))
    assert (stream.path.name, stream.frame, stream.num_lines) == ("map.geojson", "wgs84", 3)
    table = geopandas.read_file(stream.path)
    assert table.crs == "EPSG:4326"
    assert table["class"].tolist() == ["boundary", "ped_crossing", "divider"]
    assert table["index"].tolist() == [0, 1, 2]
    assert set(table["scene"]) == {"scene-0061"}
    assert set(table["timestamp"]) == {1_532_402_927_647_951}
    line = np.array(table.geometry[0].coords)
    off = (line - by_hand(MAP["points"][0])) * 111_319.5  # metres, at the equator
    assert np.abs(off).max() < 0.01
    assert table.total_bounds == pytest.approx([103.7885, 1.2988, 103.7885, 1.2988], abs=5e-4)


@pytest.mark.parametrize("crs", [local_crs(48.137, 11.575), "EPSG:32632"])
def test_lengths_on_the_ground_are_the_maps(tmp_path, crs):
    geopandas = pytest.importorskip("geopandas")
    x, y = (0.0, 0.0) if "aeqd" in crs else (691_600.0, 5_334_700.0)
    record = SampleRecord(lidar2ego=LIDAR2EGO, ego2global=pose(x, y, 500.0, YAW), crs=crs)
    table = geopandas.read_file(write(tmp_path, ("a", record)).path).to_crs(crs)
    expected = np.linalg.norm(np.diff(MAP["points"][0], axis=0), axis=1).sum()
    assert table.geometry[0].length == pytest.approx(expected, abs=0.005)
    assert table.geometry[1].area == pytest.approx(15.6, abs=0.02)  # RING's, closed


def test_a_crossing_is_an_area_to_the_left_of_its_ring():
    for ring in (RING, RING[::-1]):
        shape = geometry(ring, area=True, digits=4)
        (outer,) = shape["coordinates"]
        x, y = np.array(outer).T
        assert shape["type"] == "Polygon"
        assert outer[0] == outer[-1]
        assert (x[:-1] * y[1:] - x[1:] * y[:-1]).sum() > 0
    assert geometry(RING, area=False, digits=4)["type"] == "LineString"
    assert geometry(RING[:3], area=True, digits=4)["type"] == "LineString"  # cut off: no area is made up


def test_without_a_place_on_earth_the_file_says_so(tmp_path):
    geopandas = pytest.importorskip("geopandas")
    from pyproj.exceptions import ProjError

    stream = write(tmp_path, ("a", SampleRecord(lidar2ego=LIDAR2EGO, ego2global=pose(100.0, 50.0, 0.0, 0.0))))
    assert (stream.path.name, stream.frame) == ("map.local.geojson", "world")
    table = geopandas.read_file(stream.path)
    assert "nowhere on earth" in str(table.crs)
    np.testing.assert_allclose(np.array(table.geometry[0].coords)[1], [100.94, 53.5])
    with pytest.raises(ProjError):
        table.to_crs(4326)


def test_without_a_pose_lines_count_from_the_car(tmp_path):
    stream = write(tmp_path, ("a", SampleRecord(lidar2ego=LIDAR2EGO)), ("b", RECORD))
    assert (stream.path.name, stream.frame, stream.num_lines) == ("map.local.geojson", "ego", 6)
    features = json.loads(stream.path.read_text())["features"]
    for feature in features[::3]:
        assert feature["geometry"]["coordinates"][1] == pytest.approx([0.94, 3.5], abs=1e-3)


def test_a_map_in_the_cars_own_frame_needs_no_lidar(tmp_path):
    spec = MapSpec(frame="ego", roi=[-30, -15, 30, 15])
    record = SampleRecord(ego2global=CAR, crs=CRS)
    stream = write(tmp_path, ("a", record), spec=spec)
    assert stream.frame == "wgs84"
    with pytest.raises(MapLLaVAError, match="sample a: its map lies in the lidar frame"):
        write(tmp_path, ("a", record))


def test_lines_below_the_threshold_are_left_out(tmp_path):
    display = Display({"divider": 0.1, "ped_crossing": 0.6, "boundary": 0.9}, "best F1")
    body = json.loads(write(tmp_path, ("a", RECORD), display=display).path.read_text())
    assert [f["properties"]["index"] for f in body["features"]] == [0, 2]
    assert body["mapllava"]["scores_from"] == display.thresholds
    body = json.loads(write(tmp_path, ("a", RECORD), display=None).path.read_text())
    assert [f["properties"]["index"] for f in body["features"]] == [0, 1]


def test_near_duplicates_are_left_out_as_in_the_pictures_unless_all_are_asked_for(tmp_path):
    twice = {
        "points": [MAP["points"][0], MAP["points"][0] + 0.1, MAP["points"][2]],
        "labels": np.array([2, 2, 0]),
        "scores": np.array([0.8, 0.9, 0.9]),
    }
    for display, kept in ((None, [1, 2]), (ALL_LINES, [0, 1, 2])):
        with write_geojson(tmp_path, "map", MapSpec(), display) as stream:
            stream.add("a", twice, RECORD)
        features = json.loads(stream.path.read_text())["features"]
        assert [feature["properties"]["index"] for feature in features] == kept


def test_a_later_sample_with_less_known_is_refused_and_nothing_is_left(tmp_path):
    lost = SampleRecord(lidar2ego=LIDAR2EGO, ego2global=CAR)
    with pytest.raises(MapLLaVAError, match=r"sample b: nobody says where its world lies \(crs\)"):
        write(tmp_path, ("a", RECORD), ("b", lost))
    assert not list(tmp_path.iterdir())


def test_metres_of_web_mercator_are_refused_with_the_sample(tmp_path):
    record = SampleRecord(lidar2ego=LIDAR2EGO, ego2global=pose(1.29e6, 6.13e6, 0.0, 0.0), crs="EPSG:3857")
    with pytest.raises(MapLLaVAError, match=r"sample a: crs 'EPSG:3857'.* m of ground"):
        write(tmp_path, ("a", record))


def test_no_sample_no_file(tmp_path):
    assert write(tmp_path).path is None
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("record", "name", "message"),
    [
        (RECORD, "x.local.geojson", "name the file 'x.geojson'"),
        (SampleRecord(lidar2ego=LIDAR2EGO), "x.geojson", "name the file 'x.local.geojson'"),
        (RECORD, "x.json", "name the file 'x.json.geojson'"),
        (None, "x.geojson", r"where 1 of its samples were, the first of them a: give the GT cache"),
    ],
)
def test_the_name_must_say_what_the_coordinates_are(tmp_path, record, name, message):
    samples = {} if record is None else {"a": record}
    with pytest.raises(MapLLaVAError, match=message):
        save_geojson(tmp_path / name, MapResults(MapSpec(), "val", {"a": MAP}, samples=samples))
    assert not list(tmp_path.iterdir())


def test_samples_on_earth_and_elsewhere_do_not_share_a_file_unless_in_metres(tmp_path):
    samples = {"a": RECORD, "b": SampleRecord(lidar2ego=LIDAR2EGO, ego2global=CAR)}
    results = MapResults(MapSpec(), "val", {"a": MAP, "b": MAP}, samples=samples)
    with pytest.raises(MapLLaVAError, match=r"sample b: where on earth .*--local"):
        save_geojson(tmp_path / "x.geojson", results)
    assert save_geojson(tmp_path / "x.local.geojson", results, local=True).frame == "world"
