#!/usr/bin/env python
"""Convert a results file between mapllava, MapTR, StreamMapNet and MapTracker."""

from __future__ import annotations

from mapllava.startup import begin

begin(__name__)

import argparse
import sys
from pathlib import Path

from mapllava import gt_cache
from mapllava.errors import exit_status
from mapllava.evaluation.formats import KINDS, arrange, read_results, write_results
from mapllava.progress import busy

DESCRIPTION = """\
Write the maps of a results file in the form that another project's tools open, with frame, axes and
class order converted. The GT cache gives the samples' poses, which tie the frames together.

  maptr         nuscmap_results.json     lidar frame: x right, y forward
  streammapnet  submission_vector.json   ego frame: x forward, y left
  maptracker    submission_vector.json   lidar origin: x forward, y left
  mapllava      *.results.json           the frame of the GT cache
"""
EPILOG = """\
examples:
  python tools/convert_results.py run.results.json nuscmap_results.json --to maptr --cache CACHE
  python tools/convert_results.py theirs.json x.results.json --to mapllava --from maptracker --cache CACHE

exit status: 0, or 2 if files do not fit (the message says what to do)
"""


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        description=DESCRIPTION, epilog=EPILOG, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("source", type=Path, metavar="IN", help="results file to read")
    parser.add_argument("target", type=Path, metavar="OUT", help="results file to write")
    parser.add_argument("--to", required=True, choices=KINDS, help="kind of OUT")
    parser.add_argument(
        "--from", dest="kind", choices=KINDS, help="kind of IN, where its content does not tell"
    )
    parser.add_argument("--cache", required=True, type=Path, help="GT cache that holds the samples")
    return parser.parse_args(argv)


def run(args: argparse.Namespace) -> None:
    """Read, convert, write, and say what the new file holds."""
    shown = sys.stderr.isatty()
    cache = gt_cache.load(args.cache)
    with busy(f"reading {args.source}", shown):
        results = read_results(args.source, cache, args.kind)
    arranged = arrange(results, args.to, cache)
    with busy(f"writing {args.target}", shown):
        write_results(args.target, arranged, args.to, cache)
    lines = sum(len(entry["labels"]) for entry in arranged.results.values())
    print(f"{len(arranged.results):,} samples with {lines:,} lines written to {args.target}")
    missing = len(cache["data_list"]) - len(results.results)
    if missing:
        fate = "written as empty maps" if args.to == "maptr" else "left out"
        print(f"{missing:,} samples of the GT cache are not in {args.source}: {fate}")


def main(argv: list[str] | None = None) -> int:
    """Run and return the exit status: 0, or 2 for what the user can put right."""
    return exit_status(run, parse_args(argv))


if __name__ == "__main__":
    raise SystemExit(main())
