"""Look into ground-truth caches: draw, recompute, check, compare."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from rich.console import Console

from mapllava import gt_cache
from mapllava.finding import FAIL
from mapllava.gt_cache.inspect import report
from mapllava.gt_cache.inspect.compare import diff
from mapllava.gt_cache.inspect.lint import lint, road_maps
from mapllava.gt_cache.inspect.verify import verify
from mapllava.gt_cache.store import stale_reason

EPILOG = """\
examples:
  %(prog)s show data/nuscenes/gt_cache/gt_cache_v1.0-mini_train.pkl --num 8 --out-dir pictures
  %(prog)s verify CACHE --dataroot data/nuscenes --num 200
  %(prog)s lint CACHE --json found.json
  %(prog)s diff CACHE OTHER_CACHE
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Its options."""
    commands = parser.add_subparsers(dest="command", required=True)
    show = commands.add_parser("show", help="pictures: samples on the map, from above and in the cameras")
    check = commands.add_parser("verify", help="compute samples anew from tables and maps, and compare")
    look = commands.add_parser("lint", help="broken lines, impossible rigs, poses off the road")
    compare = commands.add_parser("diff", help="what two caches do not share")
    for command in (show, check, look, compare):
        command.add_argument("cache", type=Path, help="GT cache, gt_cache_<version>_<split>.pkl")
    for command, text in ((show, "images"), (check, "tables and maps"), (look, "maps")):
        text = f"data root with the {text} (default: the one that the cache was built from)"
        command.add_argument("--dataroot", type=Path, help=text)
    for command in (show, check):
        command.add_argument("--seed", type=int, default=0, help="seed of the choice (default: %(default)s)")
    show.add_argument("--sample", nargs="+", metavar="TOKEN", help="these samples instead of a random choice")
    show.add_argument("--num", type=int, default=8, help="samples to draw; 0: maps only (default: 8)")
    show.add_argument("--out-dir", type=Path, required=True, help="folder of the PNG files")
    check.add_argument("--num", type=int, default=50, help="samples to compute (default: %(default)s)")
    check.add_argument("--all", action="store_true", help="every sample")
    compare.add_argument("other", type=Path, help="another cache of the same classes")
    for command in (check, look, compare):
        command.add_argument("--json", type=Path, help="also write what was found to this file")


def say(console: Console, text: object) -> None:
    """One plain line, however narrow the terminal."""
    console.print(str(text), highlight=False, soft_wrap=True, markup=False)


def run_show(args: argparse.Namespace, cache: dict[str, Any], console: Console) -> int:
    """Draw maps and samples; a cache that is not current is drawn all the same."""
    from mapllava.apis import draw_samples  # here, because it brings in torch

    say(console, report.title_of(args.cache, cache["metainfo"]))
    if reason := stale_reason(cache["metainfo"], args.cache, args.dataroot):
        say(console, f"warning: the cache is stale, {reason}; the pictures show what it holds")
    for path in draw_samples(cache, args.out_dir, args.dataroot, args.sample, args.num, args.seed):
        say(console, path)
    return 0


def run_verify(args: argparse.Namespace, cache: dict[str, Any], console: Console) -> int:
    """Compute samples anew; 1 if the ground truth is another."""
    found = verify(cache, args.dataroot, None if args.all else args.num, args.seed, progress=True)
    report.print_comparison(console, found, "stored (first), computed anew (second)")
    verdict = "holds" if found.equivalent else "does NOT hold"
    say(console, f"{report.title_of(args.cache, cache['metainfo'])} {verdict} what its source gives")
    report.save(args.json, report.facts_of(args.cache, cache["metainfo"]) | report.as_json(found))
    return int(not found.equivalent)


def run_lint(args: argparse.Namespace, cache: dict[str, Any], console: Console) -> int:
    """Check samples; 1 if there are errors."""
    maps = args.dataroot or road_maps(cache["metainfo"])
    found = lint(cache, maps, progress=True)
    report.print_findings(console, found, args.cache, cache["metainfo"], maps)
    facts = {"poses_judged_by": maps and str(maps), "findings": report.as_json(found)}
    report.save(args.json, report.facts_of(args.cache, cache["metainfo"]) | facts)
    return int(any(finding.status == FAIL for finding in found))


def run_diff(args: argparse.Namespace, cache: dict[str, Any], console: Console) -> int:
    """Compare two caches; 1 if they differ."""
    found = diff(cache, gt_cache.load(args.other, check_sources=False))
    report.print_difference(console, found, f"{args.cache} (first), {args.other} (second)")
    caches = {"first": str(args.cache), "second": str(args.other)}
    report.save(args.json, caches | report.as_json(found))
    return int(not found.identical)


COMMANDS = {"show": run_show, "verify": run_verify, "lint": run_lint, "diff": run_diff}


def run(args: argparse.Namespace) -> int:
    """Do the command; a cache that is no longer current can be looked into all the same."""
    return COMMANDS[args.command](args, gt_cache.load(args.cache, check_sources=False), Console())
