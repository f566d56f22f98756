"""Charts by Matplotlib, all in one style; pictures of maps and cameras are OpenCV's."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from mapllava.errors import MapLLaVAError
from mapllava.files import atomic_write
from mapllava.visualization import style


def hex_of(color: style.Color) -> str:
    """Matplotlib's name of a colour (B, G, R), such as ``#24282d``."""
    return "#{2:02x}{1:02x}{0:02x}".format(*color)


PALETTE = ("#2563c9", "#e0701a", "#2e9b46", "#b0338a", "#0e9aa7", "#8a6d1f", "#c8382e", "#6b5bd2")
INK, MUTED, GRID, PAGE = map(hex_of, (style.INK, style.MUTED, style.GRID, style.PAGE))
UNSURE = "#b0b6be"
"""Colour of what chance may have made."""

STYLE: Any = {
    "figure.facecolor": PAGE,
    "savefig.facecolor": PAGE,
    "text.color": INK,
    "axes.prop_cycle": f"cycler('color', {list(PALETTE)})",
    "axes.titlelocation": "left",
    "axes.titlesize": 11.5,
    "axes.titleweight": "bold",
    "axes.titlepad": 8,
    "axes.labelcolor": MUTED,
    "axes.labelsize": 9.5,
    "axes.axisbelow": True,
    "axes.grid": True,
    "grid.color": GRID,
    "axes.spines.left": False,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.spines.bottom": False,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "xtick.labelsize": 9,
    "ytick.labelsize": 9,
    "xtick.major.size": 0,
    "ytick.major.size": 0,
    "xtick.minor.size": 0,
    "ytick.minor.size": 0,
    "lines.linewidth": 1.8,
    "lines.markersize": 4.5,
    "lines.solid_capstyle": "round",
    "legend.frameon": False,
    "legend.labelcolor": INK,
    "legend.borderpad": 0.2,
    "legend.borderaxespad": 0.2,
    "legend.handlelength": 1.8,
    "legend.columnspacing": 1.1,
    "legend.fontsize": 9,
}
"""Matplotlib's settings of every chart."""

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
        MapLLaVAError: If Matplotlib is missing, or the file cannot be written.
    """
    try:
        import matplotlib
        from matplotlib.figure import Figure
    except ImportError as error:
        raise MapLLaVAError(f"charts need Matplotlib ({error}): pip install matplotlib") from error
    width, height = size
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(width / _DPI, height / _DPI), dpi=_DPI, layout="constrained")
        set_top(figure, 1 - _HEAD / height)
        figure.text(36 / width, 1 - 34 / height, title, fontsize=14, weight="bold", va="center")
        figure.text(36 / width, 1 - 64 / height, subtitle, fontsize=9.5, color=MUTED, va="center")
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
