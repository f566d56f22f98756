"""Processes that die, stall or run out of memory: the others say so, and nothing hangs."""

import multiprocessing
import os
import signal
import socket
import sys
import time
from pathlib import Path

import pytest
import torch
from mmengine.hooks import Hook

ROOT = Path(__file__).parents[2]

from toy import ToyModel, ToyNoise, toy_config  # noqa: E402

from mapllava.cli.exit_status import exit_status  # noqa: E402
from mapllava.engine import build_runner  # noqa: E402
from mapllava.engine.hooks import StepTimeoutHook  # noqa: E402
from mapllava.errors import MapLLaVAError  # noqa: E402
from mapllava.registry import MODELS, TRANSFORMS  # noqa: E402

FORK = multiprocessing.get_context("fork")


class Fault(Hook):
    """What happens to rank 1 at a step."""

    def __init__(self, happen, at=2):
        self.happen, self.at = happen, at

    def before_train_iter(self, runner, batch_idx, data_batch=None):
        if os.environ["RANK"] == "1" and runner.iter == self.at:
            self.happen(runner)


class SlowEpochEnd(Hook):
    seconds = 6

    def after_train_epoch(self, runner):
        time.sleep(self.seconds)
        self.seconds = 0


def die(runner):
    os.kill(os.getpid(), signal.SIGKILL)


def stall(runner):
    time.sleep(1000)


def be_slow_between_epochs(runner):
    runner.register_hook(SlowEpochEnd(), priority="LOWEST")


def enter(rank, port, folder, fault, timeout, within):
    """One of two ranks, in a process of its own; what it says goes to a file."""
    torch.set_num_threads(1)
    os.environ.update(
        WORLD_SIZE="2", MASTER_ADDR="127.0.0.1", MASTER_PORT=str(port), RANK=str(rank), LOCAL_RANK=str(rank)
    )
    os.environ["CUDA_VISIBLE_DEVICES"] = ""
    sys.stderr = (folder / f"said_{rank}").open("w", buffering=1)
    cfg = toy_config(folder / "run", epochs=4)
    cfg.launcher = "pytorch"
    cfg.env_cfg = {"dist_cfg": {"backend": "gloo", "timeout": timeout}}
    cfg.custom_hooks.append({"type": "StepTimeoutHook", "seconds": within})

    def main():
        runner = build_runner(cfg)
        runner.register_hook(fault)
        runner.train()
        return 0

    os._exit(exit_status(main))


def end_of_first(tmp_path, fault, ranks=(0, 1), timeout=8, within=60):
    """Start two ranks of which 1 has a fault; the status of rank 0 and what it said."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    processes = [
        FORK.Process(target=enter, args=(rank, port, tmp_path, fault, timeout, within)) for rank in ranks
    ]
    for process in processes:
        process.start()
    processes[0].join(600)
    for process in processes:
        process.kill()
        process.join()
    return processes[0].exitcode, (tmp_path / "said_0").read_text()


@pytest.mark.slow
@pytest.mark.parametrize("fault", [die, stall], ids=["killed", "stalls"])
def test_the_other_rank_ends_and_names_the_one_that_is_missing(tmp_path, fault):
    status, text = end_of_first(tmp_path, Fault(fault))
    assert status == 2
    message = text[text.index("error: ") :]
    assert "rank 0 waited for the other processes at step 3 in vain: rank 1 does not answer" in message
    assert "env_cfg.dist_cfg.timeout" in message
    assert "Traceback" not in text


@pytest.mark.slow
def test_within_an_epoch_a_stalled_rank_is_noticed_sooner(tmp_path):
    """end_of_first gives up long before the ten minutes that the run as a whole may wait."""
    status, text = end_of_first(tmp_path, Fault(stall, at=3), timeout=600, within=5)
    assert status == 2
    assert "waited for the other processes at step 4 in vain: rank 1 does not answer" in text


@pytest.mark.slow
def test_between_epochs_the_longer_wait_holds(tmp_path):
    status, text = end_of_first(tmp_path, Fault(be_slow_between_epochs), timeout=60, within=3)
    assert status == 0, text


def test_a_wait_that_is_none_is_refused():
    with pytest.raises(MapLLaVAError, match=r"StepTimeoutHook\(seconds=0\)"):
        StepTimeoutHook(seconds=0)


@pytest.mark.slow
def test_a_rank_that_never_comes_is_an_error_with_the_address(tmp_path):
    status, text = end_of_first(tmp_path, Fault(lambda runner: None), ranks=(0,))
    assert status == 2
    assert "rank 0 of 2 did not meet the others at 127.0.0.1:" in text
    assert "Traceback" not in text


@TRANSFORMS.register_module(force=True)
class FaultyNoise(ToyNoise):
    def __init__(self, fault):
        self.fault = fault

    def __call__(self, results):
        if results["sample_idx"] == 5 and self.fault == "dies":
            os.kill(os.getpid(), signal.SIGKILL)
        if results["sample_idx"] == 5:
            raise MapLLaVAError("image 'samples/a.jpg' (CAM_FRONT) is cut short: copy it again")
        return super().__call__(results)


def faulty(tmp_path, fault, workers):
    cfg = toy_config(tmp_path, epochs=1, workers=workers)
    cfg.train_dataloader.dataset.pipeline = [{"type": "FaultyNoise", "fault": fault}]
    return build_runner(cfg)


def test_a_worker_that_dies_is_reported_with_what_to_try(tmp_path):
    with pytest.raises(MapLLaVAError, match=r"(?s)process that reads the data died.*shm.*num_workers=0"):
        faulty(tmp_path, "dies", 2).train()


@pytest.mark.parametrize("workers", [0, 2])
def test_a_broken_image_names_the_file_and_nothing_else(tmp_path, workers):
    with pytest.raises(MapLLaVAError) as caught:
        faulty(tmp_path, "broken", workers).train()
    assert str(caught.value) == "image 'samples/a.jpg' (CAM_FRONT) is cut short: copy it again"
    assert not multiprocessing.active_children(), "the workers have ended with the run"


@MODELS.register_module(force=True)
class ToyModelTooLarge(ToyModel):
    error = torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")

    def forward(self, inputs, data_samples=None, mode="tensor"):
        raise self.error


@pytest.mark.parametrize("kind", ["gpu", "cpu"])
def test_out_of_memory_says_what_to_lower(tmp_path, monkeypatch, kind):
    if kind == "cpu":
        error = RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes")
        monkeypatch.setattr(ToyModelTooLarge, "error", error)
    runner = build_runner(toy_config(tmp_path, model={"type": "ToyModelTooLarge"}))
    with pytest.raises(MapLLaVAError) as caught:
        runner.train()
    text = str(caught.value)
    assert text.startswith("out of memory at step 1: ")
    assert "weights, gradients and optimiser alone take 0.00 GiB" in text
    assert "train_dataloader.batch_size=1 optim_wrapper.accumulative_counts=2" in text
    assert "gradient_checkpointing=True" in text
    assert "--amp" in text


def test_a_defect_is_not_explained_away(tmp_path, monkeypatch):
    monkeypatch.setattr(ToyModelTooLarge, "error", RuntimeError("shapes do not fit"))
    with pytest.raises(RuntimeError, match="shapes do not fit"):
        build_runner(toy_config(tmp_path, model={"type": "ToyModelTooLarge"})).train()
