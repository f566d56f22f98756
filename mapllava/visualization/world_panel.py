"""The lines of all samples so far, laid into the world."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from mapllava.structures import MapLines
from mapllava.structures.frames import MapSpec
from mapllava.visualization.map_axes import line_collection
from mapllava.visualization.style import CAR, INK, MUTED, PAPER, Role, class_color, class_form

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_SO_FAR = Role("so far", width=0.8, order=2)
_NOW = Role("now", width=2.0, order=4)
_LEFT, _RIGHT, _TOP, _BOTTOM = 70.0, 20.0, 60.0, 60.0


@dataclass(frozen=True, eq=False)
class WorldSoFar:
    """What is drawn.

    Attributes:
        before: Lines of earlier samples, metres in the world.
        now: Lines of this one, likewise.
        track: (k, 2) the car's places up to now, metres.
        limits: (2, 2) lower left and upper right corner of what is shown, metres; the same in all frames.
    """

    before: MapLines
    now: MapLines
    track: np.ndarray
    limits: np.ndarray


def world_figure(world: WorldSoFar, spec: MapSpec, size: tuple[int, int], scale: float = 1.0) -> Figure:
    """Draw the world seen from above, its y up.

    Args:
        world: Lines and track.
        spec: Classes.
        size: (width, height) in pixels.
        scale: Pixels a unit; text and lines grow with it.

    Returns:
        Matplotlib's figure.
    """
    from mapllava.visualization.page import Page, one_style

    with one_style():
        wide, high = size[0] / scale, size[1] / scale
        page = Page(wide, high, size[0])
        page.text("all frames so far, in the world", (_LEFT, 40), 20.0, INK, bold=True)
        room = np.array([wide - _LEFT - _RIGHT, high - _TOP - _BOTTOM])
        axes = page.axes((_LEFT, _TOP, *room.tolist()))
        middle, extent = world.limits.mean(axis=0), np.ptp(world.limits, axis=0)
        half = room * (extent / room).max() / 2  # one metre is as long either way
        low, top = middle - half, middle + half
        axes.set(xlim=(low[0], top[0]), ylim=(low[1], top[1]), facecolor=PAPER)
        axes.set_xlabel("x / m", color=MUTED)
        axes.set_ylabel("y / m", color=MUTED)
        for lines, role in ((world.before, _SO_FAR), (world.now, _NOW)):
            for label in np.unique(np.asarray(lines.labels, dtype=np.int64)).tolist():
                mine = [line for line, of in zip(lines.points, lines.labels, strict=True) if of == label]
                color, form = class_color(spec.classes, label), class_form(spec.classes, label)
                axes.add_collection(line_collection(mine, color, form, role), autolim=False)
        axes.plot(*world.track.T, color=MUTED, lw=1.0, zorder=5, scalex=False, scaley=False)
        place: Any = {"marker": "o", "color": CAR, "mec": PAPER, "ms": 9, "zorder": 6}
        axes.plot(*world.track[-1:].T, scalex=False, scaley=False, **place)
        return page.figure
