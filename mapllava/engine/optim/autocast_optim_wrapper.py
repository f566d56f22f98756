"""Mixed precision that works on a CPU and on a GPU, and never steps on a non-finite value."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from mmengine.dist import all_reduce
from mmengine.optim import OptimWrapper
from torch import Tensor, nn
from torch.distributed.tensor import DTensor

from mapllava.checkpoint import computed_dtype
from mapllava.config.mistake import check_sizes
from mapllava.engine.distributed.sharding import shard_optimizer_state
from mapllava.engine.optim.accumulation import accumulative_counts
from mapllava.errors import MapLLaVAError
from mapllava.registry import OPTIM_WRAPPERS

_DTYPES = {"bfloat16": torch.bfloat16, "float16": torch.float16}


@OPTIM_WRAPPERS.register_module()
class AutocastOptimWrapper(OptimWrapper):
    """An :class:`~mmengine.optim.OptimWrapper` whose forward pass runs under ``torch.autocast``.

    A loss or gradient norm that is not finite is not applied, with or without clipping: ``nonfinite``
    names it until the update is over and the parameters stay as they were, so that
    :class:`~mapllava.engine.hooks.NonFiniteLossHook` can stop the run on clean weights. Where batches
    are accumulated, one of them leaves out the whole update, as one sample does in a larger batch. With
    float16 on a GPU a loss scaler leaves out updates while it looks for its scale; once that is below 1,
    it is the gradient that is not finite.

    ``before_clip`` holds functions that are called with the optimiser ahead of every step, when its
    gradients are accumulated, exchanged and unscaled, and not yet clipped.

    Args:
        optimizer: The optimiser.
        dtype: ``'bfloat16'`` (see :func:`~mapllava.checkpoint.computed_dtype`), ``'float16'``, or None for
            full precision.
        loss_scale: Arguments of :class:`torch.amp.GradScaler` for float16 on a GPU.
        **kwargs: ``accumulative_counts`` and ``clip_grad`` of the base class.

    Raises:
        MapLLaVAError: If the dtype is another, or a number in ``kwargs`` would train nothing or backwards.
    """

    def __init__(
        self,
        optimizer: torch.optim.Optimizer,
        dtype: str | None = None,
        loss_scale: dict | None = None,
        **kwargs: Any,
    ) -> None:
        if dtype is not None and dtype not in _DTYPES:
            raise MapLLaVAError(f"optim_wrapper.dtype is {dtype!r}: use one of {', '.join(_DTYPES)}, or None")
        check_sizes("optim_wrapper", accumulative_counts=kwargs.get("accumulative_counts", 1))
        super().__init__(optimizer, **kwargs)
        for name in ("max_norm", "clip_value"):
            limit = (self.clip_grad_kwargs or {}).get(name, 1.0)
            if not isinstance(limit, (int, float)) or not limit > 0:
                raise MapLLaVAError(
                    f"optim_wrapper.clip_grad.{name} is {limit!r}: use a number above 0, or clip_grad=None"
                )
        self.dtype = dtype
        self.nonfinite: str | None = None
        self.before_clip: list[Callable[[torch.optim.Optimizer], None]] = []
        scaled = dtype == "float16" and torch.cuda.is_available()
        self.scaler = torch.amp.GradScaler("cuda", **(loss_scale or {})) if scaled else None

    def initialize_count_status(self, model: nn.Module, init_counts: int, max_counts: int) -> None:
        """MMEngine's, without its warnings: the loop calls it for every epoch, after whole updates.

        Args:
            model: Not used.
            init_counts: Batches that are behind.
            max_counts: All of them; with the last one there is an update.
        """
        # what MMEngine's method sets, behind its warnings
        self._inner_count, self._max_counts = init_counts, max_counts
        self._remainder_counts = max_counts % accumulative_counts(self)

    @contextmanager
    def optim_context(self, model: nn.Module) -> Iterator[None]:
        """Autocast on the model's device, and no gradient exchange while accumulating."""
        with super().optim_context(model):
            if self.dtype is None:
                yield
                return
            device = next(model.parameters()).device.type
            dtype = computed_dtype(_DTYPES[self.dtype], device)
            with torch.autocast(device_type=device, dtype=dtype, enabled=dtype != torch.float32):
                yield

    def update_params(
        self, loss: Tensor, step_kwargs: dict | None = None, zero_kwargs: dict | None = None
    ) -> None:
        """Backward and, where the accumulation is complete, a step, unless a loss of it was not finite.

        The backward pass of such a loss is made too: what is exchanged meanwhile is the same in all
        processes, and nothing of the update is left over for the next.

        Args:
            loss: () the sum of all terms.
            step_kwargs: Arguments of the optimiser's ``step``.
            zero_kwargs: Arguments of the optimiser's ``zero_grad``.
        """
        if self.should_update():  # the one before is complete
            self.nonfinite = None
        if not _finite_everywhere(loss) and self.nonfinite is None:
            self.nonfinite = "loss"
        super().update_params(loss, step_kwargs, zero_kwargs)

    def backward(self, loss: Tensor, **kwargs: Any) -> None:
        """Backward pass through the scaler, where there is one."""
        super().backward(loss if self.scaler is None else self.scaler.scale(loss), **kwargs)

    def step(self, **kwargs: Any) -> None:
        """Clip and step; a gradient norm that is not finite is recorded and not applied."""
        if self.nonfinite is not None:
            return
        if self.scaler is not None:
            self.scaler.unscale_(self.optimizer)
        for observe in self.before_clip:
            observe(self.optimizer)
        if self.scaler is None and not self._gradients_finite():
            self.nonfinite = "grad_norm"
            return
        if self.clip_grad_kwargs:
            self._clip_grad()  # clips by the config's rule and logs the norm; its caller steps as well
        if self.scaler is None:
            self.optimizer.step(**kwargs)
            return
        before = self.scaler.get_scale()
        self.scaler.step(self.optimizer, **kwargs)
        self.scaler.update()
        if self.scaler.get_scale() < min(before, 1.0):
            self.nonfinite = "grad_norm"

    def get_lr(self) -> dict[str, list[float]]:
        """Learning rates; a named group's appears as ``<name>_lr``, so that the log shows it.

        A group without decay shares its group's rate; one of matrices (``<name>_matrices_lr``) does not.
        Of a group's layers it is the highest, that of the last.
        """
        rates = super().get_lr()
        named = [group for group in self.optimizer.param_groups if "name" in group]
        if named:
            rates.pop("base_lr", None)  # MMEngine's, of no group
        for group in named:
            key = f"{group_label(group)}_lr"
            rates[key] = [max([group["lr"], *rates.get(key, [])])]
        return rates

    def state_dict(self) -> dict:
        """The optimiser's state, and the scaler's where there is one."""
        state = super().state_dict()
        if self.scaler is not None:
            state["loss_scaler"] = self.scaler.state_dict()
        return state

    def load_state_dict(self, state_dict: dict) -> None:
        """The reverse of :meth:`state_dict`, sharded as the parameters are; no scaler drops a scaler's."""
        state = dict(state_dict)
        scaler = state.pop("loss_scaler", None)
        if scaler is not None and self.scaler is not None:
            self.scaler.load_state_dict(scaler)
        super().load_state_dict(shard_optimizer_state(state, self.optimizer))

    def _gradients_finite(self) -> bool:
        """Whether the norm of all gradients is, which is the same in all processes."""
        groups = self.optimizer.param_groups
        found = [p.grad for group in groups for p in group["params"] if p.grad is not None]
        norm = torch.nn.utils.get_total_norm(found)
        return math.isfinite(float(norm.full_tensor() if isinstance(norm, DTensor) else norm))


def group_label(group: dict[str, Any]) -> str:
    """The name under which a group is logged; its layers, and what does not decay, go by the whole's."""
    return re.sub(r"/(layer\d+|no_decay)", "", group["name"]).replace("/", "_")


def _finite_everywhere(loss: Tensor) -> bool:
    """Whether a loss is finite in all processes: a step that one leaves out, all must leave out."""
    finite = loss.detach().isfinite().all().float()
    all_reduce(finite, op="min")
    return bool(finite)
