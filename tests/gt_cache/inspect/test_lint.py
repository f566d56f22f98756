import numpy as np
import pytest

from mapllava import gt_cache
from mapllava.finding import FAIL, WARN
from mapllava.gt_cache.inspect.lint import lint, road_maps


def straight(points, label=0):
    return {"label": label, "points": np.array(points, dtype=np.float64), "closed": False}


@pytest.fixture
def damaged(city_cache):
    """Gives the validation cache with a change to its first sample."""

    def write(change):
        content = gt_cache.load(city_cache["val"])
        change(content["data_list"][0])
        return content, content["data_list"][0]["sample_token"]

    return write


def test_a_built_cache_has_no_errors(city, city_cache):
    for path in city_cache.values():
        assert [f for f in lint(gt_cache.load(path), city) if f.status == FAIL] == []


def add(line):
    return lambda entry: entry["polylines"].append(line)


def turn(entry):
    entry["lidar2ego"] = entry["lidar2ego"] * np.array([[1.0], [1.1], [1], [1]])


def mirror(entry):
    entry["cams"]["CAM_BACK"]["lidar2cam"] = np.diag([-1.0, 1, 1, 1]) @ entry["cams"]["CAM_BACK"]["lidar2cam"]


def no_focal(entry):
    entry["cams"]["CAM_FRONT"]["cam2img"] = np.diag([0.0, 100, 1])


def far(entry):
    entry["ego2global"] = entry["ego2global"] + np.eye(4, k=3) * 1e5


@pytest.mark.parametrize(
    ("change", "status", "check", "detail"),
    [
        (add(straight([[1, 1], [1, 1]])), FAIL, "zero length", "(divider)"),
        (add(straight([[1, 1], [1, 2], [1, 2], [1, 3]])), WARN, "repeated vertex", "vertex 2"),
        (add(straight([[0, 0], [15.6, 0]], label=2)), FAIL, "outside the ROI", "[15.6, 0.0]"),
        (add(straight([[0, 0], [4, 4], [4, 0], [0, 4]])), WARN, "crosses itself", "(divider)"),
        (lambda entry: entry["polylines"].clear(), WARN, "empty sample", "no line"),
        (turn, FAIL, "not a rigid transform", "lidar2ego"),
        (mirror, FAIL, "not a rigid transform", "CAM_BACK"),
        (no_focal, FAIL, "no camera matrix", "CAM_FRONT"),
        (lambda entry: entry.update(timestamp=entry["timestamp"] + 10**9), FAIL, "out of order", "s back"),
        (far, WARN, "off the road", " m"),
    ],
)
def test_each_check_finds_what_it_is_for(city, damaged, change, status, check, detail):
    cache, token = damaged(change)
    found = [f for f in lint(cache, city) if f.name == check]
    new = [f for f in found if f.place == token or check == "out of order"]
    assert new
    assert any(f.status == status and detail in f.reason for f in new)


@pytest.mark.parametrize(("reach", "count"), [(15.001, 0), (15.1, 1)])
@pytest.mark.parametrize("label", [0, 1, 2])
def test_no_class_reaches_beyond_the_roi(damaged, label, reach, count):
    cache, _ = damaged(add(straight([[0, 0], [reach, 0]], label)))
    assert len([f for f in lint(cache) if f.name == "outside the ROI"]) == count


def test_the_ground_truth_that_equals_the_peers_has_no_errors(golden_dataset, tmp_path):
    for split in ("train", "val"):
        path = gt_cache.build(golden_dataset, "v1.0-mini", split, tmp_path)
        found = lint(gt_cache.load(path), golden_dataset)
        assert not [f for f in found if f.status == FAIL]
        assert {f.name for f in found} == {"repeated vertex"}  # as unions leave them


def test_without_the_data_set_poses_are_not_judged(damaged):
    cache, _ = damaged(far)
    assert not [f for f in lint(cache) if f.name == "off the road"]


def test_the_data_root_that_a_cache_records_has_the_maps(city, city_cache, tmp_path):
    meta = gt_cache.load(city_cache["val"])["metainfo"]
    assert road_maps(meta) == city
    assert road_maps({**meta, "dataroot": str(tmp_path / "away")}) is None
    assert road_maps({**meta, "dataroot": ""}) is None
