"""Losses of several batches that make one update together, of all processes and accumulated."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from mmengine.dist import all_reduce, get_world_size
from torch import Tensor, nn

from mapllava.errors import MapLLaVAError


def avg_factor(part: nn.Module, data_samples: Sequence[Any]) -> float:
    """What the losses of a part of the model are averaged over in a batch: its ``avg_factor``, or samples.

    Raises:
        MapLLaVAError: if it is no number from 0.
    """
    count = getattr(part, "avg_factor", len)(data_samples)
    if not isinstance(count, (int, float)) or not count >= 0:
        raise MapLLaVAError(f"{type(part).__name__}.avg_factor gave {count!r}; expected a number from 0")
    return float(count)


def update_avg_factors(parts: Sequence[nn.Module], batches: Sequence[Sequence[Any]]) -> list[float]:
    """What each part's losses are averaged over in the batches of an update, as a mean per batch.

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
    """Weigh a batch's mean losses: their mean over the batches of an update is then that of one large batch.

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
