"""An exponential moving average of the trained weights that is usable from the first update on."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import get_ema_multi_avg_fn

from mapllava.engine.distributed.sharding import local_part, shard_like
from mapllava.engine.distributed.unwrap_model import unwrap_model
from mapllava.errors import MapLLaVAError


class WeightAverage:
    """The average of a model's trainable parameters and persistent floating-point buffers.

    After update ``n`` it keeps ``min(decay, (1 + n) / (warmup + n))`` of itself, so that the random
    weights of the start are forgotten within a few updates (the rule of TensorFlow's
    ``ExponentialMovingAverage(num_updates=…)``). Frozen weights are neither copied nor averaged.

    Args:
        decay: The share kept in the long run, in (0, 1).
        warmup: The larger, the longer the average stays close to the current weights; at least 1.

    Attributes:
        values: The averages by name, each placed and shaped as what it averages; empty before the start.
        updates: How often it was updated.
    """

    def __init__(self, decay: float, warmup: int) -> None:
        self.decay, self.warmup = decay, warmup
        self.updates = 0
        self.values: dict[str, Tensor] = {}
        self._trained: dict[str, Tensor] = {}  # what is averaged; the tensors stay the same for a run

    def momentum(self) -> float:
        """The share that the average keeps at the next update."""
        return min(self.decay, (1 + self.updates) / (self.warmup + self.updates))

    def start(self, model: nn.Module) -> None:
        """Average this model, from its current weights on unless values have been restored."""
        self._trained = _averaged(model)
        if not self.values:
            self.values = {name: value.detach().clone() for name, value in self._trained.items()}

    @torch.no_grad()
    def update(self) -> None:
        """Take in the current weights."""
        average = get_ema_multi_avg_fn(self.momentum())
        averages = [local_part(self.values[name]) for name in self._trained]
        average(averages, [local_part(value) for value in self._trained.values()], self.updates)
        self.updates += 1

    @torch.no_grad()
    def swap(self, model: nn.Module) -> None:
        """Exchange the model's weights with the average; without values nothing happens."""
        for name, value in _averaged(model).items() if self.values else ():
            current, average = local_part(value), local_part(self.values[name])
            kept = current.detach().clone()
            current.copy_(average)
            average.copy_(kept)

    @contextmanager
    def swapped(self, model: nn.Module) -> Iterator[None]:
        """Inside, the model has what the average holds, and the other way round."""
        self.swap(model)
        try:
            yield
        finally:
            self.swap(model)

    def restore(
        self, model: nn.Module, values: Mapping[str, Tensor], trained: Mapping[str, Tensor], updates: int
    ) -> None:
        """Go on from a checkpoint.

        Args:
            model: Whose weights are averaged.
            values: The average, whole tensors by name, among others.
            trained: Names of what was averaged then.
            updates: How often.

        Raises:
            MapLLaVAError: If the model trains what was not averaged then; lists it.
        """
        current = _averaged(model)
        missing = sorted(set(current) - set(trained))
        if missing:
            raise MapLLaVAError(
                f"the checkpoint's average lacks {', '.join(missing[:12])}: was more frozen then?"
            )
        self.values = {
            name: shard_like(values[name].to(value.device).clone(), value)
            for name, value in current.items()
            if name in values
        }
        self.updates = updates


def _averaged(model: nn.Module) -> dict[str, Tensor]:
    """Trainable parameters and persistent floating-point buffers by name."""
    model = unwrap_model(model)
    values: dict[str, Tensor] = {
        name: value for name, value in model.named_parameters() if value.requires_grad
    }
    saved = set(model.state_dict(keep_vars=True))
    for name, buffer in model.named_buffers():
        if name in saved and buffer.is_floating_point():
            values[name] = buffer
    return values
