"""The full-size models run on the meta device: every shape of 7.7 billion parameters, no memory."""

from pathlib import Path

import pytest
import torch
from mmengine.config import Config

from mapllava.config.resolve import resolve
from mapllava.config.without_pretrained import without_pretrained
from mapllava.registry import MODELS

CONFIGS = Path(__file__).parents[2] / "configs" / "stage2"


LEAF = """
_base_ = ["{trainval}"]
model = dict({line})
"""


@pytest.mark.parametrize(
    "line",
    [
        "",
        "neck=dict(_delete_=True, **_base_.qformer_neck), map_queries=dict(scene=None)",
        "map_queries=dict(_delete_=True, **_base_.point_queries)",
    ],
    ids=["as shipped", "QFormerNeck", "PointMapQueries"],
)
def test_six_images_become_768_scene_tokens_and_50_lines(line, tmp_path):
    leaf = tmp_path / "leaf.py"
    leaf.write_text(LEAF.format(trainval=(CONFIGS / "trainval.py").as_posix(), line=line))
    cfg = Config.fromfile(leaf)
    resolve(cfg)
    seen = []
    with torch.device("meta"):
        model = MODELS.build(without_pretrained(cfg.model)).eval()
        model.decoder.register_forward_pre_hook(lambda _, args: seen.append(args[0].shape))
        inputs = {
            "img": torch.empty(1, 6, 3, 336, 560),
            "lidar2img": torch.empty(1, 6, 4, 4),
        }
        logits, points = model(inputs, mode="tensor")
    assert seen == [(1, 768, 768)]
    assert logits.shape == (7, 1, 50, 3)  # the start and six layers
    assert points.shape == (7, 1, 50, 20, 2)
    assert logits.is_meta
    assert model.map_queries.num_tokens == (1050 if "point_queries" in line else 50)
    if "qformer_neck" not in line:
        assert model.neck.token_shape == (32, 24)
        assert model.neck.shape == (96, 48)
