"""MMEngine's loop over epochs, which can start within one."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from typing import Any

import torch
from mmengine.dist import broadcast_object_list
from mmengine.hooks import EarlyStoppingHook, ParamSchedulerHook
from mmengine.runner import EpochBasedTrainLoop
from torch.utils.data import DataLoader

from mapllava.engine.hooks.run_folder_hook import RunFolderHook, validations
from mapllava.engine.optim.accumulation import by_update
from mapllava.engine.runner.run_state import is_resumed
from mapllava.engine.runner.visits import visits_of
from mapllava.errors import MapLLaVAError
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
        self._recall_validations()
        if self._validation_is_owed():
            self.runner.val_loop.run()
        if self.epoch >= self.max_epochs or self.stop_training:
            self.runner.logger.info(f"Nothing is left to train: {self.epoch} of {self.max_epochs} epochs are")
        while self.epoch < self.max_epochs and not self.stop_training:
            self.run_epoch()
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
        if first:
            pass_over(self.dataloader, first)
        with closing(by_update(self.dataloader, self.runner)) as by_one:
            for index, batch in enumerate(by_one, start=first):
                self.run_iter(index, batch)
        self.runner.call_hook("after_train_epoch")
        self._epoch += 1  # MMEngine's loops count there

    def _validation_is_due(self) -> bool:
        if self.runner.val_loop is None or self.epoch < self.val_begin:
            return False
        self._decide_current_val_interval()  # of dynamic_intervals; MMEngine's run() calls it as well
        return self.epoch % self.val_interval == 0 or self.epoch == self.max_epochs

    def _validation_is_owed(self) -> bool:
        """A run resumed in its own folder has an epoch's checkpoint, but perhaps not its validation."""
        if self.epoch == 0 or self.start_batch or not self._has_record():
            return False
        owed = [self._validation_is_due() and self.epoch not in validations(self.runner.work_dir)]
        broadcast_object_list(owed)  # another machine's processes may see no metrics.json, or an older one
        return owed[0]

    def _has_record(self) -> bool:
        """Whether the run is one resumed in its own folder, which has the scores so far."""
        runner: Any = self.runner
        recorded = any(isinstance(hook, RunFolderHook) for hook in runner.hooks)
        origin = Path(str(runner.cfg.get("load_from"))).resolve().parent
        return is_resumed(runner) and recorded and origin == Path(runner.work_dir).resolve()

    def _recall_validations(self) -> None:
        """What goes by scores, the patience of early stopping, has them again after a resume.

        An epoch's checkpoint is written ahead of its validation, so a schedule by scores lacks the last.
        """
        if not self._has_record():
            return
        known = [validations(self.runner.work_dir)]
        broadcast_object_list(known)
        for epoch, metrics in sorted(known[0].items()):
            for hook in self.runner.hooks:
                behind = isinstance(hook, EarlyStoppingHook) and epoch <= self.epoch
                last = isinstance(hook, ParamSchedulerHook) and epoch == self.epoch and not self.start_batch
                if behind or last:
                    hook.after_val_epoch(self.runner, metrics)


def pass_over(dataloader: DataLoader, batches: int) -> None:
    """Leave out the first batches when the dataloader is iterated next; their samples are not read.

    Args:
        dataloader: A training dataloader.
        batches: How many.

    Raises:
        MapLLaVAError: If it was not built from a config.
    """
    visits = visits_of(dataloader)
    if visits is None:
        raise MapLLaVAError(
            "a DataLoader that was built by hand cannot start within an epoch: give train_dataloader as a "
            "config, or resume from a checkpoint_epoch_N.pth"
        )
    numbers_batches = visits is dataloader.batch_sampler
    visits.left_out = batches * (1 if numbers_batches else dataloader.batch_size or 1)
