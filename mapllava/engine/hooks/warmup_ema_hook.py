"""An exponential moving average of the trained weights that is usable from the first epoch on."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from mmengine.hooks import Hook
from mmengine.runner import Runner
from torch import Tensor, nn
from torch.optim.swa_utils import get_ema_multi_avg_fn

from mapllava.engine.distributed.sharding import gather, local_part, shard_like
from mapllava.engine.distributed.unwrap_model import bare_model
from mapllava.errors import MapLLaVAError
from mapllava.registry import HOOKS

AVERAGE, RAW_WEIGHTS = "average", "raw"
"""What a best model's record calls the weights that were chosen."""
RAW = "raw/"
"""Before the names of metrics of the weights in training, where the others are of their average."""


@HOOKS.register_module()
class WarmupEMAHook(Hook):
    """Averages trainable parameters and floating-point buffers; validates and saves the average.

    After update ``n`` the average keeps ``min(decay, (1 + n) / (warmup + n))`` of itself, so that
    the random weights of the start are forgotten within a few updates (the rule of
    TensorFlow's ``ExponentialMovingAverage(num_updates=…)``). Frozen weights are neither copied nor
    averaged. A checkpoint's ``state_dict`` is the average, ready to be used; where the optimiser's
    state is saved too, ``ema_state_dict`` holds the weights that training goes on with. Only a best
    model whose raw weights scored higher (``meta.best.weights`` is ``raw``) holds these instead.

    Args:
        decay: The share kept in the long run, in (0, 1).
        warmup: The larger, the longer the average stays close to the current weights; at least 1.

    Raises:
        MapLLaVAError: If an argument is out of range.
    """

    priority = "NORMAL"

    def __init__(self, decay: float = 0.998, warmup: int = 10) -> None:
        if not 0.0 < decay < 1.0 or warmup < 1:
            raise MapLLaVAError(
                f"WarmupEMAHook(decay={decay}, warmup={warmup}): needs 0 < decay < 1, warmup >= 1"
            )
        self.decay = decay
        self.warmup = warmup
        self.updates = 0
        self.average: dict[str, Tensor] = {}
        self._whole: dict[str, Tensor] = {}  # the average of a sharded model, gathered for a checkpoint
        self._trained: dict[str, Tensor] = {}  # what is averaged; the tensors stay the same for a run

    def momentum(self) -> float:
        """The share that the average keeps at the next update."""
        return min(self.decay, (1 + self.updates) / (self.warmup + self.updates))

    def before_train(self, runner: Runner) -> None:
        """Start from the current weights, unless a checkpoint has brought an average."""
        self._trained = _averaged(runner.model)
        if not self.average:
            self.average = {name: value.detach().clone() for name, value in self._trained.items()}

    @torch.no_grad()
    def after_train_iter(
        self, runner: Runner, batch_idx: int, data_batch: object = None, outputs: object = None
    ) -> None:
        """Average after every update of the optimiser, not after every accumulated batch."""
        if not runner.optim_wrapper.should_update() or getattr(runner.optim_wrapper, "nonfinite", None):
            return
        update = get_ema_multi_avg_fn(self.momentum())
        averages = [local_part(self.average[name]) for name in self._trained]
        update(averages, [local_part(value) for value in self._trained.values()], self.updates)
        self.updates += 1

    def before_val_epoch(self, runner: Runner) -> None:
        """Validate with the average."""
        self._swap(runner.model)

    def after_val_epoch(self, runner: Runner, metrics: dict | None = None) -> None:
        """Go on with the weights in training."""
        self._swap(runner.model)

    @contextmanager
    def set_aside(self, model: nn.Module) -> Iterator[None]:
        """Within a validation: for a while, the model has the weights in training again."""
        self._swap(model)
        try:
            yield
        finally:
            self._swap(model)

    def gather_checkpoint(self, runner: Runner) -> None:
        """Called in every process before a checkpoint of a sharded model."""
        self._whole = gather(self.average)

    def before_save_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Put the average where a model's weights are looked for, and the weights aside."""
        if not self.average or checkpoint.get("meta", {}).get("best", {}).get("weights") == RAW_WEIGHTS:
            self._whole = {}
            return
        state = checkpoint["state_dict"]
        if "optimizer" in checkpoint:
            checkpoint["ema_state_dict"] = {name: state[name] for name in self.average}
            checkpoint["ema_updates"] = self.updates
        average = self._whole or self.average
        state.update({name: value.detach().cpu().clone() for name, value in average.items()})
        self._whole = {}

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """On resume, take average and weights apart again; otherwise the average is what is used."""
        if not getattr(runner, "_resume", False):
            return
        if "ema_state_dict" not in checkpoint:
            runner.logger.warning("the checkpoint has no average: it starts from the checkpoint's weights")
            return
        state, current = checkpoint["state_dict"], _averaged(runner.model)
        missing = sorted(set(current) - set(checkpoint["ema_state_dict"]))
        if missing:
            raise MapLLaVAError(
                f"the checkpoint's average lacks {', '.join(missing[:12])}: was more frozen then?"
            )
        self.average = {
            name: shard_like(state[name].to(value.device).clone(), value)
            for name, value in current.items()
            if name in state
        }
        self.updates = int(checkpoint["ema_updates"])
        state.update(checkpoint["ema_state_dict"])

    @torch.no_grad()
    def _swap(self, model: nn.Module) -> None:
        """Exchange the weights with the average; a run that only tests has none."""
        if not self.average:
            return
        for name, value in _averaged(model).items():
            current, average = local_part(value), local_part(self.average[name])
            kept = current.detach().clone()
            current.copy_(average)
            average.copy_(kept)


def average_of(runner: Runner) -> WarmupEMAHook | None:
    """The hook that averages a run's weights, once it has an average; None where there is none."""
    return next((hook for hook in runner.hooks if isinstance(hook, WarmupEMAHook) and hook.average), None)


def _averaged(model: nn.Module) -> dict[str, Tensor]:
    """Trainable parameters and persistent floating-point buffers by name."""
    model = bare_model(model)
    values: dict[str, Tensor] = {
        name: value for name, value in model.named_parameters() if value.requires_grad
    }
    saved = set(model.state_dict(keep_vars=True))
    for name, buffer in model.named_buffers():
        if name in saved and buffer.is_floating_point():
            values[name] = buffer
    return values
