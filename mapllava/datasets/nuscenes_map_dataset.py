"""nuScenes (or a data set written in its format) through its GT cache."""

from __future__ import annotations

import re
from pathlib import Path

from mapllava.datasets.map_dataset import MapDataset
from mapllava.registry import DATASETS
from mapllava.structures.frames import CLASSES

_CACHE_NAME = re.compile(r"gt_cache_(?P<version>v\d+\.\d+-[A-Za-z0-9]+)_(?P<split>.+)\.pkl")


@DATASETS.register_module()
class NuScenesMapDataset(MapDataset):
    """:class:`MapDataset` that knows how a missing nuScenes cache is made.

    Version and split are read from the cache's name, ``gt_cache_<version>_<split>.pkl``.
    """

    METAINFO: dict = {"dataset_type": "nuscenes", "classes": CLASSES}

    def build_command(self) -> str:
        """``python tools/create_gt_cache.py`` with the data root, version and split filled in."""
        match = _CACHE_NAME.fullmatch(Path(self.ann_file).name)
        version, split = match.group("version", "split") if match else ("<VERSION>", "<SPLIT>")
        default = ["lidar", [-15.0, -30.0, 15.0, 30.0]]
        extra = ""
        if [self.map_spec.frame, self.map_spec.roi.to_list()] != default:
            bounds = self.map_spec.roi.describe(self.map_spec.frame)
            extra = f" --frame {self.map_spec.frame} --roi={bounds}"
        return f"{super().build_command()} --version {version} --split {split}{extra}"
