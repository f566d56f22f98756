"""The checkpoints of a run: one per epoch, the best, and the final one."""

from __future__ import annotations

import json
import os
import re
import shutil
from pathlib import Path

from mmengine.dist import is_main_process, master_only
from mmengine.hooks import Hook
from mmengine.runner import Runner

from mapllava.engine.hooks.run_folder_hook import split_name
from mapllava.errors import MapLLaVAError
from mapllava.registry import HOOKS
from mapllava.whole_file import write_json

_EPOCH_FILE = re.compile(r"checkpoint_epoch_(\d+)\.pth")
BEST, FINAL, BEST_RECORD = "best_model.pth", "final_model.pth", "best_model.json"


@HOOKS.register_module()
class RunCheckpointHook(Hook):
    """Writes ``checkpoint_epoch_N.pth``, ``best_model.pth`` and ``final_model.pth``.

    Each file appears whole or not at all. ``best_model.json`` says by which metric, on which split
    and after which epoch the best was chosen.

    Args:
        interval: Epochs between two checkpoints; the last epoch always gets one.
        max_keep: How many epoch checkpoints stay; the older ones are deleted. None keeps all.
        metric: The metric that chooses the best model, with or without its prefix.

    Raises:
        MapLLaVAError: If an argument is below 1.
    """

    priority = "VERY_LOW"

    def __init__(self, interval: int = 1, max_keep: int | None = None, metric: str = "mAP") -> None:
        if interval < 1 or (max_keep is not None and max_keep < 1):
            raise MapLLaVAError(
                f"RunCheckpointHook(interval={interval}, max_keep={max_keep}): both must be >= 1"
            )
        self.interval = interval
        self.max_keep = max_keep
        self.metric = metric
        self.best: float | None = None
        self._training = False

    def before_train(self, runner: Runner) -> None:
        """A resumed run goes on with the best score so far; a new one starts without."""
        self._training = True
        record = Path(runner.work_dir) / BEST_RECORD
        if getattr(runner, "_resume", False) and record.is_file():
            self.best = float(json.loads(record.read_text())["score"])
        runner.logger.info(f"Checkpoints go to {runner.work_dir}")

    def after_train_epoch(self, runner: Runner) -> None:
        """Save the epoch's checkpoint."""
        if not (self.every_n_epochs(runner, self.interval) or self.is_last_train_epoch(runner)):
            return
        epoch = runner.epoch + 1
        self._save(
            runner, f"checkpoint_epoch_{epoch}.pth", {"epoch": epoch, "iter": runner.iter}, optimizer=True
        )
        self._forget_old(runner)

    def after_val_epoch(self, runner: Runner, metrics: dict[str, float] | None = None) -> None:
        """Save the model if it is the best so far.

        Raises:
            MapLLaVAError: If validation has not given the metric that chooses the best model.
        """
        if not self._training:
            return
        score = self._score(metrics or {})
        if self.best is not None and score <= self.best:
            return
        self.best = score
        split = split_name(runner.val_dataloader.dataset)
        record = {"metric": self.metric, "score": score, "epoch": runner.epoch, "split": split}
        self._save(
            runner, BEST, {"epoch": runner.epoch, "iter": runner.iter, "best": record}, optimizer=False
        )
        if is_main_process():
            write_json(Path(runner.work_dir) / BEST_RECORD, record)
        runner.logger.info(
            f"Best model so far: {self.metric} {score:.4f} on {split or 'the validation data'}, {BEST}"
        )

    @master_only
    def after_train(self, runner: Runner) -> None:
        """The last epoch's checkpoint is the final model."""
        last = latest_checkpoint(runner.work_dir)
        if last is not None:
            temporary = last.with_name(f".{FINAL}.tmp")
            shutil.copyfile(last, temporary)
            os.replace(temporary, last.with_name(FINAL))

    def _score(self, metrics: dict[str, float]) -> float:
        for name, value in metrics.items():
            if name == self.metric or name.endswith(f"/{self.metric}"):
                return float(value)
        raise MapLLaVAError(
            f"validation gave no '{self.metric}' to choose the best model by, only {sorted(metrics)}: "
            "set RunCheckpointHook's metric to one of these"
        )

    @staticmethod
    def _save(runner: Runner, name: str, meta: dict, optimizer: bool) -> None:
        temporary = f".{name}.tmp"
        runner.save_checkpoint(
            runner.work_dir, temporary, save_optimizer=optimizer, save_param_scheduler=optimizer, meta=meta
        )
        if is_main_process():
            os.replace(Path(runner.work_dir) / temporary, Path(runner.work_dir) / name)

    @master_only
    def _forget_old(self, runner: Runner) -> None:
        if self.max_keep is not None:
            for path in epoch_checkpoints(runner.work_dir)[: -self.max_keep]:
                path.unlink()


def epoch_checkpoints(work_dir: str | Path) -> list[Path]:
    """The epoch checkpoints of a run folder, oldest first."""
    found = [
        (match, path) for path in Path(work_dir).glob("*.pth") if (match := _EPOCH_FILE.fullmatch(path.name))
    ]
    return [path for _, path in sorted(found, key=lambda pair: int(pair[0].group(1)))]


def latest_checkpoint(work_dir: str | Path) -> Path | None:
    """The newest epoch checkpoint of a run folder, or None."""
    found = epoch_checkpoints(work_dir)
    return found[-1] if found else None
