"""Requests about a map: what can be asked, and exact geometry that answers; imported when first used."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from mapllava.language.parsed import Parsed, Parser
from mapllava.language.request import (
    NO_REQUEST,
    Distance,
    Region,
    Request,
    read_request,
    read_requests,
    write_requests,
)

if TYPE_CHECKING:
    from mapllava.language.answers import Answer
    from mapllava.language.execution import execute
    from mapllava.language.region import cut, cut_together, outline

__all__ = [
    "NO_REQUEST",
    "Answer",
    "Distance",
    "Parsed",
    "Parser",
    "Region",
    "Request",
    "cut",
    "cut_together",
    "execute",
    "outline",
    "read_request",
    "read_requests",
    "write_requests",
]

# With shapely, which words alone do not need
_HOMES = {
    "Answer": "answers",
    "execute": "execution",
    "cut": "region",
    "cut_together": "region",
    "outline": "region",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
