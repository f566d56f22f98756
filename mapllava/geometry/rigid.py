"""Rigid transforms in the forms that people write them in; numpy and SciPy."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

ROTATION_TOLERANCE = 1e-3
"""How far R Rᵀ may be from 1: numbers written with three or four decimals are taken."""


def invert(matrix: np.ndarray) -> np.ndarray:
    """Inverse of a rigid ``(4, 4)`` transform: the rotation is transposed, not inverted."""
    inverse = np.eye(4)
    inverse[:3, :3] = matrix[:3, :3].T
    inverse[:3, 3] = -matrix[:3, :3].T @ matrix[:3, 3]
    return inverse


def rigid(rotation: np.ndarray, translation: Sequence[float] | np.ndarray) -> np.ndarray:
    """``(4, 4)`` from a rotation ``(3, 3)`` and a translation ``(3,)`` in metres."""
    matrix = np.eye(4)
    matrix[:3, :3] = rotation
    matrix[:3, 3] = translation
    return matrix


def from_quaternion(quaternion: Sequence[float]) -> np.ndarray:
    """Rotation ``(3, 3)`` of a quaternion (w, x, y, z).

    Raises:
        ValueError: If it is not of length 1.
    """
    from scipy.spatial.transform import Rotation

    w, x, y, z = (float(part) for part in quaternion)
    length = float(np.linalg.norm([w, x, y, z]))
    if not abs(length - 1) < ROTATION_TOLERANCE:
        raise ValueError(f"the quaternion {list(quaternion)} has length {length:.4g}, not 1")
    return Rotation.from_quat([x, y, z, w]).as_matrix()


def to_quaternion(rotation: np.ndarray) -> list[float]:
    """Quaternion [w, x, y, z], w >= 0, of a rotation ``(3, 3)``."""
    from scipy.spatial.transform import Rotation

    x, y, z, w = Rotation.from_matrix(rotation).as_quat()
    sign = -1.0 if w < 0 else 1.0
    return [float(sign * part) for part in (w, x, y, z)]


def from_rotation_vector(vector: Any) -> np.ndarray:
    """Rotation ``(3, 3)`` of OpenCV's ``rvec``: an axis whose length is the angle in radians."""
    from scipy.spatial.transform import Rotation

    return Rotation.from_rotvec(np.asarray(vector, dtype=np.float64).reshape(3)).as_matrix()


def rotation_error(rotation: np.ndarray) -> float:
    """How far R Rᵀ of a matrix ``(3, 3)`` is from 1, at its worst entry."""
    return float(np.abs(rotation @ rotation.T - np.eye(3)).max())


def nearest_rotation(rotation: np.ndarray) -> np.ndarray:
    """The rotation ``(3, 3)`` nearest to a matrix that is one but for rounding."""
    left, _, right = np.linalg.svd(rotation)
    return left @ right
