"""Phrases for the slots of a template: classes, sides and lengths, by the tables of words."""

from __future__ import annotations

import random
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

from mapllava.language.request import Distance, Region
from mapllava.language.wording import numbers
from mapllava.language.wording.noise import misspell, pick
from mapllava.language.wording.tables import sections

CLASS_SLOTS = ("things", "thing", "a_thing", "either")
"""Plural list; singular list; the same with articles; singular list with articles of two classes or
more."""

PLACE_SLOTS = ("where", "place")
"""A region, which may be none; a region that must be something. ``{d}`` is a length alone."""

_SLOT = re.compile(r"\{(\w+?)(\d?)\}(的?)")
_WORDS_FOR_NUMBERS, _NAMED_ALL, _VAGUE, _MISSPELT = 0.35, 0.3, 0.25, 0.04


@cache
def slots(text: str, index: int) -> frozenset[str]:
    """Names of the slots of one request, of a text such as ``Show {things1} and {things2}``."""
    found = _SLOT.findall(text)
    return frozenset(name for name, digit, _ in found if int(digit or 1) == index + 1)


@dataclass(frozen=True)
class Speaker:
    """Words what a request says, in one language.

    Attributes:
        language: ``en`` or ``zh``.
        classes: Names of the map's classes.
        held_out: Whether classes and sides are said in words kept for testing, where there are such.
        rng: What decides between words.
    """

    language: str
    classes: Sequence[str]
    held_out: bool
    rng: random.Random

    def fill(self, text: str, index: int, names: Sequence[str], region: Region) -> str:
        """Fill the slots of one request."""
        there = slots(text, index)
        names = names or (self.classes if "either" in there else ())
        words = self.class_words(names) if there & set(CLASS_SLOTS) else []
        return self.fill_words(text, index, words, region)

    def fill_words(self, text: str, index: int, words: Sequence[str], region: Region) -> str:
        """The same, of classes given in words, ``singular | plural``."""

        def fill(match: re.Match) -> str:
            name, digit, particle = match.groups()
            if int(digit or 1) != index + 1 or name == "d":
                return match.group()
            phrase = self.place(region) if name in PLACE_SLOTS else self.things(words, name)
            return phrase + particle if phrase else ""

        return _SLOT.sub(fill, text)

    def choose(self, section: str) -> str:
        """An entry of a section: a held-out one where it is wanted and there is one."""
        found = sections(self.language).get(section)
        if found is None:
            return ""
        return pick(self.rng, found.entries(self.held_out) or found.known or ("",))

    def class_words(self, names: Sequence[str]) -> list[str]:
        """``singular | plural`` of each class, in any order; of all, one general word or each class."""
        if not names and (self.held_out or len(self.classes) == 1 or self.rng.random() < _NAMED_ALL):
            names = self.classes
        shuffled = sorted((self.rng.random(), name) for name in names)
        return [self.one_class(name) for _, name in shuffled] or [self.choose("class")]

    def one_class(self, name: str) -> str:
        """``singular | plural``, or the class's own name, where it has no words."""
        spoken = name.replace("_", " ")
        plural = "s" if self.language == "en" else ""
        word = self.choose(f"class {name}") or f"{spoken} | {spoken}{plural}"
        if not self.held_out and "_" in name and self.rng.random() < _MISSPELT:
            word = f"{name} | {name}{plural}"
        if self.language == "en" and not self.held_out and self.rng.random() < _MISSPELT:
            word = " | ".join([misspell(word.split(" | ")[0], self.rng), *word.split(" | ")[1:]])
        return word

    def things(self, words: Sequence[str], slot: str) -> str:
        """A list of classes as a slot wants it."""
        forms = [word.split(" | ") for word in words]
        listed = [form[-1] if slot == "things" else form[0] for form in forms]
        if self.language == "en" and slot in ("a_thing", "either"):
            listed = [self.with_article(word) for word in listed]
        if len(listed) == 1:
            return listed[0]
        joint = self.choose("and" if slot == "things" else "or")
        between = "、" if self.language == "zh" else ", "
        return joint.replace("{a}", between.join(listed[:-1])).replace("{b}", listed[-1])

    def with_article(self, word: str) -> str:
        """``a crossing``, ``an edge``; ``anything`` as it is."""
        if word.startswith("any"):
            return word
        return f"{'an' if word[0] in 'aeiou' else 'a'} {word}"

    def place(self, region: Region) -> str:
        """Where: ``on the left within 20 m``; of no region, nothing or words that restrict nothing."""
        sides, distance = " ".join(region.sides), region.distance
        if not sides and distance is None:
            return self.choose("anywhere") if self.rng.random() < _VAGUE else ""
        if distance is None:
            return self.side(sides)
        if distance.relation == "at" and {"left", "right"} & set(region.sides):
            *along, across = region.sides
            pattern = self.choose("quarter at" if along else "across at")
            pattern = pattern.replace("{along}", self.side(" ".join(along)))
            return self.lengths(pattern.replace("{across}", self.side(across)), distance)
        together = sections(self.language).get(f"{sides} {distance.relation}")
        if not sides:
            pattern = self.choose(distance.relation)
        elif together is not None and not self.held_out and self.rng.random() < 0.6:
            pattern = pick(self.rng, together.known)
        else:
            pattern = self.choose(f"side {distance.relation}").replace("{side}", self.side(sides))
        return self.lengths(pattern, distance)

    def side(self, sides: str) -> str:
        """One side or a quarter, in words."""
        said = self.choose(f"side {sides}")
        if self.language == "en" and not self.held_out and self.rng.random() < _MISSPELT:
            return misspell(said, self.rng)
        return said

    def lengths(self, pattern: str, distance: Distance) -> str:
        """Put lengths for ``{d}`` and, of two, the smaller for ``{a}``, with a unit or without."""
        style = 1 if " next " in pattern else int(self.rng.random() * 2)
        unit = self.choose(f"unit {distance.unit}")
        in_words = self.rng.random() < _WORDS_FOR_NUMBERS and numbers.has_words(distance.values[-1])
        if self.language == "zh" and unit.isascii():
            in_words = False
        *smaller, last = distance.values
        for value in smaller:
            alone = self.rng.random() < 0.75
            pattern = pattern.replace("{a}", self.length(value, "" if alone else unit, in_words, style))
        return pattern.replace("{d}", self.length(last, unit, in_words, style))

    def length(self, value: float, unit: str, in_words: bool, style: int) -> str:
        """One length: ``20 m``, ``twenty metres``, ``两米半``; without a unit its number alone."""
        one, *more = unit.split(" | ")
        if self.language == "zh":
            return self._length_in_chinese(value, unit, in_words, style)
        if not in_words:
            name = one if value == 1 or not more else more[0]
            blank = "" if not more and self.rng.random() < 0.5 else " "
            return f"{numbers.digits(value)}{blank}{name}".strip()
        if value == 0.5 and more and style == 0:
            return f"half a {one}"
        return f"{numbers.english(value, style)} {one if value == 1 or not more else more[0]}".strip()

    def _length_in_chinese(self, value: float, unit: str, in_words: bool, style: int) -> str:
        if not in_words:
            return f"{numbers.digits(value)}{' ' if self.rng.random() < 0.15 else ''}{unit}".strip()
        if unit and value % 1 == 0.5 and style == 0:
            return f"半{unit}" if value < 1 else f"{numbers.chinese(int(value))}{unit}半"
        return numbers.chinese(value, style) + unit
