"""Whole tasks in one call; each is imported when it is first used."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mapllava.apis.cache_pictures import draw_samples
    from mapllava.apis.inference import MapPredictor, load_model
    from mapllava.apis.map_inferencer import MapInferencer, RigPrediction
    from mapllava.apis.parsing import load_parser

__all__ = ["MapInferencer", "MapPredictor", "RigPrediction", "draw_samples", "load_model", "load_parser"]

_HOMES = {
    "MapInferencer": "map_inferencer",
    "MapPredictor": "inference",
    "RigPrediction": "map_inferencer",
    "draw_samples": "cache_pictures",
    "load_model": "inference",
    "load_parser": "parsing",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
