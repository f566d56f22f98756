"""The time of a step, from a clock that nobody puts back."""

from __future__ import annotations

import time
from typing import Any

from mmengine.hooks import IterTimerHook
from mmengine.runner import Runner

from mapllava.registry import HOOKS


@HOOKS.register_module()
class SteadyTimerHook(IterTimerHook):
    """MMEngine's timer on the monotonic clock: no step takes a negative time, nor does what is left."""

    # where IterTimerHook reads the clock
    def _before_epoch(self, runner: Runner, mode: str = "train") -> None:
        self.t = time.monotonic()

    # see _before_epoch
    def _before_iter(
        self, runner: Runner, batch_idx: int, data_batch: Any = None, mode: str = "train"
    ) -> None:
        runner.message_hub.update_scalar(f"{mode}/data_time", time.monotonic() - self.t)

    # see _before_epoch
    def _after_iter(
        self, runner: Runner, batch_idx: int, data_batch: Any = None, outputs: Any = None, mode: str = "train"
    ) -> None:
        now, hub = time.monotonic(), runner.message_hub
        taken, self.t = now - self.t, now
        hub.update_scalar(f"{mode}/time", taken)
        if mode == "train":
            self.time_sec_tot += taken
            done, left = runner.iter - self.start_iter + 1, runner.max_iters - runner.iter - 1
            hub.update_info("eta", self.time_sec_tot / done * left)
            return
        loader = runner.val_dataloader if mode == "val" else runner.test_dataloader
        self.time_sec_test_val += taken
        hub.update_info("eta", self.time_sec_test_val / (batch_idx + 1) * (len(loader) - batch_idx - 1))
