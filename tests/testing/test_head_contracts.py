"""Our own losses and head keep the contracts, and the checks catch what they are for."""

import pytest
import torch
from mmengine.config import Config
from torch import nn

from mapllava.errors import MapLLaVAError
from mapllava.models.heads import VectorMapHead
from mapllava.models.losses import DirectionCosineLoss, FocalClassLoss, PointsL1Loss
from mapllava.structures.frames import MapSpec
from mapllava.testing import check_head, check_loss

SPEC = MapSpec()


@pytest.fixture
def head():
    cfg = Config.fromfile("configs/_base_/models/tiny.py").model.head.to_dict()
    return VectorMapHead(8, 0, 5, SPEC, **{key: value for key, value in cfg.items() if key != "type"})


def test_our_head_keeps_the_contract(head):
    check_head(head, 8, SPEC, num_points=20)


def test_a_head_that_predicts_in_other_units(head):
    head.predict = lambda logits, points: [_far(each) for each in VectorMapHead.predict(head, logits, points)]
    with pytest.raises(AssertionError, match=r"outside of the ROI: are they in metres"):
        check_head(head, 8, SPEC, num_points=20)


def _far(instances):
    instances.points = 100 * instances.points
    return instances


def test_a_head_with_an_idle_weight(head):
    head.idle = nn.Linear(2, 2)
    with pytest.raises(AssertionError, match=r"parameters without a gradient .*idle"):
        check_head(head, 8, SPEC, num_points=20)


@pytest.mark.parametrize("loss", [FocalClassLoss(), PointsL1Loss(), DirectionCosineLoss()])
def test_our_losses_keep_the_contract(loss):
    check_loss(loss, SPEC)


class Wrong(nn.Module):
    def __init__(self, how):
        super().__init__()
        self.how = how

    def forward(self, matched_points, target_points):
        value = (matched_points - target_points).abs().sum((1, 2))
        if self.how == "detached":
            return value.detach()
        if self.how == "half":
            return value.half()
        if self.how == "summed":
            return value.sum()
        return torch.full_like(value, torch.inf) * value


@pytest.mark.parametrize(
    ("how", "words"),
    [
        ("detached", "no gradient"),
        ("summed", r"gives \(\), expected"),
        ("infinite", "Wrong: tensor"),
        ("half", "gives torch.float16"),
    ],
)
def test_a_wrong_loss(how, words):
    with pytest.raises(AssertionError, match=words):
        check_loss(Wrong(how), SPEC)


class Asking(nn.Module):
    def forward(self, matched_points, heights):
        return matched_points.sum((1, 2))


def test_a_loss_that_asks_for_what_is_not_there():
    with pytest.raises(MapLLaVAError, match=r"Asking\.forward takes 'heights'"):
        check_loss(Asking(), SPEC)
