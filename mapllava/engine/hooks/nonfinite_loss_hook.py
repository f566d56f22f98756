"""Stops a run whose loss is no number, and keeps what is needed to see why."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from mmengine.dist import all_reduce, get_rank
from mmengine.hooks import Hook
from mmengine.runner import Runner
from mmengine.structures import BaseDataElement

from mapllava.checkpoint.plain_state import to_plain
from mapllava.engine.distributed.sharding import local_part
from mapllava.engine.runner.second_look import look_again
from mapllava.errors import MapLLaVAError
from mapllava.files import atomic_write
from mapllava.registry import HOOKS
from mapllava.structures.map_data_sample import sample_names

SKIPPED = "nonfinite_skipped"


@HOOKS.register_module()
class NonFiniteLossHook(Hook):
    """Names the terms, the first module and the samples, saves the batch, and stops.

    With :class:`~mapllava.engine.AutocastOptimWrapper` the weights are still those from before the
    update, in all processes. The batch is written to ``nonfinite_iter_<n>_rank_<r>.pth`` in the run
    folder and loads with ``torch.load(weights_only=True)``; weights of a sharded model are this
    process's parts.

    Args:
        max_skips: So many updates of the whole run (a resumed one goes on counting) are left out with a
            warning instead; the next one stops the run. Where batches are accumulated, one that is not
            finite leaves out its whole update, which counts once, and once in the schedule.

    Raises:
        MapLLaVAError: If ``max_skips`` is negative.
    """

    priority = "VERY_HIGH"  # before hooks that average or save

    def __init__(self, max_skips: int = 0) -> None:
        if max_skips < 0:
            raise MapLLaVAError(f"NonFiniteLossHook.max_skips is {max_skips}: use 0 or more")
        self.max_skips = max_skips
        self._left_out = False  # the update at hand, because of an earlier batch

    def after_train_iter(
        self, runner: Runner, batch_idx: int, data_batch: Any = None, outputs: Mapping[str, Any] | None = None
    ) -> None:
        """Look at every loss term.

        Raises:
            MapLLaVAError: If one is not finite, here or in another process, and no skip is left.
        """
        if self._left_out:
            self._left_out = not runner.optim_wrapper.should_update()
            return
        terms = {name: float(torch.as_tensor(value).detach()) for name, value in (outputs or {}).items()}
        bad = [name for name, value in terms.items() if not math.isfinite(value)]
        stopped = getattr(runner.optim_wrapper, "nonfinite", None)
        here = bool(bad) or stopped not in (None, "loss")
        if not _anywhere(here or stopped is not None):
            return
        if not here:
            bad.append(f"{stopped or 'a value'} of another process")
        elif stopped and stopped not in bad:
            bad.append(stopped)
        samples = sample_names(data_batch)
        where = f"not finite at epoch {runner.epoch + 1}, step {runner.iter + 1}: {', '.join(bad)}"
        if stopped and self._skip(runner, f"{where}; samples: {', '.join(samples) or 'unnamed'}"):
            self._left_out = not runner.optim_wrapper.should_update()
            return
        path = Path(runner.work_dir) / f"nonfinite_iter_{runner.iter + 1}_rank_{get_rank()}.pth"
        if here:
            with atomic_write(path) as partial:
                torch.save(_evidence(runner, terms, samples, data_batch), partial)
        first = _first_module(runner, batch_idx, data_batch) if stopped else ""
        raise MapLLaVAError(
            f"{where}{first if here else ''}; samples: {', '.join(samples) or 'unnamed'}. "
            + (f"Batch and trained weights are in {path}. " if here else "")
            + "Usual causes: learning rate too high (lower optim_wrapper.optimizer.lr), float16 (set "
            "optim_wrapper.dtype=bfloat16 or None), a broken label. To leave such updates out, a bounded "
            "number of times: NonFiniteLossHook's max_skips"
        )

    def _skip(self, runner: Runner, what: str) -> bool:
        """Count an update that is left out; False if none may be any more, in all processes alike."""
        skipped = int(runner.message_hub.runtime_info.get(SKIPPED, 0))
        if skipped >= self.max_skips:
            return False
        held = [*runner.model.named_parameters(), *runner.model.named_buffers()]
        broken = [name for name, value in held if not bool(local_part(value.detach()).isfinite().all())]
        if _anywhere(bool(broken)):
            spoilt = ", ".join(broken[:4]) or "weights or statistics of another process"
            runner.logger.warning(f"cannot leave the update out: the model itself is not finite, in {spoilt}")
            return False
        runner.message_hub.update_info(SKIPPED, skipped + 1)
        runner.logger.warning(f"{what}: update left out, {skipped + 1} of at most {self.max_skips}")
        return True


def _anywhere(here: bool) -> bool:
    """Whether it is so in any process; all must call it."""
    found = torch.tensor(float(here))
    all_reduce(found, op="max")
    return bool(found)


def _evidence(runner: Runner, terms: dict[str, float], samples: list[str], batch: Any) -> dict[str, Any]:
    return {
        "terms": terms,
        "samples": samples,
        "epoch": runner.epoch + 1,
        "iter": runner.iter + 1,
        "batch": _plain_batch(batch),
        "state_dict": {name: local_part(value.detach()).cpu() for name, value in _trainable(runner.model)},
    }


def _first_module(runner: Runner, batch_idx: int, batch: Any) -> str:
    """Where it begins; a second look that fails must not hide what the first one saw."""
    try:
        found = look_again(runner, batch_idx, batch)
    except Exception as error:
        return f" (computing it again failed: {type(error).__name__})"
    if found.forward:
        return f", first in the output of {found.forward}"
    if found.backward:
        return f", first in the gradient at {found.backward}"
    return ", in no module's output: the loss itself"


def _trainable(model: torch.nn.Module) -> list[tuple[str, torch.nn.Parameter]]:
    return [(name, value) for name, value in model.named_parameters() if value.requires_grad]


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
