"""A parser trained by the command line comes out of its file as it was."""

import shutil

import pytest
import torch
from safetensors.torch import load_file, save_file

from mapllava.__main__ import run_command
from mapllava.apis import load_parser
from mapllava.apis.parsing import calibrated
from mapllava.checkpoint import read_model_file
from mapllava.checkpoint.model_file import write_half, write_model_file
from mapllava.errors import MapLLaVAError
from mapllava.testing.tiny_hf import write_tiny_llama

LEAF = """
_base_ = [
    "{configs}/_base_/language/requests.py",
    "{configs}/_base_/language/adapter.py",
    "{configs}/_base_/language/schedule.py",
]
model = dict(
    prompt="{{text}} = ",
    max_tokens=60,
    language_model=dict(pretrained="{folder}", dtype="float32", lora=dict(rank=2)),
)
train_dataloader = dict(batch_size=4, dataset=dict(count=8))
val_dataloader = dict(dataset=dict(count=2))
train_cfg = dict(max_epochs=2, val_interval=1)
"""
SENTENCES = ["How far is the next crossing?", "前方有几条车道线？"]


@pytest.fixture(scope="module")
def run(tmp_path_factory, request):
    """A run folder, trained and then trained on."""
    folder = tmp_path_factory.mktemp("asked")
    write_tiny_llama(folder / "llama")
    config = folder / "ask.py"
    configs = request.config.rootpath / "configs"
    config.write_text(LEAF.format(configs=configs.as_posix(), folder=(folder / "llama").as_posix()))
    out = folder / "run"
    assert run_command("train", [str(config), "--work-dir", str(out)]) == 0
    more = ["--resume", "auto", "--cfg-options", "train_cfg.max_epochs=3"]
    assert run_command("train", [str(config), "--work-dir", str(out), *more]) == 0
    return out


def test_the_file_holds_the_adapter_alone_and_parses_with_the_calibrated_threshold(run):
    file = read_model_file(run / "best_model.pth")
    assert file.state
    assert all(".ask." in name for name in file.state)
    assert file.meta["best"]["metric"] == "exact"
    parser = load_parser(run / "best_model.pth", device="cpu")
    assert parser.min_confidence == file.meta["display"]["thresholds"]["request"]
    assert [each.text for each in parser.parse(SENTENCES)] == SENTENCES
    assert (run / "checkpoint_epoch_3.pth").is_file()


def test_the_language_model_may_move_but_not_change(run, tmp_path):
    best = run / "best_model.pth"
    moved = shutil.copytree(run.parent / "llama", tmp_path / "moved")
    here, there = load_parser(best, "cpu"), load_parser(best, "cpu", pretrained=moved)
    assert here.write(SENTENCES) == there.write(SENTENCES)
    weights = load_file(moved / "model.safetensors")
    weights["lm_head.weight"] = torch.randn_like(weights["lm_head.weight"])
    save_file(weights, moved / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(MapLLaVAError, match="not those that the checkpoint was trained on"):
        load_parser(best, "cpu", pretrained=moved)


def test_a_copy_in_float16_is_half_as_large_and_understands_the_same(run, tmp_path, capsys):
    best, copy = run / "best_model.pth", tmp_path / "small.pth"
    assert run_command("convert half", [str(best), str(copy)]) == 0
    assert "written: " in capsys.readouterr().out
    whole, half = read_model_file(best), read_model_file(copy)
    assert half.meta == whole.description()
    for name, tensor in whole.state.items():
        assert half.state[name].dtype == torch.float16
        torch.testing.assert_close(half.state[name].float(), tensor, atol=1e-6, rtol=1e-3)
    written = [text for text, _ in load_parser(best, "cpu").write(SENTENCES)]
    assert [text for text, _ in load_parser(copy, "cpu").write(SENTENCES)] == written


def test_a_copy_never_replaces_its_model_nor_holds_infinity(run, tmp_path):
    best = shutil.copy(run / "best_model.pth", tmp_path / "best.pth")
    with pytest.raises(MapLLaVAError, match="is the model itself"):
        write_half(best, best)
    file = read_model_file(best)
    name = next(iter(file.state))
    write_model_file(best, {**file.state, name: file.state[name] + 1e5}, file.meta)
    with pytest.raises(MapLLaVAError, match=f"{name} holds numbers above 65504"):
        write_half(tmp_path / "half.pth", best)
    assert not (tmp_path / "half.pth").exists()


def test_a_map_model_is_no_parser(request):
    with pytest.raises(MapLLaVAError, match="MapLLaVA, no request parser"):
        load_parser(request.config.rootpath / "mapllava" / "demo" / "model.pth")


def test_without_a_calibrated_threshold_the_parsers_own_counts():
    assert calibrated({"display": {"thresholds": {"request": 0.3}}}, 0.5) == 0.3
    assert calibrated({"display": None}, 0.5) == 0.5
