"""Sums over the batches of all processes."""

from __future__ import annotations

from mmengine.dist import all_reduce, get_world_size
from torch import Tensor


def sum_over_processes(value: Tensor) -> Tensor:
    """A sum that runs over the batches of all processes, for losses that are not linear in it.

    The gradient is scaled by their number, so that after data parallel training has averaged the
    processes' gradients it is that of one process with all batches.

    Args:
        value: this process's share of the sum, any shape.

    Returns:
        the sum, the same in every process; in one process ``value``.
    """
    size = get_world_size()
    if size == 1:
        return value
    total = value.detach().clone()
    all_reduce(total)
    return total + size * (value - value.detach())
