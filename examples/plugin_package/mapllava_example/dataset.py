"""A data set of one's own: the first scenes of a GT cache alone."""

from __future__ import annotations

from typing import Any

from mapllava.datasets import MapDataset
from mapllava.errors import MapLLaVAError
from mapllava.registry import DATASETS


@DATASETS.register_module()
class FirstScenesDataset(MapDataset):
    """``MapDataset`` that keeps the samples of the first scenes of its cache.

    Args:
        num_scenes: how many.
        **kwargs: those of :class:`mapllava.datasets.MapDataset`.

    Raises:
        MapLLaVAError: if the cache has fewer, or ``num_scenes`` is below 1.
    """

    def __init__(self, *, num_scenes: int, **kwargs: Any) -> None:
        self.num_scenes = num_scenes
        super().__init__(**kwargs)

    def load_data_list(self) -> list[dict]:
        """The cache's entries of the first ``num_scenes`` scenes, in the cache's order."""
        entries = super().load_data_list()
        scenes = list(dict.fromkeys(entry["scene_name"] for entry in entries))
        if not 1 <= self.num_scenes <= len(scenes):
            raise MapLLaVAError(f"num_scenes is {self.num_scenes}: {self.ann_file} has {len(scenes)} scenes")
        kept = set(scenes[: self.num_scenes])
        return [entry for entry in entries if entry["scene_name"] in kept]
