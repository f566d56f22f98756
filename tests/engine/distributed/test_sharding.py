"""What sharding needs to know, without a second process."""

from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from pair import pair_config
from torch import nn
from torch.distributed.checkpoint.state_dict import StateDictOptions, get_optimizer_state_dict

from mapllava.engine import FSDP2Wrapper, MapRunner, build_runner
from mapllava.engine.distributed.sharding import sharding_units
from mapllava.errors import MapLLaVAError
from mapllava.testing.tiny_hf import write_tiny_blip2

SHARDING = Path(__file__).parents[3] / "configs" / "_base_" / "sharding" / "fsdp2.py"


class Block(nn.Module):
    def __init__(self, inner: bool = True) -> None:
        super().__init__()
        self.linear = nn.Linear(2, 2)
        self.inner = SpecialBlock(inner=False) if inner else None


class SpecialBlock(Block):
    pass


def test_a_unit_is_the_outermost_module_of_a_named_class_or_base():
    model = nn.Sequential(Block(), nn.Linear(2, 2), SpecialBlock())
    assert sharding_units(model, ["Block"]) == [model[0], model[2]]
    assert sharding_units(model, ["SpecialBlock"]) == [model[0].inner, model[2]]
    assert sharding_units(model, []) == []


def test_an_unknown_unit_is_an_error_that_lists_the_classes():
    with pytest.raises(
        MapLLaVAError, match=r"units names Blok, .* the model has Block, Sequential, SpecialBl"
    ):
        sharding_units(nn.Sequential(Block()), ["Blok", "Linear"])


def test_torchs_own_whole_state_of_an_optimiser_is_no_unsharded_ones():
    """Why we gather ourselves; where this fails, ask whether torch's own gathering does by now."""
    model = nn.Linear(2, 2)
    optimizer = torch.optim.AdamW(model.parameters())
    whole = get_optimizer_state_dict(model, optimizer, options=StateDictOptions(full_state_dict=True))
    assert set(whole["state"]) == {"weight", "bias"}
    assert set(optimizer.state_dict()["state"]) == {0, 1}  # of a step that nobody has asked for


@pytest.mark.parametrize("argument", ["param_dtype", "reduce_dtype"])
def test_an_unknown_dtype_is_refused(argument):
    with pytest.raises(MapLLaVAError, match=f"{argument} is 'half': use one of float32, bfloat16"):
        FSDP2Wrapper(nn.Linear(2, 2), **{argument: "half"})


def test_quantised_weights_are_refused_by_name():
    model = nn.Sequential(nn.Linear(2, 2))
    model[0].weight = nn.Parameter(torch.zeros(2, 1, dtype=torch.uint8), requires_grad=False)
    with pytest.raises(MapLLaVAError, match=r"0\.weight is torch\.uint8.*DistributedDataParallel"):
        FSDP2Wrapper(model)


def test_one_process_trains_unsharded_under_the_shipped_sharding_config(tmp_path):
    cfg = pair_config(tmp_path / "run", write_tiny_blip2(tmp_path / "blip2"), 4)
    cfg.merge_from_dict(dict(Config.fromfile(SHARDING)))
    runner = build_runner(cfg)
    assert type(runner) is MapRunner
    assert not isinstance(runner.model, FSDP2Wrapper)


def test_an_unknown_runner_is_an_error(tmp_path):
    cfg = pair_config(tmp_path / "run", tmp_path, 4, runner_type="Jogger")
    with pytest.raises(MapLLaVAError, match="runner_type 'Jogger' is not registered"):
        build_runner(cfg)
