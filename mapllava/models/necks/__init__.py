"""Necks: patch features to scene tokens."""

from mapllava.models.necks.base import MapNeck, NeckOutput
from mapllava.models.necks.bev_qformer_neck import BEVQFormerNeck

__all__ = ["BEVQFormerNeck", "MapNeck", "NeckOutput"]
