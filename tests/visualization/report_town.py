"""A small ground truth, two results files, and the page of both; names are as nasty as names can be."""

from __future__ import annotations

import numpy as np

from mapllava.evaluation import MapResults
from mapllava.evaluation.breakdown import break_down
from mapllava.evaluation.functional import sample_scores
from mapllava.evaluation.scoring import compare, evaluate_maps, pair_with_cache
from mapllava.structures import MapSpec
from mapllava.visualization.report_page.page import Page
from mapllava.visualization.report_page.runs import Run, choose_cuts

NASTY = "</script><script>window.hacked = 1</script><img src=x onerror='window.hacked = 1'>"
NASTY_FILE = '"><b onclick=alert(1)>&amp;{{ 7 * 7 }}.json'
LENGTHS = (6.0, 20.0, 45.0)


def make_cache(num_scenes: int = 4, per_scene: int = 20, nasty: str = NASTY) -> dict:
    """A cache whose samples hold a divider of each length, a boundary, and a crossing as a ring."""
    ring = np.array([[6.0, 2.0], [10.0, 2.0], [10.0, 6.0], [6.0, 6.0], [6.0, 2.0]])
    entries = []
    for k in range(num_scenes * per_scene):
        lines = [
            (0, np.array([[x, -20.0], [x, y - 20]])) for x, y in zip((-6.0, 0.0, 4.0), LENGTHS, strict=True)
        ]
        lines += [(2, np.array([[-12.0, -28.0], [-12.0, 0.0], [-11.0, 28.0]])), (1, ring)]
        entries.append(
            {
                "sample_token": f"token{k:03d}{nasty if k == 0 else ''}",
                "scene_name": f"scene-{k // per_scene}{nasty if k < per_scene else ''}",
                "location": "here" if k < 2 * per_scene else nasty,
                "timestamp": 1000 - k,
                "polylines": [{"label": c, "points": p, "closed": c == 1} for c, p in lines],
            }
        )
    meta = {**MapSpec().to_config(), "split": "val", "version": "v1.0-mini"}
    return {"metainfo": meta, "data_list": entries}


def make_results(cache: dict, sigma: float, seed: int = 0, name: str = "run.json") -> MapResults:
    """The truth moved at random, with scores that say how much, and one line of noise a sample."""
    rng = np.random.default_rng(seed)
    maps = {}
    for entry in cache["data_list"]:
        off = rng.normal(size=len(entry["polylines"])) * sigma
        noise = np.array([[-14.0, -10.0], [-3.0, 25.0]])
        maps[entry["sample_token"]] = {
            "points": [p["points"] + [d, 0] for p, d in zip(entry["polylines"], off, strict=True)] + [noise],
            "labels": [*(p["label"] for p in entry["polylines"]), 0],
            "scores": np.append(np.exp(-np.abs(off)) * rng.uniform(0.8, 1.0, len(off)), 0.02),
        }
    return MapResults(MapSpec(), "val", maps, "v1.0-mini", name)


def make_page(cache: dict, results: list[MapResults], num_draws: int = 50) -> Page:
    """The page of results on a cache."""
    runs, scored = [], []
    for one in results:
        done = evaluate_maps(pair_with_cache(one, cache), one.source, ("ece",), num_draws)
        cuts, chosen_by = choose_cuts(one, done, 1)
        parts = break_down(done, cache["data_list"], cuts)
        runs.append(Run(one.source, one, cuts, chosen_by, done, parts, sample_scores(done.matches, cuts)))
        scored.append(done)
    comparison = compare(*scored) if len(scored) == 2 else None
    return Page(MapSpec(), runs, cache["data_list"], comparison, [("split", "val")])
