"""From a config file and a command line's options to a config."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import yaml
from mmengine.config import Config
from mmengine.config.utils import ConfigParsingError

import mapllava.config.base_files
import mapllava.config.yaml_file  # noqa: F401  (both for what Config.fromfile opens)
from mapllava.config.check import check_config
from mapllava.config.moved import bring_up_to_date
from mapllava.config.options import apply_options
from mapllava.config.packaged import find_config
from mapllava.config.resolve import move_data_root
from mapllava.config.trusted import read_sent_config
from mapllava.errors import MapLLaVAError
from mapllava.plugins import import_plugins

_UNREADABLE = (
    OSError, SyntaxError, KeyError, NameError, TypeError, AttributeError, ImportError, ValueError,
    ArithmeticError, RecursionError, ConfigParsingError, yaml.YAMLError,
)  # fmt: skip


def load_config(
    path: str | Path,
    options: Mapping[str, Any] | None = None,
    plugins: Iterable[str] = (),
    sent: bool = False,
) -> Config:
    """:func:`read_config`, of a config without a mistake that can be seen in it.

    Raises:
        MapLLaVAError: If it cannot be read, or something in it would come to nothing.
    """
    cfg = read_config(path, options, plugins, sent)
    check_config(cfg, None if sent else Path(cfg.filename), options or ())
    return cfg


def read_config(
    path: str | Path,
    options: Mapping[str, Any] | None = None,
    plugins: Iterable[str] = (),
    sent: bool = False,
) -> Config:
    """Import installed and named plug-ins, read the config and apply the options to it.

    A config in a run folder, recognised by its ``config.json``, may be an older version's: it is brought up
    to date. A top-level ``data_root`` among the options reaches every data set that had the config's.

    Args:
        path: The config's file, or the name of one of mapllava's own (``stage2/synthetic``).
        options: Dotted key to value, as :class:`mapllava.config.options.OptionsAction` reads them.
        plugins: Modules or ``.py`` files to import first.
        sent: Whether the config was found beside a file that may be somebody else's, and not named by the
            user: it is read as values then, and may name registered components only.

    Raises:
        MapLLaVAError: If a plug-in cannot be imported, the config not be read, or an option does not fit it.
    """
    import_plugins(plugins)
    path = find_config(path)
    try:
        cfg = Config(read_sent_config(path), filename=path) if sent else Config.fromfile(path)
        if not sent and path.with_name("config.json").is_file():
            cfg = Config(bring_up_to_date(cfg.to_dict()), filename=path)
    except _UNREADABLE as error:
        raise MapLLaVAError(f"config '{path}' cannot be read: {type(error).__name__}: {error}") from error
    options = options or {}
    if options.get("data_root") is not None:
        move_data_root(cfg, options["data_root"])
    apply_options(cfg, options)
    return cfg
