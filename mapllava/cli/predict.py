"""Draw the map around a car of one's own: images and a rig in; results, GeoJSON and pictures out."""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mapllava.apis.demo_files import model_file, sample_folder
from mapllava.cli.command_line import add_parser_option, add_plugins, parser_path, say, score
from mapllava.errors import MapLLaVAError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from mapllava.apis.map_inferencer import MapInferencer
    from mapllava.apis.prediction_folder import PredictionFolder
    from mapllava.evaluation.sample_record import Display
    from mapllava.language import Parsed
    from mapllava.sources.folder import RigInput
    from mapllava.structures.rig import RigSample

DESCRIPTION = """\
Draw maps from the cameras of any car, one moment or many. INPUT is a folder of images with rig.json (one
moment, sub-folders, or a list with poses; a video per camera), that rig.json, or a nuScenes root with
--sample or --scene. MODEL is a trained model's file, or 'demo': the small one that comes with the package.

OUT gets predictions.results.json (every line, with its score), map.geojson (map.local.geojson where nobody
knows the place on earth), and a picture of each sample in pictures/, while the model goes on.
"""
EPILOG = """\
examples:
  %(prog)s --demo
  %(prog)s outputs/RUN/best_model.pth my_car --out maps
  %(prog)s demo data/synthetic --sample TOKEN --out maps
  %(prog)s --demo --prompt "draw: ped_crossing, boundary; ahead; within 20 m"
  %(prog)s best_model.pth my_car --out maps --parser parser.pth --prompt "crossings within 20 m ahead"
  %(prog)s best_model.pth my_drive --out maps --batch-size 4 --pictures png --skip-bad
  %(prog)s best_model.pth my_car --out maps --camera-names front=CAM_FRONT left=CAM_FRONT_LEFT
"""
INTERRUPTED = "what was done before is written where a line above says so"
DEMO_OUT = Path("mapllava_demo")
NEXT = """
next: look at the picture. For your own car, put images and rig.json into a folder (the page "own cameras"):
  mapllava rig check MY_FOLDER
  mapllava predict demo MY_FOLDER --out maps
The demo's model knows the synthetic city only; on photographs, take one that was trained on them.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Its options."""
    add = parser.add_argument
    add("model", nargs="?", metavar="MODEL", help="a run folder's best_model.pth, or 'demo'")
    add("input", nargs="?", metavar="INPUT", type=Path, help="what the cameras saw, see above")
    add("--demo", action="store_true", help="the package's own model and sample: needs nothing else")
    add("--out", type=Path, metavar="DIR", help=f"folder to write (with --demo by default {DEMO_OUT})")
    add("--force", action="store_true", help="write into a folder that holds something")
    add(
        "--pictures", nargs="+", choices=("png", "svg", "none"), default=["png", "svg"], help="of each sample"
    )
    add(
        "--score-thr", type=score, metavar="S", help="lowest score drawn (default: the model's own per class)"
    )
    add(
        "--prompt",
        metavar="TEXT",
        help="draw this alone: 'draw: ped_crossing; ahead', or in words with --parser: 'crossings ahead'",
    )
    add("--skip-bad", action="store_true", help="go on behind a sample that cannot be read; status 1 then")
    add("--no-check", action="store_true", help="take a rig that `mapllava rig check` would refuse")
    source = parser.add_argument_group("input")
    source.add_argument("--rig", type=Path, metavar="FILE", help="rig.json, where INPUT holds none")
    source.add_argument("--stride", type=int, default=1, metavar="N", help="take every N-th moment")
    source.add_argument("--sample", metavar="TOKEN", help="of a nuScenes root")
    source.add_argument("--scene", metavar="NAME", help="of a nuScenes root: all its samples")
    source.add_argument("--version", metavar="V", help="of a nuScenes root that holds several")
    model = parser.add_argument_group("model")
    model.add_argument("--device", help="where it runs, such as cpu or cuda:1 (default: the first GPU)")
    add_parser_option(model, "reads --prompt's words")
    model.add_argument("--batch-size", type=int, default=1, metavar="B", help="samples at once (default: 1)")
    model.add_argument(
        "--pretrained",
        nargs="+",
        default=[],
        metavar="COMPONENT=FOLDER",
        help="where base weights have moved to, for instance decoder=/weights/vicuna-7b-v1.5",
    )
    model.add_argument(
        "--camera-names",
        nargs="+",
        default=[],
        metavar="OWN=TRAINED",
        help="for models with queries of their own for each camera",
    )
    model.add_argument("--workers", type=int, default=2, metavar="N", help="processes that draw (default: 2)")
    add_plugins(parser)


def run(args: argparse.Namespace) -> int:
    """Predict, write, and say where things are."""
    check(args)
    claim(args.out, args.input, args.force)
    samples = samples_of(args)
    begun = time.perf_counter()

    from mapllava.apis.asking import NotUnderstoodError, language_of, refusal
    from mapllava.apis.map_inferencer import MapInferencer
    from mapllava.apis.prediction_folder import PredictionFolder
    from mapllava.evaluation.answering import refuse_questions
    from mapllava.plugins import import_plugins

    import_plugins(args.plugins)
    say(f"{numbered(len(samples))} of {samples.source}; loading {args.model}")
    inferencer = MapInferencer(
        model_path(args.model),
        args.device,
        pairs("--pretrained", args.pretrained),
        args.batch_size,
        camera_names=pairs("--camera-names", args.camera_names),
        check=not args.no_check,
        parser=parser_path(args),
    )
    display = display_of(
        inferencer.predictor.meta.get("display"), args.score_thr, inferencer.map_spec.classes
    )
    inferencer.predictor.display = display
    try:
        prompt = None if args.prompt is None else inferencer.predictor.understand(args.prompt)
    except NotUnderstoodError as error:
        say(refusal(error.parsed, inferencer.map_spec.classes, language_of(args.prompt)))
        return 1
    if prompt is not None:
        refuse_questions(prompt.requests)
    kinds = [kind for kind in args.pictures if kind != "none"]
    bad: list[str] = []
    ended: list[str] = []
    start = time.perf_counter()
    workers = args.workers if len(samples) > 1 else 0
    with PredictionFolder(args.out, inferencer.map_spec, display, kinds, workers, prompt) as out:
        given = until_it_ends(samples, ended) if args.skip_bad else samples
        stopped = follow(inferencer, given, len(samples), out, bad if args.skip_bad else None, prompt)
        if not out.count and (bad or ended):
            raise MapLLaVAError("\n  ".join(["no sample could be read, nothing is written:", *bad, *ended]))
    done = numbered(len(samples)) if out.count == len(samples) else f"{out.count} of {numbered(len(samples))}"
    now = time.perf_counter()
    say(
        f"loading {start - begun:.1f} s, {done} in {now - start:.1f} s, "
        f"{inferencer.model_seconds:.1f} s of it in the model"
    )
    report(out, bad, ended)
    if stopped is not None:
        raise stopped
    if args.demo:
        say(NEXT)
    return 1 if bad or ended else 0


def until_it_ends(samples: RigInput, ended: list[str]) -> Iterator[RigSample]:
    """The samples as far as the input can be read; what it says then goes into ``ended``."""
    try:
        yield from samples
    except MapLLaVAError as error:
        ended.append(str(error))


def follow(
    inferencer: MapInferencer,
    samples: Iterable[RigSample],
    total: int,
    out: PredictionFolder,
    bad: list[str] | None,
    prompt: Parsed | None = None,
) -> BaseException | None:
    """Predict all samples, with a bar; gives what stopped it after the first of them was done."""
    from mapllava.progress import progress_bar

    with progress_bar("predicting", total, sys.stderr.isatty()) as advance:

        def skip(sample: RigSample, error: MapLLaVAError) -> None:
            skipped.append(str(error))
            advance(1)

        skipped = [] if bad is None else bad
        try:
            for found in inferencer.stream(samples, None if bad is None else skip, prompt):
                out.add(found)
                advance(1)
        except (Exception, KeyboardInterrupt) as error:
            if not out.count:
                raise
            return error
    return None


def check(args: argparse.Namespace) -> None:
    """Fill in what --demo means, and refuse what is incomplete."""
    if args.demo:
        if args.model or args.input:
            raise MapLLaVAError("--demo takes the package's own model and sample: leave MODEL and INPUT out")
        args.model, args.input = "demo", sample_folder()
        args.out = args.out or DEMO_OUT
    if not args.model or args.input is None:
        raise MapLLaVAError("name MODEL and INPUT, or try --demo; --help has examples")
    if args.out is None:
        raise MapLLaVAError("name the folder to write: --out DIR")
    if min(args.batch_size, args.stride) < 1 or args.workers < 0:
        raise MapLLaVAError("--batch-size and --stride are whole numbers from 1, --workers from 0")
    data_set = bool(args.sample or args.scene)
    if data_set and args.rig is not None:
        raise MapLLaVAError("--rig is for folders: a nuScenes root has its own, leave it out")
    if args.version is not None and not data_set:
        raise MapLLaVAError("--version is of a nuScenes root: add --sample TOKEN or --scene NAME")
    if "none" in args.pictures and len(args.pictures) > 1:
        raise MapLLaVAError("--pictures none excludes the other kinds")


def model_path(model: str) -> Path:
    """The model's file; 'demo' is the package's own."""
    if model != "demo":
        return Path(model)
    return model_file()


def samples_of(args: argparse.Namespace) -> RigInput:
    """What there is to predict; rigs that cannot be are refused here."""
    if not args.input.exists():
        raise MapLLaVAError(f"INPUT '{args.input}' is not there")
    if args.sample or args.scene:
        from mapllava.sources.nuscenes.rig_samples import nuscenes_input

        return nuscenes_input(
            args.input, args.version, args.sample, args.scene, not args.no_check, args.stride
        )
    from mapllava.sources.folder import open_input

    return open_input(args.input, args.rig, args.stride, check=not args.no_check)


def claim(folder: Path, given: Path, force: bool) -> None:
    """Refuse a folder with something in it, unless told to write there.

    Raises:
        MapLLaVAError: If it is a file, or not empty, or the input lies where pictures go.
    """
    if folder.exists() and not folder.is_dir():
        raise MapLLaVAError(f"--out '{folder}' is a file: name a folder")
    if folder.is_dir() and any(folder.iterdir()) and not force:
        raise MapLLaVAError(
            f"--out '{folder}' is not empty: name another folder, or add --force to replace the files of "
            "an earlier prediction there"
        )
    pictures = (folder / "pictures").resolve()
    if pictures in (given.resolve(), *given.resolve().parents):
        raise MapLLaVAError(
            f"INPUT '{given}' lies in --out's pictures, which are replaced: name another --out"
        )


def pairs(option: str, entries: list[str]) -> dict[str, str]:
    """``A=B`` words as a dict."""
    words = [entry.partition("=")[::2] for entry in entries]
    twice = sorted({name for name, _ in words if [first for first, _ in words].count(name) > 1})
    if twice:
        raise MapLLaVAError(f"{option} names {', '.join(twice)} twice: say which one is meant")
    found = dict(words)
    if not all(found) or not all(found.values()):
        raise MapLLaVAError(f"{option} {' '.join(entries)}: write NAME=VALUE")
    return found


def display_of(known: Any, score_thr: float | None, classes: tuple[str, ...]) -> Display | None:
    """From which score on lines are drawn: as asked for, or as the model file says; None if nobody does."""
    from mapllava.evaluation.sample_record import Display, display_from_json

    own = None if known is None else display_from_json(known, classes)
    if score_thr is None:
        return own
    return with_scores(own or Display({}, ""), score_thr, classes)


def with_scores(display: Display, score_thr: float, classes: tuple[str, ...]) -> Display:
    """What is known of doubt stays; lines are drawn from ``score_thr`` on."""
    from dataclasses import replace

    return replace(display, thresholds=dict.fromkeys(classes, score_thr), source=f"--score-thr {score_thr:g}")


def numbered(count: int) -> str:
    """How many samples, in words."""
    return f"{count} sample{'' if count == 1 else 's'}"


def report(out: PredictionFolder, bad: list[str], ended: list[str]) -> None:
    """Where things are, and what is missing."""
    for path in out.files[:2]:
        say(f"  {path}")
    if len(out.files) > 2:
        more = f" and {len(out.files) - 3} more" if len(out.files) > 3 else ""
        say(f"  {out.files[2]}{more}")
    lost = out.without_place
    if lost:
        say(f"{numbered(len(lost))} left out of the GeoJSON (the results hold all), the first: {lost[0]}")
    if ended:
        say(f"the input ended early, behind sample {out.count + len(bad)}: {ended[0]}")
    if bad:
        say(f"{numbered(len(bad))} could not be read:")
        for line in bad:
            say(f"  {line}")
