"""MMEngine's side of the pictures."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from mmengine.visualization import Visualizer

from mapllava.registry import VISUALIZERS
from mapllava.structures.map_data_sample import MapDataSample
from mapllava.visualization.from_data_sample import camera_views, ground_truth_lines, predicted_lines
from mapllava.visualization.sample_picture import draw_sample
from mapllava.visualization.write import write_picture


@VISUALIZERS.register_module()
class MapVisualizer(Visualizer):
    """Draws whole samples, and hands the pictures to the configured backends (TensorBoard, files).

    Takes the arguments of :class:`mmengine.visualization.Visualizer`.
    """

    def add_datasample(  # type: ignore[override]
        self,
        name: str,
        image: Any,
        data_sample: MapDataSample,
        draw_gt: bool = True,
        draw_pred: bool = True,
        score_thr: Any = None,
        out_file: str | Path | None = None,
        step: int = 0,
    ) -> np.ndarray:
        """Draw a sample and record the picture.

        Args:
            name: Name of the picture in the backends.
            image: The network's images ``(N, 3, H, W)`` uint8 BGR, used where the stored ones
                cannot be; or None.
            data_sample: With ``map_spec`` and ``lidar2ego`` among its meta information.
            draw_gt: Draw the ground truth, if there is one.
            draw_pred: Draw the prediction, if there is one.
            score_thr: Lowest score drawn; see :func:`sample_figure`.
            out_file: Also written here; its folder is made.
            step: Step at which the backends file it.

        Returns:
            The picture, ``(H, W, 3)`` uint8, RGB as MMEngine's backends take it.
        """
        picture = picture_of(data_sample, image, draw_gt, draw_pred, score_thr)
        rgb = np.ascontiguousarray(picture[..., ::-1])
        self.set_image(rgb)
        self.add_image(name, rgb, step)
        if out_file is not None:
            write_picture(out_file, picture)
        return rgb


def picture_of(
    data_sample: MapDataSample,
    network_images: Any = None,
    draw_gt: bool = True,
    draw_pred: bool = True,
    score_thr: Any = None,
    score: str = "",
) -> np.ndarray:
    """Draw a data sample; see :func:`~mapllava.visualization.sample_picture.draw_sample`.

    Returns:
        ``(H, W, 3)`` uint8 BGR.
    """
    meta = data_sample.metainfo
    return draw_sample(
        meta,
        camera_views(meta, network_images),
        ground_truth_lines(data_sample) if draw_gt else None,
        predicted_lines(data_sample) if draw_pred else None,
        score_thr,
        score,
    )
