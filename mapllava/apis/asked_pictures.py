"""What a picture says of a prompt or an answer: title, cited lines, regions; in letters that fonts have."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from mapllava.evaluation.answering import cut_map, outlines, shown_places
from mapllava.evaluation.sample_record import Display
from mapllava.language import Answer, Parsed
from mapllava.structures import MapLines
from mapllava.structures.frames import MapSpec
from mapllava.visualization.asked import Asked


def asked_to_draw(prompt: Parsed, map_spec: MapSpec) -> Asked:
    """The head of a picture of a map that a prompt has cut."""
    regions = tuple(outlines(prompt.requests, map_spec))
    note = " ".join(_canonical(prompt))
    return Asked(_written(prompt.text, prompt.canonical), regions=regions, note=note)


def picture_of_answer(
    lines: MapLines,
    question: Parsed,
    answers: Sequence[Answer],
    map_spec: MapSpec,
    display: Display | None = None,
    language: str = "en",
) -> tuple[MapLines, Asked]:
    """The lines of a picture of an answered question, and its head.

    Args:
        lines: All of the sample.
        question: What was asked.
        answers: To its requests, as :func:`~mapllava.evaluation.answering.answer` gives them.
        map_spec: Frame, region and classes.
        display: From which score on a line is there.
        language: Of the answer, where the pictures' fonts have its letters; else it is English.

    Returns:
        The lines that are there, or the part of them that was to be drawn; and what was asked of them.
    """
    cited = {place for one in answers for place in one.cited}
    said = "\n".join(one.text_in(language) for one in answers)
    notes = [*_canonical(question), *cited_words(lines, sorted(cited), map_spec)]
    asked = Asked(
        _written(question.text, question.canonical),
        _written(said, "\n".join(one.text for one in answers)),
        regions=tuple(outlines(question.requests, map_spec)),
        note="; ".join(notes),
    )
    if all(request.kind == "draw" for request in question.requests):
        return cut_map(lines, question.requests, map_spec, display), asked
    places = shown_places(lines, map_spec.classes, display).tolist()
    return lines.at(places), replace(asked, cited=tuple(k for k, p in enumerate(places) if p in cited))


def cited_words(lines: MapLines, cited: Sequence[int], map_spec: MapSpec) -> list[str]:
    """What each cited line is: its place in the results file, class and score."""
    scores: Any = [1.0] * len(lines.points) if lines.scores is None else lines.scores
    names = [map_spec.classes[int(lines.labels[place])].replace("_", " ") for place in cited]
    return [f"line {k}: {name}, score {scores[k]:.2f}" for k, name in zip(cited, names, strict=True)]


def unwritable(texts: Sequence[str]) -> str:
    """Letters of these texts that the pictures' fonts lack."""
    from mapllava.visualization.page import without_glyphs

    return without_glyphs("".join(texts))


def _canonical(parsed: Parsed) -> list[str]:
    """How it was understood, where that is not what was written."""
    return [] if parsed.text == parsed.canonical else [f"understood as {parsed.canonical}"]


def _written(text: str, instead: str) -> str:
    return instead if unwritable([text]) else text
