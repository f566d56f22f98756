"""Ground-truth caches: built once from raw tables, read by training and evaluation without the devkit.

``load``, ``save`` and ``cache_path`` need numpy alone; ``build`` brings in shapely and the devkit, and
is therefore imported on first use.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mapllava.gt_cache.schema import FORMAT_VERSION, cache_path
from mapllava.gt_cache.store import load, save

if TYPE_CHECKING:
    from mapllava.gt_cache.builder import build

__all__ = ["FORMAT_VERSION", "build", "cache_path", "load", "save"]


def __getattr__(name: str) -> Any:
    if name == "build":
        from mapllava.gt_cache.builder import build

        return build
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
