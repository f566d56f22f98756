"""Losses of several batches that make one update together, of all processes and accumulated."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from mmengine.dist import all_reduce, get_world_size
from torch import Tensor, nn

from mapllava.errors import MapLLaVAError


def avg_factor(part: nn.Module, data_samples: Sequence[Any]) -> float:
    """What a part divides its losses of a batch by: its ``avg_factor``, or the number of samples.

    Raises:
        MapLLaVAError: if it is no number from 0.
    """
    count = getattr(part, "avg_factor", len)(data_samples)
    if not isinstance(count, (int, float)) or not count >= 0:
        raise MapLLaVAError(f"{type(part).__name__}.avg_factor gave {count!r}; expected a number from 0")
    return float(count)


def update_avg_factors(parts: Sequence[nn.Module], batches: Sequence[Sequence[Any]]) -> list[float]:
    """What each part divides its losses by in an update, as a mean over the update's batches.

    Every process must call it, with as many batches as the others.

    Args:
        parts: Of the model, those that have losses.
        batches: The data samples of each of this process's batches.

    Returns:
        One number per part: the sum over all batches and processes, at least 1, over the number of batches.
    """
    totals = [sum(avg_factor(part, samples) for samples in batches) for part in parts]
    if get_world_size() > 1:
        exchanged = torch.tensor(totals)
        all_reduce(exchanged)
        totals = exchanged.tolist()
    return [max(total, 1.0) / (len(batches) * get_world_size()) for total in totals]


def as_part_of_update(losses: dict[str, Any], own: float, mean: float) -> dict[str, Any]:
    """Weight a batch's losses so that their mean over an update's batches is that of one large batch.

    Args:
        losses: Each a tensor or a list of them; other values than losses stay.
        own: The batch's avg_factor; losses of none are divided by 1.
        mean: The update's, see :func:`update_avg_factors`.
    """
    # A loss is the sum over ``own`` things by their number. Times own / mean, the mean over the batches is
    # the sum over all things of the update by the number of all
    weight = max(own, 1.0) / mean

    def weighed(value: Any) -> Any:
        return value * weight if isinstance(value, Tensor) else [weighed(each) for each in value]

    return {name: weighed(value) if "loss" in name else value for name, value in losses.items()}
