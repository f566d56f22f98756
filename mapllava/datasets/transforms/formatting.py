"""The packed sample: what the model and the metric receive."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
import torch
from mmcv.transforms import BaseTransform
from mmengine.structures import InstanceData, PixelData

from mapllava.errors import MapLLaVAError
from mapllava.registry import TRANSFORMS
from mapllava.structures.map_data_sample import MapDataSample

_META_KEYS = (
    "sample_idx",
    "sample_token",
    "scene_token",
    "scene_name",
    "location",
    "timestamp",
    "split",
    "cam_names",
    "img_paths",
    "ori_cam2img",
    "flip",
    "lidar2ego",
    "ego2global",
    "num_degenerate",
    "bev_cell",
    "prompt",
)

_INSTANCE_FIELDS = ("labels", "points", "orders", "closed", "directed")


@TRANSFORMS.register_module()
class PackMapInputs(BaseTransform):
    """Pack a sample as ``{'inputs': dict, 'data_samples': MapDataSample}``.

    ``inputs``: ``img`` uint8 tensor (N, 3, H, W), BGR. Images stay uint8 until the data preprocessor
    has them on the device.

    The sample's meta information: ``meta_keys`` as far as present, and ``img_shape`` (H, W),
    ``cam2img`` (N, 3, 3), ``lidar2cam`` and ``lidar2img`` (N, 4, 4) float32 (map-frame metres to
    ``(u d, v d, d, 1)``), ``map_spec`` as a plain dict, and ``polylines``, the raw lines as dicts.

    Required Keys:

    - img: N images (H, W, 3) uint8; map_spec
    - cam2img (N, 3, 3), lidar2cam (N, 4, 4) float64

    Optional Keys:

    - polylines
    - prompt: str, in place of the decoder's own
    - gt_labels, gt_points, gt_orders, gt_closed, gt_directed: become ``gt_instances``, tensors
    - gt_bev (C, Y, X): becomes ``gt_bev.data``, a tensor

    Args:
        meta_keys: Results handed on as meta information.

    Raises:
        MapLLaVAError: If the images differ in size or are not uint8.
    """

    def __init__(self, meta_keys: Sequence[str] = _META_KEYS) -> None:
        self.meta_keys = tuple(meta_keys)

    def transform(self, results: dict) -> dict:
        """Pack the sample."""
        inputs = {"img": stack_images(results["img"], str(results.get("sample_token")))}
        sample = MapDataSample()
        for key, value in self._metainfo(results).items():
            sample.set_field(value, key, field_type="metainfo")
        if "gt_points" in results:
            fields = [key for key in _INSTANCE_FIELDS if f"gt_{key}" in results]
            sample.gt_instances = InstanceData(
                **{key: torch.from_numpy(results[f"gt_{key}"]) for key in fields}
            )
        if "gt_bev" in results:
            sample.gt_bev = PixelData(data=torch.from_numpy(results["gt_bev"]))
        return {"inputs": inputs, "data_samples": sample}

    def _metainfo(self, results: dict) -> dict:
        meta = {key: results[key] for key in self.meta_keys if key in results}
        cam2img, lidar2cam = results["cam2img"], results["lidar2cam"]
        meta.update(
            img_shape=tuple(results["img"][0].shape[:2]),
            cam2img=cam2img.astype(np.float32),
            lidar2cam=lidar2cam.astype(np.float32),
            lidar2img=lidar_to_image(cam2img, lidar2cam).astype(np.float32),
            map_spec=results["map_spec"].to_config(),
        )
        if "polylines" in results:
            meta["polylines"] = [line.to_dict() for line in results["polylines"]]
        return meta

    def __repr__(self) -> str:
        return f"PackMapInputs(meta_keys={self.meta_keys})"


def lidar_to_image(cam2img: np.ndarray, lidar2cam: np.ndarray) -> np.ndarray:
    """Projection of homogeneous map-frame points.

    Args:
        cam2img: (N, 3, 3), pixels.
        lidar2cam: (N, 4, 4), metres.

    Returns:
        (N, 4, 4) taking (x, y, z, 1) to (u d, v d, d, 1), d the depth in metres.
    """
    intrinsics = np.tile(np.eye(4), (len(cam2img), 1, 1))
    intrinsics[:, :3, :3] = cam2img
    return intrinsics @ lidar2cam


def stack_images(images: Sequence[np.ndarray], name: str) -> torch.Tensor:
    """N images (H, W, 3) uint8 as one tensor (N, 3, H, W), channels in the order they have.

    Raises:
        MapLLaVAError: If the images differ in size or are not uint8 with three channels.
    """
    shapes = [img.shape for img in images]
    if len(set(shapes)) != 1 or len(shapes[0]) != 3 or shapes[0][2] != 3:
        raise MapLLaVAError(
            f"sample {name}: cameras have shapes {shapes}; all must be the same (H, W, 3), "
            "so put LoadMultiViewImages(size=(w, h)) or ResizeMultiView before PackMapInputs"
        )
    if any(img.dtype != np.uint8 for img in images):
        raise MapLLaVAError(f"sample {name}: images are {[str(img.dtype) for img in images]}, not uint8")
    height, width, channels = shapes[0]
    stacked = np.empty((len(images), channels, height, width), dtype=np.uint8)
    for index, img in enumerate(images):
        cv2.split(img, list(stacked[index]))  # planes straight into the tensor's memory, without a transpose
    return torch.from_numpy(stacked)
