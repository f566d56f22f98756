"""A map seen from above on Matplotlib's axes: forward up, metres, the car."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from mapllava.geometry.lidar_frame import LIDAR_AHEAD
from mapllava.structures import MapLines
from mapllava.structures.frames import AREA_CLASSES, MapSpec
from mapllava.visualization.style import (
    CAR,
    GRID,
    INK,
    MUTED,
    PAPER,
    Color,
    LineForm,
    Role,
    class_color,
    class_form,
    pale,
)

Layer = tuple[MapLines, Role]

_CAR_REAR, _CAR_FRONT, _CAR_HALF_WIDTH = -0.95, 3.15, 0.93
_RING_GAP = 0.5
_ACROSS = {"lidar": "x, right / m", "ego": "y, left / m"}
_ALONG = {"lidar": "y, forward / m", "ego": "x, forward / m"}


def draw_map_axes(ax: Any, map_spec: MapSpec, layers: Sequence[Layer], title: str = "") -> None:
    """Draw maps on axes: forward is up in either frame, and numbers are the frame's own.

    In ``lidar`` x runs to the right; in ``ego`` y runs to the left, so the numbers across fall to the
    right.

    Args:
        ax: Matplotlib's axes; limits, ticks and labels are set here, one metre is as long either way.
        map_spec: Frame, region of interest (metres) and classes.
        layers: Lines and what they are (:data:`~mapllava.visualization.style.TRUTH`, ``PREDICTION``).
        title: Written above.
    """
    _frame_axes(ax, map_spec)
    for lines, role in layers:
        draw_layer(ax, map_spec, lines, role)
    _draw_car(ax, map_spec)
    if title:
        ax.set_title(
            title, loc="center", fontsize=11.5, fontweight="bold", color=INK, pad=6, parse_math=False
        )


def upright(points: np.ndarray, map_spec: MapSpec) -> np.ndarray:
    """Map metres ``(n, 2)`` as what stands on the axes, (across, along)."""
    points = np.asarray(points, dtype=np.float64)
    return points if map_spec.forward_axis == 1 else points[:, ::-1]


def draw_layer(ax: Any, map_spec: MapSpec, lines: MapLines, role: Role) -> None:
    """Draw the lines of one map in the colours and forms of their classes."""
    labels = np.asarray(lines.labels, dtype=np.int64)
    for label, name in enumerate(map_spec.classes):
        mine = [upright(line, map_spec) for line, of in zip(lines.points, labels, strict=True) if of == label]
        if not mine:
            continue
        form, color = class_form(map_spec.classes, label), class_color(map_spec.classes, label)
        rings = [line for line in mine if _is_ring(line)]
        if rings and form.fill and role.fill and name in AREA_CLASSES:
            _fill(ax, rings, color, form, role)
        collection = line_collection(mine, color, form, role)
        ax.add_collection(collection, autolim=False)
        if role.ends:
            _mark_ends(ax, mine, color, role)


def line_collection(
    lines: Sequence[np.ndarray], color: Color, form: LineForm, role: Role, rim: float = 0.0
) -> Any:
    """Lines ``(n, 2)`` of one class as Matplotlib draws them.

    Args:
        lines: In whatever coordinates they are drawn.
        color: Of the class, or of the rim; the role's tint is applied where there is no rim.
        form: Of the class.
        role: Of the map.
        rim: Points by which the strokes are larger on every side, for an outline beneath them.
    """
    from matplotlib.collections import LineCollection

    width = role.width * form.weight + 2 * rim
    dash = form.dash if form.dash and form.dash[0] > role.width else ()  # a shorter one would be a comb
    dash = () if dash and min(dash[1::2]) <= 2 * rim else dash
    parts = tuple((part + (2 * rim if k % 2 == 0 else -2 * rim)) / width for k, part in enumerate(dash))
    return LineCollection(
        list(lines),
        colors=pale(color, role.tint) if role.tint and not rim else color,
        linewidths=width,
        linestyles=[(rim / width, parts) if parts else "solid"],
        capstyle="butt" if parts else "round",
        joinstyle="round",
        zorder=role.order - (0.5 if rim else 0.0),
    )


def end_dots(places: np.ndarray, color: Color, role: Role) -> Any:
    """Dots at places ``(n, 2)``, in whatever coordinates they are drawn."""
    from matplotlib.lines import Line2D

    return Line2D(
        places[:, 0],
        places[:, 1],
        linestyle="none",
        marker="o",
        markersize=role.ends,
        markerfacecolor=color,
        markeredgecolor=PAPER,
        markeredgewidth=0.6,
        zorder=role.order + 0.5,
    )


def _mark_ends(ax: Any, lines: Sequence[np.ndarray], color: Color, role: Role) -> None:
    """Dots where lines begin and end; a closed one has one, where it begins."""
    ends = np.concatenate([line[:1] if _is_ring(line) else line[[0, -1]] for line in lines])
    ax.add_line(end_dots(ends, color, role))


def _fill(ax: Any, rings: list[np.ndarray], color: Color, form: LineForm, role: Role) -> None:
    """Tint and hatch areas; rings inside others are holes and stay empty."""
    from matplotlib.patches import PathPatch
    from matplotlib.path import Path

    paths = [Path(ring) for ring in rings]
    parts = []
    for ring, path in zip(rings, paths, strict=True):
        depth = sum(other is not path and other.contains_points(ring).all() for other in paths)
        parts.append(Path(ring if (_area(ring) > 0) == (depth % 2 == 0) else ring[::-1], closed=True))
    area = Path.make_compound_path(*parts)
    if role.tint:
        ax.add_patch(PathPatch(area, fc=color, ec="none", alpha=2 * form.fill, zorder=role.order - 0.5))
    else:
        style = {"fc": "none", "ec": color, "lw": 0, "alpha": 0.55, "zorder": role.order - 0.5}
        ax.add_patch(PathPatch(area, hatch=form.hatch, **style))


def _area(ring: np.ndarray) -> float:
    """Signed area ``(n, 2)``; positive where it runs against the clock."""
    x, y = ring.T
    return float(np.sum(x[:-1] * y[1:] - x[1:] * y[:-1]) / 2)


def _is_ring(line: np.ndarray) -> bool:
    return len(line) >= 4 and float(np.hypot(*np.subtract(line[0], line[-1]))) < _RING_GAP


def _frame_axes(ax: Any, map_spec: MapSpec) -> None:
    from matplotlib.collections import LineCollection

    roi = map_spec.roi
    if map_spec.forward_axis == 1:
        across, along = (roi.x_min, roi.x_max), (roi.y_min, roi.y_max)
    else:
        across, along = (roi.y_max, roi.y_min), (roi.x_min, roi.x_max)
    ax.set(xlim=across, ylim=along, aspect="equal", facecolor=PAPER)
    step = 10.0 if max(roi.width, roi.height) <= 80 else 20.0
    ax.set_xticks(_multiples(across, step))
    ax.set_yticks(_multiples(along, step))
    ax.set_xlabel(_ACROSS[map_spec.frame], fontsize=9.5, labelpad=2)
    ax.set_ylabel(_ALONG[map_spec.frame], fontsize=9.5, labelpad=0)
    ax.tick_params(labelsize=9, pad=3, length=0)
    ax.grid(False)
    # every half of the labelled step, as one artist: each of Matplotlib's own would cost a millisecond
    lines = [[(value, along[0]), (value, along[1])] for value in _multiples(across, step / 2)]
    lines += [[(across[0], value), (across[1], value)] for value in _multiples(along, step / 2)]
    ax.add_collection(LineCollection(lines, colors=GRID, linewidths=0.7, zorder=0), autolim=False)
    for spine in ax.spines.values():
        spine.set(visible=True, color=MUTED, linewidth=0.7, zorder=6)


def _multiples(limits: tuple[float, float], step: float) -> np.ndarray:
    low, high = sorted(limits)
    return np.arange(np.ceil(low / step), np.floor(high / step) + 1) * step


def _draw_car(ax: Any, map_spec: MapSpec) -> None:
    """The car where it stands, corners (to the right, forward) of the rear axle in metres."""
    from matplotlib.patches import FancyBboxPatch, Polygon

    back = LIDAR_AHEAD if map_spec.frame == "lidar" else 0.0
    rear, front, side = _CAR_REAR - back, _CAR_FRONT - back, _CAR_HALF_WIDTH
    body = FancyBboxPatch(
        (-side + 0.5, rear + 0.5), 2 * side - 1.0, front - rear - 1.0, "round,pad=0.5,rounding_size=0.55",
        fc=CAR, ec=PAPER, lw=0.8, zorder=5,
    )  # fmt: skip
    ax.add_patch(body)
    for corners in (
        [(-0.72, front - 1.75), (0.72, front - 1.75), (0.6, front - 1.1), (-0.6, front - 1.1)],
        [(-0.62, rear + 0.95), (0.62, rear + 0.95), (0.52, rear + 0.5), (-0.52, rear + 0.5)],
    ):
        ax.add_patch(Polygon(corners, fc=PAPER, ec="none", alpha=0.9, zorder=5.1))
