"""The folder of a run: one run's alone while it lasts, of one config, and gone where the start failed."""

from __future__ import annotations

import json
import os
import shutil
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

from mmengine.config import Config
from mmengine.dist import broadcast_object_list, is_main_process
from mmengine.hooks import Hook
from mmengine.runner import Runner

from mapllava.claims import new_folder, sole_holder
from mapllava.engine.hooks.run_checkpoint_hook import checkpoints, latest_checkpoint
from mapllava.engine.runner.builder import prepare_processes
from mapllava.engine.runner.resume import resume_point
from mapllava.errors import MapLLaVAError
from mapllava.files import cannot_write, write_json

RUNS = Path("outputs")
RECORD, LOCK = "run.json", ".lock"
_OF_A_START = (".log", ".py", ".json")
_EVENTS = "events.out.tfevents"


@contextmanager
def run_folder(cfg: Config, asked: str | None = None, resume: str | None = None) -> Iterator[Hook]:
    """Give a run its folder: sets ``work_dir``, and for a run that goes on ``resume`` and ``load_from``.

    The main process chooses for all. A new run's folder is made, so that no two get the same; while a
    run lasts, no second one may train in its folder. A start that fails before its first step is done
    takes what it has written away again; SIGTERM ends it as Ctrl-C does.

    Args:
        cfg: The config, otherwise complete; it is changed.
        asked: ``--work-dir``; without it the config's ``work_dir``, or a dated folder in ``outputs/``.
        resume: ``--resume``: None, ``auto`` or a checkpoint.

    Yields:
        The hook to register with the runner, which notes that the start succeeded.

    Raises:
        MapLLaVAError: If another run has the folder now or has left its checkpoints there, the folder
            cannot be written, or the checkpoint to go on from is missing or damaged.
    """
    prepare_processes(cfg)
    with ExitStack() as stack, _terminable():

        def claim() -> tuple[Path, bool, Path | None]:
            folder, is_new = _choose(cfg, asked, resume)
            stack.enter_context(_removed_if_bare(folder, is_new, started))
            stack.enter_context(sole_holder(folder / LOCK, f"'{folder}' is the folder of a run in training,"))
            started.before = set(folder.iterdir())
            found = _checkpoint(folder, resume)
            _check_owner(folder, cfg, found)
            return folder, is_new, found

        started = _Started(cfg)
        folder, is_new, found = _by_main_process(claim)
        if not is_main_process():
            stack.enter_context(_removed_if_bare(folder, is_new, started))
            started.before = set(folder.iterdir())
        cfg.work_dir = str(folder)
        if found is not None:
            cfg.resume, cfg.load_from = True, str(found)
        elif is_main_process() and (resume or restarts()):
            sys.stderr.write(f"nothing to resume in {folder}: a new run starts\n")
        yield started


def restarts() -> int:
    """How often torchrun (elastic restart) or Slurm (requeue) has started this run again."""
    counts = (os.environ.get(name, "") for name in ("TORCHELASTIC_RESTART_COUNT", "SLURM_RESTART_COUNT"))
    return sum(int(count) for count in counts if count.isdecimal())


class _Started(Hook):
    """Notes in the folder whose run it holds, once a step is done.

    Attributes:
        before: What was in the folder when it became this run's; None while it is not.
        done: Whether a step is done.
    """

    priority = "HIGHEST"

    def __init__(self, cfg: Config) -> None:
        self.record = {"config": _written_in(cfg), "launch": _launch()}
        self.before: set[Path] | None = None
        self.done = False

    def after_train_iter(
        self, runner: Runner, batch_idx: int, data_batch: Any = None, outputs: Any = None
    ) -> None:
        """The first step is done."""
        if not self.done:
            self.done = True
            if is_main_process():
                own = _record(Path(runner.work_dir)) if _is_copy(runner.cfg, Path(runner.work_dir)) else {}
                write_json(Path(runner.work_dir) / RECORD, {**self.record, **own})


def _choose(cfg: Config, asked: str | None, resume: str | None) -> tuple[Path, bool]:
    """The folder, and whether it was made just now."""
    wanted = asked or cfg.get("work_dir") or (resume not in (None, "auto") and Path(str(resume)).parent)
    if wanted:
        return _made(Path(wanted))
    prefix = cfg.get("run_name") or "map_detection_stage2"
    found = _earlier(f"{prefix}_*", cfg, resume)
    if found is not None:
        return found, False
    return new_folder(RUNS / f"{prefix}_{time.strftime('%Y%m%d_%H%M%S')}"), True


def _made(folder: Path) -> tuple[Path, bool]:
    try:
        folder.mkdir(parents=True)
    except FileExistsError:
        if folder.is_dir():
            return folder, False
        raise MapLLaVAError(f"--work-dir '{folder}' is a file: name a folder") from None
    except OSError as error:
        raise cannot_write(folder, error) from error
    return folder, True


def _earlier(pattern: str, cfg: Config, resume: str | None) -> Path | None:
    """The newest folder of this launch where it was started again, or of this config for ``auto``."""
    for folder in sorted(RUNS.glob(pattern), reverse=True):
        record = _record(folder)
        if record.get("config") is None or record["config"] != _written_in(cfg):
            continue  # by path: configs of one name in two folders are two
        if restarts() and _launch() and record.get("launch") == _launch():
            return folder
        if resume == "auto" and latest_checkpoint(folder):
            return folder
    return None


def _checkpoint(folder: Path, resume: str | None) -> Path | None:
    """The checkpoint to go on from: the one asked for, or the folder's newest.

    Processes that torchrun or Slurm started again take the newest without being asked.
    """
    found = resume_point(folder, "auto") if resume == "auto" or restarts() else None
    if found is None and resume not in (None, "auto"):
        found = resume_point(folder, str(resume))
    return found


def _check_owner(folder: Path, cfg: Config, found: Path | None) -> None:
    """A new run keeps away from another's checkpoints; one that goes on may come by another config."""
    old, theirs = checkpoints(folder), _record(folder).get("config")
    whose = f"a run of '{theirs}'" if theirs else "a run"
    goes_on = found is not None and found.resolve().parent == folder.resolve()
    if old and not goes_on:
        raise MapLLaVAError(
            f"'{folder}' holds {whose} with {old[-1].name}, and a new run would mix with it: "
            "go on with that one, --resume auto, or name another --work-dir"
        )
    if goes_on and theirs not in (None, _written_in(cfg)) and not _is_copy(cfg, folder):
        sys.stderr.write(f"warning: '{folder}' holds {whose}; it goes on with '{cfg.filename}'\n")


def _written_in(cfg: Config) -> str | None:
    return str(Path(cfg.filename).resolve()) if cfg.filename else None


def _is_copy(cfg: Config, folder: Path) -> bool:
    """Whether the config is the copy that a run folder has: the run stays that of the original."""
    return bool(cfg.filename) and Path(cfg.filename).resolve().parent == folder.resolve()


def _launch() -> str | None:
    """What tells this start, and its restarts, from others: the launcher's, torchrun's or Slurm's name."""
    names = ("MAPLLAVA_LAUNCH", "TORCHELASTIC_RUN_ID", "SLURM_JOB_ID")
    found = (os.environ.get(name) for name in names)
    return next((value for value in found if value and value != "none"), None)


def _record(folder: Path) -> dict[str, Any]:
    try:
        record = json.loads((folder / RECORD).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return record if isinstance(record, dict) else {}


def _by_main_process(claim: Callable[[], Any]) -> Any:
    """What the main process finds, or the error it meets, in every process."""
    answer: list[Any] = [None]
    if is_main_process():
        try:
            answer = [claim()]
        except MapLLaVAError as error:
            answer = [error]
    broadcast_object_list(answer)
    if isinstance(answer[0], MapLLaVAError):
        raise answer[0]
    return answer[0]


@contextmanager
def _removed_if_bare(folder: Path, is_new: bool, started: _Started) -> Iterator[None]:
    """Where the start fails, take away what it has put into the folder, unless somebody may want it."""
    try:
        yield
    except BaseException:
        if started.before is None:  # what lies there now is another run's
            with suppress(OSError):
                if is_new:
                    folder.rmdir()
        elif not started.done:
            with suppress(FileNotFoundError):  # another process of this run was faster
                _remove(folder, started.before, is_new)
        raise


def _remove(folder: Path, before: set[Path], is_new: bool) -> None:
    added = set(folder.iterdir()) - before
    files = [path for top in added for path in (top.rglob("*") if top.is_dir() else [top]) if path.is_file()]
    if any(path.suffix not in _OF_A_START and not path.name.startswith(_EVENTS) for path in files):
        return
    for path in added:
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)
    if is_new and not any(folder.iterdir()):
        folder.rmdir()


@contextmanager
def _terminable() -> Iterator[None]:
    """Until training takes charge of the signals, SIGTERM unwinds the start instead of killing it."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def leave(number: int, frame: Any) -> None:
        sys.stderr.write("terminated\n")
        raise SystemExit(128 + number)

    before = signal.signal(signal.SIGTERM, leave)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
