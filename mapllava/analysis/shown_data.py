"""What training shows the network: a sample after the config's own pipeline, visit by visit."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from itertools import islice
from typing import Any

import numpy as np
from mmengine.config import Config
from mmengine.registry import DATA_SAMPLERS, DATASETS

from mapllava.config.resolve import resolve
from mapllava.engine.runner.run_checks import check_data
from mapllava.engine.runner.visits import Visit, VisitedDataset, derive_seed, with_visits
from mapllava.errors import MapLLaVAError
from mapllava.structures.frames import MapSpec

SPLITS = ("train", "val", "test")


class ShownData:
    """The data set of one of a config's dataloaders, and the visits that a run pays to its samples.

    A visit of the training data has the random numbers that training gives it: the same seed, epoch and place
    in the sampler's order, whatever the batch size. So a sample looks here as it looks to the network in that
    epoch.

    Args:
        cfg: A config; it is resolved in place.
        split: Of :data:`SPLITS`.

    Raises:
        MapLLaVAError: If the config has no such dataloader, its data is missing, or it has no samples.
    """

    def __init__(self, cfg: Config, split: str) -> None:
        resolve(cfg)
        self.split, self.seed = split, int(cfg.randomness.seed)
        self.spec = MapSpec.from_config(dict(cfg.map_spec))
        self._loader = cfg.get(f"{split}_dataloader")
        if not self._loader:
            raise MapLLaVAError(f"the config has no {split}_dataloader: choose another --split")
        check_data(cfg, (f"{split}_dataloader",))
        self.dataset = VisitedDataset(DATASETS.build(self._loader["dataset"]))

    def __len__(self) -> int:
        return len(self.dataset)

    def choose(
        self,
        tokens: Sequence[str] | None = None,
        num: int = 8,
        seed: int = 0,
        classes: Collection[str] = (),
    ) -> list[int]:
        """Places of samples in the data set.

        Args:
            tokens: These, in this order; None draws ``num`` at random.
            num: Samples to draw, 1 or more.
            seed: Of the choice.
            classes: Draw among samples that have lines of all these classes.

        Raises:
            MapLLaVAError: If a sample or class is not there, or ``num`` is below 1.
        """
        if tokens is not None:
            return self._find(tokens)
        unknown = sorted(set(classes) - set(self.spec.classes))
        if unknown:
            raise MapLLaVAError(f"there is no class {', '.join(unknown)}: choose of {self.spec.classes}")
        if num < 1:
            raise MapLLaVAError(f"num is {num}: it is the number of samples to draw, 1 or more")
        order = np.random.default_rng(seed).permutation(len(self)).tolist()
        wanted = {self.spec.classes.index(name) for name in classes}
        fitting = (k for k in order if not wanted or wanted <= self._labels(k))
        found = sorted(islice(fitting, num))
        if not found:
            raise MapLLaVAError(f"no sample of {self.split} has lines of {', '.join(sorted(classes))}")
        return found

    def visits(self, places: Sequence[int], count: int) -> dict[int, list[tuple[str, Visit]]]:
        """The first ``count`` visits to samples: what each is called, and what the data set is asked for.

        Raises:
            MapLLaVAError: If ``count`` is below 1.
        """
        if count < 1:
            raise MapLLaVAError(f"visits is {count}: use 1 or more")
        if self.split != "train":
            return {
                place: [
                    (f"visit {k + 1}", Visit(place, derive_seed(self.seed, k, place))) for k in range(count)
                ]
                for place in places
            }
        found: dict[int, list[tuple[str, Visit]]] = {place: [] for place in places}
        for name, visit in self._training_visits(count):
            mine = found.get(int(visit))
            if mine is not None and len(mine) < count:
                mine.append((name, visit))
        return found

    def _training_visits(self, epochs: int) -> Iterator[tuple[str, Visit]]:
        """Visits in training's order, enough passes of it."""
        numbered = with_visits(self._loader, self.seed)
        sampler = DATA_SAMPLERS.build(
            numbered["sampler"], default_args={"dataset": self.dataset, "seed": self.seed}
        )
        passes: Any = sampler
        if numbered.get("batch_sampler") is not None:
            size = {"sampler": sampler, "batch_size": numbered.get("batch_size", 1)}
            passes = DATA_SAMPLERS.build(numbered["batch_sampler"], default_args=size)
        endless = "Infinite" in str(self._loader["sampler"].get("type"))
        if endless:
            stream = islice(_flat(passes), epochs * len(self))
            yield from ((f"visit {k // len(self) + 1}", visit) for k, visit in enumerate(stream))
            return
        for epoch in range(epochs):
            if hasattr(sampler, "set_epoch"):
                sampler.set_epoch(epoch)
            passes.next_pass = epoch
            yield from ((f"epoch {epoch + 1}", visit) for visit in _flat(passes))

    def _find(self, tokens: Sequence[str]) -> list[int]:
        left = dict.fromkeys(tokens)
        found: dict[str, int] = {}
        for place in range(len(self)):
            token = str(self.dataset.get_data_info(place)["sample_token"])
            if token in left:
                found.setdefault(token, place)
            if len(found) == len(left):
                return [found[name] for name in left]
        unknown = [name for name in left if name not in found]
        raise MapLLaVAError(
            f"the {self.split} data has no sample {', '.join(unknown[:3])} among its {len(self)}: choose "
            "another --split"
        )

    def _labels(self, place: int) -> set[int]:
        return {int(line.label) for line in self.dataset.get_data_info(place)["polylines"]}


def _flat(entries: Iterable[Any]) -> Iterator[Visit]:
    for entry in entries:
        yield from entry if isinstance(entry, list) else [entry]
