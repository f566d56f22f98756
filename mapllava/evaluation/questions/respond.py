"""Our own answers to a question set: words to a request, then exact geometry on predicted or true lines."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from mapllava.errors import MapLLaVAError
from mapllava.evaluation.answering import answer
from mapllava.evaluation.questions.answers import AnswerSet, GivenAnswer
from mapllava.evaluation.questions.create import true_lines
from mapllava.evaluation.questions.question_set import DRAWN, QuestionSet
from mapllava.evaluation.results_file import UNKNOWN, MapResults
from mapllava.evaluation.sample_record import Display
from mapllava.language import Parsed, Parser, Request, cut, read_request
from mapllava.progress import progress_bar
from mapllava.structures.frames import MapSpec
from mapllava.structures.map_lines import MapLines

BATCH = 32
"""Sentences that a parser reads at once."""

Maps = Callable[[str], MapLines]
"""A sample's token to its lines."""


def answer_questions(
    questions: QuestionSet,
    results: MapResults,
    parser: Parser | None = None,
    system: str = "",
    progress: bool = False,
) -> AnswerSet:
    """Answer a question set from predicted maps.

    Args:
        questions: What is asked.
        results: The maps; a sample that they lack is an empty one.
        parser: Understands the questions; None takes the request that is meant.
        system: A name for tables.
        progress: Show a bar on the terminal.

    Raises:
        MapLLaVAError: If the maps are of another frame, region, classes or split than the questions, or a
            prompt has cut them.
    """
    check_results(questions, results)
    parsed = parse_questions(questions, parser, progress)
    answers = answers_of(questions, parsed, results.lines, results.display, progress)
    display = {} if results.display is None else dict(results.display.thresholds)
    how = "true requests" if parser is None else "parser"
    name = system or f"{how} on {Path(results.source).name or 'predicted maps'}"
    return AnswerSet(questions.fingerprint, name, answers, display)


def check_results(questions: QuestionSet, results: MapResults) -> None:
    """Raise if predicted maps are not whole ones of the samples that questions are about.

    Raises:
        MapLLaVAError: Says what differs, or that a prompt has cut them.
    """
    results.refuse_part("answers would be about that part alone")
    if results.map_spec != questions.map_spec:
        raise MapLLaVAError(
            f"{results.name} holds maps of {results.map_spec}, {questions.name} is about "
            f"{questions.map_spec}: make questions from the GT cache that fits"
        )
    split = results.split not in (UNKNOWN, questions.split)
    if split or results.version not in (None, questions.version):
        raise MapLLaVAError(
            f"{results.name} is of {results.split} of {results.version}, {questions.name} of "
            f"{questions.split} of {questions.version}: predict the split that is asked about"
        )
    if len(missing_samples(questions, results)) == len(questions.samples):
        raise MapLLaVAError(
            f"{results.name} has none of the {len(questions.samples)} samples that {questions.name} is about"
        )


def missing_samples(questions: QuestionSet, results: MapResults) -> list[str]:
    """Samples that are asked about and of which there is no predicted map; they count as empty maps."""
    return [token for token in questions.samples if token not in results.results]


def parse_questions(questions: QuestionSet, parser: Parser | None, progress: bool = False) -> list[Parsed]:
    """What each question is taken to be; without a parser, what is meant."""
    classes, asked = questions.map_spec.classes, questions.questions
    if parser is None:
        return [Parsed(q.text, (read_request(q.request, classes),), 1.0, q.request) for q in asked]
    out: list[Parsed] = []
    with progress_bar("reading questions", len(asked), progress) as advance:
        for start in range(0, len(asked), BATCH):
            some = [question.text for question in asked[start : start + BATCH]]
            out += parser.parse(some, classes)
            advance(len(some))
    return out


def truth_of(questions: QuestionSet, cache: Mapping[str, Any]) -> Maps:
    """True lines by token.

    Raises:
        MapLLaVAError: If the GT cache is not the one that the questions are about.
    """
    questions.check_cache(cache)
    entries = {entry["sample_token"]: entry for entry in cache["data_list"]}
    return lambda token: true_lines(entries[token])


def answers_of(
    questions: QuestionSet,
    parsed: Sequence[Parsed],
    maps: Maps,
    display: Display | None = None,
    progress: bool = False,
) -> dict[str, GivenAnswer]:
    """Answers to parsed questions, by id.

    Args:
        questions: What is asked.
        parsed: What each is taken to be. Where another kind of thing was understood, or several, no value
            could be right: that counts as not answered.
        maps: The lines.
        display: From which score on a line is there; None where all are, as of a true map.
        progress: Show a bar on the terminal.
    """
    out = {}
    with progress_bar("answering", len(parsed), progress) as advance:
        for question, one in zip(questions.questions, parsed, strict=True):
            advance(1)
            given = GivenAnswer(answered=False, request=one.canonical, confidence=one.confidence)
            if [request.kind for request in one.requests] == [question.kind]:
                lines = maps(question.sample_token)
                given = _add_answer(given, one.requests[0], lines, questions.map_spec, display)
            out[question.id] = given
    return out


def _add_answer(
    given: GivenAnswer, request: Request, lines: MapLines, spec: MapSpec, display: Display | None
) -> GivenAnswer:
    if request.kind == DRAWN:  # with lines of any score, as average precision looks at them all
        return replace(given, answered=True, lines=cut(lines, request.region, spec, request.classes)[0])
    (found,) = answer(lines, [request], spec, display)
    certain, cited = bool(found.certain), lines.at(list(found.cited))
    return replace(given, answered=True, value=found.value, text=found.text, certain=certain, cited=cited)
