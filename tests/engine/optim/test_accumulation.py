"""Accumulated batches make the update that one batch of all their samples makes."""

import pytest
import torch
from pair import pair_config

from mapllava.engine import build_runner
from mapllava.testing.tiny_hf import write_tiny_blip2

EPOCH = {"type": "EpochBasedTrainLoop", "max_epochs": 1}
TWO_UPDATES = {"type": "IterBasedTrainLoop", "max_iters": 2}


@pytest.fixture(scope="module")
def blip2(tmp_path_factory):
    return write_tiny_blip2(tmp_path_factory.mktemp("blip2"))


def gradients(work_dir, blip2, batch, accumulated, loop, samples):
    """The gradients of each update; samples have 0, 1, 2, 3, 0, 1 … elements."""
    cfg = pair_config(work_dir, blip2, batch)
    cfg.train_dataloader.dataset.update(count=samples, least=0)
    cfg.optim_wrapper.accumulative_counts = accumulated
    cfg.optim_wrapper.optimizer = {"type": "SGD", "lr": 0.0}
    cfg.train_cfg = dict(loop)
    cfg.val_dataloader = cfg.val_cfg = cfg.val_evaluator = None
    cfg.default_hooks.checkpoint, cfg.custom_hooks = None, [{"type": "ReproducibleEpochsHook"}]
    runner, found = build_runner(cfg), []
    runner.optim_wrapper = runner.build_optim_wrapper(runner.optim_wrapper)

    def keep(optimizer):
        found.append([p.grad.clone() for group in optimizer.param_groups for p in group["params"]])

    runner.optim_wrapper.before_clip.append(keep)
    runner.train()
    assert runner.model._avg_factors is None, "what is computed later is no part of an update"
    return found


@pytest.fixture(scope="module")
def whole(tmp_path_factory, blip2):
    """Of batches of four; an epoch's seven samples make one of three as well."""
    root = tmp_path_factory.mktemp("whole")
    return {
        "epoch": gradients(root, blip2, 4, 1, EPOCH, 7),
        "iterations": gradients(root, blip2, 4, 1, TWO_UPDATES, 8),
    }


@pytest.mark.parametrize(
    ("name", "loop", "samples", "batch", "accumulated"),
    [
        ("epoch", EPOCH, 7, 2, 2),
        ("epoch", EPOCH, 7, 1, 4),
        ("iterations", TWO_UPDATES, 8, 2, 2),
    ],
)
def test_gradients_are_those_of_the_larger_batch(
    tmp_path, blip2, whole, name, loop, samples, batch, accumulated
):
    parts = gradients(tmp_path, blip2, batch, accumulated, loop, samples)
    assert len(whole[name]) == len(parts) == 2
    for left, right in zip(whole[name], parts, strict=True):
        norm = torch.nn.utils.get_total_norm(left)
        difference = torch.nn.utils.get_total_norm([a - b for a, b in zip(left, right, strict=True)])
        assert norm > 0.1
        assert difference < 1e-5 * norm
