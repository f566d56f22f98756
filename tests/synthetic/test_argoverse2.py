"""The city as Argoverse 2: the same streets, so that two sources have to find the same lines."""

import re

import numpy as np
import pytest
import shapely

from mapllava import gt_cache
from mapllava.__main__ import run_command
from mapllava.errors import MapLLaVAError
from mapllava.geometry.frame_change import map_pose
from mapllava.synthetic import create_city
from mapllava.synthetic.argoverse2 import hole_free, log_ids
from mapllava.synthetic.scene import SceneKey

pytest.importorskip("av2", reason="the extra av2")
SCENES = {"num_train_scenes": 1, "num_val_scenes": 3, "samples_per_scene": 4, "images": False}
OPTIONS = {**SCENES, "version": "v1.0-trainval", "workers": 1, "progress": False, "seed": 3}


@pytest.fixture(scope="module")
def roots(tmp_path_factory):
    """The same city in both formats, on both sides of the road, without images."""
    root = tmp_path_factory.mktemp("two")
    for form in ("nuscenes", "argoverse2"):
        create_city(root / form, format=form, **OPTIONS)
    return root


def cached(root, *options):
    """Entries of the val caches of both cities, moment by moment."""
    ways = {"nuscenes": ["--version", "v1.0-trainval"], "argoverse2": ["--version", "av2-maptracker"]}
    entries = []
    for form, version in ways.items():
        command = ["--source", form, "--dataroot", str(root / form), "--split", "val", "--quiet", *version]
        assert run_command("cache create", [*command, *options]) == 0
        (path,) = (root / form / "gt_cache").glob(f"*{version[1]}_val.pkl")
        entries.append(sorted(gt_cache.load(path)["data_list"], key=lambda entry: entry["timestamp"]))
    return list(zip(*entries, strict=True))


def unmatched(entry, others, label, frame):
    """Lines of an entry, off the ROI's edge, that have none of the others within 0.35 m (Hausdorff)."""
    lines, near = (
        [shapely.LineString(line["points"]) for line in each["polylines"] if line["label"] == label]
        for each in (entry, others)
    )
    x, y = (14.5, 29.5) if frame == "lidar" else (29.5, 14.5)
    inside = shapely.box(-x, -y, x, y)
    return [
        line
        for line in lines
        if inside.contains(line) and min((line.hausdorff_distance(o) for o in near), default=9.0) > 0.35
    ]


@pytest.mark.parametrize("frame", ["lidar", "ego"])
def test_both_sources_find_the_same_lines_at_the_same_moments(roots, frame):
    options = ["--frame", frame]
    pairs = cached(roots, *options)
    assert len(pairs) == 12
    counts = np.zeros((2, 3), dtype=int)
    for ours, theirs in pairs:
        assert ours["timestamp"] == theirs["timestamp"]
        for label in range(3):
            assert not unmatched(ours, theirs, label, frame)
            assert not unmatched(theirs, ours, label, frame)
        for row, entry in enumerate((ours, theirs)):
            counts[row] += np.bincount([line["label"] for line in entry["polylines"]], minlength=3)
    assert (counts > 10).all()
    np.testing.assert_allclose(
        counts[1], counts[0], rtol=0.1
    )  # slivers at the ROI's edge are one's, not the other's


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


@pytest.mark.parametrize("version", ["av2-streammapnet", "av2-maptrv2"])
def test_the_other_definitions_read_the_city_too(roots, version):
    command = ["--source", "argoverse2", "--dataroot", str(roots / "argoverse2"), "--version", version]
    assert run_command("cache create", [*command, "--split", "val", "--quiet"]) == 0


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
    many = [SceneKey(f"scene-{i:04d}", "val", 1, (64, 48), 0) for i in range(151)]
    with pytest.raises(MapLLaVAError, match=r"num_val_scenes is 151, but Argoverse 2 has 150 logs in val"):
        log_ids(many)
