"""A city of one's own: the synthetic one written as such and read back, and what is refused."""

from __future__ import annotations

import json
import re
import shutil

import numpy as np
import pytest
import shapely

from mapllava import gt_cache
from mapllava.__main__ import main
from mapllava.errors import MapLLaVAError
from mapllava.finding import FAIL
from mapllava.geometry.georeference import local_crs, to_wgs84
from mapllava.sources.folder.cache_source import read_place
from mapllava.sources.folder.city_check import check_city
from mapllava.sources.folder.city_export import export_city
from mapllava.sources.folder.city_file import read_city_file
from mapllava.structures import ROI, MapSpec

ORIGIN = {"latitude": 48.78, "longitude": 9.18}


@pytest.fixture(scope="module")
def exported(city, tmp_path_factory):
    """Two training drives and one for validation. Read it only."""
    names = [entry["name"] for entry in json.loads((city / "v1.0-mini" / "scene.json").read_text())]
    return export_city(
        city, "v1.0-mini", tmp_path_factory.mktemp("own") / "own", scenes=names[:1] + names[-2:]
    )


@pytest.fixture
def own(exported, tmp_path):
    """A copy to damage."""
    return shutil.copytree(exported, tmp_path / "own")


def change(path, edit):
    body = json.loads(path.read_text())
    edit(body)
    path.write_text(json.dumps(body))


def faults(root):
    return [f for f in check_city(root).findings if f.status == FAIL]


def same_lines(mine, theirs, within):
    assert [(p["label"], p["closed"]) for p in mine] == [(p["label"], p["closed"]) for p in theirs]
    for a, b in zip(mine, theirs, strict=True):
        lines = shapely.LineString(a["points"]), shapely.LineString(b["points"])
        assert shapely.hausdorff_distance(*lines) < within


def caches(root, city_cache, out):
    """Samples of a city of one's own, each with that of the cache it was exported from."""
    theirs = {e["sample_token"]: e for s in city_cache for e in gt_cache.load(city_cache[s])["data_list"]}
    for split in ("train", "val"):
        path = gt_cache.build(root, "exported", split, out, source="folder")
        for entry in gt_cache.load(path, split=split)["data_list"]:
            yield entry, theirs[entry["sample_token"]]


def test_the_city_read_back_gives_its_own_cache(exported, city_cache, tmp_path):
    pairs = list(caches(exported, city_cache, tmp_path))
    assert len(pairs) == 12
    for mine, city in pairs:
        assert (mine["scene_name"], mine["timestamp"]) == (city["scene_name"], city["timestamp"])
        assert list(mine["cams"]) == list(city["cams"])
        for key in ("lidar2ego", "ego2global"):
            np.testing.assert_allclose(mine[key], city[key], rtol=0, atol=1e-8)
        for name, camera in mine["cams"].items():
            assert (exported / camera["img_path"]).is_file()
            np.testing.assert_array_equal(camera["cam2img"], city["cams"][name]["cam2img"])
            np.testing.assert_allclose(
                camera["lidar2cam"], city["cams"][name]["lidar2cam"], rtol=0, atol=1e-7
            )
        same_lines(mine["polylines"], city["polylines"], 1e-6)


def test_a_map_in_degrees_gives_the_same_lines(own, city_cache, tmp_path):
    """Nine decimals of a degree are a tenth of a millimetre."""
    crs = local_crs(**ORIGIN)

    def degrees(ring):
        return to_wgs84(ring, crs).round(9).tolist()

    def of_feature(feature):
        geometry = feature["geometry"]
        several = geometry["type"] == "Polygon"
        written = geometry["coordinates"]
        geometry["coordinates"] = [degrees(ring) for ring in written] if several else degrees(written)

    for path in own.glob("*.geojson"):
        change(path, lambda body: [of_feature(feature) for feature in body["features"]])
    for rig in own.glob("drives/*/rig.json"):
        change(rig, lambda body: body.update(origin=ORIGIN))
    change(own / "city.json", lambda body: body.update(coordinates="lonlat"))
    for mine, city in caches(own, city_cache, tmp_path / "out"):
        assert mine["crs"] == crs
        same_lines(mine["polylines"], city["polylines"], 1e-3)


def test_the_check_of_a_sound_city(exported, tmp_path, capsys):
    assert main(["data", "check", str(exported), "--out", str(tmp_path), "--num", "2"]) == 0
    said = capsys.readouterr().out
    assert "train: 1 drives, 4 samples" in said
    assert "val: 2 drives, 8 samples" in said
    assert "fail" not in said
    assert len(list(tmp_path.glob("scene-*.png"))) == 2
    assert list(tmp_path.glob("map_*.png"))


def test_one_front_camera_alone(city, city_cache, tmp_path):
    export_city(city, "v1.0-mini", tmp_path / "one", scenes=["scene-0061"], cameras=["CAM_FRONT"])
    path = gt_cache.build(tmp_path / "one", "exported", "train", source="folder")
    entries = gt_cache.load(path)["data_list"]
    assert len(entries) == 4
    assert all(list(entry["cams"]) == ["CAM_FRONT"] for entry in entries)


def test_the_tool_builds_every_split_and_the_refusal_names_a_command_that_works(own, capsys):
    assert main(["cache", "create", "--source", "folder", "--dataroot", str(own), "--quiet"]) == 0
    path = own / "gt_cache" / "gt_cache_exported_train.pkl"
    assert path.is_file()
    assert path.with_name("gt_cache_exported_val.pkl").is_file()
    assert main(["cache", "verify", str(path)]) == 0
    change(own / "city.json", lambda body: body.update(description="changed"))
    with pytest.raises(MapLLaVAError, match=r"city\.json.* have changed") as caught:
        gt_cache.load(path)
    words = str(caught.value).splitlines()[-1].split()
    assert words[:5] == ["mapllava", "cache", "create", "--dataroot", str(own)]
    assert main([*words[1:], "--quiet"]) == 0
    assert gt_cache.load(path)


def test_all_faults_are_told_at_once(own, capsys):
    first, second, third = sorted(own.glob("drives/*"))
    frames = json.loads((first / "frames.json").read_text())
    gone = first / frames[0]["images"]["CAM_FRONT"]
    gone.unlink()
    del frames[2]["vehicle_to_world"], frames[3]["timestamp"]
    (first / "frames.json").write_text(json.dumps(frames))
    change(second / "rig.json", lambda body: body["cameras"][0].update(width=999))
    (third / "frames.json").unlink()
    maps = sorted(own.glob("*.geojson"))
    change(maps[0], lambda body: body["features"][0]["properties"].update({"class": "tree"}))
    assert main(["data", "check", str(own)]) == 1
    said = capsys.readouterr().out
    for words in (
        str(gone),
        "entry 2 lacks vehicle_to_world (where the car was",
        "entry 3 lacks timestamp (when it was",
        "320 x 180 pixels, the rig says",
        str(third / "frames.json"),
        "nobody knows what class 'tree' (1)",
    ):
        assert words in said, words


def test_a_map_elsewhere_is_refused_by_check_and_cache(own):
    def moved(feature):
        geometry = feature["geometry"]
        rings = geometry["coordinates"] if geometry["type"] == "Polygon" else [geometry["coordinates"]]
        for point in (point for ring in rings for point in ring):
            point[0] += 1e5

    for path in own.glob("*.geojson"):
        change(path, lambda body: [moved(feature) for feature in body["features"]])
    assert {finding.name for finding in faults(own)} == {"nowhere near"}
    with pytest.raises(MapLLaVAError, match=r"nowhere near its map (.|\n)*mapllava data check"):
        gt_cache.build(own, "exported", "train", source="folder")


@pytest.mark.parametrize(
    ("edit", "words"),
    [
        (lambda body: body.update(coordinates="lonlat"), "does not say where on earth"),
        (lambda body: body.update(nmae="x"), "did you mean name"),
        (lambda body: body["drives"][0].update(map="mars"), r"drives\[0\].map is 'mars': name one of maps"),
        (lambda body: body["drives"].append(body["drives"][0]), "two drives end in the folder"),
        (lambda body: body["drives"][0].update(folder="../x"), "not a path below"),
        (lambda body: body["maps"].update({"boston-seaport": "x.geojson"}), "names a place of nuScenes"),
        (lambda body: body["classes"].update(centerline=["lane_centre"]), "have no direction"),
        (lambda body: body.update(ignored=["ped_crossing"]), "stands in classes and in ignored"),
    ],
)
def test_a_city_file_that_contradicts_itself_is_refused(own, edit, words):
    change(own / "city.json", edit)
    (fault, *_) = faults(own)
    assert re.search(words, fault.reason)


@pytest.mark.parametrize(
    ("geometry", "words"),
    [
        ({"type": "Point", "coordinates": [0, 0]}, r"geometry.type is 'Point'"),
        ({"type": "LineString", "coordinates": [[0, 0], [0, 0]]}, "without length"),
        ({"type": "LineString", "coordinates": [[0, 0]]}, r"no list of two or more"),
        ({"type": "Polygon", "coordinates": [[[0, 0], [1, 1], [1, 0], [0, 1], [0, 0]]]}, "no valid polygon"),
        ({"type": "Polygon", "coordinates": [[[0, 0], [1, 1], [1, 0]]]}, "no ring of four"),
        (None, "geometry.type is None"),
    ],
)
def test_a_feature_that_is_no_map_element_is_named(own, geometry, words):
    path = sorted(own.glob("*.geojson"))[0]
    change(path, lambda body: body["features"][5].update(geometry=geometry))
    (fault,) = faults(own)
    assert "features[5]" in fault.reason
    assert re.search(words, fault.reason)


def test_lines_and_areas_of_one_class_stand_together(own):
    """A kerb as a line beside the drivable area: both are boundaries; an open line is no crossing."""
    path = sorted(own.glob("*.geojson"))[0]
    change(own / "city.json", lambda body: body["classes"]["boundary"].append("kerb"))
    kerb = {"type": "LineString", "coordinates": [[0, 0], [9, 0], [9, 9]]}
    change(
        path,
        lambda body: body["features"].append(
            {"type": "Feature", "properties": {"class": "kerb"}, "geometry": kerb}
        ),
    )
    assert not faults(own)
    city = read_city_file(own)
    (place,) = (name for name, file in city.maps.items() if file == path)
    read, _ = read_place(city, place)
    spec = MapSpec("ego", ROI(-1, -1, 10, 5), ("boundary",))
    (line,) = (line for line in read.polylines(np.eye(4), spec) if len(line.points) == 3)
    np.testing.assert_allclose(line.points, [[0, 0], [9, 0], [9, 5]])
    change(path, lambda body: body["features"][-1]["properties"].update({"class": "ped_crossing"}))
    (fault,) = faults(own)
    assert "is an open line, and a ped_crossing is an area" in fault.reason


def test_val_in_the_streets_of_train_is_warned_of(own):
    change(own / "city.json", lambda body: body["drives"][-1].update(split="train"))
    scenes = [drive.folder for drive in read_city_file(own).drives]
    shutil.copytree(scenes[-1], own / "drives" / "again")
    frames = own / "drives" / "again" / "frames.json"
    change(frames, lambda body: [entry.pop("token") for entry in body])

    def add(body):
        body["drives"].append({**body["drives"][-1], "folder": "drives/again", "split": "val"})

    change(own / "city.json", add)
    findings = check_city(own).findings
    assert [f.reason.split(": ")[1] for f in findings if f.name == "same place"] == [
        "4 of 4 val samples lie within 60 m of a train sample"
    ]


def test_seconds_in_place_of_microseconds_are_noticed(own):
    (first, *_) = own.glob("drives/*")
    change(
        first / "frames.json",
        lambda body: [entry.update(timestamp=entry["timestamp"] // 1000) for entry in body],
    )
    (fault,) = faults(own)
    assert fault.name == "speed"
    assert "timestamps are microseconds" in fault.remedy


def test_degrees_that_are_called_metres_are_noticed(own):
    def shrunk(feature):
        geometry = feature["geometry"]
        rings = geometry["coordinates"] if geometry["type"] == "Polygon" else [geometry["coordinates"]]
        for point in (point for ring in rings for point in ring):
            point[:] = [value / 1e5 for value in point]

    for path in own.glob("*.geojson"):
        change(path, lambda body: [shrunk(feature) for feature in body["features"]])
    assert {(finding.name, finding.remedy) for finding in faults(own)} == {
        ("degrees", "these look like degrees: write coordinates: lonlat")
    }


def test_a_world_in_web_mercator_is_refused(own):
    for rig in own.glob("drives/*/rig.json"):
        change(rig, lambda body: body.update(crs="EPSG:3857"))
    for frames in own.glob("drives/*/frames.json"):
        change(frames, lambda body: [_north(entry) for entry in body])
    assert any("a metre of it is" in fault.reason for fault in faults(own) if fault.name == "crs")


def _north(entry):
    """Stuttgart, where a metre of the plane is two thirds of one."""
    entry["vehicle_to_world"][0][3] += 1_022_000
    entry["vehicle_to_world"][1][3] += 6_235_000


def test_a_missing_cache_names_the_command_that_makes_it(own):
    with pytest.raises(MapLLaVAError, match="does not exist") as caught:
        gt_cache.load(own / "gt_cache" / "gt_cache_exported_val.pkl")
    words = str(caught.value).splitlines()[-1].split()
    assert words[words.index("--source") + 1] == "folder"
    assert main([*words[1:], "--quiet"]) == 0
