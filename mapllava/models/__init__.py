"""Models: every component registers itself when this package is imported by the registry."""

from mapllava.models import decoders, heads, losses, necks, parsers, task_modules, tokenizers, vision_encoders
from mapllava.models.data_preprocessor import MapDataPreprocessor
from mapllava.models.map_llava import MapLLaVA
from mapllava.models.map_queries import InstanceMapQueries, PointMapQueries

__all__ = [
    "InstanceMapQueries",
    "MapDataPreprocessor",
    "MapLLaVA",
    "PointMapQueries",
    "decoders",
    "heads",
    "losses",
    "necks",
    "parsers",
    "task_modules",
    "tokenizers",
    "vision_encoders",
]
