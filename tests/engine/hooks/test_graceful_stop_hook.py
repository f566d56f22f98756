"""A signal saves and ends the run; a resumed run is the run that was not stopped."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from mmengine.hooks import Hook
from toy import toy_config

from mapllava.engine import build_runner
from mapllava.engine.hooks.run_checkpoint_hook import latest_checkpoint

ROOT = Path(__file__).parents[3]


class Signal(Hook):
    """Sends this process a signal within a step of training or validation."""

    def __init__(self, number, step=None, val_step=None):
        self.number, self.step, self.val_step = number, step, val_step

    def before_train_iter(self, runner, batch_idx, data_batch=None):
        if runner.iter == self.step:
            os.kill(os.getpid(), self.number)

    def before_val_iter(self, runner, batch_idx, data_batch=None):
        if batch_idx == self.val_step:
            os.kill(os.getpid(), self.number)


def config(tmp_path, **changes):
    cfg = toy_config(tmp_path, epochs=2, **changes)
    cfg.custom_hooks.append({"type": "GracefulStopHook"})
    return cfg


def stop(cfg, hook):
    runner = build_runner(cfg)
    runner.register_hook(hook)
    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(SystemExit) as status:
        runner.train()
    assert signal.getsignal(signal.SIGINT) is before, "the handler is given back"
    return status.value.code


def final(folder):
    return torch.load(folder / "final_model.pth", weights_only=True)


def assert_equal_runs(left, right):
    for part in ("state_dict", "ema_state_dict"):
        assert all(torch.equal(left[part][key], right[part][key]) for key in left[part]), part


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """The run that nobody stops."""
    folder = tmp_path_factory.mktemp("whole")
    build_runner(config(folder)).train()
    return folder


@pytest.mark.parametrize(
    ("where", "saved", "workers"),
    [
        ({"step": 5}, "checkpoint_epoch_2_step_2.pth", 0),
        ({"step": 5}, "checkpoint_epoch_2_step_2.pth", 2),
        ({"step": 3}, "checkpoint_epoch_1.pth", 0),
        ({"val_step": 1}, "checkpoint_epoch_1.pth", 0),
    ],
)
def test_a_stopped_run_goes_on_as_if_it_had_not_been(tmp_path, whole, where, saved, workers):
    code = stop(config(tmp_path, workers=workers), Signal(signal.SIGTERM, **where))
    assert code == 128 + signal.SIGTERM
    assert latest_checkpoint(tmp_path).name == saved
    again = config(tmp_path, workers=workers)
    again.resume, again.load_from = True, str(tmp_path / saved)
    build_runner(again).train()
    assert_equal_runs(final(whole), final(tmp_path))
    assert (whole / "metrics.json").read_text() == (tmp_path / "metrics.json").read_text()
    assert not list(tmp_path.glob("*_step_*")), "superseded by its epoch's"


def test_it_stops_after_an_update_of_accumulated_gradients(tmp_path):
    cfg = config(tmp_path)
    cfg.optim_wrapper.accumulative_counts = 2
    assert stop(cfg, Signal(signal.SIGINT, step=4)) == 128 + signal.SIGINT
    assert latest_checkpoint(tmp_path).name == "checkpoint_epoch_2_step_2.pth", "step 1 is half an update"


def test_another_batch_size_goes_on_at_the_same_sample_or_refuses(tmp_path):
    from mapllava.errors import MapLLaVAError

    stop(config(tmp_path), Signal(signal.SIGINT, step=5))
    again = config(tmp_path)
    again.resume, again.load_from = True, str(latest_checkpoint(tmp_path))
    again.train_dataloader.batch_size = 4
    runner = build_runner(again)
    runner.train()
    assert torch.load(tmp_path / "final_model.pth", weights_only=True)["meta"]["iter"] == 6 + 1

    again.train_dataloader.batch_size = 3
    again.load_from = str(tmp_path / "odd.pth")
    saved = torch.load(tmp_path / "checkpoint_epoch_1.pth", weights_only=True)
    saved["meta"].update(batch=2, samples_per_step=2)
    torch.save(saved, again.load_from)
    with pytest.raises(MapLLaVAError, match=r"4 samples of its epoch .* no whole number of batches of 3"):
        build_runner(again).train()


def test_a_second_interrupt_leaves_at_once(tmp_path):
    """In a process of its own: the step never ends."""
    script = tmp_path / "run.py"
    script.write_text(
        f"""
import sys, time
from pathlib import Path
sys.path[:0] = [{str(ROOT)!r}, {str(ROOT / "tests" / "engine")!r}]
from mmengine.hooks import Hook
from toy import toy_config
from mapllava.engine import build_runner
class Stuck(Hook):
    def before_train_iter(self, runner, batch_idx, data_batch=None):
        Path({str(tmp_path / "here")!r}).touch()
        while True:
            time.sleep(0.01)
cfg = toy_config(Path({str(tmp_path / "run")!r}))
cfg.custom_hooks.append(dict(type="GracefulStopHook"))
runner = build_runner(cfg)
runner.register_hook(Stuck())
runner.train()
"""
    )
    process = subprocess.Popen([sys.executable, script], stderr=subprocess.PIPE, text=True)
    try:
        while not (tmp_path / "here").exists():
            assert process.poll() is None
            time.sleep(0.05)
        process.send_signal(signal.SIGINT)
        time.sleep(0.3)
        assert process.poll() is None, "the first one waits for the step"
        process.send_signal(signal.SIGINT)
        _, text = process.communicate(timeout=30)
    finally:
        process.kill()
    assert process.returncode == 130
    assert "saving after this step" in text
    assert "leaving at once, without saving" in text
    assert "Traceback" not in text


@pytest.mark.parametrize("fails", [False, True], ids=["ends", "fails"])
def test_workers_do_not_keep_a_run_that_is_over(tmp_path, fails):
    """In a process of its own, whose exit waits for its workers."""
    script = tmp_path / "run.py"
    script.write_text(
        f"""
import sys
from pathlib import Path
sys.path[:0] = [{str(ROOT)!r}, {str(ROOT / "tests" / "engine")!r}]
from mmengine.hooks import Hook
from toy import toy_config
from mapllava.engine import build_runner
class Fails(Hook):
    def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None):
        if {fails}:
            raise ValueError("a defect")
cfg = toy_config(Path({str(tmp_path / "run")!r}), workers=2, persistent=True)
cfg.custom_hooks.append(dict(type="GracefulStopHook"))
runner = build_runner(cfg)
runner.register_hook(Fails())
runner.train()
"""
    )
    with subprocess.Popen([sys.executable, script], stderr=subprocess.PIPE, text=True) as process:
        try:
            _, text = process.communicate(timeout=60)
        except subprocess.TimeoutExpired:
            process.kill()
            subprocess.run(["pkill", "-KILL", "-f", str(script)], check=False)
            pytest.fail("the run is over, but its process does not end")
    assert process.returncode == int(fails)
    assert ("a defect" in text) == fails
