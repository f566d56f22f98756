from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
import torch

from mapllava.errors import MapLLaVAError
from mapllava.structures import CLASSES, ROI, MapSpec


def test_60x30_is_long_along_the_car_in_either_frame():
    assert ROI.parse("60x30", "lidar").to_list() == [-15, -30, 15, 30]
    assert ROI.parse("60x30", "ego").to_list() == [-30, -15, 30, 15]
    assert ROI.parse("100 x 50").height == 100


@pytest.mark.parametrize("frame", ["lidar", "ego"])
@pytest.mark.parametrize("text", ["60x30", "100x50", "45.5x20", "-10,-5,20,45"])
def test_described_region_reads_back(text, frame):
    roi = ROI.parse(text, frame)
    assert roi.describe(frame) == text
    assert ROI.parse(roi.describe(frame), frame) == roi


@pytest.mark.parametrize("text", ["", "60", "60x", "0x30", "1,2,3", "30,15,-30,-15", "nan,0,1,1", "axb"])
def test_bad_region_is_refused(text):
    with pytest.raises(MapLLaVAError, match="roi"):
        ROI.parse(text)


def test_normalise_maps_corners_to_the_unit_square_and_back():
    roi = ROI(-15, -30, 15, 30)
    points = np.array([[-15.0, -30], [15, 30], [0, 0], [20, -35]])
    unit = roi.normalize(points)
    np.testing.assert_allclose(unit[:3], [[0, 0], [1, 1], [0.5, 0.5]])
    np.testing.assert_allclose(roi.denormalize(unit), points)


def test_tensors_keep_their_type_and_gradient():
    roi = ROI(-15, -30, 15, 30)
    points = torch.tensor([[15.0, 0.0]], requires_grad=True)
    unit = roi.normalize(points)
    assert unit.dtype == torch.float32
    assert unit.tolist() == [[1.0, 0.5]]
    unit.sum().backward()
    assert points.grad.tolist() == [[pytest.approx(1 / 30), pytest.approx(1 / 60)]]


def test_contains_tells_x_from_y():
    roi = ROI(-15, -30, 15, 30)
    points = np.array([[0.0, 29], [29, 0], [15, 30], [15.1, 0]])
    assert roi.contains(points).tolist() == [True, False, True, False]
    assert roi.contains(points, margin=0.2).tolist() == [True, False, True, True]
    beyond = np.array([[-15.1, 0], [0, -30.1], [0, 30.1], [0, -30.3]])
    assert roi.contains(beyond).tolist() == [False] * 4
    assert roi.contains(beyond, margin=0.2).tolist() == [True, True, True, False]


def test_spec_goes_through_a_config_unchanged():
    spec = MapSpec("ego", ROI(-30, -15, 30, 15), ("boundary", "divider"))
    assert MapSpec.from_config(spec.to_config()) == spec
    assert MapSpec.from_config(spec) is spec
    assert MapSpec().classes == CLASSES
    assert str(MapSpec()) == "60x30 m, lidar frame, divider/ped_crossing/boundary"


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"frame": "camera"}, "unknown frame 'camera'"),
        ({"roi": [0, 0, 1]}, "four numbers"),
        ({"roi": "60x30"}, "four numbers"),
        ({"roi": [0, 0, "a", 1]}, "four numbers"),
        ({"classes": []}, "non-empty"),
        ({"classes": ["divider", "divider"]}, "distinct"),
        ({"classes": "divider"}, "list of names"),
        ({"range": 1}, r"unknown keys \['range'\]"),
    ],
)
def test_bad_spec_names_what_is_wrong(change, words):
    with pytest.raises(MapLLaVAError, match=words):
        MapSpec.from_config({**MapSpec().to_config(), **change})


def test_missing_key_is_named():
    with pytest.raises(MapLLaVAError, match=r"missing keys \['roi'\]"):
        MapSpec.from_config({"frame": "lidar", "classes": ["divider"]})


def test_reading_a_cache_imports_neither_torch_nor_the_devkit():
    code = (
        "import sys, mapllava.gt_cache, mapllava.structures\n"
        "heavy = {'torch', 'nuscenes', 'shapely', 'transformers', 'mmengine'} & set(sys.modules)\n"
        "sys.exit(', '.join(sorted(heavy)) or None)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_the_grid_is_a_whole_number_of_cells():
    assert ROI(-15, -30, 15, 30).grid_shape(0.625) == (96, 48)
    assert ROI(-10, -30, 20, 31).grid_shape(1) == (61, 30)
    for cell in (0.7, 60.0, 0.0, -1.0, float("nan")):  # 60 m fits along y alone
        with pytest.raises(MapLLaVAError, match="cell"):
            ROI(-15, -30, 15, 30).grid_shape(cell)
