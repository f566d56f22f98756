"""Saves and ends a run that is asked to stop."""

from __future__ import annotations

import atexit
import inspect
import multiprocessing
import os
import signal
import sys
import threading
import time
from types import FrameType
from typing import Any

import torch
from mmengine.device import get_device
from mmengine.dist import all_reduce, get_world_size
from mmengine.hooks import Hook
from mmengine.runner import IterBasedTrainLoop, Runner
from torch import Tensor
from torch.utils.data import DataLoader

from mapllava.engine.distributed.fsdp2_wrapper import FSDP2Wrapper
from mapllava.engine.hooks.run_checkpoint_hook import RunCheckpointHook, latest_checkpoint
from mapllava.registry import HOOKS

_DATA_LOADER = inspect.getfile(DataLoader)  # its iterators stand there
_SIGNALS = (signal.SIGINT, signal.SIGTERM)
_ECHO = 1.0 if {"TORCHELASTIC_RUN_ID", "SLURM_JOB_ID"} & set(os.environ) else 0.0
"""Seconds within which a signal is the launcher's copy of the first one, sent on to all processes."""


@HOOKS.register_module()
class GracefulStopHook(Hook):
    """On SIGINT or SIGTERM: finishes the update, saves, and exits with 128 plus the signal's number.

    All processes stop after the same step, whichever of them got the signal. One process that waits for a
    batch stops at once, as the batch may never come. A step that does not end is left after a while,
    without the other processes: who waits for a batch then saves, who is stuck elsewhere cannot. During
    validation nothing needs saving: its epoch's checkpoint is there already, and a resumed run validates
    again. A second signal leaves at once, without saving. Data workers outlive the signal, which a
    terminal or a batch system sends to all processes of a job, until the run itself ends.

    Args:
        patience: Seconds that a step gets to end, at least; it gets twice the time of the slowest so far.
            Writing a checkpoint may take as long as it takes.
    """

    priority = "LOWEST"

    def __init__(self, patience: float = 30.0) -> None:
        self.patience = patience
        self.signal = 0
        self._previous: dict[int, Any] = {}
        self._pid = 0
        self._over = torch.zeros((), dtype=torch.bool).share_memory_()  # the workers see it, too
        self._runner: Any = None
        self._left = threading.Event()
        self._noted = self._began = self._slowest = 0.0
        self._overdue = self._nudged = False
        self._updated: tuple[int, int] | None = None  # batch, and batches of the run, at the last update

    def before_train(self, runner: Runner) -> None:
        """Take charge of the signals; a run in another thread than the main one cannot."""
        self.signal, self._pid, self._runner = 0, os.getpid(), runner
        self._overdue = self._nudged = False
        self._left.clear()
        if threading.current_thread() is not threading.main_thread():
            return
        self._previous = {number: signal.signal(number, self._note) for number in _SIGNALS}
        self._over.fill_(False)
        atexit.register(self._over.fill_, True)  # before multiprocessing ends workers, however the run ended
        loaders = [runner.train_dataloader, *([runner.val_dataloader] if runner.val_loop else [])]
        for loader in loaders:
            _spare_workers(loader, self._over)

    def before_train_iter(self, runner: Runner, batch_idx: int, data_batch: Any = None) -> None:
        """A step begins."""
        self._began = time.monotonic()

    def after_train_iter(
        self, runner: Runner, batch_idx: int, data_batch: Any = None, outputs: Any = None
    ) -> None:
        """Save and leave, where any process has got a signal and the weights are up to date.

        Raises:
            SystemExit: With 128 plus the signal's number.
        """
        self._slowest = max(self._slowest, time.monotonic() - self._began)
        if not runner.optim_wrapper.should_update():
            return
        self._updated = batch_idx, runner.iter + 1
        number = self._agreed()
        if not number:
            return
        loop, saver = runner.train_loop, self._saver()
        able = hasattr(loop, "start_batch") or isinstance(loop, IterBasedTrainLoop)
        if saver is not None and able and not saver.is_last_train_iter_of_epoch(runner, batch_idx):
            self._leave(runner, number, saver.save_within_epoch(runner, batch_idx))
        elif saver is None or not able:
            latest = latest_checkpoint(runner.work_dir)
            self._leave(runner, number, latest.name if latest is not None else None)

    def after_train_epoch(self, runner: Runner) -> None:
        """Leave with the epoch's checkpoint; this hook comes after the one that writes it.

        Raises:
            SystemExit: With 128 plus the signal's number.
        """
        self._updated = None
        self._leave_with_latest(runner)

    def after_val_iter(
        self, runner: Runner, batch_idx: int, data_batch: Any = None, outputs: Any = None
    ) -> None:
        """Leave; a validation of a run that is training is made again when it goes on.

        Raises:
            SystemExit: With 128 plus the signal's number.
        """
        if self._previous:
            self._leave_with_latest(runner)

    def after_train(self, runner: Runner) -> None:
        """Give the signals back."""
        self._restore()

    def _leave_with_latest(self, runner: Runner, number: int | None = None) -> None:
        number = self._agreed() if number is None else number
        if number:
            latest = latest_checkpoint(runner.work_dir)
            self._leave(runner, number, latest.name if latest is not None else None)

    def _agreed(self) -> int:
        """The signal that any process has got, 0 for none."""
        if get_world_size() == 1:
            return self.signal
        got = torch.tensor([self.signal], device=get_device())
        all_reduce(got, op="max")
        return int(got)

    def _note(self, number: int, frame: FrameType | None) -> None:
        """The handler; forked workers have it as well, and only their run decides."""
        if os.getpid() != self._pid:
            return
        if self._nudged:
            self._nudged = False
            self._leave_waiting(frame)
            return
        if self.signal:
            if time.monotonic() - self._noted >= _ECHO:
                self._drop(number, f"{signal.Signals(number).name} again: leaving at once, without saving")
            return
        self.signal, self._noted = number, time.monotonic()
        if get_world_size() == 1:
            self._leave_waiting(frame)
        name = signal.Signals(number).name
        os.write(
            2, f"{name}: saving after this step, then leaving; a second signal leaves at once\n".encode()
        )
        threading.Thread(target=self._watch, daemon=True).start()

    def _leave_waiting(self, frame: FrameType | None) -> None:
        """Save and leave out of a wait for a batch: weights and optimiser are those of the last update."""
        saver, runner = self._saver(), self._runner
        if not _waits_for_batch(frame):
            return
        if self._updated is None or saver is None or not hasattr(runner.train_loop, "start_batch"):
            _kill_workers()
            self._leave_with_latest(runner, self.signal)
            return
        batch, iteration = self._updated
        if saver.is_last_train_iter_of_epoch(runner, batch):
            return  # the epoch's end and its checkpoint are next
        if get_world_size() > 1 and isinstance(runner.model, FSDP2Wrapper):
            return  # its weights are gathered by all processes or not at all
        saved = saver.save_within_epoch(runner, batch, iteration)
        _kill_workers()
        self._leave(runner, self.signal, saved)

    def _watch(self) -> None:
        """In a thread: the step may never end, nor the main thread come to handle a signal."""
        saver = self._saver()
        while not self._left.wait(self.patience if self._overdue else max(self.patience, 2 * self._slowest)):
            if saver is not None and saver.is_saving:
                continue
            if self._overdue:
                latest = latest_checkpoint(self._runner.work_dir)
                words = "the step does not end, leaving without it; the newest checkpoint is "
                words += latest.name if latest is not None else "none"
                self._drop(self.signal, f"{signal.Signals(self.signal).name}: {words}")
            self._overdue = self._nudged = True
            signal.pthread_kill(threading.main_thread().ident or 0, self.signal)

    @staticmethod
    def _drop(number: int, words: str) -> None:
        os.write(2, f"{words}\n".encode())
        for child in multiprocessing.active_children():
            child.kill()
        os._exit(128 + number)

    def _saver(self) -> RunCheckpointHook | None:
        return next((hook for hook in self._runner.hooks if isinstance(hook, RunCheckpointHook)), None)

    def _leave(self, runner: Runner, number: int, saved: str | None) -> None:
        self._restore()
        name = signal.Signals(number).name
        words = f"{saved} is saved; go on with --resume auto --work-dir {runner.work_dir}"
        runner.logger.warning(f"Stopped by {name}: {words if saved else 'nothing was saved'}")
        sys.stdout.flush()
        raise SystemExit(128 + number)

    def _restore(self) -> None:
        self._over.fill_(True)
        self._left.set()
        for number, handler in self._previous.items():
            signal.signal(number, handler)
        self._previous = {}


def _waits_for_batch(frame: FrameType | None) -> bool:
    while frame is not None:
        if frame.f_code.co_name == "__next__" and frame.f_code.co_filename == _DATA_LOADER:
            return True
        frame = frame.f_back
    return False


def _kill_workers() -> None:
    """A worker that hangs would be waited for, for ever."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)  # PyTorch's would report their deaths as an error
    for child in multiprocessing.active_children():
        child.kill()


def _spare_workers(loader: DataLoader, over: Tensor) -> None:
    if loader.num_workers and not isinstance(loader.worker_init_fn, _SparedWorker):
        loader.worker_init_fn = _SparedWorker(loader.worker_init_fn, over)


class _SparedWorker:
    """Starts a worker that outlives the first SIGTERM, which is its run's, until the run is over.

    Args:
        inner: What else the loader calls in a new worker, or None.
        over: () bool in shared memory, whether the run has ended.
    """

    def __init__(self, inner: Any, over: Tensor) -> None:
        self.inner = inner
        self.over = over
        self.warned = False

    def __call__(self, worker_id: int) -> None:
        """What the loader calls in the new worker."""
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.signal(signal.SIGTERM, self._terminated)
        if self.inner is not None:
            self.inner(worker_id)

    def _terminated(self, number: int, frame: Any) -> None:
        if self.warned or self.over:
            os._exit(128 + number)
        self.warned = True
