"""Weights under the names of an older head get today's, in their order; what is not that head stays."""

import pytest
import torch

from mapllava.checkpoint.plain_file import read_plain
from mapllava.models.heads.vector_map_head import VectorMapHead
from mapllava.registry import MODELS

# fmt: off
OLD = [
    "head.references", "head.expand", "head.place.0.weight", "head.layers.3.encode.weight",
    "head.layers.3.move.2.bias", "head.layers.3.look.weight", "head.classify.0.1.weight", "neck.place",
]
NEW = [
    "head.references", "head.expand", "head.point_branch.0.weight", "head.layers.3.position_embed.weight",
    "head.layers.3.point_branch.2.bias", "head.layers.3.look.weight", "head.class_embed.0.1.weight",
    "neck.place",
]
# fmt: on


def read(tmp_path, content):
    torch.save(content, tmp_path / "a.pth")
    return read_plain(tmp_path / "a.pth")


@pytest.mark.parametrize("prefix", ["", "module."])
def test_the_weights_and_their_average_get_todays_names_in_their_order(tmp_path, prefix):
    state = {prefix + name: torch.tensor(float(i)) for i, name in enumerate(OLD)}
    found = read(tmp_path, {"state_dict": state, "ema_state_dict": dict(state), "meta": {"epoch": 1}})
    for key in ("state_dict", "ema_state_dict"):
        assert list(found[key]) == [prefix + name for name in NEW]
        assert [value.item() for value in found[key].values()] == list(range(len(OLD)))
    assert list(read(tmp_path, state)) == [prefix + name for name in NEW], "weights without a checkpoint"


@pytest.mark.parametrize(
    ("kind", "ours"),
    [
        ("VectorMapHead", True),
        ("mapllava.VectorMapHead", True),
        ("Longer", True),
        ("Other", False),
        (5, False),
    ],
)
def test_the_files_config_says_whose_head_it_is(tmp_path, monkeypatch, kind, ours):
    """A plug-in's may have all of these names, each its own; a subclass has them from ours."""
    monkeypatch.setattr(MODELS, "_module_dict", dict(MODELS.module_dict))
    MODELS.register_module(module=type("Longer", (VectorMapHead,), {}))
    MODELS.register_module(module=type("Other", (torch.nn.Module,), {}))
    meta = {"full_config": {"model": {"head": {"type": kind}}}}
    state = {name: torch.zeros(()) for name in OLD}
    assert list(read(tmp_path, {"state_dict": state, "meta": meta})["state_dict"]) == (NEW if ours else OLD)


@pytest.mark.parametrize("lacking", ["head.references", "head.expand", "head.classify.0.1.weight"])
def test_another_head_keeps_its_names(tmp_path, lacking):
    state = {name: torch.zeros(()) for name in OLD if name != lacking}
    assert list(read(tmp_path, {"state_dict": state})["state_dict"]) == list(state)


@pytest.mark.parametrize("content", [[1], 3, {"state_dict": 3}, {"state_dict": {1: 2}}])
def test_other_contents_stay(tmp_path, content):
    assert read(tmp_path, content) == content
