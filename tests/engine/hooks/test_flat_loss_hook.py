"""A loss that stays where it is gets one warning, which says where to look."""

import pytest
import torch
from mmengine.hooks import Hook
from toy import ToyModel, toy_config

from mapllava.engine import build_runner
from mapllava.engine.hooks import FlatLossHook
from mapllava.errors import MapLLaVAError
from mapllava.registry import MODELS


@MODELS.register_module(force=True)
class ToyModelWithoutSlope(ToyModel):
    """Its loss is a number that the head alone reaches, with slope 3 for the head's bias."""

    def forward(self, inputs, data_samples=None, mode="tensor"):
        if mode != "loss":
            return super().forward(inputs, data_samples, mode)
        base, bias = self.base(torch.stack(list(inputs))), self.head.bias
        return {"loss_toy": 7.0 + 3 * (bias - bias.detach()).sum() + 0 * base.sum()}


def warnings_of(cfg, monkeypatch):
    runner = build_runner(cfg)
    said = []
    monkeypatch.setattr(runner.logger, "warning", lambda text, *_: said.append(text))
    runner.train()
    return [text for text in said if "flat" in text], runner


def flat(tmp_path, model, **options):
    cfg = toy_config(tmp_path, epochs=3, model={"type": model})
    cfg.custom_hooks.append({"type": "FlatLossHook", "window": 3, "until": 1.0, **options})
    return cfg


def test_a_flat_loss_is_reported_once_with_norms(tmp_path, monkeypatch):
    said, _ = warnings_of(flat(tmp_path, "ToyModelWithoutSlope"), monkeypatch)
    assert len(said) == 1
    assert "the loss is flat: 7, then 7 over 3 steps each" in said[0]
    assert "Gradient norm per group: 0 3" in said[0]


def test_a_loss_that_falls_is_no_news(tmp_path, monkeypatch):
    cfg = flat(tmp_path, "ToyModel", min_drop=0.0, window=4)
    cfg.optim_wrapper.optimizer.lr = 0.05
    said, _ = warnings_of(cfg, monkeypatch)
    assert not said


@pytest.mark.slow
def test_speaking_changes_nothing(tmp_path, monkeypatch):
    runs = [
        warnings_of(flat(tmp_path / str(until), "ToyModel", min_drop=0.99, until=until), monkeypatch)
        for until in (0.1, 1.0)
    ]
    assert [len(said) for said, _ in runs] == [0, 1]
    states = [runner.model.state_dict() for _, runner in runs]
    assert all(torch.equal(states[0][key], states[1][key]) for key in states[0])


def test_the_share_of_matched_queries_is_elements_over_queries(tmp_path, monkeypatch):
    class Queries(torch.nn.Module):
        num_instances = 50

    class Elements(Hook):
        priority = "VERY_HIGH"

        def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None):
            for sample, count in zip(data_batch["data_samples"], (5, 0), strict=True):
                sample.set_field(range(count), "gt_instances")

    runner = build_runner(flat(tmp_path, "ToyModelWithoutSlope"))
    runner.model.map_queries = Queries()
    runner.register_hook(Elements())
    said = []
    monkeypatch.setattr(runner.logger, "warning", lambda text, *_: said.append(text))
    runner.train()
    assert [text for text in said if "matched queries: 5.0 %" in text]


@pytest.mark.parametrize("options", [{"window": 1}, {"min_drop": 1.0}, {"until": 0.0}])
def test_arguments_out_of_range_are_refused(options):
    with pytest.raises(MapLLaVAError, match="needs window >= 2"):
        FlatLossHook(**options)
