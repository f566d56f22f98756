"""Memory that training keeps per process, from the shapes of a model's parameters alone."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import torch
from torch import nn

from mapllava.engine.distributed.fsdp2_wrapper import TRANSFORMER_BLOCKS
from mapllava.engine.distributed.sharding import sharding_units

_GATHERED_UNITS = 2  # one computes while the next is fetched
_REDUCE_BYTES = 4  # float32


@dataclass(frozen=True)
class StateMemory:
    """Bytes in one process; activations and the library's own buffers are not among them.

    Attributes:
        parameters: all of them, frozen ones too.
        gradients: of what trains.
        optimizer: AdamW's two averages.
        exchange: DDP's buckets of gradients; FSDP2's whole units while they compute, and their gradients.
    """

    parameters: int
    gradients: int
    optimizer: int
    exchange: int

    @property
    def total(self) -> int:
        """Their sum."""
        return self.parameters + self.gradients + self.optimizer + self.exchange


def state_memory(
    model: nn.Module,
    processes: int = 1,
    sharded: bool = False,
    units: Sequence[str] = TRANSFORMER_BLOCKS,
    param_dtype: str | None = None,
) -> StateMemory:
    """Memory of parameters, gradients and AdamW's state in the process that holds most.

    Args:
        model: A model; the meta device is enough.
        processes: How many train together.
        sharded: By :class:`~mapllava.engine.FSDP2Wrapper` instead of DistributedDataParallel.
        units: The wrapper's argument.
        param_dtype: The wrapper's argument.
    """
    share = processes if sharded else 1
    everything = list(model.parameters())
    trained = [parameter for parameter in everything if parameter.requires_grad]
    gradients = shard_bytes(trained, share)
    if sharded:
        exchange = _gathered_bytes(model, units, param_dtype) if processes > 1 else 0
    else:
        exchange = gradients if processes > 1 else 0
    return StateMemory(shard_bytes(everything, share), gradients, 2 * gradients, exchange)


def shard_bytes(parameters: Iterable[nn.Parameter], processes: int) -> int:
    """Bytes of the largest share of parameters that are split along their first dimension."""
    total = 0
    for parameter in parameters:
        rows = parameter.shape[0] if parameter.ndim else 1
        if rows:
            total += math.ceil(rows / processes) * (parameter.numel() // rows) * parameter.element_size()
    return total


def _gathered_bytes(model: nn.Module, units: Sequence[str], param_dtype: str | None) -> int:
    """What is whole at once: everything outside of units, and the largest units, with gradients."""
    parts = [list(unit.parameters()) for unit in sharding_units(model, units)]
    inside = {id(parameter) for part in parts for parameter in part}
    outside = [parameter for parameter in model.parameters() if id(parameter) not in inside]
    trained = [parameter for parameter in outside if parameter.requires_grad]
    size = None if param_dtype is None else getattr(torch, param_dtype).itemsize
    weights = max((sum(p.numel() * (size or p.element_size()) for p in part) for part in parts), default=0)
    gradients = max(
        (
            sum(p.numel() * ((size or p.element_size()) + _REDUCE_BYTES) for p in part if p.requires_grad)
            for part in parts
        ),
        default=0,
    )
    return shard_bytes(outside, 1) + shard_bytes(trained, 1) + _GATHERED_UNITS * weights + gradients
