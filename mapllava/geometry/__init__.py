"""Geometry on polylines: numpy and shapely, no torch."""

from mapllava.geometry.permutations import equivalent_orders, order_table
from mapllava.geometry.polyline import (
    arc_length,
    closed_ring,
    cumulative_length,
    ranks,
    resample,
    resample_many,
)

__all__ = [
    "arc_length",
    "closed_ring",
    "cumulative_length",
    "equivalent_orders",
    "order_table",
    "ranks",
    "resample",
    "resample_many",
]
