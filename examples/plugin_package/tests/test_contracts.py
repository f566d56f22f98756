"""Every part of the package keeps mapllava's contract of its kind."""

import pytest
import torch
from mapllava_example import (
    GammaMultiView,
    LengthLoss,
    LineCountMetric,
    LossLimitHook,
    MeanSceneDecoder,
    OneShotHead,
    PatchMeanEncoder,
    PooledNeck,
)

from mapllava.structures.frames import MapSpec
from mapllava.testing import (
    check_decoder,
    check_head,
    check_hook,
    check_loss,
    check_metric,
    check_neck,
    check_transform,
    check_vision_encoder,
)


def test_vision_encoder():
    check_vision_encoder(PatchMeanEncoder(embed_dims=8, stride=14))


def test_neck():
    check_neck(PooledNeck(in_channels=8, map_spec=MapSpec(), embed_dims=12, tokens_per_camera=(2, 3)), 8)


def test_decoder():
    check_decoder(MeanSceneDecoder(in_channels=8, embed_dims=12), in_channels=8)


def test_head():
    losses = {"cls": {"type": "FocalClassLoss"}, "pts": {"type": "PointsL1Loss"}}
    costs = [{"type": "FocalClassCost", "weight": 2.0}, {"type": "OrderedPointsL1Cost", "weight": 5.0}]
    assigner = {"type": "HungarianMapAssigner", "costs": costs}
    criterion = {"type": "MapCriterion", "assigner": assigner, "losses": losses}
    head = OneShotHead(8, 0, 5, MapSpec(), num_points=20, criterion=criterion)
    check_head(head, 8, MapSpec(), num_points=20)


def test_loss():
    check_loss(LengthLoss(weight=0.05), MapSpec())


def test_transform():
    check_transform(GammaMultiView((0.5, 0.9)))
    with pytest.raises(ValueError, match="gamma"):
        GammaMultiView((1.4, 0.7))


def test_metric():
    check_metric(LineCountMetric())


def test_hook():
    def train(hooks):
        weight = torch.ones(1)
        for hook in hooks:
            hook.after_train_iter(None, 0, None, {"loss": torch.tensor(0.5)})
        return {"weight": weight - 0.1}

    check_hook(LossLimitHook(limit=1.0), train)
