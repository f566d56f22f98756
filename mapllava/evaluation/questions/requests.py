"""Random requests of a wanted difficulty, and how near to changing an answer is."""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import TypeVar

from mapllava.errors import MapLLaVAError
from mapllava.evaluation.questions.question_set import Value, same_value, tolerance_of
from mapllava.language import Answer, Distance, Region, Request, execute
from mapllava.structures.frames import MapSpec
from mapllava.structures.map_lines import MapLines

T = TypeVar("T")
STEP = 5.0
"""Metres between the distances that are asked about."""


def draw_request(kind: str, difficulty: str, spec: MapSpec, rng: random.Random) -> Request:
    """A request of a kind.

    ``easy`` asks of one class (or of the whole map) without a region, ``medium`` within one side or distance,
    ``hard`` within sides and a distance, or of several classes within either.

    Args:
        kind: What is asked.
        difficulty: See above.
        spec: Gives classes and how far distances go.
        rng: Draws.

    Raises:
        MapLLaVAError: If the classes that the kind needs are not in the map.
    """
    classes = _classes(kind, difficulty, spec, rng)
    if difficulty == "easy":
        return Request(kind, classes)
    if kind == "lanes":
        return Request(kind, (), _of_lanes(difficulty, spec, rng))
    sides = _sides(kind, rng, two=difficulty == "hard" and rng.random() < 0.5)
    distance = _distance(kind, spec, rng)
    if difficulty == "hard" and (len(classes) < 2 or rng.random() < 0.5):
        return Request(kind, classes, Region(sides, distance))
    return Request(kind, classes, Region(sides) if rng.random() < 0.5 else Region((), distance))


def near_change(request: Request, answer: Answer, lines: MapLines, spec: MapSpec, metres: float) -> bool:
    """Whether the answer changes where the request's distance is moved by some metres, either way."""
    distance = request.region.distance
    if distance is None:
        return False
    for shift in (-metres, metres):
        values = tuple(value + shift for value in distance.values)
        if values[0] <= 0:
            continue
        moved = replace(request, region=replace(request.region, distance=replace(distance, values=values)))
        value = execute(moved, lines, spec).value
        if request.kind != "draw" and not same_value(
            request.kind, answer.value, value, tolerance_of(request.kind, answer.value)
        ):
            return True
    return False


def group_of(kind: str, answer: Answer) -> str:
    """Name of the group of true answers that are drawn alike often."""
    value: Value = len(answer.lines.points) if kind == "draw" and answer.lines is not None else answer.value
    if value is None or isinstance(value, (bool, str)):
        return str(value)
    return f"{min(int(value), 3) if kind != 'distance' else int(value // 10)}"


def _classes(kind: str, difficulty: str, spec: MapSpec, rng: random.Random) -> tuple[str, ...]:
    names = spec.classes
    if kind in ("lanes", "junction"):
        return ()
    if kind == "nearest":
        if len(names) < 2:
            raise MapLLaVAError(
                f"'nearest' asks which of several classes: the map has {', '.join(names)} alone"
            )
        some = tuple(sorted(rng.sample(names, 2), key=names.index))
        return () if len(names) < 3 or difficulty != "hard" else some
    if difficulty == "hard" and len(names) > 2 and rng.random() < 0.5:
        return tuple(sorted(rng.sample(names, 2), key=names.index))
    return (rng.choice(names),) if len(names) > 1 else ()


def _sides(kind: str, rng: random.Random, two: bool) -> tuple[str, ...]:
    along, across = rng.choice(("ahead", "behind")), rng.choice(("left", "right"))
    if kind == "side":
        return (along,)
    return (along, across) if two else (rng.choice((along, across)),)


def _distance(kind: str, spec: MapSpec, rng: random.Random) -> Distance:
    near = _metres(spec, rng)
    # The nearest of lines that cross both radii lies on the smaller one: nothing to find
    if kind in ("count", "draw", "exists") and rng.random() < 0.25:
        return Distance("between", (near, near + STEP * rng.randint(1, 2)))
    return Distance("within", (near,))


def _of_lanes(difficulty: str, spec: MapSpec, rng: random.Random) -> Region:
    """One side of the car, a place along its way, or both."""
    along, across = (rng.choice(("ahead", "behind")),), (rng.choice(("left", "right")),)
    place = Distance("at", (_metres(spec, rng),))
    if difficulty == "hard":
        return Region((*along, *across), place)
    return Region(across) if rng.random() < 0.5 else Region(along, place)


def _metres(spec: MapSpec, rng: random.Random) -> float:
    """A multiple of :data:`STEP` that lies within the map along the car."""
    length, _ = spec.roi.length_and_width(spec.frame)
    return STEP * rng.randint(1, max(1, int(length / 2 / STEP) - 1))


def in_turn(groups: Iterable[Iterable[T]]) -> Iterator[T]:
    """One of each group in turn until all are used up."""
    left = [iter(group) for group in groups]
    while left:
        for group in tuple(left):
            try:
                yield next(group)
            except StopIteration:
                left.remove(group)
