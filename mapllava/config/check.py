"""The mistakes in a config that can be seen before anything is built, in one place for all commands."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from mmengine.config import Config

from mapllava.config.components import unknown_arguments, unregistered_types
from mapllava.config.keys import unread_keys
from mapllava.errors import MapLLaVAError
from mapllava.finding import FAIL


def check_config(cfg: Config, path: Path | None, options: Iterable[str] = ()) -> None:
    """Refuse a config that says what would silently not happen.

    Args:
        cfg: The config with the command line's options, as it is written.
        path: Its file; None of one that is not to be executed, whose variables are not looked at then.
        options: Dotted keys of these options.

    Raises:
        MapLLaVAError: If nothing comes of a top-level name, a type is not registered, or a component or dict
            has a key that nobody takes; all of these, each with what to write instead.
    """
    written = cfg.to_dict()
    found = [*unread_keys(written, path, options), *unregistered_types(written)]
    found = [each for each in found if each.status == FAIL] or list(unknown_arguments(written))
    if found:
        lines = [f"{each.name.removeprefix('key ')}: {each.reason}: {each.remedy}" for each in found]
        raise MapLLaVAError(f"config '{path or cfg.filename}': " + "\n  ".join(lines))
