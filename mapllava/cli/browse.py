"""Look at samples: what the network is shown, what files predict, which were drawn best and worst."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mapllava.cli.command_line import add_config_options, config_of, say, score
from mapllava.cli.looking import open_album, warn, warn_of_missing
from mapllava.errors import MapLLaVAError
from mapllava.files import safe_name
from mapllava.progress import progress_bar

if TYPE_CHECKING:
    import numpy as np

    from mapllava.apis.album import Album, ShownSample

DESCRIPTION = """\
Draw samples, one picture each and a contact sheet of all, from files alone.

Of a CONFIG: what the network is shown. The config's own pipeline runs on its data; visits of one sample
stand side by side, with the random numbers that training gives them. Of a GT CACHE (.pkl): the ground truth.
Of results files (--results A B C): each file's prediction over the ground truth of --cache; with --best and
--worst, the samples that the first file draws best and worst.
"""
EPILOG = """\
examples:
  %(prog)s stage2/synthetic --out looked --num 4 --visits 3
  %(prog)s gt_cache_v1.0-mini_train.pkl --out looked --tokens 3e8750f331d7499e9b5123e9eb70f2e2
  %(prog)s --results run.results.json --cache CACHE --best 5 --worst 5 --out looked
  %(prog)s --results first.json second.json --cache CACHE --num 8 --out looked
"""
_THUMB = 760
_SHEET = "contact_sheet.png"
Drawn = tuple[str, str, "np.ndarray"]
"""File name, caption and picture."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Its options."""
    add = parser.add_argument
    add("source", nargs="?", metavar="CONFIG|CACHE", help="config file, or GT cache (.pkl)")
    add("--results", nargs="+", type=Path, metavar="FILE", help="results files, side by side in one picture")
    add("--cache", type=Path, help="with --results: GT cache of the split that was predicted")
    add("--out", type=Path, required=True, metavar="DIR", help="folder of the pictures")
    add("--num", type=int, help="samples to draw at random (default: 8)")
    add("--tokens", nargs="+", metavar="TOKEN", help="these samples instead")
    add("--best", type=int, metavar="N", help="with --results and --cache: the N samples drawn best")
    add("--worst", type=int, metavar="N", help="with --results and --cache: the N samples drawn worst")
    add("--seed", type=int, default=0, help="seed of the random choice (default: %(default)s)")
    add("--visits", type=int, help="of a config: visits to each sample (default: 3 of train, else 1)")
    add("--split", choices=("train", "val", "test"), default="train", help="of a config (default: train)")
    add("--classes", nargs="+", metavar="CLASS", help="of a config: among samples with lines of all these")
    add("--score-thr", type=score, help="lowest score drawn (default: what the results file says, or 0.3)")
    add("--dataroot", type=Path, help="data root with the images (default: the one the cache names)")
    add_config_options(parser)


def run(args: argparse.Namespace) -> None:
    """Draw what is asked for, then the contact sheet."""
    _check(args)
    of_config = args.source is not None and Path(args.source).suffix != ".pkl"
    total, pictures = _of_config(args) if of_config else _of_files(args)
    from mapllava.visualization import write_picture
    from mapllava.visualization.visits_picture import contact_sheet

    small: list[tuple[str, np.ndarray]] = []
    with progress_bar("samples", total, sys.stderr.isatty()) as advance:
        for name, caption, picture in pictures:
            say(write_picture(args.out / name, picture))
            small.append((caption, _thumbnail(picture)))
            advance(1)
    if len(small) > 1:
        say(write_picture(args.out / _SHEET, contact_sheet(small)))


def _check(args: argparse.Namespace) -> None:
    """Refuse options that would come to nothing."""
    if (args.source is None) == (args.results is None):
        raise MapLLaVAError("give a CONFIG, a GT CACHE, or --results FILE: one of them")
    ranked = args.best is not None or args.worst is not None
    if ranked and (args.results is None or args.cache is None):
        raise MapLLaVAError("--best and --worst need --results FILE and --cache CACHE, to score samples with")
    if sum((args.tokens is not None, args.num is not None, ranked)) > 1:
        raise MapLLaVAError("--num, --tokens, and --best with --worst each choose samples: give one of them")
    if args.cache is not None and args.results is None:
        raise MapLLaVAError("--cache belongs to --results; to look at a cache alone, name it first")
    of_config = args.source is not None and Path(args.source).suffix != ".pkl"
    for name in ("visits", "classes"):
        if getattr(args, name) is not None and not of_config:
            raise MapLLaVAError(f"--{name} is of a config's data, whose pipeline runs: give a CONFIG")
    for name in ("score_thr", "dataroot"):
        if getattr(args, name) is not None and of_config:
            option = f"--{name.replace('_', '-')}"
            raise MapLLaVAError(f"{option} is not of a config (its data root: --cfg-options data_root=DIR)")


def _of_config(args: argparse.Namespace) -> tuple[int, Iterator[Drawn]]:
    from mapllava.analysis.shown_data import ShownData

    args.config = args.source
    data = ShownData(config_of(args), args.split)
    places = data.choose(args.tokens, 8 if args.num is None else args.num, args.seed, args.classes or ())
    count = args.visits if args.visits is not None else 3 if args.split == "train" else 1
    return len(places), _visits(data, places, count)


def _visits(data: Any, places: list[int], count: int) -> Iterator[Drawn]:
    from mapllava.visualization import render
    from mapllava.visualization.visits_picture import seen_visit, visits_figure

    planned = data.visits(places, count)
    for place in places:
        seen = [seen_visit(data.dataset[visit], title) for title, visit in planned[place]]
        if not seen:
            warn(f"sample number {place} is not visited in the first {count} epochs")
            continue
        meta = seen[0].meta
        token, scene = str(meta.get("sample_token", place)), str(meta.get("scene_name", "sample"))
        picture = render(visits_figure(seen, f"{data.split} data, seed {data.seed}"))
        yield f"{safe_name(f'{scene}_{token}')}.png", f"{scene}  {token[:8]}", picture


def _of_files(args: argparse.Namespace) -> tuple[int, Iterator[Drawn]]:
    album = open_album(args.results or [Path(args.source)], args.cache, args.dataroot, args.score_thr)
    if args.best is not None or args.worst is not None:
        from mapllava.apis.ranking import best_and_worst_samples

        first = next(iter(album.results.values()))
        absent = sum(token not in first.results for token in album.tokens)
        if absent:
            warn(f"{absent} of {len(album.tokens)} samples have no prediction in {first.name}: not ranked")
        chosen = best_and_worst_samples(album, args.best or 0, args.worst or 0)
    else:
        num = 8 if args.num is None else args.num
        chosen = [("", "", token) for token in album.choose(args.tokens, num, args.seed)]
    return len(chosen), _samples(album, chosen)


def _samples(album: Album, chosen: list[tuple[str, str, str]]) -> Iterator[Drawn]:
    from mapllava.apis.scene_frames import Frame, draw_frame

    samples: list[ShownSample] = list(album.samples([token for *_, token in chosen]))
    warn_of_missing(samples)
    taken: set[str] = set()
    for (rank, words, token), sample in zip(chosen, samples, strict=True):
        scene = str(sample.meta.get("scene_name") or "")
        picture = draw_frame(Frame(sample, album.cut, words))
        caption = "  ".join(part for part in (rank.replace("_", " "), scene, token[:8]) if part)
        name = "_".join(part for part in (rank, scene, token) if part)
        yield f"{safe_name(name, taken)}.png", caption, picture


def _thumbnail(picture: np.ndarray) -> np.ndarray:
    import cv2

    height = max(1, round(_THUMB * picture.shape[0] / picture.shape[1]))
    return cv2.resize(picture, (_THUMB, height), interpolation=cv2.INTER_AREA)
