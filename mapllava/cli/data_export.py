"""Write scenes of the synthetic city, or of nuScenes, as a city of one's own: an example to copy."""

from __future__ import annotations

import argparse
from pathlib import Path

from mapllava.cli.command_line import say

EPILOG = """\
The folder has city.json, a folder of frames for each drive, and GeoJSON maps with the layers that the three
classes come from.

examples:
  %(prog)s data/synthetic --version v1.0-mini --out my_city
  %(prog)s data/synthetic --version v1.0-mini --scenes scene-0061 scene-0103 --cameras CAM_FRONT --out front
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Its options."""
    add = parser.add_argument
    add("dataroot", type=Path, metavar="DATAROOT", help="root of the data set")
    add("--version", default="v1.0-mini", help="version folder (default: %(default)s)")
    add("--scenes", nargs="+", metavar="NAME", help="these scenes (default: all of the version's splits)")
    add("--cameras", nargs="+", metavar="NAME", help="these cameras, in this order (default: all)")
    add("--name", default="exported", help="of the city, in the caches' names (default: %(default)s)")
    add("--out", type=Path, required=True, metavar="DIR", help="folder to write; absent or empty")


def run(args: argparse.Namespace) -> None:
    """Write the folder and say what one does with it."""
    from mapllava.sources.folder.city_export import export_city

    out = export_city(args.dataroot, args.version, args.out, args.scenes, args.cameras, args.name)
    say(f"{out}: city.json, drives and maps")
    say(f"look at it: mapllava data check {out} --out pictures")
