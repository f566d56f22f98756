"""Heads that predict vectorised maps from decoded queries, and their criterion."""

from mapllava.models.heads.criterion import LossInputs, MapCriterion
from mapllava.models.heads.refinement_layer import RefinementLayer
from mapllava.models.heads.vector_map_head import VectorMapHead

__all__ = ["LossInputs", "MapCriterion", "RefinementLayer", "VectorMapHead"]
