#!/usr/bin/env python
"""Show a config as a run builds from it, and where each of its values comes from."""

from __future__ import annotations

from mapllava.startup import begin

begin(__name__)

import argparse
import sys
from pathlib import Path

from mapllava.config.mistake import suggestion
from mapllava.config.options import OptionsAction
from mapllava.config.origins import values_of
from mapllava.errors import MapLLaVAError, exit_status
from mapllava.files import write_json

DESCRIPTION = """\
Show a config with its bases, the command line's options and what is filled in at build time, one value
a line, and behind each where it comes from: FILE:LINE is where to change it, or what to name in
--cfg-options. Nothing is built, and no data are needed.
"""
EPILOG = """\
examples:
  python tools/print_config.py configs/stage2/synthetic.py
  python tools/print_config.py configs/stage2/trainval.py --only model.decoder param_scheduler
  python tools/print_config.py configs/stage2/synthetic.py --only train_dataloader \\
      --cfg-options data_root=/data/city

exit status: 0, or 2 for bad input (the message says what to do)
"""


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        description=DESCRIPTION, epilog=EPILOG, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("config", help="config file, for instance configs/stage2/synthetic.py")
    add("--only", nargs="+", default=[], metavar="KEY", help="what stands at these dotted keys alone")
    add("--json", type=Path, metavar="OUT", help="write the values and their origins to this file, too")
    add("--cfg-options", nargs="+", action=OptionsAction, metavar="KEY=VALUE", help="override config values")
    add("--plugins", nargs="+", default=[], metavar="MODULE", help="modules or .py files to import first")
    return parser.parse_args(argv)


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
        sys.stdout.write(f"{each.where} = {each.value!r}  # {each.origin}\n")
    if args.json is not None:
        values = {each.where: {"value": each.value, "from": each.origin} for each in shown}
        write_json(args.json, values, default=str)


def main(argv: list[str] | None = None) -> int:
    """Print a config; returns the exit status."""
    return exit_status(run, parse_args(argv))


if __name__ == "__main__":
    raise SystemExit(main())
