"""What the training and testing commands share: options, config, plug-ins, errors."""

from __future__ import annotations

import argparse
import importlib
import importlib.util
import os
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import yaml
from mmengine.config import Config
from mmengine.config.utils import ConfigParsingError
from mmengine.registry import init_default_scope

import mapllava.config.yaml_file  # noqa: F401  (for what Config.fromfile opens)
from mapllava.checkpoint.trusted_config import read_sent_config
from mapllava.config.check import check_config
from mapllava.config.options import OptionsAction, apply_options
from mapllava.engine.config_errors import explain_config
from mapllava.engine.resources import explain_resources
from mapllava.errors import MapLLaVAError
from mapllava.registry import SCOPE
from mapllava.startup import ready

_UNREADABLE = (
    OSError, SyntaxError, KeyError, NameError, TypeError, AttributeError, ImportError, ValueError,
    ArithmeticError, RecursionError, ConfigParsingError, yaml.YAMLError,
)  # fmt: skip


def add_run_options(parser: argparse.ArgumentParser) -> None:
    """The options that training and testing have in common."""
    parser.add_argument("--work-dir", type=os.path.expanduser, help="folder for log, metrics and checkpoints")
    parser.add_argument(
        "--cfg-options",
        nargs="+",
        action=OptionsAction,
        metavar="KEY=VALUE",
        help="override config values, for instance train_dataloader.batch_size=2 data_root=/data/nuscenes",
    )
    parser.add_argument("--launcher", choices=["none", "pytorch", "slurm", "mpi"], default="none")
    parser.add_argument(
        "--plugins",
        nargs="+",
        default=[],
        metavar="MODULE",
        help="modules or .py files to import first, so that their registered components can be named",
    )
    parser.add_argument("--local_rank", "--local-rank", type=int, default=0, help=argparse.SUPPRESS)


def load_config(args: argparse.Namespace, sent: bool = False) -> Config:
    """:func:`read_config`, of a config without a mistake that can be seen in it.

    Raises:
        MapLLaVAError: If it cannot be read, or something in it would come to nothing.
    """
    cfg = read_config(args, sent)
    check_config(cfg, None if sent else Path(args.config), args.cfg_options or ())
    return cfg


def read_config(args: argparse.Namespace, sent: bool = False) -> Config:
    """Import the plug-ins, read the config and apply the command line to it.

    A top-level ``data_root`` among the options reaches every data set that had the config's.

    Args:
        args: With ``config`` and what :func:`add_run_options` adds.
        sent: Whether the config was found beside a file that may be somebody else's, and not named by the
            user: it is read as values then, and may name registered components only.

    Raises:
        MapLLaVAError: If a plug-in cannot be imported, the config not be read, or an option does not fit it.
    """
    os.environ.setdefault("LOCAL_RANK", str(args.local_rank))
    import_plugins(args.plugins)
    path = Path(args.config)
    if not path.is_file():
        known = ", ".join(sorted(str(entry) for entry in Path("configs").glob("stage*/*.py")))
        raise MapLLaVAError(
            f"config '{path}' is not there" + (f"; the repository has {known}" if known else "")
        )
    try:
        cfg = Config(read_sent_config(path), filename=path) if sent else Config.fromfile(path)
    except _UNREADABLE as error:
        raise MapLLaVAError(f"config '{path}' cannot be read: {type(error).__name__}: {error}") from error
    options = args.cfg_options or {}
    cfg.setdefault("default_scope", SCOPE)
    init_default_scope(cfg.default_scope)
    _move_data_root(cfg, options.get("data_root"))
    apply_options(cfg, options)
    _expand_home(cfg._cfg_dict)
    cfg.launcher = args.launcher
    return cfg


def import_plugins(plugins: Iterable[str]) -> None:
    """Import modules by dotted name or ``.py`` path; registering is their own doing.

    Raises:
        MapLLaVAError: If one cannot be imported; names it and why.
    """
    for plugin in plugins:
        try:
            if plugin.endswith(".py"):
                _import_file(Path(plugin))
            else:
                importlib.import_module(plugin)
        except Exception as error:
            raise MapLLaVAError(
                f"plug-in '{plugin}' cannot be imported ({type(error).__name__}: {error}): "
                "give a .py file, or a module that PYTHONPATH reaches"
            ) from error


def run_tool(main: Callable[[], int]) -> int:
    """Run a command; an error that the user can put right becomes one message and status 2."""
    try:
        ready()
        return main()
    except MapLLaVAError as error:
        sys.stderr.write(f"error: {error}\n")
        return 2
    except KeyboardInterrupt:
        sys.stderr.write("interrupted\n")
        return 130
    except Exception as error:
        explained = explain_resources(error) or explain_config(error)
        if explained is None and isinstance(error, OSError):
            explained = str(error)
        if explained is None:
            raise
        sys.stderr.write(f"error: {explained}\n")
        return 2


def _expand_home(node: Any) -> None:
    """Write the home folder into every path that begins with ``~/``; the shell leaves it after a ``=``."""
    for key, value in node.items() if isinstance(node, dict) else enumerate(node):
        if isinstance(value, str) and value.startswith("~/"):
            node[key] = os.path.expanduser(value)
        elif isinstance(value, (dict, list)):
            _expand_home(value)


def _import_file(path: Path) -> None:
    if not path.is_file():
        raise FileNotFoundError(path)
    spec = importlib.util.spec_from_file_location(path.stem, path)
    if spec is None or spec.loader is None:
        raise ImportError(f"{path} is no Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[path.stem] = module
    spec.loader.exec_module(module)


def _move_data_root(cfg: Config, new: str | None) -> None:
    """A base-level variable does not reach the dicts that used it, so each is told."""
    if new is None:
        return
    old = cfg.get("data_root")
    pending: list = [cfg.get(f"{name}_dataloader") for name in ("train", "val", "test")]
    while pending:
        node = pending.pop()
        if isinstance(node, dict):
            if "data_root" in node and node["data_root"] == old:
                node["data_root"] = new
            pending.extend(node.values())
        elif isinstance(node, (list, tuple)):
            pending.extend(node)
