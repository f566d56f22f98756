"""The full-size models run on the meta device: every shape of 7.7 billion parameters, no memory."""

from pathlib import Path

import pytest
import torch
from mmengine.config import Config

from mapllava.engine import inject_map_spec
from mapllava.registry import MODELS
from mapllava.testing import without_pretrained

CONFIGS = Path(__file__).parents[2] / "configs" / "stage2"


@pytest.mark.parametrize("name", ["trainval.py", "trainval_bev.py"])
def test_six_images_become_768_scene_tokens_and_50_lines(name):
    cfg = Config.fromfile(CONFIGS / name)
    inject_map_spec(cfg)
    seen = []
    with torch.device("meta"):
        model = MODELS.build(without_pretrained(cfg.model)).eval()
        model.decoder.register_forward_pre_hook(lambda _, args: seen.append(args[1].shape))
        inputs = {
            "img": torch.empty(1, 6, 3, 336, 560),
            "lidar2img": torch.empty(1, 6, 4, 4),
            "prompt_ids": torch.empty(1, 20, dtype=torch.long),
        }
        logits, points = model(inputs, mode="tensor")
    assert seen == [(1, 768, 768)]
    assert logits.shape == (7, 1, 50, 3)  # the start and six layers
    assert points.shape == (7, 1, 50, 20, 2)
    assert logits.is_meta
    if name == "trainval_bev.py":
        assert model.neck.token_shape == (48, 16)
        assert model.neck.shape == (96, 48)
