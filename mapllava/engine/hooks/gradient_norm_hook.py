"""The gradient norm of every parameter group, in the log's lines."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from operator import attrgetter

import torch
from mmengine.hooks import Hook, LoggerHook
from mmengine.runner import Runner
from torch import Tensor
from torch.distributed.tensor import DTensor
from torch.optim import Optimizer

from mapllava.engine.optim.accumulation import accumulative_counts
from mapllava.engine.optim.autocast_optim_wrapper import AutocastOptimWrapper, group_label
from mapllava.registry import HOOKS


@HOOKS.register_module()
class GradientNormHook(Hook):
    """Logs ``grad_norm/<group>``, the L2 norm before clipping, for the groups of the optimiser.

    Norms are taken at the last update ahead of each of :class:`~mmengine.hooks.LoggerHook`'s lines:
    of the accumulated gradients, unscaled, exchanged between processes. Other steps cost nothing.
    A group and its ``/no_decay`` part count as one. Needs
    :class:`~mapllava.engine.AutocastOptimWrapper` and a constructor that names groups; where
    something is missing it says so once and stays out of the way.
    """

    priority = "NORMAL"

    def __init__(self) -> None:
        self._interval = 0
        self._due = False
        self._runner: Runner | None = None

    def before_train(self, runner: Runner) -> None:
        """Ask the optimiser's wrapper to be called ahead of steps."""
        self._runner = runner
        self._interval = next((hook.interval for hook in runner.hooks if isinstance(hook, LoggerHook)), 0)
        wrapper = runner.optim_wrapper
        if not isinstance(wrapper, AutocastOptimWrapper):
            runner.logger.warning(
                "GradientNormHook logs nothing: it needs optim_wrapper.type='AutocastOptimWrapper'"
            )
        elif not any("name" in group for group in wrapper.optimizer.param_groups):
            runner.logger.warning(
                "GradientNormHook logs nothing: the optimiser's groups have no names, "
                "set optim_wrapper.constructor='MapOptimWrapperConstructor'"
            )
        elif self._interval and self._measure not in wrapper.before_clip:
            wrapper.before_clip.append(self._measure)

    def before_train_iter(self, runner: Runner, batch_idx: int, data_batch: object = None) -> None:
        """Find out whether a line is written before there is another update."""
        if self._interval:
            last = len(runner.train_dataloader) - 1
            to_line = -(batch_idx + 1) % self._interval
            if last < self._interval:  # a short epoch has its line at the end
                to_line = last - batch_idx
            self._due = to_line < accumulative_counts(runner.optim_wrapper)

    def _measure(self, optimizer: Optimizer) -> None:
        if self._due and self._runner is not None:
            for name, norm in group_norms(optimizer).items():
                self._runner.message_hub.update_scalar(f"train/grad_norm/{name}", float(norm))


def group_norms(
    optimizer: Optimizer, gradient_of: Callable[[Tensor], Tensor | None] = attrgetter("grad")
) -> Mapping[str, Tensor]:
    """L2 norm of the gradients of every parameter group; nothing waits for the device.

    Args:
        optimizer: A group without a ``name`` goes by its number; parameters may be sharded, then every
            process must call this.
        gradient_of: Gives a parameter's gradient, shaped as the parameter, or None.

    Returns:
        Group to (), a group without gradients left out.
    """
    gradients: dict[str, list[Tensor]] = {}
    for number, group in enumerate(optimizer.param_groups):
        found = [grad for parameter in group["params"] if (grad := gradient_of(parameter)) is not None]
        gradients.setdefault(group_label({"name": str(number), **group}), []).extend(found)
    norms = {name: torch.nn.utils.get_total_norm(found) for name, found in gradients.items() if found}
    return {name: norm.full_tensor() if isinstance(norm, DTensor) else norm for name, norm in norms.items()}
