"""Data workers do not outlive the run."""

import multiprocessing
import os
import time

import pytest
from torch.utils.data import DataLoader
from toy import toy_config

from mapllava.engine import build_runner
from mapllava.engine.runner.data_workers import end_workers

FORK = multiprocessing.get_context("fork")


def test_persistent_workers_end_and_start_again():
    loader = DataLoader(range(4), batch_size=2, num_workers=1, persistent_workers=True)
    assert len(list(loader)) == 2
    workers = loader._iterator._workers
    end_workers(loader)
    assert [worker.is_alive() for worker in workers] == [False]
    assert workers[0].exitcode == 0
    assert len(list(loader)) == 2
    end_workers(loader)


def test_what_has_no_workers_is_left_alone():
    end_workers(None)
    end_workers(DataLoader(range(4)))


def start_late(loader, pipe):
    """A worker that comes to itself after its parent's death."""
    while os.getppid() == multiprocessing.parent_process().pid:
        time.sleep(0.01)
    loader.worker_init_fn(0)
    pipe.send("goes on")


def die_while_starting(work_dir, pipe):
    loader = build_runner(toy_config(work_dir, workers=1)).build_train_loop({"max_epochs": 1}).dataloader
    FORK.Process(target=start_late, args=(loader, pipe)).start()
    pipe.send("dies")
    os._exit(0)


def test_a_worker_whose_run_dies_while_it_starts_ends(tmp_path):
    here, there = FORK.Pipe(duplex=False)
    FORK.Process(target=die_while_starting, args=(tmp_path / "run", there)).start()
    there.close()
    assert here.poll(600)
    assert here.recv() == "dies"
    assert here.poll(600), "the worker still waits"
    with pytest.raises(EOFError):  # nobody is left who could send anything
        here.recv()
