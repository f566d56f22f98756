"""Draw what a ground-truth cache holds: samples on the map, from above and in the cameras."""

from __future__ import annotations

import argparse
from pathlib import Path

from mapllava import gt_cache
from mapllava.cli.cache_options import add_cache, add_dataroot, add_seed
from mapllava.cli.command_line import say
from mapllava.gt_cache.inspect import report
from mapllava.gt_cache.store import stale_reason

EPILOG = """\
example:
  %(prog)s data/nuscenes/gt_cache/gt_cache_v1.0-mini_train.pkl --num 8 --out-dir pictures
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Its options."""
    add_cache(parser)
    add_dataroot(parser, "images")
    add_seed(parser)
    parser.add_argument(
        "--sample", nargs="+", metavar="TOKEN", help="these samples instead of a random choice"
    )
    parser.add_argument("--num", type=int, default=8, help="samples to draw; 0: maps only (default: 8)")
    parser.add_argument("--out-dir", type=Path, required=True, help="folder of the PNG files")


def run(args: argparse.Namespace) -> None:
    """Draw maps and samples; a cache that is not current is drawn all the same."""
    from mapllava.apis import draw_samples  # here, because it brings in torch

    cache = gt_cache.load(args.cache, check_sources=False)
    say(report.title_of(args.cache, cache["metainfo"]))
    if reason := stale_reason(cache["metainfo"], args.cache, args.dataroot):
        say(f"warning: the cache is stale, {reason}; the pictures show what it holds")
    for path in draw_samples(cache, args.out_dir, args.dataroot, args.sample, args.num, args.seed):
        say(path)
