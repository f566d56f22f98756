"""Look at a rig before a model does: faults in its numbers, what it sees, and the ground in its images."""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from mapllava.cli.command_line import say
from mapllava.finding import FAIL, WARN, Finding

if TYPE_CHECKING:
    import numpy as np

    from mapllava.sources.folder.rig_file import RigFile
    from mapllava.structures.frames import MapSpec
    from mapllava.structures.rig import RigSample

EPILOG = """\
A rig is refused for what no car has: poses that are no rotations, mirrored, transposed, inverted, the
identity, in millimetres, under the ground, in other axes; intrinsics of another image size; swapped cameras.
What may be meant is a warning. Where a folder has images, its moments and the first one's images are
looked at as predict does, which refuses the same.

examples:
  %(prog)s drive
  %(prog)s drive/rig.json --out pictures
  %(prog)s drive --points sweep.pcd.bin --out pictures
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Its options."""
    parser.add_argument(
        "rig", type=Path, metavar="RIG", help="rig.json, or the folder that holds it and images"
    )
    parser.add_argument(
        "--out",
        type=Path,
        metavar="DIR",
        help="draw the rig from above, and its images with the ground, into DIR",
    )
    parser.add_argument(
        "--points",
        type=Path,
        metavar="FILE",
        help="a point cloud to lay over the images: .pcd.bin, .bin, .npy, .ply",
    )
    parser.add_argument(
        "--points-frame",
        choices=["lidar", "vehicle"],
        help="what the cloud counts from (default: lidar where the rig has one)",
    )
    parser.add_argument(
        "--roi", default="60x30", help="region to be covered, metres: length x width (default: 60x30)"
    )


def run(args: argparse.Namespace) -> int:
    """Check, say and draw; 1 if a check fails."""
    from mapllava.errors import MapLLaVAError
    from mapllava.geometry.rig_checks import check_rig
    from mapllava.sources.folder.rig_file import read_rig_file
    from mapllava.structures.frames import ROI, MapSpec

    if args.points is not None and args.out is None:
        raise MapLLaVAError("--points is drawn over the images: say where to, --out DIR")
    if args.points_frame is not None and args.points is None:
        raise MapLLaVAError("--points-frame says what the cloud counts from: name it, --points FILE")
    map_spec = MapSpec(roi=ROI.parse(args.roi))
    file = read_rig_file(args.rig)
    rig = file.rig
    found = check_rig(rig, map_spec)
    say(f"{file.path}: {len(rig.cameras)} cameras, {', '.join(camera.name for camera in rig.cameras)}")
    rigid = not any(finding.name in ("transposed", "not a rotation", "left-handed") for finding in found)
    right = not any(finding.status == FAIL for finding in found)
    sample, missed = _first_moment(args.rig, check=right)
    if right and missed is not None:
        found.append(missed)
    show(found)
    if args.out is not None and rigid:
        for path in _draw(args, file, map_spec, sample, missed):
            say(path)
    return verdict(found, "the rig is in order")


def verdict(found: Sequence[Finding], in_order: str) -> int:
    """Say how many failed, or that all is in order; the exit status."""
    failures = sum(finding.status == FAIL for finding in found)
    warnings = sum(finding.status == WARN for finding in found)
    say(f"{failures} failures, {warnings} warnings" if failures or warnings else in_order)
    return int(failures > 0)


def show(found: Iterable[Finding]) -> None:
    """Write findings, each with its remedy."""
    for finding in found:
        say(f"  {finding.status:4}  {finding.name}: {finding.reason}")
        if finding.remedy:
            say(f"        {finding.remedy}")


def _first_moment(path: Path, check: bool) -> tuple[RigSample | None, Finding | None]:
    """What ``predict`` would be given first, its images read; or why it would refuse the folder."""
    from mapllava.datasets.rig_images import prepare_images
    from mapllava.errors import MapLLaVAError
    from mapllava.sources.folder import open_input
    from mapllava.sources.folder.folder_input import NoMomentsError

    try:
        return prepare_images(next(iter(open_input(path, check=check))), decode_all=True), None
    except NoMomentsError as error:
        return None, Finding("no images", WARN, str(error), "the numbers alone were looked at")
    except MapLLaVAError as error:
        return None, Finding("images", FAIL, str(error), "predict refuses it likewise")


def _draw(
    args: argparse.Namespace,
    file: RigFile,
    map_spec: MapSpec,
    sample: RigSample | None,
    missed: Finding | None,
) -> Iterable[Path]:
    """The rig from above, and the first moment's images where the folder has them."""
    from mapllava.errors import MapLLaVAError
    from mapllava.visualization import write_picture
    from mapllava.visualization.rig_pictures import ground_figure, rig_figure

    yield write_picture(args.out / "rig.png", rig_figure(file.rig, map_spec))
    if sample is None:
        why = missed.reason if missed is not None else ""
        if args.points is not None:
            raise MapLLaVAError(f"--points is laid over images, and there are none: {why}")
        say(f"no images are drawn: {why}")
        return
    images = [image for image in sample.images if not isinstance(image, Path)]
    yield write_picture(args.out / "ground.png", ground_figure(sample.rig, images))
    if args.points is not None:
        points = _points(args, file)
        yield write_picture(args.out / "points.png", ground_figure(sample.rig, images, points))


def _points(args: argparse.Namespace, file: RigFile) -> np.ndarray:
    """The cloud (n, 3) in ``ego``, metres."""
    from mapllava.errors import MapLLaVAError
    from mapllava.sources.folder.point_cloud import read_points

    lidar2ego = file.rig.lidar2ego
    frame = args.points_frame or ("vehicle" if lidar2ego is None else "lidar")
    if frame == "lidar" and lidar2ego is None:
        raise MapLLaVAError(
            f"--points-frame lidar needs lidar_to_vehicle in {file.path}: write it, or give points of the "
            "vehicle"
        )
    to_ego = file.vehicle2ego if frame == "vehicle" or lidar2ego is None else lidar2ego
    return read_points(args.points) @ to_ego[:3, :3].T + to_ego[:3, 3]
