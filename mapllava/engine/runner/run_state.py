"""What a hook asks of the runner that MMEngine's has no public name for."""

from __future__ import annotations

from typing import Any

from mmengine.runner import BaseLoop, Runner


def is_resumed(runner: Runner) -> bool:
    """Whether the run goes on from a checkpoint, and does not just start from its weights."""
    return bool(runner._resume)  # its argument; the config lacks it where a runner is made by hand


def built_loops(runner: Runner) -> dict[str, Any]:
    """The loops of a run that are built by now, by stage: ``train``, ``val``, ``test``."""
    # the properties train_loop, val_loop and test_loop would build them
    loops = {"train": runner._train_loop, "val": runner._val_loop, "test": runner._test_loop}
    return {stage: loop for stage, loop in loops.items() if isinstance(loop, BaseLoop)}
