"""Any car's cameras, and what they saw at one moment; numpy only.

Everything counts from the vehicle's frame ``ego``: x forward, y to the left, z up, metres, its origin
on the ground. A camera's own frame has x to the right, y down and z forward; pixel centres lie at
whole (u, v).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np


@dataclass(frozen=True)
class Distortion:
    """How a lens bends the picture, in OpenCV's models.

    Attributes:
        model: ``opencv`` (k1, k2, p1, p2, then k3, k4 to k6, s1 to s4, tx and ty: 4, 5, 8, 12 or 14 numbers)
            or ``fisheye`` (k1 to k4).
        coefficients: In OpenCV's order, as many as the model takes.
    """

    model: str
    coefficients: tuple[float, ...]


@dataclass(frozen=True, eq=False)
class RigCamera:
    """One camera as it is mounted.

    Attributes:
        name: Unique within its rig.
        size: (width, height) of its images as stored, pixels.
        cam2img: (3, 3) intrinsics in those pixels.
        cam2ego: (4, 4) rigid, camera to ``ego``, metres.
        distortion: None for a pinhole.
    """

    name: str
    size: tuple[int, int]
    cam2img: np.ndarray
    cam2ego: np.ndarray
    distortion: Distortion | None = None


@dataclass(frozen=True, eq=False)
class Rig:
    """The cameras of a car.

    Attributes:
        cameras: Any number, in the order in which a sample gives its images.
        lidar2ego: (4, 4) where the rig says that a LiDAR is mounted, else None.
        source: The file it was read from, for errors; empty if made in memory.
    """

    cameras: tuple[RigCamera, ...]
    lidar2ego: np.ndarray | None = None
    source: str = ""


@dataclass(frozen=True, eq=False)
class RigSample:
    """What a rig saw at one moment.

    Attributes:
        token: Name of the moment, unique within its input.
        rig: The cameras as they stood at this moment (the car's motion between their exposures,
            where known, is in their ``cam2ego``).
        images: One a camera, in the rig's order: a path, or (H, W, 3) uint8 BGR as stored.
        scene: Name of the drive it belongs to; empty if none.
        timestamp: Microseconds, None if unknown.
        ego2global: (4, 4) ``ego`` to the world's frame, metres; None if unknown.
        crs: What the world's x and y are, as pyproj reads it (``EPSG:32632``, ``+proj=aeqd …``); None if
            nobody knows where on earth they lie.
        location: Name of the map, such as ``singapore-onenorth``; empty if none.
    """

    token: str
    rig: Rig
    images: tuple[Path | np.ndarray, ...]
    scene: str = ""
    timestamp: int | None = None
    ego2global: np.ndarray | None = None
    crs: str | None = None
    location: str = ""


@dataclass(frozen=True, eq=False)
class RigInput:
    """What a rig saw, moment by moment; nothing is read before it is asked for.

    Attributes:
        rig: The cameras as the input's own file has them.
        source: File, folder or scene that it was opened from.
        count: Number of moments.
        read: Begins to read them; an iterator over the samples, in order.
    """

    rig: Rig
    source: str
    count: int
    read: Callable[[], Iterator[RigSample]]

    def __len__(self) -> int:
        """Number of moments."""
        return self.count

    def __iter__(self) -> Iterator[RigSample]:
        """The moments in order; may be asked for again."""
        return self.read()
