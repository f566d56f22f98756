"""Colours, line styles and text that all pictures share (numpy and OpenCV; colours are BGR)."""

from __future__ import annotations

from dataclasses import dataclass, replace

import cv2
import numpy as np

from mapllava.geometry import cumulative_length, ranks

Color = tuple[int, int, int]

INK: Color = (45, 40, 36)
MUTED: Color = (135, 125, 118)
GRID: Color = (232, 228, 224)
PAPER: Color = (255, 255, 255)
PAGE: Color = (248, 246, 244)
CAR: Color = (70, 62, 56)

_CLASS_COLORS: dict[str, Color] = {
    "divider": (24, 130, 242),
    "ped_crossing": (226, 104, 46),
    "boundary": (82, 158, 38),
}
_MORE_COLORS: tuple[Color, ...] = ((160, 70, 150), (150, 150, 20), (60, 60, 200), (20, 170, 190))


def class_color(classes: tuple[str, ...], label: int) -> Color:
    """The colour of a class: its own if it has one, else the next of a small palette."""
    name = classes[label]
    return _CLASS_COLORS.get(name, _MORE_COLORS[label % len(_MORE_COLORS)])


@dataclass(frozen=True)
class LineStyle:
    """How a map line is drawn.

    Args:
        thickness: Pixels in the finished picture.
        dash: Length of dashes and of the gaps between them in metres; None draws it solid.
        outline: Pixels of white on both sides, which lift the line off a photograph.
        dots: Radius of a dot at each vertex in pixels; 0 for none.
        fill: Opacity with which rings of area classes are filled, holes left out, 0 to 1.
    """

    thickness: float = 2.5
    dash: float | None = None
    outline: float = 0.0
    dots: float = 0.0
    fill: float = 0.0


GROUND_TRUTH = LineStyle(thickness=2.5, fill=0.12)
PREDICTION = LineStyle(thickness=2.5, dots=2.3, fill=0.12)
REFERENCE = LineStyle(thickness=1.4, dash=0.6)


def on_photograph(style: LineStyle) -> LineStyle:
    """The same style as it is drawn on a camera image."""
    return replace(style, thickness=max(2.0, style.thickness), outline=1.0, dots=0.0, fill=0.0)


def densify(points: np.ndarray, step: float) -> np.ndarray:
    """Add points so that none is farther than ``step`` from the next; all vertices stay.

    Args:
        points: ``(n, 2)`` or ``(n, 3)``, metres.
        step: Metres.

    Returns:
        ``(m, d)`` with ``m >= n``.
    """
    if len(points) < 2:
        return points
    lengths = np.linalg.norm(np.diff(points, axis=0), axis=1)
    counts = np.maximum(np.ceil(lengths / step).astype(int), 1)
    first = np.repeat(np.arange(len(counts)), counts)
    share = ranks(counts) / counts[first]
    inner = points[first] + share[:, None] * (points[first + 1] - points[first])
    return np.concatenate([inner, points[-1:]])


def dashes(points: np.ndarray, length: float | None) -> list[np.ndarray]:
    """Cut a polyline into dashes.

    Args:
        points: ``(n, 2)``, metres.
        length: Length of dashes and gaps, metres; None returns the line in one piece.

    Returns:
        Polylines ``(m, 2)``; the first begins where the line does.
    """
    if length is None:
        return [points]
    along = cumulative_length(points)
    out = []
    for start in np.arange(0.0, max(along[-1], 1e-9), 2 * length):
        stop = min(start + length, along[-1])
        inner = along[(along > start) & (along < stop)]
        places = np.concatenate([[start], inner, [stop]])
        out.append(np.stack([np.interp(places, along, points[:, axis]) for axis in (0, 1)], axis=1))
    return out


def stroke(image: np.ndarray, points: np.ndarray, color: Color, thickness: float, shift: int = 4) -> None:
    """Draw a polyline ``(n, 2)`` of pixel coordinates in place, with sub-pixel precision."""
    if len(points) >= 2:
        fixed = np.round(points * (1 << shift)).astype(np.int32)
        cv2.polylines(image, [fixed], False, color, max(1, round(thickness)), cv2.LINE_AA, shift)


def put_text(
    image: np.ndarray,
    text: str,
    origin: tuple[float, float],
    color: Color = INK,
    size: float = 15.0,
    align: str = "left",
    bold: bool = False,
) -> None:
    """Write one line of text in place.

    Args:
        image: ``(H, W, 3)`` uint8.
        text: Characters beyond ASCII become question marks (OpenCV draws no others).
        origin: Pixel (x, y) of the baseline's left end, middle or right end, by ``align``.
        color: BGR.
        size: Height of capitals and ascenders in pixels, times about 1.4.
        align: ``'left'``, ``'center'`` or ``'right'``.
        bold: Draw with a doubled stroke.
    """
    text = text.encode("ascii", "replace").decode()
    scale, weight = size / 30.0, 2 if bold else 1
    width = text_width(text, size)
    x = origin[0] - {"left": 0.0, "center": width / 2, "right": width}[align]
    place = (round(x), round(origin[1]))
    cv2.putText(image, text, place, cv2.FONT_HERSHEY_DUPLEX, scale, color, weight, cv2.LINE_AA)


def text_width(text: str, size: float = 15.0) -> int:
    """Width in pixels of a line that :func:`put_text` writes."""
    (width, _), _ = cv2.getTextSize(text, cv2.FONT_HERSHEY_DUPLEX, size / 30.0, 1)
    return int(width)
