"""The checkpoints of a run: one per epoch, within an epoch where wanted, the best, and the final one."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from typing import Any

from mmengine.dist import is_main_process, master_only
from mmengine.hooks import Hook
from mmengine.runner import IterBasedTrainLoop, Runner

from mapllava.engine.hooks.run_folder_hook import split_name
from mapllava.engine.hooks.warmup_ema_hook import AVERAGE, RAW, RAW_WEIGHTS, average_of
from mapllava.engine.runner.run_state import is_resumed
from mapllava.errors import MapLLaVAError
from mapllava.files import atomic_write, remove_partial_files, write_json
from mapllava.registry import HOOKS

_FILE = re.compile(r"checkpoint_epoch_(\d+)(?:_step_(\d+))?\.pth")
_IN_WORDS = {AVERAGE: "averaged weights", RAW_WEIGHTS: "raw weights"}
BEST, FINAL, BEST_RECORD = "best_model.pth", "final_model.pth", "best_model.json"


@HOOKS.register_module()
class RunCheckpointHook(Hook):
    """Writes ``checkpoint_epoch_N.pth``, ``best_model.pth`` and ``final_model.pth``.

    Each file appears whole or not at all; what a killed run has left half-written is removed at the
    start. ``best_model.json`` says by which metric, on which split and after which epoch the best was
    chosen, and whether it is the average of the weights or the weights themselves.
    ``checkpoint_epoch_N_step_S.pth`` is from within epoch N, after S of its batches: a run resumed
    from it goes on with batch S + 1. It stays until its epoch's checkpoint is written.

    Args:
        interval: Epochs between two checkpoints; the last epoch always gets one.
        max_keep: How many epoch checkpoints stay; the older ones are deleted. None keeps all.
        metric: The metric that chooses the best model, with or without its prefix.
        every_steps: Batches between two checkpoints within an epoch, None for none; where gradients
            are accumulated, the next update of the weights after these is waited for.

    Raises:
        MapLLaVAError: If an argument is below 1.
    """

    priority = "VERY_LOW"

    def __init__(
        self,
        interval: int = 1,
        max_keep: int | None = None,
        metric: str = "mAP",
        every_steps: int | None = None,
    ) -> None:
        if interval < 1 or (max_keep is not None and max_keep < 1) or (every_steps or 1) < 1:
            raise MapLLaVAError(
                f"RunCheckpointHook(interval={interval}, max_keep={max_keep}, every_steps={every_steps}): "
                "all must be >= 1"
            )
        self.interval = interval
        self.max_keep = max_keep
        self.metric = metric
        self.every_steps = every_steps
        self.best: float | None = None
        self.is_saving = False
        self._training = False
        self._since = 0

    def before_train(self, runner: Runner) -> None:
        """A resumed run goes on with the best score so far; a new one starts without."""
        self._training = True
        if is_main_process():
            for path in remove_partial_files(runner.work_dir):
                runner.logger.warning(f"Removed {path.name}, which a stopped run had not finished writing")
        record = Path(runner.work_dir) / BEST_RECORD
        if is_resumed(runner) and record.is_file() and runner.val_loop is not None:
            self._recall_best(runner, json.loads(record.read_text()))
        runner.logger.info(f"Checkpoints go to {runner.work_dir}")

    def _recall_best(self, runner: Runner, best: dict) -> None:
        """The best score so far is worth something for the same metric on the same split."""
        now = {"metric": self.metric, "split": split_name(runner.val_dataloader.dataset)}
        other = [
            f"{key} {best.get(key)} then, {value} now" for key, value in now.items() if best.get(key) != value
        ]
        if other:
            runner.logger.warning(f"{BEST} will be chosen anew: {', '.join(other)}")
        else:
            self.best = float(best["score"])

    def after_train_iter(
        self, runner: Runner, batch_idx: int, data_batch: Any = None, outputs: Any = None
    ) -> None:
        """Save within the epoch, where that is wanted."""
        self._since += 1
        if self.every_steps is None or self._since < self.every_steps:
            return
        if runner.optim_wrapper.should_update() and not self.is_last_train_iter_of_epoch(runner, batch_idx):
            self.save_within_epoch(runner, batch_idx)

    def is_last_train_iter_of_epoch(self, runner: Runner, batch_idx: int) -> bool:
        """Whether the epoch's own checkpoint comes next."""
        by_iter = isinstance(runner.train_loop, IterBasedTrainLoop)
        return batch_idx + 1 >= (runner.max_iters if by_iter else len(runner.train_dataloader))

    def save_within_epoch(self, runner: Runner, batch_idx: int, iteration: int | None = None) -> str:
        """Save after a batch, in every process; call it after an update of the weights only.

        Args:
            runner: The runner.
            batch_idx: Number of the batch within the epoch, from 0.
            iteration: Batches that the run has behind it then; in ``after_train_iter`` the runner knows.

        Returns:
            The file's name.
        """
        self._since = 0
        name = f"checkpoint_epoch_{runner.epoch + 1}_step_{batch_idx + 1}.pth"
        position = {
            "epoch": runner.epoch,
            "iter": runner.iter + 1 if iteration is None else iteration,
            "batch": batch_idx + 1,
        }
        self._save(runner, name, position, optimizer=True)
        self._forget_steps(runner, name)
        return name

    def after_train_epoch(self, runner: Runner) -> None:
        """Save the epoch's checkpoint."""
        if not (self.every_n_epochs(runner, self.interval) or self.is_last_train_epoch(runner)):
            return
        epoch = runner.epoch + 1
        name = f"checkpoint_epoch_{epoch}.pth"
        self._since = 0
        self._save(runner, name, {"epoch": epoch, "iter": runner.iter, "batch": 0}, optimizer=True)
        self._forget_steps(runner, name)
        self._forget_old(runner)

    def after_val_epoch(self, runner: Runner, metrics: dict[str, float] | None = None) -> None:
        """Save the model if it is the best so far.

        Raises:
            MapLLaVAError: If validation has not given the metric that chooses the best model.
        """
        if not self._training:
            return
        main = RAW_WEIGHTS if average_of(runner) is None else AVERAGE
        weights, score = self._score(metrics or {}, main)
        if self.best is not None and score <= self.best:
            return
        self.best = score
        split = split_name(runner.val_dataloader.dataset)
        chosen = {"metric": self.metric, "score": score, "weights": weights}
        record = {**chosen, "epoch": runner.epoch, "split": split}
        display = getattr(runner.val_loop, "displays", {}).get(weights)
        meta = {"epoch": runner.epoch, "iter": runner.iter, "best": record, "display": display}
        self._save(runner, BEST, meta, optimizer=False)
        if is_main_process():
            write_json(Path(runner.work_dir) / BEST_RECORD, record)
        runner.logger.info(
            f"Best model so far: {self.metric} {score:.4f} of the {_IN_WORDS[weights]} on "
            f"{split or 'the validation data'}, {BEST}"
        )

    @master_only
    def after_train(self, runner: Runner) -> None:
        """The last epoch's checkpoint is the final model."""
        last = latest_checkpoint(runner.work_dir)
        if last is not None:
            with atomic_write(last.with_name(FINAL)) as partial:
                shutil.copyfile(last, partial)

    def _score(self, metrics: dict[str, float], main: str) -> tuple[str, float]:
        """The weights that scored higher, and how high; of equal ones those that ``main`` names."""
        found: dict[str, float] = {}
        for name, value in metrics.items():
            weights = RAW_WEIGHTS if name.startswith(RAW) else main
            if name == self.metric or name.endswith(f"/{self.metric}"):
                found.setdefault(weights, float(value))
        if found:
            return max(found.items(), key=lambda entry: (entry[1], entry[0] == main))
        raise MapLLaVAError(
            f"validation gave no '{self.metric}' to choose the best model by, only {sorted(metrics)}: "
            "set RunCheckpointHook's metric to one of these"
        )

    def _save(self, runner: Runner, name: str, meta: dict, optimizer: bool) -> None:
        meta["samples"] = len(runner.train_dataloader.dataset)
        meta["samples_per_step"] = getattr(runner, "samples_per_step", lambda: 0)()
        options: dict = {"save_optimizer": optimizer, "save_param_scheduler": optimizer, "meta": meta}
        self.is_saving = True
        try:
            if not is_main_process():
                runner.save_checkpoint(runner.work_dir, name, **options)
                return
            with atomic_write(Path(runner.work_dir) / name) as partial:
                runner.save_checkpoint(str(partial.parent), partial.name, **options)
        finally:
            self.is_saving = False

    @master_only
    def _forget_old(self, runner: Runner) -> None:
        if self.max_keep is not None:
            for path in epoch_checkpoints(runner.work_dir)[: -self.max_keep]:
                path.unlink()

    @master_only
    def _forget_steps(self, runner: Runner, newest: str) -> None:
        for path in checkpoints(runner.work_dir):
            if "_step_" in path.name and path.name != newest:
                path.unlink()


def checkpoints(work_dir: str | Path) -> list[Path]:
    """All checkpoints of a run folder that training can go on from, oldest first."""
    found = [(match, path) for path in Path(work_dir).glob("*.pth") if (match := _FILE.fullmatch(path.name))]
    return [path for _, path in sorted(found, key=lambda pair: _position(pair[0]))]


def epoch_checkpoints(work_dir: str | Path) -> list[Path]:
    """The epoch checkpoints of a run folder, oldest first."""
    return [path for path in checkpoints(work_dir) if "_step_" not in path.name]


def latest_checkpoint(work_dir: str | Path) -> Path | None:
    """The newest checkpoint of a run folder, or None."""
    found = checkpoints(work_dir)
    return found[-1] if found else None


def _position(match: re.Match) -> tuple[int, int]:
    """Epochs finished, and batches of the next one."""
    epoch, step = int(match.group(1)), match.group(2)
    return (epoch, 0) if step is None else (epoch - 1, int(step))
