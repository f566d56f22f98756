"""Argoverse 2 through its GT cache."""

from __future__ import annotations

from mapllava.datasets.map_dataset import MapDataset
from mapllava.registry import DATASETS
from mapllava.structures.frames import CLASSES


@DATASETS.register_module()
class Argoverse2MapDataset(MapDataset):
    """:class:`MapDataset` under Argoverse 2's name: seven ring cameras, the front one upright.

    The cache's version names the definition of its map elements and comes with every score.
    """

    METAINFO: dict = {"dataset_type": "argoverse2", "classes": CLASSES}
