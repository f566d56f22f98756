"""From a template and its requests to a sentence."""

from __future__ import annotations

import random
import re
from collections.abc import Sequence
from dataclasses import dataclass

from mapllava.errors import MapLLaVAError
from mapllava.language.request import Region, Request
from mapllava.language.wording.noise import confuse, misspell, pick, type_carelessly
from mapllava.language.wording.phrases import CLASS_SLOTS, PLACE_SLOTS, Speaker, slots
from mapllava.language.wording.tables import Template, sections, templates

_SLIP, _WRAPPED = 0.08, 0.25
_AROUND = {"?": "question", "？": "question", ".": "order", "。": "order", ",": "clause"}
_STATEMENT = {";": ".", "；": "。"}
_STOPS = (*_AROUND, *_STATEMENT, "!", "！")


@dataclass(frozen=True)
class Writer:
    """Writes sentences of one language and part.

    Attributes:
        language: ``en`` or ``zh``.
        part: ``train``, ``templates`` or ``words``.
        classes: Names of the map's classes.
        rng: What decides between templates and words.
    """

    language: str
    part: str
    classes: tuple[str, ...]
    rng: random.Random

    @property
    def speaker(self) -> Speaker:
        """Who fills the slots."""
        return Speaker(self.language, self.classes, self.part == "words", self.rng)

    @property
    def speakable(self) -> tuple[str, ...]:
        """In held-out words, the classes that have some (all classes, where none has any); else empty."""
        if self.part != "words":
            return ()
        tables = sections(self.language)
        having = tuple(name for name in self.classes if f"class {name}" in tables)
        return having or self.classes

    def templates(self, kinds: Sequence[str]) -> list[Template]:
        """Templates of these kinds that this part may use."""
        held_out = self.part == "templates"
        found = templates(self.language, tuple(kinds))
        return [template for template in found if template.held_out == held_out]

    def word(self, requests: Sequence[Request]) -> str:
        """A sentence of these requests, in a template of their own or one after another."""
        fitting = self.fitting(requests)
        if len(requests) > 1 and (not fitting or self.rng.random() < 0.5):
            return self.join([self.fill(pick(self.rng, self.joinable([one])), [one]) for one in requests])
        if not fitting:
            raise MapLLaVAError(f"request '{requests[0]}' has no template in '{self.language}'")
        return self.finish(self.wrap(self.fill(pick(self.rng, fitting), requests)))

    def fitting(self, requests: Sequence[Request]) -> list[Template]:
        """Templates that can say these requests."""
        found = self.templates([request.kind for request in requests])
        return [template for template in found if _fits(template, requests, self.classes)]

    def joinable(self, requests: Sequence[Request]) -> list[Template]:
        """Those that can stand beside another sentence."""
        found = [template for template in self.fitting(requests) if template.stands_alone]
        if not found:
            raise MapLLaVAError(f"request '{requests[0]}' has no template in '{self.language}'")
        return found

    def fill(self, template: Template, requests: Sequence[Request]) -> str:
        """The template's text with all slots filled."""
        text = self.slip(template.text)
        for index, request in enumerate(requests):
            left = tuple(side for side in request.region.sides if side not in template.sides)
            text = self.speaker.fill(text, index, request.classes, Region(left, request.region.distance))
        return tidy(text)

    def slip(self, text: str) -> str:
        """The text with a slip of the keyboard, now and then."""
        if self.rng.random() >= _SLIP:
            return text
        if self.language == "en":
            return misspell(text, self.rng)
        return confuse(text, sections(self.language)["confused"].known, self.rng)

    def wrap(self, text: str) -> str:
        """Polite words around it, now and then; always around a clause, never around a statement."""
        around = _AROUND.get(text[-1])
        if around is None or (around != "clause" and self.rng.random() >= _WRAPPED):
            return text
        pattern = pick(self.rng, sections(self.language)[f"around {around}"].known)
        return tidy(pattern.replace("{x}", inside(text)))

    def join(self, texts: Sequence[str]) -> str:
        """One sentence after another; with its final stop."""
        pattern = pick(self.rng, sections(self.language)[f"joined {len(texts)}"].known)
        for index, text in enumerate(texts):
            pattern = pattern.replace(f"{{{index + 1}.}}", capitalised(closed(text)))
            pattern = pattern.replace(f"{{{index + 1}}}", inside(text))
        return self.finish(pattern if pattern[-1] in _STOPS else pattern + texts[-1][-1])

    def finish(self, text: str) -> str:
        """As someone types it."""
        return type_carelessly(capitalised(closed(text)), self.rng)


def tidy(text: str) -> str:
    """Without the blanks that an empty slot leaves, and with one Chinese particle at the end, not two."""
    text = re.sub(r"\s+([,.?!;:])", r"\1", re.sub(r"\s+", " ", text)).strip()
    return re.sub("[吗吧](?=[吗呢啊])", "", text)


def inside(text: str) -> str:
    """A sentence inside another: no stop, no capital unless it begins with ``I``."""
    text = text.rstrip("".join(_STOPS))
    return text if re.match(r"I\b", text) else text[:1].lower() + text[1:]


def closed(text: str) -> str:
    """A statement with its full stop; else as it is."""
    return text[:-1] + _STATEMENT[text[-1]] if text[-1] in _STATEMENT else text


def capitalised(text: str) -> str:
    """With a capital."""
    return text[:1].upper() + text[1:]


def _fits(template: Template, requests: Sequence[Request], classes: Sequence[str]) -> bool:
    for index, request in enumerate(requests):
        there = slots(template.text, index)
        left = set(request.region.sides) - set(template.sides)
        somewhere = bool(left) or request.region.distance is not None
        named = len(request.classes) or len(classes)
        if (
            not set(template.sides) <= set(request.region.sides)
            or (somewhere and not there & set(PLACE_SLOTS))
            or (not somewhere and "place" in there)
            or (request.classes and not there & set(CLASS_SLOTS))
            or ("either" in there and named < 2)
        ):
            return False
    return True
