"""The options that the commands which look into a ground-truth cache have in common."""

from __future__ import annotations

import argparse
from pathlib import Path


def add_cache(parser: argparse.ArgumentParser) -> None:
    """The cache to look into."""
    parser.add_argument("cache", type=Path, help="GT cache, gt_cache_<version>_<split>.pkl")


def add_dataroot(parser: argparse.ArgumentParser, what: str) -> None:
    """The data that a cache is looked at with.

    Args:
        parser: Gets the option.
        what: What is read there, for the help.
    """
    text = f"data root with the {what} (default: the one that the cache was built from)"
    parser.add_argument("--dataroot", type=Path, help=text)


def add_seed(parser: argparse.ArgumentParser) -> None:
    """The seed that samples are chosen with."""
    parser.add_argument("--seed", type=int, default=0, help="seed of the choice (default: %(default)s)")


def add_json(parser: argparse.ArgumentParser) -> None:
    """The file for what was found."""
    parser.add_argument("--json", type=Path, help="also write what was found to this file")
