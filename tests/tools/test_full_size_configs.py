"""The full-size configs train on the synthetic city, with tiny Hugging Face folders as the weights."""

import json
import sys
from pathlib import Path

import pytest
import torch

from mapllava.testing import write_tiny_blip2, write_tiny_llama
from tools import train

CONFIGS = Path(__file__).parents[2] / "configs" / "stage2"
TOKENIZE = {"train_dataloader": 5, "val_dataloader": 1, "test_dataloader": 1}  # place in the pipeline


@pytest.fixture(scope="module")
def weights(tmp_path_factory) -> tuple[Path, Path]:
    folder = tmp_path_factory.mktemp("weights")
    return write_tiny_blip2(folder / "blip2"), write_tiny_llama(folder / "vicuna")


@pytest.mark.parametrize("name", ["mini", "trainval"])
def test_two_steps_with_weights_from_folders(name, weights, city, city_cache, tmp_path, monkeypatch):
    blip2, vicuna = weights
    options = {
        "model.vision_encoder.pretrained": blip2,
        "model.neck.qformer.pretrained": blip2,
        "model.decoder.pretrained": vicuna,
        "model.neck.num_queries": 4,
        "train_cfg.max_epochs": 1,
        "train_dataloader.batch_size": 6,  # 12 samples: two steps
    }
    for loader, place in TOKENIZE.items():
        split = "train" if loader.startswith("train") else "val"
        options |= {
            f"{loader}.num_workers": 0,
            f"{loader}.persistent_workers": False,
            f"{loader}.dataset.data_root": city,
            f"{loader}.dataset.ann_file": city_cache[split],
            f"{loader}.dataset.pipeline.0.size": "(112,84)",
            f"{loader}.dataset.pipeline.{place}.tokenizer.pretrained": vicuna,
        }
    arguments = [str(CONFIGS / f"{name}.py"), "--work-dir", str(tmp_path)]
    arguments += ["--cfg-options", *(f"{key}={value}" for key, value in options.items())]
    monkeypatch.setattr(sys, "argv", ["train.py", *arguments])

    assert train.main() == 0

    log = next(tmp_path.glob("*/*.log")).read_text()
    assert "tensors" in log  # the weights' report
    assert "12 train samples" in log
    assert json.loads((tmp_path / "metrics.json").read_text())[0]["metrics"]["mAP"] >= 0
    saved = torch.load(tmp_path / "final_model.pth", weights_only=True)["state_dict"]
    assert not any(key.startswith("decoder.backbone.") for key in saved)  # the frozen base stays out
    assert any(key.startswith("neck.qformer.") for key in saved)
