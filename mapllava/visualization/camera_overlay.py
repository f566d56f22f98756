"""Map lines on the ground, projected into camera images."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np

from mapllava.structures.frames import MapSpec
from mapllava.visualization.style import PAPER, LineStyle, class_color, dashes, densify, stroke

_STEP = 0.25
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
        points: ``(n, 3)``, metres in the map frame; dense enough for a straight line between two
            of them to be right.
        lidar2img: ``(4, 4)`` map frame to ``(u d, v d, d, 1)``.
        image_size: (width, height) in pixels.
        near: Depth in metres below which nothing is drawn. Where a line passes it, it is cut
            there, not at the next vertex.

    Returns:
        The visible runs, each ``(m, 2)`` pixels, pixel centres at whole numbers. Stretches that lie
        wholly to one side of the image are left out.
    """
    homogeneous = np.concatenate([points, np.ones((len(points), 1))], axis=1)
    camera = (homogeneous @ np.asarray(lidar2img, dtype=np.float64).T)[:, :3]
    runs: list[list[np.ndarray]] = [[]]
    for start, stop in pairwise(camera):
        segment = _clip_near(start, stop, near)
        if segment is None or _beside(segment, image_size):
            runs.append([])
            continue
        if not runs[-1]:
            runs[-1].append(segment[0])
        runs[-1].append(segment[1])
        if stop[2] < near:
            runs.append([])
    return [np.array(run) for run in runs if run]


def draw_on_camera(
    image: np.ndarray,
    lines: Sequence[np.ndarray],
    labels: Sequence[int],
    lidar2img: np.ndarray,
    lidar2ego: np.ndarray,
    map_spec: MapSpec,
    style: LineStyle,
) -> None:
    """Draw map lines on a camera image in place.

    Args:
        image: ``(H, W, 3)`` uint8 BGR.
        lines: Polylines ``(n, 2)``, metres in the map frame.
        labels: Class of each.
        lidar2img: ``(4, 4)`` for this image's pixels.
        lidar2ego: ``(4, 4)``.
        map_spec: Frame and classes.
        style: Of the lines.
    """
    size = (image.shape[1], image.shape[0])
    runs = []
    for line, label in zip(lines, labels, strict=True):
        for piece in dashes(np.asarray(line, dtype=np.float64), style.dash):
            ground = on_ground(densify(piece, _STEP), lidar2ego, map_spec.frame)
            runs += [(run, label) for run in project_line(ground, lidar2img, size)]
    if style.outline:
        for run, _ in runs:
            stroke(image, run, PAPER, style.thickness + 2 * style.outline)
    for run, label in runs:
        stroke(image, run, class_color(map_spec.classes, int(label)), style.thickness)


def _clip_near(start: np.ndarray, stop: np.ndarray, near: float) -> tuple[np.ndarray, np.ndarray] | None:
    """The pixels of a segment's two ends, after the part nearer than ``near`` is cut off."""
    if start[2] < near and stop[2] < near:
        return None
    if (start[2] < near) != (stop[2] < near):
        cut = start + (near - start[2]) / (stop[2] - start[2]) * (stop - start)
        start, stop = (cut, stop) if start[2] < near else (start, cut)
    return start[:2] / start[2], stop[:2] / stop[2]


def _beside(segment: tuple[np.ndarray, np.ndarray], image_size: tuple[int, int]) -> bool:
    """Whether both ends lie beyond the same edge of the image."""
    both = np.stack(segment)
    return bool((both.max(axis=0) < 0).any() or (both.min(axis=0) > np.array(image_size) - 1).any())
