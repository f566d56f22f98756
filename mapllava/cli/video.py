"""Make a video of a scene: cameras around, the map with prediction and ground truth."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from mapllava.cli.command_line import say, score
from mapllava.cli.looking import open_album, warn_of_missing
from mapllava.errors import MapLLaVAError
from mapllava.progress import progress_bar

if TYPE_CHECKING:
    import numpy as np

DESCRIPTION = """\
Make a video of one scene from files alone: a GT cache, a results file on its cache, or a results file that
says what was seen (of own rigs). MP4 in H.264 plays in any browser; --gif writes a GIF beside it.
"""
EPILOG = """\
examples:
  %(prog)s run.results.json --cache gt_cache_v1.0-trainval_val.pkl --scene scene-0103 --out scene.mp4
  %(prog)s gt_cache_v1.0-mini_train.pkl --scene scene-0061 --out truth.mp4 --fps 4 --gif
  %(prog)s my_drive/results.json --out drive.mp4 --world
"""
_LEAST_WIDTH = 320


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Its options."""
    add = parser.add_argument
    add("source", type=Path, metavar="RESULTS|CACHE", help="results file (.json) or GT cache (.pkl)")
    add("--cache", type=Path, help="with a results file: GT cache of the split that was predicted")
    add("--scene", metavar="NAME", help="scene to show; may be left out where there is only one")
    add("--out", type=Path, required=True, metavar="FILE.mp4", help="file to write, .mp4 or .gif")
    add("--gif", action="store_true", help="also write a GIF of the same name")
    add("--fps", type=float, help="frames per second (default: as fast as it was, from the timestamps)")
    add("--width", type=int, default=1280, help="pixels across, without the world (default: %(default)s)")
    add("--score-thr", type=score, help="lowest score drawn (default: what the results file says, or 0.3)")
    add("--world", action="store_true", help="beside it, the lines of all frames so far in the world")
    add("--dataroot", type=Path, help="data root with the images (default: the one the cache names)")
    add("--workers", type=int, default=os.cpu_count() or 1, help="processes that draw (default: %(default)s)")


def run(args: argparse.Namespace) -> None:
    """Draw the scene's frames and write them."""
    from mapllava.apis.in_order import in_order
    from mapllava.apis.scene_frames import draw_frame, frames_of, real_fps
    from mapllava.visualization.video import check_video, write_video

    also = [args.out.with_suffix(".gif")] if args.gif and args.out.suffix != ".gif" else []
    paths = [args.out, *also]
    if args.width < _LEAST_WIDTH:
        raise MapLLaVAError(f"--width {args.width}: a frame takes {_LEAST_WIDTH} pixels or more")
    album = open_album([args.source], args.cache, args.dataroot, args.score_thr)
    samples = list(album.samples(album.tokens_of_scene(args.scene)))
    fps = real_fps([sample.meta["timestamp"] for sample in samples]) if args.fps is None else args.fps
    check_video(paths, fps)
    warn_of_missing(samples)
    frames = frames_of(samples, args.width, album.cut, args.world)
    workers = min(args.workers, len(samples))
    with progress_bar("frames", len(samples), sys.stderr.isatty()) as advance:
        count = write_video(paths, _counted(in_order(draw_frame, frames, workers), advance), fps)
    for path in paths:
        frames_made = "1 frame" if count == 1 else f"{count} frames"
        say(f"{path}  {frames_made}, {fps:g} a second, {path.stat().st_size / 1e6:.1f} MB")


def _counted(pictures: Iterable[np.ndarray], advance: Callable[[int], None]) -> Iterator[np.ndarray]:
    for picture in pictures:
        yield picture
        advance(1)
