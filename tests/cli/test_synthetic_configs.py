"""Configs of the city that no other test trains: two steps each through the command line."""

import json

import pytest

from mapllava.__main__ import run_command


@pytest.mark.parametrize("name", ["synthetic_resnet", "synthetic_dinov2", "synthetic_camera_dropout"])
def test_two_steps(city, city_cache, tmp_path, name):
    options = [f"data_root={city}", "train_cfg.max_epochs=1", "train_dataloader.batch_size=6"]
    for loader in ("train", "val", "test"):
        path = city_cache["train" if loader == "train" else "val"]
        options += [f"{loader}_dataloader.dataset.ann_file={path}", f"{loader}_dataloader.num_workers=0"]
        options += [f"{loader}_dataloader.persistent_workers=False"]
    arguments = [f"stage2/{name}", "--work-dir", str(tmp_path), "--cfg-options", *options]
    assert run_command("train", arguments) == 0
    entries = json.loads((tmp_path / "metrics.json").read_text())
    assert [entry["metrics"]["mAP"] >= 0 for entry in entries if entry["stage"] == "val"] == [True]
    assert (tmp_path / "final_model.pth").is_file()
