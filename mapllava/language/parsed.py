"""What a parser makes of a sentence."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from mapllava.language.request import Request


@dataclass(frozen=True)
class Parsed:
    """A sentence, understood or not.

    Attributes:
        text: The sentence, as it was given.
        requests: What it asks, in its order; empty where it was not understood: it is no request about the
            map, or the parser is not sure enough of what it read.
        confidence: The parser's probability that ``canonical`` is what was meant, from 0 to 1.
        canonical: What the parser wrote: canonical texts as :func:`~mapllava.language.write_requests` joins
            them, or :data:`~mapllava.language.NO_REQUEST`. It is kept where ``requests`` is empty, so that a
            refusal can say what was not sure enough.
    """

    text: str
    requests: tuple[Request, ...]
    confidence: float
    canonical: str

    @property
    def understood(self) -> bool:
        """Whether there is anything to answer."""
        return bool(self.requests)


class Parser(Protocol):
    """What turns sentences into requests, such as :class:`~mapllava.models.parsers.RequestParser`."""

    def parse(self, texts: Sequence[str], classes: Sequence[str]) -> Sequence[Parsed]:
        """What each sentence asks of a map with these classes."""
