"""What a machine has run out of, in words that say what to do."""

from __future__ import annotations

import errno
import os
import re
import resource
from collections.abc import Iterator
from pathlib import Path
from pickle import UnpicklingError

from mapllava.files import cannot_write

SHARED_MEMORY = Path("/dev/shm")
_NUMBER = re.compile(r"\[Errno (\d+)\]")
_FILES = ("Too many open files", "received 0 items of ancdata")
_SHARED = ("shared memory object", "shm_open", "/torch_", str(SHARED_MEMORY))
_PORT = ("EADDRINUSE", "Address already in use")
_DISK = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS)
_CUT_OFF = (ConnectionError, EOFError, UnpicklingError)
_HANDING_OVER = ("multiprocessing/connection.py", "multiprocessing/reductions.py", "resource_sharer.py")


def explain_resources(error: BaseException, folder: str | os.PathLike[str] | None = None) -> str | None:
    """What ran out or is taken, and the remedy.

    Args:
        error: What was raised.
        folder: Where the program writes; named where the error itself does not say.

    Returns:
        The message; None where the error is of another kind.
    """
    text, number = str(error), _number(error)
    if number in (errno.EMFILE, errno.ENFILE) or any(words in text for words in _FILES):
        return _open_files()
    if _is_in_shared_memory(error, text):
        return _shared_memory(text)
    if number == errno.EADDRINUSE or any(words in text for words in _PORT):
        return f"a port is in use by another program or run: MASTER_PORT=29501, or another ({_line(text)})"
    if number == errno.EAGAIN and any(name.endswith("popen_fork.py") for name in _files(error)):
        return "no further process can be started: raise ulimit -u, or lower train_dataloader.num_workers"
    if isinstance(error, (OSError, RuntimeError)) and number in _DISK:
        named = getattr(error, "filename", None) or folder
        return str(cannot_write(str(named or os.getcwd()), OSError(number, os.strerror(number))))
    return None


def gigabytes(size: float) -> str:
    """Bytes as a person reads them, e.g. ``3.2 GB``."""
    return f"{size / 1e9:.1f} GB" if size >= 1e8 else f"{size / 1e6:.1f} MB"


def is_worker_lost(error: BaseException) -> bool:
    """Whether a data worker's connection broke off while it handed over a batch, as when it is killed."""
    if not isinstance(error, _CUT_OFF):
        return False
    names = list(_files(error))
    loading = any(name.endswith("data/dataloader.py") for name in names)
    return loading and any(name.endswith(_HANDING_OVER) for name in names)


def _number(error: BaseException) -> int | None:
    """The error's number, also where a data worker's error comes as text."""
    if isinstance(error, OSError) and error.errno is not None:
        return error.errno
    text = str(error)
    found = _NUMBER.findall(text)
    if found:
        return int(found[-1])
    return next((number for number in _DISK if os.strerror(number) in text), None)


def _is_in_shared_memory(error: BaseException, text: str) -> bool:
    """Semaphores lie there too, and their errors name no file."""
    if any(words in text for words in _SHARED):
        return True
    return isinstance(error, OSError) and any(
        name.endswith("multiprocessing/synchronize.py") for name in _files(error)
    )


def _open_files() -> str:
    limit, most = (
        "unlimited" if value == resource.RLIM_INFINITY else value
        for value in resource.getrlimit(resource.RLIMIT_NOFILE)
    )
    return (
        f"too many open files: this process may have {limit}, each batch that a data worker hands over takes "
        f"some. Raise the limit in this shell, ulimit -n 65536 (the hard limit is {most}), or lower "
        "train_dataloader.num_workers and prefetch_factor"
    )


def _shared_memory(text: str) -> str:
    state = "read-only" if not os.access(SHARED_MEMORY, os.W_OK) else "full or not usable"
    return (
        f"shared memory {SHARED_MEMORY} is {state}, and processes hand over batches there: {_line(text)}. "
        f"See df -h {SHARED_MEMORY}; start a container with --shm-size=8g or --ipc=host, or read in this "
        "process: --cfg-options train_dataloader.num_workers=0 train_dataloader.persistent_workers=False"
    )


def _files(error: BaseException) -> Iterator[str]:
    """The source files that the error came through."""
    trace = error.__traceback__
    while trace is not None:
        yield trace.tb_frame.f_code.co_filename
        trace = trace.tb_next


def _line(text: str) -> str:
    return text.strip().splitlines()[-1] if text.strip() else "no reason is given"
