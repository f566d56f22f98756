import copy
import pickle

import pytest
import torch
from torch import nn

from mapllava.engine import MapOptimWrapperConstructor, MuonAdamW
from mapllava.engine.optim.muon_adamw import orthogonalize
from mapllava.errors import MapLLaVAError

MUON = {"lr": 0.02, "momentum": 0.95, "steps": 5}


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 24, 3, bias=False)
        self.wide = nn.Linear(24, 64)
        self.tall = nn.Linear(64, 16)
        self.last = nn.Linear(16, 3)

    def forward(self, x):
        return self.last(self.tall(self.wide(self.conv(x).mean((2, 3))).relu()).relu())


def build(model, lr=1e-3, **groups):
    optimizer = {"type": "MuonAdamW", "lr": lr, "weight_decay": 0.01, "muon": MUON}
    paramwise = {"matrices": {"min_size": 16}, "groups": groups}
    return MapOptimWrapperConstructor({"optimizer": optimizer}, paramwise)(model).optimizer


def train(model, optimizer, steps, seed=0):
    generator = torch.Generator().manual_seed(seed)
    for _ in range(steps):
        image = torch.randn(4, 3, 5, 5, generator=generator)
        optimizer.zero_grad()
        (model(image) - image.mean((2, 3))).square().sum().backward()
        optimizer.step()


def test_orthogonalize_keeps_directions_and_evens_their_sizes():
    torch.manual_seed(0)
    for rows, cols in ((8, 32), (32, 8), (16, 16)):
        matrices = torch.randn(3, rows, cols)
        result = orthogonalize(matrices, 5)
        assert result.shape == matrices.shape
        assert result.dtype == torch.float32
        sizes = torch.linalg.svdvals(result)
        assert sizes.max() < 1.3
        u, _, vh = torch.linalg.svd(matrices, full_matrices=False)
        # in the matrix's own singular basis the result is close to the identity
        basis = u.mT @ result @ vh.mT
        diagonal = torch.diagonal(basis, dim1=-2, dim2=-1)
        assert (diagonal[:, : min(rows, cols) // 2] > 0.6).all()
        assert (basis - torch.diag_embed(diagonal)).abs().max() < 0.05


@pytest.mark.skipif(not hasattr(torch.optim, "Muon"), reason="torch.optim.Muon came with torch 2.9")
@pytest.mark.usefixtures("with_bfloat16")
def test_linear_layers_step_as_torchs_muon_and_the_rest_as_its_adamw():
    torch.manual_seed(0)
    ours, theirs = Net(), Net()
    theirs.load_state_dict(ours.state_dict())
    train(ours, build(ours), 3)

    matrices = [theirs.wide.weight, theirs.tall.weight]
    rest = [parameter for parameter in theirs.parameters() if all(parameter is not m for m in matrices)]
    others = [p for p in rest if p is not theirs.conv.weight]
    muon = torch.optim.Muon(matrices, lr=0.02, weight_decay=0.01, momentum=0.95, ns_steps=5)
    decayed, undecayed = [p for p in others if p.ndim > 1], [p for p in others if p.ndim == 1]
    adamw = torch.optim.AdamW(
        [{"params": decayed, "weight_decay": 0.01}, {"params": undecayed, "weight_decay": 0.0}], lr=1e-3
    )
    conv = build(theirs)  # steps the kernel only: its other groups are emptied
    conv.param_groups[:] = [g for g in conv.param_groups if g["matrices"]]
    conv.param_groups[0]["params"] = [theirs.conv.weight]
    conv._adamw = None

    class All:
        def zero_grad(self):
            theirs.zero_grad()

        def step(self):
            for part in (muon, adamw, conv):
                part.step()

    train(theirs, All(), 3)
    for name, parameter in ours.named_parameters():
        expected = dict(theirs.named_parameters())[name]
        tolerance = 2e-3 if name in ("wide.weight", "tall.weight") else 2e-4  # bf16 iterations
        torch.testing.assert_close(parameter, expected, atol=tolerance, rtol=0, msg=name)


def test_a_kernel_steps_as_the_matrix_it_flattens_to():
    torch.manual_seed(0)
    kernel, matrix = nn.Conv2d(8, 16, 3, bias=False), nn.Linear(72, 16, bias=False)
    matrix.weight.data.copy_(kernel.weight.flatten(1))
    gradient = torch.randn(16, 8, 3, 3)
    kernel.weight.grad, matrix.weight.grad = gradient, gradient.flatten(1).clone()
    build(kernel).step()
    build(matrix).step()
    torch.testing.assert_close(kernel.weight.flatten(1), matrix.weight, atol=0, rtol=0)


def test_every_direction_moves_by_the_learning_rate():
    torch.manual_seed(0)
    layer = nn.Linear(32, 16, bias=False)
    before = layer.weight.detach().clone()
    optimizer = build(layer)
    optimizer.param_groups[0]["lr"] = 0.5  # what a schedule does
    optimizer.param_groups[0]["weight_decay"] = 0.0
    layer.weight.grad = torch.randn(16, 32)
    optimizer.step()
    moved = torch.linalg.svdvals(layer.weight.detach() - before)
    assert moved.min() > 0.3
    assert moved.max() < 0.65


def test_saved_and_loaded_it_goes_on_as_if_nothing_had_happened():
    torch.manual_seed(0)
    model = Net()
    optimizer = build(model)
    train(model, optimizer, 3)
    copied = Net()
    copied.load_state_dict(model.state_dict())
    resumed = build(copied)
    resumed.load_state_dict(copy.deepcopy(optimizer.state_dict()))
    train(model, optimizer, 3, seed=1)
    train(copied, resumed, 3, seed=1)
    for one, other in zip(model.parameters(), copied.parameters(), strict=True):
        torch.testing.assert_close(one, other, atol=0, rtol=0)


@pytest.mark.parametrize("way", [copy.deepcopy, lambda both: pickle.loads(pickle.dumps(both))])
def test_a_copy_goes_on_as_the_original_does(way):
    torch.manual_seed(0)
    model = Net()
    optimizer = build(model)
    train(model, optimizer, 2)
    copied, copied_optimizer = way((model, optimizer))
    before = copy.deepcopy(copied.state_dict())
    train(model, optimizer, 2, seed=1)
    assert all(torch.equal(before[name], value) for name, value in copied.state_dict().items())
    train(copied, copied_optimizer, 2, seed=1)
    for one, other in zip(model.parameters(), copied.parameters(), strict=True):
        torch.testing.assert_close(one, other, atol=0, rtol=0)
    assert not torch.equal(before["last.weight"], copied.state_dict()["last.weight"])


@pytest.mark.parametrize("early", [("wide.weight",), ("wide.weight", "last.bias")])
def test_groups_added_later_step_as_those_given_at_once(early):
    torch.manual_seed(0)
    at_once, later = Net(), Net()
    later.load_state_dict(at_once.state_dict())

    def groups(model):
        matrices = ("wide.weight", "tall.weight")
        return {name: {"params": [p], "matrices": name in matrices} for name, p in model.named_parameters()}

    settings = {"lr": 1e-3, "weight_decay": 0.01, "muon": MUON, "betas": (0.8, 0.9)}
    whole = MuonAdamW(list(groups(at_once).values()), **settings)
    parts = groups(later)
    grown = MuonAdamW([parts.pop(name) for name in early], **settings)
    for group in parts.values():
        grown.add_param_group(group)
    rates = [sorted(group["lr"] for group in optimizer.param_groups) for optimizer in (whole, grown)]
    assert rates[0] == rates[1] == [1e-3] * 5 + [pytest.approx(0.02)] * 2
    before = copy.deepcopy(later.state_dict())
    train(at_once, whole, 3)
    train(later, grown, 3)
    for name, value in later.state_dict().items():
        torch.testing.assert_close(value, at_once.state_dict()[name], atol=0, rtol=0, msg=name)
        assert not torch.equal(value, before[name]), name
    with pytest.raises(MapLLaVAError, match=r"shape \[\(3,\)\]"):
        grown.add_param_group({"params": [nn.Parameter(torch.zeros(3))], "matrices": True})
    assert len(grown.param_groups) == 7


def test_groups_and_rates():
    model = Net()
    groups = {
        group["name"]: group for group in build(model, wide={"prefix": "wide", "lr_mult": 0.1}).param_groups
    }
    assert set(groups) == {"new", "new/no_decay", "new/matrices", "wide/matrices", "wide/no_decay"}
    assert [id(p) for p in groups["new/matrices"]["params"]] == [id(model.conv.weight), id(model.tall.weight)]
    assert [id(p) for p in groups["new"]["params"]] == [id(model.last.weight)]  # 3 rows: too small
    assert groups["new/matrices"]["lr"] == pytest.approx(0.02)
    assert groups["wide/matrices"]["lr"] == pytest.approx(0.002)
    assert groups["new"]["lr"] == pytest.approx(1e-3)


def test_a_parameter_without_gradient_stays():
    model = Net()
    before = copy.deepcopy(model.state_dict())
    optimizer = build(model)
    model.tall.weight.grad = torch.randn(16, 64)
    optimizer.step()
    changed = {name for name, value in model.state_dict().items() if not torch.equal(value, before[name])}
    assert changed == {"tall.weight"}


def test_mistakes_are_named():
    model = Net()
    with pytest.raises(MapLLaVAError, match="min_size"):
        MapOptimWrapperConstructor({"optimizer": {"type": "AdamW", "lr": 1e-3}}, {"matrices": {"least": 3}})
    with pytest.raises(MapLLaVAError, match=r"paramwise_cfg\.matrices"):
        MuonAdamW([{"params": list(model.parameters())}], lr=1e-3, weight_decay=0.0, muon=MUON)
    matrices = [{"params": [model.wide.weight], "matrices": True}]
    for lr in (0.0, -1e-3, float("nan")):
        with pytest.raises(MapLLaVAError, match=r"optimizer\.lr is .*must be positive"):
            MuonAdamW(matrices, lr=lr, weight_decay=0.0, muon=MUON)
    marked = [{"params": [model.last.bias], "matrices": True}]
    with pytest.raises(MapLLaVAError, match=r"shape \[\(3,\)\]"):
        MuonAdamW(marked, lr=1e-3, weight_decay=0.0, muon=MUON)


def test_the_log_shows_both_rates():
    optimizer = {"type": "MuonAdamW", "lr": 1e-3, "weight_decay": 0.01, "muon": MUON}
    config = {"type": "AutocastOptimWrapper", "optimizer": optimizer}
    rates = MapOptimWrapperConstructor(config, {"matrices": {"min_size": 16}})(Net()).get_lr()
    assert rates["new_lr"] == [pytest.approx(1e-3)]
    assert rates["new_matrices_lr"] == [pytest.approx(0.02)]
