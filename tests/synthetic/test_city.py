from __future__ import annotations

import hashlib
import json
import multiprocessing
import os
from pathlib import Path

import cv2
import numpy as np
import pytest

from mapllava.errors import MapLLaVAError
from mapllava.sources.nuscenes.splits import official_scene_names
from mapllava.synthetic import CityOptions, create_city

TINY = {
    "num_train_scenes": 1,
    "num_val_scenes": 1,
    "samples_per_scene": 2,
    "image_size": (160, 90),
    "progress": False,
}


@pytest.fixture(scope="module")
def nusc(city):
    from nuscenes import NuScenes

    return NuScenes("v1.0-mini", str(city), verbose=False)


@pytest.fixture(scope="module")
def tiny(tmp_path_factory) -> Path:
    root = tmp_path_factory.mktemp("cities") / "tiny"
    create_city(root, **TINY, workers=1)
    return root


def digests(root: Path) -> dict[str, str]:
    return {
        str(path.relative_to(root)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(root.rglob("*"))
        if path.is_file()
    }


def test_devkit_reads_whole_chains(nusc):
    assert [scene["name"] for scene in nusc.scene][:1] == ["scene-0061"]
    assert len(nusc.scene) == 5
    assert len(nusc.sample) == 20
    assert len(nusc.sample_data) == 140
    for scene in nusc.scene:
        token, stamps = scene["first_sample_token"], []
        before = ""
        while token:
            sample = nusc.get("sample", token)
            assert sample["prev"] == before
            assert sample["scene_token"] == scene["token"]
            stamps.append(sample["timestamp"])
            before, token = token, sample["next"]
        assert before == scene["last_sample_token"]
        assert len(stamps) == scene["nbr_samples"]
        assert np.allclose(np.diff(stamps) / 1e6, 0.5, atol=0.01)


def test_tokens_are_unique(city):
    for table in (city / "v1.0-mini").glob("*.json"):
        tokens = [record["token"] for record in json.loads(table.read_text())]
        assert len(tokens) == len(set(tokens)), table.name


def test_every_image_is_there_with_the_stated_size(nusc, city):
    for record in nusc.sample_data:
        path = city / record["filename"]
        assert path.is_file()
        if record["fileformat"] == "jpg":
            assert cv2.imread(str(path)).shape == (record["height"], record["width"], 3) == (180, 320, 3)


def test_devkit_reads_maps_and_lanes(nusc, city):
    from nuscenes.map_expansion.map_api import NuScenesMap

    seen = 0
    for record in nusc.map:
        location = {nusc.get("log", token)["location"] for token in record["log_tokens"]}
        assert len(location) <= 1
    for location in (
        "singapore-onenorth",
        "singapore-hollandvillage",
        "singapore-queenstown",
        "boston-seaport",
    ):
        streets = NuScenesMap(str(city), location)
        for lane in streets.lane:
            poses = streets.discretize_lanes([lane["token"]], 2.0)[lane["token"]]
            area = streets.extract_polygon(lane["polygon_token"])
            inside = [area.buffer(0.3).contains_properly(point) for point in _points(poses)]
            assert np.mean(inside) > 0.95
            for neighbour in streets.get_outgoing_lane_ids(lane["token"]):
                assert lane["token"] in streets.get_incoming_lane_ids(neighbour)
            seen += 1
    assert seen > 20


def _points(poses):
    from shapely.geometry import Point

    return [Point(*pose[:2]) for pose in poses]


def test_cameras_fire_apart_from_the_lidar_and_the_car_moves_between(nusc):
    gaps, ways = [], []
    for sample in nusc.sample:
        records = {channel: nusc.get("sample_data", token) for channel, token in sample["data"].items()}
        lidar = nusc.get("ego_pose", records.pop("LIDAR_TOP")["ego_pose_token"])
        for record in records.values():
            pose = nusc.get("ego_pose", record["ego_pose_token"])
            gaps.append((lidar["timestamp"] - pose["timestamp"]) / 1000)
            ways.append(np.hypot(*np.subtract(lidar["translation"], pose["translation"])[:2]))
    assert max(gaps) < 60
    assert np.median(gaps) > 5
    assert np.median(ways) > 0.08
    assert max(ways) < 0.6


def test_lidar_frame_is_right_forward_up(nusc):
    from pyquaternion import Quaternion

    for record in nusc.calibrated_sensor:
        if nusc.get("sensor", record["sensor_token"])["channel"] == "LIDAR_TOP":
            turn = Quaternion(record["rotation"]).rotation_matrix
            assert np.allclose(
                turn @ [0, 1, 0], [1, 0, 0], atol=0.02
            )  # y of the LiDAR is the car's x: forward
            assert np.allclose(turn @ [1, 0, 0], [0, -1, 0], atol=0.02)
            assert record["translation"][2] == pytest.approx(1.84)


@pytest.mark.slow
def test_train_and_val_lie_apart(tmp_path):
    create_city(tmp_path / "c", samples_per_scene=40, images=False, progress=False, workers=1)
    from nuscenes import NuScenes

    data = NuScenes("v1.0-mini", str(tmp_path / "c"), verbose=False)
    places: dict[tuple[str, str], list] = {}
    train = set(official_scene_names("mini_train"))
    for sample in data.sample:
        scene = data.get("scene", sample["scene_token"])
        record = data.get("sample_data", sample["data"]["LIDAR_TOP"])
        place = data.get("ego_pose", record["ego_pose_token"])["translation"][:2]
        location = data.get("log", scene["log_token"])["location"]
        places.setdefault((location, "train" if scene["name"] in train else "val"), []).append(place)
    compared = 0
    for (location, split), val in places.items():
        if split == "val" and (location, "train") in places:
            gaps = np.linalg.norm(np.array(val)[:, None] - np.array(places[location, "train"]), axis=-1)
            assert gaps.min() > 60
            compared += 1
    assert compared


def test_bytes_do_not_depend_on_workers_but_on_the_seed(tiny, tmp_path):
    create_city(tmp_path / "two", **TINY, workers=2)
    assert digests(tmp_path / "two") == digests(tiny)
    create_city(tmp_path / "other", **{**TINY, "num_val_scenes": 0}, workers=1, seed=1)
    mine, other = digests(tiny), digests(tmp_path / "other")
    images = [name for name in mine if name.endswith(".jpg") and name in other]
    assert all(mine[name] != other[name] for name in images)


def test_same_options_are_a_no_op(tiny):
    before = {path: path.stat().st_mtime_ns for path in tiny.rglob("*")}
    summary = create_city(tiny, **TINY, workers=1)
    assert summary.reused
    assert (summary.train_samples, summary.val_samples, summary.images) == (2, 2, 24)
    assert before == {path: path.stat().st_mtime_ns for path in tiny.rglob("*")}


def test_other_options_are_refused_and_named(tiny, tmp_path):
    with pytest.raises(MapLLaVAError, match=r"seed 0 instead of 5.*--overwrite"):
        create_city(tiny, **TINY, workers=1, seed=5)
    options = {**TINY, "images": False}
    create_city(tmp_path / "c", **options, workers=1)
    create_city(tmp_path / "c", **options, workers=1, seed=5, overwrite=True)
    assert json.loads((tmp_path / "c" / "synthetic_city.json").read_text())["options"]["seed"] == 5


def test_a_foreign_folder_is_never_touched(tmp_path):
    (tmp_path / "real").mkdir()
    (tmp_path / "real" / "precious.txt").write_text("x")
    with pytest.raises(MapLLaVAError, match="no synthetic city"):
        create_city(tmp_path / "real", **TINY, workers=1, overwrite=True)
    assert (tmp_path / "real" / "precious.txt").read_text() == "x"


def test_a_failed_run_leaves_nothing(tmp_path, monkeypatch):
    from mapllava.synthetic import city as module

    def fail(*_):
        raise OSError("disk full")

    monkeypatch.setattr(module, "render_stretch", fail)
    with pytest.raises(MapLLaVAError, match=r"/c' cannot be written: disk full"):
        create_city(tmp_path / "c", **TINY, workers=1)
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("overwrite", [False, True])
def test_two_makers_at_once(tmp_path, overwrite):
    """One makes the city, the other has it; another city in that folder is refused, or replaces it."""
    context = multiprocessing.get_context("fork")
    options = {**TINY, "images": False, "workers": 1, "overwrite": overwrite}
    makers = [
        context.Process(target=create_city, args=(tmp_path / "c",), kwargs={**options, "seed": seed})
        for seed in (0, 0, 1)
    ]
    for maker in makers:
        maker.start()
    for maker in makers:
        maker.join()
    refused = [maker.exitcode for maker in makers].count(1)
    assert refused == 0 if overwrite else refused in (1, 2)
    assert os.listdir(tmp_path) == ["c"]
    found = json.loads((tmp_path / "c" / "synthetic_city.json").read_text())["options"]
    assert create_city(tmp_path / "c", **{**options, "seed": found["seed"]}).reused


def test_what_a_killed_run_left_is_swept(tmp_path):
    left = tmp_path / ".c.0123abcd.tmp"
    left.mkdir()
    create_city(tmp_path / "c", **{**TINY, "images": False}, workers=1)
    assert not left.exists()


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"num_train_scenes": 9}, "num_train_scenes is 9, but v1.0-mini has 8"),
        ({"version": "v1.0-test"}, "version is 'v1.0-test'"),
        ({"samples_per_scene": 0}, "samples_per_scene is 0"),
        ({"image_size": (10, 10)}, "image_size is 10x10"),
        ({"workers": 0}, "workers is 0"),
        ({"num_train_scenes": 0, "num_val_scenes": 0}, "both 0"),
    ],
)
def test_impossible_options_are_named(tmp_path, options, text):
    with pytest.raises(MapLLaVAError, match=text):
        create_city(tmp_path / "c", **{**TINY, **options})
    assert os.listdir(tmp_path) == []


def test_default_counts_are_those_of_nuscenes_mini():
    keys = CityOptions().scene_keys()
    assert sum(key.num_samples for key in keys if key.split == "train") == 323
    assert sum(key.num_samples for key in keys if key.split == "val") == 81


def test_fewer_scenes_keep_their_content_and_official_names():
    few = CityOptions(version="v1.0-trainval", num_train_scenes=20, num_val_scenes=4).scene_keys()
    assert {key.name for key in few if key.split == "train"} <= set(official_scene_names("train"))
    assert {key.name for key in few if key.split == "val"} <= set(official_scene_names("val"))
    assert len({key.name for key in few}) == 24
    assert len({key.location for key in few}) == 4
