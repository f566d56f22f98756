"""Heads that draw vectorised maps from decoded queries."""

from mapllava.models.heads.refinement_layer import RefinementLayer
from mapllava.models.heads.vector_map_head import VectorMapHead

__all__ = ["RefinementLayer", "VectorMapHead"]
