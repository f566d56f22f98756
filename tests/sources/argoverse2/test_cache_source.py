"""A log as entries of a cache, and which logs a split has."""

from __future__ import annotations

import json
import logging
from pathlib import Path

import numpy as np
import pytest
from small_log import PERIOD, SPEED, START, Z, add_sensors, strip, write

from mapllava import gt_cache
from mapllava.__main__ import main
from mapllava.datasets import Argoverse2MapDataset
from mapllava.errors import MapLLaVAError
from mapllava.geometry.frame_change import change_lines, map_pose, planar_change
from mapllava.gt_cache.inspect.audit import places_of_cache
from mapllava.sources.argoverse2.cache_source import Argoverse2Source
from mapllava.sources.argoverse2.sensor_log import CAMERAS, EGO_HEIGHT
from mapllava.sources.argoverse2.splits import LEFT_OUT, NAMED_SPLITS, expand_split, resolve_split
from mapllava.structures import ROI, MapSpec
from mapllava.structures.map_elements import Polyline

pytest.importorskip("av2", reason="needs the extra av2: pip install 'mapllava[av2]'")
LOG = "7fab2350-7eaf-3b7e-a39d-6937a4c1bede"  # an official validation log's name; the content is made up
VERSION = "av2-maptracker"


@pytest.fixture
def root(tmp_path) -> Path:
    lanes = [strip(2, -2, x=(-90, 90), neighbours=(2, None)), strip(6, 2, x=(-90, 90), neighbours=(None, 1))]
    add_sensors(
        write(tmp_path / "val", lanes=lanes, areas=[[(-90, -2), (90, -2), (90, 6), (-90, 6)]], log=LOG)
    )
    return tmp_path


def test_an_entry_is_every_fifth_sweep_with_seven_cameras(root):
    source = Argoverse2Source(root, VERSION)
    assert source.location(LOG) == "PIT"
    entries = list(source.entries(LOG))
    assert [entry["sample_token"] for entry in entries] == [
        f"{LOG}_{START + PERIOD * 5 * i}" for i in range(3)
    ]
    last = entries[-1]
    assert list(last["cams"]) == list(CAMERAS)
    assert last["timestamp"] == (START + 10 * PERIOD) // 1000
    for name, camera in last["cams"].items():
        assert (root / camera["img_path"]).is_file()
        assert name in camera["img_path"]
    assert last["ego2global"][0, 3] == pytest.approx(SPEED)


def test_a_point_lands_where_the_camera_saw_it_a_moment_after_the_sweep(root):
    """Ten metres ahead of the car at the sweep; the car has gone 5 cm when the image is taken."""
    entry = next(Argoverse2Source(root, VERSION).entries(LOG))
    camera = entry["cams"]["ring_front_center"]
    assert entry["ego2global"][2, 3] == Z  # a cache's ego frame stands on the ground
    ahead_left_up = np.linalg.inv(entry["lidar2ego"]) @ [10, 2, 0.4 + EGO_HEIGHT, 1]
    np.testing.assert_allclose(ahead_left_up[:3], [-2, 10 - 1.3, 0.4 - 1.6], atol=1e-9)  # right, forward, up
    x, y, depth = (camera["lidar2cam"] @ ahead_left_up)[:3]
    assert depth == pytest.approx(10 - 1.5 - SPEED * 0.01)
    assert (x, y) == (pytest.approx(-2), pytest.approx(1.0))
    assert camera["cam2img"].tolist() == [[1700, 0, 775], [0, 1690, 1024], [0, 0, 1]]


def test_a_sweep_without_an_image_near_it_is_left_out_and_said(root, caplog):
    (
        root / "val" / LOG / "sensors/cameras/ring_side_left" / f"{START + 5 * PERIOD + 10_000_000}.jpg"
    ).unlink()
    with caplog.at_level(logging.WARNING):
        entries = list(Argoverse2Source(root, VERSION).entries(LOG))
    assert len(entries) == 2
    assert "1 of 3 samples lack an image near them" in caplog.text


def test_a_missing_table_sensor_or_pose_is_named(root):
    log = root / "val" / LOG
    (log / "sensors/lidar" / f"{START - 1}.feather").touch()  # now the first of all
    with pytest.raises(MapLLaVAError, match=f"no pose at {START - 1} ns"):
        list(Argoverse2Source(root, VERSION).entries(LOG))
    (log / "calibration/intrinsics.feather").unlink()
    with pytest.raises(MapLLaVAError, match=r"lacks calibration/intrinsics.feather: fetch the log again"):
        list(Argoverse2Source(root, VERSION).entries(LOG))


def test_both_frames_hold_the_same_lines(root):
    """The frame lidar is nuScenes' at this car's LiDAR, so that a model of nuScenes can be scored here."""
    source = Argoverse2Source(root, VERSION)
    entry, drawn = next(source.entries(LOG)), source.read_map(root, source.map_name(LOG), ["divider"])
    found = {}
    for frame, roi in (("ego", ROI(-30, -15, 30, 15)), ("lidar", ROI(-15, -31.3, 15, 28.7))):
        pose = map_pose(frame, entry["lidar2ego"], entry["ego2global"])
        found[frame] = drawn.polylines(pose, MapSpec(frame, roi))
    change = planar_change("lidar", "ego", entry["lidar2ego"], entry["ego2global"])
    lines = [
        np.column_stack([change_lines(p.points, change), p.heights + 1.6 + EGO_HEIGHT])
        for p in found["lidar"]
    ]
    wanted = [np.column_stack([p.points, p.heights]) for p in found["ego"]]
    assert len(wanted) == 3
    for line in wanted:  # in any order
        assert min(np.abs(line - other).max() for other in lines if len(line) == len(other)) < 1e-9


def test_the_command_builds_a_cache_that_carries_definition_and_heights(root, capsys):
    arguments = ["--dataroot", str(root), "--source", "argoverse2", "--split", "val", "--frame", "ego"]
    assert main(["cache", "create", *arguments, "--quiet"]) == 0
    path = root / "gt_cache" / "gt_cache_av2-maptracker_val.pkl"
    cache = gt_cache.load(path, MapSpec("ego", ROI(-30, -15, 30, 15)), "val")
    assert [cache["metainfo"][key] for key in ("source", "version", "num_samples")] == [
        "argoverse2",
        VERSION,
        3,
    ]
    lines = [Polyline.from_dict(line) for line in cache["data_list"][2]["polylines"]]
    assert sorted(line.label for line in lines) == [0, 2, 2]
    assert all((line.heights == 0).all() for line in lines)
    data = Argoverse2MapDataset(str(path), MapSpec("ego", ROI(-30, -15, 30, 15)), str(root))
    assert data.metainfo["version"] == VERSION  # what stands beside a score
    places = places_of_cache(path)
    assert (places.scenes, places.listed) == ([LOG] * 3, 150)  # so that an audit says how much is there
    assert data.get_data_info(0)["cam_names"] == list(CAMERAS)
    (table,) = (root / "val" / LOG / "map").glob("*.json")
    table.write_text(table.read_text() + " ")
    with pytest.raises(
        MapLLaVAError, match=r"json in .* have changed since.*\n.*--source argoverse2 --version av2-"
    ):
        gt_cache.load(path)


def test_train_is_official_less_six_logs(root):
    sizes = {split: len(resolve_split(split).scenes) for split in ("train", "val", "test")}
    assert sizes == {"train": 694, "val": 150, "test": 150}
    assert Argoverse2Source(root, VERSION).chosen("val", Path("cache.pkl")).scenes == (LOG,)
    with pytest.raises(MapLLaVAError, match="none of the 694 logs of split train"):
        Argoverse2Source(root, VERSION).chosen("train", Path("cache.pkl"))


def test_a_list_of_log_ids_is_a_split(root, tmp_path):
    path = tmp_path / "av2_val_split.txt"
    path.write_text(f"{LOG}\n")
    source = Argoverse2Source(root, VERSION)
    chosen = source.chosen(str(path), Path("cache.pkl"))
    assert (chosen.name, chosen.scenes) == ("av2_val_split", (LOG,))
    assert source.source_of_label(VERSION, "av2_val_split", [tmp_path]) == str(path)
    path.write_text(f"{LOG}\n{LOG}\n")
    with pytest.raises(MapLLaVAError, match="names logs twice"):
        resolve_split(str(path))
    (tmp_path / "val.txt").write_text(LOG)
    for name in ("val.txt", "near_extrapolation-val.txt", "near_extrapolation.txt"):
        (tmp_path / name).write_text(LOG)
        with pytest.raises(MapLLaVAError, match="like a known split; rename the file"):
            resolve_split(str(tmp_path / name))


def test_the_disjoint_split_is_known_by_name(root, tmp_path):
    from av2.datasets.sensor import splits

    whole = {"near_extrapolation:train": 693, "near_extrapolation:val": 151, "near_extrapolation:test": 150}
    lists = {split: set(resolve_split(split).scenes) for split in expand_split("near_extrapolation")}
    assert {split: len(logs) for split, logs in lists.items()} == whole
    together = set.union(*lists.values())
    assert sum(whole.values()) == len(together)  # no log in two
    official = {log for log in (*splits.TRAIN, *splits.VAL, *splits.TEST) if not log.startswith(LEFT_OUT)}
    assert together == official  # the two that the authors leave out are among the six that all leave out
    source = Argoverse2Source(root, VERSION)
    chosen = source.chosen("near_extrapolation:val", Path("cache.pkl"))  # ours is of the official val, too
    assert (chosen.name, chosen.scenes) == ("near_extrapolation-val", (LOG,))
    assert resolve_split(chosen.name).scenes == resolve_split("near_extrapolation:val").scenes
    assert source.source_of_label(VERSION, chosen.name, [tmp_path]) == chosen.name
    assert source.split_source("near_extrapolation:val") == "near_extrapolation:val"
    assert "CVPR" in json.loads(NAMED_SPLITS["near_extrapolation"].read_text())["source"]
    with pytest.raises(MapLLaVAError, match=r"no list 'vall': name one behind a colon: test, "):
        resolve_split("near_extrapolation:vall")
    with pytest.raises(MapLLaVAError, match="near_extrapolation:KEY, a file"):
        resolve_split("far_extrapolation:boston")  # is of nuScenes


def test_a_users_json_may_bear_the_name_of_a_split_of_nuscenes(root, tmp_path):
    path = tmp_path / "geographic_roddick.json"
    path.write_text(json.dumps({"val": [LOG]}))
    source = Argoverse2Source(root, VERSION)
    chosen = source.chosen(f"{path}:val", Path("cache.pkl"))
    assert (chosen.name, chosen.scenes) == ("geographic_roddick-val", (LOG,))
    assert source.source_of_label(VERSION, chosen.name, [tmp_path]) == f"{path}:val"
    assert source.split_source(f"{path}:val") == f"{path}:val"


def test_the_version_names_the_definition(root):
    assert Argoverse2Source.version_of(root, None) == VERSION
    assert Argoverse2Source(root, "av2-maptrv2").map_name(LOG) == f"maptrv2:val/{LOG}"
    with pytest.raises(MapLLaVAError, match="use one of av2-maptrv2, av2-streammapnet, av2-maptracker"):
        Argoverse2Source(root, "v1.0-mini")
    with pytest.raises(MapLLaVAError, match="holds no log"):
        Argoverse2Source(root / "val", VERSION)
