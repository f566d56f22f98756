"""Mirror a sample left to right."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import combinations_with_replacement

import cv2
import numpy as np
from mmcv.transforms import BaseTransform

from mapllava.datasets.transforms.rng import fresh_generator
from mapllava.errors import MapLLaVAError
from mapllava.registry import TRANSFORMS
from mapllava.structures.frames import FORWARD_AXIS, MapSpec
from mapllava.structures.map_elements import Polyline

_SYMMETRIC = 25.0
"""Degrees by which a camera may miss its counterpart's mirrored direction."""
_DEGREES_A_METRE = 10.0
"""What a metre between a camera and the mirrored other counts for, so that a stereo pair is told apart."""
_PREFER_ITSELF = 2.5
"""Degrees by which another must fit better, so that cameras near the middle stay in their slots."""


@TRANSFORMS.register_module()
class RandomLateralFlip(BaseTransform):
    """Mirror the world left to right, with everything that belongs to it.

    The lateral axis is x in the ``lidar`` frame and y in the ``ego`` frame; the forward axis stays.
    With F the mirror of an image (u -> W - 1 - u), C that of a camera (x -> -x) and M that of the
    map frame: ``K' = F K C``, ``lidar2cam' = C lidar2cam M``, so that a mirrored point lands on
    the mirrored pixel and every matrix stays a proper one. Left and right cameras, told by their poses
    whatever they are called, change places: the slot named CAM_FRONT_LEFT shows what CAM_FRONT_RIGHT saw,
    mirrored. Twice is the identity.

    Required Keys:

    - map_spec; img: N images (H, W, 3); cam_names: N names
    - cam2img (N, 3, 3), lidar2cam (N, 4, 4) float64

    Optional Keys:

    - polylines: metres; img_paths: N paths; lidar2ego, ego2global (4, 4) float64; flip

    Modified Keys:

    - img, img_paths, cam2img, lidar2cam: mirrored, slots of left and right exchanged
    - polylines: lateral coordinate negated, order of the points kept, so that a directed line still
      leads where it led
    - lidar2ego: of the mirrored rig; ego2global: from the mirrored ego frame to the true global
      frame, hence of determinant -1
    - flip: negated if mirrored; added if absent

    Args:
        prob: Probability of mirroring.

    Raises:
        ValueError: If ``prob`` is no probability.
        MapLLaVAError: If the ROI is not symmetric about the car's forward axis, or no camera looks where
            another would in a mirror.
    """

    def __init__(self, prob: float = 0.5) -> None:
        if not 0 <= prob <= 1:
            raise ValueError(f"RandomLateralFlip.prob is {prob!r}: it must lie in [0, 1]")
        self.prob = prob

    def check_map_spec(self, map_spec: MapSpec) -> None:
        """Refuse an ROI that reaches farther to one side of the car than to the other.

        Raises:
            MapLLaVAError: See the class.
        """
        axis, bounds = 1 - map_spec.forward_axis, map_spec.roi.to_list()
        low, high = bounds[axis], bounds[axis + 2]
        if self.prob > 0 and abs(low + high) > 1e-6:
            raise MapLLaVAError(
                f"RandomLateralFlip(prob={self.prob}) mirrors left and right, but map_spec.roi {bounds} is "
                f"not symmetric along {'xy'[axis]}, across the car ({low:g} to {high:g} m): mirrored samples "
                "would lack ground truth. Choose a ROI that reaches as far to both sides, or take "
                "RandomLateralFlip out of the pipeline"
            )

    def transform(self, results: dict) -> dict:
        """Mirror the sample, or leave it."""
        results.setdefault("flip", False)
        axis = 1 - results["map_spec"].forward_axis
        # Of every sample, not by chance: whoever looks at a few knows whether the rig can be mirrored
        slots = counterpart_slots(results["cam_names"], results["lidar2cam"], axis) if self.prob > 0 else []
        if fresh_generator().random() >= self.prob:
            return results
        self.check_map_spec(results["map_spec"])
        _flip_cameras(results, axis, slots)
        if "polylines" in results:
            results["polylines"] = [_flip_polyline(line, axis) for line in results["polylines"]]
        _flip_poses(results)
        results["flip"] = not results["flip"]
        return results

    def __repr__(self) -> str:
        return f"RandomLateralFlip(prob={self.prob})"


def counterpart_slots(cam_names: Sequence[str], lidar2cam: np.ndarray, axis: int) -> list[int]:
    """For every camera, the index of its counterpart on the other side (itself in the middle).

    Args:
        cam_names: N names, for messages.
        lidar2cam: (N, 4, 4), from the map's frame to each camera.
        axis: The map frame's axis across the car.

    Raises:
        MapLLaVAError: If a camera has no counterpart: none that looks where it would in a mirror.
    """
    look, rotations = lidar2cam[:, 2, :3], lidar2cam[:, :3, :3]
    centres = -np.einsum("nij,ni->nj", rotations, lidar2cam[:, :3, 3])
    mirror = np.diag(_mirror(axis, 3))
    angles = np.degrees(np.arccos(np.clip((look * mirror) @ look.T, -1.0, 1.0)))
    apart = np.linalg.norm((centres * mirror)[:, None] - centres, axis=-1)
    cost = angles + _DEGREES_A_METRE * apart + _PREFER_ITSELF * ~np.eye(len(look), dtype=bool)
    slots: dict[int, int] = {}
    # The most alike first: a camera and its counterpart change places, so nobody else has either
    for one, other in sorted(combinations_with_replacement(range(len(cost)), 2), key=cost.__getitem__):
        if one not in slots and other not in slots:
            slots[one], slots[other] = other, one
    for camera, slot in slots.items():
        if angles[camera, slot] > _SYMMETRIC:
            raise MapLLaVAError(
                f"camera {cam_names[camera]} has no counterpart on the other side among {list(cam_names)}: a "
                "rig that is not symmetric cannot be mirrored, leave RandomLateralFlip out"
            )
    return [slots[camera] for camera in range(len(slots))]


def _mirror(axis: int, size: int = 4) -> np.ndarray:
    mirror = np.eye(size)
    mirror[axis, axis] = -1.0
    return mirror


def _flip_cameras(results: dict, axis: int, slots: list[int]) -> None:
    images, intrinsics = [], []
    for slot in slots:
        img = results["img"][slot]
        # u -> W - 1 - u, with pixel centres at whole numbers
        image_mirror = np.array([[-1.0, 0.0, img.shape[1] - 1.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]])
        images.append(cv2.flip(img, 1))
        intrinsics.append(image_mirror @ results["cam2img"][slot] @ _mirror(0, 3))
    results["img"], results["cam2img"] = images, np.stack(intrinsics)
    results["lidar2cam"] = _mirror(0) @ results["lidar2cam"][slots] @ _mirror(axis)
    if "img_paths" in results:
        results["img_paths"] = [results["img_paths"][slot] for slot in slots]


def _flip_polyline(line: Polyline, axis: int) -> Polyline:
    points = line.points.copy()
    points[:, axis] *= -1.0
    return replace(line, points=points)


def _flip_poses(results: dict) -> None:
    lidar, ego = (_mirror(1 - FORWARD_AXIS[frame]) for frame in ("lidar", "ego"))
    if "lidar2ego" in results:
        results["lidar2ego"] = ego @ results["lidar2ego"] @ lidar
    if "ego2global" in results:
        results["ego2global"] = results["ego2global"] @ ego
