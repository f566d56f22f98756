"""A CPU without instructions for bfloat16 computes in float32, with the same results but for rounding."""

import pytest
import torch
from torch import nn

from mapllava.checkpoint import arithmetic, computed_dtype
from mapllava.engine.optim.autocast_optim_wrapper import AutocastOptimWrapper
from mapllava.engine.optim.muon_adamw import orthogonalize
from mapllava.models.backbones.hf_backbone import HFBackbone


@pytest.fixture(params=[True, False], ids=["bfloat16", "no bfloat16"])
def native(request, monkeypatch):
    monkeypatch.setattr(arithmetic, "cpu_has_bfloat16", lambda: request.param)
    return request.param


def expected(native):
    return torch.bfloat16 if native else torch.float32


def test_only_bfloat16_on_a_cpu_is_replaced(native):
    assert computed_dtype(torch.bfloat16, "cpu") == expected(native)
    assert computed_dtype(torch.bfloat16, "cuda") == torch.bfloat16
    assert computed_dtype(torch.float16, "cpu") == torch.float16
    assert computed_dtype(torch.float32, "cpu") == torch.float32


def test_weights_take_it_and_plans_do_not(native, monkeypatch):
    monkeypatch.setattr(arithmetic, "get_device", lambda: "cpu")
    assert HFBackbone("decoder", architecture={}, dtype="bfloat16").dtype == expected(native)
    with torch.device("meta"):
        assert HFBackbone("decoder", architecture={}, dtype="bfloat16").dtype == torch.bfloat16
    monkeypatch.setattr(arithmetic, "get_device", lambda: "cuda")
    assert HFBackbone("decoder", architecture={}, dtype="bfloat16").dtype == torch.bfloat16


def test_a_step_takes_it(native):
    model = nn.Linear(2, 2)
    wrapper = AutocastOptimWrapper(torch.optim.SGD(model.parameters(), lr=0.1), dtype="bfloat16")
    with wrapper.optim_context(model):
        assert model(torch.ones(1, 2)).dtype == expected(native)


def test_matrices_are_made_orthogonal_either_way(native, monkeypatch):
    asked = []
    wanted = torch.nn.init.orthogonal_(torch.empty(1, 6, 4), generator=torch.Generator().manual_seed(0))
    product = torch.baddbmm
    monkeypatch.setattr(torch, "baddbmm", lambda x, *a, **b: asked.append(x.dtype) or product(x, *a, **b))
    singular = torch.linalg.svdvals(orthogonalize(3.0 * wanted, 5))
    assert set(asked) == {expected(native)}
    assert ((singular > 0.6) & (singular < 1.3)).all()


def test_the_cpu_is_asked_as_torch_asks_it():
    assert isinstance(arithmetic.cpu_has_bfloat16(), bool)
