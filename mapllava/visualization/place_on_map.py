"""Where samples lie on a map: every place of a cache, and the shown ones numbered (Matplotlib)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from mapllava.visualization.charts import open_chart
from mapllava.visualization.style import MUTED, class_color

_LARGEST, _SMALLEST = (1200, 1000), 320  # width and height of the map's area in pixels
_SIDE, _HEAD, _ROW = 340, 84, 20
_LISTED = 60
_DOT, _SHOWN = "#96aabe", "#d72828"
_STEPS = ((1, 1), (1, -1), (-1, 1), (-1, -1), (0, 2), (0, -2), (2, 0), (-2, 0))


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


def draw_places(path: str | Path, places: PlacesOnMap, title: str, margin: float) -> Path:
    """Draw a map with the places of samples on it, north (world y) up.

    Args:
        path: The PNG file.
        places: What to draw.
        title: Written above.
        margin: Metres around the positions that are drawn as well.

    Returns:
        The path.

    Raises:
        ValueError: If there is no position.
        MapLLaVAError: If the file cannot be written.
    """
    if not len(places.positions):
        raise ValueError("no positions to draw")
    low, high = places.positions.min(axis=0) - margin, places.positions.max(axis=0) + margin
    scale = float(np.min(np.array(_LARGEST) / np.maximum(high - low, 1e-6)))
    width, height = np.maximum(np.round((high - low) * scale), _SMALLEST).astype(int).tolist()
    rows = len(places.classes) + min(len(places.names), _LISTED) + 5
    size = (width + _SIDE, max(height, rows * _ROW) + _HEAD + 40)
    subtitle = "ground truth of a cache laid side by side in the world; places of its samples"
    with open_chart(path, title, subtitle, size) as (figure, axes):
        axis = axes[0, 0]
        axis.set(
            xlim=(low[0], high[0]),
            ylim=(low[1], high[1]),
            aspect="equal",
            xlabel="x, east / m",
            ylabel="y, north / m",
        )
        for label, name in enumerate(places.classes):
            mine = [line for line, c in zip(places.lines, places.labels, strict=True) if c == label]
            gaps = [point for line in mine for point in (*line, (np.nan, np.nan))]
            xy = np.array(gaps).reshape(-1, 2)
            color = class_color(places.classes, label)
            axis.plot(*xy.T, color=color, alpha=0.45, lw=1, label=name.replace("_", " "))
        axis.plot(*places.positions.T, ".", ms=3, color=_DOT, label=f"{len(places.positions):,} samples")
        chosen = places.positions[list(places.shown)]
        axis.plot(*chosen.T, "o", ms=6, color=_SHOWN, mec="white", label=f"{len(places.names):,} drawn")
        _list_beside(axis, places.names)
        figure.draw_without_rendering()  # the pixels of places are known after that
        _number(axis, chosen, [number for number, _ in places.names])
    return Path(path)


def _list_beside(axis: Any, names: Sequence[tuple[int, str]]) -> None:
    """What the colours mean, and the numbered names, to the right of the map."""
    legend = axis.legend(loc="upper left", bbox_to_anchor=(1.01, 1.0), alignment="left")
    listed = [f"{number:>3}  {name}" for number, name in names[:_LISTED]]
    if len(names) > _LISTED:
        listed.append(f"     and {len(names) - _LISTED} more")
    text = "\n".join(listed)
    style = {"va": "top", "color": MUTED, "fontsize": 8.5}
    axis.annotate(text, (0, 0), (2, -8), xycoords=legend, textcoords="offset points", **style)


def _number(axis: Any, places: np.ndarray, numbers: Sequence[int]) -> None:
    """Numbers beside places ``(n, 2)``; one moves aside where it would cover another."""
    pixels = axis.transData.transform(places)
    taken = np.concatenate([pixels - 7, pixels + 7], axis=1)
    for number, place, pixel in zip(numbers, places, pixels, strict=True):
        half = np.array([5.0 * len(str(number)) + 4, 10.0])
        steps = [reach * np.array(step) * (half + 4) for reach in (1.0, 2.0, 3.0) for step in _STEPS]
        boxes = [np.concatenate([pixel + step - half, pixel + step + half]) for step in steps]
        free = [
            k
            for k, box in enumerate(boxes)
            if not ((box[:2] < taken[:, 2:]) & (box[2:] > taken[:, :2])).all(axis=1).any()
        ]
        best = (free or [0])[0]
        taken = np.concatenate([taken, boxes[best][None]])
        axis.annotate(
            str(number), place, steps[best] * 72 / axis.figure.dpi, textcoords="offset points",
            ha="center", va="center", fontsize=10, zorder=5,
            bbox={"fc": "white", "ec": _SHOWN, "pad": 1.5},
            arrowprops={"arrowstyle": "-", "color": _SHOWN, "shrinkA": 0, "shrinkB": 0},
        )  # fmt: skip
