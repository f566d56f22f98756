"""Poses and intrinsics of ``rig.json`` in all their forms, as matrices."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from mapllava.geometry.rigid import from_quaternion, from_rotation_vector, rigid
from mapllava.structures.rig import Distortion

CAMERA_TO_VEHICLE, VEHICLE_TO_CAMERA = "camera_to_vehicle", "vehicle_to_camera"

AXES: dict[str, np.ndarray] = {
    "forward-left-up": np.eye(3),
    "right-forward-up": np.array([[0.0, 1, 0], [-1, 0, 0], [0, 0, 1]]),
    "forward-right-down": np.array([[1.0, 0, 0], [0, -1, 0], [0, 0, -1]]),
}
"""``(3, 3)`` from a vehicle frame with such axes to the one with x forward, y left, z up."""

_NUMBERS = {"opencv": (4, 5, 8, 12, 14), "fisheye": (4,)}


def pose_matrix(pose: Any) -> np.ndarray:
    """``(4, 4)`` of a pose as the schema lets it be written: a matrix, or two parts.

    A matrix is taken as it stands, rigid or not; the rig's checks look at it.

    Raises:
        ValueError: If a quaternion is not of length 1, or a part has another number of values.
    """
    if not isinstance(pose, Mapping):
        return np.array(pose, dtype=np.float64)
    if "rvec" in pose:
        return rigid(from_rotation_vector(_three(pose["rvec"], "rvec")), _three(pose["tvec"], "tvec"))
    given = np.array(pose["rotation"], dtype=np.float64)
    return rigid(from_quaternion(pose["rotation"]) if given.shape == (4,) else given, pose["translation"])


def camera_pose(camera: Mapping[str, Any]) -> np.ndarray:
    """``(4, 4)`` camera to vehicle of a camera whose pose is written in one of its forms.

    Raises:
        ValueError: Naming the key.
    """
    key, pose, turned_round = _written(camera)
    try:
        matrix = pose_matrix(pose)
        return np.linalg.inv(matrix) if turned_round else matrix
    except np.linalg.LinAlgError:
        raise ValueError(f"{key} has no inverse: it is no pose; write the matrix again") from None
    except ValueError as error:
        raise ValueError(f"{key}: {error}") from error


def _written(camera: Mapping[str, Any]) -> tuple[str, Any, bool]:
    """Which key a camera's pose is under, the pose, and whether it goes from vehicle to camera."""
    for key in (CAMERA_TO_VEHICLE, VEHICLE_TO_CAMERA):
        if key in camera:
            return key, camera[key], key == VEHICLE_TO_CAMERA
    parts = ("rvec", "tvec") if "rvec" in camera else ("rotation", "translation")
    return " and ".join(parts), {part: camera[part] for part in parts}, "rvec" in camera


def intrinsics(camera: Mapping[str, Any]) -> np.ndarray:
    """``(3, 3)`` intrinsics of a camera, pixels of the stored image.

    Raises:
        ValueError: If the matrix is transposed or not that of a camera; names the key.
    """
    if "fx" in camera:
        fx, fy, cx, cy = (float(camera[key]) for key in ("fx", "fy", "cx", "cy"))
        return np.array([[fx, 0, cx], [0, fy, cy], [0, 0, 1]])
    key = "camera_matrix" if "camera_matrix" in camera else "camera_intrinsic"
    matrix = np.array(camera[key], dtype=np.float64)
    if matrix[2, :2].any() and not matrix[:2, 2].any():
        raise ValueError(f"{key} is transposed: cx and cy belong into the last column; transpose it")
    if not np.allclose(matrix[2], [0, 0, 1]) or matrix[1, 0] or matrix[0, 0] <= 0 or matrix[1, 1] <= 0:
        raise ValueError(
            f"{key} is {matrix.tolist()}, not [[fx, skew, cx], [0, fy, cy], [0, 0, 1]] in pixels"
        )
    matrix[2] = 0, 0, 1
    return matrix


def distortion_of(camera: Mapping[str, Any]) -> Distortion | None:
    """How a camera's lens bends its picture; None for a pinhole.

    Raises:
        ValueError: If there are too few or too many coefficients; names the key.
    """
    if "dist_coeffs" in camera:
        key, model, values = "dist_coeffs", "opencv", camera["dist_coeffs"]
    else:
        written = camera.get("distortion", {"model": "none"})
        key, model, values = "distortion.coefficients", written["model"], written.get("coefficients", [])
    numbers = [float(value) for value in np.array(values, dtype=np.float64).reshape(-1)]
    if model == "none" or (key == "dist_coeffs" and not any(numbers)):
        if any(numbers):
            raise ValueError(
                f"distortion.model is none, yet {key} holds numbers: name the model, or drop them"
            )
        return None
    if len(numbers) not in _NUMBERS[model]:
        takes = ", ".join(map(str, _NUMBERS[model]))
        raise ValueError(f"{key} holds {len(numbers)} numbers; the model {model} takes {takes}")
    return Distortion(model, tuple(numbers)) if any(numbers) or model == "fisheye" else None


def _three(values: Any, name: str) -> np.ndarray:
    array = np.array(values, dtype=np.float64).reshape(-1)
    if array.shape != (3,):
        raise ValueError(f"{name} holds {len(array)} numbers, not three")
    return array
