"""Losses against hand-computed values."""

import math

import pytest
import torch

from mapllava.errors import MapLLaVAError
from mapllava.models.losses import DirectionCosineLoss, FocalClassLoss, PointsL1Loss
from mapllava.models.task_modules import FocalClassCost, OrderedPointsL1Cost


def test_focal_loss_of_one_logit_by_hand():
    logits = torch.tensor([[[[0.0, math.log(3.0)]]]])  # probabilities 0.5 and 0.75
    target = torch.tensor([[[[1.0, 0.0]]]])
    expected = 2.0 * (0.25 * 0.5**2 * -math.log(0.5) + 0.75 * 0.75**2 * -math.log(0.25))
    loss = FocalClassLoss(weight=2.0)(logits, target)
    assert loss.tolist() == pytest.approx([expected], rel=1e-5)


def test_points_loss_sums_over_points_and_axes():
    points, target = torch.zeros(1, 4, 2), torch.full((1, 4, 2), 0.25)
    assert PointsL1Loss(weight=5.0)(points, target).item() == pytest.approx(5.0 * 8 * 0.25)


@pytest.mark.parametrize(("angle", "expected"), [(0.0, 0.0), (90.0, 3.0), (180.0, 6.0)])
def test_direction_loss_measures_the_turn_of_each_edge(angle, expected):
    target = torch.stack([torch.arange(4.0), torch.zeros(4)], -1)[None]
    turn = math.radians(angle)
    points = torch.stack([torch.arange(4.0) * math.cos(turn), torch.arange(4.0) * math.sin(turn)], -1)[None]
    assert DirectionCosineLoss(weight=1.0)(points, target).item() == pytest.approx(expected, abs=1e-5)


EXTREMES = [0.0, 1e-30, -1e-4, 1.0, -5.0, 17.0, -88.0, 104.0, 1e4, -1e4]


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("gamma", [0.0, 0.2, 0.5, 1.0, 2.0, 5.0])
@pytest.mark.parametrize("alpha", [0.0, 0.25, 1.0])
def test_focal_loss_has_a_finite_gradient_at_every_logit(dtype, gamma, alpha):
    logits = torch.tensor(EXTREMES, dtype=dtype)[None, None, :, None].requires_grad_()
    for answer in (0.0, 1.0):
        loss = FocalClassLoss(alpha=alpha, gamma=gamma)(logits, torch.full_like(logits, answer))
        (gradient,) = torch.autograd.grad(loss.sum(), logits)
        assert loss.isfinite().all()
        assert gradient.isfinite().all()


@pytest.mark.parametrize("gamma", [0.3, 0.9, 2.0])
def test_focal_gradient_is_the_slope_of_the_loss(gamma):
    logits = torch.linspace(-4, 4, 9, dtype=torch.float64)[None, None, :, None].requires_grad_()
    target = (torch.arange(9) % 2).view_as(logits).double()
    focal = FocalClassLoss(gamma=gamma)
    assert torch.autograd.gradcheck(lambda x: focal(x, target), logits)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("size", [0.0, 1e-30, 1e-8, 1.0, 1e4])
def test_losses_of_points_have_finite_gradients_for_degenerate_and_huge_lines(dtype, size):
    """All points in one place, hardly apart, and far out; against targets of no length and of some."""
    for target in (torch.zeros(2, 4, 2, dtype=dtype), torch.rand(2, 4, 2, dtype=dtype)):
        points = (size * torch.linspace(-1, 1, 16, dtype=dtype).view(2, 4, 2)).requires_grad_()
        for loss in (PointsL1Loss(), DirectionCosineLoss()):
            value = loss(points, target)
            (gradient,) = torch.autograd.grad(value.sum(), points)
            assert value.isfinite().all()
            assert gradient.isfinite().all()


@pytest.mark.parametrize(
    ("kind", "name", "value"),
    [
        (FocalClassLoss, "gamma", -0.5),
        (FocalClassLoss, "alpha", 1.5),
        (FocalClassLoss, "alpha", -0.1),
        (FocalClassLoss, "weight", math.nan),
        (FocalClassCost, "gamma", math.inf),
        (FocalClassCost, "alpha", 2),
        (PointsL1Loss, "weight", -5.0),
        (DirectionCosineLoss, "weight", "a lot"),
        (OrderedPointsL1Cost, "weight", math.inf),
    ],
)
def test_numbers_that_make_no_loss_are_refused(kind, name, value):
    with pytest.raises(MapLLaVAError, match=rf"{kind.__name__}\.{name} is .*: use a finite number from 0"):
        kind(**{name: value})
