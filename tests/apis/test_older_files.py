"""Model files of older versions load as they did; damaged ones are told by name."""

import functools

import pytest
import torch
from trained import edited, same

import mapllava
from mapllava.checkpoint import read_model_file
from mapllava.errors import MapLLaVAError


def test_a_file_whose_prompt_stood_in_the_pipeline_loads(trained, predictor, sample, tmp_path):
    def of_format_2(content):
        meta = content["meta"]
        meta["format_version"], decoder = 2, meta["full_config"]["model"]["decoder"]
        step = {"type": "TokenizePrompt", "prompt": decoder.pop("prompt")}
        step["tokenizer"] = {"type": "HFTokenizer", "pretrained": "gone"}
        for name in ("train_dataloader", "val_dataloader", "test_dataloader"):
            steps = meta["full_config"][name]["dataset"]["pipeline"]
            steps.insert(len(steps) - 1, dict(step))

    again = mapllava.load_model(edited(trained, tmp_path / "m.pth", of_format_2), "cpu")
    arguments = (sample["img_paths"], sample["cam2img"], sample["lidar2cam"])
    same(again.predict(*arguments), predictor.predict(*arguments))
    assert "TokenizePrompt" not in str(again.meta["full_config"])


def test_a_prompt_that_no_decoder_read_is_none_of_the_model(trained, tmp_path):
    def of_format_2(content):
        content["meta"]["format_version"] = 2
        content["meta"]["full_config"]["model"]["decoder"] = {"type": "QueryDecoder"}

    path = edited(trained, tmp_path / "m.pth", of_format_2)
    assert torch.load(path, weights_only=True)["meta"]["prompt"] is not None
    assert read_model_file(path).meta["prompt"] is None
    assert read_model_file(trained.best).meta["prompt"] is not None


@pytest.mark.parametrize("place", ["criterion", "layer", "num_layers"])
def test_a_damaged_config_is_told_with_its_file(trained, tmp_path, place):
    def damage(content):
        head = content["meta"]["full_config"]["model"]["head"]
        head.update({place: "5" if place == "num_layers" else 5, "losses": head["criterion"]["losses"]})
        if place != "criterion":
            del head["losses"]

    with pytest.raises(MapLLaVAError, match=r"m\.pth'.*VectorMapHead"):
        mapllava.load_model(edited(trained, tmp_path / "m.pth", damage), "cpu")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda c: c["model"]["head"]["criterion"].update(losses=5), "criterion.losses is 5"),
        (lambda c: c.update(map_spec=5), "map_spec 5 must be a dict"),
        (lambda c: c.update(map_spec={}), "missing keys.*frame"),
        (lambda c: c["test_dataloader"]["dataset"].update(pipeline=5), "no preprocessing"),
        (lambda c: c["test_dataloader"]["dataset"].update(pipeline=[5]), "no preprocessing"),
    ],
)
def test_a_value_of_another_kind_is_told_with_its_file(trained, tmp_path, change, message):
    path = edited(trained, tmp_path / "m.pth", lambda content: change(content["meta"]["full_config"]))
    with pytest.raises(MapLLaVAError, match=rf"(?s)m\.pth'.*{message}"):
        mapllava.load_model(path, "cpu")


OLDER = {"class_embed": "classify", "head.point_branch": "head.place", "point_branch": "move",
         "position_embed": "encode"}  # fmt: skip


def before_direct(content):
    """Heads moved their first points by the points' own content."""
    state, head = content["state_dict"], content["meta"]["full_config"]["model"]["head"]
    head["direct"] = False
    for name in [name for name in state if name.startswith("head.direct.")]:
        del state[name]
    dims = head["layer"]["point_dims"]
    for layer, rows in (("0", dims), ("2", 2)):
        state[f"head.point_branch.{layer}.weight"] = torch.linspace(-1, 1, rows * dims).view(rows, dims)
        state[f"head.point_branch.{layer}.bias"] = torch.zeros(rows)


def test_a_file_of_an_older_head_loads(trained, sample, tmp_path):
    def before_the_criterion(content):
        before_direct(content)
        state = content["state_dict"]
        for name in [name for name in state if name.startswith("head.")]:
            older = functools.reduce(lambda text, pair: text.replace(*pair), OLDER.items(), name)
            state[older] = state.pop(name)
        assert {"head.classify.0.1.weight", "head.place.0.bias"} <= set(state)
        head = content["meta"]["full_config"]["model"]["head"]
        head.update({name: head["criterion"][name] for name in ("assigner", "losses")})
        del head["criterion"]

    older, newer = (
        mapllava.load_model(edited(trained, tmp_path / f"{change.__name__}.pth", change), "cpu")
        for change in (before_the_criterion, before_direct)
    )
    arguments = (sample["img_paths"], sample["cam2img"], sample["lidar2cam"])
    same(older.predict(*arguments), newer.predict(*arguments))
