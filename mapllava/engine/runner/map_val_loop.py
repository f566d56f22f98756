"""MMEngine's validation loop, which scores the weights in training beside their average."""

from __future__ import annotations

from typing import Any

import torch
from mmengine.runner import ValLoop

from mapllava.engine.hooks.warmup_ema_hook import AVERAGE, RAW, RAW_WEIGHTS, average_of
from mapllava.registry import LOOPS

_TOLD_EVERY = 100  # batches


@LOOPS.register_module()
class MapValLoop(ValLoop):
    """A :class:`~mmengine.runner.ValLoop` that validates both kinds of weights a run has.

    Where a :class:`~mapllava.engine.hooks.WarmupEMAHook` keeps an average, the metrics are the average's,
    and those of the weights in training are added with ``raw/`` before their names. Without an average
    it is MMEngine's loop.

    Args:
        runner: The runner.
        dataloader: Validation data.
        evaluator: Metrics.
        raw: Validate the weights in training too, which takes as long again.
        **options: Of MMEngine's class.

    Attributes:
        displays: Kind of weights (``average``, ``raw``) to the ``display`` of the metric, of the last epoch.
    """

    def __init__(
        self, runner: Any, dataloader: Any, evaluator: Any, raw: bool = True, **options: Any
    ) -> None:
        super().__init__(runner, dataloader, evaluator, **options)
        self.raw = raw
        self.displays: dict[str, dict[str, Any] | None] = {}

    def run(self) -> dict:
        """Validate; returns the metrics."""
        average = average_of(self.runner) if self.raw else None
        self.runner.call_hook("before_val")
        self.runner.call_hook("before_val_epoch")
        self.runner.model.eval()
        raw: dict[str, float] = {}
        self.displays = {}
        if average is not None:
            self.runner.logger.info("Validating the weights in training, then their average")
            with average.swapped(self.runner.model):
                raw = self._without_hooks()
            self.displays[RAW_WEIGHTS] = self._display()
        for index, batch in enumerate(self.dataloader):
            self.run_iter(index, batch)
        metrics = self.evaluator.evaluate(len(self.dataloader.dataset))
        main = RAW_WEIGHTS if average_of(self.runner) is None else AVERAGE
        self.displays[main] = self._display()
        metrics |= {f"{RAW}{name}": value for name, value in raw.items()}
        self.runner.call_hook("after_val_epoch", metrics=metrics)
        self.runner.call_hook("after_val")
        return metrics

    def _display(self) -> dict[str, Any] | None:
        """What a metric says of the scores from which on lines are shown, as ``VectorMapMetric`` does."""
        known = (getattr(metric, "display", None) for metric in self.evaluator.metrics)
        return next((display for display in known if display is not None), None)

    @torch.no_grad()
    def _without_hooks(self) -> dict[str, float]:
        """Metrics of the model as it is; pictures and progress are the average's alone."""
        for index, batch in enumerate(self.dataloader, start=1):
            self.evaluator.process(data_samples=self.runner.model.val_step(batch), data_batch=batch)
            if index % _TOLD_EVERY == 0:
                self.runner.logger.info(f"Weights in training: [{index}/{len(self.dataloader)}]")
        return self.evaluator.evaluate(len(self.dataloader.dataset))
