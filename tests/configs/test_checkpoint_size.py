"""What a checkpoint of the full-size configs would hold, counted on the meta device."""

from pathlib import Path

import pytest
import torch
from extras import need_extras
from mmengine.config import Config

from mapllava.checkpoint.base_weights import base_weight_modules, reloadable_keys
from mapllava.config.resolve import resolve
from mapllava.config.without_pretrained import without_pretrained
from mapllava.registry import MODELS

STAGE2 = Path(__file__).parents[2] / "configs" / "stage2"
FULL_SIZE = [path for path in sorted(STAGE2.glob("*.py")) if not path.name.startswith("synthetic")]


@pytest.mark.parametrize("path", FULL_SIZE, ids=lambda path: path.name)
def test_best_model_stays_below_one_and_a_half_gigabytes(path):
    cfg = resolve(Config.fromfile(path))
    need_extras(cfg.model)
    with torch.device("meta"):
        model = MODELS.build(without_pretrained(cfg.model))
    dropped = reloadable_keys(model, base_weight_modules(model, cfg.model))
    kept = {key: value for key, value in model.state_dict().items() if key not in dropped}
    trainable = {name for name, parameter in model.named_parameters() if parameter.requires_grad}
    assert trainable <= set(kept)
    assert 0.1e9 < sum(value.nbytes for value in kept.values()) < 1.5e9  # bytes
