"""Every visit of a training sample has its own random numbers, whoever reads it and whatever ran before."""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator, Mapping
from itertools import islice
from typing import Any

import numpy as np
import torch
from mmengine.dist import get_dist_info
from mmengine.registry import DATA_SAMPLERS, DATASETS
from torch.utils.data import DataLoader, Sampler

from mapllava.errors import MapLLaVAError


def derive_seed(*parts: int) -> int:
    """A 32-bit seed from several integers; different parts give unrelated seeds."""
    return int(np.random.SeedSequence(parts).generate_state(1)[0])


def seed_all(seed: int) -> None:
    """Seed Python, NumPy and PyTorch (all devices)."""
    random.seed(seed)
    np.random.seed(seed)  # noqa: NPY002
    torch.manual_seed(seed)


class Visit(int):
    """A sample's index that carries the seed of one visit to it; to everything else it is the index."""

    seed: int

    def __new__(cls, index: int, seed: int) -> Visit:
        """An index, and the seed that belongs to it."""
        visit = super().__new__(cls, index)
        visit.seed = seed
        return visit

    def __reduce__(self) -> tuple:
        """On its way to a worker."""
        return Visit, (int(self), self.seed)


class VisitSampler(Sampler):
    """Turns the indices of a sampler, or of a batch sampler, into visits.

    A visit's seed comes from the run's seed, the number of the pass over the data, and the visit's
    place in it, all processes counted. Those that deal out one order in turn, as MMEngine's samplers
    do, give a place the same seed for any number of processes and any batch size.

    Args:
        visit_seed: The run's seed, the same in all processes.
        sampler: Config of the sampler; with ``batch_sampler`` it is built already.
        batch_sampler: Config of the batch sampler, if it is that which is numbered.
        **arguments: ``dataset`` and ``seed``, or ``batch_size``: what MMEngine hands to those.

    Attributes:
        next_pass: Number of the pass that iterating starts next; it counts up by itself.
        left_out: Entries (batches, of a batch sampler) that the next pass leaves out.
    """

    def __init__(self, visit_seed: int, sampler: Any, batch_sampler: Any = None, **arguments: Any) -> None:
        if batch_sampler is None:
            self.inner = DATA_SAMPLERS.build(sampler, default_args=arguments)
        else:
            self.inner = DATA_SAMPLERS.build(batch_sampler, default_args={"sampler": sampler, **arguments})
        self.visit_seed = visit_seed
        self.next_pass = 0
        self.left_out = 0

    def __iter__(self) -> Iterator[Visit | list[Visit]]:
        """The rest of a pass, which begins with its first entry: PyTorch makes iterators it does not use."""
        number, skip = self.next_pass, self.left_out
        self.next_pass, self.left_out = number + 1, 0
        place, processes = get_dist_info()
        entries = iter(self.inner)
        for entry in islice(entries, skip):
            place += processes * (len(entry) if isinstance(entry, list) else 1)
        for entry in entries:
            many = isinstance(entry, Iterable)
            visits = []
            for index in entry if many else [entry]:
                visits.append(Visit(index, derive_seed(self.visit_seed, number, place)))
                place += processes
            yield visits if many else visits[0]

    def __len__(self) -> int:
        """As many as the sampler has."""
        return len(self.inner)

    def __getattr__(self, name: str) -> Any:
        """What else a sampler has, for instance ``set_epoch``; not ``skip``, which would not count visits."""
        if name.startswith("__") or name in ("inner", "skip"):
            raise AttributeError(name)
        return getattr(self.inner, name)


class VisitedDataset:
    """Seeds all generators by the visit, then reads the sample: wrappers and transforms draw of them.

    Args:
        dataset: Config of the data set.

    Raises:
        MapLLaVAError: If it has no samples.
    """

    def __init__(self, dataset: Any) -> None:
        self.dataset = DATASETS.build(dataset) if isinstance(dataset, Mapping) else dataset
        if not len(self.dataset):
            raise MapLLaVAError(
                f"train_dataloader.dataset: {type(self.dataset).__name__} has no samples: look at its "
                "indices and times"
            )

    def __getitem__(self, index: int) -> Any:
        """The sample; an index that is no visit is looked up without seeding."""
        if isinstance(index, Visit):
            seed_all(index.seed)
        return self.dataset[int(index)]

    def __len__(self) -> int:
        """As many samples as the data set has."""
        return len(self.dataset)

    def __getattr__(self, name: str) -> Any:
        """What else the data set has, for instance ``metainfo``."""
        if name.startswith("__") or name == "dataset":
            raise AttributeError(name)
        return getattr(self.dataset, name)


def with_visits(dataloader: Mapping[str, Any], seed: int) -> dict[str, Any]:
    """A training dataloader's config with its samples' visits numbered and seeded.

    Args:
        dataloader: MMEngine's config of it; it is not changed.
        seed: The run's seed; a sampler that states none gets it as well.
    """
    loader = {**dataloader, "dataset": {"type": VisitedDataset, "dataset": dataloader["dataset"]}}
    sampler = dataloader["sampler"]
    if not isinstance(sampler, Mapping):
        return loader
    if sampler.get("seed") is None:  # MMEngine would have one drawn, which a resumed run cannot repeat
        sampler = {**sampler, "seed": seed}
    numbered = {"type": VisitSampler, "visit_seed": seed}
    if dataloader.get("batch_sampler") is None:
        loader["sampler"] = {**numbered, "sampler": sampler}
    else:
        loader["sampler"] = sampler
        loader["batch_sampler"] = {**numbered, "batch_sampler": dataloader["batch_sampler"]}
    return loader


def visits_of(dataloader: DataLoader) -> VisitSampler | None:
    """The part of a built dataloader that numbers visits; None where it was not built from a config."""
    batches = dataloader.batch_sampler
    found = (batches, getattr(batches, "sampler", None), dataloader.sampler)
    return next((entry for entry in found if isinstance(entry, VisitSampler)), None)
