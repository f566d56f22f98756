"""nuScenes (or a data set written in its format) through its GT cache."""

from __future__ import annotations

from mapllava.datasets.map_dataset import MapDataset
from mapllava.registry import DATASETS
from mapllava.structures.frames import CLASSES


@DATASETS.register_module()
class NuScenesMapDataset(MapDataset):
    """:class:`MapDataset` under nuScenes' name; real nuScenes and the synthetic city alike.

    Everything nuScenes knows is in the cache already, so there is nothing to add.
    """

    METAINFO: dict = {"dataset_type": "nuscenes", "classes": CLASSES}
