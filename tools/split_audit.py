#!/usr/bin/env python
"""How much of an evaluation set lies in streets of the training set."""

from __future__ import annotations

import argparse
from pathlib import Path

from rich.console import Console
from rich.table import Column, Table

from mapllava.errors import MapLLaVAError, exit_status
from mapllava.gt_cache.audit import RADII, PlaceSet, SplitAudit, audit, places_of_cache, places_of_split
from mapllava.visualization import write_picture
from mapllava.visualization.distance_histogram import draw_distances
from mapllava.whole_file import write_json

DESCRIPTION = """\
For every sample of VAL, the distance to the nearest sample of TRAIN on the same map. A set is a GT
cache (.pkl), or the name of a split, read from the tables of --dataroot and --version: no cache, map or
image is needed for that.

A score measured where training samples lie within a few metres says how well a model remembers.
"""
EPILOG = """\
examples:
  python tools/split_audit.py train val --dataroot data/nuscenes --version v1.0-trainval --picture audit.png
  python tools/split_audit.py geographic_roddick:train geographic_roddick:val --dataroot data/nuscenes
  python tools/split_audit.py data/synthetic/gt_cache/gt_cache_v1.0-trainval_{train,val}.pkl
"""


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=DESCRIPTION, epilog=EPILOG, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("train", help="the set that a model learns from: a GT cache or a split")
    parser.add_argument("val", help="the set that it is judged on, likewise")
    parser.add_argument("--dataroot", type=Path, help="data root; needed where a set is a split's name")
    parser.add_argument("--version", default="v1.0-trainval", help="version folder (default: %(default)s)")
    parser.add_argument("--picture", type=Path, help="write a histogram to this PNG file")
    parser.add_argument("--json", type=Path, help="write the figures to this file")
    return parser.parse_args(argv)


def places(args: argparse.Namespace, name: str) -> PlaceSet:
    """The set that a word of the command line means."""
    if name.endswith(".pkl"):
        return places_of_cache(name)
    if args.dataroot is None:
        raise MapLLaVAError(f"'{name}' is the name of a split: --dataroot must say where its tables are")
    return places_of_split(args.dataroot, args.version, name)


def table_of(found: SplitAudit) -> Table:
    """One row per map and one for all."""
    title = f"Samples of {found.val[0]} near samples of {found.train[0]}"
    table = Table(Column("map", no_wrap=True), title=title)
    for heading in ("samples", *(f"≤ {radius:g} m" for radius in RADII), "median"):
        table.add_column(heading, justify="right")
    for place in [*sorted(set(found.locations)), None]:
        if place is None:
            table.add_section()
        shares = [f"{100 * found.share_within(radius, place):.1f} %" for radius in RADII]
        median = found.median(place)
        far = f"{median:.1f} m" if median < float("inf") else "no training sample"
        table.add_row(place or "all", f"{found.count(place):,}", *shares, far)
    return table


def run(args: argparse.Namespace) -> None:
    """Measure, print, draw."""
    console = Console()
    found = audit(places(args, args.train), places(args, args.val))
    console.print(table_of(found))
    shared = f": {', '.join(found.shared_scenes[:5])}" if found.shared_scenes else ""
    console.print(
        f"{found.train[1]:,} training samples; {len(found.shared_scenes)} scenes are in both{shared}"
    )
    if args.picture is not None:
        title = f"{found.val[0]} against {found.train[0]}"
        under = f"{found.val[1]:,} samples, {found.train[1]:,} for training"
        picture = draw_distances(found.distances, (*RADII, 200.0), title, under)
        console.print(str(write_picture(args.picture, picture)), highlight=False, soft_wrap=True)
    if args.json is not None:
        write_json(args.json, found.to_json())


def main(argv: list[str] | None = None) -> int:
    """Run and return the exit status: 0, or 2 for what the user can put right."""
    return exit_status(run, parse_args(argv))


if __name__ == "__main__":
    raise SystemExit(main())
