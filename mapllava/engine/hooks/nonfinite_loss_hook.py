"""Stops a run whose loss is no number, and keeps what is needed to see why."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from mmengine.dist import get_rank
from mmengine.hooks import Hook
from mmengine.runner import Runner
from mmengine.structures import BaseDataElement

from mapllava.engine.plain_state import to_plain
from mapllava.errors import MapLLaVAError
from mapllava.registry import HOOKS


@HOOKS.register_module()
class NonFiniteLossHook(Hook):
    """Names the terms and the samples, saves the batch, and stops.

    With :class:`~mapllava.engine.AutocastOptimWrapper` the weights are still those from before the
    batch. The batch is written to ``nonfinite_iter_<n>_rank_<r>.pth`` in the run folder and loads
    with ``torch.load(weights_only=True)``.
    """

    priority = "VERY_HIGH"  # before hooks that average or save

    def after_train_iter(
        self, runner: Runner, batch_idx: int, data_batch: Any = None, outputs: Mapping[str, Any] | None = None
    ) -> None:
        """Look at every loss term.

        Raises:
            MapLLaVAError: If one is not finite.
        """
        terms = {name: float(torch.as_tensor(value).detach()) for name, value in (outputs or {}).items()}
        bad = [name for name, value in terms.items() if not math.isfinite(value)]
        stopped = getattr(runner.optim_wrapper, "nonfinite", None)
        if stopped and stopped not in bad:
            bad.append(stopped)
        if not bad:
            return
        path = Path(runner.work_dir) / f"nonfinite_iter_{runner.iter + 1}_rank_{get_rank()}.pth"
        samples = _sample_names(data_batch)
        torch.save(
            {
                "terms": terms,
                "samples": samples,
                "epoch": runner.epoch + 1,
                "iter": runner.iter + 1,
                "batch": _plain_batch(data_batch),
                "state_dict": {name: value.detach().cpu() for name, value in _trainable(runner.model)},
            },
            path,
        )
        raise MapLLaVAError(
            f"not finite at epoch {runner.epoch + 1}, step {runner.iter + 1}: {', '.join(bad)}; samples: "
            f"{', '.join(samples) or 'unnamed'}. Batch and trained weights are in {path}. Usual causes: "
            "learning rate too high (lower optim_wrapper.optimizer.lr), float16 (set "
            "optim_wrapper.dtype=bfloat16 or None), a broken label"
        )


def _trainable(model: torch.nn.Module) -> list[tuple[str, torch.nn.Parameter]]:
    return [(name, value) for name, value in model.named_parameters() if value.requires_grad]


def _sample_names(batch: Any) -> list[str]:
    samples = batch.get("data_samples") if isinstance(batch, Mapping) else None
    return [str(sample.get("sample_token", index)) for index, sample in enumerate(samples or [])]


def _plain_batch(value: Any) -> Any:
    """The batch in plain form; what has none (an object of the user's own) as its text."""
    if isinstance(value, BaseDataElement):
        return _plain_batch({**value.metainfo, **dict(value.items())})
    if isinstance(value, Mapping):
        return {str(key): _plain_batch(entry) for key, entry in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [_plain_batch(entry) for entry in value]
    try:
        return to_plain(value)
    except MapLLaVAError:
        return repr(value)
