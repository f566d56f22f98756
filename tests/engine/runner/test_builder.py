import pytest
import torch
from mmengine.config import Config
from toy import toy_config

from mapllava.engine import build_runner
from mapllava.engine.runner.run_checks import check_transforms
from mapllava.errors import MapLLaVAError


def test_transforms_that_do_not_serve_the_roi_are_refused_before_anything_runs(tmp_path):
    cfg = toy_config(tmp_path)
    cfg.train_dataloader.dataset.pipeline = [{"type": "RandomLateralFlip"}, {"type": "ToyNoise"}]
    check_transforms(cfg)
    cfg.map_spec.roi = [-10.0, -30.0, 20.0, 30.0]
    with pytest.raises(MapLLaVAError, match=r"roi \[-10.0, -30.0, 20.0, 30.0\] is not symmetric along x"):
        check_transforms(cfg)
    cfg.train_dataloader.dataset.pipeline = [{"type": "RasterizeBEV", "cell": 0.7}]
    with pytest.raises(MapLLaVAError, match=r"no whole number of BEV cells of 0\.7 m"):
        check_transforms(cfg)


@pytest.mark.parametrize("key", ["map_spec", "work_dir"])
def test_what_is_missing_is_named(tmp_path, key):
    cfg = toy_config(tmp_path)
    cfg.pop(key)
    with pytest.raises(MapLLaVAError, match=key):
        build_runner(cfg)


def test_a_run_leaves_its_folder_complete(tmp_path):
    import json

    build_runner(toy_config(tmp_path, epochs=2)).train()
    names = {path.name for path in tmp_path.iterdir()}
    assert {
        "config.json", "metrics.json", "checkpoint_epoch_1.pth", "checkpoint_epoch_2.pth", "best_model.pth",
        "best_model.json", "final_model.pth",
    } <= names  # fmt: skip
    assert not [name for name in names if name.endswith(".tmp")]
    assert json.loads((tmp_path / "config.json").read_text())["map_spec"]["frame"] == "lidar"
    metrics = json.loads((tmp_path / "metrics.json").read_text())
    assert [(entry["epoch"], entry["split"]) for entry in metrics] == [(1, "toy val"), (2, "toy val")]
    best = json.loads((tmp_path / "best_model.json").read_text())
    assert best["score"] == max(entry["metrics"]["mAP"] for entry in metrics)
    assert best["split"] == "toy val"


def test_the_config_given_is_not_changed(tmp_path):
    cfg = toy_config(tmp_path)
    before = Config(cfg.to_dict()).pretty_text
    build_runner(cfg)
    assert cfg.pretty_text == before


def test_launcher_outside_of_torchrun_says_what_to_use(tmp_path, monkeypatch):
    for name in ("RANK", "WORLD_SIZE"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(MapLLaVAError, match="dist_train"):
        build_runner(toy_config(tmp_path, launcher="pytorch"))
    assert not torch.distributed.is_initialized()


def test_a_metric_that_gives_no_dict_is_named(tmp_path):
    from toy import ToyMetric

    from mapllava.registry import METRICS

    @METRICS.register_module(force=True)
    class ListMetric(ToyMetric):
        def compute_metrics(self, results):
            return [0.5]

    with pytest.raises(MapLLaVAError, match=r"ListMetric\.compute_metrics gave a list; expected a dict"):
        build_runner(toy_config(tmp_path, epochs=1, val_evaluator={"type": "ListMetric"})).train()
