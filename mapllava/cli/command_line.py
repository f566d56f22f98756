"""What the commands share: options, config, errors."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable

from mmengine.config import Config

from mapllava.config.build_errors import explain_config
from mapllava.config.options import OptionsAction
from mapllava.config.read import load_config
from mapllava.errors import MapLLaVAError
from mapllava.resources import explain_resources
from mapllava.startup import ready


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


def config_of(args: argparse.Namespace) -> Config:
    """The config that a command line with the options of :func:`add_run_options` asks for.

    Raises:
        MapLLaVAError: If it cannot be read, or something in it would come to nothing.
    """
    os.environ.setdefault("LOCAL_RANK", str(args.local_rank))
    cfg = load_config(args.config, args.cfg_options, args.plugins)
    cfg.launcher = args.launcher
    return cfg


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
