import json
from pathlib import Path

import pytest
import torch
from toy import ToyMetric, toy_config

from mapllava.engine import build_runner
from mapllava.engine.hooks.run_checkpoint_hook import RunCheckpointHook, epoch_checkpoints, latest_checkpoint
from mapllava.engine.hooks.warmup_ema_hook import average_of
from mapllava.errors import MapLLaVAError
from mapllava.registry import METRICS


@METRICS.register_module(force=True)
class ScriptedMetric(ToyMetric):
    """mAP 0.1, 0.5, 0.3 after epochs 1, 2, 3."""

    count = 0

    def compute_metrics(self, results):
        type(self).count += 1
        return {"map/mAP": [0.1, 0.5, 0.3][(type(self).count - 1) % 3], "other": 9.0}


def test_best_is_chosen_by_map_and_old_checkpoints_go(tmp_path):
    cfg = toy_config(tmp_path, epochs=3, val_evaluator={"type": "ScriptedMetric"})
    cfg.default_hooks.checkpoint.max_keep = 2
    build_runner(cfg).train()
    assert [path.name for path in epoch_checkpoints(tmp_path)] == [
        "checkpoint_epoch_2.pth",
        "checkpoint_epoch_3.pth",
    ]
    best, final = (
        torch.load(tmp_path / name, weights_only=True) for name in ("best_model.pth", "final_model.pth")
    )
    assert best["meta"]["best"] == {
        "metric": "mAP",
        "score": 0.5,
        "weights": "average",
        "epoch": 2,
        "split": "toy val",
    }
    assert "optimizer" not in best
    assert final["meta"]["epoch"] == 3


@METRICS.register_module(force=True)
class WeightsMetric(ToyMetric):
    """mAP by what is validated: the raw weights come first, then their average."""

    values = (0.0, 0.0)
    calls = 0

    def compute_metrics(self, results):
        type(self).calls += 1
        return {"mAP": type(self).values[(type(self).calls - 1) % 2]}


@pytest.mark.parametrize(
    ("values", "chosen", "score"),
    [((0.4, 0.3), "raw", 0.4), ((0.3, 0.4), "average", 0.4), ((0.4, 0.4), "average", 0.4)],
)
def test_the_better_of_raw_and_averaged_weights_is_the_best_model(
    tmp_path, monkeypatch, values, chosen, score
):
    monkeypatch.setattr(WeightsMetric, "values", values)
    monkeypatch.setattr(WeightsMetric, "calls", 0)
    changes = {"val_evaluator": {"type": "WeightsMetric"}, "val_cfg": {"type": "MapValLoop"}}
    runner = build_runner(toy_config(tmp_path, epochs=1, **changes))
    runner.train()
    best = torch.load(tmp_path / "best_model.pth", weights_only=True)
    assert (best["meta"]["best"]["weights"], best["meta"]["best"]["score"]) == (chosen, score)
    assert json.loads((tmp_path / "best_model.json").read_text()) == best["meta"]["best"]
    (entry,) = json.loads((tmp_path / "metrics.json").read_text())
    assert entry["metrics"] == {"mAP": values[1], "raw/mAP": values[0]}
    weights = {"raw": runner.model.head.weight, "average": average_of(runner).values["head.weight"]}
    assert torch.equal(best["state_dict"]["head.weight"], weights[chosen])
    assert not torch.equal(*weights.values())
    final = torch.load(tmp_path / "final_model.pth", weights_only=True)
    assert torch.equal(final["state_dict"]["head.weight"], weights["average"])


def test_without_an_average_the_weights_are_validated_once(tmp_path, monkeypatch):
    monkeypatch.setattr(WeightsMetric, "calls", 0)
    changes = {"val_evaluator": {"type": "WeightsMetric"}, "val_cfg": {"type": "MapValLoop"}}
    cfg = toy_config(tmp_path, epochs=1, **changes)
    cfg.custom_hooks = [hook for hook in cfg.custom_hooks if hook["type"] != "WarmupEMAHook"]
    build_runner(cfg).train()
    assert WeightsMetric.calls == 1
    assert json.loads((tmp_path / "best_model.json").read_text())["weights"] == "raw"


def test_raw_weights_can_be_left_out(tmp_path, monkeypatch):
    monkeypatch.setattr(WeightsMetric, "calls", 0)
    changes = {
        "val_evaluator": {"type": "WeightsMetric"},
        "val_cfg": {"type": "MapValLoop", "raw": False},
    }
    build_runner(toy_config(tmp_path, epochs=1, **changes)).train()
    assert WeightsMetric.calls == 1
    assert json.loads((tmp_path / "best_model.json").read_text())["weights"] == "average"


def test_validation_without_the_metric_is_an_error_not_a_silence(tmp_path):
    cfg = toy_config(tmp_path)
    cfg.default_hooks.checkpoint.metric = "mAPP"
    with pytest.raises(MapLLaVAError, match=r"no 'mAPP'.*\['mAP'\]"):
        build_runner(cfg).train()


def test_epochs_sort_as_numbers(tmp_path):
    for epoch in (2, 10, 9):
        (tmp_path / f"checkpoint_epoch_{epoch}.pth").touch()
    assert latest_checkpoint(tmp_path).name == "checkpoint_epoch_10.pth"
    assert latest_checkpoint(tmp_path / "none") is None


@pytest.mark.parametrize("options", [{"interval": 0}, {"max_keep": 0}])
def test_arguments_out_of_range_are_refused(options):
    with pytest.raises(MapLLaVAError, match="must be >= 1"):
        RunCheckpointHook(**options)


def test_a_save_that_dies_leaves_the_older_file_whole(tmp_path, monkeypatch):
    runner = build_runner(toy_config(tmp_path, epochs=1))
    runner.train()
    before = (tmp_path / "best_model.pth").read_bytes()

    def die(folder, name, **kwargs):
        Path(folder, name).write_bytes(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(runner, "save_checkpoint", die)
    hook = next(hook for hook in runner.hooks if isinstance(hook, RunCheckpointHook))
    with pytest.raises(MapLLaVAError, match=r"best_model.pth' cannot be written: No space .* make room"):
        hook.after_val_epoch(runner, {"mAP": 1e9})
    assert (tmp_path / "best_model.pth").read_bytes() == before
    assert not list(tmp_path.glob(".*"))
