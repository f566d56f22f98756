"""Every kind of schedule counts updates of the weights: accumulated batches change none of them."""

import pytest
from mmengine.hooks import Hook
from mmengine.optim import _ParamScheduler
from toy import toy_config

from mapllava.engine import build_runner
from mapllava.errors import MapLLaVAError
from mapllava.registry import PARAM_SCHEDULERS


@PARAM_SCHEDULERS.register_module(force=True)
class HalfAt(_ParamScheduler):
    """A plug-in's own kind, whose argument no list of keys knows."""

    def __init__(self, optimizer, moment, **kwargs):
        self.moment = moment
        super().__init__(optimizer, "lr", **kwargs)

    def _get_value(self):
        factor = 0.5 if self.last_step == self.moment else 1.0
        return [group["lr"] * factor for group in self.optimizer.param_groups]


class Rates(Hook):
    """Learning rate and first beta that each update is made with."""

    def before_train(self, runner):
        self.seen = []

    def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None):
        if runner.optim_wrapper.should_update():
            group = runner.optim_wrapper.param_groups[0]
            self.seen.append((round(group["lr"], 9), round(group["betas"][0], 9)))

    priority = "VERY_HIGH"  # before schedules advance


BY_ITER = {"by_epoch": False}
CONVERTED = {"by_epoch": True, "convert_to_iter_based": True}
KINDS = {
    "milestones": dict(type="MultiStepLR", milestones=[3, 5], gamma=0.1, **BY_ITER),
    "steps": dict(type="StepLR", step_size=2, **BY_ITER),
    "restarts": dict(type="CosineRestartLR", periods=[2, 4], restart_weights=[1, 0.5], eta_min=0, **BY_ITER),
    "one cycle": dict(type="OneCycleLR", eta_max=0.1, total_steps=6, **BY_ITER),
    "power": dict(type="PolyLR", power=2, **BY_ITER),  # its end is the training's
    "exponential": dict(type="ExponentialLR", gamma=0.9, begin=1, **BY_ITER),
    "constant": dict(type="ConstantLR", factor=0.3, end=3, **BY_ITER),
    "linear": dict(type="LinearLR", start_factor=0.1, end=4, **BY_ITER),
    "momentum": dict(type="CosineAnnealingMomentum", T_max=5, eta_min=0.5, **BY_ITER),
    "plug-in": dict(type="HalfAt", moment=4, **BY_ITER),
    "converted cosine": dict(type="CosineAnnealingLR", eta_min=0, **CONVERTED),
    "converted milestones": dict(type="MultiStepLR", milestones=[1, 2], **CONVERTED),
    "by epoch": dict(type="StepLR", step_size=1, by_epoch=True),
    "plateau": dict(type="ReduceOnPlateauLR", monitor="mAP", rule="less", threshold=1e9, patience=1),
}


def rates(work_dir, batch, accumulated, *schedules):
    cfg = toy_config(work_dir, epochs=3, param_scheduler=[*schedules])
    cfg.train_dataloader.batch_size, cfg.optim_wrapper.accumulative_counts = batch, accumulated
    cfg.custom_hooks, cfg.default_hooks.checkpoint, seen = [], None, Rates()
    if not any(schedule["type"] == "ReduceOnPlateauLR" for schedule in schedules):
        cfg.val_dataloader = cfg.val_cfg = cfg.val_evaluator = None
    runner = build_runner(cfg)
    runner.register_hook(seen)
    runner.train()
    return seen.seen


@pytest.mark.parametrize("kind", KINDS)
def test_accumulated_batches_have_the_rates_of_the_larger_batch(tmp_path, kind):
    """Eight samples: three batches of two and one, as one of six and one of two."""
    whole = rates(tmp_path / "whole", 6, 1, KINDS[kind])
    accumulated = rates(tmp_path / "accumulated", 2, 3, KINDS[kind])
    assert len(whole) == 6, "three epochs, two updates each"
    assert accumulated == whole
    assert len(set(whole)) > 1, "the schedule does something"


def test_a_rate_drops_after_the_update_that_the_config_names(tmp_path):
    seen = rates(tmp_path, 2, 2, dict(type="MultiStepLR", milestones=[4], gamma=0.1, by_epoch=False))
    assert [rate for rate, _ in seen] == [0.01] * 4 + [0.001] * 2


def test_schedules_that_an_earlier_version_saved_in_batches_are_refused_where_that_matters(tmp_path):
    cfg = toy_config(tmp_path, schedule_unit="batch")
    build_runner(cfg)
    cfg.optim_wrapper.accumulative_counts = 4
    with pytest.raises(MapLLaVAError, match=r"(?s)schedule_unit='batch'.*Divide.*counts \(4\)"):
        build_runner(cfg)
