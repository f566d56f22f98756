"""Things that one process at a time may have: taken by making or locking them, never by looking first."""

from __future__ import annotations

import errno
import fcntl
import logging
import os
import platform
import time
from collections.abc import Container, Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path

from mapllava.errors import MapLLaVAError
from mapllava.files import cannot_write

logger = logging.getLogger(__name__)

_HELD = (errno.EACCES, errno.EAGAIN)
_NO_LOCKS = (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP)  # file systems that are mounted without them


def new_folder(path: str | Path, passed_over: Container[str] = ()) -> Path:
    """Make a folder that nobody had: ``path``, or where that is taken ``path_2``, ``path_3`` and so on.

    Args:
        path: The wanted name; folders above it are made.
        passed_over: Names that the folder must not have either.

    Returns:
        The folder, which only this caller has got.

    Raises:
        MapLLaVAError: If it cannot be made; names it.
    """
    path = Path(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        for number in count(1):
            found = path if number == 1 else path.with_name(f"{path.name}_{number}")
            if found.name in passed_over:
                continue
            try:
                found.mkdir()
            except FileExistsError:
                continue
            return found
    except OSError as error:
        raise cannot_write(path, error) from error
    raise AssertionError("count() does not end")


@contextmanager
def sole_holder(path: str | Path, busy: str, wait: bool = False) -> Iterator[None]:
    """Within, no other process that asks for the same lock file gets it, on this machine or another.

    The kernel (over NFS, the server) frees the lock when its process ends, however it ends, so none is
    ever stale; forked children do not have it. Where a file system knows no locks, nothing is held back.

    Args:
        path: The lock file; its folder is made, the file is removed in the end.
        busy: What to say where another process has it, for instance ``'x' is in use``.
        wait: Wait for the other process instead of refusing.

    Raises:
        MapLLaVAError: If another process has it and ``wait`` is False, with who; or if the file cannot be
            written.
    """
    path = Path(path)
    try:
        descriptor = _lock(path, busy, wait)
    except OSError as error:
        raise cannot_write(path, error) from error
    try:
        yield
    finally:
        path.unlink(missing_ok=True)  # still locked: who waits for this file sees that it is gone
        os.close(descriptor)


def _lock(path: Path, busy: str, wait: bool) -> int:
    path.parent.mkdir(parents=True, exist_ok=True)
    while True:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
        try:
            _acquire(descriptor, busy, wait)
            if _is_still(path, descriptor):
                _sign(descriptor)
                return descriptor
        except BaseException:
            os.close(descriptor)
            raise
        os.close(descriptor)


def _acquire(descriptor: int, busy: str, wait: bool) -> None:
    """POSIX locks and not flock: data workers that outlive a killed run do not inherit them."""
    try:
        fcntl.lockf(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno in _NO_LOCKS:
            return
        if error.errno not in _HELD:
            raise
        holder = os.read(descriptor, 1000).decode(errors="replace") or "another process"
        if not wait:
            raise MapLLaVAError(f"{busy} by {holder}") from None
        logger.warning("%s by %s: waiting for it", busy, holder)
        fcntl.lockf(descriptor, fcntl.LOCK_EX)


def _is_still(path: Path, descriptor: int) -> bool:
    """Whether the file is still the one of that name, and not one that its holder has removed."""
    try:
        return os.path.samestat(os.stat(path), os.fstat(descriptor))
    except FileNotFoundError:
        return False


def _sign(descriptor: int) -> None:
    """Say who has it; on a full disk the lock holds without."""
    text = f"process {os.getpid()} on {platform.node()} since {time.strftime('%Y-%m-%d %H:%M:%S')}"
    try:
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, text.encode(), 0)
    except OSError:
        logger.debug("the lock's holder could not be written", exc_info=True)
