"""Where bf16 would cost metres: coordinates, samplings and losses stay in full precision."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext

import torch
from torch import Tensor


def full_precision(tensor: Tensor) -> AbstractContextManager:
    """Autocast off on the device of a tensor of any shape; the meta device knows none and is left alone."""
    return nullcontext() if tensor.is_meta else torch.autocast(tensor.device.type, enabled=False)
