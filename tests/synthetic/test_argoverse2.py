"""The city as Argoverse 2: the same streets, so that two sources have to find the same lines."""

import json
import re

import numpy as np
import pytest
import shapely

from mapllava import gt_cache
from mapllava.__main__ import run_command
from mapllava.errors import MapLLaVAError
from mapllava.geometry.frame_change import map_pose
from mapllava.gt_cache.schema import fingerprint
from mapllava.synthetic import create_city
from mapllava.synthetic.argoverse2 import hole_free, log_ids, map_document
from mapllava.synthetic.city import CityOptions
from mapllava.synthetic.scene import SceneKey, build_scene

pytest.importorskip("av2", reason="the extra av2")
OPTIONS = {
    "version": "v1.0-trainval",
    "num_train_scenes": 1,
    "num_val_scenes": 5,
    "samples_per_scene": 4,
    "images": False,
    "workers": 1,
    "progress": False,
    "seed": 3,
}
KEYS = CityOptions("v1.0-trainval", 0, 5, 4, seed=3).scene_keys()


@pytest.fixture(scope="module")
def roots(tmp_path_factory):
    """The same city in both formats, on both sides of the road, without images."""
    root = tmp_path_factory.mktemp("two")
    for form in ("nuscenes", "argoverse2"):
        create_city(root / form, format=form, **OPTIONS)
    return root


def cached(root, version="av2-maptracker", *options):
    """Entries of the val caches of both cities, moment by moment."""
    entries = []
    for form, which in {"nuscenes": "v1.0-trainval", "argoverse2": version}.items():
        command = ["--source", form, "--dataroot", str(root / form), "--split", "val", "--quiet"]
        assert run_command("cache create", [*command, "--version", which, *options]) == 0
        path = root / form / "gt_cache" / f"gt_cache_{which}_val.pkl"
        entries.append(sorted(gt_cache.load(path)["data_list"], key=lambda entry: entry["timestamp"]))
    return list(zip(*entries, strict=True))


def lengths(ours, theirs, label, frame):
    """Metres of a class off the ROI's edge, and how many of them have no line of the others within 0.35 m."""
    x, y = (14.5, 29.5) if frame == "lidar" else (29.5, 14.5)
    mine, other = (
        shapely.union_all(
            [shapely.LineString(one["points"]) for one in each["polylines"] if one["label"] == label]
        ).intersection(shapely.box(-x, -y, x, y))
        for each in (ours, theirs)
    )
    return np.array([mine.length, mine.difference(other.buffer(0.35)).length])


@pytest.mark.parametrize("frame", ["lidar", "ego"])
@pytest.mark.parametrize("version", ["av2-maptracker", "av2-streammapnet"])
def test_both_sources_find_the_same_lines_at_the_same_moments(roots, frame, version):
    pairs = cached(roots, version, "--frame", frame)
    assert len(pairs) == 4 * 5
    found = np.zeros((2, 3, 2))
    for ours, theirs in pairs:
        assert ours["timestamp"] == theirs["timestamp"]
        for label in range(3):
            found[0, label] += lengths(ours, theirs, label, frame)
            found[1, label] += lengths(theirs, ours, label, frame)
    assert (found[..., 0] > 400).all()  # metres: there is something to compare
    # A crossing that the ROI cuts has an edge of its own where it is closed
    assert (found[:, [0, 2], 1] < 0.005 * found[:, [0, 2], 0]).all()
    assert (found[:, 1, 1] < 0.1 * found[:, 1, 0]).all()


@pytest.mark.parametrize("key", KEYS, ids=lambda key: key.name)
def test_neighbours_share_an_edge_its_paint_and_each_other_and_links_go_both_ways(key):
    district = build_scene(key).district
    lanes = map_document(district)["lane_segments"]
    painted = 0.0
    for number, lane in lanes.items():
        for side in ("left", "right"):
            edge, mark = points(lane[f"{side}_lane_boundary"]), lane[f"{side}_lane_mark_type"]
            other = lanes.get(str(lane[f"{side}_neighbor_id"]))
            assert (other is None) == (mark == "NONE")
            if other is None:
                continue
            (back,) = [s for s in ("left", "right") if other[f"{s}_neighbor_id"] == int(number)]
            shared = points(other[f"{back}_lane_boundary"])
            opposite = back == side  # both have it on the same hand: they are driven opposite ways
            np.testing.assert_allclose(shared[::-1] if opposite else shared, edge, atol=1e-3)
            assert other[f"{back}_lane_mark_type"] == mark
            assert not (opposite and side == "right")  # which traffic that keeps right never has
            painted += shapely.LineString(edge).length / 2
        for way, reverse, end in (("successors", "predecessors", -1), ("predecessors", "successors", 0)):
            for other in lane[way]:
                assert int(number) in lanes[str(other)][reverse]
                for side in ("left", "right"):
                    mine, next_ = (
                        points(each[f"{side}_lane_boundary"]) for each in (lane, lanes[str(other)])
                    )
                    assert np.hypot(*(mine[end] - next_[-1 - end])) < 0.15
    whole = sum(shapely.LineString(each.points).length for each in district.dividers)
    assert painted == pytest.approx(whole, rel=0.01)


def points(line):
    return np.array([[point["x"], point["y"]] for point in line])


def test_the_ground_lies_where_nuscenes_has_it(roots):
    """The origins of both ego frames are on the road, and so a model of one finds it in the other."""
    for ours, theirs in cached(roots):
        assert theirs["ego2global"][2, 3] == pytest.approx(0.0, abs=1e-9)
        assert theirs["lidar2ego"][2, 3] == pytest.approx(1.84)
        np.testing.assert_allclose(theirs["ego2global"][:3, :3], ours["ego2global"][:3, :3], atol=1e-9)
        # the map's frame to the world: where each format's own poses put the same point
        steps = [
            map_pose("lidar", e["lidar2ego"], e["ego2global"]) @ [0, 10, -1.84, 1] - e["ego2global"][:, 3]
            for e in (ours, theirs)
        ]
        np.testing.assert_allclose(steps[0][:3], steps[1][:3], atol=0.1)


def test_a_point_of_the_map_is_seen_by_the_upright_front_camera_below_the_horizon(roots):
    theirs = cached(roots)[0][1]
    front = theirs["cams"]["ring_front_center"]
    x, y, depth = (front["cam2img"] @ (front["lidar2cam"] @ [0, 20, -1.84, 1])[:3]).tolist()
    assert 0 < x / depth < 1550
    assert 1024 < y / depth < 2048


def test_a_cache_whose_ego_frame_is_the_rear_axles_is_refused(roots):
    cached(roots)
    path = roots / "argoverse2" / "gt_cache" / "gt_cache_av2-maptracker_val.pkl"
    cache = gt_cache.load(path)
    cache["metainfo"]["map_version"] = "maptracker"
    cache["metainfo"]["fingerprint"] = fingerprint(cache["metainfo"])
    older = path.with_name("older.pkl")
    gt_cache.save(older, cache)
    with pytest.raises(MapLLaVAError, match=r"origin in the rear axle.*\n.*mapllava cache create"):
        gt_cache.load(older)


def test_images_have_the_cameras_sizes_and_another_format_is_another_city(tmp_path):
    import cv2

    options = {**OPTIONS, "num_train_scenes": 0, "num_val_scenes": 1, "samples_per_scene": 1, "images": True}
    create_city(tmp_path / "city", format="argoverse2", image_size=(64, 48), **options)
    sizes = {path.parent.name: cv2.imread(str(path)).shape[:2] for path in (tmp_path / "city").rglob("*.jpg")}
    assert len(sizes) == 7
    assert sizes.pop("ring_front_center") == (64, 48)  # upright
    assert set(sizes.values()) == {(48, 64)}
    with pytest.raises(MapLLaVAError, match="holds a city with format 'argoverse2' instead of 'nuscenes'"):
        create_city(tmp_path / "city", image_size=(64, 48), **options)
    with pytest.raises(MapLLaVAError, match="format is 'kitti'; possible are nuscenes, argoverse2"):
        create_city(tmp_path / "other", format="kitti", **options)


def test_a_surface_with_holes_is_said_in_pieces_without():
    outer = shapely.box(0, 0, 30, 10)
    holes = [shapely.box(x, 4, x + 6, 5) for x in (3, 12, 21)]
    surface = shapely.difference(outer, shapely.union_all(holes))
    pieces = hole_free(surface)
    assert not any(piece.interiors for piece in pieces)
    assert shapely.union_all(pieces).symmetric_difference(surface).area < 1e-9
    assert sum(piece.area for piece in pieces) == pytest.approx(surface.area)


def test_logs_have_official_ids_of_their_split_each_once():
    keys = [SceneKey(f"scene-{i:04d}", "val" if i % 2 else "train", 1, (64, 48), 0) for i in range(20)]
    ids = log_ids(keys)
    assert len(set(ids.values())) == 20
    assert all(re.fullmatch(r"[0-9a-f-]{36}", each) for each in ids.values())


def test_all_scenes_are_as_many_as_there_are_logs():
    keys = CityOptions("v1.0-trainval", format="argoverse2").scene_keys()
    assert [sum(key.split == split for key in keys) for split in ("train", "val")] == [694, 150]
    with pytest.raises(MapLLaVAError, match=r"num_train_scenes is 695, but .* 694 train"):
        CityOptions("v1.0-trainval", 695, format="argoverse2").scene_keys()


@pytest.fixture(scope="module")
def seen(tmp_path_factory):
    """Both formats with images: six cameras; seven, the front one of them upright."""
    root = tmp_path_factory.mktemp("seen")
    counts = {"num_train_scenes": 1, "num_val_scenes": 1, "images": True}
    versions = {"nuscenes": "v1.0-trainval", "argoverse2": "av2-maptracker"}
    for form, size in {"nuscenes": (160, 90), "argoverse2": (205, 155)}.items():
        create_city(root / form, format=form, **{**OPTIONS, **counts, "image_size": size})
        command = ["--source", form, "--dataroot", str(root / form), "--version", versions[form], "--quiet"]
        for split in ("train", "val"):
            assert run_command("cache create", [*command, "--split", split]) == 0
    return root


def loaders(root, dataset, version, *names):
    """Options that point data loaders to a city, with inputs as wide as those of full models."""
    options = [f"data_root={root}"]
    for name in names:
        split = "train" if name == "train" else "val"
        options += [
            f"{name}_dataloader.dataset.type={dataset}",
            f"{name}_dataloader.dataset.ann_file=gt_cache/gt_cache_{version}_{split}.pkl",
            f"{name}_dataloader.num_workers=0",
            f"{name}_dataloader.persistent_workers=False",
            f"{name}_dataloader.dataset.pipeline.0.size=(112,64)",
            f"{name}_dataloader.dataset.pipeline.1.top=0",
        ]
    return options


def test_a_model_of_one_data_set_trains_and_is_scored_on_both(seen, tmp_path):
    ring = seen / "argoverse2", "Argoverse2MapDataset", "av2-maptracker"
    small = ["train_dataloader.batch_size=2", "train_cfg.max_epochs=1"]  # four samples: two steps
    options = ["--work-dir", str(tmp_path / "run"), "--cfg-options", *small]
    assert run_command("train", ["stage2/synthetic", *options, *loaders(*ring, "train", "val", "test")]) == 0
    for where in (ring, (seen / "nuscenes", "NuScenesMapDataset", "v1.0-trainval")):
        folder, version = tmp_path / where[1], where[2]
        arguments = ["stage2/synthetic", str(tmp_path / "run" / "final_model.pth"), "--work-dir", str(folder)]
        arguments += ["--out", str(folder / "run.json"), "--cfg-options", *loaders(*where, "test")]
        assert run_command("test", arguments) == 0
        log = next(folder.glob("*/*.log")).read_text()
        assert f"split val of {version}, protocol maptr" in log
        assert json.loads((folder / "run.results.json").read_text())["version"] == version
