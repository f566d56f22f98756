"""Requests about a map: what can be asked, and exact geometry that answers."""

from mapllava.language.parsed import Parsed
from mapllava.language.region import cut
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
    "Distance",
    "Parsed",
    "Region",
    "Request",
    "cut",
    "read_request",
    "read_requests",
    "write_requests",
]
