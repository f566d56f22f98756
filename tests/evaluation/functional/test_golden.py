"""Parity with what the peers' own code gives for the same inputs: scores, flags and distances."""

from functools import cache
from pathlib import Path

import numpy as np
import pytest

from mapllava.evaluation.functional import chamfer_distance, match_maps, score_of
from mapllava.evaluation.functional.chamfer import chamfer_of_indices
from mapllava.evaluation.functional.matching import strips_meet
from mapllava.geometry import resample_many

GOLDEN = Path(__file__).parents[2] / "data" / "golden" / "eval"
CASES = (
    "closed_polygons",
    "empty_samples",
    "no_gt_at_all",
    "no_gt_for_class",
    "no_pred_at_all",
    "preds_100_points",
    "prefilter",
    "random_60x30",
    "ties_all_equal",
    "ties_quantised",
    "zero_length_preds",
)
PROTOCOLS = ("maptr", "maptrv2", "streammapnet")

pytestmark = pytest.mark.parametrize("name", CASES)


@cache
def load(name):
    return dict(np.load(GOLDEN / f"{name}.npz"))


def line(case, kind, k):
    return case[f"{kind}_pts"][case[f"{kind}_off"][k] : case[f"{kind}_off"][k + 1]]


def samples(case, kind):
    """The case's lines sample by sample, and the number in the file of each sample's lines."""
    owners = [np.flatnonzero(case[f"{kind}_sample"] == s) for s in range(int(case["num_samples"]))]
    score = case["pred_score"] if kind == "pred" else np.zeros(len(case["gt_label"]))
    maps = [
        {
            "points": [line(case, kind, k) for k in mine],
            "labels": case[f"{kind}_label"][mine],
            "scores": score[mine],
        }
        for mine in owners
    ]
    return maps, owners


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_average_precision_and_true_positives(name, protocol):
    case = load(name)
    (preds, owners), (gts, _) = samples(case, "pred"), samples(case, "gt")
    matches = match_maps(preds, gts, [str(n) for n in case["class_names"]], protocol)
    score = score_of(matches)
    np.testing.assert_allclose(score["ap"], case[f"expect_{protocol}_stable_AP"], atol=1e-6)
    assert score["mAP"] == pytest.approx(float(case[f"expect_{protocol}_stable_mAP"]), abs=1e-6)
    flags = np.full(case[f"expect_{protocol}_stable_tp"].shape, -1)
    number = [owners[s][k] for s, k in zip(matches.samples, matches.positions, strict=True)]
    flags[:, np.array(number, dtype=int)] = matches.found
    np.testing.assert_array_equal(flags, case[f"expect_{protocol}_stable_tp"])


def resampled(case, kind, num_points):
    """Every line of the case at equal steps (P or G, num_points, 2)."""
    return resample_many([line(case, kind, k) for k in range(len(case[f"{kind}_label"]))], num_points)


@pytest.mark.parametrize(("key", "num_points"), [("pair_maptr_dist", 100), ("pair_smn_dist", 200)])
def test_distances_of_pairs(name, key, num_points):
    case = load(name)
    i, j, expected = case["pair_pred"], case["pair_gt"], case[key]
    reached = np.isfinite(expected)
    ours = chamfer_of_indices(resampled(case, "pred", num_points), resampled(case, "gt", num_points), i, j)
    np.testing.assert_allclose(ours[reached], expected[reached], atol=2e-6)
    for k in np.flatnonzero(reached)[:5]:
        single = chamfer_distance(line(case, "pred", i[k]), line(case, "gt", j[k]), num_points)
        assert single == pytest.approx(expected[k], abs=2e-6)
    if key == "pair_smn_dist":
        assert reached.all()


def test_prefilter_of_pairs(name):
    case = load(name)
    first, second = (resampled(case, kind, 100)[case[f"pair_{kind}"]] for kind in ("pred", "gt"))
    meet = strips_meet(first, second, 2.0)
    np.testing.assert_array_equal(meet, np.isfinite(case["pair_maptr_dist"]))
