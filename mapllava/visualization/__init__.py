"""Pictures of vector maps: from above, on camera images, and of whole samples (Matplotlib).

What stands on MMEngine is loaded on first use: processes that only draw need none of it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mapllava.visualization.camera_overlay import camera_lines, on_ground, project_line
from mapllava.visualization.map_axes import draw_map_axes
from mapllava.visualization.sample_picture import (
    CameraView,
    draw_sample,
    map_figure,
    sample_figure,
)
from mapllava.visualization.style import PREDICTION, TRUTH
from mapllava.visualization.thinning import thin
from mapllava.visualization.write import render, write_picture

if TYPE_CHECKING:
    from mapllava.visualization.from_data_sample import camera_views
    from mapllava.visualization.map_visualizer import MapVisualizer, picture_of
    from mapllava.visualization.tensorboard_backend import OptionalTensorboardVisBackend

__all__ = [
    "PREDICTION",
    "TRUTH",
    "CameraView",
    "MapVisualizer",
    "OptionalTensorboardVisBackend",
    "camera_lines",
    "camera_views",
    "draw_map_axes",
    "draw_sample",
    "map_figure",
    "on_ground",
    "picture_of",
    "project_line",
    "render",
    "sample_figure",
    "thin",
    "write_picture",
]


_LATER = {
    "camera_views": "from_data_sample",
    "MapVisualizer": "map_visualizer",
    "picture_of": "map_visualizer",
    "OptionalTensorboardVisBackend": "tensorboard_backend",
}


def __getattr__(name: str) -> Any:
    if name in _LATER:
        from importlib import import_module

        return getattr(import_module(f"{__name__}.{_LATER[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
