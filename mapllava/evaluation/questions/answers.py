"""Answers to a question set, of any system, and their file.

Form; only ``value`` is needed, and a question that is left out, or has no ``value``, is not answered, which
is never right. Lines are in metres in the question set's frame; those of ``cited`` whole, as the map has
them::

    {"format_version": 1, "questions": "the question set's fingerprint", "system": "what answered",
     "display": {"divider": 0.31, …},       score from which on a line is shown, or else 0.3
     "answers": {"distance-0007":
       {"value": 12.3, "text": "…", "request": "distance: ped_crossing; ahead", "confidence": 0.98,
        "certain": true, "cited": [{"class": "ped_crossing", "score": 0.9, "points": [[x, y], …]}, …]},
      "draw-0001": {"lines": [{"class": …, "score": …, "points": …}, …]}}}
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from reprlib import repr as short
from typing import Any

import numpy as np

from mapllava.errors import MapLLaVAError
from mapllava.evaluation.questions.question_set import DRAWN, Question, QuestionSet, Value, check_value
from mapllava.evaluation.results_file import COMPACT, check_map
from mapllava.files import read_json_object, write_json
from mapllava.structures.map_lines import MapLines

FORMAT_VERSION = 1
_DECIMALS = 4


@dataclass(frozen=True)
class GivenAnswer:
    """What a system says to one question.

    Attributes:
        value: See :data:`~mapllava.evaluation.questions.question_set.VALUES`.
        answered: False where the system refused.
        text: The answer as a sentence.
        request: What the system took the question to be, in canonical text; None where it does not say.
        confidence: In [0, 1] that it has understood; None where it does not say.
        certain: Whether it is certain of the answer; None where it does not say.
        cited: The lines that the answer rests on; None where it does not say.
        lines: For ``draw``, the map; None where it drew none.
    """

    value: Value = None
    answered: bool = True
    text: str = ""
    request: str | None = None
    confidence: float | None = None
    certain: bool | None = None
    cited: MapLines | None = None
    lines: MapLines | None = None


REFUSED = GivenAnswer(answered=False)


@dataclass(frozen=True)
class AnswerSet:
    """What a system says to a question set.

    Attributes:
        questions: The question set's fingerprint.
        system: What answered, for tables.
        answers: By the question's id.
        display: Class name to the score from which on a line is shown; 0.3 where it has none.
        source: The file, for errors.
    """

    questions: str
    system: str
    answers: Mapping[str, GivenAnswer]
    display: Mapping[str, float] = field(default_factory=dict)
    source: str = ""

    def of(self, question: Question) -> GivenAnswer:
        """The answer to a question; a refusal where there is none."""
        return self.answers.get(question.id, REFUSED)


def save_answers(path: str | Path, answers: AnswerSet, classes: Sequence[str]) -> Path:
    """Write answers; the file appears whole or not at all.

    Args:
        path: The file.
        answers: The answers.
        classes: Of the question set.

    Raises:
        MapLLaVAError: If it cannot be written.
    """
    body = {
        "format_version": FORMAT_VERSION,
        "questions": answers.questions,
        "system": answers.system,
        "display": dict(answers.display),
        "answers": {name: _answer_body(answer, classes) for name, answer in answers.answers.items()},
    }
    return write_json(path, body, **COMPACT, ensure_ascii=False)


def load_answers(path: str | Path, questions: QuestionSet) -> AnswerSet:
    """Read answers and check that they are to these questions.

    Raises:
        MapLLaVAError: If the file is missing or damaged, is about other questions, or an answer is none that
            its question can have; names the file and the question.
    """
    body = read_json_object(path, "answers")
    if body.get("format_version") != FORMAT_VERSION or not isinstance(body.get("answers"), dict):
        raise MapLLaVAError(
            f"answers '{path}': needs 'format_version' {FORMAT_VERSION} and the object 'answers'; "
            "docs/en/metrics.md has the form"
        )
    if body.get("questions") != questions.fingerprint:
        raise MapLLaVAError(
            f"answers '{path}' are to questions with the fingerprint {short(body.get('questions'))}, not to "
            f"{questions.name} with '{questions.fingerprint}': answer these, or say that it was these"
        )
    known, classes = {question.id: question for question in questions.questions}, questions.map_spec.classes
    out = {}
    for name, value in body["answers"].items():
        try:
            if name not in known:
                raise ValueError("there is no such question")
            out[name] = _answer(value, known[name].kind, classes)
        except ValueError as error:
            raise MapLLaVAError(f"answers '{path}', question {name}: {error}") from error
    display = body.get("display", {})
    if not isinstance(display, dict) or not all(_is_score(display.get(name, 0.0)) for name in classes):
        raise MapLLaVAError(f"answers '{path}': 'display' must give scores in 0..1 to classes")
    return AnswerSet(questions.fingerprint, str(body.get("system", Path(path).stem)), out, display, str(path))


def _is_score(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and 0 <= value <= 1


def _answer_body(answer: GivenAnswer, classes: Sequence[str]) -> dict[str, Any]:
    body: dict[str, Any] = {"value": answer.value} if answer.answered else {}
    body |= {"text": answer.text} if answer.text else {}
    for key in ("request", "confidence", "certain"):
        body |= {} if getattr(answer, key) is None else {key: getattr(answer, key)}
    for key in ("cited", "lines"):
        lines = getattr(answer, key)
        body |= {} if lines is None else {key: _lines_body(lines, classes)}
    return body


def _lines_body(lines: MapLines, classes: Sequence[str]) -> list[dict[str, Any]]:
    scores = np.ones(len(lines.points)) if lines.scores is None else lines.scores
    return [
        {"class": classes[int(label)], "score": float(score), "points": np.round(points, _DECIMALS).tolist()}
        for points, label, score in zip(lines.points, lines.labels, scores, strict=True)
    ]


def _answer(value: Any, kind: str, classes: Sequence[str]) -> GivenAnswer:
    if not isinstance(value, Mapping):
        raise ValueError(f"{short(value)} is not an object with 'value'")
    request, certain, confidence = (value.get(key) for key in ("request", "certain", "confidence"))
    if not isinstance(request, (str, type(None))) or not isinstance(certain, (bool, type(None))):
        raise ValueError("'request' is a text or null, 'certain' is true, false or null")
    if confidence is not None and not _is_score(confidence):
        raise ValueError(f"confidence {short(confidence)} is no number in 0..1")
    cited, lines = (_lines(value.get(key), key, classes) for key in ("cited", "lines"))
    drawn = kind == DRAWN
    answered = lines is not None if drawn else "value" in value
    given = check_value(kind, value["value"], classes) if answered and not drawn else None
    return GivenAnswer(
        given, answered, str(value.get("text", "")), request, confidence, certain, cited, lines
    )


def _lines(value: Any, key: str, classes: Sequence[str]) -> MapLines | None:
    if value is None:
        return None
    if not isinstance(value, list):
        raise ValueError(f"'{key}' is {short(value)}, not a list of lines")
    for k, line in enumerate(value):
        if not isinstance(line, Mapping) or line.get("class") not in classes or "points" not in line:
            raise ValueError(f"{key}[{k}] has no 'points', or no 'class' of {', '.join(classes)}")
    entry = {
        "points": [line["points"] for line in value],
        "labels": [classes.index(line["class"]) for line in value],
        "scores": [line.get("score", 1.0) for line in value],
    }
    checked = check_map(entry, len(classes), f"{key}[{{}}].points", f"{key}[{{}}].score")
    short_line = next((k for k, points in enumerate(checked["points"]) if len(points) < 2), None)
    if short_line is not None:
        raise ValueError(f"{key}[{short_line}].points has fewer than 2 points")
    return MapLines(checked["points"], checked["labels"], checked["scores"])
