"""An answer about a map: a value, a sentence, and the lines that it rests on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from mapllava.language.request import Request
from mapllava.structures.map_lines import MapLines


@dataclass(frozen=True, eq=False)
class Answer:
    """What a map says to one request. How each kind is defined: :mod:`mapllava.language.execution`.

    Attributes:
        request: What was asked.
        value: By kind: draw, count, describe and lanes, a number; exists and junction, whether; distance,
            metres; nearest, a class's name; side, ``left``, ``right``, ``ahead``, ``behind`` or ``here``.
            None where nothing is there to measure.
        unit: ``m`` for a distance, else None.
        cited: Which of the lines it rests on, rising; empty where none is there.
        scores: Of these lines, 1 for a true map's.
        certain: Whether the answer stays the same without the lines in doubt, and with those nearly shown;
            False where the region lies wholly off the map.
        lines: For draw the cut map, else None.
        facts: What the sentence says besides, by name; metres, degrees and numbers.
        classes: Names of the map's classes, in its order.
    """

    request: Request
    value: bool | int | float | str | None
    unit: str | None
    cited: tuple[int, ...]
    scores: tuple[float, ...]
    certain: bool
    lines: MapLines | None = None
    facts: Mapping[str, Any] = field(default_factory=dict)
    classes: tuple[str, ...] = ()

    @property
    def text(self) -> str:
        """One English sentence, with units."""
        return self.text_in("en")

    def text_in(self, language: str) -> str:
        """The answer as a sentence.

        Args:
            language: ``en`` or ``zh``.

        Raises:
            MapLLaVAError: If the language is another.
        """
        from mapllava.language.answer_text import sentence

        return sentence(self, language)
