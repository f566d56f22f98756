"""Bytes per process, against sums by hand and against the published sizes of a 7B model."""

from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from torch import nn

from mapllava.config.resolve import resolve
from mapllava.config.without_pretrained import without_pretrained
from mapllava.engine import StateMemory, state_memory
from mapllava.registry import MODELS

CONFIGS = Path(__file__).parents[3] / "configs"
GB = 1e9


class Unit(nn.Linear):
    pass


@pytest.fixture
def model():
    """Outside 5 x 2 + 5 = 15 values of 4 bytes; a trained and a frozen unit of 20."""
    model = nn.Sequential(nn.Linear(2, 5), Unit(3, 5), Unit(3, 5))
    model[2].requires_grad_(False)
    return model


def test_ddp_holds_everything_and_its_buckets(model):
    assert state_memory(model) == StateMemory(220, 140, 280, 0)
    assert state_memory(model, processes=4) == StateMemory(220, 140, 280, 140)


def test_fsdp2_holds_the_largest_share_of_rows_and_what_it_gathers(model):
    # of 5 rows two processes hold 3 and 2: outside 9 values, each unit 12
    found = state_memory(model, processes=2, sharded=True, units=["Unit"])
    assert (found.parameters, found.gradients, found.optimizer) == (4 * 33, 4 * 21, 8 * 21)
    # outside whole with gradients; two units; gradients of one, once to compute and once to send
    assert found.exchange == 60 + 60 + 2 * 80 + (80 + 80)
    half = state_memory(model, processes=2, sharded=True, units=["Unit"], param_dtype="bfloat16")
    assert half.exchange == 60 + 60 + 2 * 40 + (40 + 80)
    assert half.total - half.exchange == found.total - found.exchange


def test_a_7b_model_trained_in_full_fits_eight_80_gb_gpus_only_if_sharded():
    cfg = Config.fromfile(CONFIGS / "stage2" / "trainval.py")
    cfg.model.decoder.update(frozen=False, dtype=None)
    resolve(cfg)
    with torch.device("meta"):
        model = MODELS.build(without_pretrained(cfg.model))
    assert sum(p.numel() for p in model.decoder.backbone.parameters()) == pytest.approx(6.6e9, rel=0.01)
    ddp = state_memory(model, processes=8)
    sharded = state_memory(model, processes=8, sharded=True, param_dtype="bfloat16")
    assert ddp.total > 80 * GB
    assert ddp.parameters + ddp.gradients + ddp.optimizer > 80 * GB, "without buckets too"
    assert sharded.total < 25 * GB, "and leaves room for activations"
    kept = sharded.total - sharded.exchange
    assert kept == pytest.approx((ddp.total - ddp.exchange) / 8, rel=0.01)
