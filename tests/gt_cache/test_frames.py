"""Caches in both frames, of any region: the same map, and the same pixels."""

from __future__ import annotations

import numpy as np
import pytest
import shapely

from mapllava import gt_cache
from mapllava.datasets import NuScenesMapDataset
from mapllava.datasets.transforms import ResamplePolylines
from mapllava.errors import MapLLaVAError
from mapllava.geometry.frame_change import change_lines, planar_change
from mapllava.structures import ROI, MapSpec, Polyline

CLASSES = ("divider", "ped_crossing", "boundary", "centerline", "stop_line")
ROIS = ("60x30", "100x50", "33.3x17.7", "-7,-3,21,44.5")


def spec_of(frame: str, roi: str) -> MapSpec:
    return MapSpec(frame, ROI.parse(roi, frame), CLASSES)


@pytest.fixture(scope="module")
def caches(city, tmp_path_factory):
    """Cache path of the city's val split by frame; the regions cover the same ground around the LiDAR."""
    folder = tmp_path_factory.mktemp("frames")
    specs = {frame: spec_of(frame, "60x30") for frame in ("lidar", "ego")}
    return {
        frame: (gt_cache.build(city, "v1.0-mini", "val", folder / frame, spec=spec), spec)
        for frame, spec in specs.items()
    }


def entries(caches, frame):
    path, spec = caches[frame]
    return gt_cache.load(path, expected=spec)["data_list"]


def test_ego_frame_by_hand(tiny):
    """Third key frame: rear axle at world (100, 210), ahead is world +y, left is world -x."""
    spec = MapSpec("ego", ROI.parse("60x30", "ego"))
    entry = gt_cache.load(gt_cache.build(tiny, "v1.0-mini", "val", spec=spec), spec)["data_list"][2]
    lines = [Polyline.from_dict(line) for line in entry["polylines"]]
    (divider,) = (line.points for line in lines if line.label == 0)
    np.testing.assert_allclose(divider, [[-30, -1], [30, -1]], atol=1e-6)
    (crossing,) = (line.points for line in lines if line.label == 1)
    np.testing.assert_allclose([crossing.min(0), crossing.max(0)], [[0, -6], [3, 6]], atol=1e-6)
    assert sorted(set(np.concatenate([x.points for x in lines if x.label == 2])[:, 1].round(6))) == [-6, 6]


def test_both_frames_hold_the_same_map(caches):
    """Every line of one cache lies on lines of the other, where both regions reach."""
    compared = 0
    for lidar, ego in zip(entries(caches, "lidar"), entries(caches, "ego"), strict=True):
        assert lidar["sample_token"] == ego["sample_token"]
        change = planar_change("ego", "lidar", lidar["lidar2ego"], lidar["ego2global"])
        common = shapely.box(-13, -28, 13, 28)
        for label in range(len(CLASSES)):
            ours, theirs = (
                shapely.MultiLineString([line for line in lines if len(line) > 1])
                for lines in (
                    [x["points"] for x in lidar["polylines"] if x["label"] == label],
                    [change_lines(x["points"], change) for x in ego["polylines"] if x["label"] == label],
                )
            )
            if not ours.is_empty and not theirs.is_empty:
                tolerance = 0.41 if CLASSES[label] == "centerline" else 1e-3
                assert ours.intersection(common).difference(theirs.buffer(tolerance)).length < 1e-6
                assert theirs.intersection(common).difference(ours.buffer(tolerance)).length < 1e-6
                compared += 1
    assert compared > 15


def project(info, points, height):
    """Pixels and depths of map points at a height above the ground, in all cameras."""
    spec = info["map_spec"]
    if spec.frame == "lidar":
        normal = info["lidar2ego"][2]
        z = (height - points @ normal[:2] - normal[3]) / normal[2]
    else:
        z = np.full(len(points), height)
    full = np.c_[points, z, np.ones(len(points))] @ info["lidar2cam"].transpose(0, 2, 1)
    pixel = full[..., :3] @ info["cam2img"].transpose(0, 2, 1)
    return pixel[..., :2] / pixel[..., 2:], pixel[..., 2]


def test_both_frames_project_to_the_same_pixels(city, caches):
    """A ground-truth point of the lidar cache, brought into the ego frame, lands on the same pixel."""
    datasets = {
        frame: NuScenesMapDataset(ann_file=str(path), data_root=str(city), map_spec=spec)
        for frame, (path, spec) in caches.items()
    }
    seen = 0
    for index in range(len(datasets["lidar"])):
        lidar, ego = (datasets[frame].get_data_info(index) for frame in ("lidar", "ego"))
        for source, target, frame in ((lidar, ego, "lidar"), (ego, lidar, "ego")):
            other = "ego" if frame == "lidar" else "lidar"
            change = planar_change(frame, other, lidar["lidar2ego"], lidar["ego2global"])
            points = np.concatenate([line.points for line in source["polylines"]])
            for height in (0.0, 1.0):
                pixels, depth = project(source, points, height)
                again, _ = project(target, change_lines(points, change), height)
                visible = (depth > 3) & (pixels >= 0).all(-1) & (pixels < (320, 180)).all(-1)
                assert np.abs(pixels - again)[visible].max() < 1.0
                seen += visible.sum()
    assert seen > 1000


@pytest.mark.parametrize("frame", ["lidar", "ego"])
@pytest.mark.parametrize(("roi", "num_points"), list(zip(ROIS, (20, 7, 50, 3), strict=True)))
def test_any_region_and_number_of_points_reach_the_targets(city, tmp_path, frame, roi, num_points):
    spec = spec_of(frame, roi)
    path = gt_cache.build(city, "v1.0-mini", "val", tmp_path, spec=spec)
    dataset = NuScenesMapDataset(ann_file=str(path), data_root=str(city), map_spec=spec)
    labels = set()
    for index in range(len(dataset)):
        info = dataset.get_data_info(index)
        for line in info["polylines"]:
            margin = 0.2 if CLASSES[line.label] == "ped_crossing" else 0.0
            assert spec.roi.contains(line.points, margin + 1e-6).all()
            assert line.directed == (CLASSES[line.label] == "centerline")
        results = ResamplePolylines(num_points)(info)
        assert results["gt_orders"].shape[1:] == (2 * (num_points - 1), num_points, 2)
        assert spec.roi.contains(results["gt_points"], 1e-4).all()
        fixed = results["gt_directed"] & ~results["gt_closed"]
        assert (results["gt_orders"][fixed] == results["gt_points"][fixed, None]).all()
        labels |= set(results["gt_labels"].tolist())
    assert labels >= {0, 2, 3}


def test_caches_of_two_frames_are_not_mixed_up(caches):
    with pytest.raises(MapLLaVAError, match="its frame is ego"):
        gt_cache.load(caches["ego"][0], expected=caches["lidar"][1])


def test_direction_is_stored_only_where_it_matters(caches):
    for entry in entries(caches, "ego"):
        for line in entry["polylines"]:
            assert line.get("directed", False) == (CLASSES[line["label"]] == "centerline")
            assert Polyline.from_dict(line).to_dict().keys() == line.keys()
