"""Convert a results file between mapllava, MapTR, StreamMapNet and MapTracker."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from mapllava import gt_cache
from mapllava.cli.command_line import say
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
  %(prog)s run.results.json nuscmap_results.json --to maptr --cache CACHE
  %(prog)s theirs.json x.results.json --to mapllava --from maptracker --cache CACHE
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Its options."""
    parser.add_argument("source", type=Path, metavar="IN", help="results file to read")
    parser.add_argument("target", type=Path, metavar="OUT", help="results file to write")
    parser.add_argument("--to", required=True, choices=KINDS, help="kind of OUT")
    parser.add_argument(
        "--from", dest="kind", choices=KINDS, help="kind of IN, where its content does not tell"
    )
    parser.add_argument("--cache", required=True, type=Path, help="GT cache that holds the samples")


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
    say(f"{len(arranged.results):,} samples with {lines:,} lines written to {args.target}")
    missing = len(cache["data_list"]) - len(results.results)
    if missing:
        fate = "written as empty maps" if args.to == "maptr" else "left out"
        say(f"{missing:,} samples of the GT cache are not in {args.source}: {fate}")
