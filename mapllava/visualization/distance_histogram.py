"""A histogram of distances between two sets of samples (numpy and OpenCV)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from mapllava.visualization.style import GRID, INK, MUTED, PAGE, put_text

_SIZE = (1000, 560)  # width, height in pixels
_LEFT, _RIGHT, _TOP, _BOTTOM = 70, 30, 90, 70
_BAR = (196, 132, 66)  # BGR


def draw_distances(
    distances: np.ndarray, edges: Sequence[float], title: str, subtitle: str = ""
) -> np.ndarray:
    """Draw the share of samples per class of distance.

    Args:
        distances: ``(n,)`` metres; inf counts into the last bar.
        edges: Upper bounds of the bars in metres, ascending; one more bar takes what lies beyond.
        title: First line.
        subtitle: Second line.

    Returns:
        ``(560, 1000, 3)`` uint8 BGR.

    Raises:
        ValueError: If there is no distance.
    """
    if not len(distances):
        raise ValueError("no distances to draw")
    width, height = _SIZE
    picture = np.full((height, width, 3), PAGE, dtype=np.uint8)
    put_text(picture, title, (_LEFT, 38), size=20)
    put_text(picture, subtitle, (_LEFT, 66), color=MUTED)
    bins = np.digitize(distances, edges, right=True)
    shares = np.bincount(bins, minlength=len(edges) + 1) / len(distances)
    floor, room = height - _BOTTOM, height - _BOTTOM - _TOP - 20
    for tick in (0.0, 0.25, 0.5, 0.75, 1.0):
        y = round(floor - tick * room)
        picture[y, _LEFT : width - _RIGHT] = MUTED if tick == 0 else GRID
        put_text(picture, f"{100 * tick:.0f} %", (_LEFT - 10, y + 5), color=MUTED, size=13, align="right")
    step = (width - _LEFT - _RIGHT) / len(shares)
    low = [0.0, *edges]
    for index, share in enumerate(shares):
        x0, x1 = round(_LEFT + (index + 0.12) * step), round(_LEFT + (index + 0.88) * step)
        top = round(floor - share * room)
        picture[top:floor, x0:x1] = _BAR
        middle = (x0 + x1) / 2
        put_text(picture, f"{100 * share:.1f} %", (middle, top - 8), color=INK, size=14, align="center")
        name = f"{low[index]:g}-{edges[index]:g} m" if index < len(edges) else f"> {edges[-1]:g} m"
        put_text(picture, name, (middle, floor + 24), color=INK, size=14, align="center")
    caption = "distance to the nearest training sample on the same map"
    put_text(picture, caption, (width / 2, height - 16), color=MUTED, size=14, align="center")
    return picture
