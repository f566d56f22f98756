"""Write a sample or a scene of nuScenes, or of the synthetic city, as a folder with rig.json: an example "
"to copy."""

from __future__ import annotations

import argparse
from pathlib import Path

from mapllava.cli.command_line import say

EPILOG = """\
examples:
  %(prog)s data/synthetic --scene scene-0003 --out example
  %(prog)s data/nuscenes --sample ca9a282c9e77460f8360f564131a8af5 --out example
  %(prog)s data/synthetic --scene scene-0003 --cameras CAM_FRONT CAM_BACK --out two_cameras
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Its options."""
    parser.add_argument("dataroot", type=Path, metavar="DATAROOT", help="root of the data set")
    parser.add_argument("--version", help="version folder (default: the only one there)")
    chosen = parser.add_mutually_exclusive_group(required=True)
    chosen.add_argument("--sample", metavar="TOKEN", help="one sample")
    chosen.add_argument("--scene", metavar="NAME", help="all samples of a scene, by name or token")
    parser.add_argument(
        "--cameras", nargs="+", metavar="NAME", help="these cameras, in this order (default: all)"
    )
    parser.add_argument(
        "--out", type=Path, required=True, metavar="DIR", help="folder to write; absent or empty"
    )


def run(args: argparse.Namespace) -> None:
    """Write the folder and say what one does with it."""
    from mapllava.sources.folder.export import export_folder
    from mapllava.sources.nuscenes.rig_samples import nuscenes_input

    opened = nuscenes_input(args.dataroot, args.version, args.sample, args.scene)
    out = export_folder(opened, args.out, args.cameras)
    say(f"{out}: rig.json, frames.json and the images of {len(opened)} samples")
    say(f"look at it: mapllava rig check {out} --out pictures")
