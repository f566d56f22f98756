"""What people do to a sentence when they type it: slips, missing capitals and full stops.

Numbers and units are never touched: a slip there changes what is asked.
"""

from __future__ import annotations

import random
import re

_STOPS = ".?!。？！"
_WORD = re.compile(r"(?<![\w{}])[A-Za-z]{5,}(?![\w{}])")


def pick(rng: random.Random, entries):
    """One of them. ``random.random()`` alone gives the same numbers in every version of Python."""
    return entries[int(rng.random() * len(entries))]


def misspell(text: str, rng: random.Random) -> str:
    """One slip in one word of five letters or more, outside the slots; the text itself if there is none."""
    found = list(_WORD.finditer(text))
    if not found:
        return text
    word = pick(rng, found)
    at = word.start() + 1 + int(rng.random() * (len(word.group()) - 2))
    slip = pick(rng, ("swap", "drop", "double"))
    if slip == "swap":
        return text[:at] + text[at + 1] + text[at] + text[at + 2 :]
    return text[:at] + (text[at] * 2 if slip == "double" else "") + text[at + 1 :]


def confuse(text: str, pairs: tuple[str, ...], rng: random.Random) -> str:
    """One character of a sound put for another, ``right wrong`` each; the text itself if there is none."""
    found = [(right, wrong) for right, wrong in map(str.split, pairs) if right in text]
    if not found:
        return text
    right, wrong = pick(rng, found)
    return text.replace(right, wrong, 1)


def type_carelessly(text: str, rng: random.Random) -> str:
    """Small letters, capitals, no final stop, a second mark: none of it in most sentences."""
    luck = rng.random()
    if luck < 0.16:
        text = text.lower()
    elif luck < 0.19:
        text = text.upper()
    luck = rng.random()
    if luck < 0.2:
        return text.rstrip(_STOPS)
    if luck < 0.23 and text[-1] in _STOPS:
        return text[:-1] + ("!" if text[-1] in ".。" else text[-1] * 2)
    return text
