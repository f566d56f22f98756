"""Frames, the region of interest and the map's specification; numpy only.

Two frames exist. ``lidar``: origin LIDAR_TOP, x to the right, y forward. ``ego``: origin at the
rear axle, x forward, y to the left. Both in metres, z up. The frame's name is stored with every
artefact, because a box of 30 x 60 m is another place in each of them.
"""

from __future__ import annotations

import math
import re
import reprlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from mapllava.errors import MapLLaVAError

FORWARD_AXIS: Final[dict[str, int]] = {"lidar": 1, "ego": 0}
"""The axis along the car, 0 for x and 1 for y; the other runs across it."""
FRAMES: Final[tuple[str, ...]] = tuple(FORWARD_AXIS)
CLASSES: Final[tuple[str, ...]] = ("divider", "ped_crossing", "boundary")
AREA_CLASSES: Final[tuple[str, ...]] = ("ped_crossing",)
"""Classes whose rings mean the area inside; any other ring is a line that closes on itself."""

_SIZE = re.compile(r"\s*(\d+(?:\.\d+)?)\s*[xX×]\s*(\d+(?:\.\d+)?)\s*")


def check_frame(frame: str) -> str:
    """Return ``frame`` if it names a known frame.

    Raises:
        MapLLaVAError: If it does not.
    """
    if frame not in FRAMES:
        raise MapLLaVAError(f"unknown frame {frame!r}: use one of {', '.join(FRAMES)}")
    return frame


@dataclass(frozen=True)
class ROI:
    """The axis-aligned rectangle of the map frame in which the map is wanted.

    Args:
        x_min: Lower end of the x range, metres.
        y_min: Lower end of the y range, metres.
        x_max: Upper end of the x range, metres.
        y_max: Upper end of the y range, metres.

    Raises:
        MapLLaVAError: If a bound is not finite or a range is empty.
    """

    x_min: float
    y_min: float
    x_max: float
    y_max: float

    def __post_init__(self) -> None:
        for name in ("x_min", "y_min", "x_max", "y_max"):
            object.__setattr__(self, name, float(getattr(self, name)))
        if not all(math.isfinite(v) for v in self.to_list()):
            raise MapLLaVAError(f"roi {self.to_list()} has a bound that is not finite")
        if self.x_max <= self.x_min or self.y_max <= self.y_min:
            raise MapLLaVAError(
                f"roi {self.to_list()} is empty: the order is [x_min, y_min, x_max, y_max], metres"
            )

    @classmethod
    def parse(cls, text: str, frame: str = "lidar") -> ROI:
        """Read ``'60x30'`` (length along the car x width across, metres, centred on the origin).

        ``'x_min,y_min,x_max,y_max'`` is read too, for a region that is not centred.

        Args:
            text: The region as a user writes it.
            frame: Frame in which the rectangle lies; decides which axis is the long one.

        Raises:
            MapLLaVAError: If the text is neither form or the frame is unknown.
        """
        check_frame(frame)
        match = _SIZE.fullmatch(text)
        if match:
            length, width = float(match[1]) / 2, float(match[2]) / 2
            x, y = (length, width) if FORWARD_AXIS[frame] == 0 else (width, length)
            return cls(-x, -y, x, y)
        try:
            return cls.from_values([float(part) for part in text.split(",")])
        except ValueError:
            raise MapLLaVAError(
                f"roi {text!r} is neither 'LENGTHxWIDTH' (e.g. 60x30) nor 'x_min,y_min,x_max,y_max' in metres"
            ) from None

    @classmethod
    def from_values(cls, values: Sequence[float]) -> ROI:
        """Build from ``[x_min, y_min, x_max, y_max]``.

        Raises:
            MapLLaVAError: If there are not four numbers.
        """
        if isinstance(values, (str, bytes, Mapping)) or not hasattr(values, "__len__") or len(values) != 4:
            raise MapLLaVAError(
                f"roi {reprlib.repr(values)} must be four numbers [x_min, y_min, x_max, y_max]"
            )
        try:
            return cls(*(float(v) for v in values))
        except (TypeError, ValueError, OverflowError):
            raise MapLLaVAError(
                f"roi {reprlib.repr(values)} must be four numbers [x_min, y_min, x_max, y_max]"
            ) from None

    @property
    def width(self) -> float:
        """Extent along x, metres."""
        return self.x_max - self.x_min

    @property
    def height(self) -> float:
        """Extent along y, metres."""
        return self.y_max - self.y_min

    def length_and_width(self, frame: str) -> tuple[float, float]:
        """Extent along the car and across it in ``frame``, metres."""
        return (self.width, self.height) if FORWARD_AXIS[frame] == 0 else (self.height, self.width)

    def to_list(self) -> list[float]:
        """``[x_min, y_min, x_max, y_max]``, metres."""
        return [self.x_min, self.y_min, self.x_max, self.y_max]

    def contains(self, points: Any, margin: float = 0.0) -> Any:
        """Tell which points lie inside, the edge included.

        Args:
            points: Array or tensor ``(..., 2)``, metres.
            margin: Metres by which the rectangle is grown first.

        Returns:
            Boolean array or tensor ``(...)``.
        """
        x, y = points[..., 0], points[..., 1]
        inside_x = (x >= self.x_min - margin) & (x <= self.x_max + margin)
        return inside_x & (y >= self.y_min - margin) & (y <= self.y_max + margin)

    def grid_shape(self, cell: float) -> tuple[int, int]:
        """Rows (along y) and columns (along x) of cells of ``cell`` metres.

        Raises:
            MapLLaVAError: If the cell is not positive, or the region is not a whole number of cells.
        """
        if not (math.isfinite(cell) and cell > 0):
            raise MapLLaVAError(f"the BEV cell is {cell!r}: it must be positive, metres")
        rows, cols = self.height / cell, self.width / cell
        if max(abs(rows - round(rows)), abs(cols - round(cols))) > 1e-6:
            raise MapLLaVAError(
                f"roi {self.to_list()} is no whole number of BEV cells of {cell:g} m: {cols:g} along x and "
                f"{rows:g} along y: change model.neck.cell (RasterizeBEV.cell follows it) or map_spec.roi"
            )
        return round(rows), round(cols)

    def normalize(self, points: Any) -> Any:
        """Map metres to ``[0, 1]`` over the rectangle; points outside go beyond.

        Args:
            points: Array or tensor ``(..., 2)``, metres.

        Returns:
            The same kind and shape, unitless.
        """
        low, size = self._constants(points)
        return (points - low) / size

    def denormalize(self, points: Any) -> Any:
        """Inverse of :meth:`normalize`: ``[0, 1]`` to metres, shape ``(..., 2)``."""
        low, size = self._constants(points)
        return points * size + low

    def describe(self, frame: str = "lidar") -> str:
        """The text :meth:`parse` reads: ``'60x30'`` if centred, else the four bounds."""
        check_frame(frame)
        if self.x_min != -self.x_max or self.y_min != -self.y_max:
            return ",".join(f"{v:g}" for v in self.to_list())
        length, width = self.length_and_width(frame)
        return f"{length:g}x{width:g}"

    def __str__(self) -> str:
        return self.describe("lidar")

    def _constants(self, points: Any) -> tuple[Any, Any]:
        low, size = [self.x_min, self.y_min], [self.width, self.height]
        if hasattr(points, "new_tensor"):
            return points.new_tensor(low), points.new_tensor(size)
        return np.asarray(low), np.asarray(size)


@dataclass(frozen=True)
class MapSpec:
    """Frame, region and classes of a map: written once in a config, compared wherever two artefacts meet.

    Args:
        frame: One of :data:`FRAMES`.
        roi: Region of interest in that frame.
        classes: Class names; a label is an index into them.

    Raises:
        MapLLaVAError: If the frame is unknown or the class names are empty or repeated.
    """

    frame: str = "lidar"
    roi: ROI = ROI(-15.0, -30.0, 15.0, 30.0)
    classes: tuple[str, ...] = CLASSES

    def __post_init__(self) -> None:
        check_frame(self.frame)
        if not isinstance(self.classes, (list, tuple)) or not all(isinstance(c, str) for c in self.classes):
            raise MapLLaVAError(f"map_spec.classes {reprlib.repr(self.classes)} must be a list of names")
        object.__setattr__(self, "classes", tuple(self.classes))
        if not isinstance(self.roi, ROI):
            object.__setattr__(self, "roi", ROI.from_values(self.roi))
        if not self.classes or len(set(self.classes)) != len(self.classes):
            raise MapLLaVAError(f"map_spec.classes {list(self.classes)} must be non-empty and distinct")

    @classmethod
    def from_config(cls, config: Mapping[str, Any] | MapSpec) -> MapSpec:
        """Build from ``dict(frame='lidar', roi=[...], classes=[...])``; a spec is returned as it is.

        Raises:
            MapLLaVAError: If a key is missing or unknown, or a value is not valid.
        """
        if isinstance(config, MapSpec):
            return config
        if not isinstance(config, Mapping):
            raise MapLLaVAError(f"map_spec {config!r} must be a dict with the keys frame, roi, classes")
        keys = {"frame", "roi", "classes"}
        if set(config) != keys:
            missing, unknown = sorted(keys - set(config)), sorted(map(str, set(config) - keys))
            raise MapLLaVAError(f"map_spec: missing keys {missing}, unknown keys {unknown}")
        return cls(config["frame"], ROI.from_values(config["roi"]), config["classes"])

    def to_config(self) -> dict[str, Any]:
        """The plain dict that :meth:`from_config` reads."""
        return {"frame": self.frame, "roi": self.roi.to_list(), "classes": list(self.classes)}

    @property
    def forward_axis(self) -> int:
        """The axis along the car: 0 for x, 1 for y."""
        return FORWARD_AXIS[self.frame]

    @property
    def num_classes(self) -> int:
        """Number of classes."""
        return len(self.classes)

    def __str__(self) -> str:
        return f"{self.roi.describe(self.frame)} m, {self.frame} frame, {'/'.join(self.classes)}"
