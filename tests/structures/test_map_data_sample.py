from __future__ import annotations

import pytest
import torch
from mmengine.structures import InstanceData, PixelData

from mapllava.structures import MapDataSample


@pytest.mark.parametrize("name", ["gt_instances", "pred_instances", "gt_bev"])
def test_fields_are_set_moved_and_deleted(name):
    value = (
        PixelData(data=torch.zeros(3, 4, 2)) if name == "gt_bev" else InstanceData(labels=torch.tensor([1]))
    )
    sample = MapDataSample(metainfo={"sample_token": "a"})
    assert name not in sample
    setattr(sample, name, value)
    assert name in sample
    assert getattr(sample.to("cpu"), name) is not value
    assert sample.sample_token == "a"
    delattr(sample, name)
    assert name not in sample


@pytest.mark.parametrize("name", ["gt_instances", "pred_instances", "gt_bev"])
def test_a_value_of_another_type_is_refused(name):
    with pytest.raises(AssertionError):
        setattr(MapDataSample(), name, torch.zeros(1))


def test_to_dict_uses_the_public_names():
    sample = MapDataSample()
    sample.pred_instances = InstanceData(scores=torch.ones(2))
    assert list(sample.to_dict()) == ["pred_instances"]
