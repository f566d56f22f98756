"""Charts by Matplotlib, in the style of all pictures."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from mapllava.files import atomic_write
from mapllava.visualization.style import MUTED, PALETTE

_DPI = 120
_HEAD = 84  # pixels above the axes, for title and subtitle


@contextmanager
def open_chart(
    path: str | Path,
    title: str,
    subtitle: str = "",
    size: tuple[int, int] = (1100, 580),
    panels: tuple[int, int] = (1, 1),
) -> Iterator[tuple[Any, np.ndarray]]:
    """A figure to draw on, written as PNG on leaving, whole or not at all.

    Args:
        path: The file; its folder is made.
        title: First line.
        subtitle: Second line.
        size: Width and height in pixels.
        panels: Rows and columns of axes.

    Yields:
        Matplotlib's figure and its axes, an array (rows, columns) as ``panels`` says.

    Raises:
        MapLLaVAError: If the file cannot be written.
    """
    from matplotlib.figure import Figure

    from mapllava.visualization.page import one_style

    width, height = size
    with one_style():
        figure = Figure(figsize=(width / _DPI, height / _DPI), dpi=_DPI, layout="constrained")
        set_top(figure, 1 - _HEAD / height)
        figure.text(
            36 / width, 1 - 34 / height, title, fontsize=14, weight="bold", va="center", parse_math=False
        )
        figure.text(
            36 / width, 1 - 64 / height, subtitle, fontsize=9.5, color=MUTED, va="center", parse_math=False
        )
        yield figure, figure.subplots(*panels, squeeze=False)
        with atomic_write(path) as partial:
            figure.savefig(partial, format="png")


def set_top(figure: Any, top: float) -> None:
    """Let the axes of a figure reach up to ``top``, a share of its height."""
    figure.get_layout_engine().set(rect=(0.02, 0.01, 0.96, top - 0.01), h_pad=0.06, w_pad=0.06)


def place_legend(axis: Any, columns: int = 6) -> None:
    """Name what is drawn on Matplotlib's axes, above their right end; nothing where nothing has a name."""
    labels = axis.get_legend_handles_labels()[1]
    if labels:
        axis.legend(loc="lower right", bbox_to_anchor=(1.0, 1.0), ncols=min(len(labels), columns))


def draw_distances(
    path: str | Path, distances: np.ndarray, edges: Sequence[float], title: str, subtitle: str = ""
) -> Path:
    """Draw the share of samples per class of distance to the nearest training sample.

    Args:
        path: The PNG file, 1000 x 560 pixels.
        distances: ``(n,)`` metres; inf counts into the last bar.
        edges: Upper bounds of the bars in metres, ascending; one more bar takes what lies beyond.
        title: First line.
        subtitle: Second line.

    Returns:
        The path.

    Raises:
        ValueError: If there is no distance.
        MapLLaVAError: As :func:`open_chart`.
    """
    if not len(distances):
        raise ValueError("no distances to draw")
    bins = np.digitize(distances, edges, right=True)
    shares = 100 * np.bincount(bins, minlength=len(edges) + 1) / len(distances)
    names = [f"{low:g}-{high:g} m" for low, high in pairwise([0.0, *edges])]
    with open_chart(path, title, subtitle, (1000, 560)) as (_, axes):
        axis = axes[0, 0]
        bars = axis.bar([*names, f"> {edges[-1]:g} m"], shares, width=0.76, color=PALETTE[0])
        axis.bar_label(bars, fmt="%.1f %%", padding=3)
        axis.grid(False, axis="x")
        axis.set_ylim(0, 105)
        axis.yaxis.set_major_formatter("{x:.0f} %")
        axis.set_xlabel("distance to the nearest training sample on the same map")
    return Path(path)
