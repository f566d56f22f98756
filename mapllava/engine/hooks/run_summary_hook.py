"""Says at the start of a run what was built and how much data it has."""

from __future__ import annotations

from collections.abc import Sized

from mmengine.hooks import Hook
from mmengine.runner import Runner

from mapllava.checkpoint import count_parameters
from mapllava.engine.bare_model import bare_model
from mapllava.engine.hooks.run_folder_hook import split_name
from mapllava.registry import HOOKS


@HOOKS.register_module()
class RunSummaryHook(Hook):
    """Logs parameters (total and trainable, per part) and the samples of each split."""

    priority = "LOW"

    def before_train(self, runner: Runner) -> None:
        """Log the model and the training and validation data."""
        self._log_model(runner)
        loaders = {"train": runner.train_dataloader}
        if runner.val_loop is not None:
            loaders["val"] = runner.val_dataloader
        else:
            runner.logger.warning("No validation is configured: no metrics, no best_model.pth")
        for name, loader in loaders.items():
            self._log_data(runner, name, loader.dataset)

    def before_test(self, runner: Runner) -> None:
        """Log the model and the test data."""
        self._log_model(runner)
        self._log_data(runner, "test", runner.test_dataloader.dataset)

    @staticmethod
    def _log_model(runner: Runner) -> None:
        model = bare_model(runner.model)
        total, trainable = count_parameters(model)
        runner.logger.info(
            f"Model built: {type(model).__name__}, {total:,} parameters, {trainable:,} trainable"
        )
        for name, child in model.named_children():
            total, trainable = count_parameters(child)
            if total:
                runner.logger.info(f"  {name} ({type(child).__name__}): {total:,}, {trainable:,} trainable")

    @staticmethod
    def _log_data(runner: Runner, name: str, dataset: Sized) -> None:
        split = split_name(dataset)
        runner.logger.info(
            f"Data set loaded: {len(dataset):,} {name} samples" + (f" ({split})" if split else "")
        )  # type: ignore[arg-type]
