import pytest
import torch
from torch import nn

from mapllava.engine import MapOptimWrapperConstructor
from mapllava.errors import MapLLaVAError
from mapllava.models.vision_encoders import BackboneEncoder


class Neck(nn.Module):
    def __init__(self):
        super().__init__()
        self.qformer = nn.Linear(4, 4)
        self.query_tokens = nn.Parameter(torch.zeros(2, 4))


class Model(nn.Module):
    def __init__(self):
        super().__init__()
        self.neck = Neck()
        self.norm = nn.LayerNorm(4)
        self.words = nn.Embedding(3, 4)
        self.head = nn.Linear(4, 2)
        self.frozen = nn.Linear(4, 4).requires_grad_(False)


OPTIM = {"optimizer": {"type": "AdamW", "lr": 1e-4, "weight_decay": 0.01}}


def build(model, **groups):
    return MapOptimWrapperConstructor(OPTIM, {"groups": groups})(model).optimizer.param_groups


def names(model, group):
    known = {id(value): name for name, value in model.named_parameters()}
    return {known[id(value)] for value in group["params"]}


def test_groups_rates_and_decay():
    model = Model()
    groups = {
        group["name"]: group for group in build(model, qformer={"prefix": "neck.qformer", "lr_mult": 0.1})
    }
    assert set(groups) == {"qformer", "qformer/no_decay", "new", "new/no_decay"}
    assert names(model, groups["qformer"]) == {"neck.qformer.weight"}
    assert names(model, groups["qformer/no_decay"]) == {"neck.qformer.bias"}
    assert names(model, groups["new"]) == {"head.weight"}
    assert names(model, groups["new/no_decay"]) == {
        "norm.weight", "norm.bias", "words.weight", "head.bias", "neck.query_tokens",
    }  # fmt: skip
    assert groups["qformer"]["lr"] == pytest.approx(1e-5)
    assert groups["new"]["lr"] == pytest.approx(1e-4)
    assert [groups[name]["weight_decay"] for name in ("new", "new/no_decay")] == [0.01, 0.0]


def test_the_longest_prefix_wins():
    groups = build(Model(), neck={"prefix": "neck", "lr_mult": 2.0}, inner={"prefix": ["neck.qformer"]})
    assert {group["name"].split("/")[0] for group in groups} == {"neck", "inner", "new"}


@pytest.mark.parametrize(
    ("groups", "message"),
    [
        ({"x": {"prefix": "nck"}}, "no parameter lies below 'nck'"),
        ({"x": {"prefix": ""}}, r"paramwise_cfg\.groups\.x: no parameter lies below ''; the model has neck"),
        ({"x": {"prefix": ["neck", ""]}}, "no parameter lies below ''"),
        ({"x": {"lr_mult": 1.0}}, "prefix"),
        ({"x": {"prefix": "neck", "lr": 1.0}}, "prefix=…"),
        ({"x": {"prefix": "neck", "layer_decay": 1.5}}, "layer_decay above 0"),
        ({"x": {"prefix": "neck", "layer_decay": "0.8"}}, "layer_decay above 0"),
        ({"x": {"prefix": "neck", "layer_decay": 0.8}}, "no list of layers lies below 'neck'"),
    ],
)
def test_mistyped_groups_are_refused(groups, message):
    with pytest.raises(MapLLaVAError, match=message):
        build(Model(), **groups)


class Tower(nn.Module):
    """A patch embedding, two stages of two and one blocks with a downsampling between, a norm."""

    def __init__(self):
        super().__init__()
        self.embedding = nn.Linear(4, 4)
        self.stages = nn.ModuleList()
        for count in (2, 1):
            stage = nn.Module()
            stage.blocks = nn.ModuleList(nn.Linear(4, 4) for _ in range(count))
            stage.downsample = nn.Linear(4, 4, bias=False)
            self.stages.append(stage)
        self.stages.append(nn.Identity())  # what nobody reads has no parameters
        self.norm = nn.LayerNorm(4)


def test_layers_learn_the_slower_the_further_they_are_from_the_head():
    model = Model()
    model.tower = Tower()
    groups = build(model, tower={"prefix": "tower", "lr_mult": 0.5, "layer_decay": 0.8})
    rates = {name: group["lr"] for group in groups for name in names(model, group)}
    layer_of = {"embedding": 0, "stages.0.blocks.0": 1, "stages.0.blocks.1": 2, "stages.1.blocks.0": 3}
    layer_of |= {"stages.0.downsample": 2, "stages.1.downsample": 3, "norm": 3}
    for part, layer in layer_of.items():
        assert rates[f"tower.{part}.weight"] == pytest.approx(0.5e-4 * 0.8 ** (4 - layer)), part
    assert rates["tower.stages.0.blocks.0.bias"] == rates["tower.stages.0.blocks.0.weight"]
    assert rates["head.weight"] == 1e-4
    weights = {name: group["weight_decay"] for group in groups for name in names(model, group)}
    assert (weights["tower.norm.weight"], weights["tower.embedding.weight"]) == (0.0, 0.01)
    assert sorted(rates) == sorted(name for name, p in model.named_parameters() if p.requires_grad)


HIERARCHY = {"depths": [1, 2, 2, 1], "hidden_sizes": [8, 16, 32, 64]}
BACKBONES = {
    "convnextv2": (HIERARCHY, 6),
    "dinov3_convnext": (HIERARCHY, 6),
    "swin": ({"depths": [1, 2, 2, 1], "embed_dim": 12, "num_heads": [1, 2, 4, 8]}, 6),
    "dinov2": ({"hidden_size": 32, "num_hidden_layers": 3, "num_attention_heads": 2}, 3),
}


@pytest.mark.parametrize("kind", BACKBONES)
def test_a_block_of_a_backbone_is_a_layer_and_the_stem_comes_before_the_first(kind):
    values, blocks = BACKBONES[kind]
    model = Model()
    model.tower = BackboneEncoder(architecture={"model_type": kind, **values}, frozen=False)
    groups = build(model, tower={"prefix": "tower", "layer_decay": 0.5})
    layers = {group["name"].split("/")[1] for group in groups if group["name"].startswith("tower/")}
    assert layers == {f"layer{number}" for number in range(blocks + 1)}
    first = next(name for name, _ in model.tower.named_parameters())  # of the stem
    (rate,) = {group["lr"] for group in groups if f"tower.{first}" in names(model, group)}
    assert rate == pytest.approx(1e-4 * 0.5 ** (1 + blocks))


def test_blocks_of_two_classes_are_layers():
    model = Model()
    model.tower = nn.Module()
    blocks = nn.Sequential(nn.Linear(4, 4)), nn.ModuleDict({"a": nn.Linear(4, 4)})
    model.tower.layers = nn.ModuleList(blocks)
    groups = build(model, tower={"prefix": "tower", "layer_decay": 0.5})
    assert {"tower/layer1", "tower/layer2"} <= {group["name"].removesuffix("/no_decay") for group in groups}


def test_the_log_shows_the_last_layers_rate():
    model = Model()
    model.tower = Tower()
    options = {"groups": {"tower": {"prefix": "tower", "layer_decay": 0.5}}}
    wrapper = MapOptimWrapperConstructor({"type": "AutocastOptimWrapper", **OPTIM}, options)(model)
    rates = {name: rate for name, (rate, *_) in wrapper.get_lr().items()}
    assert (rates.pop("tower_lr"), rates.pop("new_lr")) == pytest.approx((0.5e-4, 1e-4))
    assert set(rates) == {"lr"}


@pytest.mark.parametrize("rate", ["1e-3", None, float("nan")])
def test_a_learning_rate_is_a_number(rate):
    optim = {**OPTIM, "optimizer": {**OPTIM["optimizer"], "lr": rate}}
    with pytest.raises(MapLLaVAError, match=r"optim_wrapper\.optimizer\.lr is"):
        MapOptimWrapperConstructor(optim)(Model())


def test_unknown_option_and_nothing_to_train_are_refused():
    with pytest.raises(MapLLaVAError, match="norm_decay_mult"):
        MapOptimWrapperConstructor(OPTIM, {"norm_decay_mult": 0.0})
    with pytest.raises(MapLLaVAError, match="trainable"):
        build(Model().requires_grad_(False))


def test_a_group_that_is_frozen_is_said_to_be(monkeypatch):
    lines = []
    where = "mapllava.engine.optim.optim_wrapper_constructor.print_log"
    monkeypatch.setattr(where, lambda text, _: lines.append(text))
    groups = build(Model(), llm={"prefix": "frozen", "lr_mult": 0.01})
    assert {group["name"].split("/")[0] for group in groups} == {"new"}
    assert "Parameter group llm: all of it is frozen" in lines


def test_adapters_have_the_group_of_the_model_they_are_in():
    pytest.importorskip("peft")
    from mapllava.models.backbones.trainability import add_lora

    model = Model()
    add_lora(model.neck, {"rank": 2, "alpha": 4, "targets": ["qformer"]}, "neck")
    groups = {g["name"]: g for g in build(model, lora={"prefix": "neck", "lr_mult": 0.5})}
    adapters = {f"neck.qformer.lora_{side}.default.weight" for side in "AB"}
    assert names(model, groups["lora"]) == adapters
    assert groups["lora"]["lr"] == pytest.approx(5e-5)
    assert "lora/no_decay" not in groups
