"""Build the ground-truth caches that training and evaluation read."""

from __future__ import annotations

import argparse
import logging
from collections import Counter
from pathlib import Path

from rich.console import Console
from rich.logging import RichHandler
from rich.table import Table

from mapllava import gt_cache
from mapllava.sources.map_source import SOURCES, map_source, source_at
from mapllava.sources.nuscenes.map_classes import MAP_CLASSES
from mapllava.structures import CLASSES, ROI, MapSpec

DESCRIPTION = """\
Cut the vector map around every sample out of a data set's maps and store it with the poses and
calibrations of the cameras, one file per split: <dataroot>/gt_cache/gt_cache_<version>_<split>.pkl
(--out-dir: elsewhere). What --source reads below --dataroot:

  nuscenes     <version>/*.json, the tables (metadata archive), and maps/expansion/*.json (map expansion
               v1.3); no images
  argoverse2   {train,val,test}/<log id>/ with map, calibration, city_SE3_egovehicle.feather and images
  folder       a city of one's own: city.json, drives and GeoJSON maps (page own_city.md); its name stands
               in place of the version

An interrupted run goes on where it stopped; a cache that is current is left alone; one whose
tables, ROI or classes have changed is built again.
"""
EPILOG = """\
examples:
  %(prog)s --dataroot data/nuscenes --version v1.0-mini
  %(prog)s --dataroot data/nuscenes --split geographic_roddick --workers 16
  %(prog)s --dataroot data/nuscenes --version v1.0-trainval --split lists.json:val
  %(prog)s --dataroot data/nuscenes --frame ego --roi 100x50 --out-dir data/ego
  %(prog)s --source folder --dataroot my_city
  %(prog)s --dataroot data/nuscenes --classes divider ped_crossing boundary centerline
  %(prog)s --source argoverse2 --dataroot data/argoverse2 --frame ego --split val
"""


INTERRUPTED = "run the same command again to go on"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Its options."""
    parser.add_argument("--dataroot", type=Path, required=True, help="root of the data set")
    parser.add_argument(
        "--source",
        choices=SOURCES,
        help="what kind of data set it is (default: folder where the root has a city.json, else nuscenes, "
        "which the synthetic city is too)",
    )
    parser.add_argument(
        "--version",
        help="version folder (default of nuscenes: v1.0-mini); of argoverse2 "
        "the definition of its map elements: av2-maptracker (default), av2-streammapnet, av2-maptrv2",
    )
    parser.add_argument(
        "--split",
        default="all",
        help="train, val, all (default), test of v1.0-test; geographic_roddick, near_extrapolation, "
        "far_extrapolation (all, or one: geographic_roddick:val; the latter two need v1.0-trainval and "
        "v1.0-test, a cache is of one; near_extrapolation of argoverse2, too); "
        'your own: FILE.json:KEY of {"train": [...], "val": [...]}, FILE.json of one list',
    )
    parser.add_argument("--workers", type=int, default=1, help="processes (default: %(default)s)")
    parser.add_argument("--out-dir", type=Path, help="folder of the cache (default: <dataroot>/gt_cache)")
    parser.add_argument(
        "--roi",
        default="60x30",
        help="length along the car x width across in metres, centred on the car (default: %(default)s), "
        "or --roi=x_min,y_min,x_max,y_max",
    )
    parser.add_argument(
        "--frame", default="lidar", help="lidar: x right, y forward (default); ego: x forward, y left"
    )
    parser.add_argument(
        "--classes",
        nargs="+",
        default=list(CLASSES),
        help=f"in label order (default: {' '.join(CLASSES)}); any of {' '.join(MAP_CLASSES)}",
    )
    parser.add_argument("--quiet", action="store_true", help="no progress bar")


def summarise(paths: list[Path]) -> Table:
    """One column per cache: samples, elements of each class, empty samples, file and size."""
    table = Table(title="GT cache", show_lines=False)
    table.add_column("")
    caches = [gt_cache.load(path) for path in paths]
    for cache in caches:
        table.add_column(f"{cache['metainfo']['version']} {cache['metainfo']['split']}", justify="right")
    table.add_row("scenes", *(str(len(cache["metainfo"]["scenes"])) for cache in caches))
    table.add_row("samples", *(str(len(cache["data_list"])) for cache in caches))
    counts = [Counter(p["label"] for e in cache["data_list"] for p in e["polylines"]) for cache in caches]
    for label, name in enumerate(caches[0]["metainfo"]["classes"]):
        table.add_row(name, *(str(count[label]) for count in counts))
    empty = (sum(not entry["polylines"] for entry in cache["data_list"]) for cache in caches)
    table.add_row("empty samples", *map(str, empty))
    table.add_row("size", *(f"{path.stat().st_size / 1e6:.1f} MB" for path in paths))
    return table


def run(args: argparse.Namespace) -> None:
    """Build, then print what came out."""
    console = Console()
    logging.basicConfig(level=logging.INFO, format="%(message)s", handlers=[RichHandler(show_path=False)])
    spec = MapSpec(args.frame, ROI.parse(args.roi, args.frame), args.classes)
    name = args.source or source_at(args.dataroot.expanduser())
    common = {"workers": args.workers, "progress": not args.quiet, "spec": spec, "source": name}
    source = map_source(name)
    version = source.version_of(args.dataroot, args.version)
    splits = source.expand_split(args.split, args.dataroot, version)
    paths = [gt_cache.build(args.dataroot, version, s, args.out_dir, **common) for s in splits]
    console.print(summarise(paths))
    console.print(f"{spec}", highlight=False)
    for path in paths:
        console.print(str(path), highlight=False, soft_wrap=True)
