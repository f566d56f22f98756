"""Randomness of the transforms."""

from __future__ import annotations

import numpy as np


def fresh_generator() -> np.random.Generator:
    """A generator seeded from NumPy's global state, which MMEngine seeds per worker and rank."""
    return np.random.default_rng(np.random.randint(2**32, dtype=np.uint32))  # noqa: NPY002
