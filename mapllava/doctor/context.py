"""What the checks share: the config as training would see it, its caches, its training data."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mapllava.errors import MapLLaVAError

if TYPE_CHECKING:
    from mmengine.config import Config
    from torch.utils.data import DataLoader

RUNS = "outputs"


def run_space() -> tuple[Path, int]:
    """The folder that exists of those where runs go, and the bytes that are free there."""
    folder = Path(RUNS).absolute()
    while not folder.exists():
        folder = folder.parent
    return folder, shutil.disk_usage(folder).free


@dataclass(frozen=True)
class Source:
    """A data set on a GT cache, as the config names it.

    Attributes:
        loader: the first data loader that reads it, e.g. ``val_dataloader``.
        root: its data root.
        cache: path of its GT cache.
    """

    loader: str
    root: Path
    cache: Path


@dataclass
class Context:
    """The question, and what several checks need to answer it; read once, when first asked for.

    Attributes:
        config: path of the config; None for the machine alone.
        cfg_options: ``KEY=VALUE`` texts that override config values.
        plugins: modules or files that register components.
        samples: samples per split whose images are decoded; 0 for all.
        unusable: packages that cannot be imported though everything stands on them, or whose import kills
            the process; written by the check of packages, and reason enough to look no further.
    """

    config: str | None = None
    cfg_options: Sequence[str] = ()
    plugins: Sequence[str] = ()
    samples: int = 4
    unusable: list[str] = field(default_factory=list)

    @cached_property
    def written(self) -> Config:
        """The config with the command line's options, as it is written.

        Raises:
            MapLLaVAError: If it cannot be read.
        """
        from mapllava.config.options import read_options
        from mapllava.config.read import read_config

        try:
            options = read_options(self.cfg_options)
        except ValueError as error:
            raise MapLLaVAError(f"--cfg-options: {error}") from error
        return read_config(str(self.config), options, self.plugins)

    @cached_property
    def cfg(self) -> Config:
        """The config as training builds from it, all filled in."""
        import copy

        from mapllava.config.resolve import resolve

        return resolve(copy.deepcopy(self.written))

    @cached_property
    def sources(self) -> list[Source]:
        """Data sets on GT caches, each once for training and once for the rest."""
        from mapllava.config.resolve import cached_datasets
        from mapllava.config.walk import DATALOADERS

        found: dict[tuple[bool, Path, Path], Source] = {}
        for where, dataset, cache in cached_datasets(self.cfg):
            source = Source(where.partition(".")[0], Path(dataset.get("data_root") or "."), cache)
            found.setdefault((source.loader == DATALOADERS[0], source.root, source.cache), source)
        return list(found.values())

    def cache(self, source: Source) -> dict[str, Any]:
        """The GT cache of a data set, fresh and fit for the config.

        Raises:
            MapLLaVAError: If it is missing, damaged, stale or made for something else.
        """
        if source.cache not in self._caches:
            from mapllava import gt_cache
            from mapllava.structures.frames import MapSpec

            spec = MapSpec.from_config(dict(self.cfg.map_spec))
            self._caches[source.cache] = gt_cache.load(source.cache, expected=spec, dataroot=source.root)
        return self._caches[source.cache]

    @cached_property
    def train_loader(self) -> DataLoader:
        """The training data, read by this process."""
        from mmengine.runner import Runner

        cfg = self.cfg.train_dataloader.to_dict()
        for key in ("persistent_workers", "prefetch_factor", "pin_memory", "timeout"):
            cfg.pop(key, None)
        return Runner.build_dataloader({**cfg, "num_workers": 0}, seed=0)

    @cached_property
    def _caches(self) -> dict[Path, dict[str, Any]]:
        return {}
