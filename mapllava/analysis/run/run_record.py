"""What a run folder holds of the course of a training: losses, scores, norms, learning rates."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mapllava.config.hooks import hooks_of
from mapllava.config.walk import dicts
from mapllava.errors import MapLLaVAError

_LOSS = re.compile(r"(^|\.)loss")
_SCORE = re.compile(r"(?:.*/)?mAP")
_NO_SCALARS = "is it a run folder (outputs/map_detection_…), and has training reached its first log line?"


@dataclass
class Curve:
    """Values over steps or epochs.

    Args:
        x: Steps of the optimiser's loop, or epochs; ascending.
        y: One finite or non-finite value each.
    """

    x: list[float] = field(default_factory=list)
    y: list[float] = field(default_factory=list)

    def add(self, x: float, y: float) -> None:
        """Append a point; one that is already there, or lies behind it, gives way to the newer one."""
        while self.x and self.x[-1] >= x:
            self.x.pop()
            self.y.pop()
        self.x.append(x)
        self.y.append(y)

    def best(self, lowest: bool) -> tuple[float, float]:
        """Place and value of the lowest or highest finite value; nan where there is none."""
        finite = [(y, x) for x, y in zip(self.x, self.y, strict=True) if math.isfinite(y)]
        if not finite:
            return math.nan, math.nan
        y, x = min(finite) if lowest else max(finite, key=lambda pair: (pair[0], -pair[1]))
        return x, y


@dataclass
class RunRecord:
    """The course of one run.

    Args:
        name: The folder's name.
        folder: The folder.
        losses: Term to curve over steps; ``loss`` is the total.
        scores: Metric (``mAP``) to curve over epochs, in [0, 1].
        norms: Parameter group to gradient norm over steps; ``all`` is the whole model's.
        rates: Parameter group to learning rate over steps.
        split: The split that was validated on, None where the folder does not say.
        protocol: The score's protocol, None where the folder does not say.
        averaged: Whether validation saw the average of the weights (EMA), None if unknown.
        notes: What was odd in the files.
    """

    name: str
    folder: Path
    losses: dict[str, Curve] = field(default_factory=dict)
    scores: dict[str, Curve] = field(default_factory=dict)
    norms: dict[str, Curve] = field(default_factory=dict)
    rates: dict[str, Curve] = field(default_factory=dict)
    split: str | None = None
    protocol: str | None = None
    averaged: bool | None = None
    notes: list[str] = field(default_factory=list)


def read_run(folder: str | Path) -> RunRecord:
    """Read a run folder: the scalars of every start of the run, ``metrics.json`` and ``config.json``.

    Where a resumed run did steps again, the newer values stay.

    Args:
        folder: The run folder.

    Raises:
        MapLLaVAError: If the folder is missing, holds no scalars, or a file is damaged in another
            way than a last line that was cut off.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise MapLLaVAError(f"run folder '{folder}' is not there" + _neighbours(folder))
    files = sorted(folder.glob("*/vis_data/scalars.json"))
    if not files:
        raise MapLLaVAError(f"'{folder}' has no <time>/vis_data/scalars.json: {_NO_SCALARS}")
    record = RunRecord(folder.resolve().name, folder)
    for file in files:
        for entry in _entries(file, record.notes):
            _add_entry(record, entry)
    if not record.losses and not record.scores:
        raise MapLLaVAError(f"'{files[-1]}' holds no loss and no score: {_NO_SCALARS}")
    _read_config(record, folder / "config.json")
    _read_metrics(record, folder / "metrics.json")
    return record


def _neighbours(folder: Path) -> str:
    runs = sorted(path.parent.name for path in folder.parent.glob("*/config.json"))
    return f"; beside it lie {', '.join(runs[-5:])}" if runs else ""


def _entries(file: Path, notes: list[str]) -> Iterable[Mapping[str, Any]]:
    lines = file.read_text(encoding="utf-8", errors="replace").splitlines()
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            entry = json.loads(line)
        except json.JSONDecodeError as error:
            if number == len(lines):
                notes.append(
                    f"{file}: the last line is cut off and left out (a run that was killed, or runs)"
                )
                return
            raise MapLLaVAError(
                f"'{file}' line {number} is no JSON: {error.msg}; delete that line"
            ) from error
        if not isinstance(entry, dict):
            raise MapLLaVAError(f"'{file}' line {number} is no JSON object; delete that line")
        yield entry


def _add_entry(record: RunRecord, entry: Mapping[str, Any]) -> None:
    values = {key: value for key, value in entry.items() if _number(value)}
    step = values.get("step", values.get("iter"))
    if step is None:
        return
    if "loss" not in values:
        _add_scores(record, values, step)
        return
    for key, value in values.items():
        if _LOSS.search(key):
            _add(record.losses, key, step, value)
        elif key == "grad_norm":
            _add(record.norms, "all", step, value)
        elif key.startswith("grad_norm/"):
            _add(record.norms, key.removeprefix("grad_norm/"), step, value)
        elif key.endswith("_lr"):
            _add(record.rates, key.removesuffix("_lr"), step, value)
    if "lr" in values and not any(key.endswith("_lr") for key in values):
        _add(record.rates, "all", step, values["lr"])


def _add_scores(record: RunRecord, values: Mapping[str, float], epoch: float) -> None:
    for key, value in values.items():
        if _SCORE.fullmatch(key):
            _add(record.scores, key, epoch, value)


def _add(curves: dict[str, Curve], key: str, x: float, y: float) -> None:
    curves.setdefault(key, Curve()).add(x, float(y))


def _number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _read_config(record: RunRecord, path: Path) -> None:
    cfg = _json(path, dict, record.notes)
    if cfg is None:
        return
    for _, metric in dicts(cfg.get("val_evaluator")):
        if metric.get("protocol"):
            record.protocol = str(metric["protocol"])
    record.averaged = any("EMA" in str(hook.get("type")) for hook in hooks_of(cfg))


def _read_metrics(record: RunRecord, path: Path) -> None:
    entries = _json(path, list, record.notes)
    validations = [e for e in entries or [] if isinstance(e, dict) and e.get("stage") == "val"]
    if not validations:
        return
    record.scores = {}
    for entry in validations:
        values = {key: value for key, value in (entry.get("metrics") or {}).items() if _number(value)}
        _add_scores(record, values, entry.get("epoch") or 0)
        record.split = entry.get("split") or record.split


def _json(path: Path, kind: type, notes: list[str]) -> Any:
    """The file's content; where it is missing or damaged, None and a note."""
    if not path.is_file():
        notes.append(f"{path} is not there: split and protocol may be unknown")
        return None
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        notes.append(f"{path} is no JSON and left out: {error}")
        return None
    if not isinstance(value, kind):
        notes.append(f"{path} is no JSON {kind.__name__} and left out")
        return None
    return value
