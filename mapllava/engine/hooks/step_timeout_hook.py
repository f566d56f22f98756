"""A shorter wait for the other processes while all of them do the same."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import torch.distributed as dist
from mmengine.hooks import Hook
from mmengine.runner import Runner

from mapllava.errors import MapLLaVAError
from mapllava.registry import HOOKS


@HOOKS.register_module()
class StepTimeoutHook(Hook):
    """Within an epoch, a process that stalls is noticed after ``seconds``.

    ``env_cfg.dist_cfg.timeout`` must outlast what one process does while the others wait: loading 7B
    weights from a slow disk, scoring, writing checkpoints. Between two steps there is no such thing, so
    there this shorter limit holds: from an epoch's first step until its last.

    Args:
        seconds: How long a process waits for the others. Raise it where ``RunCheckpointHook`` saves
            within epochs (``every_steps``) to a disk that takes longer.

    Raises:
        MapLLaVAError: If ``seconds`` is not positive.
    """

    priority = "HIGHEST"  # the epoch's checkpoint comes after the longer limit is back

    def __init__(self, seconds: float = 60) -> None:
        if seconds <= 0:
            raise MapLLaVAError(f"StepTimeoutHook(seconds={seconds}): must be positive")
        self.seconds = seconds
        self._short = False

    def after_train_iter(
        self, runner: Runner, batch_idx: int, data_batch: Any = None, outputs: Any = None
    ) -> None:
        """From the first step on, wait no longer than a step may take."""
        if dist.is_initialized() and not self._short:
            self._set(self.seconds)
            self._short = True

    def after_train_epoch(self, runner: Runner) -> None:
        """Wait as long as the config says for what comes between two epochs."""
        if self._short:
            self._set(_whole_run(runner))
            self._short = False

    @staticmethod
    def _set(seconds: float) -> None:
        dist.distributed_c10d._set_pg_timeout(timedelta(seconds=seconds))  # has no public name


def _whole_run(runner: Runner) -> float:
    """Seconds that the config grants, or PyTorch's own."""
    options = (runner.cfg.get("env_cfg") or {}).get("dist_cfg") or {}
    default = dist.distributed_c10d.default_pg_timeout.total_seconds()
    return float(options.get("timeout") or default)
