import pytest
import torch
from toy import toy_config

from mapllava.engine import build_runner
from mapllava.engine.hooks import WarmupEMAHook
from mapllava.errors import MapLLaVAError


def hook_of(runner):
    return next(hook for hook in runner.hooks if isinstance(hook, WarmupEMAHook))


def test_validation_and_checkpoint_see_the_average_and_training_goes_on_without(tmp_path):
    from mmengine.hooks import Hook

    seen = {}

    class Look(Hook):
        priority = "LOWEST"

        def after_train_epoch(self, runner):
            seen["trained"] = runner.model.head.weight.detach().clone()

        def before_val_iter(self, runner, batch_idx, data_batch=None):
            seen["validated"] = runner.model.head.weight.detach().clone()

        def after_val_epoch(self, runner, metrics=None):
            seen["after"] = runner.model.head.weight.detach().clone()

    runner = build_runner(toy_config(tmp_path, epochs=1))
    runner.register_hook(Look(), priority="LOWEST")
    runner.train()
    average = hook_of(runner).average.values["head.weight"]
    assert torch.equal(seen["validated"], average)
    assert not torch.equal(seen["trained"], average)
    assert torch.equal(seen["after"], seen["trained"])
    saved = torch.load(tmp_path / "final_model.pth", weights_only=True)
    assert torch.equal(saved["state_dict"]["head.weight"], average)
    assert torch.equal(saved["ema_state_dict"]["head.weight"], seen["trained"])
    assert "ema_state_dict" not in torch.load(tmp_path / "best_model.pth", weights_only=True)


def test_testing_a_checkpoint_uses_the_average(tmp_path):
    build_runner(toy_config(tmp_path, epochs=1)).train()
    saved = torch.load(tmp_path / "best_model.pth", weights_only=True)["state_dict"]
    runner = build_runner(toy_config(tmp_path / "test", load_from=str(tmp_path / "best_model.pth")))
    runner.test()
    assert torch.equal(runner.model.head.weight, saved["head.weight"])


def test_frozen_weights_are_not_copied_and_buffers_are_averaged(tmp_path):
    runner = build_runner(toy_config(tmp_path, epochs=1, model={"type": "ToyModel", "frozen": True}))
    runner.train()
    average = hook_of(runner).average.values
    assert not [name for name in average if name.startswith("base.")]
    assert {"norm.running_mean", "norm.running_var"} <= set(average)


def test_one_update_per_optimiser_step_with_accumulation(tmp_path):
    cfg = toy_config(tmp_path, epochs=1)
    cfg.optim_wrapper.accumulative_counts = 2
    runner = build_runner(cfg)
    runner.train()
    assert hook_of(runner).average.updates == 2


@pytest.mark.parametrize("options", [{"decay": 1.0}, {"decay": 0.0}, {"warmup": 0}])
def test_arguments_out_of_range_are_refused(options):
    with pytest.raises(MapLLaVAError, match="WarmupEMAHook"):
        WarmupEMAHook(**options)
