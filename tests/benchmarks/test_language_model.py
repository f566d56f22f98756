"""What the language model adds: the cache changes nothing, a run trains and scores, the table is right."""

import argparse
import importlib
import json
import time
from pathlib import Path

import pytest
import torch
from mmengine.dataset import pseudo_collate
from safetensors.torch import load_file

from mapllava import load_model
from mapllava.checkpoint import read_model_file
from mapllava.config.read import load_config
from mapllava.config.resolve import resolve
from mapllava.errors import MapLLaVAError
from mapllava.models.map_llava import MapLLaVA
from mapllava.registry import DATASETS, MODELS
from mapllava.testing import write_tiny_llama

ROOT = Path(__file__).parents[2]
MODEL = ROOT / "mapllava" / "demo" / "model.pth"


@pytest.fixture(scope="module")
def modules():
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(ROOT / "benchmarks"))
        yield {
            name: importlib.import_module(name)
            for name in ("cached_bev", "map_decoder_run", "language_model")
        }


@pytest.fixture(scope="module")
def cfg(city, city_cache):
    options = {
        f"{split}_dataloader.{key}": value
        for split in ("train", "val")
        for key, value in {
            "dataset.data_root": str(city),
            "dataset.ann_file": str(city_cache[split]),
            "num_workers": 0,
            "persistent_workers": False,
        }.items()
    }
    return resolve(load_config(ROOT / "configs" / "stage2" / "synthetic.py", options, []))


@pytest.fixture(scope="module")
def features(modules, cfg, tmp_path_factory):
    path = modules["cached_bev"].cache_path(tmp_path_factory.mktemp("features"), MODEL, cfg)
    modules["cached_bev"].write_features(path, MODEL, cfg)
    return modules["cached_bev"].read_features(path)


@pytest.fixture(scope="module")
def demo(modules):
    """The demo's model, and the same where encoders have done their work."""
    trained = load_model(MODEL, "cpu").model
    copy = MODELS.build(modules["cached_bev"].cached(read_model_file(MODEL).meta["full_config"]["model"]))
    copy.load_state_dict(trained.state_dict())
    return trained, copy.eval()


@torch.no_grad()
def test_scene_tokens_are_those_of_the_whole_model(demo, cfg, features):
    trained, copy = demo
    dataset = DATASETS.build(cfg.val_dataloader.dataset)
    data = trained.data_preprocessor(pseudo_collate([dataset[0], dataset[3]]))
    inputs, samples = features["val"].batch([0, 3])
    expected, found = trained.extract_features(data["inputs"]), copy.extract_features(inputs)
    assert [s.sample_token for s in samples] == [s.sample_token for s in data["data_samples"]]
    torch.testing.assert_close(found.bev, expected.bev, rtol=2e-3, atol=2e-3)
    torch.testing.assert_close(found.scene_tokens, expected.scene_tokens, rtol=2e-2, atol=2e-2)


def test_a_run_trains_all_but_the_encoders_and_scores_what_it_draws(modules, cfg, features):
    run = modules["map_decoder_run"]
    torch.manual_seed(0)
    model = MODELS.build(modules["cached_bev"].cached(cfg.model))
    assert isinstance(model, MapLLaVA)
    before = {name: value.detach().clone() for name, value in model.named_parameters()}
    args = argparse.Namespace(config="synthetic", seed=0, steps=3, batch=2, warmup=1)
    seconds, _ = run.train(model, cfg, features["train"], args)
    assert seconds > 0
    moved = {name for name, value in model.named_parameters() if not torch.equal(value, before[name])}
    assert {name.split(".")[0] for name in moved} == {"neck", "decoder", "map_queries", "head"}
    assert not any(name.startswith(("neck.fuse", "neck.blocks", "neck.segment")) for name in moved)
    scores = run.evaluate(model, features["val"], 4, "maptr")
    assert set(scores) == {"mAP", "d0", "zero_tokens", "queries_vary"}
    assert all(0 <= value <= 100 for value in scores.values())


def test_a_trained_models_own_score_comes_out(modules, demo, features):
    """The demo's model, with its encoders' work cached, scores what it scores whole."""
    scores = modules["map_decoder_run"].evaluate(demo[1], features["val"], 8, "maptr")
    assert scores["mAP"] > 20  # of a city and camera size that it has not seen


def test_shuffling_keeps_each_tensors_numbers_and_nothing_of_their_order(modules, tmp_path):
    source = write_tiny_llama(tmp_path / "lm")
    shuffled = modules["language_model"].shuffled
    out = shuffled(source, tmp_path / "mixed", 1)
    own, mixed = load_file(source / "model.safetensors"), load_file(out / "model.safetensors")
    assert own.keys() == mixed.keys()
    for name, value in own.items():
        assert mixed[name].dtype == value.dtype
        assert torch.equal(mixed[name].flatten().sort().values, value.flatten().sort().values)
        assert value.unique().numel() == 1 or not torch.equal(mixed[name], value)
    assert (out / "config.json").read_bytes() == (source / "config.json").read_bytes()
    again = load_file(shuffled(source, tmp_path / "again", 1) / "model.safetensors")
    assert all(torch.equal(again[name], value) for name, value in mixed.items())


def test_the_table_pairs_seeds_and_gives_students_intervals(modules, capsys, monkeypatch):
    language_model = modules["language_model"]
    monkeypatch.setenv("COLUMNS", "200")
    made = {"plain": [40.0, 44.0, 42.0], "smollm2": [45.0, 48.0, 48.0]}
    arms = {name: language_model.DRAWING[name] for name in made}
    names = {id(arm): name for name, arm in arms.items()}

    def run(arm, seed, args):
        return {**dict.fromkeys(language_model.COLUMNS["drawing"], 1.0), "mAP": made[names[id(arm)]][seed]}

    found = language_model.measure("drawing", arms, run, argparse.Namespace(seeds=3, jobs=1))
    assert found["smollm2"]["mAP"]["mean"] == pytest.approx(47.0)
    gap = found["smollm2"]["difference_to_first"]
    assert gap["mean"] == pytest.approx(5.0)  # 5, 4, 6: standard deviation 1
    assert gap["half_width_95"] == pytest.approx(4.303 / 3**0.5, abs=1e-3)
    assert "+5.0 ± 2.5" in capsys.readouterr().out
    json.dumps(found, allow_nan=False)


def test_after_a_failed_run_none_begins(modules):
    language_model, begun = modules["language_model"], []

    def run(arm, seed, args):
        begun.append(seed)
        time.sleep(0.05)
        raise MapLLaVAError("no folder")

    with pytest.raises(MapLLaVAError, match="no folder"):
        language_model.measure("drawing", language_model.DRAWING, run, argparse.Namespace(seeds=3, jobs=1))
    assert len(begun) < 6


def test_without_the_folder_the_command_is_named(modules, tmp_path):
    language_model = modules["language_model"]
    args = argparse.Namespace(language_model=tmp_path / "none", work_dir=tmp_path)
    with pytest.raises(MapLLaVAError, match=r"get_language_model\.py smollm2"):
        language_model.options_of(language_model.DRAWING["smollm2"], "model.decoder", 0, args)
    assert language_model.options_of(language_model.DRAWING["plain"], "model.decoder", 0, args) == []
