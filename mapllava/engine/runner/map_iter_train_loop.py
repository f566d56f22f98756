"""MMEngine's loop over iterations, whose iterations are updates of the weights."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from typing import Any

from mmengine.runner import IterBasedTrainLoop

from mapllava.engine.optim.accumulation import accumulative_counts, by_update
from mapllava.registry import LOOPS


@LOOPS.register_module()
class MapIterTrainLoop(IterBasedTrainLoop):
    """An :class:`~mmengine.runner.IterBasedTrainLoop` that accumulated batches do not shorten.

    ``iter`` and ``max_iters`` of the loop, which the log shows, count batches as MMEngine's do.

    Args:
        runner: The runner.
        dataloader: Training data.
        max_iters: Updates of the weights in all.
        val_begin: The update from which on there is validation.
        val_interval: Updates between two validations.
        dynamic_intervals: Pairs of an update and the ``val_interval`` from then on.
        **options: Of onedl-mmengine's class; MMEngine's takes no others.
    """

    def __init__(
        self,
        runner: Any,
        dataloader: Any,
        max_iters: int,
        val_begin: int = 1,
        val_interval: int = 1000,
        dynamic_intervals: Sequence[tuple[int, int]] | None = None,
        **options: Any,
    ) -> None:
        every = accumulative_counts(runner.optim_wrapper)
        intervals = [(start * every, interval * every) for start, interval in dynamic_intervals or []]
        counts = (max_iters * every, val_begin * every, val_interval * every)
        super().__init__(runner, dataloader, *counts, intervals or None, **options)

    def run(self) -> Any:
        """Train; returns the model."""
        with closing(_Updates(self.dataloader_iterator, self.runner)) as batches:
            self.dataloader_iterator: Any = batches
            return super().run()


class _Updates:
    """MMEngine's endless iterator over a loader, by whole updates of the weights."""

    def __init__(self, batches: Any, runner: Any) -> None:
        self.inner = batches
        self.by_one = by_update(batches, runner)
        self.close = self.by_one.close

    def __next__(self) -> Any:
        return next(self.by_one)

    def skip_iter(self, batches: int) -> None:
        """Leave out batches, whole updates of them: onedl-mmengine asks for it, MMEngine reads them."""
        self.inner.skip_iter(batches)
