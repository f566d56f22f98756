"""The request protocol: average precision of maps that were asked for in part, and what was drawn beside it.

Each question that is answered by a map counts as one sample. Its truth is the true map cut by the request
that is meant, exactly (rings stay rings); what was drawn is scored against it as it is.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from mapllava.evaluation.functional import chamfer_average_precision, get_protocol
from mapllava.evaluation.questions.answers import AnswerSet
from mapllava.evaluation.questions.question_set import DRAWN, QuestionSet
from mapllava.evaluation.questions.respond import Maps
from mapllava.evaluation.results_file import MapResults
from mapllava.evaluation.sample_record import FALLBACK_SCORE
from mapllava.geometry import cumulative_length
from mapllava.language import Request, cut, read_request
from mapllava.structures.frames import MapSpec
from mapllava.structures.map_lines import MapLines

OUTSIDE = 0.01
"""A line lies outside where more than this share of its length does."""


@dataclass(frozen=True)
class DrawingScore:
    """Of the questions that are answered by a map.

    Attributes:
        drawn: Score of what was drawn, as :func:`chamfer_average_precision` gives it.
        full: Score of the full predicted map cut by the request that is meant; None without results.
        by_wording: For each language and part: drawn lines that reach the score from which their class is
            shown, and how many of them are of a class that was not asked for, or lie outside of the region.
        map_by_wording: For each of them mAP of what was drawn, and of the full map cut (None without
            results), both over the classes that the wording's questions have true lines of; nan without any.
    """

    drawn: dict[str, Any]
    full: dict[str, Any] | None
    by_wording: Mapping[tuple[str, str], tuple[int, int]]
    map_by_wording: Mapping[tuple[str, str], tuple[float, float | None]]

    @property
    def confident(self) -> int:
        """Shown lines of any wording."""
        return sum(shown for shown, _ in self.by_wording.values())

    @property
    def outside(self) -> int:
        """How many of them lie outside of what was asked for."""
        return sum(outside for _, outside in self.by_wording.values())

    @property
    def share_outside(self) -> float:
        """Share of confident lines outside of what was asked for; nan without any."""
        return self.outside / self.confident if self.confident else float("nan")


def score_drawing(
    questions: QuestionSet,
    answers: AnswerSet,
    truth: Maps,
    results: MapResults | None = None,
    protocol: str = "maptr",
) -> DrawingScore | None:
    """Score drawn maps.

    Args:
        questions: Those of another kind are left out.
        answers: To them; one that is missing is an empty map.
        truth: True lines by sample.
        results: Full predicted maps.
        protocol: Of :data:`~mapllava.evaluation.functional.PROTOCOLS`.

    Returns:
        None where no map is asked for.
    """
    spec = questions.map_spec
    asked = [question for question in questions.questions if question.kind == DRAWN]
    if not asked:
        return None
    requests = [read_request(question.request, spec.classes) for question in asked]
    # one sample is asked about several times: its lines are cut anew for each
    true = [
        _cut(truth(question.sample_token), one, spec) for question, one in zip(asked, requests, strict=True)
    ]
    drawn = [answers.of(question).lines or _NOTHING for question in asked]
    rules = get_protocol(protocol)

    def score(maps: list[MapLines], which: Sequence[int]) -> dict[str, Any]:
        found, wanted = ([each[index] for index in which] for each in (maps, true))
        return chamfer_average_precision(_maps(found), _maps(wanted), spec.classes, rules)

    cuts = None
    if results is not None:
        cuts = [
            _cut(results.lines(q.sample_token), one, spec) for q, one in zip(asked, requests, strict=True)
        ]
    wordings: dict[tuple[str, str], list[int]] = {}
    for index, question in enumerate(asked):
        wordings.setdefault((question.language, question.part), []).append(index)
    by_wording = {
        wording: (_over_there(score(drawn, which)), None if cuts is None else _over_there(score(cuts, which)))
        for wording, which in wordings.items()
    }
    least = np.array([answers.display.get(name, FALLBACK_SCORE) for name in spec.classes])
    counts: dict[tuple[str, str], tuple[int, int]] = {}
    for question, one, lines in zip(asked, requests, drawn, strict=True):
        shown = lines.above(least[lines.labels])
        known, outside = counts.get((question.language, question.part), (0, 0))
        counts[question.language, question.part] = (
            known + len(shown.points),
            outside + count_outside(shown, one, spec),
        )
    whole = range(len(asked))
    full = None if cuts is None else score(cuts, whole)
    return DrawingScore(score(drawn, whole), full, counts, by_wording)


def _over_there(score: Mapping[str, Any]) -> float:
    """Mean AP over the classes with ground truth; of a few questions a class may have none."""
    there = np.asarray(score["num_gt"]) > 0
    return float(np.asarray(score["ap"])[:, there].mean()) if there.any() else float("nan")


def count_outside(lines: MapLines, request: Request, spec: MapSpec) -> int:
    """How many lines are of a class that a request does not ask for, or lie outside of its region.

    Args:
        lines: What was drawn.
        request: What was asked.
        spec: Of the map.
    """
    pieces, places = cut(lines, request.region, spec, request.classes)
    inside = np.zeros(len(lines.points))
    for points, place in zip(pieces.points, places, strict=True):
        inside[place] += cumulative_length(points)[-1]
    whole = np.array([cumulative_length(points)[-1] for points in lines.points])
    return int((inside < (1 - OUTSIDE) * whole).sum())


_NOTHING = MapLines([], np.zeros(0, dtype=np.int64), np.zeros(0))


def _cut(lines: MapLines, request: Request, spec: MapSpec) -> MapLines:
    return cut(lines, request.region, spec, request.classes)[0]


def _maps(maps: list[MapLines]) -> list[dict[str, Any]]:
    return [
        {
            "points": lines.points,
            "labels": lines.labels,
            "scores": np.ones(len(lines.points)) if lines.scores is None else lines.scores,
        }
        for lines in maps
    ]
