"""What a run leaves beside its checkpoints: the config and the metrics, as JSON."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from mmengine.dist import master_only
from mmengine.hooks import Hook
from mmengine.runner import Runner

from mapllava.errors import MapLLaVAError
from mapllava.files import atomic_write, write_json
from mapllava.registry import HOOKS

METRICS = "metrics.json"


@HOOKS.register_module()
class RunFolderHook(Hook):
    """Writes the config at the start and ``metrics.json`` after every validation or test.

    The config is there as ``config.json`` and as the resolved ``.py``; a start that fails before leaves an
    earlier run's as they are. MMEngine itself writes the log. ``metrics.json`` is a list of entries
    with ``stage`` (val or test), ``epoch``, ``split``, the ``ablation`` or ``corruption`` where one was asked
    for, and ``metrics``. A validation's entry is written last: what else it leads to is then done.
    """

    priority = "LOWEST"

    @master_only
    def before_train(self, runner: Runner) -> None:
        """Write the resolved config."""
        write_json(Path(runner.work_dir) / "config.json", runner.cfg.to_dict(), default=_plain)
        self._write_config(runner)

    @master_only
    def before_test(self, runner: Runner) -> None:
        """Write the resolved config."""
        self._write_config(runner)

    @staticmethod
    def _write_config(runner: Runner) -> None:
        name = Path(runner.cfg.filename or f"{runner.timestamp}.py").name
        with atomic_write(Path(runner.work_dir) / name) as partial:
            partial.write_text(runner.cfg.dump(), encoding="utf-8")

    def after_val_epoch(self, runner: Runner, metrics: dict[str, float] | None = None) -> None:
        """Append the epoch's metrics."""
        self._append(runner, "val", runner.val_dataloader.dataset, metrics)

    def after_test_epoch(self, runner: Runner, metrics: dict[str, float] | None = None) -> None:
        """Append the test's metrics."""
        self._append(runner, "test", runner.test_dataloader.dataset, metrics)

    @master_only
    def _append(self, runner: Runner, stage: str, dataset: Any, metrics: dict[str, float] | None) -> None:
        path = Path(runner.work_dir) / METRICS
        entries = _entries(path)
        entry = {"stage": stage, "split": split_name(dataset), "metrics": metrics or {}}
        if stage == "val":
            entry["epoch"] = runner.epoch
            entries = [old for old in entries if (old["stage"], old.get("epoch")) != (stage, runner.epoch)]
        else:
            entry["checkpoint"] = runner.cfg.get("load_from")
            entry["ablation"] = runner.cfg.get("ablation")
            entry["corruption"] = runner.cfg.get("corruption")
        write_json(path, [*entries, entry], default=_plain)


def validations(work_dir: str | Path) -> dict[int, dict[str, float]]:
    """The epochs after which a run has validated, and the scores, as its ``metrics.json`` has them."""
    entries = _entries(Path(work_dir) / METRICS)
    return {entry["epoch"]: entry["metrics"] for entry in entries if entry["stage"] == "val"}


def split_name(dataset: Any) -> str | None:
    """Version and split of a data set as its cache states them, for instance ``v1.0-mini val``."""
    meta = getattr(dataset, "metainfo", {})
    parts = [str(meta[key]) for key in ("version", "split") if meta.get(key)]
    return " ".join(parts) or None


def _entries(path: Path) -> list[dict]:
    try:
        return json.loads(path.read_text()) if path.is_file() else []
    except ValueError as error:
        raise MapLLaVAError(f"'{path}' is no JSON ({error}): move it away, a new one is made") from error


def _plain(value: Any) -> Any:
    return value.item() if hasattr(value, "item") else str(value)
