#!/usr/bin/env python
"""Look into ground-truth caches: draw, recompute, check, compare."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from rich.console import Console

from mapllava import gt_cache
from mapllava.apis import draw_samples
from mapllava.errors import exit_status
from mapllava.gt_cache import report
from mapllava.gt_cache.compare import diff
from mapllava.gt_cache.lint import ERROR, lint
from mapllava.gt_cache.verify import verify
from mapllava.whole_file import write_json as write_whole_json

EPILOG = """\
exit status: 0 all well, 1 differences or errors found, 2 the command could not do its work

examples:
  python tools/gt_cache.py show data/nuscenes/gt_cache/gt_cache_v1.0-mini_train.pkl --num 8 --out-dir pictures
  python tools/gt_cache.py verify CACHE --dataroot data/nuscenes --num 200
  python tools/gt_cache.py lint CACHE --dataroot data/nuscenes
  python tools/gt_cache.py diff CACHE OTHER_CACHE
"""


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, epilog=EPILOG, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = parser.add_subparsers(dest="command", required=True)
    show = commands.add_parser("show", help="pictures of samples: the map from above and in the cameras")
    check = commands.add_parser("verify", help="compute samples anew from tables and maps, and compare")
    look = commands.add_parser("lint", help="broken lines, impossible rigs, poses off the road")
    compare = commands.add_parser("diff", help="what two caches do not share")
    for command in (show, check, look, compare):
        command.add_argument("cache", type=Path, help="GT cache, gt_cache_<version>_<split>.pkl")
    for command, text in (
        (show, "images"),
        (check, "tables and maps"),
        (look, "maps, for poses off the road"),
    ):
        command.add_argument("--dataroot", type=Path, help=f"data root with the {text}")
    for command in (show, check):
        command.add_argument("--seed", type=int, default=0, help="seed of the choice (default: %(default)s)")
    show.add_argument("--sample", nargs="+", metavar="TOKEN", help="these samples instead of a random choice")
    show.add_argument("--num", type=int, default=8, help="samples to draw (default: %(default)s)")
    show.add_argument("--out-dir", type=Path, required=True, help="folder of the PNG files")
    check.add_argument("--num", type=int, default=50, help="samples to compute (default: %(default)s)")
    check.add_argument("--all", action="store_true", help="every sample")
    compare.add_argument("other", type=Path, help="another cache of the same classes")
    for command in (check, look, compare):
        command.add_argument("--json", type=Path, help="also write what was found to this file")
    return parser.parse_args(argv)


def run_show(args: argparse.Namespace, console: Console) -> int:
    """Draw samples."""
    for path in draw_samples(args.cache, args.out_dir, args.dataroot, args.sample, args.num, args.seed):
        console.print(str(path), highlight=False, soft_wrap=True)
    return 0


def run_verify(args: argparse.Namespace, console: Console) -> int:
    """Compute samples anew; 1 if the ground truth is another."""
    found = verify(args.cache, args.dataroot, None if args.all else args.num, args.seed, progress=True)
    report.print_comparison(console, found, f"{args.cache.name}: stored (first), computed anew (second)")
    verdict = "holds" if found.equivalent else "does NOT hold"
    console.print(f"the cache {verdict} what its source gives")
    write_json(args.json, found)
    return int(not found.equivalent)


def run_lint(args: argparse.Namespace, console: Console) -> int:
    """Check samples; 1 if there are errors."""
    meta = gt_cache.load(args.cache, check_sources=False)["metainfo"]
    found = lint(args.cache, args.dataroot, progress=True)
    report.print_findings(console, found, meta)
    write_json(args.json, found)
    return int(any(finding.severity == ERROR for finding in found))


def run_diff(args: argparse.Namespace, console: Console) -> int:
    """Compare two caches; 1 if they differ."""
    found = diff(args.cache, args.other)
    report.print_difference(console, found, f"{args.cache} (first), {args.other} (second)")
    write_json(args.json, found)
    return int(not found.identical)


def write_json(path: Path | None, found: Any) -> None:
    """What was found, where a file was asked for."""
    if path is not None:
        write_whole_json(path, report.as_json(found))


COMMANDS = {"show": run_show, "verify": run_verify, "lint": run_lint, "diff": run_diff}


def main(argv: list[str] | None = None) -> int:
    """Run and return the exit status; errors go to the terminal with status 2."""
    args = parse_args(argv)
    return exit_status(lambda given: COMMANDS[given.command](given, Console()), args)


if __name__ == "__main__":
    raise SystemExit(main())
