"""A constraint over characters as one over tokens of some vocabulary."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Hashable, Sequence
from typing import Any, Protocol

UNREADABLE = "\N{REPLACEMENT CHARACTER}"


class Constraint(Protocol):
    """Which texts may be written, character by character."""

    def state(self, text: str) -> Hashable:
        """What decides on how ``text`` may go on; equal for texts that go on alike."""

    def allowed_next(self, text: str) -> frozenset[str]:
        """Characters that may follow ``text``."""

    def may_end(self, text: str) -> bool:
        """Whether ``text`` is complete."""


class AllowedTokens:
    """The tokens that may follow those written so far; kept per state of the constraint.

    A token may be written where all of its characters may, one after the other. Tokens that are no whole
    characters, or special, never may.

    Args:
        tokenizer: with ``decode`` and ``vocab_size``.
        constraint: over characters.
        end: id of the end of text.
    """

    def __init__(self, tokenizer: Any, constraint: Constraint, end: int) -> None:
        self.constraint, self.end = constraint, end
        # within a text and as its first: SentencePiece takes a space away from the latter
        anchor = tokenizer(":")
        before = len(tokenizer.decode(anchor))
        ids = range(tokenizer.vocab_size)
        self._within = [tokenizer.decode([*anchor, index])[before:] for index in ids]
        self._first = [tokenizer.decode([index]) for index in ids]
        self._sorted = {
            first: _sorted(texts) for first, texts in ((True, self._first), (False, self._within))
        }
        self._known: dict[Hashable, list[int]] = {}

    def text(self, ids: Sequence[int]) -> str:
        """The text of ids; that of the end is empty."""
        parts = [(self._within if place else self._first)[index] for place, index in enumerate(ids)]
        return "".join(part for index, part in zip(ids, parts, strict=True) if index != self.end)

    def __call__(self, ids: list[int]) -> list[int]:
        """Ids that may follow ``ids``; the end where the text is complete."""
        text = self.text(ids)
        key = (not ids, self.constraint.state(text))
        if key not in self._known:
            found = self._following(text, *self._sorted[not ids])
            self._known[key] = [*found, self.end] if self.constraint.may_end(text) else found
        return self._known[key]

    def _following(self, text: str, texts: list[str], ids: list[int]) -> list[int]:
        """Ids whose texts may follow: down all ways that are allowed, as far as some text goes."""
        found = []
        ways = [("", 0, len(texts))]  # what is written after text, and where the texts that begin so lie
        while ways:
            way, low, high = ways.pop()
            while way and low < high and texts[low] == way:
                found.append(ids[low])
                low += 1
            if low == high:
                continue
            for character in self.constraint.allowed_next(text + way):
                longer = way + character
                first = bisect_left(texts, longer, low, high)
                last = bisect_left(texts, way + chr(ord(character) + 1), first, high)
                if first < last:
                    ways.append((longer, first, last))
        return sorted(found)


def _sorted(texts: Sequence[str]) -> tuple[list[str], list[int]]:
    """Texts in order and their ids, without those that are empty or no whole characters."""
    kept = sorted((text, index) for index, text in enumerate(texts) if text and UNREADABLE not in text)
    return [text for text, _ in kept], [index for _, index in kept]
