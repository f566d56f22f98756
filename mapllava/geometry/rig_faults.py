"""What is wrong with poses that no car has: each usual mistake, undone, and whether that helps.

A pose is plausible that stands up (the image's down points down), is above the ground, near the car, and sees
some ground. Of one that is not, each mistake is undone in turn; the first that makes it plausible is named.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from mapllava.geometry.rig_names import named_direction
from mapllava.geometry.rig_view import CAMERA_AXES, look_direction
from mapllava.geometry.rigid import (
    ROTATION_TOLERANCE,
    from_quaternion,
    invert,
    rigid,
    rotation_error,
    to_quaternion,
)
from mapllava.structures.rig import RigCamera

FAR = 30.0
"""Metres from the car's origin beyond which no camera is mounted."""
HEIGHTS = (0.15, 5.0)
"""Metres above the ground between which cameras are mounted."""
_TILTED = 0.5  # sine of the roll from which a picture does not stand up


@dataclass(frozen=True)
class Mistake:
    """A way to write a pose wrongly.

    Attributes:
        name: Of the finding.
        what: What was done, as a clause after "as if".
        remedy: What to do.
        undo: From the pose as read, (4, 4) camera to ego, to what was meant.
    """

    name: str
    what: str
    remedy: str
    undo: Callable[[np.ndarray], np.ndarray]


def _with_rotation(pose: np.ndarray, rotation: np.ndarray) -> np.ndarray:
    return rigid(rotation, pose[:3, 3])


def _other_order(pose: np.ndarray) -> np.ndarray:
    """The pose if its quaternion was written x, y, z, w and read as w, x, y, z."""
    x, y, z, w = to_quaternion(pose[:3, :3])
    return _with_rotation(pose, from_quaternion([w, x, y, z]))


def _turned(axes: np.ndarray) -> Callable[[np.ndarray], np.ndarray]:
    return lambda pose: rigid(axes, (0, 0, 0)) @ pose


MISTAKES = (
    Mistake(
        "inverted",
        "the direction of the pose is swapped: a vehicle-to-camera pose stands under camera_to_vehicle, "
        "or the other "
        "way round",
        "write it under the other name: vehicle_to_camera for what cv2.solvePnP gives (OpenCV's extrinsics), "
        "camera_to_vehicle for the camera's place in the car (nuScenes, ROS tf)",
        invert,
    ),
    Mistake(
        "transposed",
        "the rotation is transposed (another program stores matrices column by column)",
        "transpose the rotation and leave the translation as it is",
        lambda pose: _with_rotation(pose, pose[:3, :3].T),
    ),
    Mistake(
        "camera axes",
        "the camera's own axes are x forward, y left, z up (the body frame of ROS, CARLA's is like it)",
        "write the pose of the optical frame (x right, y down, z forward): multiply the rotation from the "
        "right by "
        "[[0, 0, 1], [-1, 0, 0], [0, -1, 0]]",
        lambda pose: _with_rotation(pose, pose[:3, :3] @ CAMERA_AXES),
    ),
    Mistake(
        "camera axes",
        "the camera's own axes are x right, y up, z backward (OpenGL, Blender, NeRF)",
        "turn it into x right, y down, z forward: negate the second and third column of the rotation",
        lambda pose: _with_rotation(pose, pose[:3, :3] @ np.diag([1.0, -1, -1])),
    ),
    Mistake(
        "quaternion order",
        "the quaternion is written x, y, z, w (ROS, SciPy)",
        "write it w, x, y, z",
        _other_order,
    ),
    Mistake(
        "vehicle axes",
        "the vehicle's axes are x forward, y right, z down",
        'write "vehicle_axes": "forward-right-down"',
        _turned(np.diag([1.0, -1, -1])),
    ),
)


def is_rigid(pose: np.ndarray) -> bool:
    """Whether a matrix (4, 4) is a right-handed rotation and a translation."""
    turn = pose[:3, :3]
    last = bool(np.allclose(pose[3], [0, 0, 0, 1]))
    return last and rotation_error(turn) <= ROTATION_TOLERANCE and bool(np.linalg.det(turn) > 0)


def is_upright(pose: np.ndarray) -> bool:
    """Whether the picture of a camera with this pose (4, 4) stands up: right side level, down side down."""
    right, down = pose[2, 0], pose[2, 1]
    return bool(abs(right) < _TILTED and down < -0.05)


def sees_ground(camera: RigCamera) -> bool:
    """Whether the middle of the lower edge of the image, or a lower corner, looks below the horizon."""
    (width, height), k = camera.size, camera.cam2img
    lower = np.array([[u, height - 1.0, 1.0] for u in (0.0, (width - 1) / 2, width - 1.0)])
    rays = lower @ np.linalg.inv(k).T @ camera.cam2ego[:3, :3].T
    return bool((rays[:, 2] < 0).any())


def is_plausible(camera: RigCamera) -> bool:
    """Whether a camera may be mounted so: upright, above the ground, near the car, not only facing the "
    "sky."""
    place = camera.cam2ego[:3, 3]
    near = bool(np.hypot(place[0], place[1]) < FAR and HEIGHTS[0] <= place[2] <= HEIGHTS[1])
    return near and is_upright(camera.cam2ego) and sees_ground(camera)


def explanations(cameras: Sequence[RigCamera]) -> list[Mistake]:
    """The mistakes of which each, undone, makes every one of these cameras plausible; the likeliest first.

    That is the one after which cameras look to, and stand on, the side that their names say.

    Args:
        cameras: Those that are not plausible as they are; rigid.
    """
    found = []
    for mistake in MISTAKES:
        undone = [replace(camera, cam2ego=mistake.undo(camera.cam2ego)) for camera in cameras]
        if undone and all(map(is_plausible, undone)):
            found.append((sum(map(_astray, undone)), mistake))
    return [mistake for _, mistake in sorted(found, key=lambda pair: pair[0])]


def _astray(camera: RigCamera) -> float:
    """How far a camera is from where its name says: quarter turns, and metres to the wrong side."""
    promised = named_direction(camera.name)
    if promised is None:
        return 0.0
    turned = abs((look_direction(camera.cam2ego)[0] - promised + 180) % 360 - 180)
    y, side = float(camera.cam2ego[1, 3]), float(np.sign(np.round(np.sin(np.radians(promised)), 6)))
    return turned / 90 + (max(0.0, -side * y) if side else abs(y))


def standing(camera: RigCamera) -> str:
    """Where a camera stands and looks, in words for a message."""
    x, y, z = camera.cam2ego[:3, 3]
    yaw, pitch, roll = (round(angle) + 0 for angle in look_direction(camera.cam2ego))
    return f"{camera.name} at ({x:.2f}, {y:.2f}, {z:.2f}) m, yaw {yaw}°, pitch {pitch}°, roll {roll}°"
