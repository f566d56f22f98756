"""A progress bar on a terminal, and nothing anywhere else."""

from __future__ import annotations

import atexit
import logging
import sys
import time
from typing import Any, TextIO

from mmengine.dist import is_main_process
from mmengine.hooks import Hook
from mmengine.runner import Runner
from rich.console import Console
from rich.progress import MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.text import Text

from mapllava.registry import HOOKS

_PAUSE = 0.2  # seconds between two drawings


@HOOKS.register_module()
class ProgressBarHook(Hook):
    """Draws how far epoch, validation or test are on stderr, where that is a terminal.

    In a file or a pipe the log's lines stand alone. On a terminal they appear above the bar, each
    whole. The bar is drawn between two batches, never by a thread, so that workers can be forked.
    """

    priority = "VERY_LOW"  # after the step's log line

    def __init__(self) -> None:
        self._progress: Progress | None = None
        self._task: Any = None
        self._drawn = 0.0
        self._handlers: list[tuple[logging.StreamHandler, TextIO]] = []

    def before_run(self, runner: Runner) -> None:
        """Put up the bar in the main process."""
        if not (is_main_process() and sys.stderr.isatty()):
            return
        self._progress = Progress(
            *Progress.get_default_columns(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TextColumn("{task.fields[note]}"),
            console=Console(file=sys.stderr),
            auto_refresh=False,
            transient=True,
            redirect_stdout=sys.stdout.isatty(),
        )
        self._take_log_lines(runner.logger)
        self._progress.start()
        atexit.register(self._stop)

    def after_run(self, runner: Runner) -> None:
        """Take it down."""
        self._stop()

    # Hook's methods of all three stages, told apart by mode; MMEngine's own hooks override these
    def _before_epoch(self, runner: Runner, mode: str = "train") -> None:
        if self._progress is None:
            return
        loader = {"train": "train_dataloader", "val": "val_dataloader", "test": "test_dataloader"}[mode]
        title = f"Epoch {runner.epoch + 1}/{runner.max_epochs}" if mode == "train" else mode
        self._task = self._progress.add_task(title, total=len(getattr(runner, loader)), note="")

    # see _before_epoch
    def _after_iter(
        self, runner: Runner, batch_idx: int, data_batch: Any = None, outputs: Any = None, mode: str = "train"
    ) -> None:
        if self._progress is None:
            return
        note = ""
        if mode == "train" and "train/loss" in runner.message_hub.log_scalars:
            note = f"loss {runner.message_hub.get_scalar('train/loss').current():.4g}"
        self._progress.update(self._task, completed=batch_idx + 1, note=note)
        now = time.monotonic()
        if now - self._drawn >= _PAUSE:
            self._drawn = now
            self._progress.refresh()

    # see _before_epoch
    def _after_epoch(self, runner: Runner, mode: str = "train") -> None:
        if self._progress is not None:
            self._progress.remove_task(self._task)

    def _take_log_lines(self, logger: logging.Logger) -> None:
        """Let lines that go to this terminal go above the bar; a redirected stdout keeps them."""
        for handler in logger.handlers:
            stream = getattr(handler, "stream", None)
            if isinstance(handler, logging.FileHandler) or stream is None or not stream.isatty():
                continue
            if isinstance(handler, logging.StreamHandler) and self._progress is not None:
                self._handlers.append((handler, stream))
                handler.setStream(_AboveBar(self._progress.console))

    def _stop(self) -> None:
        if self._progress is not None:
            self._progress.stop()
            self._progress = None
        for handler, stream in self._handlers:
            handler.setStream(stream)
        self._handlers.clear()


class _AboveBar:
    """A stream whose lines a console prints above what it shows live, colours and length as they are."""

    def __init__(self, console: Console) -> None:
        self._console = console

    def write(self, text: str) -> None:
        if text.strip("\n"):
            self._console.print(Text.from_ansi(text.rstrip("\n")), soft_wrap=True)

    def flush(self) -> None:
        self._console.file.flush()

    def isatty(self) -> bool:
        return True
