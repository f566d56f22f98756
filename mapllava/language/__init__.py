"""Requests about a map: what can be asked, and exact geometry that answers."""

from mapllava.language.answers import Answer
from mapllava.language.execution import execute
from mapllava.language.parsed import Parsed, Parser
from mapllava.language.region import cut, outline
from mapllava.language.request import (
    NO_REQUEST,
    Distance,
    Region,
    Request,
    read_request,
    read_requests,
    write_requests,
)

__all__ = [
    "NO_REQUEST",
    "Answer",
    "Distance",
    "Parsed",
    "Parser",
    "Region",
    "Request",
    "cut",
    "execute",
    "outline",
    "read_request",
    "read_requests",
    "write_requests",
]
