"""Data sets on GT caches and their transforms, and one of sentences."""

from mapllava.datasets import transforms
from mapllava.datasets.argoverse2_map_dataset import Argoverse2MapDataset
from mapllava.datasets.concat_dataset import MapConcatDataset
from mapllava.datasets.map_dataset import MapDataset
from mapllava.datasets.nuscenes_map_dataset import NuScenesMapDataset
from mapllava.datasets.request_pairs import RequestPairs

__all__ = [
    "Argoverse2MapDataset",
    "MapConcatDataset",
    "MapDataset",
    "NuScenesMapDataset",
    "RequestPairs",
    "transforms",
]
