"""MMEngine's loop over epochs, which can start within one."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import Any

import torch
from mmengine.dist import broadcast_object_list
from mmengine.runner import EpochBasedTrainLoop
from torch.utils.data import DataLoader, Sampler

from mapllava.engine.accumulation import by_update
from mapllava.engine.hooks.run_folder_hook import RunFolderHook, validated_epochs
from mapllava.registry import LOOPS


@LOOPS.register_module()
class MapTrainLoop(EpochBasedTrainLoop):
    """An :class:`~mmengine.runner.EpochBasedTrainLoop` that resumes where the run was stopped.

    ``start_batch`` batches of the first epoch are passed over without reading their samples, and a
    validation that the stopped run still owed is made first.

    Where batches are accumulated, an epoch's last update has what batches are left: no update reaches
    into the next epoch, as with batches that are so much larger.
    """

    start_batch = 0

    def run(self) -> torch.nn.Module:
        """Train all epochs that are left; returns the model."""
        self.runner.call_hook("before_train")
        if self._validation_is_owed():
            self.runner.val_loop.run()
        while self._epoch < self._max_epochs and not self.stop_training:
            self.run_epoch()
            self._decide_current_val_interval()
            if self._validation_is_due():
                self.runner.val_loop.run()
        self.runner.call_hook("after_train")
        return self.runner.model

    def run_epoch(self) -> None:
        """Train the rest of an epoch."""
        self.runner.call_hook("before_train_epoch")
        self.runner.model.train()
        first, self.start_batch = self.start_batch, 0
        batches = len(self.dataloader) - first
        self.runner.optim_wrapper.initialize_count_status(self.runner.model, 0, batches)
        with without_first_batches(self.dataloader, first):
            for index, batch in enumerate(by_update(self.dataloader, self.runner), start=first):
                self.run_iter(index, batch)
        self.runner.call_hook("after_train_epoch")
        self._epoch += 1

    def _validation_is_due(self) -> bool:
        if self.runner.val_loop is None or self._epoch < self.val_begin:
            return False
        return self._epoch % self.val_interval == 0 or self._epoch == self._max_epochs

    def _validation_is_owed(self) -> bool:
        """A run resumed in its own folder has an epoch's checkpoint, but perhaps not its validation."""
        runner: Any = self.runner
        if self._epoch == 0 or self.start_batch or not getattr(runner, "_resume", False):
            return False
        recorded = any(isinstance(hook, RunFolderHook) for hook in runner.hooks)
        origin = Path(str(runner._load_from)).resolve().parent
        if not recorded or origin != Path(runner.work_dir).resolve():
            return False
        self._decide_current_val_interval()
        owed = [self._validation_is_due() and self._epoch not in validated_epochs(runner.work_dir)]
        broadcast_object_list(owed)  # another machine's processes may see no metrics.json, or an older one
        return owed[0]


@contextmanager
def without_first_batches(dataloader: DataLoader, count: int) -> Iterator[None]:
    """Within, iterating a dataloader leaves out its first batches; their samples are not read.

    Args:
        dataloader: One with a batch sampler over a sampler.
        count: How many.
    """
    batches: Any = dataloader.batch_sampler
    if not count:
        yield
        return
    whole = batches.sampler
    batches.sampler = _Rest(whole, count * batches.batch_size)
    try:
        yield
    finally:
        batches.sampler = whole


class _Rest(Sampler):
    """A sampler without its first samples, which reports the whole's length."""

    def __init__(self, whole: Any, skip: int) -> None:
        self.whole = whole
        self.skip = skip

    def __iter__(self) -> Iterator[int]:
        return islice(iter(self.whole), self.skip, None)

    def __len__(self) -> int:
        return len(self.whole)
