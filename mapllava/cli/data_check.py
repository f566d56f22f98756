"""Look at a city of one's own before it becomes ground truth: all faults at once, and pictures."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mapllava.cli.command_line import say
from mapllava.cli.rig_check import show, verdict
from mapllava.finding import FAIL, Finding

if TYPE_CHECKING:
    from mapllava.sources.folder.city_check import CheckedCity
    from mapllava.sources.folder.city_file import CityFile, Drive
    from mapllava.structures.frames import MapSpec
    from mapllava.structures.rig import RigSample

EPILOG = """\
  DIR/city.json               name, maps, classes, drives with their splits
  DIR/rig.json                the cameras, or one in each drive's folder
  DIR/<map>.geojson           lines and polygons with a class
  DIR/<drive>/frames.json     images, times and poses

Looked at are files and their keys, rigs, images and their sizes, poses, times, classes, shapes, whether the
map lies where the car was, and whether val has places of train. With --out, look at the pictures: lines that
do not lie on the paint are the one fault that no check finds.

examples:
  %(prog)s my_city
  %(prog)s my_city --out pictures --num 16
"""
_ALIKE = 10
"""Findings of one kind that are shown."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Its options."""
    add = parser.add_argument
    add("root", type=Path, metavar="DIR", help="folder that holds city.json")
    add("--out", type=Path, metavar="DIR", help="draw samples with their map, from above and in the cameras")
    add("--num", type=int, default=8, help="samples to draw, evenly over all drives (default: %(default)s)")
    add("--roi", default="60x30", help="region that is drawn, metres: length x width (default: %(default)s)")


def run(args: argparse.Namespace) -> int:
    """Check, say and draw; 1 if a check fails."""
    from mapllava.errors import MapLLaVAError
    from mapllava.sources.folder.city_check import check_city

    if args.num < 1:
        raise MapLLaVAError(f"--num is {args.num}: it is the number of samples to draw, 1 or more")
    checked = check_city(args.root)
    found = [*checked.findings, *_images(checked)]
    _show(found)
    city = checked.city
    if city is not None:
        for split in city.splits:
            drives = [drive for drive in city.drives if drive.split == split]
            count = sum(len(checked.samples[drive.name]) for drive in drives)
            say(f"{split}: {len(drives)} drives, {count} samples")
    if args.out is not None:
        for path in _draw(checked, args):
            say(path)
    return verdict(found, "the data is in order")


def _show(found: list[Finding]) -> None:
    """Write findings, each with its remedy; of many alike the first few, and how many more."""
    groups: dict[tuple[str, str], list[Finding]] = {}
    for finding in found:
        groups.setdefault((finding.status, finding.name), []).append(finding)
    for alike in groups.values():
        show(alike[:_ALIKE])
        if len(alike) > _ALIKE:
            drives = len({finding.place for finding in alike[_ALIKE:]})
            say(f"        and {len(alike) - _ALIKE} more like these, in {drives} drives")


def _images(checked: CheckedCity) -> Iterator[Finding]:
    """Every image is one, and of the size that the rig says."""
    from mapllava.datasets.image_file import open_image
    from mapllava.datasets.rig_images import MAX_PIXELS
    from mapllava.errors import MapLLaVAError
    from mapllava.progress import progress_bar

    with progress_bar("drives", len(checked.samples), sys.stderr.isatty()) as advance:
        for name, samples in checked.samples.items():
            for sample in samples:
                for camera, path in zip(sample.rig.cameras, sample.images, strict=True):
                    try:
                        size = open_image(str(path), camera.name, MAX_PIXELS).size
                    except MapLLaVAError as error:
                        yield Finding("image", FAIL, str(error), place=name)
                        continue
                    if size != camera.size:
                        reason = f"'{path}' is {size[0]} x {size[1]} pixels, the rig says {camera.name} has "
                        remedy = "write width, height and intrinsics of the images as they are stored"
                        told = f"{reason}{camera.size[0]} x {camera.size[1]}"
                        yield Finding("size", FAIL, told, remedy, name)
            advance(1)


def _draw(checked: CheckedCity, args: argparse.Namespace) -> Iterator[Path]:
    """Samples of the drives that can be read, as ``cache show`` draws those of a cache."""
    from mapllava.apis.cache_pictures import draw_samples
    from mapllava.structures.frames import ROI, MapSpec

    city = checked.city
    if city is None:
        return
    spec = MapSpec(roi=ROI.parse(args.roi), classes=tuple(city.classes))
    pairs = [
        (drive, sample)
        for drive in city.drives
        if drive.place in checked.maps
        for sample in checked.samples[drive.name]
    ]
    step = max(1, len(pairs) // args.num)
    entries = [_entry(city, checked, spec, *pair) for pair in pairs[step // 2 :: step][: args.num]]
    if not entries:
        say("no picture is drawn: no sample has images, a pose and a map")
        return
    meta: dict[str, Any] = {
        **spec.to_config(), "version": city.name, "split": "all", "dataroot": str(city.root),
    }  # fmt: skip
    cache = {"metainfo": meta, "data_list": entries}
    yield from draw_samples(cache, args.out, city.root, [entry["sample_token"] for entry in entries])


def _entry(
    city: CityFile, checked: CheckedCity, spec: MapSpec, drive: Drive, sample: RigSample
) -> dict[str, Any]:
    """A sample as a cache holds it, with its lines."""
    from mapllava.gt_cache.builder import with_polylines
    from mapllava.sources.folder.drive_samples import cache_entry

    return with_polylines(cache_entry(city, drive, sample), checked.maps[drive.place], spec)
