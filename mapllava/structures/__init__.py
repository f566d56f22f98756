"""Data structures that every part shares; only ``MapDataSample`` needs torch, and is loaded on first use."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mapllava.structures.frames import CLASSES, FRAMES, ROI, MapSpec
from mapllava.structures.map_elements import Polyline
from mapllava.structures.map_lines import MapLines

if TYPE_CHECKING:
    from mapllava.structures.map_data_sample import MapDataSample

__all__ = ["CLASSES", "FRAMES", "ROI", "MapDataSample", "MapLines", "MapSpec", "Polyline"]


def __getattr__(name: str) -> Any:
    if name == "MapDataSample":
        from mapllava.structures.map_data_sample import MapDataSample

        return MapDataSample
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
