"""Write a results file as GeoJSON, for QGIS, geopandas and any other GIS."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from mapllava import gt_cache
from mapllava.cli.command_line import say, score
from mapllava.evaluation import load_results
from mapllava.evaluation.formats.geojson import FRAMES
from mapllava.evaluation.formats.save_geojson import SavedGeoJSON, save_geojson
from mapllava.evaluation.sample_record import FALLBACK_SCORE, Display
from mapllava.progress import busy

DESCRIPTION = """\
Write the lines of a results file as GeoJSON: longitude and latitude where it is known where on earth the
samples lie (nuScenes, Argoverse 2, a rig.json with an origin), else metres in a file named *.local.geojson,
which a GIS opens without putting it on a map of the earth. The synthetic city lies nowhere.

Where the samples were is in the results of 'mapllava predict'; for those of 'mapllava test', give --cache.
"""
EPILOG = """\
examples:
  %(prog)s predictions.results.json --out map.geojson
  %(prog)s run.results.json --cache data/nuscenes/gt_cache/gt_cache_v1.0-mini_val.pkl --ground-truth \\
      --out compared.geojson
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Its options."""
    parser.add_argument("source", type=Path, metavar="RESULTS", help="results file to read")
    parser.add_argument(
        "--out", required=True, type=Path, metavar="FILE", help="*.geojson, or *.local.geojson for metres"
    )
    parser.add_argument("--cache", type=Path, help="GT cache that holds the samples")
    parser.add_argument("--ground-truth", action="store_true", help="also write the cache's own lines")
    parser.add_argument(
        "--score-thr",
        type=score,
        metavar="SCORE",
        help="leave out lines below; 0 keeps all, near-duplicates too (default: what the results say, "
        f"else {FALLBACK_SCORE:g})",
    )
    parser.add_argument("--local", action="store_true", help="metres, also where the place on earth is known")


def run(args: argparse.Namespace) -> None:
    """Read, write, and say what the new file holds."""
    shown = sys.stderr.isatty()
    with busy(f"reading {args.source}", shown):
        results = load_results(args.source)
        cache = None if args.cache is None else gt_cache.load(args.cache)
    display = results.display or Display(dict.fromkeys(results.map_spec.classes, FALLBACK_SCORE), "fallback")
    if args.score_thr is not None:
        display = Display(dict.fromkeys(results.map_spec.classes, args.score_thr), "--score-thr")
    with busy(f"writing {args.out}", shown):
        saved = save_geojson(args.out, results, cache, display, args.local, args.ground_truth)
    least = ", ".join(f"{name} {score:.2f}" for name, score in display.thresholds.items())
    say(f"{saved.num_lines:,} lines of {len(results.results):,} samples written to {saved.path}")
    say(f"coordinates: {FRAMES[saved.frame]}")
    say(f"predicted lines from a score of {least} on ({display.source})")
    _warn(saved)


def _warn(saved: SavedGeoJSON) -> None:
    if saved.frame == "world" and len(saved.locations) > 1:
        say(
            f"the samples lie in {len(saved.locations)} worlds ({', '.join(saved.locations)}), each with its "
            "own metres: filter by the property 'location'"
        )
    if saved.accuracy is not None and saved.accuracy >= 1:
        say(
            f"the way from this CRS to WGS84 is good to {saved.accuracy:g} m, as PROJ states; its grid files "
            "(pyproj sync) may make it better"
        )
