from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
import torch
from mmengine.dataset import pseudo_collate

from mapllava.errors import MapLLaVAError
from mapllava.models.data_preprocessor import MapDataPreprocessor
from mapllava.structures.map_data_sample import MapDataSample

MEAN, STD = (10.0, 20.0, 30.0), (1.0, 2.0, 4.0)


def item(seed=0, size=(8, 12)):
    rng = np.random.default_rng(seed)
    sample = MapDataSample(
        metainfo={
            "lidar2img": rng.normal(size=(6, 4, 4)).astype(np.float32),
            "lidar2cam": rng.normal(size=(6, 4, 4)),
            "cam2img": rng.normal(size=(6, 3, 3)).astype(np.float32),
        }
    )
    img = torch.from_numpy(rng.integers(0, 255, (6, 3, *size), dtype=np.uint8))
    return {"inputs": {"img": img}, "data_samples": sample}


def test_a_batch_is_stacked_normalised_and_has_its_cameras():
    items = [item(0), item(1)]
    batch = MapDataPreprocessor(MEAN, STD)(pseudo_collate(items))
    inputs = batch["inputs"]
    assert inputs["img"].shape == (2, 6, 3, 8, 12)
    assert inputs["img"].dtype == torch.float32
    raw = items[1]["inputs"]["img"][4].float()
    torch.testing.assert_close(inputs["img"][1, 4, 0], raw[2] - 10)
    torch.testing.assert_close(inputs["img"][1, 4, 2], (raw[0] - 30) / 4)
    assert inputs["lidar2img"].shape == inputs["lidar2cam"].shape == (2, 6, 4, 4)
    assert inputs["cam2img"].shape == (2, 6, 3, 3)
    assert {inputs[key].dtype for key in ("lidar2img", "lidar2cam", "cam2img")} == {torch.float32}
    np.testing.assert_array_equal(inputs["lidar2img"][1], items[1]["data_samples"].lidar2img)
    assert [s is i["data_samples"] for s, i in zip(batch["data_samples"], items, strict=True)] == [True, True]


def test_channels_may_stay_bgr_and_the_input_stays():
    img = torch.rand(1, 6, 3, 4, 5) * 255
    kept = img.clone()
    out = MapDataPreprocessor(MEAN, STD, bgr_to_rgb=False)({"inputs": {"img": img}})["inputs"]["img"]
    torch.testing.assert_close(out[0, 0, 1], (kept[0, 0, 1] - 20) / 2)
    torch.testing.assert_close(img, kept)


def test_matrices_given_with_the_inputs_serve_without_samples():
    given = torch.rand(1, 6, 4, 4)
    data = {"inputs": {"img": [item()["inputs"]["img"]], "lidar2img": given}, "data_samples": None}
    out = MapDataPreprocessor()(data)
    torch.testing.assert_close(out["inputs"]["lidar2img"], given)
    assert out["data_samples"] is None


def test_the_state_dict_holds_nothing():
    assert not MapDataPreprocessor().state_dict()


def test_what_does_not_stack_is_named():
    preprocessor = MapDataPreprocessor()
    with pytest.raises(MapLLaVAError, match=r"inputs\['img'\] has shapes .*9, 12"):
        preprocessor(pseudo_collate([item(), item(1, (9, 12))]))
    with pytest.raises(MapLLaVAError, match="not \\(B, N, 3, H, W\\)"):
        preprocessor({"inputs": {"img": torch.zeros(2, 3, 4, 4)}})
    with pytest.raises(MapLLaVAError, match="'lidar2img'"):
        preprocessor({"inputs": {"img": [item()["inputs"]["img"]]}, "data_samples": [MapDataSample()]})


@pytest.mark.parametrize("arguments", [{"mean": (1, 2)}, {"std": (1, 2, 0)}])
def test_bad_arguments(arguments):
    with pytest.raises(ValueError, match=f"MapDataPreprocessor.{next(iter(arguments))}"):
        MapDataPreprocessor(**arguments)


def test_it_needs_neither_data_sets_nor_mmcv():
    code = (
        "import sys, types; m = types.ModuleType('mapllava.models'); m.__path__ = ['mapllava/models']; "
        "sys.modules['mapllava.models'] = m; import mapllava.models.data_preprocessor; "
        "bad = [n for n in sys.modules if n.split('.')[0] == 'mmcv' or n.startswith('mapllava.datasets')]; "
        "sys.exit(str(bad) if bad else 0)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=600)
