"""Geometry on polylines: numpy and shapely, no torch."""

from mapllava.geometry.permutations import equivalent_orders, order_table
from mapllava.geometry.polyline import arc_length, cumulative_length, is_closed, resample, resample_many

__all__ = [
    "arc_length",
    "cumulative_length",
    "equivalent_orders",
    "is_closed",
    "order_table",
    "resample",
    "resample_many",
]
