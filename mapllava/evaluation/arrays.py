"""Tensors as arrays."""

from __future__ import annotations

from typing import Any

import numpy as np


def to_numpy(values: Any) -> np.ndarray:
    """A tensor of any shape, dtype and device, or anything array-like, as an array.

    Floating-point tensors become float32, so that half precisions that numpy lacks pass too.
    """
    if hasattr(values, "detach"):
        values = values.detach().cpu()
        values = values.float() if values.is_floating_point() else values
        return values.numpy()
    return np.asarray(values)
