"""Find broken lines, impossible rigs and poses off the road in a ground-truth cache."""

from __future__ import annotations

import argparse

from rich.console import Console

from mapllava import gt_cache
from mapllava.cli.cache_options import add_cache, add_dataroot, add_json
from mapllava.finding import FAIL
from mapllava.gt_cache.inspect import report
from mapllava.gt_cache.inspect.lint import lint, road_maps

EPILOG = """\
example:
  %(prog)s data/nuscenes/gt_cache/gt_cache_v1.0-mini_train.pkl --json found.json
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Its options."""
    add_cache(parser)
    add_dataroot(parser, "maps")
    add_json(parser)


def run(args: argparse.Namespace) -> int:
    """Check samples; 1 if there are errors."""
    cache = gt_cache.load(args.cache, check_sources=False)
    maps = args.dataroot or road_maps(cache["metainfo"])
    found = lint(cache, maps, progress=True)
    report.print_findings(Console(), found, args.cache, cache["metainfo"], maps)
    facts = {"poses_judged_by": maps and str(maps), "findings": report.as_json(found)}
    report.save(args.json, report.facts_of(args.cache, cache["metainfo"]) | facts)
    return int(any(finding.status == FAIL for finding in found))
