"""How many questions are answered right, what a habit or perfect parts would reach, and whether answers hold.

Pure functions of a question set and answers; the true maps and a results file add what needs them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from mapllava.errors import MapLLaVAError
from mapllava.evaluation.functional import bootstrap_interval, draw_groups, match_maps
from mapllava.evaluation.questions.answers import AnswerSet, GivenAnswer
from mapllava.evaluation.questions.drawing import DrawingScore, score_drawing
from mapllava.evaluation.questions.question_set import (
    DRAWN,
    VALUES,
    Question,
    QuestionSet,
    Value,
    same_value,
)
from mapllava.evaluation.questions.respond import (
    Maps,
    answers_of,
    check_results,
    missing_samples,
    parse_questions,
)
from mapllava.evaluation.results_file import MapResults
from mapllava.language import NO_REQUEST, Parsed, execute, read_requests
from mapllava.structures.map_lines import MapLines

CITED_WITHIN = 1.0
"""Chamfer distance in metres within which a cited line is the true one."""

_ROUNDED = 0.05
"""Metres: what is lost of a distance in the file."""

MAJORITY, TRUE_REQUEST, TRUE_MAP, GIVEN = "majority", "true request", "true map", "answers"
"""Systems: the usual answer; predicted map and the request that is meant; true map and the request that was
understood; what is scored."""


@dataclass(frozen=True)
class QuestionScore:
    """What came of the Q questions that are answered by a value.

    Attributes:
        questions: Q questions.
        right: System to (Q,) bool.
        answered: (Q,) bool, of the scored answers.
        draws: (N, S) how often each of S scenes is in each draw of the bootstrap; None without.
        scenes: (Q,) number of the scene.
        understood: Share of questions whose request was understood exactly; None where no answer says.
        consistent: Share of values that come out again from the cited lines alone; None where none is cited.
        citations: ``precision`` and ``recall`` of cited lines, ``cited`` and ``true`` their numbers; empty
            without a true map or without citations.
        certainty: For ``certain`` and ``not certain`` the number of answers and the share that is right.
        drawing: Of the questions that are answered by a map; None without a true map.
        habits: The split whose usual answers are the majority's, or ``itself``.
        num_missing: Samples that are asked about and have no predicted map; they count as empty maps.
    """

    questions: tuple[Question, ...]
    right: dict[str, np.ndarray]
    answered: np.ndarray
    draws: np.ndarray | None
    scenes: np.ndarray
    understood: float | None = None
    consistent: float | None = None
    citations: dict[str, float] = field(default_factory=dict)
    certainty: dict[str, tuple[int, float]] = field(default_factory=dict)
    drawing: DrawingScore | None = None
    habits: str = "itself"
    num_missing: int = 0

    @property
    def kinds(self) -> list[str]:
        """Of the questions, in the order of the set."""
        return list(dict.fromkeys(question.kind for question in self.questions))

    def share(self, system: str, kind: str | None = None, **only: str) -> float:
        """Share that a system has right, in [0, 1]; nan where nothing is asked.

        Args:
            system: Key of ``right``.
            kind: Of this kind; None takes the mean of all kinds that there are.
            only: Attributes of the questions that count, as ``language="en", part="templates"``.
        """
        rows = np.array(
            [all(getattr(q, k) == v for k, v in only.items()) for q in self.questions], dtype=bool
        )
        shares = [self._of_kind(system, one, rows) for one in ([kind] if kind else self.kinds)]
        known = [value for value in shares if not np.isnan(value)]
        return float(np.mean(known)) if known else float("nan")

    def interval(self, system: str, minus: str | None = None) -> tuple[float, float] | None:
        """95 % interval of the mean of kinds, or of its difference to another system; None without draws."""
        if self.draws is None:
            return None
        shares = self._drawn(system, self.draws) - (self._drawn(minus, self.draws) if minus else 0.0)
        whole = self.share(system) - (self.share(minus) if minus else 0.0)
        low, high = bootstrap_interval(np.array(whole), shares)
        return float(low), float(high)

    def _of_kind(self, system: str, kind: str, rows: np.ndarray) -> float:
        mine = rows & np.array([question.kind == kind for question in self.questions], dtype=bool)
        return float(self.right[system][mine].mean()) if mine.any() else float("nan")

    def _drawn(self, system: str, draws: np.ndarray) -> np.ndarray:
        """(N,) mean of kinds of each draw; nan where a kind is not in it."""
        out = []
        for kind in self.kinds:
            mine = np.array([question.kind == kind for question in self.questions], dtype=bool)
            size = draws.shape[1]
            right = np.bincount(self.scenes[mine], weights=self.right[system][mine], minlength=size)
            total = draws @ np.bincount(self.scenes[mine], minlength=size)
            out.append(np.where(total > 0, draws @ right / np.maximum(total, 1), np.nan))
        return np.mean(out, axis=0)


def score_answers(
    questions: QuestionSet,
    answers: AnswerSet,
    truth: Maps | None = None,
    results: MapResults | None = None,
    habits: QuestionSet | None = None,
    num_draws: int = 1000,
    seed: int = 0,
) -> QuestionScore:
    """Score answers.

    Args:
        questions: What was asked.
        answers: To them.
        truth: True lines, as :func:`~mapllava.evaluation.questions.respond.truth_of` gives them of the GT
            cache; add the understood request on the true map, citations, drawing.
        results: The predicted maps; add what they give with the request that is meant.
        habits: Questions of the training set, whose usual answers are the majority's; None takes these
            questions' own, which flatters it.
        num_draws: Of the bootstrap over scenes; 0 for no intervals.
        seed: Of the draws.

    Raises:
        MapLLaVAError: If the parts are about different maps, or a prompt has cut the predicted ones.
    """
    if habits is not None and habits.map_spec != questions.map_spec:
        raise MapLLaVAError(
            f"{habits.name} is about {habits.map_spec}, {questions.name} about {questions.map_spec}: the "
            "majority's answers are learnt from questions about such maps: make them from the training "
            "split's GT cache of the same frame, region and classes"
        )
    asked = tuple(question for question in questions.questions if question.kind != DRAWN)
    given = [answers.of(question) for question in asked]
    right = {GIVEN: _right(asked, given), MAJORITY: _majority(asked, (habits or questions).questions)}
    parsed = _understood(questions, answers)
    if results is not None:
        check_results(questions, results)
        meant = answers_of(questions, parse_questions(questions, None), results.lines, results.display)
        right[TRUE_REQUEST] = _right(asked, [meant[question.id] for question in asked])
    if truth is not None and parsed is not None:
        on_truth = answers_of(questions, parsed, truth)
        right[TRUE_MAP] = _right(asked, [on_truth[question.id] for question in asked])
    names = {name: k for k, name in enumerate(dict.fromkeys(question.scene for question in asked))}
    draws = draw_groups(len(names), num_draws, seed) if num_draws and len(names) > 1 else None
    return QuestionScore(
        asked,
        right,
        np.array([one.answered for one in given], dtype=bool),
        draws,
        np.array([names[question.scene] for question in asked], dtype=np.int64),
        _share([answers.of(q).request == q.request for q in questions.questions])
        if parsed is not None
        else None,
        _consistent(questions, asked, given),
        {} if truth is None else _citations(questions, asked, given, truth),
        _certainty(given, right[GIVEN]),
        None if truth is None else score_drawing(questions, answers, truth, results),
        "itself" if habits is None else habits.split,
        0 if results is None else len(missing_samples(questions, results)),
    )


def usual_answers(questions: Sequence[Question]) -> dict[tuple[str, str], Value]:
    """The answer that is right most often, by kind and request's form (its classes and sides), and by kind
    alone under an empty form. A form of fewer than ten questions has none of its own.
    """
    groups: dict[tuple[str, str], list[Question]] = {}
    for question in questions:
        if question.kind in VALUES:
            groups.setdefault((question.kind, ""), []).append(question)
            groups.setdefault((question.kind, form_of(question)), []).append(question)
    out = {}
    for key, members in groups.items():
        if not key[1] or len(members) >= 10:
            values = list(Counter(question.value for question in members))
            out[key] = max(values, key=lambda value: sum(question.is_right(value) for question in members))
    return out


def form_of(question: Question) -> str:
    """What is asked, without its numbers."""
    return ";".join(part for part in question.request.split(";") if not any(c.isdigit() for c in part))


def _majority(asked: Sequence[Question], habits: Sequence[Question]) -> np.ndarray:
    usual = usual_answers(habits)
    said = [usual.get((q.kind, form_of(q)), usual.get((q.kind, ""))) for q in asked]
    return np.array([q.is_right(value) for q, value in zip(asked, said, strict=True)], dtype=bool)


def _right(asked: Sequence[Question], given: Sequence[GivenAnswer]) -> np.ndarray:
    pairs = zip(asked, given, strict=True)
    return np.array([one.answered and question.is_right(one.value) for question, one in pairs], dtype=bool)


def _understood(questions: QuestionSet, answers: AnswerSet) -> list[Parsed] | None:
    """What a system says that it understood; None where it never says."""
    if all(answers.of(question).request is None for question in questions.questions):
        return None
    out = []
    for question in questions.questions:
        text = answers.of(question).request or NO_REQUEST
        try:
            requests = () if text == NO_REQUEST else read_requests(text, questions.map_spec.classes)
        except MapLLaVAError as error:
            raise MapLLaVAError(f"answers '{answers.source}', question {question.id}: {error}") from error
        out.append(Parsed(question.text, requests, 1.0, text))
    return out


def _consistent(
    questions: QuestionSet, asked: Sequence[Question], given: Sequence[GivenAnswer]
) -> float | None:
    """Whether the understood request, asked of the cited lines alone, has the value that was given."""
    spec, agree = questions.map_spec, []
    for question, one in zip(asked, given, strict=True):
        if one.answered and one.cited is not None:
            requests = read_requests(one.request or question.request, spec.classes)
            fits = [request.kind for request in requests] == [question.kind]
            again = execute(requests[0], one.cited, spec).value if fits else None
            agree.append(fits and same_value(question.kind, again, one.value, _ROUNDED))
    return _share(agree) if agree else None


def _citations(
    questions: QuestionSet, asked: Sequence[Question], given: Sequence[GivenAnswer], maps: Maps
) -> dict[str, float]:
    rows = [(question, one) for question, one in zip(asked, given, strict=True) if one.cited is not None]
    if not rows:
        return {}
    cited = [_as_map(one.cited) for _, one in rows if one.cited is not None]
    truth = [_as_map(maps(question.sample_token).at(list(question.cited))) for question, _ in rows]
    matches = match_maps(cited, truth, questions.map_spec.classes, "maptr", [CITED_WITHIN])
    found, num_cited, num_true = int(matches.found.sum()), len(matches.labels), len(matches.gt_labels)
    return {
        "precision": found / num_cited if num_cited else float("nan"),
        "recall": found / num_true if num_true else float("nan"),
        "cited": num_cited,
        "true": num_true,
    }


def _as_map(lines: MapLines) -> dict[str, Any]:
    scores = np.ones(len(lines.points)) if lines.scores is None else lines.scores
    return {"points": lines.points, "labels": lines.labels, "scores": scores}


def _certainty(given: Sequence[GivenAnswer], right: np.ndarray) -> dict[str, tuple[int, float]]:
    out = {}
    for name, wanted in (("certain", True), ("not certain", False)):
        mine = np.array([one.answered and one.certain is wanted for one in given], dtype=bool)
        if mine.any():
            out[name] = (int(mine.sum()), float(right[mine].mean()))
    return out


def _share(flags: Sequence[bool]) -> float:
    return float(np.mean(flags)) if len(flags) else float("nan")
