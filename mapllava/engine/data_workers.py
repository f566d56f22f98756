"""Data workers that outlive an epoch (``persistent_workers``) and must not outlive the run."""

from __future__ import annotations

from typing import Any


def end_workers(loader: Any) -> None:
    """End a loader's persistent workers; the next iteration starts new ones.

    Left to the interpreter's exit, each is waited for five seconds and then terminated, which PyTorch reports
    as the death of a worker, behind the run's last line.

    Args:
        loader: A data loader, or anything else, which is left alone.
    """
    iterator = getattr(loader, "_iterator", None)
    if iterator is not None and hasattr(iterator, "_shutdown_workers"):  # PyTorch has no public name for it
        iterator._shutdown_workers()
        loader._iterator = None
