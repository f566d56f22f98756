"""A question and its answer in a picture: cited lines stand out, the others fade, the region is outlined."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from mapllava.structures import MapLines
from mapllava.visualization.map_axes import line_collection, upright
from mapllava.visualization.style import (
    CITED,
    FADED,
    INK,
    MUTED,
    PREDICTION,
    REGION,
    REGION_FORM,
    REGION_ROLE,
    Role,
)

if TYPE_CHECKING:
    from mapllava.structures.frames import MapSpec

_QUESTION, _ANSWER = 24.0, 20.0


@dataclass(frozen=True, eq=False)
class Asked:
    """What was asked of the lines of a picture, which are drawn as they are given.

    Attributes:
        question: In the user's words.
        answer: A sentence, or several in lines of their own; empty where the picture itself is the answer.
        cited: Places of the lines that the answer rests on; None where all are drawn alike.
        regions: Rings ``(n, 2)`` around what was asked about, metres in the map's frame; none for all of it.
        note: What else is to be said, small.
    """

    question: str
    answer: str = ""
    cited: tuple[int, ...] | None = None
    regions: tuple[np.ndarray, ...] = ()
    note: str = ""

    def layers(self, lines: MapLines) -> list[tuple[MapLines, Role]]:
        """The lines by what they are, the cited ones last."""
        if self.cited is None:
            return [(lines, PREDICTION)]
        rest = sorted(set(range(len(lines.points))) - set(self.cited))
        return [(lines.at(rest), FADED), (lines.at(self.cited), CITED)]

    def key(self) -> list[tuple[Role, str]]:
        """What lines of each role are, for the legend."""
        if self.cited is None:
            return [(PREDICTION, "what was asked for")]
        return [(CITED, "the answer rests on it"), (FADED, "other lines of the map")]

    def header(self, width: float, margin: float) -> tuple[float, Any]:
        """Height of the page's head, and what draws it; as the sample's own header."""
        from mapllava.visualization.page import wrap

        room = width - 2 * margin
        looks = [(self.question, _QUESTION, INK, True), (self.answer, _ANSWER, INK, False)]
        looks.append((self.note, 15.0, MUTED, False))
        rows = [
            (line, size, color, bold)
            for text, size, color, bold in looks
            for sentence in text.splitlines()
            for line in wrap(sentence, size, room, bold)
        ]
        bases = list(margin + np.cumsum([1.3 * size for _, size, *_ in rows]) - 6)

        def draw(page: Any) -> None:
            for (line, size, color, bold), base in zip(rows, bases, strict=True):
                page.text(line, (margin, base), size, color, bold=bold)

        return (bases[-1] if bases else 0.0) + margin, draw


def draw_regions(ax: Any, map_spec: MapSpec, regions: tuple[np.ndarray, ...]) -> None:
    """Outline regions, rings ``(n, 2)`` in metres of the map's frame, on a map's axes."""
    if regions:
        rings = [upright(ring, map_spec) for ring in regions]
        ax.add_collection(line_collection(rings, REGION, REGION_FORM, REGION_ROLE), autolim=False)
