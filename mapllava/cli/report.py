"""One page of HTML that shows what a results file is worth, and its maps."""

from __future__ import annotations

import argparse
import subprocess
import sys
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from mapllava import gt_cache
from mapllava.cli.command_line import add_scoring_options, say, score
from mapllava.errors import MapLLaVAError
from mapllava.gt_cache.schema import digest_file
from mapllava.progress import busy
from mapllava.version import __version__

DESCRIPTION = """\
Write a report page: one HTML file with scores and their intervals, precision-recall curves, errors by
distance, class, length and location, reliability of the scores, best and worst samples, and every
sample's map to zoom into. With two results files, both side by side and whether one is better. The page
needs no network and no other file: send it as it is. Without a GT cache it shows the predictions alone.
"""
EPILOG = """\
examples:
  %(prog)s run.results.json --cache gt_cache_v1.0-trainval_val.pkl
  %(prog)s old.json new.json --cache CACHE --protocol strict --out strict.html
  %(prog)s run.results.json --out predictions.html
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Its options."""
    add_scoring_options(parser)
    add = parser.add_argument
    add("--cache", type=Path, help="GT cache of the split that was predicted; without it there is no truth")
    add("--out", type=Path, default=Path("report.html"), help="file to write (default: report.html)")
    add(
        "--min-score",
        type=score,
        default=0.05,
        metavar="S",
        help="predictions with a lower score do not travel with the page; they count in the score "
        "(default: 0.05, higher where a page of thousands of samples would grow beyond 30 MB)",
    )
    add("--samples", type=int, default=6, metavar="N", help="best and worst samples to list (default: 6)")
    add("--dataroot", type=Path, help="where images lie, for small ones of those (default: as in the cache)")
    add("--no-images", action="store_true", help="no camera images")


def run(args: argparse.Namespace) -> None:
    """Read, score, write."""
    from mapllava.visualization.report_page import write_report

    if len(args.results) > 2:
        raise MapLLaVAError(f"{len(args.results)} results files: give one, or two to compare")
    shown = sys.stderr.isatty()
    page = with_truth(args, shown) if args.cache is not None else without_truth(args, shown)
    path = write_report(args.out, page, shown)
    say(f"{path} ({path.stat().st_size / 1e6:.1f} MB): open it in a browser, or send it as it is")


def with_truth(args: argparse.Namespace, shown: bool) -> Any:
    """The page of results that are compared with the truth."""
    from mapllava.evaluation.breakdown import break_down
    from mapllava.evaluation.formats import read_results
    from mapllava.evaluation.functional import sample_scores
    from mapllava.evaluation.scoring import compare, evaluate_maps, pair_with_cache, read_scene_names
    from mapllava.visualization.report_page.page import Page
    from mapllava.visualization.report_page.runs import Run, choose_cuts

    cache, scenes = gt_cache.load(args.cache), read_scene_names(args.scenes)
    entries = [e for e in cache["data_list"] if scenes is None or e.get("scene_name") in set(scenes)]
    runs, scored = [], []
    for path in args.results:
        with busy(f"reading {path}", shown):
            results = read_results(path, cache, args.kind)
            maps = pair_with_cache(results, cache, args.protocol, args.thresholds, scenes)
        probable = all(np.all((m["scores"] >= 0) & (m["scores"] <= 1)) for m in results.results.values())
        measures = ("ece",) if probable else ()
        done = evaluate_maps(maps, str(path), measures, args.bootstrap, args.seed, progress=shown)
        with busy("taking it apart", shown):
            row = len(maps.protocol.thresholds) // 2
            cuts, chosen_by = choose_cuts(results, done, row)
            parts = break_down(done, entries, cuts)
        rated = sample_scores(done.matches, cuts.tolist(), maps.protocol.thresholds[row])
        rated = rated.of_predicted([m["sample_token"] in results.results for m in maps.predictions])
        runs.append(Run(str(path), results, cuts, chosen_by, done, parts, rated))
        scored.append(done)
    maps = scored[0].maps
    comparison = compare(*scored) if len(scored) == 2 else None
    facts = [
        ("split", maps.split),
        ("protocol", maps.protocol.title),
        ("samples", f"{len(maps.predictions)} in {len(maps.scenes)} scenes"),
        ("true lines", str(int(sum(scored[0].score["num_gt"])))),
        *facts_of(args.results, cache["metainfo"]),
    ]
    root = None if args.no_images else args.dataroot or Path(str(cache["metainfo"].get("dataroot", "")))
    return Page(maps.spec, runs, entries, comparison, facts, args.min_score, args.samples, root)


def without_truth(args: argparse.Namespace, shown: bool) -> Any:
    """The page of predictions alone."""
    from mapllava.evaluation import load_results
    from mapllava.visualization.report_page.page import Page
    from mapllava.visualization.report_page.runs import Run, choose_cuts

    runs: list[Run] = []
    for path in args.results:
        with busy(f"reading {path}", shown):
            results = load_results(path, runs[0].results.map_spec if runs else None)
        if not results.results:
            raise MapLLaVAError(f"{results.name}: it holds no sample at all: predict again")
        cuts, chosen_by = choose_cuts(results)
        runs.append(Run(str(path), results, cuts, chosen_by))
    first = runs[0].results
    facts = [("split", first.split), ("samples", samples_in_words(runs))]
    facts += [(f"prompt of {run.name}", prompt_in_words(run)) for run in runs if run.results.prompt]
    facts += facts_of(args.results)
    return Page(first.map_spec, runs, None, None, facts, args.min_score, args.samples)


def prompt_in_words(run: Any) -> str:
    """That a prompt has cut a run's maps, and which."""
    prompt = run.results.prompt
    said = "" if prompt.text == prompt.canonical else f" ('{prompt.text}')"
    return f"{prompt.canonical}{said}: the maps hold what it asked for alone, no whole maps"


def samples_in_words(runs: Sequence[Any]) -> str:
    """How many samples a page without truth shows, which is all that a file holds, and whose they are."""
    from mapllava.visualization.report_page.page import LETTERS

    each = [set(run.results.results) for run in runs]
    total = len(set.union(*each))
    if all(len(tokens) == total for tokens in each):
        return str(total)
    counts = ", ".join(f"{len(tokens)} in {letter}" for letter, tokens in zip(LETTERS, each, strict=True))
    return f"{total}: {counts}, {len(set.intersection(*each))} in both"


def facts_of(paths: Sequence[Path], metainfo: Mapping[str, Any] | None = None) -> list[tuple[str, str]]:
    """Where the numbers come from: files with a digest, versions, time."""
    facts = []
    for path in paths:
        digest = digest_file(path)["sha256"][:12]
        facts.append(("results", f"{path} (sha256 {digest})"))
    if metainfo is not None:
        facts.append(("source", str(metainfo.get("version", "unknown"))))
        facts.append(("GT cache", str(metainfo.get("fingerprint", ""))[:12] or "no fingerprint"))
    facts.append(("mapllava", " ".join(filter(None, (__version__, commit())))))
    facts.append(("made", datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC")))
    return facts


def commit() -> str:
    """The commit of the checkout that mapllava runs from, empty where it is installed or git is missing."""
    folder = Path(__file__).parent

    def git(*words: str) -> str:
        done = subprocess.run(["git", "-C", str(folder), *words], capture_output=True, text=True, check=True)
        return done.stdout.strip()

    try:
        git("ls-files", "--error-unmatch", Path(__file__).name)
        return git("rev-parse", "--short", "HEAD")
    except (OSError, subprocess.CalledProcessError):
        return ""
