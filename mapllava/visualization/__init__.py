"""Pictures of vector maps: from above, on camera images, and of whole samples (numpy and OpenCV)."""

from mapllava.visualization.bev_canvas import BEVCanvas
from mapllava.visualization.camera_overlay import draw_on_camera, on_ground, project_line
from mapllava.visualization.from_data_sample import camera_views
from mapllava.visualization.map_visualizer import MapVisualizer, picture_of, write_picture
from mapllava.visualization.sample_picture import CameraView, MapLines, draw_sample
from mapllava.visualization.tensorboard_backend import OptionalTensorboardVisBackend

__all__ = [
    "BEVCanvas",
    "CameraView",
    "MapLines",
    "MapVisualizer",
    "OptionalTensorboardVisBackend",
    "camera_views",
    "draw_on_camera",
    "draw_sample",
    "on_ground",
    "picture_of",
    "project_line",
    "write_picture",
]
