"""The full-size configs train on the synthetic city, with tiny Hugging Face folders as the weights."""

import json
import re
from pathlib import Path

import pytest
import torch
from mmengine.config import Config

from mapllava.__main__ import run_command
from mapllava.engine import build_runner
from mapllava.testing import write_tiny_blip2, write_tiny_clip, write_tiny_llama

CONFIGS = Path(__file__).parents[2] / "configs"
pytest.importorskip("peft")
pytest.importorskip("bitsandbytes")
LORA = {"rank": 2, "alpha": 4, "dropout": 0.1, "targets": "all-linear"}


@pytest.fixture(scope="module")
def weights(tmp_path_factory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("weights")
    return {
        "blip2": write_tiny_blip2(folder / "blip2"),
        "clip": write_tiny_clip(folder / "clip"),
        "vicuna": write_tiny_llama(folder / "vicuna"),
        "dinov2": _backbone(
            "dinov2", folder / "dinov2", hidden_size=24, num_attention_heads=2, patch_size=14
        ),
        "resnet": _backbone("resnet", folder / "resnet", hidden_sizes=[8, 16, 24, 32], depths=[1, 1, 1, 1]),
    }


def _backbone(family: str, folder: Path, **sizes) -> Path:
    """A tiny one as its authors' files are, at random."""
    from transformers import AutoConfig, AutoModel

    small = {"num_hidden_layers": 2, "embedding_size": 8, "image_size": 56}
    AutoModel.from_config(AutoConfig.for_model(family, **small, **sizes)).save_pretrained(folder)
    return folder


@pytest.fixture(autouse=True)
def plain_config_text(monkeypatch):
    """MMEngine lays out a config's text anew at every save, which takes longer than these steps."""
    for place in ("mmengine.config.config", "yapf.yapflib.yapf_api"):  # onedl-mmengine's is the latter
        monkeypatch.setattr(f"{place}.FormatCode", lambda text, **_: (text, True), raising=False)


@pytest.fixture
def options(weights, city, city_cache):
    """``options(name)``: what makes a full-size config tiny, two steps of six samples."""

    def of(name: str) -> dict[str, object]:
        cfg = Config.fromfile(CONFIGS / f"{name}.py")
        known = {"Blip2VisionEncoder": "blip2", "CLIPVisionEncoder": "clip"}
        encoder = cfg.model.vision_encoder
        vision = known.get(encoder.type) or encoder.architecture.model_type
        changes: dict[str, object] = {
            "model.vision_encoder.pretrained": str(weights[vision]),
            "model.neck.cell": 5.0,
            "model.neck.tokens.stride": [3, 3],  # a list in the config
            "model.map_queries.num_instances": 20,
            "model.head.num_layers": 2,
            "train_cfg.max_epochs": 1,
            "train_dataloader.batch_size": 6,  # 12 samples: two steps
        }
        if cfg.model.neck.qformer.get("pretrained"):
            changes["model.neck.qformer.pretrained"] = str(weights["blip2"])
        else:
            small = {"hidden_size": 24, "num_attention_heads": 4, "intermediate_size": 48}
            changes |= {f"model.neck.qformer.architecture.{key}": value for key, value in small.items()}
        if cfg.model.decoder.type == "LLMMapDecoder":
            changes["model.decoder.pretrained"] = str(weights["vicuna"])
        else:
            changes |= {"model.decoder.embed_dims": 32, "model.decoder.num_layers": 1}
        for loader in ("train_dataloader", "val_dataloader", "test_dataloader"):
            split = "train" if loader.startswith("train") else "val"
            changes |= {
                f"{loader}.num_workers": 0,
                f"{loader}.persistent_workers": False,
                f"{loader}.dataset.data_root": str(city),
                f"{loader}.dataset.ann_file": str(city_cache[split]),
                f"{loader}.dataset.pipeline.0.size": (128, 96) if vision == "resnet" else (112, 84),
            }
        return changes

    return of


def run_train(name, options, folder) -> dict:
    """Train through the command line; the final model's file."""
    arguments = [str(CONFIGS / f"{name}.py"), "--work-dir", str(folder), "--cfg-options"]
    arguments += [f"{key}={value}".replace(" ", "") for key, value in options.items()]
    assert run_command("train", arguments) == 0
    assert json.loads((folder / "metrics.json").read_text())[0]["metrics"]["mAP"] >= 0
    return torch.load(folder / "final_model.pth", weights_only=True)["state_dict"]


QUICK, SLOW = ["mini", "trainval_lora"], ["trainval", "trainval_4bit", "trainval_no_llm", "trainval_llava"]
SLOW += ["trainval_r50", "trainval_dinov2"]
STAGE2 = [*QUICK, *(pytest.param(name, marks=pytest.mark.slow) for name in SLOW)]


@pytest.mark.parametrize("name", STAGE2)
def test_two_steps_with_weights_from_folders(name, options, tmp_path):
    saved = run_train(f"stage2/{name}", options(f"stage2/{name}"), tmp_path)
    log = next(tmp_path.glob("*/*.log")).read_text()
    assert "weights loaded" in log
    assert "12 train samples" in log
    base = {key for key in saved if key.startswith(("decoder.backbone.", "vision_encoder."))}
    if name == "trainval_r50":
        assert base  # it trains, so it is saved
    else:
        assert all(".lora_" in key for key in base)  # the frozen base stays out
        assert bool(base) == (name in ("trainval_lora", "trainval_dinov2"))
    assert any(key.startswith("neck.qformer.") for key in saved)


@pytest.mark.slow
def test_stage_3_starts_from_stage_2(options, tmp_path):
    first = run_train("stage2/trainval", options("stage2/trainval"), tmp_path / "2")
    changes = {**options("stage3/trainval"), "load_from": tmp_path / "2" / "final_model.pth"}
    second = run_train("stage3/trainval", changes, tmp_path / "3")
    log = next((tmp_path / "3").glob("*/*.log")).read_text()
    assert "Parameter group llm:" in log
    assert {key for key in second if key.startswith("decoder.backbone.")}  # it trains, so it is saved
    assert any(not torch.equal(first[key], second[key]) for key in first)


def test_a_missing_start_is_named(options, tmp_path, capsys):
    with pytest.raises(AssertionError):
        run_train("stage3/trainval", options("stage3/trainval"), tmp_path)
    assert re.search(r"'outputs/map_detection_stage2.* is not there.* load_from=", capsys.readouterr().err)


MODES = {
    "frozen": ({}, set()),
    "8-bit": ({"decoder.quantization": {"bits": 8}, "vision_encoder.quantization": {"bits": 8}}, set()),
    "lora on 4 bits": ({"decoder.lora": LORA, "decoder.quantization": {"bits": 4}}, {"decoder.backbone"}),
    "lora on 8 bits": ({"decoder.lora": LORA, "decoder.quantization": {"bits": 8}}, {"decoder.backbone"}),
    "lora in the tower": (
        {"vision_encoder.lora": LORA, "vision_encoder.gradient_checkpointing": True},
        {"vision_encoder.backbone"},
    ),
    "lora in the Q-Former": ({"neck.qformer.frozen": True, "neck.qformer.lora": LORA}, set()),
    "all frozen": ({"neck.qformer.frozen": True, "neck.qformer.quantization": {"bits": 4}}, set()),
    "full": (
        {"decoder.frozen": False, "vision_encoder.frozen": False, "decoder.dtype": None}
        | {"vision_encoder.dtype": None},
        {"decoder.backbone", "vision_encoder.backbone"},
    ),
}


@pytest.mark.parametrize(("changes", "learning"), MODES.values(), ids=MODES)
def test_one_step_changes_what_trains_and_nothing_else(changes, learning, options, tmp_path):
    cfg = Config.fromfile(CONFIGS / "stage2" / "trainval.py")
    cfg.merge_from_dict(options("stage2/trainval"))
    cfg.merge_from_dict({f"model.{key}": value for key, value in changes.items()})
    cfg.work_dir, cfg.train_dataloader.batch_size = str(tmp_path), 1
    cfg.default_hooks = {}
    cfg.val_cfg = cfg.val_dataloader = cfg.val_evaluator = None
    cfg.param_scheduler = None
    runner = build_runner(cfg)
    model = runner.model
    model.init_weights()
    for move in (model.head.direct, *(layer.point_branch for layer in model.head.layers)):
        torch.nn.init.normal_(move[-1].weight, std=0.1)  # zero at the start, they hide what lies before
    for name, parameter in model.named_parameters():
        if ".lora_B." in name:
            torch.nn.init.normal_(parameter, std=0.1)
    before = {name: p.detach().clone() for name, p in model.named_parameters()}
    runner.optim_wrapper = runner.build_optim_wrapper(runner.cfg.optim_wrapper)
    runner.optim_wrapper.initialize_count_status(model, 0, 1)
    batch = next(iter(runner.build_dataloader(runner.cfg.train_dataloader)))
    model.train()
    model.train_step(batch, runner.optim_wrapper)
    moved = {name for name, p in model.named_parameters() if not torch.equal(p, before[name])}
    assert moved == {name for name, p in model.named_parameters() if p.requires_grad}
    backbones = {".".join(name.split(".")[:2]) for name in moved if ".backbone." in name}
    assert backbones - {"neck.qformer"} == learning
    frozen_qformer = "neck.qformer.frozen" in changes
    assert any("neck.qformer" in name and ".lora_" not in name for name in moved) != frozen_qformer
