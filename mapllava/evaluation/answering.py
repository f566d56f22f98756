"""Answers to requests about a predicted map: from its lines alone, no model.

An answer rests on the map as pictures draw it: lines that reach the score of their class, near-duplicates
left out. What it cites are places in the map as it was given, as a results file holds it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from mapllava.errors import MapLLaVAError
from mapllava.evaluation.near_duplicates import NEAR, without_near_duplicates
from mapllava.evaluation.sample_record import Display, certain_from, shown_from
from mapllava.language import Answer, Region, Request, cut_together, execute, outline
from mapllava.structures import MapLines
from mapllava.structures.frames import MapSpec


def shown_places(lines: MapLines, classes: Sequence[str], display: Display | None = None) -> np.ndarray:
    """Which lines are there, for pictures and answers.

    Args:
        lines: K predicted lines, or true ones without scores, which are all there.
        classes: Names of the map's classes.
        display: From which score on a line is there; None takes the fallback. Where every threshold is 0 all
            lines are kept, near-duplicates too.

    Returns:
        Places ``(k,)`` in ``lines``, rising.
    """
    if lines.scores is None:
        return np.arange(len(lines.points))
    least = np.array([shown_from(display, name) for name in classes])
    labels = np.asarray(lines.labels, dtype=np.int64)
    there = np.flatnonzero(np.asarray(lines.scores) >= least[labels])
    some = lines.at(there)
    near = NEAR if least.any() else 0.0
    return there[without_near_duplicates(some.points, some.labels, some.scores, near)]


def answer(
    lines: MapLines, requests: Sequence[Request], map_spec: MapSpec, display: Display | None = None
) -> list[Answer]:
    """Answer requests about one map.

    Args:
        lines: All of a sample, as the model or a results file gives them.
        requests: As :func:`~mapllava.language.read_requests` or a parser gives them.
        map_spec: Frame, region and classes of the map.
        display: See :func:`shown_places`; its ``certain``, or the fallback, and its ``possible`` say which
            lines are in doubt.

    Returns:
        One for each request; ``cited`` are places in ``lines``.
    """
    places = shown_places(lines, map_spec.classes, display)
    there = lines.at(places)
    certain, nearly = certain_from(display, map_spec.classes), None
    if lines.scores is not None and display is not None and display.possible is not None:
        least = {name: min(score, shown_from(display, name)) for name, score in display.possible.items()}
        more = shown_places(lines, map_spec.classes, replace(display, thresholds=least))
        nearly = lines.at(np.setdiff1d(more, places))  # what is shown has the higher scores and stays
    found = [execute(request, there, map_spec, certain, nearly) for request in requests]
    return [replace(one, cited=tuple(int(places[k]) for k in one.cited)) for one in found]


def refuse_questions(requests: Sequence[Request]) -> None:
    """Say that what is to be drawn is a question.

    Raises:
        MapLLaVAError: If one of the requests is; names it.
    """
    for request in requests:
        if request.kind != "draw":
            raise MapLLaVAError(
                f"'{request}' is a question, which draws no map: ask it (predictor.ask, mapllava ask)"
            )


def cut_map(
    lines: MapLines, requests: Sequence[Request], map_spec: MapSpec, display: Display | None = None
) -> MapLines:
    """The part of one map that requests ask to see: what is there, cut at the edges of their regions.

    Args:
        lines: All of a sample.
        requests: To draw, one or several; where their regions overlap, a line is there once.
        map_spec: Frame, region and classes of the map.
        display: See :func:`shown_places`.

    Returns:
        The pieces, best first.

    Raises:
        MapLLaVAError: If a request is a question.
    """
    refuse_questions(requests)
    there = lines.at(shown_places(lines, map_spec.classes, display))
    wanted = [(request.region, request.classes) for request in requests]
    return cut_together(there, wanted, map_spec)[0]


def outlines(requests: Sequence[Request], map_spec: MapSpec) -> list[np.ndarray]:
    """Rings ``(n, 2)`` around what requests are about, within the map; none of a request about all of it."""
    regions = dict.fromkeys(request.region for request in requests if request.region != Region())
    return [ring for region in regions for ring in outline(region, map_spec)]
