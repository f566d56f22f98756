"""The car's sensors: a LiDAR's place and six cameras, each log with slightly different calibration."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

LIDAR = "LIDAR_TOP"
LIDAR_PLACE = (0.944, 0.0, 1.840)
FULL_SIZE = (1600, 900)


@dataclass(frozen=True)
class Mount:
    """Nominal place of a camera.

    Attributes:
        focal: Focal length, pixels at 1600 x 900.
        principal: Principal point, pixels at 1600 x 900.
        yaw: Degrees, ego frame.
        place: Position in the ego frame, metres.
        lead: How long before the LiDAR it fires, milliseconds.
    """

    focal: float
    principal: tuple[float, float]
    yaw: float
    place: tuple[float, float, float]
    lead: float


MOUNTS = {
    "CAM_FRONT": Mount(1266.4, (816.3, 491.5), 0.3, (1.701, 0.016, 1.511), 35.5),
    "CAM_FRONT_RIGHT": Mount(1260.8, (808.0, 495.3), -56.4, (1.551, -0.493, 1.496), 27.5),
    "CAM_FRONT_LEFT": Mount(1272.6, (826.6, 479.8), 55.2, (1.524, 0.495, 1.509), 43.1),
    "CAM_BACK": Mount(809.2, (829.2, 481.8), 179.8, (0.028, 0.003, 1.579), 10.4),
    "CAM_BACK_LEFT": Mount(1256.7, (792.1, 492.8), 108.6, (1.036, 0.485, 1.591), 0.5),
    "CAM_BACK_RIGHT": Mount(1259.5, (807.3, 501.2), -110.8, (1.015, -0.481, 1.562), 20.2),
}


@dataclass(frozen=True)
class Sensor:
    """A calibrated sensor.

    Attributes:
        channel: nuScenes channel name.
        sensor2ego: ``(4, 4)`` pose in the ego frame, metres.
        intrinsic: ``(3, 3)`` pixels, pixel centres at whole numbers; None for the LiDAR.
        lead: Seconds it fires before the sample's time stamp.
        size: (width, height) of its images where they are not the scene's, pixels.
    """

    channel: str
    sensor2ego: np.ndarray
    intrinsic: np.ndarray | None
    lead: float
    size: tuple[int, int] | None = None


def draw_rig(rng: np.random.Generator, image_size: tuple[int, int]) -> list[Sensor]:
    """The LiDAR and six cameras with this log's calibration.

    Args:
        rng: Source of the calibration's small differences.
        image_size: (width, height) in pixels; intrinsics scale with it.

    Returns:
        Seven sensors, LiDAR first.
    """
    tilt = np.deg2rad(rng.normal(0, 0.1, 3))
    lidar2ego = pose(turn(tilt[0], tilt[1], tilt[2] - np.pi / 2), np.array(LIDAR_PLACE))
    sensors = [Sensor(LIDAR, lidar2ego, None, 0.0)]
    axes = np.array([[0.0, 0, 1], [-1, 0, 0], [0, -1, 0]])  # camera z forward, x right, y down
    scale = np.array(image_size) / np.array(FULL_SIZE)
    for channel, mount in MOUNTS.items():
        jitter = np.deg2rad(rng.normal(0, 0.3, 3))
        rotation = turn(0.0, 0.0, np.deg2rad(mount.yaw)) @ turn(*jitter) @ axes
        place = np.array(mount.place) + rng.normal(0, 0.008, 3)
        focal = mount.focal * (1 + rng.normal(0, 0.003)) * scale
        centre = (np.array(mount.principal) + rng.normal(0, 3, 2) + 0.5) * scale - 0.5
        intrinsic = np.array([[focal[0], 0, centre[0]], [0, focal[1], centre[1]], [0, 0, 1]])
        sensors.append(Sensor(channel, pose(rotation, place), intrinsic, mount.lead / 1000))
    return sensors


def turn(roll: float, pitch: float, yaw: float) -> np.ndarray:
    """Rotation ``(3, 3)`` from roll, pitch and yaw (x, y, z axes, radians; yaw last)."""
    (cr, cp, cy), (sr, sp, sy) = np.cos([roll, pitch, yaw]), np.sin([roll, pitch, yaw])
    around_x = np.array([[1, 0, 0], [0, cr, -sr], [0, sr, cr]])
    around_y = np.array([[cp, 0, sp], [0, 1, 0], [-sp, 0, cp]])
    around_z = np.array([[cy, -sy, 0], [sy, cy, 0], [0, 0, 1]])
    return around_z @ around_y @ around_x


def pose(rotation: np.ndarray, place: np.ndarray) -> np.ndarray:
    """``(4, 4)`` from a rotation ``(3, 3)`` and a place ``(3,)`` in metres."""
    out = np.eye(4)
    out[:3, :3], out[:3, 3] = rotation, place
    return out


def quaternion(rotation: np.ndarray) -> list[float]:
    """Unit quaternion [w, x, y, z], w >= 0, of a rotation matrix ``(3, 3)``."""
    m = rotation
    signs = np.array([[1, 1, 1], [1, -1, -1], [-1, 1, -1], [-1, -1, 1]])
    parts = 1 + signs[:, 0] * m[0, 0] + signs[:, 1] * m[1, 1] + signs[:, 2] * m[2, 2]
    largest = int(np.argmax(parts))
    s = 2 * np.sqrt(parts[largest])
    a, b, c = m[2, 1] - m[1, 2], m[0, 2] - m[2, 0], m[1, 0] - m[0, 1]
    d, e, f = m[0, 1] + m[1, 0], m[0, 2] + m[2, 0], m[1, 2] + m[2, 1]
    rows = [[s * s / 4, a, b, c], [a, s * s / 4, d, e], [b, d, s * s / 4, f], [c, e, f, s * s / 4]]
    out = np.array(rows[largest]) / s
    out *= np.sign(out[0]) or 1.0
    return (out / np.linalg.norm(out)).tolist()
