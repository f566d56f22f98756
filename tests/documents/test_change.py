"""Every block of the page 'Change one thing' is a config that trains, and changes what it says."""

import json
import re
import sys
from pathlib import Path

import pytest
import torch

from mapllava import gt_cache
from mapllava.config.read import load_config
from mapllava.config.resolve import resolve
from mapllava.datasets.fit import mounted_elsewhere
from mapllava.engine import MapOptimWrapperConstructor
from mapllava.registry import DATASETS, MODELS
from mapllava.structures import ROI, MapSpec
from mapllava.testing.tiny_hf import write_tiny_clip, write_tiny_llama
from tests.conftest import CITY_OPTIONS
from tests.documents.blocks import ROOT, blocks
from tests.documents.recipes import CHANGE, RECIPES, write_own_data

ROIS = {"my_region": MapSpec(roi=ROI(-25.0, -50.0, 25.0, 50.0))}


def recipe(name, folder, options):
    """The page's own text in a file, the folders of a reader's machine exchanged for ours."""
    text = re.sub(r'"/weights/([\w.-]+)"', lambda found: repr(str(weights(folder / found[1]))), RECIPES[name])
    (folder / f"{name}.py").write_text(text)
    return resolve(load_config(folder / f"{name}.py", options))


def weights(folder):
    return (write_tiny_clip if "clip" in folder.name else write_tiny_llama)(folder)


def step(cfg):
    """Loss of two training samples of the config, gradients taken; what it was made from and with."""
    torch.manual_seed(0)
    model = MODELS.build(cfg.model)
    dataset = DATASETS.build(cfg.train_dataloader.dataset)
    items = [dataset[0], dataset[1]]
    batch = {key: [item[key] for item in items] for key in ("data_samples",)}
    batch["inputs"] = {key: [item["inputs"][key] for item in items] for key in items[0]["inputs"]}
    data = model.data_preprocessor(batch, True)
    losses = model(**data, mode="loss")
    loss = sum(value for key, value in losses.items() if "loss" in key)
    assert torch.isfinite(loss)
    loss.backward()
    return model, items[0]


@pytest.fixture
def trained(tmp_path, city, city_cache):
    def train(name):
        folder = city_cache["train"].parent
        if name in ROIS:
            folder = gt_cache.build(
                city, CITY_OPTIONS["version"], "train", tmp_path / "cache", spec=ROIS[name]
            ).parent
        options = {"data_root": str(city)}
        if name != "my_cameras":
            options["train_dataloader.dataset.ann_file"] = str(folder / city_cache["train"].name)
        cfg = recipe(name, tmp_path, options)
        return cfg, *step(cfg)

    return train


def test_another_region(trained):
    cfg, model, item = trained("my_region")
    assert item["data_samples"].map_spec["roi"] == [-25.0, -50.0, 25.0, 50.0]
    assert model.map_spec.roi.to_list() == [-25.0, -50.0, 25.0, 50.0]
    assert cfg.val_evaluator.protocol == cfg.test_evaluator.protocol == "streammapnet_100x50"
    assert "gt_cache_100x50" in cfg.test_dataloader.dataset.ann_file


def test_another_image_size(trained):
    cfg, _, item = trained("my_size")
    assert item["inputs"]["img"].shape[-2:] == (80, 256)
    assert cfg.test_dataloader.dataset.pipeline[0]["size"] == (256, 144)


def test_more_queries(trained):
    _, model, item = trained("my_queries")
    assert model.map_queries.num_instances == 80
    assert item["data_samples"].gt_instances.points.shape[1] == 30


def test_another_language_model(trained):
    pytest.importorskip("peft")
    _, model, _ = trained("my_llm")
    trainable = [name for name, p in model.decoder.backbone.named_parameters() if p.requires_grad]
    assert trainable
    assert all("lora" in name for name in trainable)
    assert model.decoder.backbone.get_input_embeddings().num_embeddings == 320  # the folder's


def test_no_language_model(trained):
    _, model, _ = trained("my_plain")
    assert type(model.decoder).__name__ == "TransformerMapDecoder"


def test_another_vision_encoder(trained):
    _, model, item = trained("my_encoder")
    assert type(model.vision_encoder).__name__ == "CLIPVisionEncoder"
    assert not any(p.requires_grad for p in model.vision_encoder.parameters())
    height, width = item["inputs"]["img"].shape[-2:]
    assert not any(side % patch for side in (height, width) for patch in (14, 16))


def test_another_image_backbone(trained):
    cfg, model, _ = trained("my_backbone")
    assert model.vision_encoder.stride == 8
    options = cfg.optim_wrapper.to_dict()
    options.pop("constructor")
    wrapper = MapOptimWrapperConstructor(options, options.pop("paramwise_cfg"))(model)
    rates = {group["name"]: group["lr"] for group in wrapper.optimizer.param_groups}
    assert rates["eyes/layer3/no_decay"] == pytest.approx(0.8 * rates["new/no_decay"])
    assert rates["eyes/layer0/no_decay"] == pytest.approx(0.8**4 * rates["new/no_decay"])


def test_another_schedule(trained):
    cfg, model, _ = trained("my_schedule")
    options = cfg.optim_wrapper.to_dict()
    options.pop("constructor")
    wrapper = MapOptimWrapperConstructor(options, options.pop("paramwise_cfg"))(model)
    rates = {group["name"]: group["lr"] for group in wrapper.optimizer.param_groups}
    assert rates["head/no_decay"] == pytest.approx(6e-4)
    assert rates["new/no_decay"] == pytest.approx(3e-4)
    assert cfg.param_scheduler[1].end == 6


def test_data_of_ones_own(tmp_path, city, city_cache, monkeypatch):
    """Four cameras of other names, in a JSON file, through the page's class."""
    write_own_data(tmp_path / "data" / "mine", city, city_cache["train"])
    (tmp_path / "my_data.py").write_text(RECIPES["my_data"])
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    try:
        cfg = recipe("my_cameras", tmp_path, {})
        _, item = step(cfg)
        entries = DATASETS.build(cfg.train_dataloader.dataset).entries()
        assert mounted_elsewhere(entries, -1.84) == ""  # what a run looks at before it starts
    finally:
        DATASETS.module_dict.pop("MyDataset", None)
        sys.modules.pop("my_data", None)
    assert item["inputs"]["img"].shape[0] == 4
    assert item["data_samples"].cam_names == ["front", "left", "right", "rear"]


@pytest.mark.parametrize("shown", blocks(CHANGE, "json"), ids=lambda block: str(block.line))
def test_the_sample_that_is_shown_has_the_keys_that_are_read(shown, city_cache):
    sample = json.loads(shown.text)
    entry = gt_cache.load(city_cache["train"])["data_list"][0]
    assert set(sample) == set(entry)
    assert set(next(iter(sample["cams"].values()))) <= set(next(iter(entry["cams"].values())))


def test_every_recipe_has_a_test_and_a_command():
    commands = [command.text for block in blocks(CHANGE, "bash") for command in block.commands]
    for name in RECIPES.keys() - {"my_data"}:
        assert any(f"mapllava train {name}.py" in command for command in commands), name
        assert f'"{name}"' in Path(__file__).read_text(encoding="utf-8").partition("@pytest.fixture")[2]


def test_both_languages_show_the_same_blocks():
    other = ROOT / "docs" / "zh_CN" / "change.md"
    for language in ("python", "json"):
        assert [b.text for b in blocks(CHANGE, language)] == [b.text for b in blocks(other, language)]
