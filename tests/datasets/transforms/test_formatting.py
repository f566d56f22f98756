from __future__ import annotations

import pickle

import numpy as np
import pytest
import torch

from mapllava.datasets.transforms import PackMapInputs, RasterizeBEV, ResamplePolylines
from mapllava.errors import MapLLaVAError
from mapllava.structures.frames import MapSpec
from mapllava.structures.map_elements import Polyline


def results(rig, **extra):
    rng = np.random.default_rng(0)
    img = [rng.integers(0, 255, (20, 36, 3), dtype=np.uint8)[2:, 3:] for _ in range(6)]
    return rig.results(img=img, timestamp=123, prompt="Draw.", **extra)


def test_images_are_channel_first_bgr(rig):
    raw = results(rig)
    img = PackMapInputs()(raw)["inputs"]["img"]
    assert img.dtype == torch.uint8
    assert img.shape == (6, 3, 18, 33)
    assert img.is_contiguous()
    np.testing.assert_array_equal(img.numpy(), np.stack(raw["img"]).transpose(0, 3, 1, 2))


def test_targets_and_meta_information(rig):
    raw = RasterizeBEV()(ResamplePolylines(20)(results(rig)))
    packed = PackMapInputs()(raw)
    sample = packed["data_samples"]
    assert sample.prompt == "Draw."
    assert len(sample.gt_instances) == 3
    assert sample.gt_instances.points.shape == (3, 20, 2)
    assert sample.gt_instances.orders.shape == (3, 38, 20, 2)
    assert sample.gt_instances.labels.dtype == torch.int64
    assert sample.gt_instances.closed.tolist() == [False, True, False]
    assert sample.gt_bev.data.shape == (3, 60, 30)
    meta = sample.metainfo
    assert (meta["sample_token"], meta["timestamp"], meta["flip"], meta["bev_cell"]) == (
        "token-0",
        123,
        False,
        1.0,
    )
    assert meta["img_shape"] == (18, 33)
    assert meta["map_spec"] == MapSpec().to_config()
    assert meta["num_degenerate"] == 0
    assert [Polyline.from_dict(line) for line in meta["polylines"]] == raw["polylines"]
    assert {meta[key].dtype for key in ("cam2img", "lidar2cam", "lidar2img")} == {np.dtype(np.float32)}


def test_lidar2img_projects(rig):
    meta = PackMapInputs()(results(rig))["data_samples"].metainfo
    point = np.array([0.5, 12.0, -1.0, 1.0])
    cam = rig.lidar2cam[0] @ point
    pixel = rig.cam2img[0] @ cam[:3]
    u, v, d, one = meta["lidar2img"][0] @ point
    np.testing.assert_allclose([u / d, v / d, d, one], [*(pixel[:2] / pixel[2]), cam[2], 1], rtol=1e-5)


def test_without_targets_there_are_none(rig):
    raw = results(rig)
    del raw["polylines"]
    packed = PackMapInputs()(raw)
    assert set(packed["inputs"]) == {"img"}
    assert "gt_instances" not in packed["data_samples"]
    assert "gt_bev" not in packed["data_samples"]
    assert "polylines" not in packed["data_samples"].metainfo


def test_an_empty_map_has_empty_targets(rig):
    raw = ResamplePolylines(20)(results(rig, polylines=[]))
    instances = PackMapInputs()(raw)["data_samples"].gt_instances
    assert len(instances) == 0
    assert instances.orders.shape == (0, 38, 20, 2)


def test_a_packed_sample_travels_between_processes(rig):
    packed = PackMapInputs()(RasterizeBEV()(ResamplePolylines()(results(rig))))
    back = pickle.loads(pickle.dumps(packed))["data_samples"]
    assert back.sample_token == "token-0"
    torch.testing.assert_close(back.gt_instances.orders, packed["data_samples"].gt_instances.orders)


def test_unequal_or_float_images_are_refused(rig):
    raw = results(rig)
    raw["img"][2] = raw["img"][2][:10]
    with pytest.raises(MapLLaVAError, match=r"sample token-0: cameras have shapes"):
        PackMapInputs()(raw)
    raw["img"] = [img.astype(np.float32)[:10] for img in raw["img"]]
    with pytest.raises(MapLLaVAError, match="float32"):
        PackMapInputs()(raw)
