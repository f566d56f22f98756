"""List mapllava's own configs, each with a line of what it is."""

from __future__ import annotations

import argparse

from mapllava.cli.command_line import say
from mapllava.config.packaged import PREFIX, config_names, configs_folder, packaged_config

EPILOG = """\
example:
  %(prog)s
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """It has none."""


def what_it_is(name: str) -> str:
    """The first comment of a config, its first sentence."""
    text = (packaged_config(name) or configs_folder()).read_text(encoding="utf-8")
    lines = []
    for line in text.splitlines():
        if not line.startswith("#"):
            break
        lines.append(line.removeprefix("#").strip())
    comment = " ".join(lines)
    end = comment.find(". ")
    return comment if end < 0 else comment[: end + 1]


def run(args: argparse.Namespace) -> None:
    """One line each, then how they are named."""
    names = config_names()
    width = max(map(len, names))
    for name in names:
        say(f"{name:<{width}}  {what_it_is(name)}")
    one = names[0]
    say(
        f"\nTheir files: {configs_folder()}\n"
        f"Train one: mapllava train {one}. Look at one: mapllava configs show {one}.\n"
        f'Change one: mapllava configs copy {one} mine.py, which inherits: _base_ = "{PREFIX}{one}.py".'
    )
