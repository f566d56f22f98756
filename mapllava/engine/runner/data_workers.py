"""Data workers do not outlive the run, however it ends."""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Callable
from functools import partial
from typing import Any

from torch.utils.data import DataLoader


def end_workers(loader: Any) -> None:
    """End a loader's persistent workers; the next iteration starts new ones.

    Left to the interpreter's exit, each is waited for five seconds and then terminated, which PyTorch reports
    as the death of a worker, behind the run's last line.

    Args:
        loader: A data loader, or anything else, which is left alone.
    """
    # PyTorch has no public names for the iterator of persistent workers and for its end
    iterator = getattr(loader, "_iterator", None)
    # a loader without workers has an iterator without this
    if iterator is not None and hasattr(iterator, "_shutdown_workers"):
        iterator._shutdown_workers()  # waits for them
        loader._iterator = None  # so that the next pass starts new ones


def start_with_parent(loader: DataLoader) -> None:
    """Let a loader's workers start only while the process that wants them lives.

    PyTorch's workers watch their parent's number from when they have started: one whose parent dies before
    would wait for the next batch for ever, with all that it holds.

    Args:
        loader: It is changed.
    """
    loader.worker_init_fn = partial(_start, loader.worker_init_fn)


def _start(initialise: Callable[[int], None] | None, worker: int) -> None:
    parent = multiprocessing.parent_process()
    # a fork server's workers are its children, not the run's
    served = "ForkServer" in type(multiprocessing.current_process()).__name__
    if parent is not None and not served and os.getppid() != parent.pid:
        os._exit(1)
    if initialise is not None:
        initialise(worker)
