"""What the commands share: options, config, output."""

from __future__ import annotations

import argparse
import math
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mapllava.apis.demo_files import parser_file
from mapllava.config.packaged import own_config, packaged_config

if TYPE_CHECKING:
    from mmengine.config import Config


def add_config(parser: argparse.ArgumentParser, **settings: Any) -> None:
    """The config that a command is about: a file, or the name of one of mapllava's own."""
    settings.setdefault("help", "config file, or a name of 'mapllava configs list': stage2/synthetic")
    parser.add_argument("config", type=chosen_config, **settings)


def chosen_config(name: str) -> str:
    """The config that is meant, said where a file of the user's own goes before mapllava's of that name."""
    own, ours = own_config(name), packaged_config(name)
    if own and ours and not own.samefile(ours):
        sys.stderr.write(f"config: {own.resolve()}, not mapllava's own of that name (mapllava::{name})\n")
    return name


def score(text: str) -> float:
    """A score on the command line: a number in 0..1, for ``type`` of an option."""
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 <= value <= 1:  # also where it is no number
        raise argparse.ArgumentTypeError(f"{text!r} is no score: a number in 0..1")
    return value


def add_parser_option(group: Any, does: str) -> None:
    """The option that names a request parser, for what it does there; the package's own is 'demo'."""
    group.add_argument(
        "--parser",
        type=Path,
        metavar="FILE",
        help=f"{does}: a trained parser's file, or 'demo', the package's own (see mapllava get smollm2)",
    )


def parser_path(args: argparse.Namespace) -> Path | None:
    """The parser's file that a command line names; None where it names none.

    Raises:
        MapLLaVAError: If it is 'demo', and this installation has none.
    """
    return parser_file() if args.parser == Path("demo") else args.parser


def add_plugins(parser: argparse.ArgumentParser) -> None:
    """The option that names plug-ins."""
    parser.add_argument(
        "--plugins",
        nargs="+",
        default=[],
        metavar="MODULE",
        help="modules or .py files to import first, so that their registered components can be named",
    )


def add_config_options(parser: argparse.ArgumentParser) -> None:
    """The options of what reads a config."""
    from mapllava.config.options import OptionsAction  # here, because it brings in mmengine

    parser.add_argument(
        "--cfg-options",
        nargs="+",
        action=OptionsAction,
        metavar="KEY=VALUE",
        help="override config values, for instance train_dataloader.batch_size=2 data_root=/data/nuscenes",
    )
    add_plugins(parser)


def add_run_options(parser: argparse.ArgumentParser) -> None:
    """The options that training and testing have in common."""
    parser.add_argument("--work-dir", type=os.path.expanduser, help="folder for log, metrics and checkpoints")
    add_config_options(parser)
    parser.add_argument("--launcher", choices=["none", "pytorch", "slurm", "mpi"], default="none")
    parser.add_argument("--local_rank", "--local-rank", type=int, default=0, help=argparse.SUPPRESS)


def config_of(args: argparse.Namespace) -> Config:
    """The config that a command line with the options of :func:`add_config_options` asks for.

    Raises:
        MapLLaVAError: If it cannot be read, or something in it would come to nothing.
    """
    from mapllava.config.read import load_config

    os.environ.setdefault("LOCAL_RANK", str(getattr(args, "local_rank", 0)))
    cfg = load_config(args.config, args.cfg_options, args.plugins)
    cfg.launcher = getattr(args, "launcher", "none")
    return cfg


def say(text: object) -> None:
    """Write a line to the standard output."""
    sys.stdout.write(f"{text}\n")


def add_scoring_options(parser: argparse.ArgumentParser) -> None:
    """The options of what scores results files: the files, and how they are compared with the truth."""
    from mapllava.evaluation.formats import KINDS
    from mapllava.evaluation.functional import PROTOCOLS

    add = parser.add_argument
    add("results", nargs="+", type=Path, help="one results file, or two to compare")
    add("--protocol", default="maptr", help=f"one of {', '.join(PROTOCOLS)} (default: maptr)")
    add("--thresholds", nargs="+", type=float, metavar="M", help="metres, instead of the protocol's")
    add("--from", dest="kind", choices=KINDS, help="kind of the files, where the content does not tell")
    add("--bootstrap", type=int, metavar="N", help="draws, 0 for none (default: 1000)")
    add("--seed", type=int, default=0, help="seed of the draws (default: 0)")
    add("--scenes", nargs="+", metavar="S", help="only these scenes: names, or a JSON file with a list")
