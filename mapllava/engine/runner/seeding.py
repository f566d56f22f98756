"""Random numbers that depend on given integers only."""

from __future__ import annotations

import random

import numpy as np
import torch


def derive_seed(*parts: int) -> int:
    """A 32-bit seed from several integers; different parts give unrelated seeds."""
    return int(np.random.SeedSequence(parts).generate_state(1)[0])


def seed_all(seed: int) -> None:
    """Seed Python, NumPy and PyTorch (all devices)."""
    random.seed(seed)
    np.random.seed(seed)  # noqa: NPY002
    torch.manual_seed(seed)
