"""Data sets on GT caches, and their transforms."""

from mapllava.datasets import transforms
from mapllava.datasets.concat_dataset import MapConcatDataset
from mapllava.datasets.map_dataset import MapDataset
from mapllava.datasets.nuscenes_map_dataset import NuScenesMapDataset

__all__ = ["MapConcatDataset", "MapDataset", "NuScenesMapDataset", "transforms"]
