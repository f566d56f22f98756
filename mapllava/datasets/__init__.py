"""Data sets on GT caches, their transforms, and the tokenizers of the prompt."""

from mapllava.datasets import transforms
from mapllava.datasets.map_dataset import MapDataset
from mapllava.datasets.nuscenes_map_dataset import NuScenesMapDataset
from mapllava.datasets.tokenizers import ByteTokenizer, HFTokenizer

__all__ = ["ByteTokenizer", "HFTokenizer", "MapDataset", "NuScenesMapDataset", "transforms"]
