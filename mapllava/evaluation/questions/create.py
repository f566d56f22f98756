"""Drawing a question set from a GT cache: which request of which sample, so that no answer is usual."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from itertools import islice, product
from typing import Any

import numpy as np

from mapllava.errors import MapLLaVAError
from mapllava.evaluation.questions.question_set import (
    DIFFICULTIES,
    DRAWN,
    LANGUAGES,
    PARTS,
    VALUES,
    Question,
    QuestionSet,
    tolerance_of,
)
from mapllava.evaluation.questions.requests import draw_request, group_of, in_turn, near_change
from mapllava.gt_cache.schema import spec_of
from mapllava.language import Answer, Request, execute
from mapllava.progress import progress_bar
from mapllava.structures.map_lines import MapLines

KINDS = (*VALUES, DRAWN)
TRIES = 12
"""Requests tried for each that is asked: the rarest answers decide how many there are of the others."""

NEAR_CHANGE = 2.0
"""Metres: a question is hard where a region moved by so much would change its answer."""

Word = Callable[[Request, str, str, random.Random], str]
"""Request, language, part and a generator to a sentence."""


def create_questions(
    cache: Mapping[str, Any],
    per_kind: int = 100,
    seed: int = 0,
    languages: Sequence[str] = LANGUAGES,
    parts: Sequence[str] = PARTS,
    kinds: Sequence[str] = KINDS,
    word: Word | None = None,
    progress: bool = False,
) -> QuestionSet:
    """Draw questions about the samples of a GT cache.

    Requests are drawn at random and grouped by true answer (counts of 3 and more together, distances in steps
    of 10 m, "nothing there" apart) and within by difficulty; the groups then give one question each in turn,
    so that no answer is right by habit. Languages and kinds of wording take turns likewise.

    Args:
        cache: What :func:`mapllava.gt_cache.load` returns.
        per_kind: Questions of each kind; fewer where the cache does not hold so many.
        seed: The same seed gives the same set.
        languages: Of :data:`LANGUAGES`.
        parts: Of :data:`PARTS`.
        kinds: What is asked.
        word: Puts a request into words of a language and part; None takes :mod:`mapllava.language.wording`.
        progress: Show a bar on the terminal.

    Raises:
        MapLLaVAError: If an argument is none that is known, or nothing can be asked about the cache.
    """
    for what, given, known in (
        ("language", languages, LANGUAGES),
        ("wording", parts, PARTS),
        ("kind", kinds, KINDS),
    ):
        unknown = sorted(set(given) - set(known))
        if unknown or not given:
            raise MapLLaVAError(f"{what} {unknown or 'of no name'}: use some of {', '.join(known)}")
    if per_kind < 1:
        raise MapLLaVAError(f"{per_kind} questions of a kind: ask at least 1")
    if not cache["data_list"]:
        raise MapLLaVAError("nothing can be asked about this GT cache: it holds no sample")
    spec, meta = spec_of(cache["metainfo"]), cache["metainfo"]
    word = word or _words_for(spec.classes)
    out: list[Question] = []
    left_out: dict[str, str] = {}
    with progress_bar("drawing questions", len(kinds), progress) as advance:
        for kind in kinds:
            try:
                mine = _of_kind(kind, cache, per_kind, seed, [*product(languages, parts)], word)
            except MapLLaVAError as error:
                mine, left_out[kind] = [], str(error)
            if not mine and kind not in left_out:
                left_out[kind] = "no sample has anything that it could be asked about"
            out += mine
            advance(1)
    if not out:
        raise MapLLaVAError(f"nothing can be asked about this GT cache: {left_out}")
    return QuestionSet(spec, meta["split"], meta["version"], meta["fingerprint"], seed, tuple(out), left_out)


def true_lines(entry: Mapping[str, Any]) -> MapLines:
    """The polylines of a cache's entry, without scores: true."""
    labels = np.array([line["label"] for line in entry["polylines"]], dtype=np.int64)
    return MapLines([line["points"] for line in entry["polylines"]], labels)


def _words_for(classes: Sequence[str]) -> Word:
    from mapllava.language.wording import word  # here, because own wording needs none of it

    return lambda request, language, part, rng: word(request, language, part, classes, rng)


def _of_kind(
    kind: str,
    cache: Mapping[str, Any],
    per_kind: int,
    seed: int,
    wordings: Sequence[tuple[str, str]],
    word: Word,
) -> list[Question]:
    rng, spec, entries = random.Random(f"{seed} {kind}"), spec_of(cache["metainfo"]), cache["data_list"]
    groups: dict[str, dict[str, list[tuple[Mapping[str, Any], Request, Answer, str]]]] = {}
    seen: set[tuple[str, str]] = set()
    for number in range(per_kind * TRIES):
        entry, level = rng.choice(entries), DIFFICULTIES[number % len(DIFFICULTIES)]
        request = draw_request(kind, level, spec, rng)
        if (asked := (entry["sample_token"], request.text)) not in seen:
            seen.add(asked)
            answer = execute(request, true_lines(entry), spec)
            levels = groups.setdefault(group_of(kind, answer), {})
            levels.setdefault(level, []).append((entry, request, answer, level))
    chosen = list(islice(in_turn(in_turn(groups[key].values()) for key in sorted(groups)), per_kind))
    rng.shuffle(chosen)  # else wordings, which take turns too, would go with answers
    out = []
    for number, (entry, request, answer, level) in enumerate(chosen):
        if level == "medium" and near_change(request, answer, true_lines(entry), spec, NEAR_CHANGE):
            level = "hard"
        language, part = wordings[number % len(wordings)]
        text = word(request, language, part, random.Random(f"{seed} {kind} {number}"))
        place = entry["sample_token"], str(entry.get("scene_name", ""))
        question = Question(f"{kind}-{number:04d}", *place, text, language, part, kind, level, request.text)
        if kind != DRAWN:
            tolerance = tolerance_of(kind, answer.value)
            cited = tuple(int(index) for index in answer.cited)
            question = replace(question, value=answer.value, tolerance=tolerance, cited=cited)
        out.append(question)
    return out
