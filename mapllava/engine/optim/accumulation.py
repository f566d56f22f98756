"""Batches that make one update of the weights together."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Mapping
from contextlib import nullcontext
from itertools import islice
from typing import Any

from mmengine.optim import OptimWrapperDict
from mmengine.runner import Runner

from mapllava.engine.distributed.unwrap_model import unwrap_model


def accumulative_counts(optim_wrapper: Any) -> int:
    """Batches of an update, of an optimiser's wrapper or of its config."""
    if isinstance(optim_wrapper, OptimWrapperDict) or optim_wrapper is None:
        return 1  # a model with several optimisers steps them itself
    if isinstance(optim_wrapper, Mapping):
        return int(optim_wrapper.get("accumulative_counts", 1))
    return optim_wrapper._accumulative_counts  # an argument that nothing public gives back


def count_updates(batches: int, optim_wrapper: Any) -> int:
    """Updates of the weights that so many batches make; the last may have fewer batches than the others."""
    return -(-batches // accumulative_counts(optim_wrapper))


def by_update(batches: Iterable[Any], runner: Runner) -> Generator[Any, None, None]:
    """Batches one by one, those of an update read ahead, so that its losses can be divided by what all hold.

    A model that can has a context manager ``one_update(batches)``, see :class:`~mapllava.models.MapLLaVA`;
    of another, every batch weighs as much as the others.

    Args:
        batches: Training batches, from the beginning of an update.
        runner: Its optimiser's wrapper says how many make an update.
    """
    one_update = getattr(unwrap_model(runner.model), "one_update", nullcontext)
    left, every = iter(batches), accumulative_counts(runner.optim_wrapper)
    while update := list(islice(left, every)):
        with one_update(update):
            while update:
                yield update.pop(0)  # nothing here keeps a batch that has been used in memory
