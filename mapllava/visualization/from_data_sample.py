"""What a picture needs, taken out of a data sample."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from mmengine.logging import print_log

from mapllava.structures import MapLines
from mapllava.structures.map_data_sample import MapDataSample, to_numpy
from mapllava.visualization.sample_picture import CameraView


def ground_truth_lines(sample: MapDataSample) -> MapLines | None:
    """The raw lines of a sample, or None if it carries none (not even an empty list)."""
    lines = sample.metainfo.get("polylines")
    if lines is None:
        return None
    return MapLines(
        [np.asarray(line["points"], dtype=np.float64) for line in lines],
        np.array([line["label"] for line in lines], dtype=np.int64),
    )


def predicted_lines(sample: MapDataSample) -> MapLines | None:
    """The predicted lines of a sample with their scores, or None if it carries none."""
    if "pred_instances" not in sample:
        return None
    pred = sample.pred_instances
    points = list(to_numpy(pred.points).astype(np.float64))
    return MapLines(points, to_numpy(pred.labels).astype(np.int64), to_numpy(pred.scores))


def camera_views(meta: Mapping[str, Any], network_images: Any = None) -> list[CameraView]:
    """The cameras of a sample, as stored on disk where that is possible.

    A sample's ``lidar2img`` belongs to the images that the network saw, cropped and scaled; the
    stored ones go with ``ori_cam2img`` (N, 3, 3). Without that key, with an image that cannot be
    read, or after a flip, the network's images are taken instead.

    Args:
        meta: Meta information of the sample.
        network_images: ``(N, 3, H, W)`` uint8 BGR, tensor or array; None where not at hand.

    Returns:
        One view per camera; none where there are no images at all.
    """
    names = list(meta.get("cam_names") or [f"CAM_{k}" for k in range(len(meta.get("img_paths", [])))])
    stored = _stored(meta, names)
    if stored is not None:
        return stored
    if network_images is None:
        return []
    images = np.ascontiguousarray(to_numpy(network_images).transpose(0, 2, 3, 1)).astype(np.uint8)
    return [CameraView(*view) for view in zip(names, images, to_numpy(meta["lidar2img"]), strict=True)]


def _stored(meta: Mapping[str, Any], names: Sequence[str]) -> list[CameraView] | None:
    if meta.get("flip") or meta.get("ori_cam2img") is None or not meta.get("img_paths"):
        return None
    views = []
    for name, path, cam2img, lidar2cam in zip(
        names, meta["img_paths"], meta["ori_cam2img"], meta["lidar2cam"], strict=True
    ):
        flags = cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION
        image = cv2.imread(str(path), flags) if Path(path).is_file() else None
        if image is None:
            print_log(f"'{path}' cannot be read: the picture shows the network's input", logger="current")
            return None
        projection = np.eye(4)
        projection[:3, :3] = to_numpy(cam2img)
        views.append(CameraView(name, image, projection @ to_numpy(lidar2cam)))
    return views
