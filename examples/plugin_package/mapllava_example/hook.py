"""A hook of one's own: ends a run whose loss runs away."""

from __future__ import annotations

from typing import Any

from mmengine.hooks import Hook
from torch import Tensor

from mapllava.errors import MapLLaVAError
from mapllava.registry import HOOKS


@HOOKS.register_module()
class LossLimitHook(Hook):
    """End the run, with its reason, at a loss above a limit.

    Args:
        limit: largest loss of a step.
    """

    def __init__(self, limit: float) -> None:
        self.limit = limit

    def after_train_iter(
        self, runner: Any, batch_idx: int, data_batch: Any = None, outputs: dict | None = None
    ) -> None:
        """Look at the loss of a step.

        Raises:
            MapLLaVAError: if it is above the limit.
        """
        loss = (outputs or {}).get("loss", 0.0)
        loss = float(loss.detach() if isinstance(loss, Tensor) else loss)
        if loss > self.limit:
            raise MapLLaVAError(
                f"loss {loss:.4g} at step {runner.iter + 1} is above LossLimitHook.limit = {self.limit:.4g}: "
                "lower optim_wrapper.optimizer.lr, or raise the limit"
            )
