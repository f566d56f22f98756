"""Random numbers that depend on seed, epoch and sample only."""

from __future__ import annotations

import random
from collections.abc import Iterator

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


class SeedSample:
    """A pipeline's first step: seeds the generators from (seed, epoch, sample index).

    Workers that live on between epochs see a new epoch because it lies in shared memory.

    Args:
        seed: The run's seed.
    """

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self._epoch = torch.zeros((), dtype=torch.int64).share_memory_()

    def set_epoch(self, epoch: int) -> None:
        """Tell all workers the epoch."""
        self._epoch.fill_(epoch)

    def __call__(self, results: dict) -> dict:
        """Seed by ``results['sample_idx']`` and hand the results on."""
        seed_all(derive_seed(self.seed, int(self._epoch), int(results["sample_idx"])))
        return results

    def __repr__(self) -> str:
        return f"SeedSample(seed={self.seed})"


def pipelines(dataset: object) -> Iterator[list]:
    """The lists of transforms of a data set, below wrappers such as ``ConcatDataset``."""
    transforms = getattr(getattr(dataset, "pipeline", None), "transforms", None)
    if transforms is not None:
        yield transforms
        return
    inner = getattr(dataset, "dataset", None)
    for entry in [inner] if inner is not None else getattr(dataset, "datasets", []):
        yield from pipelines(entry)
