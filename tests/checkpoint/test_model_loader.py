import pytest
import torch

from mapllava.checkpoint.model_loader import check_trained, load_trained
from mapllava.errors import MapLLaVAError

SPEC = {"frame": "lidar", "roi": [-15.0, -30.0, 15.0, 30.0], "classes": ["divider"]}


def checkpoint(model, **spec):
    return {"state_dict": model.state_dict(), "meta": {"map_spec": {**SPEC, **spec}}}


def test_another_roi_is_a_warning_for_a_run_that_trains_on_and_an_error_otherwise():
    model, other = torch.nn.Linear(1, 1), [-10.0, -30.0, 10.0, 30.0]
    assert check_trained(model, {"map_spec": SPEC}, checkpoint(model)) == []
    with pytest.raises(MapLLaVAError, match=r"map_spec\.roi = \[-10.*config says \[-15.*load_from"):
        check_trained(model, {"map_spec": SPEC}, checkpoint(model, roi=other))
    (warning,) = check_trained(model, {"map_spec": SPEC}, checkpoint(model, roi=other), same_roi=False)
    assert "map_spec.roi = [-10.0" in warning
    with pytest.raises(MapLLaVAError, match=r"map_spec\.classes"):
        check_trained(model, {"map_spec": SPEC}, checkpoint(model, classes=["boundary"]), same_roi=False)


def test_a_device_that_is_not_there_is_named_before_anything_is_built():
    with pytest.raises(MapLLaVAError, match=r"device 'cuda:77' cannot be used.*cpu"):
        load_trained({"model": None}, {}, "x.pth", "cuda:77")
