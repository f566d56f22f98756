"""Map lines on the ground, projected into camera images (numpy only)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from mapllava.structures.frames import MapSpec

_NEAR = 0.4


def on_ground(points: np.ndarray, lidar2ego: np.ndarray, frame: str = "lidar") -> np.ndarray:
    """Give map points the height of the ground, the plane z = 0 of the ego frame.

    Args:
        points: ``(n, 2)``, metres in the map frame.
        lidar2ego: ``(4, 4)`` LiDAR to ego, metres.
        frame: The map frame. In ``ego`` the height is 0; in ``lidar`` it is about minus the
            height at which the LiDAR is mounted, corrected for its tilt.

    Returns:
        ``(n, 3)`` float64, metres in the map frame.
    """
    points = np.asarray(points, dtype=np.float64)
    if frame == "ego":
        height = np.zeros(len(points))
    else:
        normal = np.asarray(lidar2ego, dtype=np.float64)[2]
        height = -(points @ normal[:2] + normal[3]) / normal[2]
    return np.concatenate([points, height[:, None]], axis=1)


def project_line(
    points: np.ndarray, lidar2img: np.ndarray, image_size: tuple[int, int], near: float = _NEAR
) -> list[np.ndarray]:
    """Project a line into an image, cut where it goes behind the camera.

    Args:
        points: ``(n, 3)``, metres in the map frame; straight lines stay straight in a pinhole's image.
        lidar2img: ``(4, 4)`` map frame to ``(u d, v d, d, 1)``.
        image_size: (width, height) in pixels.
        near: Depth in metres below which nothing is drawn. Where a line passes it, it is cut
            there, not at the next vertex.

    Returns:
        The visible runs, each ``(m, 2)`` pixels, pixel centres at whole numbers. Segments that lie
        wholly to one side of the image are left out.
    """
    homogeneous = np.concatenate([points, np.ones((len(points), 1))], axis=1)
    camera = (homogeneous @ np.asarray(lidar2img, dtype=np.float64).T)[:, :3]
    start, stop = camera[:-1].copy(), camera[1:].copy()
    behind_start, behind_stop = start[:, 2] < near, stop[:, 2] < near
    seen = ~(behind_start & behind_stop)
    cut = behind_start ^ behind_stop
    share = (near - start[cut, 2]) / (stop[cut, 2] - start[cut, 2])
    place = start[cut] + share[:, None] * (stop[cut] - start[cut])
    start[cut & behind_start] = place[behind_start[cut]]
    stop[cut & behind_stop] = place[behind_stop[cut]]
    pixels = np.zeros((len(start), 2, 2))
    pixels[seen] = np.stack([start[seen, :2] / start[seen, 2:], stop[seen, :2] / stop[seen, 2:]], axis=1)
    edge = np.array(image_size) - 1
    seen &= ~((pixels.max(axis=1) < 0) | (pixels.min(axis=1) > edge)).any(axis=1)
    # A run goes on where the segment before is seen and was not cut at its end
    goes_on = np.append(False, seen[1:] & seen[:-1] & ~behind_stop[:-1])
    runs: list[list[np.ndarray]] = []
    for k in np.flatnonzero(seen):
        if not goes_on[k]:
            runs.append([pixels[k, 0]])
        runs[-1].append(pixels[k, 1])
    return [np.array(run) for run in runs]


def camera_lines(
    lines: Sequence[np.ndarray],
    lidar2img: np.ndarray,
    lidar2ego: np.ndarray,
    map_spec: MapSpec,
    image_size: tuple[int, int],
) -> list[list[np.ndarray]]:
    """Where map lines lie in a camera image.

    Args:
        lines: Polylines ``(n, 2)``, metres in the map frame.
        lidar2img: ``(4, 4)`` for this image's pixels.
        lidar2ego: ``(4, 4)``.
        map_spec: Gives the frame.
        image_size: (width, height) in pixels.

    Returns:
        For each line its visible runs, as :func:`project_line`; none where it is not seen.
    """
    return [project_line(on_ground(line, lidar2ego, map_spec.frame), lidar2img, image_size) for line in lines]
