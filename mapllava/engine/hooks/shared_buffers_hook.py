"""Keeps running statistics the same in every process."""

from __future__ import annotations

import torch
from mmengine.dist import all_reduce_params, get_world_size
from mmengine.hooks import Hook
from mmengine.runner import Runner
from torch import Tensor, nn

from mapllava.engine.distributed.unwrap_model import unwrap_model
from mapllava.registry import HOOKS

_NORMS = (
    *(nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d, nn.SyncBatchNorm),
    *(nn.InstanceNorm1d, nn.InstanceNorm2d, nn.InstanceNorm3d),
)


@HOOKS.register_module()
class SharedBuffersHook(Hook):
    """Averages BatchNorm's running statistics over processes after every batch.

    Each process sees other samples; without this, their statistics part, the processes validate
    different models on their shares of the data, and the checkpoint holds the main one's.
    """

    priority = "HIGH"  # before an average is taken of them

    def __init__(self) -> None:
        self._buffers: list[Tensor] = []

    def before_train(self, runner: Runner) -> None:
        """Find the statistics; there is nothing to do in one process."""
        self._buffers = running_statistics(unwrap_model(runner.model)) if get_world_size() > 1 else []

    @torch.no_grad()
    def after_train_iter(
        self, runner: Runner, batch_idx: int, data_batch: object = None, outputs: object = None
    ) -> None:
        """Average them."""
        if self._buffers:
            all_reduce_params(self._buffers, op="mean")


def running_statistics(model: nn.Module) -> list[Tensor]:
    """Running means and variances of a model's BatchNorm layers."""
    return [
        value
        for module in model.modules()
        if isinstance(module, _NORMS)
        for value in (module.running_mean, module.running_var)
        if value is not None
    ]
