"""The samples that a model is looked at with, each beside one of another scene."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from mmengine.config import Config
from mmengine.dataset import pseudo_collate
from torch.utils.data import DataLoader, Dataset

from mapllava.config.resolve import leaf_datasets
from mapllava.engine.hooks.ablation_hook import donor_of
from mapllava.engine.hooks.run_folder_hook import split_name
from mapllava.engine.runner.run_checks import check_data
from mapllava.errors import MapLLaVAError
from mapllava.registry import DATASETS

SPLITS = ("train", "val", "test")


class ChosenSamples(Dataset):
    """Pairs of a sample and one of another scene.

    Every split is seen through the pipeline of the test data, so without augmentation, with the
    lines that losses need added.

    Args:
        cfg: A config that :func:`mapllava.config.resolve.resolve` has seen.
        split: One of :data:`SPLITS`: whose dataloader names the data.
        num_points: Points per line that the model predicts.
        max_samples: Most samples, drawn at random; 0 for all.
        seed: Of the draw.
        with_donors: Give pairs; otherwise None in the place of the second.

    Raises:
        MapLLaVAError: If the config has no such data, or several data sets in one, or something of
            them is missing.
    """

    def __init__(
        self, cfg: Config, split: str, num_points: int, max_samples: int, seed: int, with_donors: bool = True
    ) -> None:
        self.dataset: Any = DATASETS.build(_config_of(cfg, split, num_points))
        every = np.arange(len(self.dataset))
        if 0 < max_samples < len(every):
            every = np.sort(np.random.default_rng(seed).choice(every, max_samples, replace=False))
        self.indices: list[int] = every.tolist()
        scenes = [self.dataset.get_data_info(index)["scene_token"] for index in range(len(self.dataset))]
        self.scenes = [scenes[index] for index in self.indices]
        self.donors: list[int] | None = None
        if with_donors and len(set(scenes)) > 1:
            self.donors = [donor_of(index, scenes) for index in self.indices]

    @property
    def name(self) -> str:
        """Version and split of the data, as scores are labelled with."""
        return split_name(self.dataset) or "unknown"

    def __len__(self) -> int:
        return len(self.indices)

    def __getitem__(self, index: int) -> tuple[Any, Any]:
        donor = None if self.donors is None else self.dataset[self.donors[index]]
        return self.dataset[self.indices[index]], donor

    def loader(self, cfg: Config) -> DataLoader:
        """Batches of the config's test batch size: collated samples, and collated donors or None."""
        settings = cfg.get("test_dataloader") or {}
        return DataLoader(
            self,
            batch_size=settings.get("batch_size", 1),
            num_workers=settings.get("num_workers", 0),
            collate_fn=_collate,
        )


def _collate(pairs: Sequence[tuple[Any, Any]]) -> tuple[Any, Any]:
    samples, donors = zip(*pairs, strict=True)
    return pseudo_collate(samples), None if donors[0] is None else pseudo_collate(donors)


def _config_of(cfg: Config, split: str, num_points: int) -> dict[str, Any]:
    name = f"{split}_dataloader"
    leaves = list(leaf_datasets(cfg, name))
    tests = list(leaf_datasets(cfg, "test_dataloader")) or list(leaf_datasets(cfg, "val_dataloader"))
    if len(leaves) != 1 or not tests:
        have = [part for part in SPLITS if cfg.get(f"{part}_dataloader")]
        raise MapLLaVAError(
            f"the config's {name} has {len(leaves)} data sets, not one: choose another --split (the config "
            f"has {', '.join(have) or 'none'}), or override it with --cfg-options"
        )
    check_data(cfg, (name,))
    steps = list(tests[0][1].get("pipeline") or [])
    if not any(step["type"] == "ResamplePolylines" for step in steps):
        steps.insert(max(len(steps) - 1, 0), {"type": "ResamplePolylines", "num_points": num_points})
    return {**leaves[0][1], "pipeline": steps, "test_mode": True}
