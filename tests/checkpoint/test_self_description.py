"""A config as values, and what is read out of it."""

import pytest
import torch

from mapllava.checkpoint.plain_state import plain_config
from mapllava.checkpoint.self_description import inference_pipeline
from mapllava.errors import MapLLaVAError


def test_a_config_becomes_plain_values():
    config = {"type": torch.nn.Linear, "size": (2, 3), "dtype": torch.bfloat16, "by": torch.nn.init.zeros_}
    assert plain_config(config) == {
        "type": "Linear",
        "size": (2, 3),
        "dtype": "bfloat16",
        "by": "torch.nn.init.zeros_",
    }


def test_what_cannot_be_a_value_is_named():
    with pytest.raises(MapLLaVAError, match=r"config\.hooks\.1\.strange is a builtins\.object"):
        plain_config({"hooks": [1, {"strange": object()}]})


def test_the_pipeline_is_that_of_the_test_data_or_else_of_the_validation():
    test, val = ({"dataset": {"type": "D", "pipeline": [{"type": name}]}} for name in "TV")
    wrapped = {"dataset": {"type": "RepeatDataset", "dataset": test["dataset"]}}
    assert inference_pipeline({"test_dataloader": wrapped, "val_dataloader": val}) == [{"type": "T"}]
    assert inference_pipeline({"test_dataloader": None, "val_dataloader": val}) == [{"type": "V"}]
    assert inference_pipeline({}) == []
