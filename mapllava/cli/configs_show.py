"""Show a config as a run builds from it, and where each of its values comes from."""

from __future__ import annotations

import argparse
from pathlib import Path

from mapllava.cli.command_line import add_config, add_config_options, say
from mapllava.config.mistake import suggestion
from mapllava.config.origins import values_of
from mapllava.errors import MapLLaVAError
from mapllava.files import write_json

DESCRIPTION = """\
Show a config with its bases, the command line's options and what is filled in at build time, one value
a line, and behind each where it comes from: FILE:LINE is where to change it, or what to name in
--cfg-options. Nothing is built, and no data are needed.
"""
EPILOG = """\
examples:
  %(prog)s configs/stage2/synthetic.py
  %(prog)s configs/stage2/trainval.py --only model.decoder param_scheduler
  %(prog)s configs/stage2/synthetic.py --only train_dataloader --cfg-options data_root=/data/city
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Its options."""
    add = parser.add_argument
    add_config(parser)
    add("--only", nargs="+", default=[], metavar="KEY", help="what stands at these dotted keys alone")
    add("--json", type=Path, metavar="OUT", help="write the values and their origins to this file, too")
    add_config_options(parser)


def run(args: argparse.Namespace) -> None:
    """Print the values."""
    found = values_of(args.config, args.cfg_options, args.plugins)
    for key in args.only:
        if not any(f"{each.where}.".startswith(f"{key}.") for each in found):
            keys = {each.where for each in found}
            near = suggestion(key, keys | {where.rpartition(".")[0] for where in keys})
            raise MapLLaVAError(f"--only {key}: the config has no such key{f'; {near}' if near else ''}")
    wanted = tuple(f"{key}." for key in args.only)
    shown = [each for each in found if not wanted or f"{each.where}.".startswith(wanted)]
    for each in shown:
        say(f"{each.where} = {each.value!r}  # {each.origin}")
    if args.json is not None:
        values = {each.where: {"value": each.value, "from": each.origin} for each in shown}
        write_json(args.json, values, default=str)
