"""Losses of the vector map head."""

from mapllava.models.losses.map_losses import DirectionCosineLoss, FocalClassLoss, PointsL1Loss

__all__ = ["DirectionCosineLoss", "FocalClassLoss", "PointsL1Loss"]
