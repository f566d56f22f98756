"""The question set: what is asked of which sample, in which words, and what is true; a file for any system.

Form (``answer`` is null for ``draw``, whose answer is a map; ``cited`` are places in the sample's polylines
in the GT cache)::

    {"format_version": 1, "fingerprint": "sha256…", "cache": "the GT cache's fingerprint", "split": "val",
     "version": "v1.0-trainval", "frame": "lidar", "roi": [x_min, y_min, x_max, y_max],
     "classes": ["divider", "ped_crossing", "boundary"], "seed": 0, "left_out": {"lanes": "why"},
     "questions": [
       {"id": "distance-0007", "sample_token": "…", "scene": "scene-0003",
        "text": "How far is the next crossing?", "language": "en", "part": "templates",
        "kind": "distance", "difficulty": "easy", "request": "distance: ped_crossing; ahead",
        "answer": {"value": 12.3, "unit": "m", "tolerance": 1.23, "cited": [4]}}, …]}

A system sees ``sample_token``, ``text``, ``frame``, ``roi`` and ``classes``; the rest is for the score.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from reprlib import repr as short
from typing import Any

from mapllava.errors import MapLLaVAError
from mapllava.files import read_json_object, write_json
from mapllava.gt_cache.schema import spec_of
from mapllava.language import read_request
from mapllava.structures.frames import MapSpec

FORMAT_VERSION = 1

VALUES: dict[str, tuple[type, ...]] = {
    "count": (int,),
    "exists": (bool,),
    "distance": (float, int),
    "nearest": (str,),
    "side": (str,),
    "lanes": (int,),
    "junction": (bool,),
}
"""Kinds that are answered by a value, and its type: a number of lines or lanes, yes or no, metres, the name
of a class, the name of a side. Null says that there is nothing that the value could be of."""

WHERE = ("left", "right", "ahead", "behind", "here")
"""Answers to ``side``: ``here`` where the car stands on it."""

DRAWN = "draw"
"""The kind that is answered by a map."""

LANGUAGES = ("en", "zh")
PARTS = ("train", "templates", "words")
"""Wording: as trained on, in templates held out of training, with words held out of training."""

DIFFICULTIES = ("easy", "medium", "hard")

METRES, SHARE = 1.0, 0.1
"""A distance is right within so many metres, or this share of the true one, whichever is more."""

Value = bool | int | float | str | None


@dataclass(frozen=True)
class Question:
    """One question and its true answer.

    Attributes:
        id: Its name in the set.
        sample_token: Of the sample that it is about.
        scene: Of the sample.
        text: As a person would ask.
        language: One of :data:`LANGUAGES`.
        part: One of :data:`PARTS`.
        kind: Of :data:`VALUES`, or :data:`DRAWN`.
        difficulty: One of :data:`DIFFICULTIES`.
        request: What is meant, in canonical text.
        value: What is true; None where there is nothing, and for :data:`DRAWN`.
        tolerance: Metres by which a distance may be off.
        cited: Places of the lines that the answer rests on, in the sample's polylines.
    """

    id: str
    sample_token: str
    scene: str
    text: str
    language: str
    part: str
    kind: str
    difficulty: str
    request: str
    value: Value = None
    tolerance: float = 0.0
    cited: tuple[int, ...] = ()

    def is_right(self, value: Value) -> bool:
        """Whether an answer's value counts as right."""
        return same_value(self.kind, self.value, value, self.tolerance)


def same_value(kind: str, true: Value, value: Value, tolerance: float) -> bool:
    """Whether two values are the same: distances within ``tolerance`` metres, all others exactly."""
    if true is None or value is None:
        return true is value
    if kind == "distance":
        return abs(float(value) - float(true)) <= tolerance
    return value == true


def tolerance_of(kind: str, value: Value) -> float:
    """Metres by which an answer may be off; 0 where it must be exact."""
    return max(METRES, SHARE * float(value)) if kind == "distance" and value is not None else 0.0


@dataclass(frozen=True)
class QuestionSet:
    """Questions of one GT cache.

    Attributes:
        map_spec: Frame, region of interest and classes.
        split: The cache's.
        version: The cache's.
        cache: The cache's fingerprint.
        seed: That the questions were drawn with.
        questions: Their ids differ.
        left_out: Kinds that this cache cannot be asked about, and why.
        source: The file they were read from, for errors.
    """

    map_spec: MapSpec
    split: str
    version: str
    cache: str
    seed: int
    questions: tuple[Question, ...]
    left_out: Mapping[str, str] = field(default_factory=dict)
    source: str = ""

    @property
    def name(self) -> str:
        """How errors call it."""
        return f"question set '{self.source}'" if self.source else "the question set"

    @property
    def samples(self) -> tuple[str, ...]:
        """Tokens of the samples that are asked about, each once."""
        return tuple(dict.fromkeys(question.sample_token for question in self.questions))

    @property
    def fingerprint(self) -> str:
        """SHA-256 of all that is asked and true."""
        body = json.dumps(_body(self), sort_keys=True, ensure_ascii=False)
        return hashlib.sha256(body.encode()).hexdigest()

    def check_cache(self, cache: Mapping[str, Any]) -> None:
        """Raise if a GT cache is not the one that the questions are about.

        Raises:
            MapLLaVAError: Names both.
        """
        meta = cache["metainfo"]
        if meta["fingerprint"] != self.cache:
            raise MapLLaVAError(
                f"{self.name} is about the GT cache of split {self.split} with the fingerprint "
                f"{self.cache[:12]}…, the cache given is of split {meta['split']} with "
                f"{meta['fingerprint'][:12]}…: give the cache they were made from, or make others"
            )


def save_questions(path: str | Path, questions: QuestionSet) -> Path:
    """Write a question set; the file appears whole or not at all.

    Raises:
        MapLLaVAError: If it cannot be written.
    """
    body = {"format_version": FORMAT_VERSION, "fingerprint": questions.fingerprint, **_body(questions)}
    return write_json(path, body, allow_nan=False, ensure_ascii=False)


def load_questions(path: str | Path) -> QuestionSet:
    """Read and check a question set.

    Raises:
        MapLLaVAError: If it is missing, damaged, changed since it was made, or of another format; names the
            file and the question.
    """
    body = read_json_object(path, "question set")
    head = ("format_version", "fingerprint", "cache", "split", "version", "frame", "roi", "classes", "seed")
    missing = [key for key in (*head, "left_out", "questions") if key not in body]
    if missing:
        raise MapLLaVAError(
            f"question set '{path}' lacks {missing}: make it with 'mapllava questions create'"
        )
    if body["format_version"] != FORMAT_VERSION:
        raise MapLLaVAError(
            f"question set '{path}' has format version {body['format_version']!r}, this release reads "
            f"{FORMAT_VERSION}: make it anew"
        )
    try:
        spec = spec_of(body)
        questions = tuple(_question(value, spec.classes) for value in body["questions"])
    except (MapLLaVAError, KeyError, TypeError, ValueError) as error:
        raise MapLLaVAError(f"question set '{path}' is damaged: {error}; make it anew") from error
    out = QuestionSet(
        spec,
        body["split"],
        body["version"],
        body["cache"],
        body["seed"],
        questions,
        body["left_out"],
        str(path),
    )
    if out.fingerprint != body["fingerprint"]:
        raise MapLLaVAError(
            f"question set '{path}' has changed since it was made (its fingerprint does not fit): scores "
            "on it would not compare; make it anew with the same seed"
        )
    return out


def check_value(kind: str, value: Any, classes: Sequence[str]) -> Value:
    """An answer's value, if it is one that its kind can have.

    Raises:
        ValueError: If it is not; says what it could be.
    """
    if value is None:
        return None
    wanted = VALUES[kind]
    fits = isinstance(value, wanted) and (bool in wanted or not isinstance(value, bool))
    names = {"nearest": tuple(classes), "side": WHERE}.get(kind, ())
    if not fits or (names and value not in names) or (kind == "distance" and not 0 <= value < math.inf):
        words = {bool: "true or false", int: "a whole number", float: "metres", str: "one of "}[wanted[0]]
        listed = words + ", ".join(names)
        raise ValueError(f"value {short(value)} is no answer to '{kind}', which is {listed}, or null")
    return value


def _body(questions: QuestionSet) -> dict[str, Any]:
    return {
        "cache": questions.cache,
        "split": questions.split,
        "version": questions.version,
        **questions.map_spec.to_config(),
        "seed": questions.seed,
        "left_out": dict(questions.left_out),
        "questions": [_question_body(question) for question in questions.questions],
    }


_TEXTS = ("id", "sample_token", "scene", "text", "language", "part", "kind", "difficulty", "request")


def _question_body(question: Question) -> dict[str, Any]:
    answer = None
    if question.kind != DRAWN:
        unit = "m" if question.kind == "distance" else ""
        answer = {
            "value": question.value,
            "unit": unit,
            "tolerance": question.tolerance,
            "cited": list(question.cited),
        }
    return {**{key: getattr(question, key) for key in _TEXTS}, "answer": answer}


def _question(value: Any, classes: Sequence[str]) -> Question:
    texts = {key: value[key] for key in _TEXTS}
    try:
        wrong = [key for key, text in texts.items() if not isinstance(text, str)]
        for key, known in (("language", LANGUAGES), ("part", PARTS), ("difficulty", DIFFICULTIES)):
            wrong += [key] if texts[key] not in known else []
        if wrong or texts["kind"] not in (*VALUES, DRAWN):
            raise ValueError(f"{wrong or ['kind']} is none that is known")
        read_request(texts["request"], classes)
        if texts["kind"] == DRAWN:
            return Question(**texts)
        answer = value["answer"]
        true = check_value(texts["kind"], answer["value"], classes)
        return Question(**texts, value=true, tolerance=answer["tolerance"], cited=tuple(answer["cited"]))
    except ValueError as error:
        raise ValueError(f"question {texts['id']}: {error}") from error
