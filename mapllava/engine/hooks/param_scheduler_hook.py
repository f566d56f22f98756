"""Schedules by iteration advance with the weights, not with the batches."""

from __future__ import annotations

from typing import Any

from mmengine.hooks import ParamSchedulerHook as MMEngineParamSchedulerHook
from mmengine.optim import OptimWrapperDict
from mmengine.runner import Runner

from mapllava.registry import HOOKS


@HOOKS.register_module()
class ParamSchedulerHook(MMEngineParamSchedulerHook):
    """MMEngine's, whose schedules by iteration count updates of the weights where batches are accumulated.

    It stands in for MMEngine's under the same name, so every kind of schedule is counted this way. An
    update that is left out, because it is not finite, counts as well: the schedule ends with the training.
    """

    def after_train_iter(
        self, runner: Runner, batch_idx: int, data_batch: Any = None, outputs: Any = None
    ) -> None:
        """Step the schedules by iteration, after the last batch of an update."""
        if isinstance(runner.optim_wrapper, OptimWrapperDict) or runner.optim_wrapper.should_update():
            super().after_train_iter(runner, batch_idx, data_batch, outputs)
