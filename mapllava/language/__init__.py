"""Requests about a map: what can be asked, and exact geometry that answers."""

from mapllava.language.request import Distance, Region, Request, read_request, read_requests, write_requests

__all__ = ["Distance", "Region", "Request", "read_request", "read_requests", "write_requests"]
