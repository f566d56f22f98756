"""Whole tasks in one call."""

from mapllava.apis.cache_pictures import draw_samples

__all__ = ["draw_samples"]
