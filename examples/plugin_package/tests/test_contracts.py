"""Every part of the package keeps mapllava's contract of its kind."""

import pytest
import torch
from mapllava_example import (
    GammaMultiView,
    LineCountMetric,
    LossLimitHook,
    MeanSceneDecoder,
    PatchMeanEncoder,
    PooledNeck,
)

from mapllava.structures.frames import MapSpec
from mapllava.testing import (
    check_decoder,
    check_hook,
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
