"""A part that gives something else than it announced is named, with what it gave and what was expected."""

import re

import pytest
import torch

from mapllava.errors import MapLLaVAError
from mapllava.models.interface_checks import check_attributes, check_map_queries
from mapllava.models.map_llava import MapLLaVA
from mapllava.models.necks.base import NeckOutput
from mapllava.structures.map_data_sample import MapDataSample
from tests.models.test_map_llava import batch, make  # noqa: F401


def gives(model: MapLLaVA, part: str, change, method: str = "forward") -> None:
    """Let a part give something else."""
    module = getattr(model, part)
    own = getattr(module, method)
    setattr(module, method, lambda *args, **kwargs: change(own(*args, **kwargs)))


FORWARD = {
    "encoder: shape": ("vision_encoder", lambda f: f[:, :, :-1],
        ("ConvVisionEncoder gave features of shape", "expected")),
    "encoder: order": ("vision_encoder", lambda f: f.transpose(2, 3), ("ConvVisionEncoder", "(2, 2, ")),
    "encoder: dtype": ("vision_encoder", lambda f: f.double(),
        ("ConvVisionEncoder", "torch.float64", "torch.float32")),
    "encoder: whole numbers": ("vision_encoder", lambda f: f.long(), ("ConvVisionEncoder", "torch.int64")),
    "encoder: device": ("vision_encoder", lambda f: f.to("meta"), ("ConvVisionEncoder", "on meta", "cpu")),
    "encoder: no tensor": ("vision_encoder", lambda f: (f,), ("ConvVisionEncoder gave a tuple as features",)),
    "neck: no NeckOutput": ("neck", lambda out: out.scene_tokens,
        ("BEVQFormerNeck gave a Tensor", "NeckOutput(")),
    "neck: width": ("neck", lambda out: NeckOutput(out.scene_tokens[..., :-1], out.bev),
        ("scene_tokens", "(2, S, 16)")),
    "neck: no tokens": ("neck", lambda out: NeckOutput(out.scene_tokens[:, :0], out.bev),
        ("scene_tokens", "(2, S, 16)")),
    "neck: no map": ("neck", lambda out: NeckOutput(out.scene_tokens),
        ("a NoneType as bev", "(2, 12, Y, X)")),
    "decoder: tokens": ("decoder", lambda h: h[:, 1:],
        ("TransformerMapDecoder gave decoded queries", "(2, 6, 24)")),
    "head: one": ("head", lambda out: out[0], ("VectorMapHead gave a Tensor", "class logits and points")),
    "head: classes": ("head", lambda out: (out[0][..., :2], out[1]),
        ("VectorMapHead gave logits", "(L, 2, 6, 3)")),
    "head: points": ("head", lambda out: (out[0], out[1][..., :1]),
        ("VectorMapHead gave points", "P, 2)")),
}  # fmt: skip


@pytest.mark.parametrize(("part", "change", "words"), FORWARD.values(), ids=FORWARD)
def test_what_a_part_hands_on(part, change, words, batch):  # noqa: F811
    model = make()
    gives(model, part, change)
    with pytest.raises(MapLLaVAError) as error:
        model(*batch, mode="loss")
    for word in words:
        assert word in str(error.value)


LOSSES = {
    "no dict": ("head", lambda losses: sum(losses.values()), ("VectorMapHead gave a Tensor as losses",)),
    "a number": ("neck", lambda losses: {"loss_x": 1.0}, ("BEVQFormerNeck gave a float as 'loss_x'",)),
    "would not train": (
        "neck",
        lambda losses: {"dice": losses["loss_bev_dice"]},
        ("'dice'", "'loss' in its name"),
    ),
    "of the same name": (
        "neck",
        lambda losses: {"loss_pts": losses["loss_bev_dice"]},
        ("'loss_pts'", "VectorMapHead"),
    ),
}


@pytest.mark.parametrize(("part", "change", "words"), LOSSES.values(), ids=LOSSES)
def test_losses_that_would_be_lost(part, change, words, batch):  # noqa: F811
    model = make()
    gives(model, part, change, "loss")
    with pytest.raises(MapLLaVAError) as error:
        model(*batch, mode="loss")
    for word in words:
        assert word in str(error.value)


def test_losses_without_a_gradient_are_no_training(batch):  # noqa: F811
    model = make().requires_grad_(False)
    with pytest.raises(MapLLaVAError, match="none with a gradient"):
        model(*batch, mode="loss")
    with torch.no_grad():
        assert model(*batch, mode="loss"), "a loss may be looked at"


PREDICTIONS = {
    "too few": (lambda found: found[1:], "gave 1 predictions; expected a list of 2"),
    "no list": (lambda found: found[0], "gave a InstanceData"),
    "no scores": (lambda found: [MapDataSample(), *found[1:]], "points (K, P, 2), scores (K,)"),
}


@pytest.mark.parametrize(("change", "message"), PREDICTIONS.values(), ids=PREDICTIONS)
def test_predictions_of_a_head(change, message, batch):  # noqa: F811
    model = make().eval()
    gives(model, "head", change, "predict")
    with pytest.raises(MapLLaVAError) as error:
        model(*batch, mode="predict")
    assert message in str(error.value)


@pytest.mark.parametrize("dims", [None, "64", 0, True, 64.0])
def test_widths_are_whole_numbers(dims):
    part = torch.nn.Identity()
    part.embed_dims = dims
    with pytest.raises(MapLLaVAError, match="Identity gave embed_dims"):
        check_attributes(part, {"embed_dims": 1})


def test_map_queries_are_looked_at_once():
    queries = make().map_queries
    check_map_queries(queries, 24)
    with pytest.raises(MapLLaVAError, match=r"InstanceMapQueries gave query tokens of shape \(1, 6, 24\)"):
        check_map_queries(queries, 25)
    queries.attention_mask = lambda prefix_len, device: torch.ones(6, 5)
    with pytest.raises(MapLLaVAError, match="an attention mask"):
        check_map_queries(queries, 24)


HELPERS = {
    "cost": (
        lambda model: model.head.criterion.assigner.costs,
        0,
        lambda cost: cost[..., 0],
        "FocalClassCost gave (3, 2, 6); expected",
    ),
    "class loss": (
        lambda model: model.head.criterion.losses,
        "cls",
        torch.sum,
        "FocalClassLoss gave loss 'cls', one value per layer",
    ),
    "loss of pairs": (
        lambda model: model.head.criterion.losses,
        "pts",
        torch.mean,
        "PointsL1Loss gave loss 'pts', one value per matched pair",
    ),
}


@pytest.mark.parametrize(("holder", "key", "change", "words"), HELPERS.values(), ids=HELPERS)
def test_what_costs_and_losses_give(holder, key, change, words, batch, monkeypatch):  # noqa: F811
    model = make()
    part = holder(model)[key]
    name = "forward" if isinstance(part, torch.nn.Module) else "__call__"
    gave = getattr(type(part), name)
    monkeypatch.setattr(type(part), name, lambda *given, **named: change(gave(*given, **named)))
    with pytest.raises(MapLLaVAError, match=re.escape(words)):
        model(*batch, mode="loss")


@pytest.mark.parametrize("grid", [None, (2.0, 2), (0, 2), (1, 2, 3)])
def test_a_grid_is_two_whole_numbers(grid, batch, monkeypatch):  # noqa: F811
    model = make()
    monkeypatch.setattr(model.vision_encoder, "grid_size", lambda size: grid)
    with pytest.raises(MapLLaVAError, match="ConvVisionEncoder gave grid_size"):
        model(*batch, mode="loss")


@pytest.mark.parametrize("count", [None, -3.0, float("nan")])
def test_an_avg_factor_is_a_number(count, batch, monkeypatch):  # noqa: F811
    model = make()
    monkeypatch.setattr(model.head, "avg_factor", lambda samples: count)
    with pytest.raises(MapLLaVAError, match=r"VectorMapHead\.avg_factor gave"):
        model(*batch, mode="loss")
