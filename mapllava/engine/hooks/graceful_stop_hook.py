"""Saves and ends a run that is asked to stop."""

from __future__ import annotations

import atexit
import os
import signal
import sys
import threading
from typing import Any

import torch
from mmengine.device import get_device
from mmengine.dist import all_reduce, get_world_size
from mmengine.hooks import Hook
from mmengine.runner import Runner
from torch import Tensor
from torch.utils.data import DataLoader

from mapllava.engine.hooks.run_checkpoint_hook import RunCheckpointHook, latest_checkpoint
from mapllava.registry import HOOKS

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


@HOOKS.register_module()
class GracefulStopHook(Hook):
    """On SIGINT or SIGTERM: finishes the update, saves, and exits with 128 plus the signal's number.

    All processes stop after the same step, whichever of them got the signal. During validation
    nothing needs saving: its epoch's checkpoint is there already, and a resumed run validates again.
    A second SIGINT leaves at once, without saving. Data workers outlive the signal, which a
    terminal or a batch system sends to all processes of a job, until the run itself ends.
    """

    priority = "LOWEST"

    def __init__(self) -> None:
        self.signal = 0
        self._previous: dict[int, Any] = {}
        self._pid = 0
        self._over = torch.zeros((), dtype=torch.bool).share_memory_()  # the workers see it, too

    def before_train(self, runner: Runner) -> None:
        """Take charge of the signals; a run in another thread than the main one cannot."""
        self.signal, self._pid = 0, os.getpid()
        if threading.current_thread() is not threading.main_thread():
            return
        self._previous = {number: signal.signal(number, self._note) for number in _SIGNALS}
        self._over.fill_(False)
        atexit.register(self._over.fill_, True)  # before multiprocessing ends workers, however the run ended
        loaders = [runner.train_dataloader, *([runner.val_dataloader] if runner.val_loop else [])]
        for loader in loaders:
            _spare_workers(loader, self._over)

    def after_train_iter(
        self, runner: Runner, batch_idx: int, data_batch: Any = None, outputs: Any = None
    ) -> None:
        """Save and leave, where any process has got a signal and the weights are up to date.

        Raises:
            SystemExit: With 128 plus the signal's number.
        """
        if not runner.optim_wrapper.should_update():
            return
        number = self._agreed()
        if not number:
            return
        saver = next((hook for hook in runner.hooks if isinstance(hook, RunCheckpointHook)), None)
        able = hasattr(runner.train_loop, "start_batch")
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

    def _leave_with_latest(self, runner: Runner) -> None:
        number = self._agreed()
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

    def _note(self, number: int, frame: Any) -> None:
        """The handler; forked workers have it as well, and only their run decides."""
        if os.getpid() != self._pid:
            return
        if self.signal == signal.SIGINT and number == signal.SIGINT:
            os.write(2, b"interrupted again: leaving at once, without saving\n")
            os._exit(128 + number)
        self.signal = number
        name = signal.Signals(number).name
        os.write(2, f"{name}: saving after this step, then leaving; Ctrl-C leaves at once\n".encode())

    def _leave(self, runner: Runner, number: int, saved: str | None) -> None:
        self._restore()
        name = signal.Signals(number).name
        saved = f"{saved} is saved" if saved else "nothing was saved"
        runner.logger.warning(f"Stopped by {name}: {saved}; go on with --resume auto in {runner.work_dir}")
        sys.stdout.flush()
        raise SystemExit(128 + number)

    def _restore(self) -> None:
        self._over.fill_(True)
        for number, handler in self._previous.items():
            signal.signal(number, handler)
        self._previous = {}


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
