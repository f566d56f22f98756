"""The criterion: every registered loss at every layer, a plug-in's too; an idle one is refused."""

import pytest
import torch
from torch import Tensor, nn

from mapllava.errors import MapLLaVAError
from mapllava.models.heads.criterion import ON_OFFER
from mapllava.models.task_modules import MapTargets
from mapllava.registry import MODELS
from tests.models.heads.test_vector_map_head import CLASSES, INSTANCES, P, make, sample_with, straight


class Length(nn.Module):
    """A plug-in's loss of matched pairs: their lengths in metres. What has a default may be missing."""

    def forward(self, matched_metres: Tensor, target_metres: Tensor, factor: float = 2.0, **rest) -> Tensor:
        assert not rest
        lengths = [x.diff(dim=1).norm(dim=-1).sum(1) for x in (matched_metres, target_metres)]
        return factor * (lengths[0] - lengths[1]).abs()


class Smooth(nn.Module):
    """A plug-in's loss per layer, of the classes and the BEV map, with a weight of its own."""

    per_layer = True

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(()))

    def forward(self, logits: Tensor, bev: Tensor) -> Tensor:
        return self.scale * (logits.square().sum((1, 2, 3)) + bev.diff(dim=-1).abs().sum())


class Detached(Length):
    def forward(self, matched_metres: Tensor, target_metres: Tensor) -> Tensor:
        return super().forward(matched_metres, target_metres).detach()


class Depth(nn.Module):
    def forward(self, matched_points: Tensor, depth: Tensor) -> Tensor:
        raise AssertionError


class Half(Length):
    def forward(self, matched_metres: Tensor, target_metres: Tensor) -> Tensor:
        return super().forward(matched_metres, target_metres).half()


class ByPosition(nn.Module):
    def forward(self, points: Tensor, /) -> Tensor:
        return points.sum((1, 2, 3, 4))


@pytest.fixture(autouse=True)
def plug_ins(monkeypatch):
    monkeypatch.setattr(MODELS, "_module_dict", dict(MODELS.module_dict))
    for loss in (Length, Smooth, Detached, Depth, Half, ByPosition):
        MODELS.register_module(module=loss, force=True)


def samples():
    return [sample_with((0, straight(2.0)), (2, straight(-3.0))), sample_with()]


def run(head, bev=None):
    torch.manual_seed(3)
    bev = torch.randn(2, 8, 10, 5) if bev is None else bev
    logits, points = head(torch.randn(2, INSTANCES, 20), None, bev)
    return logits, points, head.loss(logits, points, samples(), bev)


def test_a_plug_ins_loss_is_applied_at_every_layer_and_trains_the_weights():
    head = make(length=dict(type="Length"))
    logits, _, losses = run(head)
    prefixes = [f"d{i}." for i in range(len(logits) - 1)] + [""]
    mine = [losses[f"{prefix}loss_length"] for prefix in prefixes]
    assert all(value > 0 for value in mine)
    wanted = [head.point_branch[-1].weight, *(layer.point_branch[-1].weight for layer in head.layers)]
    gradients = torch.autograd.grad(sum(mine), wanted)
    assert all(gradient.abs().max() > 0 for gradient in gradients), "each layer's own loss"
    plain = run(make())[2]
    assert {key: value for key, value in losses.items() if "length" not in key} == plain


def test_a_loss_of_pairs_is_a_mean_over_the_positives():
    head = make(length=dict(type="Length"))
    logits, points, losses = run(head)
    first = head.criterion.assigner(logits[:1], points[:1], run_targets(head, logits))
    roi = head.map_spec.roi
    chosen = roi.denormalize(points[0][first.sample, first.prediction])
    length = chosen.diff(dim=1).norm(dim=-1).sum(1)
    torch.testing.assert_close(losses["d0.loss_length"], (2 * (length - 40.0).abs()).sum() / 2)


def run_targets(head, logits):
    return MapTargets.from_samples(samples(), head.map_spec, P, logits.device)


def test_a_loss_may_take_the_bev_map_and_have_weights():
    head, bev = make(smooth=dict(type="Smooth")), torch.randn(2, 8, 10, 5, requires_grad=True)
    logits, _, losses = run(head, bev)
    total = losses["loss_smooth"] + losses["d1.loss_smooth"]
    total.backward()
    assert bev.grad.abs().max() > 0
    assert "criterion.losses.smooth.scale" in head.state_dict()
    assert head.criterion.losses["smooth"].scale.grad != 0
    expected = (logits[1].square().sum() + bev.diff(dim=-1).abs().sum()) / 2
    torch.testing.assert_close(losses["d1.loss_smooth"], expected)


@pytest.mark.parametrize(
    ("bev_dims", "kind", "words"),
    [
        (8, "Depth", ("losses.mine", "Depth", "'depth'", "matched_points")),
        (0, "Smooth", ("losses.mine", "Smooth", "'bev'", "bev_dims is 0")),
    ],
)
def test_a_loss_that_asks_for_what_is_not_there_is_named(bev_dims, kind, words):
    with pytest.raises(MapLLaVAError) as error:
        make(bev_dims=bev_dims, mine=dict(type=kind))
    for word in words:
        assert word in str(error.value)


def test_a_loss_of_whose_values_nothing_comes_is_refused():
    head = make(mine=dict(type="Detached"))
    with pytest.raises(MapLLaVAError, match=r"criterion\.losses\.mine.*Detached.*without a gradient"):
        run(head)
    with torch.no_grad():
        assert "loss_mine" in run(head)[2], "a loss may be looked at"


def test_a_loss_in_half_precision_is_named():
    with pytest.raises(MapLLaVAError, match=r"Half gave loss 'mine'.*float16; expected torch\.float32"):
        run(make(mine=dict(type="Half")))


def test_a_loss_that_takes_its_inputs_by_position_is_named():
    with pytest.raises(MapLLaVAError, match=r"losses\.mine: ByPosition.*'points' by position"):
        make(mine=dict(type="ByPosition"))


def test_an_inherited_loss_can_be_left_out():
    left, whole = run(make(dir=None))[2], run(make())[2]
    assert left == {name: value for name, value in whole.items() if "dir" not in name}
    with pytest.raises(MapLLaVAError, match=r"criterion\.losses is empty"):
        make(cls=None, pts=None, dir=None)


def test_what_is_on_offer_has_the_shapes_that_are_written_down():
    head = make()
    offered = {}

    class Look(nn.Module):
        per_layer = True

        def forward(self, logits, points, bev, class_targets, matched_logits, matched_points, target_points,
                    matched_metres, target_metres, target_labels, targets, pairs, map_spec):  # fmt: skip
            offered.update(locals())
            return logits.sum((1, 2, 3))

    MODELS.register_module(module=Look, force=True)
    run(make(look=dict(type="Look")))
    assert set(ON_OFFER) <= set(offered)
    layers, pairs = len(head.class_embed), len(offered["pairs"].layer)
    assert pairs == 2 * layers
    shapes = {name: tuple(value.shape) for name, value in offered.items() if isinstance(value, Tensor)}
    line = (pairs, P, 2)
    assert shapes == {
        "logits": (layers, 2, INSTANCES, CLASSES), "class_targets": (layers, 2, INSTANCES, CLASSES),
        "points": (layers, 2, INSTANCES, P, 2), "bev": (2, 8, 10, 5), "matched_logits": (pairs, CLASSES),
        "matched_points": line, "target_points": line, "matched_metres": line, "target_metres": line,
        "target_labels": (pairs,),
    }  # fmt: skip
    assert offered["class_targets"].sum() == pairs
