"""Create a synthetic city in nuScenes' format (tables, map expansion, six cameras' images) or Argoverse 2's.

The official devkits read it unchanged, so everything that runs on the real data runs on it; Argoverse 2's
rasters of the ground are left out. The same options always give the same bytes.
"""

from __future__ import annotations

import argparse
import os

from rich.console import Console
from rich.table import Table

from mapllava.synthetic import CitySummary, create_city

EPILOG = """\
examples:
  %(prog)s data/synthetic
  %(prog)s data/synthetic --version v1.0-trainval --scenes-train 75 --scenes-val 10 --image-size 384x216
  %(prog)s data/city_av2 --format argoverse2 --image-size 384x291
"""


def parse_size(text: str) -> tuple[int, int]:
    """Read '1600x900' as (width, height)."""
    width, _, height = text.lower().partition("x")
    if not (width.isdigit() and height.isdigit()):
        raise argparse.ArgumentTypeError(f"'{text}' is not WIDTHxHEIGHT, such as 1600x900")
    return int(width), int(height)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Its options."""
    parser.add_argument("out_dir", help="data root to create")
    parser.add_argument("--version", default="v1.0-mini", choices=["v1.0-mini", "v1.0-trainval"])
    parser.add_argument(
        "--scenes-train", type=int, metavar="N", help="training scenes (default: all official ones)"
    )
    parser.add_argument(
        "--scenes-val", type=int, metavar="N", help="validation scenes (default: all official ones)"
    )
    parser.add_argument(
        "--samples-per-scene", type=int, metavar="N", help="key frames at 2 Hz (default: 40 or 41)"
    )
    parser.add_argument(
        "--image-size",
        type=parse_size,
        metavar="WxH",
        help="default: 1600x900; of Argoverse 2 2048x1550, whose upright front camera has HxW",
    )
    parser.add_argument(
        "--format",
        choices=["nuscenes", "argoverse2"],
        default="nuscenes",
        help="of the files; Argoverse 2's needs the extra av2 (default: %(default)s)",
    )
    parser.add_argument("--seed", type=int, default=0, help="another seed is another city (default: 0)")
    parser.add_argument(
        "--workers", type=int, default=os.cpu_count() or 1, help="processes (default: all cores)"
    )
    parser.add_argument("--no-images", action="store_true", help="write tables and maps only")
    parser.add_argument("--no-progress", action="store_true", help="show no progress bar")
    parser.add_argument("--overwrite", action="store_true", help="replace a city made with other options")


def show(console: Console, summary: CitySummary) -> None:
    """Print what was made."""
    table = Table(title=f"synthetic city {summary.version} in {summary.path}")
    for column in ("split", "scenes", "samples"):
        table.add_column(column, justify="left" if column == "split" else "right")
    table.add_row("train", str(summary.train_scenes), str(summary.train_samples))
    table.add_row("val", str(summary.val_scenes), str(summary.val_samples))
    console.print(table)
    how = "already there" if summary.reused else f"made in {summary.seconds:.0f} s"
    console.print(f"{summary.images} images, {how}")


def run(args: argparse.Namespace) -> None:
    """Create the city, then say what it holds."""
    summary = create_city(
        args.out_dir,
        version=args.version,
        num_train_scenes=args.scenes_train,
        num_val_scenes=args.scenes_val,
        samples_per_scene=args.samples_per_scene,
        image_size=args.image_size,
        seed=args.seed,
        workers=args.workers,
        images=not args.no_images,
        progress=not args.no_progress,
        overwrite=args.overwrite,
        format=args.format,
    )
    show(Console(), summary)
