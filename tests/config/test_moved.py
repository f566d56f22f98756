"""What an older version wrote is moved to its place, what somebody else wrote or damaged stays."""

import copy

import pytest

from mapllava.config.moved import bring_up_to_date
from mapllava.config.read import read_config
from mapllava.config.trusted import config_in
from mapllava.models.heads.vector_map_head import VectorMapHead
from mapllava.registry import MODELS

CRITERION = {"type": "MapCriterion", "assigner": {"a": 1}, "losses": {"cls": {}}}


class Longer(VectorMapHead):
    """A plug-in's, which hands on what it is given."""

    def __init__(self, *args, length=1.0, **kwargs):
        super().__init__(*args, **kwargs)


class OwnAssigner(VectorMapHead):
    """A plug-in's, with an argument of that name."""

    def __init__(self, assigner, **kwargs):
        super().__init__(**kwargs)


@pytest.fixture(autouse=True)
def plug_ins(monkeypatch):
    monkeypatch.setattr(MODELS, "_module_dict", dict(MODELS.module_dict))
    for head in (Longer, OwnAssigner):
        MODELS.register_module(module=head)


def with_head(kind, **changes):
    head = {"type": kind, "assigner": {"a": 1}, "losses": {"cls": {}}, **changes}
    return {"model": {"head": head}}


@pytest.mark.parametrize("kind", ["VectorMapHead", "mapllava.VectorMapHead", "Longer", "mapllava.Longer"])
def test_a_heads_matching_and_losses_go_to_its_criterion(kind):
    new = {"model": {"head": {"type": kind, "criterion": CRITERION}}}
    assert config_in({"full_config": with_head(kind)}, "a.pth") == new, "what a resumed run compares"
    assert bring_up_to_date(with_head(kind)) == new
    assert bring_up_to_date(copy.deepcopy(new)) == new, "again changes nothing"


def test_a_plug_ins_own_argument_stays():
    head = bring_up_to_date(with_head("OwnAssigner"))["model"]["head"]
    assert head["assigner"] == {"a": 1}
    assert head["criterion"] == {"type": "MapCriterion", "losses": {"cls": {}}}


@pytest.mark.parametrize(
    "config",
    [
        with_head("VectorMapHead", criterion=5),
        with_head("VectorMapHead", criterion=CRITERION),
        with_head(5),
        with_head("os.system"),
        with_head({"type": "VectorMapHead"}) | {"test_dataloader": 5},
        {"model": 5},
    ],
)
def test_what_is_damaged_or_taken_stays(config):
    assert bring_up_to_date(copy.deepcopy(config)) == config


def tokenize(prompt, **more):
    return {"type": "TokenizePrompt", "prompt": prompt, **more}


def loader(*prompts):
    return {"dataset": {"pipeline": [*(tokenize(prompt) for prompt in prompts), {"type": "PackMapInputs"}]}}


@pytest.mark.parametrize(
    ("prompts", "wanted"),
    [
        ({"train": "a", "val": "b", "test": "c"}, "c"),
        ({"test": "c", "val": "b", "train": "a"}, "c"),
        ({"train": "a", "val": "b"}, "b"),
        ({"train": "a"}, "a"),
    ],
)
def test_the_prompt_is_that_of_prediction(prompts, wanted):
    config = {f"{name}_dataloader": loader(prompt) for name, prompt in prompts.items()}
    config["model"] = {"decoder": {"type": "LLMMapDecoder"}}
    new = bring_up_to_date(config)
    decoder = {"type": "LLMMapDecoder", "prompt": wanted, "tokenizer": {"type": "ByteTokenizer"}}
    assert new["model"]["decoder"] == decoder, "the tokenizer is the step's default"
    assert all(new[f"{name}_dataloader"] == loader() for name in prompts)


def test_a_decoder_without_language_gets_no_prompt():
    config = {"model": {"decoder": {"type": "QueryDecoder"}}, "test_dataloader": loader("a")}
    assert bring_up_to_date(config) == {
        "model": {"decoder": {"type": "QueryDecoder"}},
        "test_dataloader": loader(),
    }


@pytest.mark.parametrize("name", ["config.json", "mine.py"])
def test_a_run_folders_config_is_brought_up_to_date_and_a_users_is_not(tmp_path, name):
    old = with_head("VectorMapHead")
    text = str(old["model"])
    for folder in ("run", "mine"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "mine.py").write_text(f"model = {text}")
    (tmp_path / "run" / "config.json").write_text(f'{{"model": {text}}}'.replace("'", '"'))
    assert read_config(tmp_path / "run" / name).model.head == {
        "type": "VectorMapHead",
        "criterion": CRITERION,
    }
    assert read_config(tmp_path / "mine" / "mine.py").model == old["model"]


def test_the_stride_of_scene_tokens_goes_to_the_tokens():
    older = {"model": {"neck": {"type": "BEVQFormerNeck", "token_stride": [3, 2]}}}
    newer = {"model": {"neck": {"type": "BEVQFormerNeck", "tokens": {"stride": [3, 2]}}}}
    assert bring_up_to_date(older) == newer
