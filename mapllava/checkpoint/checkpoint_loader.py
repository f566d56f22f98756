"""What MMEngine's ``CheckpointLoader`` opens: files on this disk, read without running anything in them.

It serves ``load_from``, ``resume``, ``mapllava test`` and ``init_cfg=dict(type='Pretrained')``. MMEngine's
own schemes unpickle what they fetch from a URL, and its runners evaluate a ``meta['config']`` as Python.
"""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any, NoReturn

from mmengine.logging import print_log
from mmengine.runner import CheckpointLoader

from mapllava.checkpoint.plain_file import is_state, read_plain
from mapllava.errors import MapLLaVAError

_EVALUATED = "config"  # of meta; MMEngine itself writes its text as 'cfg', so a file of ours has no such key
_REMOTE = (
    "http://",
    "https://",
    "pavi://",
    r"(\S+\:)?s3://",
    r"(\S+\:)?petrel://",
    "modelzoo://",
    "torchvision://",
    "open-mmlab://",
    "openmmlab://",
    "mmcls://",
)


def checkpoint_file(name: str | Path, remedy: str = "name one of a run folder") -> Path:
    """The checkpoint that a user names.

    Args:
        name: its path; ``~`` is the home folder.
        remedy: what to do if it is not there.

    Raises:
        MapLLaVAError: if there is no such file, or the name is a URL.
    """
    if "://" in str(name):
        load_from_elsewhere(str(name))
    path = Path(name).expanduser()
    if not path.is_file():
        raise MapLLaVAError(f"checkpoint '{name}' is not there: {remedy}")
    return path


@CheckpointLoader.register_scheme(prefixes="", force=True)
def load_from_disk(filename: str, map_location: Any = None) -> dict[str, Any]:
    """Read a checkpoint; nothing in it is executed, now or later.

    Args:
        filename: the file; ``~`` is the home folder.
        map_location: device of the tensors, as ``torch.load`` takes it.

    Raises:
        MapLLaVAError: if it is missing, damaged, or no checkpoint.
    """
    content = read_plain(filename, map_location or "cpu", mapped=False)
    meta = content.get("meta", {}) if isinstance(content, dict) else None
    state = content.get("state_dict", content) if isinstance(content, dict) else None
    if not isinstance(meta, dict) or not isinstance(state, dict):
        raise MapLLaVAError(f"'{filename}' is no checkpoint (state_dict and meta): take one of a run folder")
    if "state_dict" in content and not is_state(state):
        raise MapLLaVAError(f"'{filename}': its state_dict has more than named tensors: copy the file again")
    if meta.pop(_EVALUATED, None) is not None:
        print_log(
            f"'{filename}': meta.{_EVALUATED} is left unread, mapllava does not write it",
            logger="current",
            level=logging.WARNING,
        )
    return content


@CheckpointLoader.register_scheme(prefixes=_REMOTE, force=True)
def load_from_elsewhere(filename: str, map_location: Any = None) -> NoReturn:
    """Refuse what is not on this disk.

    Raises:
        MapLLaVAError: always.
    """
    raise MapLLaVAError(
        f"checkpoint '{filename}' is not a file: download it, and name the file on this disk in its place"
    )
