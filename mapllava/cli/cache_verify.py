"""Compute samples of a ground-truth cache anew from tables and maps, and compare."""

from __future__ import annotations

import argparse

from rich.console import Console

from mapllava import gt_cache
from mapllava.cli.cache_options import add_cache, add_dataroot, add_json, add_seed
from mapllava.cli.command_line import say
from mapllava.gt_cache.inspect import report
from mapllava.gt_cache.inspect.verify import verify

EPILOG = """\
example:
  %(prog)s data/nuscenes/gt_cache/gt_cache_v1.0-mini_train.pkl --num 200
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Its options."""
    add_cache(parser)
    add_dataroot(parser, "tables and maps")
    add_seed(parser)
    parser.add_argument("--num", type=int, default=50, help="samples to compute (default: %(default)s)")
    parser.add_argument("--all", action="store_true", help="every sample")
    add_json(parser)


def run(args: argparse.Namespace) -> int:
    """Compute samples anew; 1 if the ground truth is another."""
    cache = gt_cache.load(args.cache, check_sources=False)
    found = verify(cache, args.dataroot, None if args.all else args.num, args.seed, progress=True)
    report.print_comparison(Console(), found, "stored (first), computed anew (second)")
    verdict = "holds" if found.equivalent else "does NOT hold"
    say(f"{report.title_of(args.cache, cache['metainfo'])} {verdict} what its source gives")
    report.save(args.json, report.facts_of(args.cache, cache["metainfo"]) | report.as_json(found))
    return int(not found.equivalent)
