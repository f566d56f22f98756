"""Which checkpoint a run goes on from."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from mapllava.checkpoint.checkpoint_loader import checkpoint_file
from mapllava.checkpoint.plain_file import read_plain
from mapllava.engine.hooks.run_checkpoint_hook import checkpoints
from mapllava.errors import MapLLaVAError


def resume_point(work_dir: str | Path, asked: str) -> Path | None:
    """The checkpoint to resume from.

    A checkpoint that was named must be whole. Of a run folder the newest whole one is taken, with a
    warning on stderr for each newer one that is damaged.

    Args:
        work_dir: The run folder.
        asked: ``auto``, or a checkpoint.

    Returns:
        Its path, or None where ``auto`` finds an empty run folder.

    Raises:
        MapLLaVAError: If the checkpoint that was named is missing or damaged, or all in the folder are.
    """
    if asked != "auto":
        path = checkpoint_file(asked, "--resume auto looks in the run folder")
        _check(path)
        return path
    damaged = []
    for path in reversed(checkpoints(work_dir)):
        try:
            _check(path)
        except MapLLaVAError as error:
            damaged.append(f"{error}")
            continue
        for line in damaged if os.environ.get("RANK", "0") == "0" else []:
            sys.stderr.write(f"warning: {line}\n")
        if damaged and os.environ.get("RANK", "0") == "0":
            sys.stderr.write(f"warning: resuming from the last good checkpoint instead, {path}\n")
        return path
    if damaged:
        raise MapLLaVAError(
            f"no checkpoint in '{work_dir}' can be read:\n  " + "\n  ".join(damaged) + "\n"
            "Restore one from a copy, or start anew without --resume in another --work-dir"
        )
    return None


def _check(path: Path) -> None:
    content = read_plain(path)
    wanted = ("state_dict", "optimizer", "message_hub", "meta")
    missing = [key for key in wanted if not isinstance(content, dict) or key not in content]
    if missing:
        raise MapLLaVAError(
            f"'{path}' cannot be resumed: it lacks {', '.join(missing)}. Take a checkpoint_epoch_N.pth of "
            "the run folder, or use the file's weights as a start: --cfg-options load_from=FILE"
        )
