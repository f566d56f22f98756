"""How a program and its workers begin and end: how threads wait, Ctrl-C, a parent that is gone."""

from __future__ import annotations

import os
import signal
import sys
import threading
from types import FrameType

SPINS = "1000"
"""How often a thread of GNU's OpenMP (PyTorch's, in the wheels) looks whether the others are done, before
it sleeps; the library's own 300,000 are 3 ms. Chosen by ``benchmarks/busy_machine.py``."""
_WHY = "threads that wait sleep soon, so that another program on these cores slows a step less"
_VARIABLES = ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT", "KMP_BLOCKTIME")
_policy = "as the library does"


def begin() -> None:
    """Call first of all in a program, before anything heavy is imported.

    OpenMP reads its settings once, when PyTorch is imported. Settings of the user's own win. Until the
    program's main function runs, Ctrl-C ends it with one line: an exception inside of an import may come
    out as anything.
    """
    global _policy
    own = [f"{key}={os.environ[key]}" for key in _VARIABLES if key in os.environ]
    if own:
        _policy = f"{', '.join(own)} from the environment"
    elif "torch" not in sys.modules:
        os.environ["GOMP_SPINCOUNT"] = SPINS
        _policy = f"GOMP_SPINCOUNT={SPINS}, set by this program: {_WHY}"
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGINT, _leave)


def ready() -> None:
    """All is imported: from here on Ctrl-C raises KeyboardInterrupt."""
    if signal.getsignal(signal.SIGINT) is _leave:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def wait_policy() -> str:
    """How OpenMP's threads wait, and who says so; for the log."""
    return _policy


def end_with_parent() -> None:
    """End this worker when its parent is killed; a pool's workers would wait for work for ever."""
    from multiprocessing import parent_process  # here, for programs that have no workers

    parent = parent_process()

    def watch() -> None:
        if parent is not None:
            parent.join()
            os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def _leave(number: int, frame: FrameType | None) -> None:
    os.write(2, b"interrupted\n")
    os._exit(128 + number)
