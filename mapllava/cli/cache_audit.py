"""How much of an evaluation set lies in streets of the training set."""

from __future__ import annotations

import argparse
from pathlib import Path

from rich.console import Console
from rich.table import Column, Table

from mapllava.errors import MapLLaVAError
from mapllava.files import write_json
from mapllava.gt_cache.inspect.audit import (
    RADII,
    PlaceSet,
    SplitAudit,
    audit,
    places_of_cache,
    places_of_split,
)
from mapllava.sources.nuscenes.pose_tables import PoseTables
from mapllava.visualization.charts import draw_distances

DESCRIPTION = """\
For every sample of VAL, the distance to the nearest sample of TRAIN on the same map. A set is a GT
cache (.pkl), or the name of a split, read from the tables of --dataroot and --version alone: no cache, no
map file and no image is needed for that. near_extrapolation and far_extrapolation draw on the scenes of
v1.0-trainval and of v1.0-test: name both versions.

A score measured where training samples lie within a few metres says how well a model remembers.
"""
EPILOG = """\
examples:
  %(prog)s train val --dataroot data/nuscenes --version v1.0-trainval --picture audit.png
  %(prog)s geographic_roddick:train geographic_roddick:val --dataroot data/nuscenes
  %(prog)s near_extrapolation:train near_extrapolation:val --dataroot data/nuscenes \\
      --version v1.0-trainval v1.0-test
  %(prog)s gt_cache_v1.0-trainval_train.pkl gt_cache_v1.0-trainval_val.pkl
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Its options."""
    parser.add_argument("train", help="the set that a model learns from: a GT cache or a split")
    parser.add_argument("val", help="the set that it is judged on, likewise")
    parser.add_argument("--dataroot", type=Path, help="data root; needed where a set is a split's name")
    parser.add_argument(
        "--version", nargs="+", default=["v1.0-trainval"], help="version folders (default: v1.0-trainval)"
    )
    parser.add_argument("--picture", type=Path, help="write a histogram to this PNG file")
    parser.add_argument("--json", type=Path, help="write the figures to this file")


def place_sets(args: argparse.Namespace) -> tuple[PlaceSet, PlaceSet]:
    """The sets that the two words of the command line mean."""
    tables: list[PoseTables] = []
    sets = []
    for name in (args.train, args.val):
        if name.endswith(".pkl"):
            sets.append(places_of_cache(name))
            continue
        if args.dataroot is None:
            raise MapLLaVAError(f"'{name}' is the name of a split: --dataroot must say where its tables are")
        tables = tables or [PoseTables(args.dataroot, version) for version in dict.fromkeys(args.version)]
        sets.append(places_of_split(tables, name))
    return sets[0], sets[1]


def table_of(found: SplitAudit) -> Table:
    """One row per map and one for all."""
    title = f"Samples of {found.val[0]} near samples of {found.train[0]}"
    table = Table(Column("map", no_wrap=True), title=title)
    for heading in ("samples", *(f"≤ {radius:g} m" for radius in RADII), "median"):
        table.add_column(heading, justify="right")
    for place in [*sorted(set(found.locations)), None]:
        if place is None:
            table.add_section()
        figures = found.figures(place)
        shares = [f"{100 * share:.1f} %" for share in figures["share_within_m"].values()]
        far = "no training sample" if figures["median_m"] is None else f"{figures['median_m']:.1f} m"
        table.add_row(place or "all", f"{figures['samples']:,}", *shares, far)
    return table


def run(args: argparse.Namespace) -> None:
    """Measure, print, draw."""
    console = Console()
    train, val = place_sets(args)
    for places in (train, val):
        console.print(f"{places.name}: {places.presence()}", highlight=False, soft_wrap=True)
    found = audit(train, val)
    console.print(table_of(found))
    shared = f": {', '.join(found.shared_scenes[:5])}" if found.shared_scenes else ""
    console.print(
        f"{found.train[1]:,} training samples; {len(found.shared_scenes)} scenes are in both{shared}"
    )
    if args.picture is not None:
        title = f"{found.val[0]} against {found.train[0]}"
        under = f"{found.val[1]:,} samples, {found.train[1]:,} for training"
        path = draw_distances(args.picture, found.distances, (*RADII, 200.0), title, under)
        console.print(str(path), highlight=False, soft_wrap=True)
    if args.json is not None:
        sets = {"train": train.presence(), "val": val.presence()}
        write_json(args.json, {**found.to_json(), "scenes": sets})
