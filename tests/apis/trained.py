"""A full-size config with tiny base folders, trained for one step on the synthetic city."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from mmengine.config import Config
from mmengine.runner import Runner

from mapllava.checkpoint import FORMAT_VERSION, write_model_file
from mapllava.checkpoint.base_weights import base_weight_modules, reloadable_keys
from mapllava.checkpoint.self_description import describe_model
from mapllava.config.resolve import resolve
from mapllava.engine import build_runner
from mapllava.registry import MODELS
from mapllava.structures.rig import Rig, RigCamera, RigSample
from mapllava.testing import write_tiny_blip2, write_tiny_llama

CONFIGS = Path(__file__).parents[2] / "configs"
CONFIG = CONFIGS / "stage2" / "trainval.py"


@dataclass
class Trained:
    """A run folder's runner and files."""

    runner: Runner
    best: Path
    blip2: Path
    vicuna: Path


def train_tiny(folder: Path, city: Path, city_cache: dict[str, Path], **options: Any) -> Trained:
    """Write the bases, train one step, validate; the runner holds the averaged weights of best_model."""
    blip2, vicuna = write_tiny_blip2(folder / "blip2"), write_tiny_llama(folder / "vicuna")
    cfg = Config.fromfile(CONFIG)
    values: dict[str, Any] = {
        "model.vision_encoder.pretrained": str(blip2),
        "model.neck.qformer.pretrained": str(blip2),
        "model.decoder.pretrained": str(vicuna),
        "model.neck.cell": 5.0,
        "model.neck.tokens.stride": 3,
        "train_cfg.max_epochs": 1,
        "train_dataloader.batch_size": 12,  # the city's 12 samples: one step
        "train_dataloader.dataset.pipeline.2.prob": 0.0,
        "work_dir": str(folder / "run"),
        "log_level": "ERROR",
        "default_hooks.ema": None,
        "default_hooks.map_visualization": None,
    }
    for loader in ("train_dataloader", "val_dataloader", "test_dataloader"):
        split = "train" if loader.startswith("train") else "val"
        values |= {
            f"{loader}.num_workers": 0,
            f"{loader}.persistent_workers": False,
            f"{loader}.dataset.data_root": str(city),
            f"{loader}.dataset.ann_file": str(city_cache[split]),
            f"{loader}.dataset.pipeline.0.size": (112, 84),
        }
    cfg.merge_from_dict(values | options)
    runner = build_runner(cfg)
    runner.train()
    runner.model.eval()
    return Trained(runner, folder / "run" / "best_model.pth", blip2, vicuna)


def write_parser(path: Path, llama: Path, **options: Any) -> Path:
    """A parser's file as a training writes it, its adapters random; ``options`` are the language model's."""
    cfg = Config.fromfile(CONFIGS / "language" / "ask_vicuna.py")
    options = {"pretrained": str(llama), "lora.rank": 2, **options}
    cfg.merge_from_dict({f"model.language_model.{key}": value for key, value in options.items()})
    cfg.merge_from_dict({"model.prompt": "{text} = ", "model.max_tokens": 60})
    cfg = resolve(cfg)
    parser = MODELS.build(cfg.model)
    torch.manual_seed(0)
    for name, each in parser.named_parameters():
        if "lora_" in name:
            each.data.normal_(0, 0.3)
    bases = base_weight_modules(parser, cfg.model)
    left_out = reloadable_keys(parser, bases)
    state = {key: value for key, value in parser.state_dict().items() if key not in left_out}
    meta = {"format_version": FORMAT_VERSION, "base_weights": bases, "cameras": None}
    return write_model_file(path, state, {**describe_model(parser, cfg), **meta})


def same(lines, others):
    """Two predictions are equal."""
    assert np.array_equal(np.stack(lines.points), np.stack(others.points))
    assert np.array_equal(lines.labels, others.labels)
    assert np.array_equal(lines.scores, others.scores)


def edited(trained, path, change):
    """A copy of the model file with something changed."""
    content = torch.load(trained.best, weights_only=True)
    change(content)
    torch.save(content, path)
    return path


def rig_sample(info, token="t0"):
    """What the data set knows of a sample, as the sample of a rig."""
    sizes = [cv2.imread(path).shape[1::-1] for path in info["img_paths"]]
    cam2ego = [info["lidar2ego"] @ np.linalg.inv(matrix) for matrix in info["lidar2cam"]]
    cameras = map(RigCamera, info["cam_names"], sizes, info["cam2img"], cam2ego)
    return RigSample(token, Rig(tuple(cameras), info["lidar2ego"]), tuple(map(Path, info["img_paths"])))
