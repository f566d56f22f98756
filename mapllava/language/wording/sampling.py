"""Requests at random, such as a template can say."""

from __future__ import annotations

import random
from collections.abc import Sequence

from mapllava.language.request import WITHOUT_CLASSES, Distance, Region, Request
from mapllava.language.wording.noise import pick
from mapllava.language.wording.phrases import CLASS_SLOTS, slots
from mapllava.language.wording.tables import Template

_SIDES = ((), ("ahead",), ("behind",), ("left",), ("right",))
_QUARTERS = (("ahead", "left"), ("ahead", "right"), ("behind", "left"), ("behind", "right"))
_UNITS = ("m", "m", "m", "m", "km", "ft", "yd")
_MOST = {"m": (100, 999), "km": (3, 20), "ft": (400, 999), "yd": (200, 999)}
"""Lengths of a unit: usually below the first, always below the second."""


def sample_request(
    rng: random.Random,
    kind: str,
    template: Template,
    index: int,
    classes: Sequence[str],
    speakable: Sequence[str] = (),
) -> Request:
    """A request that the template can say.

    Args:
        rng: What decides.
        kind: What is asked.
        template: Its slots and the sides that it says itself bound the request.
        index: Which of the template's requests this is.
        classes: The map's classes.
        speakable: The classes that have held-out words, where something must be said in these: a class by
            name, or a side where no class is asked for. Empty where that is not so.
    """
    there = slots(template.text, index)
    names: tuple[str, ...] = ()
    if there & set(CLASS_SLOTS):
        least = 2 if "either" in there else int(bool(speakable))
        among = speakable if speakable and len(speakable) >= least else classes
        names = _classes(rng, classes, least, among)
    region = Region(template.sides)
    sided = bool(speakable) and kind in WITHOUT_CLASSES
    if "place" in there or ("where" in there and (sided or rng.random() < 0.7)):
        region = _region(rng, kind, template.sides, "place" in there, sided)
    return Request(kind, names, region)


def _classes(rng: random.Random, classes: Sequence[str], least: int, among: Sequence[str]) -> tuple[str, ...]:
    """Some, in the map's order; none, which is all, at times."""
    luck = rng.random()
    wanted = max(least, 0 if luck < 0.12 else 1 if luck < 0.65 else 2 if luck < 0.93 else 3)
    chosen = {name for _, name in sorted((rng.random(), name) for name in among)[:wanted]}
    return () if len(chosen) == len(classes) else tuple(name for name in classes if name in chosen)


def _region(rng: random.Random, kind: str, said: tuple[str, ...], somewhere: bool, sided: bool) -> Region:
    """With the sides that the template says; ``somewhere`` adds something to them, ``sided`` a side."""
    along = {"ahead", "behind"} & set(said)
    while True:
        sides = pick(rng, _QUARTERS if rng.random() < 0.3 else _SIDES)
        if along:
            sides = tuple(side for side in sides if side in ("left", "right"))
        if kind == "side":
            sides = tuple(side for side in sides if side in ("ahead", "behind"))
        if not sides and sided:
            continue
        distance = sample_distance(rng, kind) if rng.random() < 0.55 else None
        if kind == "lanes" and distance is None and {"ahead", "behind"} & {*said, *sides}:
            distance = sample_distance(rng, kind)  # "lanes ahead" says not where
        if distance is not None and distance.relation == "at" and sides and not along:
            # "20 m on the left" would be 20 m across the road; "at" is along it.
            sides = sides if {"ahead", "behind"} & set(sides) else (pick(rng, ("ahead", "behind")), *sides)
        if sides or distance is not None or not somewhere:
            return Region((*said, *sides), distance)


def sample_distance(rng: random.Random, kind: str) -> Distance:
    """A distance that may be asked for with this kind."""
    relation = pick(rng, ("within", "within", "between", "at"))
    if kind == "lanes":
        relation = "at"
    elif kind in ("distance", "nearest", "side") and relation == "at":
        relation = "within"
    unit = pick(rng, _UNITS)
    values = {_length(rng, unit)}
    while relation == "between" and len(values) < 2:
        values.add(_length(rng, unit))
    return Distance(relation, tuple(sorted(values)), unit)


def _length(rng: random.Random, unit: str) -> float:
    """Whole and round ones mostly; up to two digits behind the point."""
    usual, most = _MOST[unit]
    top = usual if rng.random() < 0.85 else most
    luck = rng.random()
    if unit == "km":
        return (
            pick(rng, (0.1, 0.2, 0.25, 0.3, 0.5, 0.75, 1, 1.5, 2, 2.5)) if luck < 0.7 else _rounded(rng, top)
        )
    if luck < 0.3:
        return float(5 * (1 + int(rng.random() * (top // 5))))
    if luck < 0.75:
        return float(1 + int(rng.random() * top))
    if luck < 0.9:
        return int(rng.random() * min(top, 60)) + 0.5
    return _rounded(rng, top)


def _rounded(rng: random.Random, top: int) -> float:
    """From 0.1, with one digit behind the point, at times with two."""
    if rng.random() < 0.3:
        return round((10 + int(rng.random() * (top * 100 - 10))) / 100, 2)
    return round((1 + int(rng.random() * (top * 10 - 1))) / 10, 1)
