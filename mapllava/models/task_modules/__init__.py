"""Matching of predictions to ground truth."""

from mapllava.models.task_modules.hungarian_assigner import HungarianMapAssigner
from mapllava.models.task_modules.match_costs import FocalClassCost, OrderedPointsL1Cost
from mapllava.models.task_modules.targets import MapTargets

__all__ = ["FocalClassCost", "HungarianMapAssigner", "MapTargets", "OrderedPointsL1Cost"]
