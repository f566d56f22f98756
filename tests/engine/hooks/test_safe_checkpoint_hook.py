import pytest
import torch
from toy import toy_config

from mapllava.engine import build_runner
from mapllava.errors import MapLLaVAError


def trained(folder, **changes):
    runner = build_runner(toy_config(folder, epochs=1, **changes))
    runner.train()
    return runner, torch.load(folder / "checkpoint_epoch_1.pth", weights_only=True)


def load(folder, path, **changes):
    runner = build_runner(toy_config(folder, **changes))
    runner.load_checkpoint(str(path))
    return runner


def with_base(frozen=True, source="hub/base", **changes):
    """A model whose part ``base`` is pretrained, described by the module itself."""
    return {"type": "ToyModelWithBase", "frozen": frozen, "source": source, **changes}


@pytest.fixture(autouse=True)
def toy_with_base():
    from toy import ToyModel

    from mapllava.registry import MODELS

    @MODELS.register_module(force=True)
    class ToyModelWithBase(ToyModel):
        def __init__(self, source=None, digest="1", base=None, words=None, **kwargs):
            super().__init__(**kwargs)
            self.decoder = torch.nn.Identity()
            if words:
                self.decoder.describe_prompt = lambda: {"tokenizer": {"type": "T"}, **words}
            described = {"id": source, "revision": "abc", "hash": digest * 64}
            self.base.base_weights = described if source else None
            torch.nn.init.constant_(self.base.weight, 0.5)


def test_frozen_base_weights_are_left_out_and_described(tmp_path):
    runner, saved = trained(tmp_path, model=with_base())
    assert not [key for key in saved["state_dict"] if key.startswith("base.")]
    assert {"norm.running_mean", "head.weight"} <= set(saved["state_dict"])
    described = {"id": "hub/base", "revision": "abc", "hash": "1" * 64}
    assert saved["meta"]["base_weights"] == {"base": {**described, "dtype": "float32", "quantization": None}}
    again = load(tmp_path / "again", tmp_path / "final_model.pth", model=with_base())
    assert torch.equal(again.model.base.weight, runner.model.base.weight)


def test_trained_base_weights_are_kept(tmp_path):
    _, saved = trained(tmp_path, model=with_base(frozen=False))
    assert {"base.weight", "base.bias"} <= set(saved["state_dict"])


def test_frozen_weights_that_nothing_reloads_are_kept(tmp_path):
    _, saved = trained(tmp_path, model=with_base(source=None))
    assert {"base.weight", "base.bias"} <= set(saved["state_dict"])


def test_pretrained_in_the_config_counts_as_reloadable(tmp_path):
    from mapllava.checkpoint.base_weights import base_weight_modules, reloadable_keys

    model = torch.nn.ModuleDict({"decoder": torch.nn.Linear(2, 2), "head": torch.nn.Linear(2, 2)})
    model["decoder"].requires_grad_(False)
    roots = base_weight_modules(model, {"type": "X", "decoder": {"pretrained": "lmsys/vicuna"}, "head": {}})
    assert roots == {"decoder": {"pretrained": "lmsys/vicuna", "dtype": "float32", "quantization": None}}
    assert reloadable_keys(model, roots) == {"decoder.weight", "decoder.bias"}


def edit(tmp_path, change):
    _, saved = trained(tmp_path)
    change(saved)
    torch.save(saved, tmp_path / "edited.pth")
    return tmp_path / "edited.pth"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda c: c["state_dict"].pop("head.weight"), r"1 missing in the file: head.weight"),
        (lambda c: c["state_dict"].update(ghost=torch.zeros(1)), r"not in the model: ghost"),
        (
            lambda c: c["state_dict"].update({"head.weight": torch.zeros(2, 8)}),
            r"head.weight: \(2, 8\) in the file",
        ),
        (lambda c: c["meta"]["map_spec"].update(frame="ego"), "frame = ego"),
        (lambda c: c["meta"]["map_spec"].update(classes=["boundary"]), "classes"),
    ],
)
def test_a_checkpoint_that_does_not_fit_is_refused(tmp_path, change, message):
    path = edit(tmp_path, change)
    with pytest.raises(MapLLaVAError, match=message):
        load(tmp_path / "again", path)


def test_missing_weights_can_be_allowed_by_name_but_not_on_resume(tmp_path):
    path = edit(tmp_path, lambda c: c["state_dict"].pop("head.weight"))
    hooks = [{"type": "SafeCheckpointHook", "allow_missing": ["head"]}]
    load(tmp_path / "ok", path, custom_hooks=hooks)
    with pytest.raises(MapLLaVAError, match=r"head\.weight"):
        load(tmp_path / "no", path, custom_hooks=hooks, resume=True, load_from=str(path))


def test_other_base_weights_are_refused(tmp_path):
    trained(tmp_path, model=with_base())
    path = tmp_path / "checkpoint_epoch_1.pth"
    load(tmp_path / "moved", path, model=with_base(source="folder/base"))
    other = with_base(source="hub/other", digest="2")
    with pytest.raises(
        MapLLaVAError, match=r"base: trained on 'hub/base' at .*, found 'hub/other' at .*hash 1"
    ):
        load(tmp_path / "other", path, model=other)
    hooks = [{"type": "SafeCheckpointHook", "allow_missing": ["base"]}]
    load(tmp_path / "allowed", path, model=other, custom_hooks=hooks)


def test_another_quantization_may_begin_from_a_checkpoint_but_not_resume(tmp_path):
    trained(tmp_path, model=with_base())
    path, four = tmp_path / "checkpoint_epoch_1.pth", with_base(base={"quantization": {"bits": 4}})
    load(tmp_path / "begin", path, model=four)
    with pytest.raises(MapLLaVAError, match=r"model\.base: not set then, dict\(quantization\) now"):
        load(tmp_path / "resume", path, model=four, resume=True, load_from=str(path))


def test_a_tokenizer_that_gives_other_ids_is_refused(tmp_path):
    """Another prompt may be tried, and a file of before the prompt was described loads."""
    _, saved = trained(tmp_path, model=with_base(words={"text": "Draw.", "ids": [1, 7]}))
    path, other = tmp_path / "final_model.pth", {"text": "Draw.", "ids": [1, 8]}
    told = r"(?s)the prompt 'Draw\.'.*\[1, 7\].*\[1, 8\].*model\.decoder\.tokenizer"
    with pytest.raises(MapLLaVAError, match=told):
        load(tmp_path / "a", path, model=with_base(words=other))
    load(tmp_path / "b", path, model=with_base(words={**other, "text": "Draw all."}))
    del saved["meta"]["prompt"]
    torch.save(saved, path)
    load(tmp_path / "c", path, model=with_base(words=other))


def test_message_hub_comes_back(tmp_path):
    first, _ = trained(tmp_path)
    runner = build_runner(
        toy_config(tmp_path, epochs=2, resume=True, load_from=str(tmp_path / "checkpoint_epoch_1.pth"))
    )
    runner.train()
    history = runner.message_hub.get_scalar("train/loss").data[0]
    assert len(history) == 8
    assert history[:4].tolist() == first.message_hub.get_scalar("train/loss").data[0].tolist()
