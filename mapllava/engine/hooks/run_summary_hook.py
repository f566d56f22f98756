"""Says at the start of a run what was built and how much data it has."""

from __future__ import annotations

from collections.abc import Sized
from typing import Any

from mmengine.hooks import Hook
from mmengine.runner import Runner

from mapllava.checkpoint import count_parameters
from mapllava.engine.distributed.unwrap_model import unwrap_model
from mapllava.engine.hooks.run_folder_hook import split_name
from mapllava.errors import MapLLaVAError
from mapllava.finding import FAIL
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
            check_fit(runner, name, loader.dataset)

    def before_test(self, runner: Runner) -> None:
        """Log the model and the test data."""
        self._log_model(runner)
        self._log_data(runner, "test", runner.test_dataloader.dataset)
        check_fit(runner, "test", runner.test_dataloader.dataset)

    @staticmethod
    def _log_model(runner: Runner) -> None:
        model = unwrap_model(runner.model)
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


def check_fit(runner: Runner, name: str, dataset: Any) -> None:
    """Compare the samples with the built model: warn of elements that it cannot predict.

    Args:
        runner: with the model.
        name: ``train``, ``val`` or ``test``; what is not trained on is also cut to ``max_predictions``.
        dataset: one on a GT cache, or a wrapper of such; others are not looked at.

    Raises:
        MapLLaVAError: if the LiDAR hangs elsewhere than the neck takes it to.
    """
    from mapllava.datasets.fit import misfits  # with them come mmcv and the data sources
    from mapllava.datasets.map_dataset import MapDataset

    inner = getattr(dataset, "datasets", None) or [getattr(dataset, "dataset", None)]
    for each in inner:
        if each is not None:
            check_fit(runner, name, each)
    if not isinstance(dataset, MapDataset):
        return
    model: Any = unwrap_model(runner.model)
    limits = [getattr(getattr(model, "map_queries", None), "num_instances", None)]
    if name != "train":
        limits.append(getattr(getattr(model, "head", None), "max_predictions", None))
    ground = getattr(getattr(model, "neck", None), "ground", None)
    for found in misfits(dataset.entries, dataset.map_spec, limits, ground):
        if found.status == FAIL:
            raise MapLLaVAError(f"{name} data: {found.reason}: {found.remedy}")
        runner.logger.warning(f"{name}: {found.reason}: {found.remedy}")
