"""A map seen from above, forward up, with a metre scale and the car."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

from mapllava.structures.frames import AREA_CLASSES, MapSpec
from mapllava.visualization.style import (
    CAR,
    GRID,
    GROUND_TRUTH,
    INK,
    MUTED,
    PAGE,
    PAPER,
    Color,
    LineStyle,
    class_color,
    dashes,
    put_text,
    stroke,
)

_SCALE = 2
_LEFT, _RIGHT, _TOP, _BOTTOM = 34, 12, 30, 24
_CAR_REAR, _CAR_FRONT, _CAR_HALF_WIDTH = -0.9, 3.2, 0.9
_LIDAR_AHEAD = 0.94
_RING_GAP = 0.5


class BEVCanvas:
    """Draws polylines in the region of interest.

    Forward is up in either frame: in ``lidar`` x runs to the right and y up, in ``ego`` x runs up
    and y to the left. Lines are drawn at twice the size and reduced at the end.

    Args:
        map_spec: Frame, region of interest (metres) and classes.
        size: (width, height) in pixels that the picture, margins included, must fit in.
        title: Written above.

    Raises:
        ValueError: If the size leaves no room for the map.
    """

    def __init__(self, map_spec: MapSpec, size: tuple[int, int] = (360, 620), title: str = "") -> None:
        self.map_spec = map_spec
        self.title = title
        roi = map_spec.roi
        self._upright = map_spec.forward_axis == 1
        along, across = roi.length_and_width(map_spec.frame)
        room = (size[0] - _LEFT - _RIGHT, size[1] - _TOP - _BOTTOM)
        if min(room) < 20:
            raise ValueError(f"a picture of {size[0]} x {size[1]} pixels leaves no room for the map")
        self.pixels_per_meter = min(room[0] / across, room[1] / along)
        self.map_size = (round(across * self.pixels_per_meter), round(along * self.pixels_per_meter))
        shape = (self.map_size[1] * _SCALE, self.map_size[0] * _SCALE, 3)
        self._map = np.full(shape, PAPER, dtype=np.uint8)
        self._draw_grid()
        self._draw_car()

    def to_pixels(self, points: np.ndarray) -> np.ndarray:
        """Map metres ``(n, 2)`` to pixels (column, row) of the map's area, margins excluded."""
        roi = self.map_spec.roi
        points = np.asarray(points, dtype=np.float64)
        if self._upright:
            offset = np.stack([points[:, 0] - roi.x_min, roi.y_max - points[:, 1]], axis=1)
        else:
            offset = np.stack([roi.y_max - points[:, 1], roi.x_max - points[:, 0]], axis=1)
        return offset * self.pixels_per_meter

    def draw_lines(
        self, lines: Sequence[np.ndarray], labels: Sequence[int], style: LineStyle = GROUND_TRUTH
    ) -> BEVCanvas:
        """Draw polylines ``(n, 2)``, metres, in the colours of their classes; returns the canvas."""
        for label, name in enumerate(self.map_spec.classes):
            rings = [line for line, of in zip(lines, labels, strict=True) if of == label and _is_ring(line)]
            if style.fill and rings and name in AREA_CLASSES:
                self._fill(rings, class_color(self.map_spec.classes, label), style.fill)
        for line, label in zip(lines, labels, strict=True):
            color = class_color(self.map_spec.classes, int(label))
            for piece in dashes(np.asarray(line, dtype=np.float64), style.dash):
                stroke(self._map, self._zoomed(piece), color, style.thickness * _SCALE)
            if style.dots:
                self._dots(line, color, style.dots)
        return self

    def render(self) -> np.ndarray:
        """The picture, ``(H, W, 3)`` uint8 BGR, with frame, metre scale and title."""
        width, height = self.map_size
        picture = np.full((height + _TOP + _BOTTOM, width + _LEFT + _RIGHT, 3), PAGE, dtype=np.uint8)
        small = cv2.resize(self._map, self.map_size, interpolation=cv2.INTER_AREA)
        picture[_TOP : _TOP + height, _LEFT : _LEFT + width] = small
        cv2.rectangle(picture, (_LEFT - 1, _TOP - 1), (_LEFT + width, _TOP + height), MUTED, 1)
        self._draw_scale(picture)
        if self.title:
            put_text(picture, self.title, (_LEFT + width / 2, _TOP - 10), INK, 16, "center")
        return picture

    def _zoomed(self, points: np.ndarray) -> np.ndarray:
        return self.to_pixels(points) * _SCALE - 0.5

    def _fill(self, rings: list[np.ndarray], color: Color, opacity: float) -> None:
        layer = self._map.copy()
        pixels = [np.round(self._zoomed(ring)).astype(np.int32) for ring in rings]
        cv2.fillPoly(layer, pixels, color, cv2.LINE_AA)  # even-odd: holes stay empty
        cv2.addWeighted(layer, opacity, self._map, 1 - opacity, 0, dst=self._map)

    def _dots(self, line: np.ndarray, color: Color, radius: float) -> None:
        for x, y in np.round(self._zoomed(line) * 16).astype(int):
            cv2.circle(self._map, (int(x), int(y)), round(radius * _SCALE * 16), color, -1, cv2.LINE_AA, 4)

    def _ticks(self, step: float) -> tuple[np.ndarray, np.ndarray]:
        """Metre values along the axis that runs across the picture and the one that runs up it."""
        roi = self.map_spec.roi
        x, y = (
            np.arange(np.ceil(low / step), np.floor(high / step) + 1) * step
            for low, high in ((roi.x_min, roi.x_max), (roi.y_min, roi.y_max))
        )
        return (x, y) if self._upright else (y, x)

    def _place(self, across: float, along: float) -> np.ndarray:
        point = (across, along) if self._upright else (along, across)
        return self.to_pixels(np.array([point]))[0]

    def _draw_grid(self) -> None:
        across, along = self._ticks(5.0)
        for value in across:
            column = round(self._place(value, 0.0)[0] * _SCALE)
            cv2.line(self._map, (column, 0), (column, self._map.shape[0]), GRID, _SCALE)
        for value in along:
            row = round(self._place(0.0, value)[1] * _SCALE)
            cv2.line(self._map, (0, row), (self._map.shape[1], row), GRID, _SCALE)

    def _draw_scale(self, picture: np.ndarray) -> None:
        height = self.map_size[1]
        step = 10.0 if max(self.map_spec.roi.width, self.map_spec.roi.height) <= 80 else 20.0
        across, along = self._ticks(step)
        for value in across:
            column = _LEFT + self._place(value, 0.0)[0]
            put_text(picture, f"{value:g}", (column, _TOP + height + 16), MUTED, 11, "center")
        for value in along:
            row = _TOP + self._place(0.0, value)[1]
            put_text(picture, f"{value:g}", (_LEFT - 6, row + 4), MUTED, 11, "right")
        put_text(picture, "m", (_LEFT - 6, _TOP + height + 16), MUTED, 11, "right")

    def _draw_car(self) -> None:
        back = _LIDAR_AHEAD if self._upright else 0.0
        rear, front, side = _CAR_REAR - back, _CAR_FRONT - back, _CAR_HALF_WIDTH
        self._polygon([(-side, rear), (side, rear), (side, front - 0.7), (0.5, front), (-0.5, front),
                       (-side, front - 0.7)], CAR)  # fmt: skip
        self._polygon(
            [(-0.7, front - 1.7), (0.7, front - 1.7), (0.55, front - 1.0), (-0.55, front - 1.0)], PAPER
        )

    def _polygon(self, corners: list[tuple[float, float]], color: Color) -> None:
        """Corners are (to the right, forward) of the frame's origin, metres."""
        right = 1.0 if self._upright else -1.0
        pixels = np.array([self._place(right * x, y) for x, y in corners]) * _SCALE
        cv2.fillPoly(self._map, [np.round(pixels * 16).astype(np.int32)], color, cv2.LINE_AA, 4)


def _is_ring(line: np.ndarray) -> bool:
    return len(line) >= 4 and np.hypot(*np.subtract(line[0], line[-1])) < _RING_GAP
