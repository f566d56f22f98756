"""The one exception that command-line tools turn into a message instead of a traceback."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from typing import TypeVar

from mapllava.startup import ready

Arguments = TypeVar("Arguments")


class MapLLaVAError(Exception):
    """Something the user can put right: a path, an option, a config value, a stale file.

    The text names what was found, where, and the remedy. Tools print ``error: <text>`` and exit
    with status 2; everything else that escapes is a defect and keeps its traceback.
    """


def exit_status(run: Callable[[Arguments], int | None], args: Arguments, interrupted: str = "") -> int:
    """Do a command's work and say how it ended; the tools' one rule for errors.

    Args:
        run: The work; returns the exit status, None for 0.
        args: The command line.
        interrupted: What to tell a user who stops the command.

    Returns:
        What ``run`` returns; 2 after what the user can put right, here or in the file system, with
        ``error: <text>`` on stderr; 130 after Ctrl-C; 141 where the reader of stdout (``head``) has left.
    """
    try:
        ready()
        return run(args) or 0
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # what is left has nowhere to go
        return 141
    except (MapLLaVAError, OSError) as error:
        sys.stderr.write(f"error: {error}\n")
        return 2
    except KeyboardInterrupt:
        sys.stderr.write(f"interrupted: {interrupted}\n" if interrupted else "interrupted\n")
        return 130
