"""Begin a config of one's own from one of mapllava's."""

from __future__ import annotations

import argparse
from pathlib import Path

from mapllava.cli.command_line import add_config, say
from mapllava.config.packaged import PREFIX, configs_folder, find_config
from mapllava.errors import MapLLaVAError
from mapllava.files import atomic_write

DESCRIPTION = """\
Write a short config that inherits from NAME: what it does not set stays as it is there, in later versions
too. With --full, write every value of NAME and its bases into one file that inherits from nothing.
A file that is there is left alone.
"""
EPILOG = """\
examples:
  %(prog)s stage2/synthetic
  %(prog)s stage2/trainval configs/mine.py
  %(prog)s stage2/trainval whole.py --full
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Its options."""
    add_config(parser, metavar="NAME")
    parser.add_argument(
        "target",
        nargs="?",
        type=Path,
        metavar="DEST",
        help="file or folder (default: here, under its own name)",
    )
    parser.add_argument("--full", action="store_true", help="every value, nothing inherited")
    parser.add_argument("--force", action="store_true", help="replace a file that is there")


def base_of(source: Path) -> str:
    """What ``_base_`` of the new config says: mapllava's own by name, another file by its path."""
    if source.resolve().is_relative_to(configs_folder().resolve()):
        return f"{PREFIX}{source.resolve().relative_to(configs_folder().resolve()).as_posix()}"
    return source.resolve().as_posix()


def leaf(base: str, target: Path) -> str:
    """The text of a config that inherits."""
    return (
        f"# What is not set here is as in {base}; mapllava configs show {target} shows all values,\n"
        "# each with the key that sets it, for instance: train_cfg = dict(max_epochs=12)\n"
        f'_base_ = "{base}"\n'
    )


def _whole(source: Path) -> str:
    from mapllava.config.read import load_config  # here, because it brings in mmengine

    return load_config(source).pretty_text


def run(args: argparse.Namespace) -> None:
    """Write the file and say what to do with it."""
    source = find_config(args.config)
    target = args.target or Path(source.name)
    target = target / source.name if target.is_dir() else target
    if target.suffix != ".py":
        raise MapLLaVAError(f"'{target}' is no name of a config: let it end in .py")
    if target.exists() and (target.samefile(source) or not args.force):
        remedy = "name another file" if target.samefile(source) else "name another file, or add --force"
        raise MapLLaVAError(f"'{target}' is there already: {remedy}")
    base = base_of(source)
    text = f"# {base} with its bases.\n{_whole(source)}" if args.full else leaf(base, target)
    with atomic_write(target) as part:
        part.write_text(text, encoding="utf-8")
    say(f"written: {target}\n  mapllava configs show {target}\n  mapllava train {target}")
