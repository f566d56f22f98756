"""Which characters may follow, so that only canonical texts can be written.

The texts are those that :func:`~mapllava.language.read_requests` reads: ``none``, or up to
:data:`MOST_REQUESTS` requests; all of them, but for lengths, which have up to :data:`WHOLE_DIGITS` digits
before the point and :data:`DECIMALS` behind it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import combinations

from mapllava.errors import MapLLaVAError
from mapllava.language.request import (
    ALL,
    KINDS,
    NO_REQUEST,
    SEPARATOR,
    SIDES,
    UNITS,
    WITHOUT_CLASSES,
    Distance,
    Region,
    Request,
    read_request,
)

MOST_REQUESTS = 4
"""Requests in one text."""

WHOLE_DIGITS, DECIMALS = 3, 2
"""Digits of a length before and behind its point."""

_BELOW = 10**WHOLE_DIGITS
_PARTS = 10**DECIMALS
_LENGTHS = {"": (), "within": (1.0,), "between": (1.0, 2.0), "at": (1.0,)}
"""Lengths such as each relation has; the empty one is no distance."""


@dataclass(frozen=True)
class _Place:
    """A place in the text between two of its parts.

    Attributes:
        part: What may follow: ``request``, ``class``, ``sides``, ``distance``, ``length``, ``unit``, ``end``;
            nothing after ``stop``.
        requests: How many have been begun.
        kind: Of the request that is being written.
        named: Indices of the classes named so far: how many, and the last.
        relations: Of the distance that may follow; an empty one where none need.
        relation: Of the distance.
        written: Digits and point of the length so far.
        above: In hundredths, what the length must be above.
    """

    part: str
    requests: int = 0
    kind: str = ""
    named: tuple[int, int] = (0, -1)
    relations: tuple[str, ...] = ()
    relation: str = ""
    written: str = ""
    above: int = -1


State = frozenset[tuple[str, _Place]]
"""What is left of the words begun, each with the place behind it; two texts of one state have one future."""


class RequestConstraint:
    """Canonical texts for a map's classes, one character at a time.

    Every text that can be written character by character from :meth:`allowed_next` comes to an end that
    ``read_requests`` reads; there is no dead end.

    Args:
        classes: Names of the map's classes, in its order.

    Raises:
        MapLLaVAError: If a class has a name that a canonical text cannot hold.
    """

    def __init__(self, classes: Sequence[str]) -> None:
        self.classes = tuple(classes)
        for name in self.classes:
            _check_name(name)
        self._places = {kind: _places_of(kind) for kind in KINDS}
        self._step = lru_cache(maxsize=100_000)(self._one_step)
        self._start = self._settled([("", _Place("request"))])

    def state(self, text: str) -> State:
        """All that decides what may follow a text; empty where the text begins no canonical text."""
        return self.advance(self._start, text)

    def advance(self, state: State, text: str) -> State:
        """The state after more text."""
        for character in text:
            state = self._step(state, character)
        return state

    def allowed_next(self, text: str) -> frozenset[str]:
        """Characters that may follow a text."""
        return self.following(self.state(text))

    def may_end(self, text: str) -> bool:
        """Whether a text is whole: ``read_requests`` reads it."""
        return self.is_end(self.state(text))

    def following(self, state: State) -> frozenset[str]:
        """Characters that may follow in a state."""
        return frozenset(rest[0] for rest, _ in state if rest)

    def is_end(self, state: State) -> bool:
        """Whether the text may end in a state."""
        return any(not rest for rest, _ in state)

    def _one_step(self, state: State, character: str) -> State:
        return self._settled([(rest[1:], place) for rest, place in state if rest[:1] == character])

    def _settled(self, ways: list[tuple[str, _Place]]) -> State:
        """With what may follow each word that is written out."""
        found = set()
        while ways:
            rest, place = ways.pop()
            if rest or place.part == "stop":
                found.add((rest, place))
            else:
                ways += self._after(place)
        return frozenset(found)

    def _after(self, place: _Place) -> Iterator[tuple[str, _Place]]:
        """Words that may follow a place, each with the place behind it."""
        follow = {
            "request": self._requests,
            "class": self._classes,
            "sides": self._regions,
            "distance": self._distances,
            "length": _digits,
        }
        if place.part == "unit":
            yield from ((f" {unit}", _Place("end", place.requests)) for unit in UNITS)
        elif place.part == "end":
            yield "", _Place("stop")
            if place.requests < MOST_REQUESTS:
                yield SEPARATOR, _Place("request", place.requests)
        else:
            yield from follow[place.part](place)

    def _requests(self, place: _Place) -> Iterator[tuple[str, _Place]]:
        if not place.requests:
            yield NO_REQUEST, _Place("stop")
        for kind in KINDS:
            next_part, colon = ("sides", ":") if kind in WITHOUT_CLASSES else ("class", ": ")
            yield kind + colon, _Place(next_part, place.requests + 1, kind)

    def _classes(self, place: _Place) -> Iterator[tuple[str, _Place]]:
        """``all``, or some of the classes, never every one."""
        count, last = place.named
        if not count:
            yield ALL, replace(place, part="sides")
        if count + 1 < len(self.classes):
            for index in range(last + 1, len(self.classes)):
                named = replace(place, named=(count + 1, index))
                name = ", " * bool(count) + self.classes[index]
                yield name, named
        if count:
            yield "", replace(place, part="sides", named=(0, -1))

    def _regions(self, place: _Place) -> Iterator[tuple[str, _Place]]:
        for sides, relations in self._places[place.kind].items():
            yield f"; {sides}" * bool(sides), _Place("distance", place.requests, relations=relations)

    def _distances(self, place: _Place) -> Iterator[tuple[str, _Place]]:
        for relation in place.relations:
            if relation:
                least = 0 if relation == "within" else -1
                yield f"; {relation} ", _Place("length", place.requests, relation=relation, above=least)
            else:
                yield "", _Place("end", place.requests)


def _digits(place: _Place) -> Iterator[tuple[str, _Place]]:
    """One more digit or the point of a length, or what stands behind it."""
    written, first = place.written, place.relation == "between"
    most = _BELOW * _PARTS - 1
    for character in "0123456789.":
        longer = written + character
        if _is_begun(longer) and _largest(longer) > place.above and not (first and _value(longer) == most):
            yield character, replace(place, written=longer)
    if _is_whole(written) and _value(written) > place.above:
        behind = _Place("unit", place.requests)
        if first:
            yield " and ", _Place("length", place.requests, relation="second", above=_value(written))
        else:
            yield "", behind


def _is_begun(written: str) -> bool:
    """Whether a canonical length may begin so: no zero before or behind it that says nothing."""
    whole, _, behind = written.partition(".")
    return (
        0 < len(whole) <= WHOLE_DIGITS
        and (whole == "0" or whole[0] != "0")
        and len(behind) <= DECIMALS
        and not (len(behind) == DECIMALS and behind[-1] == "0")
        and "." not in behind
    )


def _is_whole(written: str) -> bool:
    _, point, behind = written.partition(".")
    return bool(written) and bool(behind) == bool(point) and not behind.endswith("0")


def _value(written: str) -> int:
    """In hundredths."""
    whole, _, behind = written.partition(".")
    return int(whole) * _PARTS + int(behind.ljust(DECIMALS, "0"))


def _largest(written: str) -> int:
    """The largest length that begins so, in hundredths."""
    whole, point, behind = written.partition(".")
    if not point and whole != "0":
        whole = whole.ljust(WHOLE_DIGITS, "9")
    return int(whole) * _PARTS + int(behind.ljust(DECIMALS, "9"))


def _places_of(kind: str) -> dict[str, tuple[str, ...]]:
    """Sides that can be asked for, as a canonical text writes them, and what distances with them."""
    found = {}
    for count in range(len(SIDES) + 1):
        for sides in combinations(SIDES, count):
            distances = {name: Distance(name, values) if name else None for name, values in _LENGTHS.items()}
            fits = [name for name, each in distances.items() if _is_request(kind, Region(sides, each))]
            if Region(sides).sides == sides and fits:
                found[" ".join(sides)] = tuple(fits)
    return found


def _is_request(kind: str, region: Region) -> bool:
    try:
        Request(kind, region=region)
    except MapLLaVAError:
        return False
    return True


def _check_name(name: str) -> None:
    text = f"draw: {name}"
    try:
        fits = read_request(text, (name, "")).classes == (name,) and SEPARATOR not in name
    except MapLLaVAError:
        fits = False
    if not fits:
        raise MapLLaVAError(
            f"class '{name}' cannot stand in a canonical text: rename it, without ';', ',', '/' and blanks "
            f"around it, and not '{ALL}'"
        )
