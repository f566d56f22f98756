"""How every command ends: one rule for tools, benchmarks and examples."""

from __future__ import annotations

import os
import select
import sys
from collections.abc import Callable

from mapllava.errors import MapLLaVAError
from mapllava.resources import explain_resources
from mapllava.startup import ready

STATUSES = """\
exit status: 0 done, 1 looked and something is wrong, 2 wrong usage or input (the message says what to do),
130 interrupted, 128 + N stopped by signal N, 141 the reader of the output has left
"""


def exit_status(run: Callable[[], int | None], interrupted: str = "") -> int:
    """Do a command's work and say how it ended.

    Args:
        run: The work; returns the exit status, None for 0.
        interrupted: What to tell a user who stops the command.

    Returns:
        One of ``STATUSES``; with 2 goes ``error: <text>`` on stderr. What is nobody's input keeps its
        traceback.
    """
    try:
        ready()
        return run() or 0
    except KeyboardInterrupt:
        sys.stderr.write(f"interrupted: {interrupted}\n" if interrupted else "interrupted\n")
        return 130
    except Exception as error:
        if isinstance(error, BrokenPipeError) and _reader_has_left():
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # what is left has nowhere to go
            return 141
        explained = _explained(error)
        if explained is None:
            raise
        sys.stderr.write(f"error: {explained}\n")
        return 2


def _reader_has_left() -> bool:
    """Whether stdout is the pipe that broke; a data worker's or another process's breaks just the same."""
    try:
        sys.stdout.flush()
        pipes = select.poll()
        pipes.register(sys.stdout, 0)  # errors alone: a flush has none to find where nothing is buffered
        return any(event & (select.POLLERR | select.POLLHUP) for _, event in pipes.poll(0))
    except BrokenPipeError:
        return True
    except ValueError:  # stdout is no file, or closed
        return False


def _explained(error: Exception) -> object | None:
    """What to say of what the user can put right; None of a defect."""
    if isinstance(error, MapLLaVAError):
        return error
    said: object | None = explain_resources(error)
    if said is None and "mmengine" in sys.modules:  # without it, nothing has been built from a config
        from mapllava.config.build_errors import explain_config

        said = explain_config(error)
    return error if said is None and isinstance(error, OSError) else said
