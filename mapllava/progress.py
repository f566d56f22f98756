"""What shows on the terminal that work goes on."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn


@contextmanager
def progress_bar(text: str, total: int, shown: bool) -> Iterator[Callable[[int], None]]:
    """A bar on the terminal with ``text`` before it, or nothing.

    It is drawn when it moves and by no thread of its own, so that processes may be forked meanwhile.

    Yields:
        What to call with how many of ``total`` have become done.
    """
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), auto_refresh=False, disable=not shown) as bar:
        task = bar.add_task(text, total=total)
        yield lambda count: bar.update(task, advance=count, refresh=True)


def busy(text: str, shown: bool) -> AbstractContextManager:
    """A spinner on the terminal with ``text`` beside it, or nothing."""
    return Console(stderr=True).status(text) if shown else nullcontext()
