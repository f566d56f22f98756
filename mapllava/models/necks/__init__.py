"""Necks: patch features to scene tokens."""

from mapllava.models.necks.base import MapNeck, NeckOutput
from mapllava.models.necks.bev_encoder import BEVEncoder
from mapllava.models.necks.bev_qformer_neck import BEVQFormerNeck
from mapllava.models.necks.qformer_core import QFormerCore
from mapllava.models.necks.qformer_neck import QFormerNeck
from mapllava.models.necks.ray_encoding import RayEncoding

__all__ = [
    "BEVEncoder",
    "BEVQFormerNeck",
    "MapNeck",
    "NeckOutput",
    "QFormerCore",
    "QFormerNeck",
    "RayEncoding",
]
