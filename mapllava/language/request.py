"""A request about the map: what is asked, of which classes, in which region; one canonical text for each.

The canonical text is what a parser writes and a results file holds. Examples::

    draw: ped_crossing, boundary; ahead; within 20 m
    count: divider; ahead left; between 5 and 15.5 m
    lanes:; left; at 30 m
    distance: ped_crossing; ahead

Three parts after the word for what is asked: classes (``all``; empty where what is asked has none), sides
(left out where there are none) and one distance (left out where there is none). Several requests stand one
after another between `` / ``.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, field

from mapllava.errors import MapLLaVAError

KINDS = ("draw", "count", "exists", "distance", "nearest", "side", "lanes", "junction", "describe")
"""What can be asked."""

WITHOUT_CLASSES = ("lanes", "junction", "describe")
"""What is asked of the whole map, and takes no class."""

SIDES = ("ahead", "behind", "left", "right")
_OPPOSITE = {"ahead": "behind", "behind": "ahead", "left": "right", "right": "left"}

UNITS = {"m": 1.0, "km": 1000.0, "ft": 0.3048, "yd": 0.9144}
"""Units of length that a request may keep, in metres."""

SEPARATOR = " / "
NO_REQUEST = "none"
"""Canonical text of a sentence that asks nothing about the map that can be answered."""

ALL = "all"
_LENGTH = r"(\d+(?:\.\d+)?)"
_UNIT = f"({'|'.join(UNITS)})"
_DISTANCES = {
    "within": re.compile(rf"within {_LENGTH} {_UNIT}"),
    "between": re.compile(rf"between {_LENGTH} and {_LENGTH} {_UNIT}"),
    "at": re.compile(rf"at {_LENGTH} {_UNIT}"),
}


@dataclass(frozen=True)
class Distance:
    """How far from the car, in the unit that was said.

    Attributes:
        relation: ``within`` a radius of the car's origin, ``between`` two radii of it, or ``at`` a
            distance along the car's axis (ahead, unless the region says behind).
        values: One length, or two for ``between``, the smaller first.
        unit: One of :data:`UNITS`.

    Raises:
        MapLLaVAError: If they do not go together.
    """

    relation: str
    values: tuple[float, ...]
    unit: str = "m"

    def __post_init__(self) -> None:
        if self.relation not in _DISTANCES or self.unit not in UNITS:
            raise MapLLaVAError(
                f"distance '{self.relation} … {self.unit}': it is within, between or at, in "
                f"{', '.join(UNITS)}"
            )
        values = tuple(float(value) for value in self.values)
        object.__setattr__(self, "values", values)
        wanted = 2 if self.relation == "between" else 1
        if len(values) != wanted or not all(math.isfinite(value) and value >= 0 for value in values):
            raise MapLLaVAError(f"distance '{self.relation} {values}': it needs {wanted} length from 0")
        if (self.relation == "within" and values[0] == 0) or values != tuple(sorted(set(values))):
            raise MapLLaVAError(f"distance '{self}' holds nothing: it needs a length above the one before")

    @property
    def metres(self) -> tuple[float, ...]:
        """The lengths in metres."""
        return tuple(value * UNITS[self.unit] for value in self.values)

    def __str__(self) -> str:
        return f"{self.relation} {' and '.join(f'{value:.10g}' for value in self.values)} {self.unit}"


@dataclass(frozen=True)
class Region:
    """Where, as seen from the car: what lies on all named sides and at the distance.

    Attributes:
        sides: Of :data:`SIDES`, in this order. ``ahead`` with ``left`` is the quarter ahead on the left; two
            opposite sides are the same as none, and left out.
        distance: None for any.
    """

    sides: tuple[str, ...] = ()
    distance: Distance | None = None

    def __post_init__(self) -> None:
        unknown = sorted(set(self.sides) - set(SIDES))
        if unknown:
            raise MapLLaVAError(f"side '{unknown[0]}' is not one of {', '.join(SIDES)}")
        kept = (side for side in SIDES if side in self.sides and _OPPOSITE[side] not in self.sides)
        object.__setattr__(self, "sides", tuple(kept))


@dataclass(frozen=True)
class Request:
    """One thing asked about the map.

    Attributes:
        kind: One of :data:`KINDS`.
        classes: Names of the map's classes in the map's order; empty for all, and for a kind of
            :data:`WITHOUT_CLASSES`.
        region: Where.

    Raises:
        MapLLaVAError: If they do not go together; says what does.
    """

    kind: str
    classes: tuple[str, ...] = ()
    region: Region = field(default_factory=Region)

    def __post_init__(self) -> None:
        object.__setattr__(self, "classes", tuple(self.classes))
        sides, distance = self.region.sides, self.region.distance
        along = [side for side in sides if side in ("ahead", "behind")]
        across = {"left", "right"} & set(sides)
        wrong = ""
        if self.kind not in KINDS:
            wrong = f"'{self.kind}' cannot be asked: it is one of {', '.join(KINDS)}"
        elif self.kind in WITHOUT_CLASSES and self.classes:
            wrong = f"'{self.kind}' is asked of the whole map: leave the classes out"
        elif self.kind == "lanes" and distance is not None and distance.relation != "at":
            wrong = "'lanes' are counted beside the car, or at a distance along it: 'at 20 m'"
        elif self.kind == "lanes" and distance is None and along:
            wrong = f"'lanes' {along[0]} are counted at a distance: add one, such as 'at 20 m'"
        elif self.kind == "side" and across:
            wrong = f"'side' asks whether something is left or right: leave '{min(across)}' out"
        if wrong:
            raise MapLLaVAError(f"request: {wrong}")

    @property
    def text(self) -> str:
        """The canonical text; :func:`read_request` reads it."""
        names = "" if self.kind in WITHOUT_CLASSES else ", ".join(self.classes) or ALL
        sides, distance = " ".join(self.region.sides), self.region.distance
        more = [part for part in (sides, "" if distance is None else str(distance)) if part]
        return "; ".join([f"{self.kind}: {names}".rstrip(), *more])

    def __str__(self) -> str:
        return self.text


def read_request(text: str, classes: Sequence[str]) -> Request:
    """Read one canonical text.

    Args:
        text: As :attr:`Request.text` writes it.
        classes: Names of the map's classes, in its order.

    Raises:
        MapLLaVAError: If it is not canonical; names the part and what could stand there.
    """
    kind, colon, rest = text.partition(":")
    if not colon or kind not in KINDS:
        raise MapLLaVAError(f"request '{text}' must begin with one of {', '.join(KINDS)}, and a colon")
    names, *parts = [part.strip() for part in rest.split(";")]
    given = [] if names in ("", ALL) else names.split(", ")
    unknown = [name for name in given if name not in classes]
    if unknown:
        raise MapLLaVAError(f"request '{text}': class '{unknown[0]}' is not one of {', '.join(classes)}")
    sides: tuple[str, ...] = ()
    if parts and set(parts[0].split()) <= set(SIDES):
        sides = tuple(parts.pop(0).split())
    distance = _read_distance(parts.pop(0), text) if parts else None
    ordered = tuple(name for name in classes if name in given)
    request = Request(kind, () if len(ordered) == len(classes) else ordered, Region(sides, distance))
    if request.text != text:
        raise MapLLaVAError(f"request '{text}' is not canonical, which is '{request.text}'")
    return request


def read_requests(text: str, classes: Sequence[str]) -> tuple[Request, ...]:
    """Read one or several canonical texts, with :data:`SEPARATOR` between them; see :func:`read_request`.

    Of :data:`NO_REQUEST` there are none.
    """
    if text == NO_REQUEST:
        return ()
    return tuple(read_request(each, classes) for each in text.split(SEPARATOR))


def write_requests(requests: Sequence[Request]) -> str:
    """Inverse of :func:`read_requests`."""
    return SEPARATOR.join(request.text for request in requests) or NO_REQUEST


def _read_distance(text: str, whole: str) -> Distance:
    for relation, pattern in _DISTANCES.items():
        if found := pattern.fullmatch(text):
            *values, unit = found.groups()
            return Distance(relation, tuple(map(float, values)), unit)
    raise MapLLaVAError(
        f"request '{whole}': '{text}' is no distance: write 'within 20 m', 'between 5 and 15 m' or 'at 20 m' "
        f"({', '.join(UNITS)})"
    )
