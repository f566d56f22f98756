"""How large the report page of a large data set is, and how soon it shows something.

A GT cache and a results file on it are repeated, each time moved at random, until there are as many samples
as asked for; the second run's lines and scores are moved once more. Then ``mapllava report`` makes the page
of one run and of two. With Chromium there, the time of the first paint is read from it. Run it from the
repository's root::

    python benchmarks/report.py RESULTS CACHE --samples 6019
"""

from __future__ import annotations

import argparse
import hashlib
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from common import show_table

from mapllava import gt_cache
from mapllava.__main__ import main as mapllava
from mapllava.evaluation import MapResults, load_results
from mapllava.evaluation.results_writer import save_results

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "visualization"))

from browser import chromium_tab, find_chromium


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    made = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    made.add_argument("results", type=Path)
    made.add_argument("cache", type=Path)
    made.add_argument("--samples", type=int, default=6019, help="default: %(default)s")
    return made.parse_args()


def repeated(cache: dict[str, Any], results: MapResults, count: int) -> tuple[dict[str, Any], MapResults]:
    """So many samples, no two alike: gzip would find a repetition."""
    rng, entries, maps = np.random.default_rng(0), cache["data_list"], {}
    out = []
    for k in range(count):
        turn, entry = k // len(entries), dict(entries[k % len(entries)])
        old, scene = results.results[entry["sample_token"]], f"{entry['scene_name']}-{turn:03d}"
        token = hashlib.md5(f"{entry['sample_token']}{k}".encode()).hexdigest()
        lines = [{**line, "points": line["points"] + rng.normal(0, 0.5, 2)} for line in entry["polylines"]]
        entry.update(sample_token=token, scene_name=scene, polylines=lines)
        entry["scene_token"] = hashlib.md5(scene.encode()).hexdigest()
        out.append(entry)
        maps[token] = moved(old, rng)
    meta = {**cache["metainfo"], "num_samples": count}
    made = MapResults(results.map_spec, results.split, maps, results.version, display=results.display)
    return {**cache, "metainfo": meta, "data_list": out}, made


def moved(entry: dict[str, Any], rng: np.random.Generator) -> dict[str, Any]:
    """A map whose vertices are some centimetres off and whose scores are a little lower."""
    points = [line + rng.normal(0, 0.03, line.shape) for line in entry["points"]]
    return {**entry, "points": points, "scores": entry["scores"] * rng.uniform(0.9, 1, len(entry["scores"]))}


def main() -> None:
    """Make the pages and print what they cost."""
    args = parse_args()
    rows = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        cache, first = repeated(gt_cache.load(args.cache), load_results(args.results), args.samples)
        gt_cache.save(folder / "cache.pkl", cache)
        rng = np.random.default_rng(1)
        other = {token: moved(entry, rng) for token, entry in first.results.items()}
        second = MapResults(first.map_spec, first.split, other, first.version, display=first.display)
        files = [save_results(folder / f"{k}.json", one) for k, one in enumerate((first, second))]
        for runs in (files[:1], files):
            page, start = folder / f"{len(runs)}.html", time.perf_counter()
            words = ["--cache", folder / "cache.pkl", "--out", page, "--bootstrap", "100", "--no-images"]
            if mapllava(["report", *map(str, [*runs, *words])]):
                raise SystemExit(1)
            took = time.perf_counter() - start
            rows.append([len(runs), f"{page.stat().st_size / 1e6:.1f}", f"{took:.0f}", *paints(page)])
    show_table("report", ["runs", "MB", "s to make", "ms to first paint", "s until the map"], rows)


def paints(page: Path) -> list[str]:
    """Milliseconds to the first paint, and seconds until the map is drawn."""
    if find_chromium() is None:
        return ["-", "-"]
    with chromium_tab() as tab:
        start = time.perf_counter()
        tab.open(page)
        ready = time.perf_counter() - start
        script = "performance.getEntriesByName('first-contentful-paint')[0].startTime"
        return [f"{tab.run(script):.0f}", f"{ready:.1f}"]


if __name__ == "__main__":
    main()
