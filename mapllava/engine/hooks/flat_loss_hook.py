"""Says so when a loss does not fall, and shows where to look."""

from __future__ import annotations

from collections.abc import Sized
from typing import Any

import torch
from mmengine.device import get_device
from mmengine.dist import all_reduce
from mmengine.hooks import Hook
from mmengine.runner import Runner

from mapllava.engine.distributed.unwrap_model import unwrap_model
from mapllava.engine.runner.second_look import look_again
from mapllava.errors import MapLLaVAError
from mapllava.registry import HOOKS


@HOOKS.register_module()
class FlatLossHook(Hook):
    """Compares the mean loss of each window of steps with the window before, and warns once if it stays.

    The warning has the gradient norm of every parameter group, from one more look at the batch at
    hand, and the share of queries that are matched to an element. The end of a training is flat by
    design, so only the first ``until`` of it is looked at.

    Args:
        window: Steps that are averaged; at least 2.
        min_drop: The loss must fall by this share of itself from one window to the next.
        until: Share of the training that is looked at, in (0, 1].

    Raises:
        MapLLaVAError: If an argument is out of range.
    """

    priority = "LOW"

    def __init__(self, window: int = 500, min_drop: float = 0.01, until: float = 0.3) -> None:
        if window < 2 or not 0.0 <= min_drop < 1.0 or not 0.0 < until <= 1.0:
            raise MapLLaVAError(
                f"FlatLossHook(window={window}, min_drop={min_drop}, until={until}): needs window >= 2, "
                "0 <= min_drop < 1, 0 < until <= 1"
            )
        self.window = window
        self.min_drop = min_drop
        self.until = until
        self._sum, self._count = 0.0, 0
        self._before: float | None = None
        self._matched: list[float] = []
        self._said = False

    def after_train_iter(
        self, runner: Runner, batch_idx: int, data_batch: Any = None, outputs: Any = None
    ) -> None:
        """Add the step's loss; at the end of a window, compare."""
        if self._said or runner.iter + 1 > self.until * runner.max_iters:
            return
        self._sum += float(torch.as_tensor((outputs or {}).get("loss", 0.0)).detach())
        self._count += 1
        self._matched += _matched_shares(runner, data_batch)
        if self._count < self.window:
            return
        mean = torch.tensor(self._sum / self._count, device=get_device())
        all_reduce(mean, op="mean")
        before, self._before = self._before, float(mean)
        if before is not None and self._before > (1.0 - self.min_drop) * before:
            self._said = True
            self._speak(runner, before, batch_idx, data_batch)
        self._sum, self._count, self._matched = 0.0, 0, []

    def _speak(self, runner: Runner, before: float, batch_idx: int, batch: Any) -> None:
        norms = look_again(runner, batch_idx, batch).norms
        groups = ", ".join(f"{name} {norm:.3g}" for name, norm in norms.items()) or "not known when sharded"
        matched = ""
        if self._matched:
            matched = f"; matched queries: {100 * sum(self._matched) / len(self._matched):.1f} %"
        runner.logger.warning(
            f"the loss is flat: {before:.4g}, then {self._before:.4g} over {self.window} steps each. "
            f"Gradient norm per group: {groups}{matched}. A group at 0 is frozen or cut off from the loss; "
            "large norms: lower optim_wrapper.optimizer.lr or clip; small ones: raise it; no query matched: "
            "the ground truth of these samples is empty (mapllava cache show)"
        )


def _matched_shares(runner: Runner, batch: Any) -> list[float]:
    """Per sample, elements over queries: each element takes one query."""
    queries = getattr(getattr(unwrap_model(runner.model), "map_queries", None), "num_instances", None)
    samples = batch.get("data_samples") if isinstance(batch, dict) else None
    elements = [getattr(sample, "gt_instances", None) for sample in samples or []]
    if not queries:
        return []
    return [min(len(found) / queries, 1.0) for found in elements if isinstance(found, Sized)]
