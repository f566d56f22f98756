"""A signal saves and ends the run; a resumed run is the run that was not stopped."""

import multiprocessing
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from mmengine.hooks import Hook
from toy import ToyNoise, toy_config

from mapllava.engine import build_runner
from mapllava.engine.hooks.run_checkpoint_hook import latest_checkpoint
from mapllava.registry import TRANSFORMS

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
    assert torch.load(tmp_path / "final_model.pth", weights_only=True)["meta"]["iter"] == 4

    again.train_dataloader.batch_size = 3
    again.load_from = str(tmp_path / "odd.pth")
    saved = torch.load(tmp_path / "checkpoint_epoch_1.pth", weights_only=True)
    saved["meta"].update(batch=2, samples_per_step=2)
    torch.save(saved, again.load_from)
    with pytest.raises(MapLLaVAError, match=r"4 samples of its epoch .* no whole number of batches of 3"):
        build_runner(again).train()


FORK = multiprocessing.get_context("fork")


@TRANSFORMS.register_module()
class Freezing(ToyNoise):
    """Its data worker stops in the third batch of epoch 2, as on a hung disk."""

    calls = 0

    def __init__(self, here):
        self.here = here

    def __call__(self, results):
        Freezing.calls += 1
        if Freezing.calls == 13:
            Path(self.here).touch()
            os.kill(os.getpid(), signal.SIGSTOP)
        return super().__call__(results)


class Stuck(Hook):
    """A step that does not end."""

    def __init__(self, here):
        self.here = here

    def before_train_iter(self, runner, batch_idx, data_batch=None):
        self.here.touch()
        while True:
            time.sleep(0.01)


class SlowToSave(Stuck):
    """A step of half a second, and three to save."""

    def before_train_iter(self, runner, batch_idx, data_batch=None):
        self.here.touch()
        time.sleep(0.5)

    def before_save_checkpoint(self, runner, checkpoint):
        time.sleep(3)


def run_alone(folder, hook, patience):
    """In a forked process."""
    os.dup2(os.open(folder / "said", os.O_CREAT | os.O_WRONLY), 2)
    cfg = toy_config(folder / "run", epochs=2, workers=int(hook is None), persistent=hook is None)
    if hook is None:
        cfg.train_dataloader.dataset.pipeline = [{"type": "Freezing", "here": str(folder / "here")}]
    cfg.custom_hooks.append({"type": "GracefulStopHook", "patience": patience})
    runner = build_runner(cfg)
    if hook is not None:
        runner.register_hook(hook(folder / "here"))
    runner.train()


def started(folder, hook=None, patience=600):
    """A run in a process of its own, which has come to the place where it hangs."""
    process = FORK.Process(target=run_alone, args=(folder, hook, patience))
    process.start()
    while not (folder / "here").exists():
        assert process.is_alive(), (folder / "said").read_text()
        time.sleep(0.02)
    return process


def ended(folder, process):
    """Its status and what it said; it must have ended by itself."""
    process.join(120)
    process.kill()
    text = (folder / "said").read_text()
    assert "Traceback" not in text
    return process.exitcode, text


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM"])
def test_a_second_signal_leaves_at_once(tmp_path, name):
    number = signal.Signals[name]
    process = started(tmp_path, Stuck)
    os.kill(process.pid, number)
    time.sleep(0.3)
    assert process.is_alive(), "the first one waits for the step"
    os.kill(process.pid, number)
    status, text = ended(tmp_path, process)
    assert status == 128 + number
    assert "saving after this step" in text
    assert "leaving at once, without saving" in text


def test_a_step_that_does_not_end_is_left(tmp_path):
    process = started(tmp_path, Stuck, patience=0.5)
    os.kill(process.pid, signal.SIGTERM)
    status, text = ended(tmp_path, process)
    assert status == 128 + signal.SIGTERM
    assert "the step does not end, leaving without it; the newest checkpoint is none" in text


def test_a_save_may_take_longer_than_a_step(tmp_path):
    process = started(tmp_path, SlowToSave, patience=0.5)
    os.kill(process.pid, signal.SIGTERM)
    assert ended(tmp_path, process)[0] == 128 + signal.SIGTERM
    assert latest_checkpoint(tmp_path / "run").name == "checkpoint_epoch_1_step_1.pth"


def test_a_run_whose_data_worker_is_frozen_saves_at_once_and_goes_on_exactly(tmp_path, whole):
    """It waits for the third batch of epoch 2, or on a busy machine is about to."""
    process = started(tmp_path)
    while latest_checkpoint(tmp_path / "run") is None:
        time.sleep(0.02)
    time.sleep(1.5)  # validation, and the two batches that are ready
    os.kill(process.pid, signal.SIGTERM)
    assert ended(tmp_path, process)[0] == 128 + signal.SIGTERM
    saved = latest_checkpoint(tmp_path / "run")
    again = config(tmp_path / "run")
    again.resume, again.load_from = True, str(saved)
    build_runner(again).train()
    assert_equal_runs(final(whole), final(tmp_path / "run"))


@pytest.mark.slow
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
            _, text = process.communicate(timeout=600)
        except subprocess.TimeoutExpired:
            process.kill()
            pytest.fail("the run is over, but its process does not end")
    assert process.returncode == int(fails)
    assert ("a defect" in text) == fails
