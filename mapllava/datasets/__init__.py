"""Data sets on GT caches, and their transforms."""

from mapllava.datasets import transforms
from mapllava.datasets.map_dataset import MapDataset
from mapllava.datasets.nuscenes_map_dataset import NuScenesMapDataset

__all__ = ["MapDataset", "NuScenesMapDataset", "transforms"]
