import pytest
import torch
from toy import ToyModel, toy_config

from mapllava.engine import build_runner
from mapllava.engine.hooks import NonFiniteLossHook
from mapllava.errors import MapLLaVAError
from mapllava.registry import MODELS


@MODELS.register_module(force=True)
class ToyModelThatBreaks(ToyModel):
    """Its second loss term is NaN from the third batch on."""

    def forward(self, inputs, data_samples=None, mode="tensor"):
        out = super().forward(inputs, data_samples, mode)
        if mode == "loss":
            self.calls = getattr(self, "calls", 0) + 1
            bad = torch.tensor(float("nan")) if self.calls > 2 else torch.tensor(0.0)
            out["loss_bad"] = out["loss_toy"] * bad
        return out


def test_the_run_stops_names_term_and_samples_and_keeps_the_batch(tmp_path):
    runner = build_runner(toy_config(tmp_path, model={"type": "ToyModelThatBreaks"}))
    with pytest.raises(MapLLaVAError, match=r"epoch 1, step 3: .*loss_bad.*samples: s\d, s\d") as caught:
        runner.train()
    assert "loss_toy" not in str(caught.value).split("samples")[0]
    saved = torch.load(tmp_path / "nonfinite_iter_3_rank_0.pth", weights_only=True)
    assert len(saved["samples"]) == 2
    assert torch.stack(saved["batch"]["inputs"]).shape == (2, 4)
    assert all(value.isfinite().all() for value in saved["state_dict"].values())
    assert all(value.isfinite().all() for value in runner.model.state_dict().values())


@MODELS.register_module(force=True)
class ToyModelThatOverflows(ToyModel):
    """From the third batch on, the base's output is infinite, or only its gradient."""

    def __init__(self, where="forward", **kwargs):
        super().__init__(**kwargs)
        self.where, self.calls = where, 0
        self.base.register_forward_hook(self._break)

    def _break(self, module, inputs, output):
        self.calls += self.training
        if self.calls <= 2 or not self.training:
            return output
        if self.where == "forward":
            return output / 0
        return output + (output * 0).square().sum().sqrt()  # the root's slope at 0 is infinite


def toy(tmp_path, where, **options):
    cfg = toy_config(tmp_path, model={"type": "ToyModelThatOverflows", "where": where}, epochs=1)
    cfg.optim_wrapper.clip_grad = {"max_norm": 1.0}
    cfg.custom_hooks = [
        {**hook, **(options if hook["type"] == "NonFiniteLossHook" else {})} for hook in cfg.custom_hooks
    ]
    return build_runner(cfg)


@pytest.mark.parametrize(
    ("where", "words"),
    [
        ("forward", r"step 3: .*first in the output of base; samples: s"),
        ("backward", r"step 3: grad_norm, first in the gradient at base; samples: s"),
    ],
)
def test_the_first_module_is_named(tmp_path, where, words):
    runner = toy(tmp_path, where)
    with pytest.raises(MapLLaVAError, match=words):
        runner.train()
    weights = [*runner.model.parameters()]
    assert all(value.isfinite().all() for value in weights), "no step was made"


def test_batches_are_left_out_where_wanted_counted_and_bounded(tmp_path, caplog):
    runner = toy(tmp_path, "backward", max_skips=1)
    with pytest.raises(MapLLaVAError, match=r"step 4: .*max_skips"):
        runner.train()
    assert runner.message_hub.get_info("nonfinite_skipped") == 1
    assert not (tmp_path / "nonfinite_iter_3_rank_0.pth").exists()
    assert (tmp_path / "nonfinite_iter_4_rank_0.pth").exists()


@MODELS.register_module(force=True)
class ToyModelWithABadStep(ToyModel):
    """The gradient of the steps named is infinite."""

    def __init__(self, steps=(), **kwargs):
        super().__init__(**kwargs)
        self.steps, self.calls = set(steps), 0

    def forward(self, inputs, data_samples=None, mode="tensor"):
        out = super().forward(inputs, data_samples, mode)
        if mode == "loss":
            self.calls += 1
            out["loss_bad"] = self.head.weight.sum() * (float("nan") if self.calls in self.steps else 0.0)
        return out


def test_an_update_that_is_left_out_counts_once_and_its_batches_leave_no_trace(tmp_path):
    """Two of three batches of the first update are broken; the epoch's second update has one batch."""
    cfg = toy_config(tmp_path, model={"type": "ToyModelWithABadStep", "steps": [1, 2]}, epochs=1)
    cfg.optim_wrapper.accumulative_counts = 3
    cfg.optim_wrapper.optimizer = {"type": "SGD", "lr": 0.0, "weight_decay": 0.0}
    cfg.custom_hooks = [{"type": "WarmupEMAHook"}, {"type": "NonFiniteLossHook", "max_skips": 1}]
    cfg.param_scheduler = [{"type": "LinearLR", "by_epoch": False, "end": 2, "start_factor": 0.5}]
    runner = build_runner(cfg)
    runner.train()
    assert runner.message_hub.get_info("nonfinite_skipped") == 1
    ema = next(hook for hook in runner.hooks if type(hook).__name__ == "WarmupEMAHook")
    assert ema.average.updates == 1, "no average of an update that was not made"
    assert runner.param_schedulers[0]._global_step == 2, "the schedule counts it"


def test_updates_left_out_are_counted_through_a_resume(tmp_path):
    def run(steps, **changes):
        cfg = toy_config(tmp_path, model={"type": "ToyModelWithABadStep"}, epochs=2, **changes)
        hook = next(hook for hook in cfg.custom_hooks if hook["type"] == "NonFiniteLossHook")
        hook["max_skips"] = 2
        runner = build_runner(cfg)
        runner.model.steps = set(steps)
        return runner

    first = run([2, 6])
    first.train()
    assert first.message_hub.get_info("nonfinite_skipped") == 2
    checkpoint = str(tmp_path / "checkpoint_epoch_1.pth")  # one of them behind it
    resumed = run([1, 3], resume=True, load_from=checkpoint)
    with pytest.raises(MapLLaVAError, match=r"epoch 2, step 7: .*loss_bad"):
        resumed.train()
    assert resumed.message_hub.get_info("nonfinite_skipped") == 2


def test_a_batch_that_spoils_running_statistics_cannot_be_left_out(tmp_path):
    with pytest.raises(MapLLaVAError, match="step 3"):
        toy(tmp_path, "forward", max_skips=5).train()


def test_weights_that_are_not_finite_are_not_got_rid_of_by_leaving_out_batches(tmp_path):
    runner = toy(tmp_path, "none", max_skips=5)
    torch.nn.init.constant_(runner.model.head.bias, float("nan"))
    with pytest.raises(MapLLaVAError, match=r"step 1: .*loss_toy"):
        runner.train()


def test_a_negative_number_of_skips_is_refused():
    with pytest.raises(MapLLaVAError, match="max_skips is -1"):
        NonFiniteLossHook(max_skips=-1)
