"""Where samples lie on a map: every place of a cache, and the shown ones numbered (numpy and OpenCV)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from mapllava.visualization.style import (
    INK,
    MUTED,
    PAGE,
    PAPER,
    Color,
    class_color,
    put_text,
    stroke,
    text_width,
)

_MAP = (1200, 1000)  # largest width and height of the map's area in pixels
_SMALLEST = 320
_LEFT, _TOP, _BOTTOM, _SIDE = 16, 52, 44, 360
_ROW = 26
_LISTED = 60
_DOT: Color = (190, 170, 150)
_SHOWN: Color = (40, 40, 215)
_LIGHT = 0.45
_STEPS = ((1, -1), (1, 1), (-1, -1), (-1, 1), (0, -2), (0, 2), (2, 0), (-2, 0))
_BARS = (10, 20, 50, 100, 200, 500, 1000)


@dataclass
class PlacesOnMap:
    """What is drawn of one map.

    Args:
        positions: ``(n, 2)`` of all samples in the world, metres.
        shown: Indices into ``positions`` of the samples to mark.
        names: Number of each of them and what it is called in the list beside the map.
        lines: Map lines ``(m, 2)`` in the world, metres.
        labels: Class of each line.
        classes: Class names.
    """

    positions: np.ndarray
    shown: Sequence[int]
    names: Sequence[tuple[int, str]]
    lines: Sequence[np.ndarray]
    labels: Sequence[int]
    classes: tuple[str, ...]


def draw_places(places: PlacesOnMap, title: str, margin: float) -> np.ndarray:
    """Draw a map with the places of samples on it, north (world y) up.

    Args:
        places: What to draw.
        title: Written above.
        margin: Metres around the positions that are drawn as well.

    Returns:
        ``(H, W, 3)`` uint8 BGR.

    Raises:
        ValueError: If there is no position.
    """
    if not len(places.positions):
        raise ValueError("no positions to draw")
    low, high = places.positions.min(axis=0) - margin, places.positions.max(axis=0) + margin
    scale = float(np.min(np.array(_MAP) / np.maximum(high - low, 1e-6)))
    width, height = np.maximum(np.round((high - low) * scale), _SMALLEST).astype(int).tolist()
    corner = (low + high) / 2 + np.array([-width, height]) / (2 * scale)

    def pixels(points: np.ndarray) -> np.ndarray:
        return (np.asarray(points) - corner) * (scale, -scale)

    area = np.full((height, width, 3), PAPER, dtype=np.uint8)
    for line, label in zip(places.lines, places.labels, strict=True):
        stroke(area, pixels(line), _light(class_color(places.classes, label)), 1)
    for x, y in pixels(places.positions):
        _dot(area, x, y, 1.2, _DOT)
    _number(area, pixels(places.positions[list(places.shown)]), [number for number, _ in places.names])
    return _page(area, places, title, scale)


def _light(color: Color) -> Color:
    return tuple(round(_LIGHT * c + (1 - _LIGHT) * 255) for c in color)  # type: ignore[return-value]


def _dot(area: np.ndarray, x: float, y: float, radius: float, color: Color) -> None:
    place = (round(x * 16), round(y * 16))
    cv2.circle(area, place, round(radius * 16), color, -1, cv2.LINE_AA, 4)


def _number(area: np.ndarray, places: np.ndarray, numbers: Sequence[int]) -> None:
    """Dots and numbers; a number moves aside where it would cover another."""
    height, width = area.shape[:2]
    for x, y in places:
        _dot(area, x, y, 6.5, PAPER)
        _dot(area, x, y, 5.0, _SHOWN)
    taken = np.array([[x - 7, y - 7, x + 7, y + 7] for x, y in places]).reshape(-1, 4)
    for number, (x, y) in zip(numbers, places, strict=True):
        half = np.array([text_width(str(number), 18) / 2 + 3, 10.0])
        boxes = []
        for reach in (1.0, 2.0, 3.0):
            for step in _STEPS:
                middle = np.array([x, y]) + reach * np.array(step) * (half + 4)
                middle = np.clip(middle, half, np.array([width, height]) - half)
                boxes.append(np.concatenate([middle - half, middle + half]))
        free = [box for box in boxes if not _covers(box, taken)]
        box = (free or boxes)[0]
        taken = np.concatenate([taken, box[None]])
        low, high = (round(box[0]), round(box[1])), (round(box[2]), round(box[3]))
        stroke(area, np.array([[x, y], (box[:2] + box[2:]) / 2]), _SHOWN, 1)
        cv2.rectangle(area, low, high, PAPER, -1)
        cv2.rectangle(area, low, high, _SHOWN, 1)
        put_text(area, str(number), ((box[0] + box[2]) / 2, box[3] - 4), INK, 18, "center")


def _covers(box: np.ndarray, taken: np.ndarray) -> bool:
    return bool(((box[:2] < taken[:, 2:]) & (box[2:] > taken[:, :2])).all(axis=1).any())


def _page(area: np.ndarray, places: PlacesOnMap, title: str, scale: float) -> np.ndarray:
    """The map's area with title, scale, legend and the list of names."""
    height, width = area.shape[:2]
    listed = list(places.names[:_LISTED])
    rows = len(places.classes) + len(listed) + 5
    tall = max(height, rows * _ROW)
    wide = max(_LEFT + width + _SIDE, 2 * _LEFT + text_width(title, 22))
    picture = np.full((_TOP + tall + _BOTTOM, wide, 3), PAGE, dtype=np.uint8)
    picture[_TOP : _TOP + height, _LEFT : _LEFT + width] = area
    cv2.rectangle(picture, (_LEFT - 1, _TOP - 1), (_LEFT + width, _TOP + height), MUTED, 1)
    put_text(picture, title, (_LEFT, 34), INK, 22)
    length = max([bar for bar in _BARS if bar * scale <= width / 3], default=_BARS[0])
    below = _TOP + height + 14.0
    stroke(picture, np.array([[_LEFT, below], [_LEFT + length * scale, below]]), INK, 2)
    put_text(picture, f"{length} m", (_LEFT, below + 20), MUTED, 14)
    left, row = _LEFT + width + 20, float(_TOP + 16)
    for label, name in enumerate(places.classes):
        color = _light(class_color(places.classes, label))
        stroke(picture, np.array([[left, row - 5], [left + 24, row - 5]]), color, 3)
        put_text(picture, name.replace("_", " "), (left + 34, row), INK, 15)
        row += _ROW
    for color, radius, text in (
        (_DOT, 3.0, f"{len(places.positions):,} samples"),
        (_SHOWN, 5.0, f"{len(places.names):,} drawn"),
    ):
        _dot(picture, left + 12, row - 5, radius, color)
        put_text(picture, text, (left + 34, row), INK, 15)
        row += _ROW
    for number, name in listed:
        row += _ROW
        put_text(picture, str(number), (left + 24, row), INK, 15, "right")
        put_text(picture, name, (left + 34, row), MUTED, 13)
    if len(places.names) > len(listed):
        put_text(picture, f"and {len(places.names) - len(listed)} more", (left + 34, row + _ROW), MUTED, 13)
    return picture
