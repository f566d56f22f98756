"""What was meant by a word of a config, and numbers and names that nothing can be built with."""

from __future__ import annotations

import difflib
from collections.abc import Collection, Iterable, Sequence

from mapllava.errors import MapLLaVAError

ALIKE = 0.8  # share of letters in common above which another word was meant


def suggestion(word: str, known: Iterable[str], alike: float = 0.6) -> str:
    """``did you mean 'x'?`` for the nearest known word, or nothing."""
    near = difflib.get_close_matches(word, list(known), 1, alike)
    return f"did you mean '{near[0]}'?" if near else ""


def check_sizes(where: str, least: int = 1, /, **sizes: int | Sequence[int]) -> None:
    """Refuse sizes, and lists of them, that are not whole numbers.

    Args:
        where: Whose they are.
        least: The smallest that makes sense.
        **sizes: The sizes.

    Raises:
        MapLLaVAError: If one is not, or a list is empty.
    """
    for name, value in sizes.items():
        parts = list(value) if isinstance(value, (list, tuple)) else [value]
        if not parts or not all(type(each) is int and each >= least for each in parts):  # True is none
            raise MapLLaVAError(f"{where}.{name} is {value!r}: use whole numbers from {least}")


def check_heads(where: str, width: int, heads: int) -> None:
    """Refuse a width that cannot be shared out over attention heads.

    Raises:
        MapLLaVAError: If it cannot.
    """
    check_sizes(where, embed_dims=width, num_heads=heads)
    if width % heads:
        raise MapLLaVAError(
            f"{where}: num_heads={heads} does not divide embed_dims={width}: change one of the two"
        )


def check_names(where: str, given: Iterable[str], known: Collection[str]) -> None:
    """Refuse names in a dict of settings that nobody would look up.

    Raises:
        MapLLaVAError: If one is not known.
    """
    for name in given:
        if name not in known:
            remedy = suggestion(name, known) or f"take it out; there are {', '.join(sorted(known))}"
            raise MapLLaVAError(f"{where} has no '{name}': {remedy}")
