"""Say what two ground-truth caches do not share."""

from __future__ import annotations

import argparse
from pathlib import Path

from rich.console import Console

from mapllava import gt_cache
from mapllava.cli.cache_options import add_cache, add_json
from mapllava.gt_cache.inspect import report
from mapllava.gt_cache.inspect.compare import diff

EPILOG = """\
example:
  %(prog)s old/gt_cache_v1.0-mini_val.pkl new/gt_cache_v1.0-mini_val.pkl
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Its options."""
    add_cache(parser)
    parser.add_argument("other", type=Path, help="another cache of the same classes")
    add_json(parser)


def run(args: argparse.Namespace) -> int:
    """Compare two caches; 1 if they differ."""
    first, second = (gt_cache.load(path, check_sources=False) for path in (args.cache, args.other))
    found = diff(first, second)
    report.print_difference(Console(), found, f"{args.cache} (first), {args.other} (second)")
    caches = {"first": str(args.cache), "second": str(args.other)}
    report.save(args.json, caches | report.as_json(found))
    return int(not found.identical)
