"""Weights under the names of an older head get today's, in their order; what is not that head stays."""

import pytest
import torch

from mapllava.checkpoint.plain_file import read_plain

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


@pytest.mark.parametrize("lacking", ["head.references", "head.classify.0.1.weight"])
def test_another_head_keeps_its_names(tmp_path, lacking):
    state = {name: torch.zeros(()) for name in OLD if name != lacking}
    assert list(read(tmp_path, {"state_dict": state})["state_dict"]) == list(state)


@pytest.mark.parametrize("content", [[1], 3, {"state_dict": 3}, {"state_dict": {1: 2}}])
def test_other_contents_stay(tmp_path, content):
    assert read(tmp_path, content) == content
