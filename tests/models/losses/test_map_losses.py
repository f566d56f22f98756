"""Losses against hand-computed values."""

import math

import pytest
import torch

from mapllava.models.losses import DirectionCosineLoss, FocalClassLoss, PointsL1Loss


def test_focal_loss_of_one_logit_by_hand():
    logits = torch.tensor([[[[0.0, math.log(3.0)]]]])  # probabilities 0.5 and 0.75
    target = torch.tensor([[[[1.0, 0.0]]]])
    expected = 2.0 * (0.25 * 0.5**2 * -math.log(0.5) + 0.75 * 0.75**2 * -math.log(0.25))
    loss = FocalClassLoss(weight=2.0)(logits, target, torch.tensor(1.0))
    assert loss.tolist() == pytest.approx([expected], rel=1e-5)


def test_focal_loss_is_per_positive():
    logits, target = torch.randn(2, 3, 5, 4), torch.zeros(2, 3, 5, 4)
    one, four = (FocalClassLoss()(logits, target, torch.tensor(n)) for n in (1.0, 4.0))
    assert torch.allclose(one, 4 * four)


def test_points_loss_sums_over_points_and_axes():
    points, target = torch.zeros(1, 4, 2), torch.full((1, 4, 2), 0.25)
    assert PointsL1Loss(weight=5.0)(points, target).item() == pytest.approx(5.0 * 8 * 0.25)


@pytest.mark.parametrize(("angle", "expected"), [(0.0, 0.0), (90.0, 3.0), (180.0, 6.0)])
def test_direction_loss_measures_the_turn_of_each_edge(angle, expected):
    target = torch.stack([torch.arange(4.0), torch.zeros(4)], -1)[None]
    turn = math.radians(angle)
    points = torch.stack([torch.arange(4.0) * math.cos(turn), torch.arange(4.0) * math.sin(turn)], -1)[None]
    assert DirectionCosineLoss(weight=1.0)(points, target).item() == pytest.approx(expected, abs=1e-5)
