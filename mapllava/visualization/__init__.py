"""Pictures of vector maps: from above, on camera images, and of whole samples (Matplotlib)."""

from mapllava.visualization.camera_overlay import camera_lines, on_ground, project_line
from mapllava.visualization.from_data_sample import camera_views
from mapllava.visualization.map_axes import draw_map_axes
from mapllava.visualization.map_visualizer import MapVisualizer, picture_of
from mapllava.visualization.sample_picture import (
    CameraView,
    MapLines,
    draw_sample,
    map_figure,
    sample_figure,
)
from mapllava.visualization.style import PREDICTION, TRUTH
from mapllava.visualization.tensorboard_backend import OptionalTensorboardVisBackend
from mapllava.visualization.thinning import thin
from mapllava.visualization.write import render, write_picture

__all__ = [
    "PREDICTION",
    "TRUTH",
    "CameraView",
    "MapLines",
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
