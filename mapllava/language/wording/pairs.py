"""Pairs of a sentence and the canonical text of what it asks."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass

from mapllava.errors import MapLLaVAError
from mapllava.language.request import (
    KINDS,
    NO_REQUEST,
    WITHOUT_CLASSES,
    Request,
    read_requests,
    write_requests,
)
from mapllava.language.wording import unanswerable
from mapllava.language.wording.noise import pick
from mapllava.language.wording.phrases import CLASS_SLOTS, PLACE_SLOTS, slots
from mapllava.language.wording.sampling import sample_request
from mapllava.language.wording.tables import LANGUAGES, Template, several_kinds
from mapllava.language.wording.writer import Writer

PARTS = ("train", "templates", "words")
"""To learn from; held-out templates in known words; held-out words in known templates."""

SEVERAL = "several"
"""Kind of a pair of more than one request."""

PAIR_KINDS = (*KINDS, SEVERAL, NO_REQUEST)


@dataclass(frozen=True)
class Pair:
    """A sentence and what it asks.

    Attributes:
        text: The sentence.
        canonical: What it asks, as :func:`~mapllava.language.read_requests` reads it.
        kind: One of :data:`PAIR_KINDS`.
        language: ``en`` or ``zh``.
        part: One of :data:`PARTS`.
    """

    text: str
    canonical: str
    kind: str
    language: str
    part: str


def sample_pairs(seed: int, count: int, language: str, part: str, classes: Sequence[str]) -> list[Pair]:
    """Pairs of every kind in turn; the same for the same arguments on any machine.

    Args:
        seed: Another seed gives other pairs; a smaller count of a seed gives the first of a larger one.
        count: How many.
        language: ``en``, ``zh`` or ``both``, in turn.
        part: One of :data:`PARTS`.
        classes: Names of the map's classes, in its order.

    Raises:
        MapLLaVAError: If an argument is not one of these.
    """
    return [sample_pair(seed, index, language, part, classes) for index in range(count)]


def sample_pair(seed: int, index: int, language: str, part: str, classes: Sequence[str]) -> Pair:
    """One of :func:`sample_pairs`, by its index."""
    _check(language, part, classes, (*LANGUAGES, "both"))
    spoken = LANGUAGES if language == "both" else (language,)
    tongue = spoken[index % len(spoken)]
    kind = PAIR_KINDS[index // len(spoken) % len(PAIR_KINDS)]
    rng = random.Random(f"{seed} {part} {tongue} {index}")
    text, canonical = _sample(Writer(tongue, part, tuple(classes), rng), kind)
    return Pair(text, canonical, kind, tongue, part)


def word(
    requests: Request | Sequence[Request],
    language: str,
    part: str,
    classes: Sequence[str],
    rng: random.Random,
) -> str:
    """A sentence that asks this.

    Args:
        requests: What it asks: one request, two or three.
        language: ``en`` or ``zh``.
        part: One of :data:`PARTS`. A sentence of ``words`` has held-out words wherever there are any.
        classes: Names of the map's classes, in its order.
        rng: What decides between templates and words.

    Raises:
        MapLLaVAError: If an argument is not one of these, or no template can say it.
    """
    _check(language, part, classes, LANGUAGES)
    asked = (requests,) if isinstance(requests, Request) else tuple(requests)
    if not 1 <= len(asked) <= 3:
        raise MapLLaVAError(f"{len(asked)} requests: a sentence asks one to three requests")
    read_requests(write_requests(asked), classes)
    return Writer(language, part, tuple(classes), rng).word(asked)


def _check(language: str, part: str, classes: Sequence[str], languages: Sequence[str]) -> None:
    if language not in languages:
        raise MapLLaVAError(f"language '{language}' is not one of {', '.join(languages)}")
    if part not in PARTS:
        raise MapLLaVAError(f"part '{part}' is not one of {', '.join(PARTS)}")
    if not classes:
        raise MapLLaVAError("classes is empty: give the names of the map's classes")


def _sample(writer: Writer, kind: str) -> tuple[str, str]:
    """A sentence and its canonical text."""
    if kind == NO_REQUEST:
        return unanswerable.sample(writer), NO_REQUEST
    if kind == SEVERAL:
        together = several_kinds(writer.language)
        if writer.rng.random() < 0.4:
            requests = _requests(writer, pick(writer.rng, _usable(writer, pick(writer.rng, together))))
        else:
            count = 2 if writer.rng.random() < 0.75 else 3
            kinds = [pick(writer.rng, KINDS) for _ in range(count)]
            requests = [
                request
                for one in kinds
                for request in _requests(writer, pick(writer.rng, _usable(writer, (one,))))
            ]
        return writer.word(requests), write_requests(requests)
    template = pick(writer.rng, _usable(writer, (kind,)))
    requests = _requests(writer, template)
    return writer.finish(writer.wrap(writer.fill(template, requests))), write_requests(requests)


def _usable(writer: Writer, kinds: Sequence[str]) -> list[Template]:
    """Templates of the part; for held-out words those that say a class or, where none is asked, a side."""
    found = writer.templates(kinds)
    if len(writer.classes) < 2:
        found = [template for template in found if "either" not in slots(template.text, 0)]
    if writer.part != "words":
        return found
    wanted = PLACE_SLOTS if kinds[0] in WITHOUT_CLASSES else CLASS_SLOTS
    return [template for template in found if slots(template.text, 0) & set(wanted)]


def _requests(writer: Writer, template: Template) -> list[Request]:
    """Requests that the template can say."""
    return [
        sample_request(writer.rng, kind, template, index, writer.classes, writer.speakable)
        for index, kind in enumerate(template.kinds)
    ]
